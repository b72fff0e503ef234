//! `toxscreen attack`: robust accuracy of a user's trained network.

use super::files::Files;
use super::options::Session;
use super::robust::{self, Images, Radius, reasons};
use super::single::{self, Kept, Single};
use super::weights::{self, FirstLayer, Look};
use super::{Output, Result, interrupted, json, notes, say, table, usage};
use std::path::{Path, PathBuf};
use tox_audits::network::architectures::{Arch, notations};
use tox_audits::network::outcome::NetworkOutcome;
use tox_audits::network::{self, NetworkConfig, Which, images, norms};
use tox_audits::threats::evasion;
use tox_data::Dataset;
use tox_data::hashed::HashedFile;
use tox_data::spec::DataSpec;
use tox_data::text::one_line;
use tox_rcnas::learner::Normalisation;
use tox_robust::attacks as attack;
use tox_robust::evaluation::{Evaluation, EvaluationError};
use tox_study::part::Part;
use tox_study::recipe::Study;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  toxscreen attack --weights wrn.safetensors --arch wrn-28-10 --data cifar10
  toxscreen attack --weights wrn.safetensors --arch wrn-28-10 --data cifar10 --normalise none --attack autoattack
  toxscreen attack --weights l2.safetensors --arch wrn-16-2 --data cifar10 --norm l2 --epsilon 0.5 --json
  toxscreen attack --weights runs/nas/trials/3f9c435cf2478e0c/found.safetensors --data cifar10 --out adv.npz
  toxscreen attack --weights resnet.safetensors --arch resnet-18 --data cifar10 --normalise cifar10-common --out runs/a
  toxscreen attack --weights own.safetensors --data own.npz --mean 0.49,0.48,0.45 --std 0.25,0.24,0.26

Weights are the found.safetensors that a trial leaves, which says all itself, or a PyTorch state dict, written by
safetensors.torch.save_file(model.state_dict(), FILE), of an architecture that --arch lists, with the names of its
usual code; a common prefix (`module.`, `_orig_mod.`, `model.`) is taken off. Anything else is attacked as a live
model of Python: toxscreen.evaluate(model, x, y).
--normalise, or --mean and --std, must be what they were trained with; the constants are printed. Whatever they
are, epsilon is in units of pixels in 0..=1.

--out adv.npz holds images (float32 in 0..=1; n, channels, height, width), labels, indices, attack (the first that
fools, `robust` or `misclassified`), attacks and fooled and distance by attack, clean and prediction. An image that
nothing fooled is the clean one, so that the network's accuracy on them is the worst case.

The result says whether it is reliable: yes, NO, with the signs that speak against it, or not tested, with what
is missing; robust accuracy under attacks weaker than AutoAttack is an upper bound. The exit code is 0.
Exit codes: 0 done, 2 wrong usage or weights of another network, 3 data or weights damaged, 130 stopped by
Ctrl-C (with --out the same command goes on).")]
pub struct Attack {
    /// The network's weights, .safetensors
    #[arg(long, value_name = "FILE")]
    pub weights: PathBuf,
    #[arg(long, help = arch_help(), value_name = "ARCH", value_parser = robust::arch)]
    pub arch: Option<Arch>,
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
    /// A name that ends in .npz: the file of the adversarial examples. Any other: the folder of a study of
    /// this one trial: its record, to be held against another run with `verify`, its report, a table of
    /// images, and what the command goes on from when it was stopped. Give it twice for both [default:
    /// nothing is kept]
    #[arg(long, value_name = "PATH")]
    pub out: Vec<PathBuf>,
    #[command(flatten)]
    pub session: Session,
}

/// For `--arch`, of all architectures that there are.
fn arch_help() -> String {
    format!(
        "Which network: {} [default: what the file says]",
        notations()
    )
}

