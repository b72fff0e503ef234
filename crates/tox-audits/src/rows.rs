//! A user's rows divided, and the learner and the adversary that suit them.

use crate::bilevel::instruction_set;
use crate::error::TrialError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::Path;
use tox_bilevel::config::{BilevelAttack, BilevelConfig, Groups, Norm, Penalty};
use tox_bilevel::own::{Division, Own, OwnError, keep_within};
use tox_bilevel::scale::Scaling;
use tox_bilevel::steady::steady_lambda;
use tox_bilevel::victim;
use tox_data::features::{Ask, FeatureSets, Features, Opened};
use tox_data::ranges::OutOfRange;
use tox_data::spec::DataSpec;
use tox_data::{DataDir, DataError};
use tox_study::spec::{Surface, TrialSpec};
use tox_study::trial::{Finished, Machine};

/// Share of the training rows that poison replaces, unless asked for.
pub const BUDGET: f64 = 0.1;
/// Outer steps in which poison moves, unless asked for.
pub const HYPERITERATIONS: usize = 50;
/// What poison points must be.
pub const PART: &str = "a part of the training rows, at least 1 and fewer than all: each poison point takes the \
                        place of a row";

/// Most bytes of inner training that are kept before it is trained again instead.
const KEPT_BYTES: usize = 1 << 30;
/// One in so many training rows is held out as the trusted set.
const HELD_OUT: usize = 10;
/// Most of them, unless asked for.
const MOST_TRUSTED: usize = 10_000;
/// Steps of the inner training on rows that no poison makes longer.
const STEPS: usize = 300;
/// Most steps that the default goes up to where poison asks for a lower rate.
const MOST_STEPS: usize = 3000;
/// Steps in which a poison point could cross the features' box.
const CROSSING: f64 = 50.0;

/// Why a learner that poisons its rows itself has no surface; `inputs` says what it hands over instead of a model.
pub fn no_surface(surface: Surface, inputs: &str) -> Result<(), String> {
    let why = match surface {
        Surface::Data => "it poisons the rows itself, by the share `budget`",
        Surface::Inputs => inputs,
        Surface::Space => "it searches no space of ops",
    };
    Err(why.to_owned())
}

/// What is wrong with `data.valid` of a learner that holds no rows out, for it needs them all.
pub fn holds_none(trial: &TrialSpec, why: &str) -> Vec<(&'static str, String)> {
    let held = (trial.data.valid > 0).then(|| format!("is of no use: {why}\nwrite 0"));
    held.map(|wrong| ("valid", wrong)).into_iter().collect()
}

/// What is wrong with `data.valid` beside a trusted set of its own.
pub fn holds_or_trusts(trial: &TrialSpec) -> Vec<(&'static str, String)> {
    let words =
        "holds rows out as the trusted set, which `trusted` of the learner brings too\nwrite 0";
    let both = trusts(trial) && trial.data.valid > 0;
    both.then(|| ("valid", words.to_owned()))
        .into_iter()
        .collect()
}

/// Whether a learner is given a trusted set.
pub fn trusts(trial: &TrialSpec) -> bool {
    trial.learner.get("trusted").is_some_and(|t| !t.is_null())
}

/// What is held out, and how features are scaled.
#[derive(Clone, Copy)]
pub struct Held {
    /// Training rows for the trusted set, if the user brings none [default: a tenth].
    pub valid: Option<usize>,
    /// Of the draw.
    pub seed: u64,
    pub scaling: Option<Scaling>,
}

/// What a user brings.
pub struct Source {
    /// As they are in the file.
    pub data: Opened,
    /// A trusted set of its own.
    pub trusted: Option<Features>,
    /// What is to be said of both.
    pub notes: Vec<String>,
}

impl Source {
    /// Those of a trial.
    ///
    /// # Errors
    /// Those of loading.
    pub fn of(
        spec: &TrialSpec,
        trusted: Option<&DataSpec>,
        data_dir: Option<&Path>,
    ) -> Result<Self, TrialError> {
        let dir = DataDir::resolve(data_dir)?;
        let trusted = trusted.map(Ask::from);
        Ok(Self::read(&Ask::from(&spec.data), trusted.as_ref(), &dir)?)
    }

    /// Reads the data, and the rows that the user trusts.
    ///
    /// # Errors
    /// Those of loading.
    pub fn read(
        data: &Ask<'_>,
        trusted: Option<&Ask<'_>>,
        dir: &DataDir,
    ) -> Result<Self, DataError> {
        let opened = Opened::of(data, dir)?;
        let mut notes = opened.notes.clone();
        let of_these = |trusted: &Ask<'_>| {
            let classes = data.classes;
            opened.trusted(
                &Ask {
                    classes,
                    ..*trusted
                },
                dir,
            )
        };
        let trusted = trusted.map(of_these).transpose()?.map(|(trusted, said)| {
            notes.extend(said);
            trusted
        });
        Ok(Self {
            data: opened,
            trusted,
            notes,
        })
    }

    /// BLAKE3 of all rows that results depend on.
    pub fn hashes(&self) -> Value {
        let hash = |set: Option<&Features>| set.map(Features::hash);
        json!({
            "train": self.data.sets.train.hash(),
            "test": hash(self.data.sets.test.as_ref()),
            "trusted": hash(self.trusted.as_ref()),
        })
    }

    /// The rows of a trial as sets. Without a trusted set of its own so many training rows as `data.valid` says are
    /// held out as one, of 0 a tenth; another `fold` holds others out.
    ///
    /// # Errors
    /// Rows that cannot be divided so.
    pub fn divide(
        &self,
        trial: &TrialSpec,
        scaling: Option<Scaling>,
        fold: usize,
    ) -> Result<Own, TrialError> {
        let valid = trial.data.valid;
        let held = Held {
            valid: (valid > 0).then_some(valid),
            seed: trial.seed,
            scaling,
        };
        divide(&self.data.sets, self.trusted.as_ref(), held, fold).map_err(TrialError::Rows)
    }

    /// A trial of these rows, whose hash is `hash`, with its outcome.
    ///
    /// # Errors
    /// A number of the outcome that is not finite.
    pub fn finished<T>(self, kind: &str, outcome: &T, hash: String) -> Result<Finished, TrialError>
    where
        T: Serialize + DeserializeOwned + PartialEq,
    {
        crate::finished(
            kind,
            outcome,
            (hash, self.notes),
            Machine::cpu(instruction_set()),
        )
    }
}

