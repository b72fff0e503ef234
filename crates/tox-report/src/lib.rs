//! The toolkit of reports: records to tables, SVG figures and one HTML page. It names no learner.
//!
//! [`write()`] turns a run folder into `results.csv`, `figures/*.svg` and a self-contained
//! `report.html`; [`headline`] into the table that a terminal shows. Both work on an unfinished run and
//! say what is missing. A learner whose kind has a [`Reporter`] has a page of its own; every other has
//! the [`standard`] one.

pub mod budgets;
pub mod cells;
pub mod columns;
pub mod common;
mod context;
pub mod csv;
pub mod curves;
pub mod figure;
pub mod findings;
pub mod gates;
pub mod latex;
pub mod lines;
mod names;
pub mod numbers;
pub mod page;
pub mod paper;
#[cfg_attr(not(feature = "parquet"), path = "no_parquet.rs")]
mod parquet;
pub mod plot;
pub mod provenance;
pub mod raster;
pub mod run;
pub mod settings;
pub mod standard;
pub mod stats;
pub mod svg;
pub mod terminal;
#[cfg(test)]
mod tests;
pub mod tidy;
pub mod verdict;

use run::{Run, Types};
use std::path::{Path, PathBuf};
use tox_data::text::printable;
use tox_study::files::{self, FileError};
use tox_study::house::House;
use tox_study::record::RecordError;
use tox_study::spec::TrialSpec;

/// The report of one kind of learner.
pub trait Reporter: Sync {
    /// The learner's kind.
    fn kind(&self) -> &'static str;

    /// The structures of its configuration and its outcome.
    fn types(&self) -> Types;

    /// Whether a trial has threats or defences that this report knows nothing of. It is then none of the
    /// report's own cells: the sections that all learners share show it.
    fn foreign(&self, _spec: &TrialSpec) -> bool {
        false
    }

    /// Table, page and figures of a run.
    ///
    /// # Errors
    /// When the page cannot be rendered or a table cannot hold a trial.
    fn make(&self, house: &House, run: &Run) -> Result<Made, ReportError>;

    /// The table for a terminal.
    fn headline(&self, house: &House, run: &Run) -> String;
}

/// What a report is made of: the same for the same records.
pub struct Made {
    /// `wide.csv`: the learner's own table, a row a trial.
    pub wide: String,
    pub html: String,
    /// Name and content of the files of every figure.
    pub figures: Vec<(String, String)>,
}

/// All that is registered, and the reports of those learners that have their own.
#[derive(Clone, Copy)]
pub struct Reports {
    pub house: House,
    pub reporters: &'static [&'static dyn Reporter],
}

impl Reports {
    /// The reporter of a kind of learner.
    pub fn of(&self, kind: &str) -> Option<&'static dyn Reporter> {
        self.reporters.iter().copied().find(|r| r.kind() == kind)
    }
}

/// What [`write()`] wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportPaths {
    /// `results.csv`.
    pub csv: PathBuf,
    /// `wide.csv`, where the learner has a table of its own.
    pub wide: Option<PathBuf>,
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
        path: PathBuf,
        /// What was found.
        found: String,
    },
    /// A trial that a learner's own table cannot hold.
    #[error("cannot write wide.csv: {0}")]
    Wide(String),
    /// A table cannot be written as Parquet; a bug in toxscreen.
    #[error("cannot write {}: {what}. This is a bug in toxscreen; please report it", path.display())]
    Parquet { path: PathBuf, what: String },
    /// This program has no Parquet.
    #[error(
        "cannot write {}: this toxscreen was built without Parquet; build it with `cargo build \
         --release --features parquet`, or read results.csv", path.display()
    )]
    NoParquet { path: PathBuf },
    /// The page cannot be rendered; a bug in toxscreen.
    #[error("cannot render report.html: {0:#}. This is a bug in toxscreen; please report it")]
    Page(#[from] minijinja::Error),
}

