//! `--attack clf`: labels flipped by the confidence of a classifier that is first trained.

use super::Poison;
use super::made::{Beside, Made, failed};
use crate::cli::Result;
use clap::ArgMatches;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::parser::ValueSource;
use serde_json::json;
use tox_audits::commands::clf::{self, Ask};
use tox_audits::commands::{CHECKPOINT, Desk};
use tox_data::features::Features;
use tox_poison::data::clf::{Classifier, Clf, Confidence, Target};

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

/// Trains the classifier and flips; `None` if it was stopped.
pub fn craft(
    args: &Poison,
    given: &ArgMatches,
    clean: &Features,
    desk: &Beside<'_>,
) -> Result<Option<Made>> {
    let mut classifier = Classifier::default();
    let is_given = |id: &str| given.value_source(id) == Some(ValueSource::CommandLine);
    // Of a table's classifier they say nothing: what is given by hand is refused, a default is none.
    if clean.shape.is_some() || is_given("epochs") || is_given("width") {
        classifier.width = args.training.width;
        classifier.fit.epochs = args.training.epochs;
    }
    let ask = Ask {
        clean,
        classifier,
        clf: Clf {
            target: args.clf.target,
            confidence: args.clf.confidence,
        },
        budget: args.poisoned.budget,
        seed: args.session.seed,
        device: (args.session.device()?, &args.session.device),
    };
    let made = clf::craft(&ask, desk).map_err(failed)?;
    Ok(made.map(|(crafted, accuracy)| Made {
        crafted,
        text: format!(
            "the classifier names {:.1} % of the clean rows rightly\n",
            100.0 * accuracy
        ),
        report: json!({ "classifier_accuracy": accuracy }),
        leftovers: vec![desk.file(CHECKPOINT)],
    }))
}
