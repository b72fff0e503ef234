//! A user's own data in every form that people save them in: read, said what was made of them, and written back
//! as they were.
#![allow(clippy::unwrap_used)]

mod back;
mod read;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tox_data::features::{Ask, FeatureSets, Layout, Opened, Values};
use tox_data::patch::{Patch, PatchError};
use tox_data::spec::{DataSpec, SplitKind};
use tox_data::{DataDir, DataError, Dataset, load};
use tox_testkit::arrays::{self, npy};

fn zip(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    arrays::zip(members, false)
}

/// The arrays of an archive, as bytes, in their order.
/// Four training rows of three named classes, with ids, and two test rows.
fn four_rows() -> [(&'static str, Vec<u8>); 6] {
    [
        (
            "x_train.npy",
            npy("|u1", "False", "(4, 1)", &[10, 11, 12, 13]),
        ),
        ("y_train.npy", npy("|u1", "False", "(4,)", &[2, 0, 1, 2])),
        ("x_test.npy", npy("|u1", "False", "(2, 1)", &[20, 21])),
        ("y_test.npy", npy("|u1", "False", "(2,)", &[1, 2])),
        ("ids.npy", npy("|u1", "False", "(4,)", &[90, 91, 92, 93])),
        (
            "class_names.npy",
            npy("<U1", "False", "(3,)", &text(&["a", "b", "c"], 1)),
        ),
    ]
}

fn members(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut archive = zip::ZipArchive::new(fs::File::open(path).unwrap()).unwrap();
    let names: Vec<String> = archive
        .file_names()
        .map(|name| name.unwrap().into_owned())
        .collect();
    let mut all = Vec::new();
    for name in names {
        let mut bytes = Vec::new();
        archive
            .by_name(&name)
            .unwrap()
            .read_to_end(&mut bytes)
            .unwrap();
        all.push((name, bytes));
    }
    all
}

fn nowhere() -> DataDir {
    DataDir::resolve(Some(Path::new("nowhere"))).unwrap()
}

fn open(path: &Path) -> Result<Opened, DataError> {
    Opened::of(&Ask::of(path.to_str().unwrap()), &nowhere())
}

fn images(path: &Path) -> Result<Dataset, DataError> {
    load(&DataSpec::of(path.to_str().unwrap(), 0), &nowhere())
}

fn put(dir: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

fn le64(values: &[f64]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

fn text(values: &[&str], width: usize) -> Vec<u8> {
    let wide = |value: &&str| {
        let mut codes: Vec<u32> = value.chars().map(u32::from).collect();
        codes.resize(width, 0);
        codes
            .into_iter()
            .flat_map(u32::to_le_bytes)
            .collect::<Vec<u8>>()
    };
    values.iter().flat_map(wide).collect()
}

/// Six rows of two float64 features with labels as `labels`, an array of ids, and a test set.
fn table(labels: Vec<u8>) -> Vec<u8> {
    let values: Vec<f64> = (0..12).map(|v| f64::from(v) / 10.0 + 1e-12).collect();
    zip(&[
        ("ids.npy", npy("<i8", "False", "(6,)", &[7; 48])),
        ("X_train.npy", npy("<f8", "False", "(6, 2)", &le64(&values))),
        ("y_train.npy", labels),
        ("notes.txt", b"mine".to_vec()),
        (
            "X_test.npy",
            npy("<f8", "False", "(1, 2)", &le64(&[0.5, 0.25])),
        ),
        ("y_test.npy", npy("|b1", "False", "(1,)", &[1])),
    ])
}
