//! Reading and checking the file of a table.

use super::{COST, Column, FILE, ROBUST_FILE, Table};
use crate::space::SpaceError;
use crate::space::nasbench201::{CELLS, Cell};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

const LAYOUT: &str = "a CSV file with a header, a column `arch` of arch strings such as \
    |nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|, columns of accuracies in \
    percent such as cifar10_test_200ep and cifar10_val_12ep, and one row for each of the 15,625 \
    cells; it can be exported with the NAS-Bench-201 API \
    (https://github.com/D-X-Y/NAS-Bench-201)";

/// Why a table could not be read or asked. Each message says what was expected, what was found, in
/// which file, and what to do.
#[derive(Debug, Error)]
pub enum TableError {
    /// There is no such file.
    #[error(
        "the table {} is missing; expected {LAYOUT}; if it is elsewhere, point --data-dir or \
         TOXSCREEN_DATA at the folder that holds {FILE} (or, for robust accuracies, {ROBUST_FILE}, which \
         benches/peers/nas/robust_table.py makes of the files of NAS-RobBench-201's page)",
        path.display()
    )]
    Missing { path: PathBuf },
    /// The operating system refused.
    #[error("cannot read the table {}: {source}; check that it is a text file", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// The first line does not name what is needed.
    #[error("the header of {} has no {what}, found `{found}`; expected {LAYOUT}", path.display())]
    Header {
        path: PathBuf,
        what: &'static str,
        found: String,
    },
    /// A column that the header has twice.
    #[error("the header of {} has the column `{column}` twice; remove one", path.display())]
    RepeatedColumn { path: PathBuf, column: String },
    /// A row that is not as long as the header.
    #[error(
        "line {line} of {} has {found} fields, expected {expected} as the header has; the file is \
         damaged, export it again",
        path.display()
    )]
    Fields {
        path: PathBuf,
        line: usize,
        found: usize,
        expected: usize,
    },
    /// A cell that no table has.
    #[error(
        "the cell {0} has a bad op, but a table has cells of the published ops alone; train the cell"
    )]
    BadOp(Box<Cell>),
    /// A cell that is none.
    #[error("line {line} of {} names no cell: {source}", path.display())]
    Arch {
        path: PathBuf,
        line: usize,
        source: Box<SpaceError>,
    },
    /// A cell that was there before.
    #[error(
        "line {line} of {} has the cell {cell} again, first in line {first}; expected every cell \
         once, remove one of them",
        path.display()
    )]
    Twice {
        path: PathBuf,
        line: usize,
        first: usize,
        cell: Box<Cell>,
    },
    /// A value that is no number or out of range.
    #[error(
        "line {line} of {}: `{column}` is `{found}`, expected {expected}; export the file again",
        path.display()
    )]
    Number {
        path: PathBuf,
        line: usize,
        column: String,
        found: String,
        expected: &'static str,
    },
    /// Accuracies between 0 and 1.
    #[error(
        "no value of `{column}` in {} is above {highest}, expected accuracies in percent; multiply \
         fractions by 100",
        path.display()
    )]
    Fractions {
        path: PathBuf,
        column: String,
        highest: f64,
    },
    /// Cells that the table does not have.
    #[error(
        "{} has {found} of the {CELLS} cells; {first} is missing; a rank among some of the cells \
         would mean nothing, export the file again with all of them",
        path.display()
    )]
    Rows {
        path: PathBuf,
        found: usize,
        first: Box<Cell>,
    },
    /// A column that the file does not have.
    #[error("{} has no column `{column}`; it has {found}", path.display())]
    NoColumn {
        path: PathBuf,
        column: String,
        found: String,
    },
    /// A number of draws that cannot be made.
    #[error(
        "a random search of {found} draws cannot be: expected at least 1{}",
        highest.map_or_else(String::new, |n| format!(" and, without replacement, at most {n}"))
    )]
    Draws {
        found: usize,
        highest: Option<usize>,
    },
}

/// A column of the file that is kept: accuracies, or the cost.
struct Kept {
    /// Its place in a row.
    field: usize,
    /// None for the cost.
    column: Option<Column>,
    name: String,
    /// By the cells' indices.
    values: Vec<f64>,
}

