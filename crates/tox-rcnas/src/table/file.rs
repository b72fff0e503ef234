//! Reading, checking and writing the file of a table.

use super::{Entry, Row, Scores, Table};
use crate::environment::Cost;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::{fmt::Write as _, fs};
use tox_data::{atomic, text};
use tox_nn::nets::wrn::{Block, Shape, Stage};

/// The columns before those of the attacks.
const BEFORE: [&str; 13] = [
    "dataset", "base", "d1", "d2", "d3", "w1", "w2", "w3", "r1", "r2", "r3", "seed", "clean",
];
/// The columns behind those of the attacks.
const BEHIND: [&str; 3] = ["macs", "parameters", "lipschitz"];

/// Why a table could not be read, written or asked.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    #[error("cannot {what} the table {}: {source}", path.display())]
    File {
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error(
        "column {place} of the header of {} is `{found}`, expected {expected}; the columns are \
         {}, one for each attack, {}",
        path.display(), BEFORE.join(","), BEHIND.join(",")
    )]
    Header {
        path: PathBuf,
        place: usize,
        found: String,
        expected: String,
    },
    #[error(
        "line {line} of {} has {found} fields, expected {expected} as the header has; the file is \
         damaged, write it again",
        path.display()
    )]
    Fields {
        path: PathBuf,
        line: usize,
        found: usize,
        expected: usize,
    },
    #[error(
        "line {line} of {}: `{column}` is `{found}`, expected {expected}; correct it, or measure this \
         network again",
        path.display()
    )]
    Value {
        path: PathBuf,
        line: usize,
        column: String,
        found: String,
        expected: String,
    },
    #[error(
        "line {line} of {} has {shape} on {data} with seed {seed} again; expected every training once, \
         remove one of them",
        path.display()
    )]
    Twice {
        path: PathBuf,
        line: usize,
        data: String,
        shape: Box<Shape>,
        seed: u64,
    },
    #[error(
        "{} ends in the middle of line {line}: the file was cut off; write or copy it again (if it is \
         whole, end its last line)",
        path.display()
    )]
    Cut { path: PathBuf, line: usize },
    #[error("the table {} has a header only; expected a row for each training", path.display())]
    Empty { path: PathBuf },
    #[error(
        "`meta.trainings` leaves meta-training or the search without a training of {}; its trainings have the seeds \
         {known}, name some of them and not all",
        path.display()
    )]
    NoTrainings { path: PathBuf, known: String },
    #[error("{} has no data set `{found}`; it has {known}", path.display())]
    NoData {
        path: PathBuf,
        found: String,
        known: String,
    },
    #[error("{} has no column for the attack `{found}`; it has {known}", path.display())]
    NoAttack {
        path: PathBuf,
        found: String,
        known: String,
    },
    #[error(
        "{} has no {shape} on {data}; search a teacher all of whose sub-networks are in the table, or \
         add it",
        path.display()
    )]
    NoShape {
        path: PathBuf,
        data: String,
        shape: Box<Shape>,
    },
    #[error(
        "the row of {shape} on {data} cannot be written: {what} is `{found}`, expected {expected}"
    )]
    Unwritable {
        shape: Box<Shape>,
        data: String,
        what: &'static str,
        found: String,
        expected: String,
    },
}

/// One line, for messages.
struct Line<'a> {
    path: &'a Path,
    number: usize,
    header: &'a [&'a str],
    fields: Vec<&'a str>,
}

