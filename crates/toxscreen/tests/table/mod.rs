//! How tests of tables run toxscreen and read what it says.

use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_toxscreen");

/// Runs toxscreen in `dir` with these words: exit code, stdout, stderr.
pub fn toxscreen(dir: &Path, words: &str) -> (i32, String, String) {
    let output = Command::new(PROGRAM)
        .args(words.split(' '))
        .current_dir(dir)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap_or(-1),
        text(output.stdout),
        text(output.stderr),
    )
}

/// As [`toxscreen`] with `--json`, which must end with `code`.
pub fn json(dir: &Path, words: &str, code: i32) -> Value {
    let (found, stdout, stderr) = toxscreen(dir, &format!("{words} --json"));
    assert_eq!(found, code, "{words}: {stdout}{stderr}");
    serde_json::from_str(&stdout).unwrap()
}
