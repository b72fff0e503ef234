//! A result belongs to exactly what made it: data by content, files as they were written.
#![allow(clippy::unwrap_used)]

mod data;
mod flips;
mod folder;
mod tampering;

use std::fs;
use std::path::Path;
use tox_data::features::FeatureSets;
use tox_testkit::data::nowhere;
use tox_testkit::program::Program;
pub use tox_testkit::program::{Said, trials};

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_toxscreen");

/// Four short trials of logistic regression on `data.npz`.
pub const RECIPE: &str = r#"
name = "tiny"
seeds = [0, 1]
[data]
dataset = "data.npz"
train = 60
valid = 20
test = 20
[learner]
kind = "bilevel"
hyperiterations = 2
inner = { steps = 5, lr = 0.1 }
[threat]
kind = "bilevel"
batch = 2
batches = 1
[[cell]]
label = "poisoned"
[[cell]]
label = "clean"
threat = { kind = "none" }
"#;

/// Runs toxscreen in `dir` with these words.
pub fn toxscreen(dir: &Path, words: &str) -> Said {
    Program(PROGRAM).words(dir, words)
}

/// Writes the digits 3 and 8 as an archive; another `first` row makes other data of the same shape.
pub fn save_digits(path: &Path, first: usize) {
    let mut sets = FeatureSets::open("digits", Some(&[3, 8]), &nowhere()).unwrap();
    let rows: Vec<usize> = (first..first + 100).collect();
    sets.train = sets.train.rows(&rows);
    sets.save(path).unwrap();
}

/// A folder with `data.npz` and `r.toml`.
pub fn scene(recipe: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    save_digits(&dir.path().join("data.npz"), 0);
    fs::write(dir.path().join("r.toml"), recipe).unwrap();
    dir
}

/// [`scene`] with the study run in its folder `s`.
pub fn finished() -> tempfile::TempDir {
    let dir = scene(RECIPE);
    toxscreen(dir.path(), "run r.toml --out s").must(0, &["4 of 4 trials done"]);
    dir
}

/// A finished study that is made whole again after each change. It stays in one place, since it names its
/// data by their path too.
pub struct Restored {
    dir: tempfile::TempDir,
    whole: tempfile::TempDir,
}

impl Restored {
    /// [`finished`], once.
    pub fn finished() -> Self {
        let (dir, whole) = (finished(), tempfile::tempdir().unwrap());
        copy(dir.path(), whole.path());
        Self { dir, whole }
    }

    /// The folder, whole.
    pub fn again(&self) -> &Path {
        let at = self.dir.path();
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                fs::remove_dir_all(path).unwrap();
            } else {
                fs::remove_file(path).unwrap();
            }
        }
        copy(self.whole.path(), at);
        at
    }
}

/// Copies a folder.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// Replaces the first `from` in a file, which must have it.
pub fn replace(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{from} in {text}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}
