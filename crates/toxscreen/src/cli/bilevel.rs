//! What `poison`, `harden` and `hypergradients` share: options of data and learner, checked, and a
//! long computation with a bar that Ctrl-C stops.

use super::progress::Bar;
use super::{Usage, notes};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tox_bilevel::config::{BilevelAttack, BilevelConfig, ConfigError, Groups, Norm, Penalty};
use tox_bilevel::own::{Own, keep_within, steady_lambda};
use tox_bilevel::victim;
use tox_data::DataDir;
use tox_data::features::{Ask, Features, Opened};

/// Most bytes of inner training that are kept before it is trained again instead.
const KEPT_BYTES: usize = 1 << 30;

/// Share of the training rows that are held out as the trusted set.
const HELD_OUT: usize = 10;
/// Most of them, unless asked for.
const MOST_TRUSTED: usize = 10_000;
/// Steps in which a poison point could cross the features' box.
const CROSSING: f64 = 50.0;

/// Where the rows come from.
#[derive(clap::Args)]
pub struct Rows {
    /// An .npz file (x_train and y_train, perhaps x_test and y_test; or images and labels, or x and
    /// y), two .npy files (X.npy,y.npy), a .csv file, a folder of class folders, or digits, mnist,
    /// fashion-mnist, cifar10, cifar100
    #[arg(long, value_name = "DATA")]
    pub data: String,
    /// Column of labels of a .csv file [default: the one called label, target, class or y, or the last]
    #[arg(long, value_name = "COLUMN")]
    pub label: Option<String>,
    /// Classes to keep, such as 3,8; the first becomes class 0, the next 1
    #[arg(long, value_name = "LABELS", value_delimiter = ',')]
    pub classes: Option<Vec<u16>>,
    /// Side in pixels to which the images of a folder are resized
    #[arg(long, value_name = "SIDE")]
    pub resize: Option<usize>,
    /// Folder of the data sets [default: $TOXSCREEN_DATA, or the user's cache folder]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// What the user's data have become.
pub struct Loaded {
    /// As they are in the file.
    pub data: Opened,
    /// For the audit.
    pub own: Own,
    /// BLAKE3 of all rows that results depend on.
    pub hashes: Value,
}

impl Rows {
    /// Reads the data, and the trusted set from `trusted` or from `valid` rows of the data (a tenth
    /// by default).
    pub fn load(
        &self,
        trusted: Option<&str>,
        valid: Option<usize>,
        seed: u64,
    ) -> anyhow::Result<Loaded> {
        let dir = DataDir::resolve(self.data_dir.as_deref())?;
        let opened = Opened::of(&self.ask(), &dir)?;
        notes(&opened.notes);
        let trusted = match trusted {
            Some(data) => {
                let (trusted, said) = opened.trusted(&Ask { data, ..self.ask() }, &dir)?;
                notes(&said);
                Some(trusted)
            }
            None => None,
        };
        let data = &opened.sets;
        let tenth = (data.train.rows / HELD_OUT).min(MOST_TRUSTED);
        let own = Own::new(data, trusted.as_ref(), valid.unwrap_or(tenth), seed)?;
        let hash = |set: Option<&Features>| set.map(Features::hash);
        let hashes = json!({
            "train": data.train.hash(),
            "test": hash(data.test.as_ref()),
            "trusted": hash(trusted.as_ref()),
        });
        Ok(Loaded {
            data: opened,
            own,
            hashes,
        })
    }

    /// What is asked of the data.
    pub fn ask(&self) -> Ask<'_> {
        Ask {
            data: &self.data,
            label: self.label.as_deref(),
            classes: self.classes.as_deref(),
            resize: self.resize,
        }
    }
}

impl Loaded {
    /// What was read and what was held out, a sentence a line.
    pub fn say(&self) -> String {
        let (sets, own) = (&self.own.sets, &self.own);
        let held = |rows: &[usize]| match rows.is_empty() {
            true => "",
            false => ", held out of the training rows",
        };
        format!(
            "{} rows of {} features in {} classes to train on\n{} trusted rows{}\n{} test rows{}\n",
            sets.train.len(),
            sets.train.features,
            sets.classes(),
            sets.valid.len(),
            held(&own.trusted_rows),
            sets.test.len(),
            held(&own.test_rows),
        )
    }

    /// The same as JSON.
    pub fn json(&self) -> Value {
        let (sets, own) = (&self.own.sets, &self.own);
        json!({
            "train": sets.train.len(),
            "trusted": sets.valid.len(),
            "trusted_held_out": !own.trusted_rows.is_empty(),
            "test": sets.test.len(),
            "test_held_out": !own.test_rows.is_empty(),
            "features": sets.train.features,
            "classes": sets.classes(),
            "class_names": sets.class_names,
            "notes": self.data.notes,
        })
    }
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
    /// Steps of full-batch gradient descent
    #[arg(long, value_name = "T", default_value_t = 300)]
    pub steps: usize,
    /// Its learning rate [default: 8 / (1 + mean squared length of a training row), with which
    /// logistic regression is stable]
    #[arg(long, value_name = "ETA", allow_negative_numbers = true)]
    pub lr: Option<f64>,
}

fn penalty() -> impl TypedValueParser<Value = Penalty> {
    PossibleValuesParser::new(["l2", "l1"]).map(|name| match name.as_str() {
        "l1" => Penalty::L1,
        _ => Penalty::L2,
    })
}

