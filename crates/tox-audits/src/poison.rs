//! The data of a trial: clean, poisoned, defended.

use crate::defences::{cleaning, parts};
use crate::error::TrialError;
use crate::scene::{Poison, Reach, Scene};
use crate::threats;
use serde_json::json;
use tox_data::{Data, Dataset};
use tox_poison::cleanse::{self, Cleansed, Inputs, Known};
use tox_poison::data::points;
use tox_study::spec::TrialSpec;
use tox_study::steps::{Steps, data_key};
use tox_study::trial::TrialContext;

/// The data with poison in them.
pub struct Poisoned<D = Dataset> {
    pub data: D,
    /// The rows of the pool that were poisoned.
    pub rows: Vec<u64>,
    /// The clean labels of all rows of the pool.
    pub labels: Vec<u16>,
    pub poison: Poison,
}

/// The data that a learner sees, and what was done to them: images, or with [`prepare_any`] whatever they are.
pub struct Prepared<D = Dataset> {
    /// The clean data where nothing was done.
    pub data: D,
    pub poisoned: Option<Poisoned<D>>,
    /// What each cleaning did, in their order.
    pub cleansed: Vec<Cleansed>,
}

impl<D> Prepared<D> {
    /// The poison as a record holds it.
    pub fn poison(&self) -> Option<Poison> {
        Some(self.poisoned.as_ref()?.poison.clone())
    }
}

impl Prepared<Data> {
    /// # Errors
    /// A table.
    fn images(self) -> Result<Prepared, TrialError> {
        let images = |data: Data| match data {
            Data::Images(data) => Ok(data),
            Data::Table(_) => Err(TrialError::NotImages),
        };
        let poisoned = self.poisoned.map(|p| -> Result<Poisoned, TrialError> {
            Ok(Poisoned {
                data: images(p.data)?,
                rows: p.rows,
                labels: p.labels,
                poison: p.poison,
            })
        });
        Ok(Prepared {
            data: images(self.data)?,
            poisoned: poisoned.transpose()?,
            cleansed: self.cleansed,
        })
    }
}

/// [`prepare_any`], for a learner of images.
///
/// # Errors
/// Why that cannot be done.
pub fn prepare(scene: &Scene<'_>, steps: &mut Steps<'_>) -> Result<Prepared, TrialError> {
    prepare_any(scene, steps)?.images()
}

/// Poisons and cleans the data.
///
/// # Errors
/// Why that cannot be done.
pub fn prepare_any(scene: &Scene<'_>, steps: &mut Steps<'_>) -> Result<Prepared<Data>, TrialError> {
    let poisoned = poison(scene, steps)?;
    let mut data = match &poisoned {
        Some(poisoned) => poisoned.data.clone(),
        None => scene.clean.to_owned(),
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
        // The data as an adversary reaches them.
        let reached = match scene.reach {
            Reach::TrainAndValid => None,
            Reach::Train => {
                let train = data.as_ref().train();
                let none = train.rows(&[]);
                Some(data.as_ref().replaced(train, Some(none)))
            }
        };
        let inputs = Inputs {
            data: reached.as_ref().unwrap_or(&data).as_ref(),
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
            Reach::Train => data.as_ref().replaced(made.as_ref().train(), None),
        };
        cleansed.push(told);
    }
    Ok(Prepared {
        data,
        poisoned,
        cleansed,
    })
}

/// [`prepare_first_any`], for a learner of images.
///
/// # Errors
/// Why that cannot be done.
pub fn prepare_first(scene: &Scene<'_>, context: TrialContext<'_>) -> Result<Prepared, TrialError> {
    prepare_first_any(scene, context)?.images()
}

/// [`prepare_any`], as a trial's first part. Data that were changed are named by what they are now.
///
/// # Errors
/// Why that cannot be done.
pub fn prepare_first_any(
    scene: &Scene<'_>,
    context: TrialContext<'_>,
) -> Result<Prepared<Data>, TrialError> {
    let shares = shares(steps(scene.spec));
    let mut steps = Steps::new(context, data_key(scene.clean), scene.spec.seed, shares);
    let mut prepared = prepare_any(scene, &mut steps)?;
    if prepared.poisoned.is_some() || !prepared.cleansed.is_empty() {
        prepared.data.name_by_content();
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

/// The poisoned copy of the data, and what the poison did; `None` without a threat, or with one of
/// strength 0.
fn poison(scene: &Scene<'_>, steps: &mut Steps<'_>) -> Result<Option<Poisoned<Data>>, TrialError> {
    let Some(threat) = &scene.spec.threat.data else {
        return Ok(None);
    };
    let Some(poison) = threats::poison(&threat.kind) else {
        return own(scene, "threat", &threat.kind).map(|()| None);
    };
    // The rows that an adversary reaches.
    let pool = match scene.reach {
        Reach::TrainAndValid => scene.clean.pool(),
        Reach::Train => scene.clean.train(),
    };
    match poison.budget(threat) {
        Some(0.0) => return Ok(None),
        // Before anything is trained for it.
        Some(budget) => points(budget, pool.rows).map(|_| ())?,
        None => {}
    }
    let (patch, told) = poison.craft(scene, &pool, steps)?;
    let mut rows = pool.clone();
    patch.apply(&mut rows)?;
    let data = match scene.reach {
        Reach::Train => scene.clean.replaced(rows, None),
        Reach::TrainAndValid => {
            let border = scene.clean.labels()[0].len();
            let valid = rows.split_off(border);
            scene.clean.replaced(rows, Some(valid))
        }
    };
    Ok(Some(Poisoned {
        data,
        rows: patch.indices().to_vec(),
        labels: pool.labels,
        poison: told,
    }))
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
