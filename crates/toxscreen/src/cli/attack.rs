//! `toxscreen attack`: robust accuracy of a user's trained network.

use super::args::device;
use super::progress::Bar;
use super::robust::{self, Images, Radius, reasons};
use super::weights::{self, FirstLayer, Look};
use super::{INTERRUPTED, Output, Usage, interrupted, json, notes, say, table};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tox_data::checkpoint::Hooks;
use tox_data::text::one_line;
use tox_data::{Dataset, Split};
use tox_nn::nets::wrn::{self, Shape, WrnConfig};
use tox_robust::attack;
use tox_robust::evaluation::{Evaluation, EvaluationError, Inputs, evaluate};
use tox_robust::model::Model;
use tox_search::compress::Normalisation;

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
Ctrl-C (nothing is kept).")]
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
    /// fgsm, pgd20, cw40 (any number of steps), apgd-ce, apgd-dlr, apgd-dlr-untargeted, fab, square,
    /// autoattack
    #[arg(
        long,
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
    /// Seed of the attacks' random draws
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
    /// cpu, vulkan:N or cuda:N
    #[arg(long, default_value = "cpu", value_parser = device)]
    pub device: String,
    /// Threads [default: all cores]; results do not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What is attacked.
struct Subject {
    shape: Shape,
    config: WrnConfig,
    normalisation: Normalisation,
    data: Dataset,
    /// Name of the split.
    split: &'static str,
}

pub fn attack(args: &Attack) -> anyhow::Result<Output> {
    let device = tox_nn::device::parse(&args.device)
        .map_err(|e| Usage::new(e.to_string(), "leave --device out to use the CPU"))?;
    // Before the data are read; their classes are checked below.
    args.radius.ball(&args.attack, usize::MAX)?;
    let described = wrn::describe(&args.weights)?;
    let shape = weights::arch(args.arch, Some((&described, &args.weights)))?;
    let normalisation = args.first_layer.chosen(described.normalise.as_ref());
    let spec = args.images_of.spec(&args.images_of.data)?;
    let mut data = tox_data::load(&spec, &args.images_of.dir()?)?;
    notes(&data.notes);
    let own = data.normalise.clone();
    normalisation
        .apply(&mut data)
        .map_err(|e| Usage::new(e.to_string(), "see --normalise, --mean and --std"))?;
    let ball = args.radius.ball(&args.attack, data.classes)?;
    let config = weights::config(&shape, &data)?;
    let loaded = weights::load(&config, &args.weights)?;
    let subject = Subject {
        shape,
        config,
        normalisation,
        split: split_of(args, &data),
        data,
    };
    let data = &subject.data;
    let split: &Split = match subject.split {
        "train" => &data.train,
        "valid" => &data.valid,
        _ => &data.test,
    };
    if split.is_empty() || args.images == 0 {
        return Err(Usage::new(
            EvaluationError::NoImages.to_string(),
            "give --images at least 1, and a --split that the data have",
        )
        .into());
    }
    notes(&data.first(split, args.images)?);
    let [_, c, h, w] = split.images.shape;
    args.radius.fits([c, h, w])?;
    let stop = interrupted("stopping")?;
    robust::pool(args.threads);
    let look = Look {
        weights: &loaded,
        data,
        device: device.clone(),
    };
    if let Some(better) = look.better(split, &own, &subject.normalisation) {
        say(format_args!("note: {better}"));
    }
    let (network, state) = &loaded;
    let model = Model::new(
        network,
        state,
        &data.normalise,
        ([c, h, w], data.classes),
        device,
    );
    let rows: Vec<u32> = (0..args.images.min(split.len()) as u32).collect();
    let inputs = Inputs {
        oracle: &model,
        split,
        rows: &rows,
        ball,
        attacks: &args.attack,
        seed: args.seed,
    };
    let scratch = tempfile::tempdir()?;
    let mut bar = Bar::new("attack");
    let hooks = Hooks {
        checkpoint: &scratch.path().join("checkpoint"),
        key: "attack",
        save_every: Duration::MAX,
        stop: &mut || stop.load(Ordering::SeqCst),
        progress: &mut |share, what| bar.tell(share, what),
    };
    let evaluation = evaluate(&inputs, hooks);
    bar.close();
    let Some(evaluation) = evaluation? else {
        say(format_args!("stopped; nothing was kept"));
        return Ok(Output {
            text: String::new(),
            code: INTERRUPTED,
        });
    };
    robust::notes(&evaluation, "the network");
    Ok(Output::done(match args.json {
        true => json(&serde_json::json!({
            "weights": args.weights,
            "arch": shape,
            "data": data.name,
            "data_hash": data.hash,
            "data_notes": data.notes,
            "split": subject.split,
            "rows": rows.len(),
            "seed": args.seed,
            "normalisation": subject.normalisation,
            "normalise": { "mean": data.normalise.mean, "std": data.normalise.std },
            "parameters": config.parameters(),
            "macs": config.macs(h, w),
            "evaluation": evaluation,
        }))?,
        false => tell(args, &subject, (h, w), &evaluation),
    }))
}

/// The split that was asked for; else the test images; else, and that is said, the training images.
fn split_of(args: &Attack, data: &Dataset) -> &'static str {
    match args.split.as_deref() {
        Some("train") => "train",
        Some("valid") => "valid",
        Some(_) => "test",
        None if !data.test.is_empty() => "test",
        None => {
            say(format_args!(
                "note: the data have no test images, so training images are attacked: a network that was \
                 trained on them is more accurate there than elsewhere"
            ));
            "train"
        }
    }
}

fn tell(args: &Attack, subject: &Subject, (h, w): (usize, usize), found: &Evaluation) -> String {
    let Subject {
        shape,
        config,
        normalisation,
        data,
        split,
    } = subject;
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
        robust::count(config.parameters()),
        robust::count(config.macs(h, w)),
        found.images,
        one_line(&args.images_of.data),
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
