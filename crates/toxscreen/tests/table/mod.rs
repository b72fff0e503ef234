//! How tests of tables run toxscreen and read what it says.

use serde_json::Value;
use std::path::Path;
use tox_testkit::program::Program;

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_toxscreen");

/// Runs toxscreen in `dir` with these words: exit code, stdout, stderr.
pub fn toxscreen(dir: &Path, words: &str) -> (i32, String, String) {
    Program(PROGRAM).words(dir, words).parts()
}

/// As [`toxscreen`] with `--json`, which must end with `code`.
pub fn json(dir: &Path, words: &str, code: i32) -> Value {
    Program(PROGRAM).json(dir, words, code)
}
