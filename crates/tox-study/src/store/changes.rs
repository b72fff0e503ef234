//! How a study or a trial differs from the one that a folder was made with.

use crate::plan::cell_name;
use crate::recipe::Study;
use crate::spec::TrialSpec;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A line for each file of `new` whose content differs from that of `old`.
pub fn of_files(old: &Study, new: &Study) -> Vec<String> {
    changed_files(&flat(old), &flat(new))
}

/// A line for each file whose content differs between two trials, if nothing else does.
pub fn other_content(old: &TrialSpec, new: &TrialSpec) -> Option<Vec<String>> {
    let flat = |spec: &TrialSpec| flat_json(&serde_json::to_value(spec).ok()?);
    let (old, new) = (flat(old)?, flat(new)?);
    let hash = |key: &String| key.ends_with("hash");
    let differs = |key: &&String| old.get(*key) != new.get(*key);
    let keys = old.keys().chain(new.keys());
    let only = keys.filter(differs).all(hash);
    only.then(|| changed_files(&old, &new))
}

/// The files of two studies, as [`flat`] has them, that have the same name and another content.
fn changed_files(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Vec<String> {
    let mut changes = Vec::new();
    for (key, was) in old {
        let Some(start) = key.strip_suffix("hash") else {
            continue;
        };
        let Some(is) = new.get(key).filter(|is| *is != was) else {
            continue;
        };
        let name = |study: &BTreeMap<String, String>| {
            let keys = ["dataset", "path"].map(|name| study.get(&format!("{start}{name}")));
            // Of a cell's data that differ in their classes alone, the name is the study's.
            let whole = study
                .get("data.dataset")
                .filter(|_| start.ends_with("data."));
            keys.into_iter().flatten().next().or(whole).cloned()
        };
        let rows = |study: &BTreeMap<String, String>| {
            ["classes", "resize"].map(|name| study.get(&format!("{start}{name}")).cloned())
        };
        if name(old) == name(new) && rows(old) == rows(new) {
            let name = name(old).unwrap_or_else(|| "\"the table of NAS-Bench-201\"".to_owned());
            let line = format!("  {name} ({key}): its content had the hash {was}, now {is}");
            changes.push(line);
        }
    }
    changes
}

/// The keys by which two studies differ.
pub fn differences(old: &Study, new: &Study) -> Vec<String> {
    let (old, new) = (flat(old), flat(new));
    let keys: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let absent = "(not there)".to_owned();
    keys.into_iter()
        .filter(|&k| old.get(k) != new.get(k))
        .map(|k| {
            let of = |m: &BTreeMap<String, String>| m.get(k).unwrap_or(&absent).clone();
            format!("  {k}: {} -> {}", of(&old), of(&new))
        })
        .collect()
}

/// A study's recipe as dotted keys; cells go by their name instead of their place.
fn flat(study: &Study) -> BTreeMap<String, String> {
    let value = serde_json::to_value(&study.recipe).unwrap_or_default();
    flat_json(&value).unwrap_or_default()
}

/// The leaves of an object by their dotted keys; `None` if it is none.
fn flat_json(value: &Value) -> Option<BTreeMap<String, String>> {
    fn walk(key: String, value: &Value, out: &mut BTreeMap<String, String>) {
        match value {
            Value::Object(t) => {
                for (k, v) in t {
                    let dot = if key.is_empty() { "" } else { "." };
                    walk(format!("{key}{dot}{k}"), v, out);
                }
            }
            Value::Array(a) if a.iter().any(Value::is_object) => {
                for (i, item) in a.iter().enumerate() {
                    if key != "cell" {
                        walk(format!("{key}[{i}]"), item, out);
                        continue;
                    }
                    let text = |k| item.get(k).and_then(Value::as_str);
                    let label = text("label").unwrap_or_default();
                    walk(
                        format!("cell {}", cell_name(label, text("variant"))),
                        item,
                        out,
                    );
                }
            }
            Value::Array(a) => {
                let items: Vec<String> = a.iter().map(Value::to_string).collect();
                out.insert(key, format!("[{}]", items.join(", ")));
            }
            other => {
                out.insert(key, other.to_string());
            }
        }
    }
    value.is_object().then(|| {
        let mut out = BTreeMap::new();
        walk(String::new(), value, &mut out);
        out
    })
}
