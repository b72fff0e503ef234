//! `toxscreen attack`: robust accuracy of a user's trained network.

use super::options::Session;
use super::robust::{self, Images, Radius, reasons};
use super::single::{self, Single};
use super::weights::{self, FirstLayer, Look};
use super::{Output, Result, bug, interrupted, json, notes, say, table, usage};
use std::path::PathBuf;
use tox_audits::error::Fails;
use tox_audits::network::outcome::NetworkOutcome;
use tox_audits::network::{self, NetworkConfig, Which};
use tox_audits::threats::evasion;
use tox_data::Dataset;
use tox_data::spec::DataSpec;
use tox_data::text::one_line;
use tox_nn::nets::wrn::{self, Shape};
use tox_rcnas::learner::{HashedFile, Normalisation};
use tox_robust::attacks as attack;
use tox_robust::evaluation::EvaluationError;
use tox_study::part::Part;
use tox_study::recipe::Study;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  toxscreen attack --weights wrn.safetensors --arch wrn-28-10 --data cifar10
  toxscreen attack --weights wrn.safetensors --arch wrn-28-10 --data cifar10 --normalise none --attack autoattack
  toxscreen attack --weights l2.safetensors --arch wrn-16-2 --data cifar10 --norm l2 --epsilon 0.5 --json
  toxscreen attack --weights own.safetensors --data own.npz --mean 0.49,0.48,0.45 --std 0.25,0.24,0.26

Weights are a PyTorch state dict, written by safetensors.torch.save_file(model.state_dict(), FILE), with the
names of the usual WideResNet code; a common prefix (`module.`, `_orig_mod.`, `model.`) is taken off.
--normalise, or --mean and --std, must be what they were trained with; the constants are printed. Whatever they
are, epsilon is in units of pixels in 0..=1.

The result says whether it is reliable: yes, NO, with the signs that speak against it, or not tested, with what
is missing; robust accuracy under attacks weaker than AutoAttack is an upper bound. The exit code is 0.
Exit codes: 0 done, 2 wrong usage or weights of another network, 3 data or weights damaged, 130 stopped by
Ctrl-C (nothing is kept without --out).")]
pub struct Attack {
    /// The network's weights, .safetensors
    #[arg(long, value_name = "FILE")]
    pub weights: PathBuf,
    /// Its shape: wrn-28-10, wrn-34-r, wrn-a1 to wrn-a4, d14,14,7-w5,7,3-r001, ..., with -b4 behind it for
    /// 4 channels at width 1 in place of 16 [default: what the weights' names and shapes say]
    #[arg(long, value_name = "ARCH", value_parser = robust::shape)]
    pub arch: Option<Shape>,
    #[command(flatten)]
    pub images_of: Images,
    #[arg(
        long,
        help = attack::names(),
        value_name = "ATTACKS",
        value_delimiter = ',',
        default_value = "fgsm,pgd20,cw40,autoattack"
    )]
    pub attack: Vec<attack::Attack>,
    #[command(flatten)]
    pub radius: Radius,
    #[command(flatten)]
    pub first_layer: FirstLayer,
    /// Images, the first ones of the split, at most all
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub images: usize,
    /// Which images: test, valid or train [default: test, or train where the data have no test images]
    #[arg(long, value_parser = ["test", "valid", "train"])]
    pub split: Option<String>,
    /// Folder of a study of this one trial: its record, to be held against another run with `verify`, its
    /// report, and what the command goes on from when it was stopped [default: nothing is kept]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub session: Session,
}

/// What is attacked.
struct Subject {
    shape: Shape,
    normalisation: Normalisation,
    spec: DataSpec,
    data: Dataset,
    split: Which,
}

pub fn attack(args: &Attack) -> Result<Output> {
    let device = args.session.device()?;
    // Before the data are read; their classes are checked below.
    args.radius.ball(&args.attack, usize::MAX)?;
    let described = wrn::describe(&args.weights).map_err(Fails::fails)?;
    let shape = weights::arch(args.arch, Some((&described, &args.weights)))?;
    let normalisation = args.first_layer.chosen(described.normalise.as_ref());
    let spec = args.images_of.spec(&args.images_of.set.data)?;
    let mut data = tox_data::load(&spec, &args.images_of.set.folder.dir()?)?;
    notes(&data.notes);
    let own = data.normalise.clone();
    normalisation
        .apply(&mut data)
        .map_err(|e| usage(e.to_string(), "see --normalise, --mean and --std"))?;
    args.radius.ball(&args.attack, data.classes)?;
    let config = weights::config(&shape, &data)?;
    let loaded = weights::load(&config, &args.weights)?;
    let subject = Subject {
        shape,
        normalisation,
        spec,
        split: split_of(args, &data),
        data,
    };
    let data = &subject.data;
    let split = subject.split.of(data);
    if split.is_empty() || args.images == 0 {
        return Err(usage(
            EvaluationError::NoImages.to_string(),
            "give --images at least 1, and a --split that the data have",
        ));
    }
    notes(&data.first(split, args.images)?);
    let [_, c, h, w] = split.images.shape;
    args.radius.fits([c, h, w])?;
    let stop = interrupted("stopping")?;
    args.session.pool();
    let look = Look {
        weights: &loaded,
        data,
        device: device.clone(),
    };
    if let Some(better) = look.better(split, &own, &subject.normalisation) {
        say(format_args!("note: {better}"));
    }
    let single = Single {
        study: &study(args, &subject)?,
        out: args.out.as_deref(),
        session: &args.session,
        data_dir: args.images_of.set.folder.data_dir.as_deref(),
    };
    let Some(ran) = single.run("attack", &stop)? else {
        return Ok(Output::stopped());
    };
    let found: NetworkOutcome = ran.record.outcome.read().map_err(|e| bug(&e.to_string()))?;
    let evaluation = &found.evaluation;
    robust::notes(evaluation, "the network");
    Ok(Output::done(match args.session.json {
        true => json(&serde_json::json!({
            "weights": args.weights,
            "arch": shape,
            "data": data.name,
            "data_hash": data.hash,
            "data_notes": data.notes,
            "split": subject.split.name(),
            "rows": evaluation.images,
            "seed": args.session.seed,
            "normalisation": subject.normalisation,
            "normalise": { "mean": data.normalise.mean, "std": data.normalise.std },
            "parameters": found.parameters,
            "macs": found.macs,
            "evaluation": evaluation,
        }))?,
        false => tell(args, &subject, &found),
    }))
}

