//! Options of `--attack clf`: labels flipped by the confidence of a classifier that is first trained.

use super::Poison;
use crate::cli::Result;
use clap::ArgMatches;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::parser::ValueSource;
use tox_audits::error::Fails;
use tox_data::features::Features;
use tox_poison::data::PoisonError;
use tox_poison::data::clf::{Classifier, Clf, Confidence, Target};
use tox_poison::data::threat::ClfThreat;

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

/// What is asked for, of these rows.
pub fn threat(args: &Poison, given: &ArgMatches, clean: &Features) -> Result<ClfThreat> {
    let mut classifier = Classifier::default();
    let is_given = |id: &str| given.value_source(id) == Some(ValueSource::CommandLine);
    // Of a table's classifier they say nothing: what is given by hand is refused, a default is none.
    if clean.shape.is_some() || is_given("epochs") || is_given("width") {
        classifier.width = args.training.width;
        classifier.fit.epochs = args.training.epochs;
    }
    let checked = classifier.check().map_err(PoisonError::from);
    checked.map_err(Fails::fails)?;
    let threat = ClfThreat {
        budget: args.poisoned.budget,
        flip: Clf {
            target: args.clf.target,
            confidence: args.clf.confidence,
        },
        classifier,
    };
    if clean.shape.is_none() {
        threat.check_table().map_err(Fails::fails)?;
    }
    Ok(threat)
}
