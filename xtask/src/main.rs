//! `cargo xtask docs` writes the generated parts of the documentation and the numbers behind markers; `cargo xtask check`
//! says which are stale, which numbers the rows contradict or nothing stands behind, and what the documentation names that
//! is not there, or does not name.

use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask docs | check";

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let task = std::env::args().nth(1);
    let done = match task.as_deref() {
        Some("docs") => xtask::docs(&root).map(|written| {
            for file in written {
                println!("wrote {file}");
            }
        }),
        Some("check") => xtask::check(&root).and_then(|found| {
            for note in &found.notes {
                println!("{note}");
            }
            match found.faults.is_empty() {
                true => Ok(()),
                false => Err(found.faults.join("\n")),
            }
        }),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}