/// The study of one trial that the command line stands for.
fn study(args: &Attack, subject: &Subject) -> Result<Study> {
    let weights = HashedFile {
        path: args.weights.display().to_string(),
        hash: None,
    };
    let learner = Part::new(
        network::KIND,
        &NetworkConfig {
            weights,
            arch: Some(subject.shape),
            normalise: subject.normalisation.clone(),
            split: subject.split,
            attacks: args.attack.iter().map(|attack| attack.name()).collect(),
        },
    );
    let mut recipe = single::recipe("attack", &learner, &subject.spec, args.session.seed);
    recipe["threat"] = serde_json::json!({
        "kind": evasion::KIND,
        "attack": args.attack.first(),
        "norm": args.radius.norm,
        "epsilon": args.radius.epsilon(),
    });
    recipe["judge"] = serde_json::json!({ "images": args.images });
    single::study(
        &recipe,
        args.session.seed,
        &args.images_of.set.folder.dir()?,
        &[],
    )
}

/// The split that was asked for; else the test images; else, and that is said, the training images.
fn split_of(args: &Attack, data: &Dataset) -> Which {
    match args.split.as_deref() {
        Some("train") => Which::Train,
        Some("valid") => Which::Valid,
        Some(_) => Which::Test,
        None if !data.test.is_empty() => Which::Test,
        None => {
            say(format_args!(
                "note: the data have no test images, so training images are attacked: a network that was \
                 trained on them is more accurate there than elsewhere"
            ));
            Which::Train
        }
    }
}

fn tell(args: &Attack, subject: &Subject, outcome: &NetworkOutcome) -> String {
    let found = &outcome.evaluation;
    let Subject {
        shape,
        normalisation,
        data,
        split,
        ..
    } = subject;
    let split = split.name();
    let percent = |share: f64| format!("{share:.2} %");
    let passes = |mean: f64, median: f64| format!("{mean:.1} ({median})");
    let clean = ["none".to_owned(), percent(found.clean)];
    let mut rows = vec![clean.to_vec()];
    rows.extend(found.attacks.iter().map(|attacked| {
        let queries = &attacked.queries;
        vec![
            attacked.attack.name(),
            percent(attacked.accuracy),
            attacked.eight_bit.map_or("-".to_owned(), percent),
            passes(queries.mean_forward, queries.median_forward),
            passes(queries.mean_backward, queries.median_backward),
        ]
    }));
    let worst = match found.upper_bound {
        true => "worst case (upper bound)",
        false => "worst case",
    };
    rows.push(vec![worst.to_owned(), percent(found.worst_case)]);
    let head = [
        "attack",
        "accuracy",
        "errors left in 8 bits",
        "forward passes",
        "backward passes",
    ];
    let of_data = match normalisation {
        Normalisation::Data => ", the data set's",
        Normalisation::None
        | Normalisation::Half
        | Normalisation::Imagenet
        | Normalisation::Cifar10Common
        | Normalisation::FashionMnistCommon
        | Normalisation::Given(_) => "",
    };
    let mut text = format!(
        "{shape}: {} parameters, {} MACs, on {} images of {} ({split}, rows 0 to {}), {}\npixels: {}{of_data}\n",
        robust::count(outcome.parameters),
        robust::count(outcome.macs),
        found.images,
        one_line(&args.images_of.set.data),
        found.images.saturating_sub(1),
        args.radius.written(),
        weights::constants(&data.normalise),
    );
    if let Some(reason) = robust::hollow(found) {
        text += &format!("{reason}\n");
    }
    text += &format!("\n{}\n", table(&head, &rows));
    for attacked in found.attacks.iter().filter(|a| !a.parts.is_empty()) {
        let parts = attacked.parts.iter();
        let parts: Vec<_> = parts
            .map(|part| format!("{} {:.2} %", part.attack, part.fooled))
            .collect();
        let name = attacked.attack.name();
        text += &format!("{name} fooled, one after the other: {}\n", parts.join(", "));
    }
    text += &format!("reliable: {}\n{}", found.reliable.word(), reasons(found));
    text += "Passes are of an image, mean (median). Accuracies are upper bounds: another attack may find \
             more.\n";
    text
}
