//! Paths in a recipe: relative to its folder, and absolute in the study that it makes.

use std::path::Path;
use toml::{Table, Value};

/// Makes the relative paths in `table` absolute, those of data sets among them: what lies in `folder`,
/// which is the recipe's, comes first, then what lies in the current folder, which is noted. A path at
/// which there is nothing is one in `folder`, so that messages say where it was looked for.
pub fn resolve(table: &mut Table, folder: &Path, notes: &mut Vec<String>) {
    for (key, value) in table.iter_mut() {
        match value {
            Value::Table(below) => resolve(below, folder, notes),
            Value::Array(items) => {
                for item in items.iter_mut().filter_map(Value::as_table_mut) {
                    resolve(item, folder, notes);
                }
            }
            Value::String(text) if key == "path" || key == "dataset" => {
                if let Some(found) = absolute(text, key, folder, notes) {
                    *text = found;
                }
            }
            _ => {}
        }
    }
}

/// `None` where `text` stays as it is: it is absolute, or the name of a data set.
fn absolute(text: &str, key: &str, folder: &Path, notes: &mut Vec<String>) -> Option<String> {
    let path = Path::new(text);
    let named = key == "dataset" && tox_data::is_known(text);
    if text.is_empty() || path.is_absolute() || named {
        return None;
    }
    let beside = folder.join(path);
    let here = || !folder.as_os_str().is_empty() && path.exists();
    let found = if beside.exists() {
        beside
    } else if here() {
        let note = format!(
            "{text} is not in the recipe's folder {} and was taken from the current folder; write it as \
             it is from the recipe's folder",
            folder.display()
        );
        if !notes.contains(&note) {
            notes.push(note);
        }
        path.to_owned()
    } else if key == "path" {
        beside
    } else {
        // A mistyped name or a path: who loads it knows better.
        return None;
    };
    std::path::absolute(found).ok()?.to_str().map(str::to_owned)
}