impl ReportError {
    pub(crate) fn parse(path: &Path, found: impl ToString) -> Self {
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
pub fn write(reports: &Reports, run_dir: &Path) -> Result<ReportPaths, ReportError> {
    let made = render(reports, run_dir)?;
    let write = |name: &str, content: &str| {
        let path = run_dir.join(name);
        files::write_atomic(&path, content.as_bytes())?;
        Ok::<_, ReportError>(path)
    };
    let csv = write(CSV, &made.csv)?;
    let wide = match made.wide.is_empty() {
        true => None,
        false => Some(write(WIDE, &made.wide)?),
    };
    let folder = run_dir.join(FIGURES);
    files::no_link(&folder)?;
    files::create_dir(&folder)?;
    let mut figures = Vec::new();
    for (name, content) in &made.figures {
        let path = write(name, content)?;
        if name.ends_with(".svg") {
            figures.push(path);
        }
    }
    Ok(ReportPaths {
        csv,
        wide,
        figures,
        html: write(HTML, &made.html)?,
    })
}

/// Names of what is written.
const CSV: &str = "results.csv";
const WIDE: &str = "wide.csv";
const HTML: &str = "report.html";
const FIGURES: &str = "figures";

/// Name below the run folder and content of every file.
struct Files {
    csv: String,
    wide: String,
    html: String,
    figures: Vec<(String, String)>,
}

fn render(reports: &Reports, run_dir: &Path) -> Result<Files, ReportError> {
    let run = Run::load(reports, run_dir)?;
    let made = match reports.of(run.kind()) {
        Some(own) => own.make(&reports.house, &run)?,
        None => standard::make(&run)?,
    };
    let figures = made.figures.into_iter();
    let figures = figures.map(|(name, content)| (format!("{FIGURES}/{name}"), content));
    Ok(Files {
        csv: tidy::csv(&run),
        wide: made.wide,
        html: made.html,
        figures: figures.collect(),
    })
}

/// Writes `results.parquet` and, where the learner has a table of its own, `wide.parquet` into a run folder;
/// returns their paths.
///
/// # Errors
/// As [`write()`], and when this program was built without Parquet.
pub fn write_parquet(reports: &Reports, run_dir: &Path) -> Result<Vec<PathBuf>, ReportError> {
    let made = render(reports, run_dir)?;
    let mut paths = Vec::new();
    for (name, csv) in [(CSV, &made.csv), (WIDE, &made.wide)] {
        if !csv.is_empty() {
            let path = run_dir.join(name).with_extension("parquet");
            parquet::write(csv, &path)?;
            paths.push(path);
        }
    }
    Ok(paths)
}

/// The table of all cells, of every learner in the same columns, in LaTeX with the rules of booktabs: seeds done of
/// planned, errors in percent and damage in points, each a mean ± half of its 95 % t-interval.
///
/// # Errors
/// When the folder cannot be read or holds a file that does not parse.
pub fn latex(reports: &Reports, run_dir: &Path) -> Result<String, ReportError> {
    let run = Run::load(reports, run_dir)?;
    let measures = common::measures(&run);
    let table = common::Common::new(&run, &measures).table().latex();
    Ok(format!(
        "% {}; needs \\usepackage{{booktabs}}\n{table}",
        terminal::title(&run).trim()
    ))
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
pub fn check(reports: &Reports, run_dir: &Path) -> Result<Vec<Stale>, ReportError> {
    let made = render(reports, run_dir)?;
    let mut files = vec![(CSV.to_owned(), made.csv), (HTML.to_owned(), made.html)];
    if !made.wide.is_empty() {
        files.push((WIDE.to_owned(), made.wide));
    }
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
pub fn headline(reports: &Reports, run_dir: &Path) -> Result<String, ReportError> {
    let run = Run::load(reports, run_dir)?;
    let text = match reports.of(run.kind()) {
        Some(own) => own.headline(&reports.house, &run) + &common::foreign_lines(&run),
        None => standard::headline(&run),
    };
    // Names of others are in sentences too.
    let text = text + &common::caution_lines(&run) + &gates::lines(&run);
    Ok(printable(&text).into_owned())
}
