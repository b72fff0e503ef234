//! The data of a trial: clean, poisoned, defended.

use crate::defences::{cleaning, parts};
use crate::error::TrialError;
use crate::scene::{Poison, Reach, Scene};
use crate::threats;
use serde_json::json;
use tox_data::features::Features;
use tox_data::{Dataset, Split};
use tox_poison::cleanse::{self, Cleansed, Inputs, Known};
use tox_poison::data::points;
use tox_study::spec::TrialSpec;
use tox_study::steps::{Steps, data_key};
use tox_study::trial::TrialContext;

/// The data with poison in them.
pub struct Poisoned {
    pub data: Dataset,
    /// The rows of the pool that were poisoned.
    pub rows: Vec<u64>,
    /// The clean labels of all rows of the pool.
    pub labels: Vec<u16>,
    pub poison: Poison,
}

/// The data that a learner sees, and what was done to them.
pub struct Prepared {
    /// The clean data where nothing was done.
    pub data: Dataset,
    pub poisoned: Option<Poisoned>,
    /// What each cleaning did, in their order.
    pub cleansed: Vec<Cleansed>,
}

impl Prepared {
    /// The poison as a record holds it.
    pub fn poison(&self) -> Option<Poison> {
        Some(self.poisoned.as_ref()?.poison.clone())
    }
}

/// Poisons and cleans the data.
///
/// # Errors
/// Why that cannot be done.
pub fn prepare(scene: &Scene<'_>, steps: &mut Steps<'_>) -> Result<Prepared, TrialError> {
    let poisoned = poison(scene, steps)?;
    let mut data = match &poisoned {
        Some(poisoned) => poisoned.data.clone(),
        None => scene.clean.clone(),
    };
    let mut cleansed: Vec<Cleansed> = Vec::new();
    for (i, defence) in scene.spec.defence.data.iter().enumerate() {
        let Some(cleaning) = cleaning(&defence.kind) else {
            own(scene, "defence", &defence.kind)?;
            continue;
        };
        let trusted = match cleaning.trusted(defence)? {
            Some(count) => Some(cleanse::trusted(scene.clean, count, scene.spec.seed)?),
            None => None,
        };
        // After the first cleaning rows are not where they were.
        let known = poisoned.as_ref().filter(|_| cleansed.is_empty());
        let reached = reached(&data, scene.reach);
        let inputs = Inputs {
            data: &reached,
            trusted: trusted.as_ref(),
            augment: &scene.spec.data.augment,
            known: known.map(|poisoned| Known {
                rows: &poisoned.rows,
                labels: &poisoned.labels,
            }),
            seed: scene.spec.seed,
            device: scene.device.clone(),
        };
        let name = match i {
            0 => COUNTERMEASURE.to_owned(),
            i => format!("{COUNTERMEASURE}-{}", i + 1),
        };
        let key = json!({ "spec": scene.spec });
        let (made, told) =
            steps.again(&name, key, |hooks| cleaning.clean(defence, &inputs, hooks))?;
        data = match scene.reach {
            Reach::TrainAndValid => made,
            Reach::Train => Dataset {
                train: made.train,
                ..data
            },
        };
        cleansed.push(told);
    }
    Ok(Prepared {
        data,
        poisoned,
        cleansed,
    })
}

/// [`prepare`], as a trial's first part. Data that were changed are named by what they are now.
///
/// # Errors
/// Why that cannot be done.
pub fn prepare_first(scene: &Scene<'_>, context: TrialContext<'_>) -> Result<Prepared, TrialError> {
    let shares = shares(steps(scene.spec));
    let mut steps = Steps::new(context, data_key(scene.clean), scene.spec.seed, shares);
    let mut prepared = prepare(scene, &mut steps)?;
    if prepared.poisoned.is_some() || !prepared.cleansed.is_empty() {
        prepared.data.hash = prepared.data.content_hash();
    }
    Ok(prepared)
}

/// Name of the step of a cleaning.
const COUNTERMEASURE: &str = "countermeasure";

