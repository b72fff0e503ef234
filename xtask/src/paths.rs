//! What documents name: links, and paths of files in backticks.

use crate::Document;

/// Names that a document has and the repository has not. A path that readers are to make is named by
/// `<!-- new: PATH -->`.
pub fn faults(document: &Document, files: &[String], documents: &[Document]) -> Vec<String> {
    let mut faults = Vec::new();
    let here = document.path.as_str();
    let folder = here.rsplit_once('/').map_or("", |(folder, _)| folder);
    let prose = without_code(&document.text);
    for link in links(&prose) {
        if link.contains("://") || link.starts_with("mailto:") {
            continue;
        }
        let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
        let target = match file {
            "" => here.to_owned(),
            file => joined(folder, file),
        };
        if !is_there(&target, files) {
            faults.push(format!("{here}: the link `{link}` leads nowhere"));
            continue;
        }
        let aim = documents.iter().find(|d| d.path == target);
        if let Some(aim) = aim.filter(|_| !anchor.is_empty())
            && !anchors(&aim.text).iter().any(|a| a == anchor)
        {
            faults.push(format!("{here}: `{link}`: {target} has no such heading"));
        }
    }
    let new: Vec<&str> = parts(&document.text, "<!-- new: ", " -->").collect();
    for word in parts(&prose, "`", "`").filter(|word| is_path(word)) {
        let known = new.contains(&word) || is_named(word, folder, files);
        if !known {
            faults.push(format!("{here}: there is no `{word}` in the repository"));
        }
    }
    faults
}

/// Folders at the root whose files documents name.
const TOPS: &[&str] = &[
    "crates/",
    "docs/",
    "recipes/",
    "benches/",
    "xtask/",
    "examples/",
    "fuzz/",
    ".ci/",
    ".github/",
    "tox-",
    "toxscreen/src",
    "toxscreen/tests",
];

/// Whether a word in backticks is meant as a file of this repository.
fn is_path(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    let known = TOPS.iter().any(|top| word.starts_with(top)) && word.contains('/');
    let code = word.ends_with(".rs") || word.ends_with(".snap");
    // NAME and ID stand for something else.
    let place = word
        .split(['/', '.'])
        .any(|part| part.len() > 1 && part.chars().all(|c| c.is_ascii_uppercase()));
    !word.is_empty() && word.chars().all(plain) && (known || code) && !place
}

/// Whether a file is meant by the end of its path, or a folder by its own.
fn is_named(word: &str, folder: &str, files: &[String]) -> bool {
    let word = word.trim_start_matches("./").trim_end_matches('/');
    let ends = |file: &String| {
        let file = file.trim_end_matches('/');
        file == word
            || file
                .strip_suffix(word)
                .is_some_and(|before| before.ends_with('/'))
    };
    is_there(&joined(folder, word), files) || files.iter().any(ends)
}

fn is_there(path: &str, files: &[String]) -> bool {
    let path = path.trim_end_matches('/');
    path.is_empty() || files.iter().any(|file| file.trim_end_matches('/') == path)
}

/// `path`, which is written in a document of `folder`, below the root.
fn joined(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The text without its blocks of code.
fn without_code(text: &str) -> String {
    let mut code = false;
    let lines = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        !code && !fence
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Targets of `[text](target)`.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once(')')?.0))
}

/// What stands between `begin` and `end`, on one line.
fn parts<'a>(text: &'a str, begin: &'a str, end: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines().flat_map(move |line| {
        let mut rest = line;
        std::iter::from_fn(move || {
            let (_, after) = rest.split_once(begin)?;
            let (part, after) = after.split_once(end)?;
            rest = after;
            Some(part)
        })
    })
}

/// Anchors of the headings, as GitHub makes them.
fn anchors(text: &str) -> Vec<String> {
    let prose = without_code(text);
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(path: &str, text: &str) -> Document {
        let (path, text) = (path.to_owned(), text.to_owned());
        Document { path, text }
    }

    #[test]
    fn what_is_not_there_is_found() {
        let files = [
            "a.md",
            "docs/",
            "docs/b.md",
            "crates/",
            "crates/tox-nn/src/ops.rs",
        ];
        let files = files.map(str::to_owned);
        let text = "# One two\n[b](docs/b.md#three) [c](c.md) [self](#one-two) [web](https://x.org)\n\
                    `crates/tox-nn/src/ops.rs` `nn/src/ops.rs` `src/ops.rs` `crates/gone.rs` `mine.rs` `a.b`\n\
                    `crates/NAME/x.rs`\n<!-- new: mine.rs -->\n```\n`other.rs`\n```\n";
        let all = [document("a.md", text), document("docs/b.md", "## Three\n")];
        let found = faults(&all[0], &files, &all);
        let expected = [
            "a.md: the link `c.md` leads nowhere",
            "a.md: there is no `nn/src/ops.rs` in the repository",
            "a.md: there is no `crates/gone.rs` in the repository",
        ];
        assert_eq!(found, expected);
    }
}
