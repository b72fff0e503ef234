//! Python modules that a learner's files import from beside them, which `files` does not list: a change of one would go
//! unnoticed, and old results would be taken for those of the changed learner.

use super::config::ExternalConfig;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Most files that are read.
const MOST: usize = 500;

/// Paths of local modules that are imported, directly or by one another, and are not listed; relative to the recipe where
/// they lie below it.
pub fn unlisted(config: &ExternalConfig) -> Vec<String> {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let listed: BTreeSet<PathBuf> = config
        .files
        .iter()
        .map(|f| real(Path::new(&f.path)))
        .collect();
    let root = config.modules();
    let mut open: Vec<PathBuf> = listed.iter().cloned().collect();
    let mut found: BTreeSet<PathBuf> = BTreeSet::new();
    let mut read = 0;
    while let Some(file) = open.pop() {
        if file.extension().is_none_or(|end| end != "py") || read >= MOST {
            continue;
        }
        read += 1;
        let Ok(text) = std::fs::read_to_string(&file) else {
            continue;
        };
        let bases = file.parent().into_iter().chain(root.as_deref());
        let bases: Vec<&Path> = bases.collect();
        for import in imports(&text) {
            for path in import.files(&file, &bases) {
                let path = real(&path);
                if !listed.contains(&path) && found.insert(path.clone()) {
                    open.push(path);
                }
            }
        }
    }
    let folder = config.files.iter().find_map(|file| {
        let levels = Path::new(&file.name).components().count();
        Some(real(Path::new(&file.path).ancestors().nth(levels)?))
    });
    let named = |path: &PathBuf| {
        let below = folder
            .as_ref()
            .and_then(|folder| path.strip_prefix(folder).ok());
        below.unwrap_or(path).display().to_string()
    };
    found.iter().map(named).collect()
}

/// An import: how many dots it begins with, its module, and the names that are taken from it.
#[derive(Debug, PartialEq)]
struct Import {
    dots: usize,
    module: Vec<String>,
    names: Vec<String>,
}

impl Import {
    /// The files beside `file`, or in the folder of modules, that it reads.
    fn files(&self, file: &Path, bases: &[&Path]) -> Vec<PathBuf> {
        let own: Vec<&Path> = match self.dots {
            0 => bases.to_vec(),
            dots => file.ancestors().nth(dots).into_iter().collect(),
        };
        let mut found = Vec::new();
        for base in own {
            let before = found.len();
            let mut at = base.to_owned();
            let mut add = |at: &Path| {
                let files = [at.with_extension("py"), at.join("__init__.py")];
                found.extend(files.into_iter().find(|path| path.is_file()));
            };
            for part in &self.module {
                at = at.join(part);
                add(&at);
            }
            for name in &self.names {
                add(&at.join(name));
            }
            if found.len() > before {
                break;
            }
        }
        found
    }
}

/// The imports of a file, line by line; also those inside of functions.
fn imports(text: &str) -> Vec<Import> {
    let name = |text: &str| {
        let word = text.split_whitespace().next().unwrap_or_default();
        word.to_owned()
    };
    let parts = |module: &str| {
        let parts = module
            .split('.')
            .map(str::trim)
            .filter(|part| !part.is_empty());
        parts.map(str::to_owned).collect::<Vec<_>>()
    };
    let mut found = Vec::new();
    // Names in brackets may stand on lines of their own.
    let joined = text.replace("\\\n", " ").replace("\\\r\n", " ");
    let mut lines = joined.lines().flat_map(|line| {
        let line = line.split('#').next().unwrap_or_default();
        line.split(';').map(str::trim).collect::<Vec<_>>()
    });
    while let Some(line) = lines.next() {
        if let Some(rest) = line.strip_prefix("import ") {
            let modules = rest.split(',').map(name);
            found.extend(modules.map(|module| Import {
                dots: 0,
                module: parts(&module),
                names: Vec::new(),
            }));
        } else if let Some(rest) = line.strip_prefix("from ") {
            let Some((module, names)) = rest.split_once(" import") else {
                continue;
            };
            let mut names = names.to_owned();
            while names.contains('(') && !names.contains(')') {
                let Some(more) = lines.next() else { break };
                names.push_str(more);
            }
            let names = names.replace(['(', ')'], " ");
            let names = names
                .split(',')
                .map(name)
                .filter(|n| !n.is_empty() && n != "*");
            let module = module.trim();
            found.push(Import {
                dots: module.chars().take_while(|c| *c == '.').count(),
                module: parts(module),
                names: names.collect(),
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_are_read_line_by_line() {
        let text = "import numpy as np, own.part  # from no import x\nfrom . import a\ndef f():\n    from ..b.c import (\n        d as e,\n        \
                    g)\nfrom h import *\n'import'";
        let of = |dots, module: &[&str], names: &[&str]| Import {
            dots,
            module: module.iter().map(|m| (*m).to_owned()).collect(),
            names: names.iter().map(|n| (*n).to_owned()).collect(),
        };
        let expected = [
            of(0, &["numpy"], &[]),
            of(0, &["own", "part"], &[]),
            of(1, &[], &["a"]),
            of(2, &["b", "c"], &["d", "g"]),
            of(0, &["h"], &[]),
        ];
        assert_eq!(imports(text), expected);
    }

    #[test]
    fn modules_beside_a_learner_are_found_through_one_another() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("learn.py", "import numpy, known\nfrom tools import clean");
        write("known.py", "import learn");
        write("tools/__init__.py", "");
        write("tools/clean.py", "from .deep import x\nimport learn");
        write("tools/deep.py", "");
        write("unused.py", "");
        let of = |names: &[&str]| {
            let file = |name: &str| {
                let path = dir.path().join(name).display().to_string();
                serde_json::json!({ "name": name, "path": path, "hash": null })
            };
            let files: Vec<_> = names.iter().map(|name| file(name)).collect();
            let config = serde_json::json!({ "command": ["python3", "learn.py"], "files": files });
            unlisted(&serde_json::from_value(config).unwrap())
        };
        assert_eq!(
            of(&["learn.py", "known.py"]),
            ["tools/__init__.py", "tools/clean.py", "tools/deep.py"]
        );
        let all = [
            "learn.py",
            "known.py",
            "tools/__init__.py",
            "tools/clean.py",
            "tools/deep.py",
        ];
        assert!(of(&all).is_empty());
    }
}
