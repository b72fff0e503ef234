//! What `poison`, `harden` and `hypergradients` share: options of data and learner, and what is said of both.

use super::options::Set;
use super::{Result, notes, say, usage};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tox_audits::rows::{HYPERITERATIONS, Model, PART, Source};
use tox_bilevel::config::{BilevelConfig, Penalty};
use tox_bilevel::own::Own;
use tox_bilevel::scale::Scaling;
use tox_data::features::Ask;
use tox_data::majority::NoBetter;
use tox_data::ranges::OutOfRange;
use tox_data::spec::DataSpec;
use tox_study::trial::Failure;

/// Where the rows come from.
#[derive(clap::Args)]
pub struct Rows {
    #[command(flatten)]
    pub set: Set,
    /// Column of labels of a .csv file [default: the one called label, target, class or y, or the last]
    #[arg(long, value_name = "COLUMN")]
    pub label: Option<String>,
}

impl Rows {
    /// Reads the data, and the trusted set from the file `trusted`.
    pub fn read(&self, trusted: Option<&str>) -> Result<Source> {
        let dir = self.set.folder.dir()?;
        let trusted = trusted.map(|data| Ask { data, ..self.ask() });
        let source = Source::read(&self.ask(), trusted.as_ref(), &dir)?;
        notes(&source.notes);
        Ok(source)
    }

    /// What is asked of the data.
    pub fn ask(&self) -> Ask<'_> {
        Ask {
            data: &self.set.data,
            label: self.label.as_deref(),
            classes: self.set.classes.as_deref(),
            resize: self.set.resize,
            hash: None,
        }
    }

    /// The same for a trial.
    pub fn spec(&self, valid: usize) -> DataSpec {
        DataSpec {
            label: self.label.clone(),
            classes: self.set.classes.clone(),
            resize: self.set.resize,
            ..DataSpec::of(&self.set.data, valid)
        }
    }

    /// The rows of the file `trusted`, of all classes.
    pub fn trusted(&self, trusted: &str) -> DataSpec {
        let all = DataSpec {
            dataset: trusted.to_owned(),
            classes: None,
            ..self.spec(0)
        };
        // Of a table alone.
        DataSpec {
            label: all.label.clone().filter(|_| all.has_columns()),
            ..all
        }
    }
}

/// What is held out and of what size the sets are, a sentence a line.
pub fn describe(own: &Own) -> String {
    let sets = &own.sets;
    let held = |rows: &[usize]| match rows.is_empty() {
        true => "",
        false => ", held out of the training rows",
    };
    let scale = own.scale.as_ref().map_or("", |scale| match scale.kind {
        Scaling::Minmax => "each feature is scaled to [0, 1] of the training rows\n",
        Scaling::Standard => {
            "each feature is scaled to mean 0 and deviation 1 of the training rows\n"
        }
    });
    format!(
        "{} rows of {} features in {} classes to train on\n{} trusted rows{}\n{} test rows{}\n{scale}",
        sets.train.len(),
        sets.train.features,
        sets.classes(),
        sets.valid.len(),
        held(&own.trusted_rows),
        sets.test.len(),
        held(&own.test_rows),
    )
}

/// What of the features makes a result doubtful, with the remedy.
pub fn warnings(own: &Own) -> Vec<String> {
    let remedy = match &own.scale {
        None => "scale the features: add --scale minmax or --scale standard",
        Some(_) => "another --scale may help, or leave the column out",
    };
    let concerns = own.concerns();
    concerns
        .iter()
        .map(|concern| format!("{concern}; {remedy}"))
        .collect()
}

/// Says that a learner is no better than the most frequent class, where it is, with what to do about it, and puts that
/// before the other warnings.
pub fn warn_useless(found: Option<&NoBetter>, own: &Own, warnings: &mut Vec<String>) {
    let Some(found) = found else {
        return;
    };
    let remedy = match (&own.scale, own.sets.shape) {
        (None, None) => "scale the features (--scale minmax or --scale standard)",
        _ => "train longer (--steps), use another model (--hidden), or bring more test rows",
    };
    let warning = format!(
        "the learner has learned nothing on the clean data: {found}; {remedy} before you conclude anything"
    );
    say(format_args!("warning: {warning}"));
    warnings.insert(0, warning);
}

