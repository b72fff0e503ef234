//! `toxscreen poison --attack rlf|clf|noise`: labels flipped or images disturbed, no learner needed.

use super::super::bilevel::{beside, interrupted, with_bar};
use super::super::{FAILED, INTERRUPTED, Output, Usage, json, say};
use super::{Attack, Poison, SAVE_EVERY};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::json as object;
use std::time::Instant;
use tox_data::checkpoint::Hooks;
use tox_data::features::{FeatureSets, Features};
use tox_data::patch::Patch;
use tox_data::spec::Augment;
use tox_data::{DataDir, Normalise};
use tox_poison::data::clf::{self, Classifier, Clf, Confidence, Target, Training};
use tox_poison::data::noise::{self, Noise};
use tox_poison::data::{Crafted, PoisonError, flip, points};

/// Options of the attacks on rows.
#[derive(clap::Args)]
pub struct RowsAttack {
    /// clf: which label a row gets
    #[arg(long, default_value = "least-likely", value_parser = target())]
    pub target: Target,
    /// clf: confidence is the largest probability of a row (prediction), or that of its own label
    #[arg(long, default_value = "prediction", value_parser = confidence())]
    pub confidence: Confidence,
    /// clf: passes over the clean images in the classifier's training; published trainings have 200
    #[arg(long, value_name = "N", default_value_t = 15)]
    pub epochs: usize,
    /// clf: channels of the ResNet-18's first stage; the published network has 64
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub width: usize,
    /// clf: where the classifier is trained: cpu, vulkan:N or cuda:N
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub device: String,
    /// noise: most that a pixel moves, in 1/255
    #[arg(long, value_name = "B", default_value_t = 16)]
    pub bound: u8,
    /// noise: standard deviation before clipping, in 1/255 [default: the bound]
    #[arg(long, value_name = "S", allow_negative_numbers = true)]
    pub std: Option<f64>,
}

fn target() -> impl TypedValueParser<Value = Target> {
    PossibleValuesParser::new(["least-likely", "second-most-likely"]).map(|name| match &*name {
        "second-most-likely" => Target::SecondMostLikely,
        _ => Target::LeastLikely,
    })
}

fn confidence() -> impl TypedValueParser<Value = Confidence> {
    PossibleValuesParser::new(["prediction", "label"]).map(|name| match &*name {
        "label" => Confidence::Label,
        _ => Confidence::Prediction,
    })
}

/// What to change of a poison that cannot be made.
pub fn hint(error: &PoisonError) -> Option<String> {
    let hint = match error {
        PoisonError::Budget { .. } | PoisonError::NoPoints { .. } => "change --budget",
        PoisonError::Setting { key: "width", .. } => "change --width",
        PoisonError::Setting { key: "bound", .. } => "change --bound",
        PoisonError::Setting { key: "std", .. } => "change --std",
        PoisonError::Fit(error) if error.key == "epochs" => "change --epochs",
        PoisonError::NotImages { .. } => "--attack rlf works on any rows",
        _ => return None,
    };
    Some(hint.to_owned())
}

