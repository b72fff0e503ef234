//! The command as a user runs it, and what it wrote.

use serde_json::Value;
use std::path::Path;
use tox_data::features::{FeatureSets, Values};
use tox_testkit::data::nowhere;
use tox_testkit::program::Program;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_toxscreen");

/// Runs `toxscreen poison` in `dir`: exit code, stdout, stderr.
pub fn poison(dir: &Path, args: &str) -> (i32, String, String) {
    Program(PROGRAM)
        .words(dir, &format!("poison {args}"))
        .parts()
}

/// What `--json` says of a poison that is made.
pub fn report(dir: &Path, args: &str) -> Value {
    let (code, out, err) = poison(dir, &format!("{args} --json"));
    assert_eq!(code, 0, "{out}{err}");
    serde_json::from_str(&out).unwrap()
}

/// The digits, clean.
pub fn digits() -> FeatureSets {
    FeatureSets::open("digits", None, &nowhere()).unwrap()
}

/// Pixels of the training images.
pub fn bytes(set: &FeatureSets) -> &[u8] {
    match &set.train.values {
        Values::Bytes(bytes) => bytes,
        Values::Floats(_) => panic!("floats"),
    }
}

/// That each of these commands ends with its code, a message that has its words and a hint, and that
/// nothing is written.
pub fn refused(dir: &Path, commands: &[(&str, i32, &str)]) {
    for (args, code, what) in commands {
        let (found, out, err) = poison(dir, &format!("{args} --out p.npz"));
        assert_eq!(found, *code, "{args}: {out}{err}");
        assert!(
            err.contains(what) && err.contains("hint: "),
            "{args}: {err}"
        );
        assert!(!dir.join("p.npz").exists(), "{args}");
    }
}
