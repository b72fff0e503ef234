//! The documentation says what is there, and nothing else.
#![allow(clippy::unwrap_used)]

use std::path::Path;

#[test]
fn the_documentation_is_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let found = xtask::check(&root).unwrap();
    for note in &found.notes {
        println!("{note}");
    }
    assert!(found.faults.is_empty(), "\n{}", found.faults.join("\n"));
}
