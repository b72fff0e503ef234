//! A defence of data of one's own: images that are there more than once with different labels lose all their rows.
//!
//!     cargo run --release -p tox-audits --example own_defence
//!
//! A `Defence` says what a recipe may write; a `DataDefence` cleans. In `tox-audits` the file is `defences/NAME.rs`,
//! and it is registered by a line in `DEFENCES` and one in `CLEANINGS`.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use tox_audits::defences::DataDefence;
use tox_audits::error::TrialError;
use tox_data::checkpoint::Hooks;
use tox_data::spec::{Augment, DataSpec};
use tox_data::{Data, DataDir, Dataset, Split, load};
use tox_nn::Device;
use tox_poison::cleanse::{Cleansed, Inputs};
use tox_study::house::Defence;
use tox_study::part::Part;
use tox_study::recipe::{Keys, RecipeError};
use tox_study::spec::Surface;

struct Contradictions;

/// It has no keys.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoKeys {}

impl Defence for Contradictions {
    fn kind(&self) -> &'static str {
        "contradictions"
    }

    fn surface(&self) -> Surface {
        Surface::Data
    }

    fn schema(&self, _generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "additionalProperties": false })
    }

    fn read(&self, keys: &Keys<'_>) -> Result<Part, RecipeError> {
        Ok(Part::new(self.kind(), &keys.read::<NoKeys>()?))
    }

    /// A recipe that asks for it on a table of numbers is refused with these words.
    fn takes_table(&self, _config: &Part) -> Result<(), String> {
        Err("it compares images".to_owned())
    }
}

impl DataDefence for Contradictions {
    /// Rows that the defender must vouch for: none.
    fn trusted(&self, _config: &Part) -> Result<Option<usize>, TrialError> {
        Ok(None)
    }

    /// It sees the data as they came, poison and all; `inputs.known` is for the report alone.
    fn clean(
        &self,
        _config: &Part,
        inputs: &Inputs<'_>,
        _hooks: Hooks<'_>,
    ) -> Result<Option<(Data, Cleansed)>, TrialError> {
        let data = inputs.data.images().ok_or(TrialError::NotImages)?;
        // Training and validation images together: a pair may lie in both.
        let mut labels: BTreeMap<&[u8], Vec<u16>> = BTreeMap::new();
        for split in [&data.train, &data.valid] {
            images(split).for_each(|(image, label)| labels.entry(image).or_default().push(label));
        }
        let agree = |image: &[u8]| labels[image].windows(2).all(|pair| pair[0] == pair[1]);
        let kept = |split: &Split| {
            let rows = images(split)
                .enumerate()
                .filter(|(_, (image, _))| agree(image));
            let rows: Vec<usize> = rows.map(|(row, _)| row).collect();
            split.rows(&rows)
        };
        let (train, valid) = (kept(&data.train), kept(&data.valid));
        let rows = data.train.len() + data.valid.len();
        let told = Cleansed {
            rows,
            dropped: rows - train.len() - valid.len(),
            relabelled: 0,
            images_changed: 0,
            largest_change: 0,
            mean_change: 0.0,
            train_left: train.len(),
            valid_left: valid.len(),
            against: None,
        };
        let cleaned = Dataset {
            train,
            valid,
            ..data.clone()
        };
        Ok(Some((Data::Images(cleaned), told)))
    }
}

fn images(split: &Split) -> impl Iterator<Item = (&[u8], u16)> {
    let images = split.images.pixels.chunks_exact(split.images.stride());
    images.zip(split.labels.iter().copied())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut data = load(
        &DataSpec::of("digits", 300),
        &DataDir::resolve(Some(Path::new(".")))?,
    )?;
    // A supplier sends the first twenty images again, with the label of the next class.
    let again: Vec<usize> = (0..20).collect();
    let copies = data.train.rows(&again);
    data.train.images.pixels.extend(copies.images.pixels);
    data.train.images.shape[0] += again.len();
    data.train
        .labels
        .extend(copies.labels.iter().map(|label| (label + 1) % 10));

    let config = Part::new(Contradictions.kind(), &NoKeys {});
    let inputs = Inputs {
        data: (&data).into(),
        trusted: None,
        augment: &Augment::default(),
        known: None,
        seed: 0,
        device: Device::flex(),
    };
    // Nothing asks these hooks to stop, so there is a result.
    if let Some((_, told)) = Contradictions.clean(&config, &inputs, Hooks::none())? {
        println!("{} rows, {} dropped", told.rows, told.dropped);
        println!(
            "{} training and {} validation images left",
            told.train_left, told.valid_left
        );
    }
    Ok(())
}
