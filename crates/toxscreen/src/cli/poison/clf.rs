//! `--attack clf`: labels flipped by the confidence of a classifier that is first trained.

use super::rows::{Made, resumable};
use super::{Poison, device};
use crate::cli::bilevel::{beside, interrupted};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::json as object;
use tox_data::Normalise;
use tox_data::features::Features;
use tox_data::spec::Augment;
use tox_poison::data::clf::{self, Classifier, Clf, Confidence, Target, Training};

/// Options of clf alone.
#[derive(clap::Args)]
pub struct ClfOptions {
    /// Which label a row gets
    #[arg(long, default_value = "least-likely", value_parser = target())]
    pub target: Target,
    /// Confidence is the largest probability of a row (prediction), or that of its own label
    #[arg(long, default_value = "prediction", value_parser = confidence())]
    pub confidence: Confidence,
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

/// Trains the classifier, from its checkpoint if there is one, and flips; `None` if it was stopped.
pub fn craft(args: &Poison, clean: &Features) -> anyhow::Result<Option<Made>> {
    let device = device(args)?;
    let mut classifier = Classifier {
        width: args.training.width,
        ..Classifier::default()
    };
    classifier.fit.epochs = args.training.epochs;
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
        "data": clean.hash(),
        "classifier": classifier,
        "seed": args.seed,
        "device": args.training.device,
    });
    let (stop, checkpoint) = (interrupted()?, beside(&args.out, "checkpoint.safetensors"));
    let files = (checkpoint.as_path(), &*key.to_string());
    let made = resumable("classifier", files, &stop, |hooks| {
        clf::confidences(&training, hooks)
    })?;
    let Some(confidences) = made else {
        return Ok(None);
    };
    let clf = Clf {
        target: args.clf.target,
        confidence: args.clf.confidence,
    };
    let crafted = clf::flip(clean, &confidences, clf, args.budget)?;
    let accuracy = confidences.accuracy(&clean.labels);
    Ok(Some(Made {
        crafted,
        text: format!(
            "the classifier names {:.1} % of the clean rows rightly\n",
            100.0 * accuracy
        ),
        report: object!({ "classifier_accuracy": accuracy }),
        checkpoints: vec![checkpoint],
    }))
}
