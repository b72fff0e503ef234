//! Files of architectures: one alone, or several with names.

use crate::space::hint;
use std::path::Path;

/// Names that a message lists.
const LISTED: usize = 8;

/// The beginning of a text, for messages.
pub(super) fn short(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

/// An architecture of a file.
struct Entry<'a> {
    name: &'a str,
    /// Where its line begins.
    at: usize,
    /// Where its value begins.
    value: usize,
}

/// The name that a line gives something, and the byte behind `=`.
fn assigned(line: &str) -> Option<(&str, usize)> {
    let (name, rest) = line.split_once('=')?;
    let known = |c: char| c == '_' || c.is_ascii_alphanumeric();
    let named = name.trim_end();
    let is = !named.is_empty() && named.chars().all(known) && !rest.starts_with('=');
    is.then_some((named, name.len() + 1))
}

/// Everything that has a name in a file, in its order: a name begins a line, and its value ends where the next
/// begins.
fn entries(text: &str) -> Vec<Entry<'_>> {
    let mut all = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if let Some((name, behind)) = assigned(line) {
            let value = at + behind;
            all.push(Entry { name, at, value });
        }
        at += line.len();
    }
    all
}

/// The text of the architecture that `written`, `FILE` or `FILE#NAME`, names. It has the lines of the file, so that a
/// message says where in the file it is wrong.
///
/// # Errors
/// What is wrong, and a hint: a file that cannot be read, a name that is not in it, several architectures without
/// a name.
pub(super) fn read(folder: &Path, written: &str) -> Result<String, (String, &'static str)> {
    let (file, name) = match written.rsplit_once('#') {
        Some((file, name)) => (file, Some(name)),
        None => (written, None),
    };
    let text = std::fs::read_to_string(folder.join(file)).map_err(|e| {
        let message = format!("cannot read the architecture {file}: {e}");
        let hint = "write Genotype(...), an arch string, FILE or FILE#NAME; a relative path is taken from the folder of \
                    the recipe";
        (message, hint)
    })?;
    let all = entries(&text);
    let end = |at: usize| all.get(at + 1).map_or(text.len(), |next| next.at);
    let is_one = |at: &usize| {
        let value = text[all[*at].value..end(*at)].trim_start();
        value.starts_with("Genotype(") || value.starts_with('|')
    };
    let ones: Vec<usize> = (0..all.len()).filter(is_one).collect();
    let names: Vec<&str> = ones.iter().map(|at| all[*at].name).collect();
    let mut listed = names
        .iter()
        .take(LISTED)
        .copied()
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > LISTED {
        listed = format!("{listed} and {} more", names.len() - LISTED);
    }
    let chosen = match (name, &ones[..]) {
        (None, []) => return Ok(text),
        (None, [one]) => *one,
        (None, _) => {
            let message = format!("{file} has {} architectures: {listed}", ones.len());
            return Err((message, "say which: FILE#NAME"));
        }
        (Some(name), _) => match ones.iter().find(|at| all[**at].name == name) {
            Some(at) => *at,
            None => {
                let near = hint(name, &names);
                let message = match names.is_empty() {
                    true => format!("{file} has no architecture with a name"),
                    false => format!("{file} has no architecture `{name}`{near}; it has {listed}"),
                };
                return Err((message, "each is a line NAME = Genotype(...)"));
            }
        },
    };
    let value = all[chosen].value;
    let before = &text[..value];
    let lines = "\n".repeat(before.matches('\n').count());
    let line = before.rsplit('\n').next().unwrap_or_default();
    let indent = " ".repeat(line.chars().count());
    Ok(format!("{lines}{indent}{}", &text[value..end(chosen)]))
}