/// Crafts the poison, checks it and writes it.
pub fn poison(args: &Poison) -> anyhow::Result<Output> {
    let begun = Instant::now();
    let dir = DataDir::resolve(args.rows.data_dir.as_deref())?;
    let data = FeatureSets::open(&args.rows.data, args.rows.classes.as_deref(), &dir)?;
    points(args.budget, data.train.rows)?;
    let Some((crafted, accuracy)) = craft(args, &data.train)? else {
        return Ok(Output {
            text: String::new(),
            code: INTERRUPTED,
        });
    };
    let Crafted { mut patch, check } = crafted;
    let path = beside(&args.out, "patch.npz");
    patch.save(&path)?;
    let mut poisoned = data;
    patch.apply(&mut poisoned.train)?;
    poisoned.save(&args.out)?;
    let manifest = Patch::manifest_path(&path);
    let code = if check.unreliable.is_some() {
        FAILED
    } else {
        0
    };
    if args.json {
        let report = object!({
            "attack": args.attack.name(),
            "data": args.rows.data,
            "check": check,
            "flip_rate": check.flip_rate(),
            "classifier_accuracy": accuracy,
            "seconds": begun.elapsed().as_secs_f64(),
            "files": {"poisoned": args.out, "patch": path, "manifest": manifest},
        });
        let text = json(&report)?;
        return Ok(Output { text, code });
    }
    let mut text = format!(
        "{} of {} training rows poisoned; {} labels flipped ({:.2} % of all rows)\n",
        check.points,
        check.rows,
        check.flipped,
        100.0 * check.flip_rate()
    );
    if let Some(share) = check.at_bound {
        text.push_str(&format!(
            "{} images moved, a pixel by at most {:.0}/255; {:.1} % of their pixels at the bound\n",
            check.moved,
            check.linf,
            100.0 * share
        ));
    }
    if let Some(accuracy) = accuracy {
        let percent = 100.0 * accuracy;
        text.push_str(&format!(
            "the classifier names {percent:.1} % of the clean rows rightly\n"
        ));
    }
    if let Some(reason) = &check.unreliable {
        text.push_str(&format!("THE ATTACK DID NOT ATTACK: {reason}\n"));
    }
    for file in [&args.out, &path, &manifest] {
        text.push_str(&format!("wrote {}\n", file.display()));
    }
    Ok(Output { text, code })
}

/// The poison, and of CLF how good its classifier is; `None` if that was stopped.
fn craft(args: &Poison, clean: &Features) -> anyhow::Result<Option<(Crafted, Option<f64>)>> {
    let (budget, seed, options) = (args.budget, args.seed, &args.rows_attack);
    match args.attack {
        Attack::Clf => {
            let Some(confidences) = confidences(args, clean)? else {
                return Ok(None);
            };
            let clf = Clf {
                target: options.target,
                confidence: options.confidence,
            };
            let crafted = clf::flip(clean, &confidences, clf, budget)?;
            Ok(Some((crafted, Some(confidences.accuracy(&clean.labels)))))
        }
        Attack::Noise => {
            let bound = options.bound;
            let std = options.std.unwrap_or(f64::from(bound));
            let noise = Noise { bound, std };
            Ok(Some((noise::gaussian(clean, noise, budget, seed)?, None)))
        }
        _ => Ok(Some((flip::random(clean, budget, seed)?, None))),
    }
}

/// Trains CLF's classifier, from its checkpoint if there is one.
fn confidences(args: &Poison, clean: &Features) -> anyhow::Result<Option<clf::Confidences>> {
    let options = &args.rows_attack;
    let device = tox_nn::device::parse(&options.device)
        .map_err(|e| Usage::new(e.to_string(), "leave --device out to use the CPU"))?;
    let mut classifier = Classifier {
        width: options.width,
        ..Classifier::default()
    };
    classifier.fit.epochs = options.epochs;
    let normalise = match clean.images() {
        Some(split) => Normalise::measured(&split.images),
        None => Normalise {
            mean: Vec::new(),
            std: Vec::new(),
        },
    };
    let training = Training {
        clean,
        normalise: &normalise,
        augment: &Augment::default(),
        classifier: &classifier,
        seed: args.seed,
        device,
    };
    let key = object!({
        "version": env!("CARGO_PKG_VERSION"),
        "data": clean.hash(),
        "classifier": classifier,
        "seed": args.seed,
        "device": options.device,
    });
    let (key, checkpoint) = (key.to_string(), beside(&args.out, "checkpoint.safetensors"));
    let stop = interrupted()?;
    let made = with_bar("classifier", &stop, |stop, progress| {
        let hooks = Hooks {
            checkpoint: &checkpoint,
            key: &key,
            save_every: SAVE_EVERY,
            stop,
            progress,
        };
        clf::confidences(&training, hooks)
    })?;
    match made {
        // A checkpoint of what is done is of no use; that there may be none is no matter.
        Some(_) => drop(std::fs::remove_file(&checkpoint)),
        None => say(format_args!(
            "stopped; the same command goes on from {}",
            checkpoint.display()
        )),
    }
    Ok(made)
}
