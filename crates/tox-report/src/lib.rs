//! Records to tables, SVG figures and one HTML page.
//!
//! Floor 7 of the house. [`write()`] turns a run folder into `results.csv`, `figures/*.svg` and a
//! self-contained `report.html`; [`headline`] into the table that a terminal shows. Both work on
//! an unfinished run and say what is missing. What is drawn and said depends on the learner that a
//! study audits: [`enas`], [`bilevel`] (which also knows that paper's synthetic example), [`nas`],
//! [`rcnas`], or [`subnets`] for the tables that it looks networks up in.

mod bilevel;
mod cells;
mod csv;
mod curves;
mod enas;
mod figure;
mod findings;
mod lines;
#[cfg(test)]
mod made_up;
mod names;
mod nas;
mod page;
mod plot;
mod provenance;
mod raster;
mod rcnas;
mod run;
mod settings;
mod stats;
mod subnets;
mod svg;
mod terminal;
mod verdict;

use run::{Kind, Run};
use std::path::{Path, PathBuf};
use tox_data::text::printable;
use tox_search::rcnas::table::TableError;
use tox_study::files::{self, FileError};
use tox_study::record::RecordError;

/// What [`write()`] wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportPaths {
    /// `results.csv`.
    pub csv: PathBuf,
    /// `report.html`.
    pub html: PathBuf,
    /// `figures/*.svg`, in the order of the report.
    pub figures: Vec<PathBuf>,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A file cannot be read or written.
    #[error(
        "{0}. A report needs the folder of a study that was run, such as runs/NAME, with \
         permission to write there"
    )]
    File(#[from] FileError),
    /// A record is not to be trusted.
    #[error("{0}. Remove that file and run the study again to have the trial run anew")]
    Record(#[from] RecordError),
    /// A file of the run folder is not what it should be.
    #[error(
        "{} does not parse: {found}. It was changed, or written by another version of toxscreen; \
         remove it and run the study again to have it written anew", path.display()
    )]
    Parse {
        /// The file.
        path: PathBuf,
        /// What was found.
        found: String,
    },
    /// Networks that the format of tables cannot hold.
    #[error("cannot write results.csv: {0}")]
    Table(#[from] TableError),
    /// The page cannot be rendered; a bug in toxscreen.
    #[error("cannot render report.html: {0:#}. This is a bug in toxscreen; please report it")]
    Page(#[from] minijinja::Error),
}

impl ReportError {
    fn parse(path: &Path, found: impl ToString) -> Self {
        Self::Parse {
            path: path.to_owned(),
            found: found.to_string(),
        }
    }
}

/// Writes `results.csv`, `figures/*.svg` and `report.html` into a run folder, each atomically.
///
/// # Errors
/// When the folder cannot be read, holds a file that does not parse, or cannot be written.
pub fn write(run_dir: &Path) -> Result<ReportPaths, ReportError> {
    let made = render(run_dir)?;
    let write = |name: &str, content: &str| {
        let path = run_dir.join(name);
        files::write_atomic(&path, content.as_bytes())?;
        Ok::<_, ReportError>(path)
    };
    let csv = write(CSV, &made.csv)?;
    let folder = run_dir.join(FIGURES);
    files::no_link(&folder)?;
    files::create_dir(&folder)?;
    let mut figures = Vec::new();
    for (name, content) in &made.figures {
        figures.push(write(name, content)?);
    }
    Ok(ReportPaths {
        csv,
        figures,
        html: write(HTML, &made.html)?,
    })
}

/// Names of what is written.
const CSV: &str = "results.csv";
const HTML: &str = "report.html";
const FIGURES: &str = "figures";

/// What a report is made of: the same for the same records.
struct Made {
    csv: String,
    html: String,
    /// By the names of their files below the run folder.
    figures: Vec<(String, String)>,
}

fn render(run_dir: &Path) -> Result<Made, ReportError> {
    let run = Run::load(run_dir)?;
    let (csv, html, drawn) = match run.kind() {
        Kind::Enas => {
            let report = enas::Report::new(&run);
            (enas::csv(&run), report.html()?, report.files())
        }
        Kind::Bilevel => {
            let report = bilevel::Report::new(&run);
            (bilevel::csv(&run), report.html()?, report.files())
        }
        Kind::Synthetic => {
            let report = bilevel::maps::Report::new(&run);
            (report.csv(), report.html()?, report.files())
        }
        Kind::Nas => {
            let report = nas::Report::new(&run);
            (nas::csv(&run), report.html()?, report.files())
        }
        Kind::RcNas => {
            let report = rcnas::Report::new(&run);
            (rcnas::csv(&run), report.html()?, report.files())
        }
        Kind::SubNetworks => {
            let report = subnets::Report::new(&run);
            (subnets::csv(&run)?, report.html()?, report.files())
        }
    };
    let figures = drawn.into_iter();
    let figures = figures.map(|(name, content)| (format!("{FIGURES}/{name}.svg"), content));
    Ok(Made {
        csv,
        html,
        figures: figures.collect(),
    })
}

/// A file of a report that is not what the records give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stale {
    /// The file, below the run folder.
    pub name: String,
    /// Whether it is there at all.
    pub there: bool,
}

/// Makes the report again, without writing it, and returns the files that differ from it.
///
/// # Errors
/// When the folder cannot be read or holds a file that does not parse.
pub fn check(run_dir: &Path) -> Result<Vec<Stale>, ReportError> {
    let made = render(run_dir)?;
    let mut files = vec![(CSV.to_owned(), made.csv), (HTML.to_owned(), made.html)];
    files.extend(made.figures);
    let mut stale = Vec::new();
    for (name, content) in files {
        let found = std::fs::read(run_dir.join(&name)).ok();
        if found.as_deref() != Some(content.as_bytes()) {
            let there = found.is_some();
            stale.push(Stale { name, there });
        }
    }
    Ok(stale)
}

/// The table for a terminal: a row a cell, with seeds done of planned and errors in percent (mean ±
/// half of the 95 % t-interval).
///
/// # Errors
/// When the folder cannot be read or holds a file that does not parse.
pub fn headline(run_dir: &Path) -> Result<String, ReportError> {
    let run = Run::load(run_dir)?;
    let text = match run.kind() {
        Kind::Enas => enas::headline(&run),
        Kind::Bilevel => bilevel::headline(&run),
        Kind::Synthetic => bilevel::maps::headline(&run),
        Kind::Nas => nas::headline(&run),
        Kind::RcNas => rcnas::headline(&run),
        Kind::SubNetworks => subnets::headline(&run),
    };
    // Names of others are in sentences too.
    Ok(printable(&text).into_owned())
}