impl Line<'_> {
    fn refuse(&self, place: usize, expected: &str) -> TableError {
        TableError::Value {
            path: self.path.to_owned(),
            line: self.number,
            column: self.header[place].to_owned(),
            found: self.fields[place].to_owned(),
            expected: expected.to_owned(),
        }
    }

    fn whole(&self, place: usize, low: u64) -> Result<u64, TableError> {
        let value = self.fields[place].parse::<u64>().ok();
        let expected = format!("a whole number, at least {low}");
        value
            .filter(|v| *v >= low)
            .ok_or_else(|| self.refuse(place, &expected))
    }

    fn real(&self, place: usize, high: f64, expected: &str) -> Result<f64, TableError> {
        let value = self.fields[place].parse::<f64>().ok();
        let ok = |v: &f64| v.is_finite() && (0.0..=high).contains(v);
        value.filter(ok).ok_or_else(|| self.refuse(place, expected))
    }

    fn row(&self) -> Result<Row, TableError> {
        let size = |place| self.whole(place, 1).map(|v| v as usize);
        let mut stages = [Stage {
            depth: 1,
            width: 1,
            robust: false,
        }; 3];
        for (i, stage) in stages.iter_mut().enumerate() {
            stage.depth = size(2 + i)?;
            stage.width = size(5 + i)?;
            stage.robust = match self.fields[8 + i] {
                "0" => false,
                "1" => true,
                _ => return Err(self.refuse(8 + i, "0 or 1")),
            };
        }
        let shape = Shape {
            base: size(1)?,
            block: Block::Basic,
            stages,
        };
        if let Err(error) = shape.check() {
            return Err(self.refuse(1, &format!("a network that can be built, but {error}")));
        }
        if self.fields[0].is_empty() {
            return Err(self.refuse(0, "a name"));
        }
        let macs = self.header.len() - BEHIND.len();
        let measured: Vec<usize> = (12..macs).chain([macs + 2]).collect();
        let scores = match measured.iter().all(|i| self.fields[*i].is_empty()) {
            true => None,
            false => {
                let percent = |i| self.real(i, 100.0, "an accuracy in percent, 0 to 100");
                let lipschitz = "a number, at least 0 (a training that diverged has neither \
                    accuracies nor this)";
                Some(Scores {
                    clean: percent(12)?,
                    robust: (13..macs).map(percent).collect::<Result<_, _>>()?,
                    lipschitz: self.real(macs + 2, f64::MAX, lipschitz)?,
                })
            }
        };
        Ok(Row {
            data: text::of_cell(self.fields[0]).to_owned(),
            shape,
            seed: self.whole(11, 0)?,
            cost: Cost {
                macs: self.whole(macs, 1)?,
                parameters: self.whole(macs + 1, 1)?,
            },
            scores,
        })
    }
}

/// The attacks of a header.
fn attacks(path: &Path, header: &[&str]) -> Result<Vec<String>, TableError> {
    let refuse = |place: usize, expected: String| TableError::Header {
        path: path.to_owned(),
        place: place + 1,
        found: header.get(place).copied().unwrap_or("missing").to_owned(),
        expected,
    };
    for (place, name) in BEFORE.iter().enumerate() {
        if header.get(place) != Some(name) {
            return Err(refuse(place, format!("`{name}`")));
        }
    }
    let end = header.len().saturating_sub(BEHIND.len());
    if end <= BEFORE.len() {
        return Err(refuse(BEFORE.len(), "at least one attack".to_owned()));
    }
    for (place, name) in (end..).zip(BEHIND) {
        if header[place] != name {
            return Err(refuse(place, format!("`{name}`")));
        }
    }
    let mut seen = BTreeSet::new();
    for (place, name) in header.iter().enumerate() {
        if name.is_empty() || !seen.insert(name) {
            return Err(refuse(place, "a name that is there once".to_owned()));
        }
    }
    let between = header[BEFORE.len()..end].iter();
    Ok(between.map(|name| (*name).to_owned()).collect())
}