/// The rows as sets; another `fold` holds others out.
///
/// # Errors
/// Rows that cannot be divided so.
pub fn divide(
    sets: &FeatureSets,
    trusted: Option<&Features>,
    held: Held,
    fold: usize,
) -> Result<Own, OwnError> {
    let tenth = (sets.train.rows / HELD_OUT).min(MOST_TRUSTED);
    let division = Division {
        hold_out: held.valid.unwrap_or(tenth),
        seed: held.seed,
        fold,
        scaling: held.scaling,
    };
    Own::new(sets, trusted, division)
}

/// How many rows each set has, and what they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sizes {
    pub train: usize,
    pub trusted: usize,
    pub trusted_held_out: bool,
    pub test: usize,
    pub test_held_out: bool,
    pub features: usize,
    pub classes: usize,
    pub class_names: Vec<String>,
    /// What was made of the file.
    pub notes: Vec<String>,
}

impl Sizes {
    /// Of a division of `data`.
    pub fn of(own: &Own, data: &Opened) -> Self {
        let sets = &own.sets;
        Self {
            train: sets.train.len(),
            trusted: sets.valid.len(),
            trusted_held_out: !own.trusted_rows.is_empty(),
            test: sets.test.len(),
            test_held_out: !own.test_rows.is_empty(),
            features: sets.train.features,
            classes: sets.classes(),
            class_names: sets.class_names.clone(),
            notes: data.notes.clone(),
        }
    }
}

/// Points in batches (of all, by default) that move by `lr` in units of the features.
///
/// # Errors
/// Batches that do not make up the points.
pub fn attack(
    own: &Own,
    points: usize,
    (batch, lr): (Option<usize>, Option<f64>),
) -> Result<BilevelAttack, OutOfRange> {
    let batch = batch.unwrap_or(points);
    OutOfRange::unless(
        points.is_multiple_of(batch),
        "batch",
        format!("{batch}, of {points} points"),
        "batches that make up the points exactly",
    )?;
    Ok(BilevelAttack {
        batch,
        batches: points / batch,
        lr: lr.unwrap_or_else(|| own.diagonal() / CROSSING),
        norm: Norm::Point,
        target: None,
    })
}

/// A number of the learner or the adversary, by the key that it has among those of a user's rows.
pub fn own_key(error: OutOfRange) -> OutOfRange {
    let key = match error.key.as_str() {
        "inner.steps" => "steps",
        "inner.lr" => "lr",
        "lambda.large" => "lambda",
        "lr" => "poison_lr",
        _ => return error,
    };
    let key = key.to_owned();
    OutOfRange { key, ..error }
}

/// A model and how it is trained.
#[derive(Clone, Default)]
pub struct Model {
    /// Widths of the hidden layers; none is logistic regression.
    pub hidden: Vec<usize>,
    pub penalty: Penalty,
    /// Steps of gradient descent [default: as many as the rate asks for].
    pub steps: Option<usize>,
    /// Its rate [default: a stable one].
    pub lr: Option<f64>,
    /// One lambda for each layer.
    pub per_layer: bool,
}

impl Model {
    /// As a config, for `points` poison points; what it does not say is as by default.
    pub fn config(&self, own: &Own, points: usize, hyperiterations: usize) -> BilevelConfig {
        let mut config = BilevelConfig {
            hidden: self.hidden.clone(),
            penalty: self.penalty,
            hyperiterations,
            ..BilevelConfig::default()
        };
        let lr = self.lr.unwrap_or_else(|| own.steady_rate(points));
        let steps = match (self.steps, self.lr) {
            (Some(steps), _) => steps,
            (None, Some(_)) => STEPS,
            (None, None) => own.steps_at(lr, STEPS, MOST_STEPS),
        };
        (config.inner.steps, config.inner.lr) = (steps, lr);
        let lambda = &mut config.lambda;
        lambda.max = lambda.max.min(steady_lambda(lr)).max(lambda.start);
        lambda.large = lambda.large.min(lambda.max);
        if self.per_layer {
            lambda.groups = Groups::PerLayer;
        }
        let model = victim::model(&config, &own.sets);
        config.inner.keep = keep_within(KEPT_BYTES, &model, own.sets.train.len(), steps);
        config
    }

    /// Whether the default of `config`'s steps may stop short of what 300 steps reach without poison.
    pub fn is_capped(&self, config: &BilevelConfig) -> bool {
        self.steps.is_none() && self.lr.is_none() && config.inner.steps == MOST_STEPS
    }
}
