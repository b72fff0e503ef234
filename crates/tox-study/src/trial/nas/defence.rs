//! What the defender does in a trial: the data are cleaned before the search, or several searches on
//! parts of them vote.

use super::poison::Poisoned;
use super::{Scene, TrialError};
use crate::spec::Defence;
use crate::trial::steps::Steps;
use serde_json::json;
use tox_data::rng::stream;
use tox_data::{Dataset, shuffled};
use tox_poison::cleanse::{self, Cleansed, Countermeasure, Inputs, Known};

/// Cleans the data, poisoned or not.
pub fn defend(
    scene: &Scene<'_>,
    countermeasure: &Countermeasure,
    poisoned: Option<&Poisoned>,
    steps: &mut Steps<'_>,
) -> Result<(Dataset, Cleansed), TrialError> {
    let (clean, seed) = (scene.clean, scene.spec.seed);
    let trusted = match countermeasure.trusted() {
        Some(count) => Some(cleanse::trusted(clean, count, seed)?),
        None => None,
    };
    let inputs = Inputs {
        data: poisoned.map_or(clean, |poisoned| &poisoned.data),
        trusted: trusted.as_ref(),
        augment: &scene.spec.data.augment,
        known: poisoned.map(|poisoned| Known {
            rows: &poisoned.rows,
            labels: &poisoned.labels,
        }),
        seed,
        device: scene.device.clone(),
    };
    let key = json!({ "spec": scene.spec });
    steps.again("countermeasure", key, |hooks| {
        Ok(countermeasure.apply(&inputs, hooks)?)
    })
}

/// Names of the steps of the searches.
pub fn names(defence: &Defence) -> Vec<String> {
    match defence {
        Defence::Parts(parts) => (1..=parts.parts).map(|i| format!("search-{i}")).collect(),
        Defence::None | Defence::Screen | Defence::Cleanse(_) => vec!["search".to_owned()],
    }
}

/// Rows of a split, dealt out at random (stream `defence/parts` of the split).
fn dealt(rows: usize, parts: usize, split: u64, seed: u64) -> Vec<Vec<usize>> {
    let order = shuffled(rows, &mut stream(seed, "defence/parts", &[split]));
    let part = |i: usize| {
        let mut part: Vec<usize> = order
            .iter()
            .skip(i)
            .step_by(parts)
            .map(|r| *r as usize)
            .collect();
        part.sort_unstable();
        part
    };
    (0..parts).map(part).collect()
}

/// The searches of a trial: a name, and the part of the data that it sees; none stands for all.
pub fn parts(defence: &Defence, data: &Dataset, seed: u64) -> Vec<(String, Option<Dataset>)> {
    let names = names(defence);
    if names.len() == 1 {
        return names.into_iter().map(|name| (name, None)).collect();
    }
    let of = |split: u64, rows: usize| dealt(rows, names.len(), split, seed).into_iter();
    let rows = of(0, data.train.len()).zip(of(1, data.valid.len()));
    let part = |(train, valid): (Vec<usize>, Vec<usize>)| Dataset {
        train: data.train.rows(&train),
        valid: data.valid.rows(&valid),
        ..data.clone()
    };
    names
        .clone()
        .into_iter()
        .zip(rows.map(|rows| Some(part(rows))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_in_one_part() {
        let parts = dealt(11, 3, 0, 7);
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 3]);
        let mut all = parts.concat();
        all.sort_unstable();
        assert_eq!(all, (0..11).collect::<Vec<_>>());
        assert_ne!(dealt(11, 3, 1, 7), parts);
    }
}