/// The model and how it is trained.
#[derive(clap::Args)]
pub struct Learner {
    /// Widths of the hidden layers, such as 32,8 [default: none, logistic regression]
    #[arg(long, value_name = "WIDTHS", value_delimiter = ',')]
    pub hidden: Vec<usize>,
    /// Penalty of the training loss: exp(lambda)/2 ||w||^2 or exp(lambda) ||w||_1
    #[arg(long, default_value = "l2", value_parser = penalty())]
    pub penalty: Penalty,
    /// Steps of full-batch gradient descent [default: 300, and as many more, up to 3000, as the
    /// default rate is lower for the poison's sake]
    #[arg(long, value_name = "T")]
    pub steps: Option<usize>,
    /// Its learning rate [default: one with which logistic regression is stable whatever the poison
    /// becomes within its box, 1.5 over a bound of the loss's curvature]
    #[arg(long, value_name = "ETA", allow_negative_numbers = true)]
    pub lr: Option<f64>,
}

/// Option of the scaling of features.
#[derive(clap::Args)]
pub struct Scaled {
    /// Scale each feature, fitted on the training rows: minmax to [0, 1], standard to mean 0 and
    /// deviation 1. What is written stays in your own units [default: none]
    #[arg(long, value_name = "KIND", value_parser = scaling())]
    pub scale: Option<Scaling>,
}

fn scaling() -> impl TypedValueParser<Value = Scaling> {
    PossibleValuesParser::new(["minmax", "standard"]).map(|name| match name.as_str() {
        "standard" => Scaling::Standard,
        _ => Scaling::Minmax,
    })
}

fn penalty() -> impl TypedValueParser<Value = Penalty> {
    PossibleValuesParser::new(["l2", "l1"]).map(|name| match name.as_str() {
        "l1" => Penalty::L1,
        _ => Penalty::L2,
    })
}

impl Learner {
    /// The model, with a lambda for each layer or one.
    pub fn model(&self, per_layer: bool) -> Model {
        Model {
            hidden: self.hidden.clone(),
            penalty: self.penalty,
            steps: self.steps,
            lr: self.lr,
            per_layer,
        }
    }

    /// How the learner is trained, in a sentence.
    pub fn describe(&self, config: &BilevelConfig) -> String {
        let (steps, lr) = (config.inner.steps, config.inner.lr);
        let capped = match self.model(false).is_capped(config) {
            true => {
                ", which may stop short of what 300 steps reach without poison: its box is large \
                 beside the rows, and --scale minmax makes it smaller"
            }
            false => "",
        };
        let rate = match (self.lr, config.hidden.is_empty()) {
            (None, true) => ", stable for any poison within its box",
            (None, false) => ", a guess for a network",
            (Some(_), _) => "",
        };
        format!("the learner takes {steps} steps at a rate of {lr:.3e}{rate}{capped}")
    }
}

/// What to say of a number that is out of range, by the option that sets it.
pub fn out_of_range(error: &OutOfRange) -> Failure {
    let option = error.key.replace('_', "-");
    let (expected, hint) = match error.key.as_str() {
        "budget" | "points" => (
            PART,
            "give --budget a share between 0 and 1, such as 0.1, or --points a count".to_owned(),
        ),
        "current" => (
            error.expected.as_str(),
            "give the C of your LogisticRegression; inf means no penalty".to_owned(),
        ),
        "batch" => (
            error.expected.as_str(),
            "change --batch to a divisor of the number of points".to_owned(),
        ),
        _ => (error.expected.as_str(), format!("change --{option}")),
    };
    usage(
        format!("--{option} {}: expected {expected}", error.found),
        hint,
    )
}

/// How many points the adversary has, and how it moves them.
#[derive(clap::Args)]
pub struct Adversary {
    /// Outer steps in which poison (and a learned lambda) move
    #[arg(long, value_name = "H", default_value_t = HYPERITERATIONS)]
    pub hyperiterations: usize,
    /// Step of the poison points, in units of the features [default: 1/50 of the diagonal of the box
    /// that they stay in]
    #[arg(long, value_name = "ALPHA", allow_negative_numbers = true)]
    pub poison_lr: Option<f64>,
    /// Points that are optimised together; finished batches stay as they are [default: all points]
    #[arg(long, value_name = "B")]
    pub batch: Option<usize>,
}

/// Whether Ctrl-C or SIGTERM has come; a second one ends the process at once.
pub fn interrupted() -> Result<Arc<AtomicBool>> {
    super::interrupted("stopping after this training")
}

/// `path` with `suffix` in the place of its extension: `a/b.npz` and `float.npz` make
/// `a/b.float.npz`.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    path.with_extension(suffix)
}