impl Table {
    /// Reads and checks a table. Columns that are not known here, such as `index`, are left alone.
    pub fn read(path: &Path) -> Result<Self, TableError> {
        let text = fs::read_to_string(path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => TableError::Missing { path: path.into() },
            _ => TableError::Read {
                path: path.into(),
                source,
            },
        })?;
        let hash = blake3::hash(text.as_bytes()).to_hex().to_string();
        let text = text.trim_start_matches('\u{feff}');
        let mut lines = text.lines().zip(1..).filter(|(l, _)| !l.trim().is_empty());
        let header: Vec<&str> = fields(lines.next().unwrap_or_default().0).collect();
        let (arch, mut kept) = read_header(path, &header)?;
        let mut line_of = vec![0; CELLS];
        for (text, line) in lines {
            let row: Vec<&str> = fields(text).collect();
            if row.len() != header.len() {
                return Err(TableError::Fields {
                    path: path.into(),
                    line,
                    found: row.len(),
                    expected: header.len(),
                });
            }
            let cell: Cell = row[arch].parse().map_err(|source| TableError::Arch {
                path: path.into(),
                line,
                source: Box::new(source),
            })?;
            let index = cell.index().ok_or(TableError::BadOp(Box::new(cell)))?;
            let first = std::mem::replace(&mut line_of[index], line);
            if first != 0 {
                return Err(TableError::Twice {
                    path: path.into(),
                    line,
                    first,
                    cell: Box::new(cell),
                });
            }
            for column in &mut kept {
                let found = row[column.field];
                column.values[index] = column.number(found).ok_or_else(|| TableError::Number {
                    path: path.into(),
                    line,
                    column: column.name.clone(),
                    found: found.chars().take(40).collect(),
                    expected: column.expected(),
                })?;
            }
        }
        if let Some((first, _)) = Cell::all().zip(&line_of).find(|(_, line)| **line == 0) {
            return Err(TableError::Rows {
                path: path.into(),
                found: line_of.iter().filter(|line| **line != 0).count(),
                first: Box::new(first),
            });
        }
        Self::of(path, hash, kept)
    }

    fn of(path: &Path, hash: String, kept: Vec<Kept>) -> Result<Self, TableError> {
        let mut table = Self {
            path: path.into(),
            hash,
            columns: Vec::new(),
            cost: None,
        };
        for kept in kept {
            let Some(column) = kept.column else {
                table.cost = Some(kept.values);
                continue;
            };
            let highest = kept.values.iter().copied().fold(0.0, f64::max);
            if highest <= 1.0 {
                return Err(TableError::Fractions {
                    path: path.into(),
                    column: kept.name,
                    highest,
                });
            }
            table.columns.push((column, kept.values));
        }
        Ok(table)
    }
}

impl Kept {
    fn number(&self, text: &str) -> Option<f64> {
        let number: f64 = text.parse().ok()?;
        let in_range = match self.column {
            Some(_) => (0.0..=100.0).contains(&number),
            None => number > 0.0 && number.is_finite(),
        };
        in_range.then_some(number)
    }

    fn expected(&self) -> &'static str {
        match self.column {
            Some(_) => "an accuracy in percent, 0 to 100",
            None => "a number of seconds above 0",
        }
    }
}

/// The fields of a line; quotes around one (as R writes texts) are taken off.
fn fields(line: &str) -> impl Iterator<Item = &str> {
    line.split(',').map(|field| field.trim().trim_matches('"'))
}

/// Where the arch strings are, and the columns to keep.
fn read_header(path: &Path, header: &[&str]) -> Result<(usize, Vec<Kept>), TableError> {
    let missing = |what| TableError::Header {
        path: path.into(),
        what,
        found: header.join(",").chars().take(120).collect(),
    };
    let place = |name: &str| {
        let mut places = (0..header.len()).filter(|i| header[*i] == name);
        match (places.next(), places.next()) {
            (_, Some(_)) => Err(TableError::RepeatedColumn {
                path: path.into(),
                column: name.to_owned(),
            }),
            (place, None) => Ok(place),
        }
    };
    let arch = place("arch")?.ok_or_else(|| missing("column `arch`"))?;
    let known = Column::all().map(|column| (Some(column), column.to_string()));
    let mut kept = Vec::new();
    for (column, name) in known.chain([(None, COST.to_owned())]) {
        if let Some(field) = place(&name)? {
            kept.push(Kept {
                field,
                column,
                name,
                values: vec![0.0; CELLS],
            });
        }
    }
    if kept.iter().all(|kept| kept.column.is_none()) {
        return Err(missing("column of accuracies"));
    }
    Ok((arch, kept))
}