impl Table {
    /// Reads a table.
    ///
    /// # Errors
    /// A file that cannot be read, another header, a value that is none, a training that is there twice,
    /// a network whose cost differs between rows; with file, line and column.
    pub fn read(path: &Path) -> Result<Self, TableError> {
        let text = fs::read_to_string(path).map_err(|source| TableError::File {
            what: "read",
            path: path.to_owned(),
            source,
        })?;
        // A number that lost its last digits is a number.
        if !text.is_empty() && !text.ends_with('\n') {
            return Err(TableError::Cut {
                path: path.to_owned(),
                line: text.lines().count(),
            });
        }
        let mut lines = text.lines().enumerate();
        let header: Vec<&str> = lines.next().map_or("", |(_, l)| l).split(',').collect();
        let attacks = attacks(path, &header)?;
        let mut entries: BTreeMap<String, BTreeMap<Shape, Entry>> = BTreeMap::new();
        for (i, text) in lines.filter(|(_, text)| !text.is_empty()) {
            let line = Line {
                path,
                number: i + 1,
                header: &header,
                fields: text.split(',').collect(),
            };
            if line.fields.len() != header.len() {
                return Err(TableError::Fields {
                    path: path.to_owned(),
                    line: line.number,
                    found: line.fields.len(),
                    expected: header.len(),
                });
            }
            let row = line.row()?;
            let shapes = entries.entry(row.data.clone()).or_default();
            let entry = shapes.entry(row.shape).or_insert_with(|| Entry {
                cost: row.cost,
                scores: BTreeMap::new(),
            });
            for (place, same, was) in [
                (3, entry.cost.macs == row.cost.macs, entry.cost.macs),
                (
                    2,
                    entry.cost.parameters == row.cost.parameters,
                    entry.cost.parameters,
                ),
            ] {
                if !same {
                    let expected = format!("{was}, as in an earlier row of this network");
                    return Err(line.refuse(header.len() - place, &expected));
                }
            }
            if entry.scores.insert(row.seed, row.scores).is_some() {
                return Err(TableError::Twice {
                    path: path.to_owned(),
                    line: line.number,
                    data: row.data,
                    shape: Box::new(row.shape),
                    seed: row.seed,
                });
            }
        }
        if entries.is_empty() {
            let path = path.to_owned();
            return Err(TableError::Empty { path });
        }
        Ok(Self {
            path: path.to_owned(),
            hash: blake3::hash(text.as_bytes()).to_hex().to_string(),
            attacks,
            entries,
        })
    }

    /// Rows as the text of a table; [`Table::read`] reads every number back exactly.
    ///
    /// # Errors
    /// A row that the format cannot hold.
    pub fn text(attacks: &[String], rows: &[Row]) -> Result<String, TableError> {
        let names = BEFORE
            .iter()
            .copied()
            .chain(attacks.iter().map(String::as_str));
        let names: Vec<&str> = names.chain(BEHIND).collect();
        let mut text = names.join(",") + "\n";
        for row in rows {
            text += &line(row, attacks.len())?;
        }
        Ok(text)
    }

    /// Writes [`Table::text`], atomically.
    ///
    /// # Errors
    /// A row that the format cannot hold, or a file that cannot be written.
    pub fn write(path: &Path, attacks: &[String], rows: &[Row]) -> Result<(), TableError> {
        let text = Self::text(attacks, rows)?;
        let written = atomic::write(path, |file| file.write_all(text.as_bytes()));
        written.map_err(|source| TableError::File {
            what: "write",
            path: path.to_owned(),
            source,
        })
    }
}

fn line(row: &Row, attacks: usize) -> Result<String, TableError> {
    let refuse = |what, found: String, expected: &str| TableError::Unwritable {
        shape: Box::new(row.shape),
        data: row.data.clone(),
        what,
        found,
        expected: expected.to_owned(),
    };
    if row.data.contains([',', '\n', '\r']) {
        let found = row.data.clone();
        return Err(refuse(
            "the data set",
            found,
            "a name without comma and line break",
        ));
    }
    if row.shape.block != Block::Basic {
        let found = format!("{:?}", row.shape.block);
        return Err(refuse("its block", found, "Basic"));
    }
    let mut line = format!("{},{}", text::cell(&row.data), row.shape.base);
    let stages = row.shape.stages;
    let numbers = stages.map(|s| s.depth).into_iter();
    let numbers = numbers.chain(stages.map(|s| s.width));
    for number in numbers.chain(stages.map(|s| usize::from(s.robust))) {
        let _ = write!(line, ",{number}");
    }
    let _ = write!(line, ",{}", row.seed);
    match &row.scores {
        Some(scores) => {
            if scores.robust.len() != attacks {
                let found = scores.robust.len().to_string();
                return Err(refuse("its number of attacks", found, &attacks.to_string()));
            }
            for value in std::iter::once(&scores.clean).chain(&scores.robust) {
                let _ = write!(line, ",{value}");
            }
        }
        None => line += &",".repeat(1 + attacks),
    }
    let _ = write!(line, ",{},{},", row.cost.macs, row.cost.parameters);
    if let Some(scores) = &row.scores {
        let _ = write!(line, "{}", scores.lipschitz);
    }
    Ok(line + "\n")
}
