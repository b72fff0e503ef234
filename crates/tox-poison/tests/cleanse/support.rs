//! Small data sets and ways to apply a countermeasure to them.

use std::path::Path;
use std::time::Duration;
use tox_data::checkpoint::Hooks;
use tox_data::features::Features;
use tox_data::spec::Augment;
use tox_data::{Data, Dataset, Images, Normalise, Split};
use tox_nn::Device;
use tox_poison::cleanse::{CleanseError, Cleansed, Countermeasure, Inputs, Known};
use tox_poison::data::Crafted;
use tox_testkit::stops::countdown;

/// Images of shape (1, 1, `width`) by hand; the first `border` are training images.
pub fn by_hand(width: usize, border: usize, rows: &[(&[u8], u16)]) -> Dataset {
    let split = |rows: &[(&[u8], u16)]| Split {
        images: Images {
            pixels: rows.iter().flat_map(|row| row.0.to_vec()).collect(),
            shape: [rows.len(), 1, 1, width],
        },
        labels: rows.iter().map(|row| row.1).collect(),
    };
    let classes = rows.iter().map(|row| usize::from(row.1) + 1).max().unwrap();
    Dataset {
        name: "by hand".into(),
        train: split(&rows[..border]),
        valid: split(&rows[border..]),
        test: split(&rows[..1]),
        classes,
        class_names: (0..classes).map(|class| format!("class {class}")).collect(),
        normalise: Normalise {
            mean: vec![0.5],
            std: vec![0.25],
        },
        hash: "hash".into(),
        notes: Vec::new(),
    }
}

pub fn digits() -> Dataset {
    tox_testkit::data::digits(None, 300, None)
}

/// From a recipe's inline table.
pub fn recipe(text: &str) -> Countermeasure {
    #[derive(serde::Deserialize)]
    struct Cell {
        defence: Countermeasure,
    }
    let cell: Cell = toml::from_str(&format!("defence = {text}")).unwrap();
    cell.defence
}

/// The inputs without trusted images and known poison.
pub fn inputs<'a>(data: &'a Dataset, augment: &'a Augment) -> Inputs<'a> {
    Inputs {
        data: data.into(),
        trusted: None,
        augment,
        known: None,
        seed: 4,
        device: Device::flex(),
    }
}

/// Applies it; it asks to stop at question `stop`, from 1.
pub fn apply_until(
    countermeasure: &Countermeasure,
    inputs: &Inputs<'_>,
    checkpoint: &Path,
    stop: usize,
) -> Result<Option<(Dataset, Cleansed)>, CleanseError> {
    let hooks = Hooks {
        checkpoint,
        key: "countermeasure",
        save_every: Duration::from_secs(60),
        stop: &mut countdown(stop),
        progress: &mut |done, _| assert!((0.0..=1.0).contains(&done)),
    };
    let made = countermeasure.apply(inputs, hooks)?;
    Ok(made.map(|(data, report)| match data {
        Data::Images(data) => (data, report),
        Data::Table(table) => panic!("{} is a table", table.name),
    }))
}

pub fn applied(
    countermeasure: &Countermeasure,
    inputs: &Inputs<'_>,
) -> Result<(Dataset, Cleansed), CleanseError> {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = folder.path().join("checkpoint.safetensors");
    let done = apply_until(countermeasure, inputs, &checkpoint, usize::MAX)?;
    Ok(done.expect("nobody stopped it"))
}

/// The data under a poison, and the countermeasure `text` on them, held against it.
pub fn against(
    clean: &Dataset,
    crafted: &Crafted,
    text: &str,
    trusted: Option<&Features>,
) -> (Dataset, Dataset, Cleansed) {
    let labels = clean.pool().labels;
    let mut data = clean.clone();
    crafted.patch.apply_to(&mut data).unwrap();
    let augment = Augment::default();
    let inputs = Inputs {
        trusted,
        known: Some(Known {
            rows: crafted.patch.indices(),
            labels: &labels,
        }),
        ..inputs(&data, &augment)
    };
    let (cleaned, report) = applied(&recipe(text), &inputs).unwrap();
    (data, cleaned, report)
}

/// The same images, labels and all else.
pub fn assert_same(a: &Dataset, b: &Dataset) {
    assert_eq!((&a.train, &a.valid, &a.test), (&b.train, &b.valid, &b.test));
    assert_eq!((&a.hash, &a.normalise), (&b.hash, &b.normalise));
}