impl Learner {
    /// As a config; what it does not say is as by default.
    pub fn config(&self, own: &Own, hyperiterations: usize, per_layer: bool) -> BilevelConfig {
        let mut config = BilevelConfig {
            hidden: self.hidden.clone(),
            penalty: self.penalty,
            hyperiterations,
            ..BilevelConfig::default()
        };
        config.inner.steps = self.steps;
        let lr = self.lr.unwrap_or_else(|| own.steady_rate());
        config.inner.lr = lr;
        let lambda = &mut config.lambda;
        lambda.max = lambda.max.min(steady_lambda(lr)).max(lambda.start);
        lambda.large = lambda.large.min(lambda.max);
        if per_layer {
            lambda.groups = Groups::PerLayer;
        }
        let model = victim::model(&config, &own.sets);
        config.inner.keep = keep_within(KEPT_BYTES, &model, own.sets.train.len(), self.steps);
        config
    }
}

/// What to say of a number that is out of range: the option that sets it.
pub fn usage(error: &ConfigError) -> Usage {
    let option = match error.key {
        "hidden" => "--hidden",
        "inner.steps" => "--steps",
        "inner.lr" => "--lr",
        "lambda.large" => "--lambda",
        "steps" => "--steps",
        "repeats" => "--repeats",
        "hyperiterations" => "--hyperiterations",
        "batch" | "batches" => "--batch",
        "lr" => "--poison-lr",
        key => key,
    };
    Usage::new(error.to_string(), format!("change {option}"))
}

/// How many points the adversary has, and how it moves them.
#[derive(clap::Args)]
pub struct Adversary {
    /// Outer steps in which poison (and a learned lambda) move
    #[arg(long, value_name = "H", default_value_t = 50)]
    pub hyperiterations: usize,
    /// Step of the poison points, in units of the features [default: 1/50 of the diagonal of the box
    /// that they stay in]
    #[arg(long, value_name = "ALPHA", allow_negative_numbers = true)]
    pub poison_lr: Option<f64>,
    /// Points that are optimised together; finished batches stay as they are [default: all points]
    #[arg(long, value_name = "B")]
    pub batch: Option<usize>,
}

impl Adversary {
    /// With `points` of the `rows` training rows.
    pub fn attack(&self, own: &Own, points: usize) -> Result<BilevelAttack, Usage> {
        let batch = self.batch.unwrap_or(points);
        if batch == 0 || !points.is_multiple_of(batch) {
            return Err(Usage::new(
                format!("--batch {batch}: expected batches that make up {points} points exactly"),
                "give --batch a divisor of the number of points, or --points a multiple of the batch",
            ));
        }
        Ok(BilevelAttack {
            batch,
            batches: points / batch,
            lr: self.poison_lr.unwrap_or(own.diagonal() / CROSSING),
            norm: Norm::Point,
        })
    }
}

/// Points that a share of `rows` rows is; `--points` says them outright.
pub fn points(budget: f64, points: Option<usize>, rows: usize) -> Result<usize, Usage> {
    let wrong = |found: String| {
        Err(Usage::new(
            format!(
                "{found}: expected a part of the {rows} training rows, at least 1 and fewer than all"
            ),
            "each poison point takes the place of a training row; give --budget a share between 0 \
             and 1, such as 0.1, or --points a count",
        ))
    };
    if let Some(points) = points {
        return match points {
            0 => wrong("--points 0".to_owned()),
            _ if points >= rows => wrong(format!("--points {points}")),
            _ => Ok(points),
        };
    }
    let found = (budget * rows as f64).round();
    if !(budget > 0.0 && budget < 1.0 && found >= 1.0 && found < rows as f64) {
        return wrong(format!("--budget {budget}"));
    }
    Ok(found as usize)
}

/// Whether Ctrl-C or SIGTERM has come; a second one ends the process at once.
pub fn interrupted() -> anyhow::Result<Arc<AtomicBool>> {
    super::interrupted("stopping after this training")
}

/// Runs `work` with what it asks and tells: whether to stop, and how far it is.
pub fn with_bar<T>(
    name: &str,
    stop: &AtomicBool,
    work: impl FnOnce(&mut dyn FnMut() -> bool, &mut dyn FnMut(f64, &str)) -> T,
) -> T {
    let mut bar = Bar::new(name);
    let done = work(&mut || stop.load(Ordering::SeqCst), &mut |share, what| {
        bar.tell(share, what);
    });
    bar.close();
    done
}

/// Lambdas as people read them.
pub fn lambdas(lambda: &[f64]) -> String {
    match lambda {
        [] => "none".to_owned(),
        some => some
            .iter()
            .map(|l| format!("{l:.2}"))
            .collect::<Vec<_>>()
            .join(", "),
    }
}

/// `path` with `suffix` in the place of its extension: `a/b.npz` and `float.npz` make
/// `a/b.float.npz`.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    path.with_extension(suffix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_shares_or_counts_below_the_whole() {
        assert_eq!(points(0.1, None, 255).unwrap(), 26);
        assert_eq!(points(0.1, Some(7), 255).unwrap(), 7);
        for budget in [0.0, 1.0, -0.1, 0.001, 0.999, f64::NAN, f64::INFINITY] {
            assert!(points(budget, None, 255).is_err(), "{budget}");
        }
        for count in [0, 255, 1000] {
            assert!(points(0.1, Some(count), 255).is_err(), "{count}");
        }
    }
}
