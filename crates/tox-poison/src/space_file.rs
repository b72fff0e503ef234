//! A search space as a TOML file, for people to write and the screen to read:
//!
//! ```toml
//! [[op]]
//! op = "conv"
//! k = 3
//! count = 2 # branches; 1 if left out
//!
//! [[op]]
//! op = "gaussian"
//! sigma = 10.0
//! ```
//!
//! or `poison = "P5"` and `q = 6`, which poison the ops of the file, or the clean space of the
//! paper if the file has none.

use crate::space::{PoisonSet, QError};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use tox_data::text;
use tox_search::space::{MAX_BRANCHES, OwnOps, Space, SpaceOp, WrittenOp};

/// Most `[[op]]` tables. Each is measured; branches that are the same op are one table with a count.
pub const MAX_OPS: usize = 1000;

/// Why a file is not a search space.
#[derive(Debug, thiserror::Error)]
pub enum SpaceFileError {
    /// It cannot be read.
    #[error("cannot read search space {}: {source}", path.display())]
    Read {
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is no TOML, or has a key or type that it should not have.
    #[error("{} is not a search space: {message}", path.display())]
    Parse {
        path: PathBuf,
        /// What the parser found, and where.
        message: String,
    },
    /// An op that cannot be.
    #[error("{}, op {number}: {message}", path.display())]
    Op {
        path: PathBuf,
        /// From 1.
        number: usize,
        /// What was found and what was expected.
        message: String,
    },
    /// The whole is not a space.
    #[error("{}: {message}", path.display())]
    Space {
        path: PathBuf,
        /// What was found and what was expected.
        message: String,
    },
    /// The multiplicity is out of range.
    #[error("{}: {source}", path.display())]
    Q {
        path: PathBuf,
        /// The range.
        source: QError,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSpace {
    #[serde(default)]
    op: Vec<WrittenOp>,
    poison: Option<PoisonSet>,
    q: Option<usize>,
}

/// Reads the space in the file `path`.
///
/// # Errors
/// See [`SpaceFileError`].
pub fn read(path: &Path) -> Result<Space, SpaceFileError> {
    let text = text::read(path).map_err(|source| SpaceFileError::Read {
        path: path.to_owned(),
        source,
    })?;
    parse(&text, path)
}

/// The ops that a recipe in `folder` names, read from their file unless they are there already.
///
/// # Errors
/// See [`SpaceFileError`].
pub fn read_own(own: OwnOps, folder: &Path) -> Result<OwnOps, SpaceFileError> {
    let (ops, path) = match own {
        OwnOps::File(name) => {
            let path = folder.join(name);
            (read(&path)?.ops, path)
        }
        OwnOps::Ops(ops) => (ops, "the ops of the recipe".into()),
    };
    let message = if ops.iter().any(|op| op.poison) {
        "it puts in a poison set of its own: leave out poison and q, and name the set as the threat"
            .into()
    } else {
        match (ops.len(), ops.iter().map(|op| op.count).sum::<usize>()) {
            (0, _) => "no op found: expected one at least".into(),
            (1..=MAX_OPS, 1..=MAX_BRANCHES) => return Ok(OwnOps::Ops(ops)),
            (n, branches) => format!(
                "it has {n} ops with {branches} branches: expected at most {MAX_OPS} and {MAX_BRANCHES}"
            ),
        }
    };
    Err(SpaceFileError::Space { path, message })
}

/// The space in `text`; `path` is for messages.
///
/// # Errors
/// All of [`SpaceFileError`] but `Read`.
pub fn parse(text: &str, path: &Path) -> Result<Space, SpaceFileError> {
    let path = || path.to_owned();
    let raw: RawSpace = toml::from_str(text).map_err(|e| SpaceFileError::Parse {
        path: path(),
        message: e.to_string().trim_end().to_owned(),
    })?;
    let wrong = |message: &str| SpaceFileError::Space {
        path: path(),
        message: message.to_owned(),
    };
    if raw.op.len() > MAX_OPS {
        let found = raw.op.len();
        return Err(wrong(&format!(
            "it has {found} [[op]] tables: expected at most {MAX_OPS}; write the same op once, with a count"
        )));
    }
    let mut ops = Vec::new();
    for (i, raw) in raw.op.into_iter().enumerate() {
        ops.push(
            SpaceOp::try_from(raw).map_err(|message| SpaceFileError::Op {
                path: path(),
                number: i + 1,
                message,
            })?,
        );
    }
    let space = if ops.is_empty() && raw.poison.is_some() {
        Space::enas()
    } else {
        Space { ops }
    };
    if space.ops.is_empty() {
        return Err(wrong(
            "no op found: expected [[op]] tables, or poison = \"P1\" and q",
        ));
    }
    if space.branches() > MAX_BRANCHES {
        let found = space.branches();
        return Err(wrong(&format!(
            "the counts add up to {found}: expected at most {MAX_BRANCHES} branches"
        )));
    }
    match (raw.poison, raw.q) {
        (None, None) => Ok(space),
        (Some(set), Some(q)) => set.poison(&space, q).map_err(|source| SpaceFileError::Q {
            path: path(),
            source,
        }),
        (Some(_), None) => Err(wrong(
            "poison without q: expected q, how often the set is added",
        )),
        (None, Some(_)) => Err(wrong(
            "q without poison: expected poison, the set that is added",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use tox_search::space::Op;

    fn parsed(text: &str) -> Result<Space, SpaceFileError> {
        parse(text, Path::new("space.toml"))
    }

    #[test]
    fn ops_and_poison_shortcuts_are_read() {
        let space = parsed(
            "[[op]]\nop = 'conv'\nk = 3\ncount = 2\n[[op]]\nop = 'stretched'\nk = 3\npadding = 50\ndilation = 50\n",
        )
        .unwrap();
        assert_eq!(space.branch_ops(), [0, 0, 1]);
        assert_eq!(space.ops[0].op, Op::Conv { k: 3 });
        let poisoned = PoisonSet::P3Plus.poison(&Space::enas(), 2).unwrap();
        assert_eq!(parsed("poison = 'P3+'\nq = 2").unwrap(), poisoned);
        let both = parsed("poison = 'P1'\nq = 4\n[[op]]\nop = 'maxpool3'\n").unwrap();
        assert_eq!(both.branch_ops(), [0, 1, 1, 1, 1]);
        // Every name that a space is written with elsewhere is read here.
        let mut all = PoisonSet::P5.poison(&Space::enas(), 1).unwrap().ops;
        for name in ["rectified3", "mixed(5,0.5,0.1,1.5)"] {
            let op = Op::named(name).unwrap();
            all.push(SpaceOp { op, ..all[0] });
        }
        for op in all {
            let text = toml::to_string(&op.op).unwrap();
            assert_eq!(parsed(&format!("[[op]]\n{text}")).unwrap().ops[0].op, op.op);
            let text = toml::to_string(&op).unwrap();
            let read = parsed(&format!("[[op]]\n{text}")).unwrap().ops[0];
            assert_eq!((read.op, read.count), (op.op, op.count));
        }
    }

    #[test]
    fn wrong_files_are_refused_with_the_reason() {
        for (text, reason) in [
            ("", "no op found"),
            ("[[op]]\nop = 'convv'", "unknown variant `convv`"),
            ("[[op]]\nop = 'conv'", "op 1: the key k is missing"),
            ("[[op]]\nop = 'conv'\nk = 3\nq = 1", "unknown field `q`"),
            (
                "[[op]]\nop = 'identity'\nk = 3",
                "op 1: identity has no key k",
            ),
            (
                "[[op]]\nop = 'conv'\nk = 4",
                "k = 4 is out of range: expected an odd",
            ),
            ("[[op]]\nop = 'conv'\nk = -3", "expected usize"),
            ("[[op]]\nop = 'conv'\nk = 65", "k = 65 is out of range"),
            (
                "[[op]]\nop = 'conv'\nk = 3\ncount = 0",
                "count = 0 is out of range",
            ),
            ("[[op]]\nop = 'dropout'\np = 1.5", "p = 1.5 is out of range"),
            (
                "[[op]]\nop = 'gaussian'\nsigma = nan",
                "sigma = NaN is out of range",
            ),
            (
                "[[op]]\nop = 'stretched'\nk = 3\npadding = 1\ndilation = 2",
                "padding = 1 changes the map's size: expected 2",
            ),
            (
                "[[op]]\nop = 'mixed'\nk = 3\nkeep = 1.0\nscale = -1.0\nsigma = 0.0",
                "scale = -1 is out of range",
            ),
            ("poison = 'P9'\nq = 1", "unknown variant `P9`"),
            ("poison = 'P1'", "poison without q"),
            ("q = 1", "no op found"),
            ("poison = 'P1'\nq = 1000000", "q = 1000000 is out of range"),
            ("colour = 1", "unknown field `colour`"),
            (
                &"[[op]]\nop = 'identity'\n".repeat(1001),
                "it has 1001 [[op]] tables: expected at most 1000",
            ),
            ("[[op]", "space.toml is not a search space"),
        ] {
            let message = parsed(text).unwrap_err().to_string();
            assert!(message.contains(reason), "{text}: {message}");
            assert!(message.contains("space.toml"), "{message}");
        }
        let missing = read(Path::new("no/such/space.toml"))
            .unwrap_err()
            .to_string();
        assert!(
            missing.contains("cannot read search space no/such/space.toml"),
            "{missing}"
        );
    }
}