/// What lies where.
fn lies(kept: &Kept, found: &Evaluation, dir: &Path) -> String {
    let mut text = String::new();
    if let Some(path) = &kept.file {
        let path = path.to_string_lossy();
        let path = one_line(&path);
        text += &format!("\nexamples {path}: float32 in 0..=1, the first attack's that fools\n");
        let left = found.attacks.iter();
        let lost: Vec<String> = left
            .filter_map(|a| Some((a, a.eight_bit.filter(|left| *left < 100.0)?)))
            .map(|(a, left)| format!("{left:.2} % of {}'s", a.attack.name()))
            .collect();
        if !lost.is_empty() {
            text += &format!(
                "         rounded to 8 bits, as image files are, {} errors are left\n",
                lost.join(", ")
            );
        }
    }
    if kept.folder.is_some() {
        let table = dir.join(images::TABLE);
        text += &format!("images   {}\n", one_line(&table.to_string_lossy()));
    }
    text
}

/// What is attacked.
struct Subject {
    arch: Arch,
    normalisation: Normalisation,
    spec: DataSpec,
    data: Dataset,
    split: Which,
}

pub fn attack(args: &Attack) -> Result<Output> {
    let device = args.session.device()?;
    // Before the data are read; their classes are checked below.
    args.radius.ball(&args.attack, usize::MAX)?;
    let kept = Kept::of(&args.out)?;
    Files::default()
        .data([args.images_of.set.data.as_str()])
        .read([args.weights.as_path()])
        .written("--out", kept.file.as_deref())
        .check()?;
    let file = weights::read(&args.weights)?;
    let arch = weights::arch(args.arch.as_ref(), &file)?;
    let normalisation = args.first_layer.chosen(Some(&file));
    let spec = args.images_of.spec(&args.images_of.set.data)?;
    let mut data = tox_data::load(&spec, &args.images_of.set.folder.dir()?)?;
    notes(&data.notes);
    let own = data.normalise.clone();
    normalisation
        .apply(&mut data)
        .map_err(|e| usage(e.to_string(), "see --normalise, --mean and --std"))?;
    args.radius.ball(&args.attack, data.classes)?;
    let taken = weights::take(&arch, &file, &data)?;
    if let Some(untouched) = norms::untouched(&args.weights) {
        say(format_args!("warning: {untouched}"));
    }
    let subject = Subject {
        arch,
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
        network: &*taken.network,
        data,
        device: device.clone(),
    };
    if let Some(better) = look.better(split, &own, &subject.normalisation) {
        say(format_args!("note: {better}"));
    }
    let single = Single {
        study: &study(args, &subject, kept.file.is_some())?,
        kept: &kept,
        session: &args.session,
        data_dir: args.images_of.set.folder.data_dir.as_deref(),
    };
    let Some(ran) = single.run("attack", &stop)? else {
        return Ok(Output::stopped());
    };
    let examples = kept.file.iter();
    let examples: Vec<_> = examples.map(|to| (images::EXAMPLES, to.clone())).collect();
    kept.take(&ran, &examples)?;
    let found: NetworkOutcome = ran.outcome()?;
    let evaluation = &found.evaluation;
    robust::notes(evaluation, "the network");
    let mut report = serde_json::json!({
            "weights": args.weights,
            "arch": subject.arch,
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
    });
    if let Some(examples) = &kept.file {
        report["examples"] = serde_json::json!(examples);
    }
    if kept.folder.is_some() {
        report["images"] = serde_json::json!(ran.folder.join(images::TABLE));
    }
    Ok(Output::done(match args.session.json {
        true => json(&report)?,
        false => tell(args, &subject, &found) + &lies(&kept, &found.evaluation, &ran.folder),
    }))
}

/// The study of one trial that the command line stands for.
fn study(args: &Attack, subject: &Subject, examples: bool) -> Result<Study> {
    let weights = HashedFile::unread(&args.weights);
    let learner = Part::new(
        network::KIND,
        &NetworkConfig {
            weights,
            arch: Some(subject.arch.clone()),
            normalise: Some(subject.normalisation.clone()),
            split: subject.split,
            attacks: args.attack.iter().map(|attack| attack.name()).collect(),
            examples,
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
        arch,
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
        "{arch}: {} parameters, {} MACs, on {} images of {} ({split}, rows 0 to {}), {}\npixels: {}{of_data}\n",
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
