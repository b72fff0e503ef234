//! Robust aggregation: the rows are dealt out at random, the search runs on each part alone, and every
//! gene of the result is the one that most of them found, of equals that of the first part. A poison
//! row reaches one part alone.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use tox_data::ranges;
use tox_data::rng::stream;
use tox_data::{Dataset, shuffled};
use tox_study::house::Defence;
use tox_study::part::Part;
use tox_study::recipe::{Keys, RecipeError};
use tox_study::spec::Surface;

/// Its kind.
pub const KIND: &str = "parts";

/// Robust aggregation: the rows are dealt out at random, the search runs on each part alone, and every
/// gene of the result is the one that most of them found, of equals that of the first part. A poison
/// row reaches one part alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Parts {
    /// Number of parts. Two disagree or agree; from three on there are majorities.
    #[schemars(range(min = 2, max = 100))]
    pub parts: usize,
}

impl Default for Parts {
    fn default() -> Self {
        Self { parts: 3 }
    }
}

pub struct Vote;

impl Defence for Vote {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn surface(&self) -> Surface {
        Surface::Data
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Parts::json_schema(generator)
    }

    fn read(&self, keys: &Keys<'_>) -> Result<Part, RecipeError> {
        Ok(Part::new(KIND, &keys.checked(ranges::check::<Parts>)?))
    }

    fn takes_table(&self, _config: &Part) -> Result<(), String> {
        Err("it lets several searches for networks of images vote".to_owned())
    }
}

/// Number of parts among defences of data: the searches of a trial, 1 without this defence.
pub fn count(defences: &[Part]) -> usize {
    let mut parts = defences.iter().filter(|d| d.kind == KIND);
    let parts = parts.find_map(|d| d.read::<Parts>().ok());
    parts.map_or(1, |parts| parts.parts)
}

/// Rows of a split, dealt out at random (stream `defence/parts` of the split).
fn dealt(rows: usize, parts: usize, split: u64, seed: u64) -> Vec<Vec<usize>> {
    let order = shuffled(rows, &mut stream(seed, "defence/parts", &[split]));
    let part = |i: usize| {
        let rows = order.iter().skip(i).step_by(parts);
        let mut part: Vec<usize> = rows.map(|r| *r as usize).collect();
        part.sort_unstable();
        part
    };
    (0..parts).map(part).collect()
}

/// The data of each part.
pub fn parts(count: usize, data: &Dataset, seed: u64) -> Vec<Dataset> {
    let of = |split: u64, rows: usize| dealt(rows, count, split, seed).into_iter();
    let rows = of(0, data.train.len()).zip(of(1, data.valid.len()));
    let part = |(train, valid): (Vec<usize>, Vec<usize>)| Dataset {
        train: data.train.rows(&train),
        valid: data.valid.rows(&valid),
        ..data.clone()
    };
    rows.map(part).collect()
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
