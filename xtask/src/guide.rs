//! What the guide must name: every learner, threat, defence, attack and command that is registered.

use crate::Document;
use std::process::Command;
use tox_audits::HOUSE;
use tox_robust::attacks::KINDS;

/// Where the tables of keys are.
pub const REFERENCE: &str = "docs/guide/keys.md";

/// What is registered but not in the guide, and keys in tables of the guide that no part has.
pub fn faults(documents: &[Document]) -> Vec<String> {
    let mut faults = Vec::new();
    let learners: Vec<String> = HOUSE.learners.iter().map(|l| l.kind().to_owned()).collect();
    let threats: Vec<String> = HOUSE.threats.iter().map(|t| t.kind().to_owned()).collect();
    let defences: Vec<String> = HOUSE.defences.iter().map(|d| d.kind().to_owned()).collect();
    let attacks: Vec<String> = KINDS.iter().map(|kind| kind.name.to_owned()).collect();
    let parts = [
        ("learner", &learners),
        ("threat", &threats),
        ("defence", &defences),
    ];
    let reference = documents.iter().find(|d| d.path == REFERENCE);
    let reference = reference.map_or("", |d| d.text.as_str());
    for (part, kinds) in parts {
        faults.extend(without(documents, part, kinds));
        for kind in kinds {
            let marker = format!("<!-- generated: {part} {kind} -->");
            if !reference.contains(&marker) {
                faults.push(format!(
                    "{REFERENCE} has no table of the {part} `{kind}`: add {marker}"
                ));
            }
        }
    }
    faults.extend(without(documents, "attack", &attacks));
    faults.extend(unknown_keys(documents));
    faults
}

/// Names that no document of the guide has in backticks or in a command.
pub fn without(documents: &[Document], what: &str, names: &[String]) -> Vec<String> {
    let guide: Vec<&Document> = documents
        .iter()
        .filter(|d| d.path.starts_with("docs/guide/"))
        .collect();
    let told = |name: &String| {
        let forms = [
            format!("`{name}`"),
            format!("`{name} "),
            format!("toxscreen {name}"),
            format!("`\"{name}\"`"),
        ];
        guide
            .iter()
            .any(|d| forms.iter().any(|form| d.text.contains(form)))
    };
    let missing = names.iter().filter(|name| !told(name));
    missing
        .map(|name| format!("docs/guide says nothing of the {what} `{name}`"))
        .collect()
}

/// Keys of hand-written tables (first column `key` or `key of ...`) that no part has.
fn unknown_keys(documents: &[Document]) -> Vec<String> {
    let schema = tox_study::recipe::schema(&HOUSE);
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap_or_default();
    let mut known: Vec<String> = Vec::new();
    names(&schema, &mut known);
    let mut faults = Vec::new();
    for document in documents
        .iter()
        .filter(|d| d.path.starts_with("docs/guide/"))
    {
        for (_, row) in rows_of_keys(&document.text) {
            for key in in_backticks(row[0]) {
                let last = key.rsplit('.').next().unwrap_or(key);
                if last != "*" && !known.iter().any(|name| name == last) {
                    faults.push(format!("{}: no part has the key `{key}`", document.path));
                }
            }
        }
    }
    faults
}

/// The rows of tables of keys (first column `key` or `key of ...`), each with its head. A row has a cell at least.
pub fn rows_of_keys(text: &str) -> Vec<(Vec<&str>, Vec<&str>)> {
    let mut head: Option<Vec<&str>> = None;
    let mut rows = Vec::new();
    for line in text.lines() {
        match (cells(line), &head) {
            (None, _) => head = None,
            (Some(row), _) if row[0] == "key" || row[0].starts_with("key of ") => head = Some(row),
            (Some(row), Some(head)) => rows.push((head.clone(), row)),
            (Some(_), None) => {}
        }
    }
    rows
}

/// The cells of a line of a table.
pub fn cells(line: &str) -> Option<Vec<&str>> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    Some(inner.split('|').map(str::trim).collect())
}

/// What stands in backticks.
pub fn in_backticks(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Every name of a property in a schema.
fn names(schema: &serde_json::Value, found: &mut Vec<String>) {
    use serde_json::Value;
    match schema {
        Value::Object(map) => {
            if let Some(Value::Object(properties)) = map.get("properties") {
                found.extend(properties.keys().cloned());
            }
            map.values().for_each(|value| names(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| names(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The commands that `toxscreen --help` shows; `None` without a program beside this one.
pub fn commands() -> Option<Vec<String>> {
    let own = std::env::current_exe().ok()?;
    let name = format!("toxscreen{}", std::env::consts::EXE_SUFFIX);
    let mut folders = own.ancestors().skip(1).take(2);
    let program = folders.find_map(|folder| Some(folder.join(&name)).filter(|p| p.is_file()))?;
    let help = Command::new(program).arg("--help").output().ok()?;
    let help = String::from_utf8(help.stdout).ok()?;
    let (_, list) = help.split_once("Commands:\n")?;
    let lines = list.lines().take_while(|line| !line.trim().is_empty());
    // A command is indented by two blanks; what it does may go on below, further in.
    let names = lines.filter_map(|line| line.strip_prefix("  ").filter(|l| !l.starts_with(' ')));
    let names = names.filter_map(|line| line.split_whitespace().next());
    Some(
        names
            .filter(|name| *name != "help")
            .map(str::to_owned)
            .collect(),
    )
}
