//! Chores of this repository. What is registered in `tox-audits` is the source; documentation follows it.

pub mod compose;
pub mod guide;
pub mod keys;
pub mod markers;
pub mod numbers;
pub mod paths;
pub mod ranges;

use std::fs;
use std::path::{Path, PathBuf};
use tox_audits::HOUSE;

/// What the check found.
#[derive(Debug, Default)]
pub struct Found {
    /// What is wrong, a line each.
    pub faults: Vec<String>,
    /// What could not be checked here.
    pub notes: Vec<String>,
}

const SCHEMA: &str = "recipes/schema.json";
const PROTOCOL: &str = "docs/learner-protocol.json";

/// Writes the schema of recipes, the generated parts of every `.md` and the numbers that their markers give; returns
/// what changed.
///
/// # Errors
/// A file that cannot be read or written, or a marker that names nothing.
pub fn docs(root: &Path) -> Result<Vec<String>, String> {
    let mut written = Vec::new();
    for (path, text) in generated(root)? {
        if fs::read_to_string(root.join(&path)).ok().as_ref() != Some(&text) {
            fs::write(root.join(&path), text).map_err(|e| format!("cannot write {path}: {e}"))?;
            written.push(path);
        }
    }
    for document in documents(root, &repository(root)?)? {
        let Document { path, text } = document;
        let right = numbers::look(&path, &text, root).right(&text);
        if right != text {
            fs::write(root.join(&path), right).map_err(|e| format!("cannot write {path}: {e}"))?;
            written.push(path);
        }
    }
    Ok(written)
}

/// Says what is stale, wrong or missing in the documentation.
///
/// # Errors
/// A file that cannot be read, or a marker that names nothing.
pub fn check(root: &Path) -> Result<Found, String> {
    let mut found = Found::default();
    for (path, text) in generated(root)? {
        if fs::read_to_string(root.join(&path)).ok().as_ref() != Some(&text) {
            found
                .faults
                .push(format!("{path} is stale: run `cargo xtask docs`"));
        }
    }
    let files = repository(root)?;
    let documents = documents(root, &files)?;
    for document in &documents {
        found
            .faults
            .extend(paths::faults(document, &files, &documents));
        let looked = numbers::look(&document.path, &document.text, root);
        found.faults.extend(looked.faults);
    }
    found.faults.extend(guide::faults(&documents));
    found.faults.extend(ranges::faults(&documents));
    match guide::commands() {
        Some(commands) => found.faults.extend(guide::without(&documents, "command", &commands)),
        None => found.notes.push(
            "NOT CHECKED: commands in the guide, as there is no toxscreen beside xtask; build it first"
                .to_owned(),
        ),
    }
    Ok(found)
}

/// A `.md` of the repository.
#[derive(Debug)]
pub struct Document {
    /// Below the root.
    pub path: String,
    pub text: String,
}

/// Path below the root and content of every file that is generated, wholly or in part.
fn generated(root: &Path) -> Result<Vec<(String, String)>, String> {
    let schema = tox_study::recipe::schema(&HOUSE);
    let parsed = serde_json::from_str(&schema).map_err(|e| format!("{SCHEMA}: {e}"))?;
    let protocol = tox_audits::external::protocol::schema();
    let protocol = protocol.map_err(|e| format!("{PROTOCOL}: {e}"))?;
    let mut all = vec![(SCHEMA.to_owned(), schema), (PROTOCOL.to_owned(), protocol)];
    for document in documents(root, &repository(root)?)? {
        let text = markers::filled(&document.text, |what| markers::content(what, &parsed))
            .map_err(|e| format!("{}: {e}", document.path))?;
        if text.contains(markers::BEGIN) {
            all.push((document.path, text));
        }
    }
    Ok(all)
}

fn documents(root: &Path, files: &[String]) -> Result<Vec<Document>, String> {
    let paths = files.iter().filter(|path| path.ends_with(".md"));
    let read = |path: &String| {
        let text = fs::read_to_string(root.join(path));
        let text = text.map_err(|e| format!("cannot read {path}: {e}"))?;
        let path = path.clone();
        Ok(Document { path, text })
    };
    paths.map(read).collect()
}

/// Folders that are not of the repository.
const OTHERS: &[&str] = &[".git", "target", "runs", "data", "__pycache__", ".venv"];

/// Every file below the root, with `/` between its parts; a folder ends with one.
fn repository(root: &Path) -> Result<Vec<String>, String> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(root.join(&folder));
        let entries = entries.map_err(|e| format!("cannot list {}: {e}", folder.display()))?;
        for entry in entries.flatten() {
            let path = folder.join(entry.file_name());
            let text = path.to_string_lossy().replace('\\', "/");
            let top = folder.as_os_str().is_empty();
            if top && OTHERS.contains(&text.as_str()) || text.ends_with("__pycache__") {
                continue;
            }
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                files.push(text + "/");
                folders.push(path);
            } else {
                files.push(text);
            }
        }
    }
    files.sort();
    Ok(files)
}