/// Names of the steps of [`prepare`], and what each costs where a search costs 1.
pub fn steps(spec: &TrialSpec) -> Vec<(String, f64)> {
    let threat = spec.threat.data.as_ref();
    let threat = threat.and_then(|threat| threats::poison(&threat.kind));
    let threat = threat.map_or(&[][..], |poison| poison.steps());
    let mut steps: Vec<_> = threat
        .iter()
        .map(|(name, w)| ((*name).to_owned(), *w))
        .collect();
    if spec.defence.data.iter().any(|d| d.kind != parts::KIND) {
        steps.push((COUNTERMEASURE.to_owned(), 0.5));
    }
    steps
}

/// Shares of a trial's time, of what its steps cost.
pub fn shares(mut steps: Vec<(String, f64)>) -> Vec<(String, f64)> {
    let all: f64 = steps.iter().map(|(_, cost)| cost).sum();
    steps.iter_mut().for_each(|(_, cost)| *cost /= all);
    steps
}

/// Refuses what neither these lists nor the learner know: a trial under its name would be a clean one.
fn own(scene: &Scene<'_>, what: &str, kind: &str) -> Result<(), TrialError> {
    match scene.own.contains(&kind) {
        true => Ok(()),
        false => Err(TrialError::Unfit(format!(
            "the learner `{}` makes nothing of the {what} `{kind}`",
            scene.spec.learner.kind
        ))),
    }
}

/// The data as an adversary reaches them.
fn reached(data: &Dataset, reach: Reach) -> Dataset {
    match reach {
        Reach::TrainAndValid => data.clone(),
        Reach::Train => Dataset {
            valid: data.valid.rows(&[]),
            ..data.clone()
        },
    }
}

/// The rows that an adversary reaches.
fn pool(data: &Dataset, reach: Reach) -> Features {
    match reach {
        Reach::TrainAndValid => data.pool(),
        Reach::Train => Features::of(data.train.clone(), data.class_names.clone()),
    }
}

/// The poisoned copy of the data, and what the poison did; `None` without a threat, or with one of
/// strength 0.
fn poison(scene: &Scene<'_>, steps: &mut Steps<'_>) -> Result<Option<Poisoned>, TrialError> {
    let Some(threat) = &scene.spec.threat.data else {
        return Ok(None);
    };
    let Some(poison) = threats::poison(&threat.kind) else {
        return own(scene, "threat", &threat.kind).map(|()| None);
    };
    let pool = pool(scene.clean, scene.reach);
    match poison.budget(threat) {
        Some(0.0) => return Ok(None),
        // Before anything is trained for it.
        Some(budget) => points(budget, pool.rows).map(|_| ())?,
        None => {}
    }
    let (patch, told) = poison.craft(threat, scene, &pool, steps)?;
    let mut data = scene.clean.clone();
    match scene.reach {
        Reach::TrainAndValid => patch.apply_to(&mut data)?,
        Reach::Train => {
            let mut rows = pool.clone();
            patch.apply(&mut rows)?;
            data.train = split(&rows)?;
        }
    }
    Ok(Some(Poisoned {
        data,
        rows: patch.indices().to_vec(),
        labels: pool.labels,
        poison: told,
    }))
}

fn split(rows: &Features) -> Result<Split, TrialError> {
    Ok(tox_poison::data::gc::images(rows)?)
}

/// One, or several: a list of one is written as that one, and an empty one is not written.
pub mod one_or_many {
    use serde::de::DeserializeOwned;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written<T> {
        Many(Vec<T>),
        One(T),
    }

    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer, T: Serialize>(all: &[T], to: S) -> Result<S::Ok, S::Error> {
        match all {
            [one] => one.serialize(to),
            many => many.serialize(to),
        }
    }

    /// # Errors
    /// What is neither.
    pub fn deserialize<'de, D: Deserializer<'de>, T: DeserializeOwned>(
        from: D,
    ) -> Result<Vec<T>, D::Error> {
        Ok(match Written::deserialize(from)? {
            Written::Many(many) => many,
            Written::One(one) => vec![one],
        })
    }
}
