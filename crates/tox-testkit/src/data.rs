//! Data sets that need no download, and the real ones where they are.

use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use tox_data::spec::{Augment, DataSpec};
use tox_data::{DataDir, Dataset};

/// The embedded digits of a spec: in no folder.
pub fn of(spec: &DataSpec) -> Dataset {
    tox_data::load(spec, &nowhere()).unwrap()
}

/// So many of the embedded digits, 8x8, for training, validation and test; `None`: the rest, all.
pub fn digits(train: Option<usize>, valid: usize, test: Option<usize>) -> Dataset {
    of(&DataSpec {
        train,
        test,
        ..DataSpec::of("digits", valid)
    })
}

/// All that is drawn for a batch.
pub const AUGMENT: Augment = Augment {
    crop: 1,
    flip: true,
    cutout: 0,
    valid: true,
};

/// A data folder for what is embedded.
pub fn nowhere() -> DataDir {
    DataDir::resolve(Some(Path::new("."))).unwrap()
}

/// The real sets, laid out by `shared/data/unpack` beside the repository.
pub fn unpacked() -> TempDir {
    let shared = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let dir = TempDir::new().unwrap();
    let unpack = Command::new(shared.join("data/unpack"))
        .arg(dir.path())
        .status();
    assert!(unpack.unwrap().success());
    dir
}
