//! `toxscreen report`: write a study's report again.

use super::files::Files;
use super::gate::{self, Ci};
use super::options::Folder;
use super::{FAILED, Output, Result, json, warn};
use std::path::{Path, PathBuf};
use tox_audits::{HOUSE, REPORTS};
use tox_data::DataDir;
use tox_report::{ReportError, ReportPaths, Stale};
use tox_study::files;
use tox_study::store::Store;
use tox_study::trial::{Exit, Failure};

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  toxscreen report runs/quickstart
  toxscreen report runs/quickstart --parquet         results.parquet beside results.csv
  toxscreen report runs/quickstart --latex table.tex

Exit codes: 0 done, 1 a record was changed after it was written (the others are reported), 2 no
study there, 4 no gate fails but one cannot be told, 5 a gate of the recipe is not held.")]
pub struct Report {
    /// Folder of the study
    pub dir: PathBuf,
    #[command(flatten)]
    pub folder: Folder,
    #[command(flatten)]
    pub ci: Ci,
    /// Write results.parquet, and of a learner's own table wide.parquet, beside the tables of text
    /// (a program built with the feature parquet)
    #[arg(long)]
    pub parquet: bool,
    /// Write the table of all cells for LaTeX
    #[arg(long, value_name = "FILE")]
    pub latex: Option<PathBuf>,
    /// Print the paths of what was written as JSON
    #[arg(long)]
    pub json: bool,
}

fn failed(error: ReportError) -> Failure {
    Failure::new(Exit::Failed, &error)
}

/// Writes the report of the study in `dir`.
pub fn write(dir: &Path) -> Result<ReportPaths> {
    tox_report::write(&REPORTS, dir).map_err(failed)
}

/// Its table for a terminal.
pub fn headline(dir: &Path) -> Result<String> {
    tox_report::headline(&REPORTS, dir).map_err(failed)
}

/// Its files that are not what the records give.
pub fn stale(dir: &Path) -> Result<Vec<Stale>> {
    tox_report::check(&REPORTS, dir).map_err(failed)
}

pub fn report(args: &Report) -> Result<Output> {
    let mut store = Store::open(&HOUSE, &args.dir)?;
    let files = Files::default()
        .of_trials(store.study.specs())
        .study(&args.dir)
        .written("--latex", args.latex.as_deref());
    args.ci.files(files).check()?;
    store.mend_plan()?;
    // What an earlier report left that was killed.
    let _alone = store.tidy()?;
    let mut notes = store.notes.clone();
    let changed = changed_data(&store, &args.folder.dir()?)?;
    notes.extend(changed);
    // The others are worth a report, and one that is left out must be heard of.
    let trials = store.study.trials.iter();
    let damaged: Vec<String> = trials.filter_map(|t| store.damage(&t.id)).collect();
    let code = if damaged.is_empty() { 0 } else { FAILED };
    notes.extend(damaged);
    warn(&notes);
    let paths = write(&args.dir)?;
    let mut more = Vec::new();
    if args.parquet {
        more = tox_report::write_parquet(&REPORTS, &args.dir).map_err(failed)?;
    }
    if let Some(path) = &args.latex {
        let text = tox_report::latex(&REPORTS, &args.dir).map_err(failed)?;
        files::write_named(path, text.as_bytes())?;
        more.push(path.clone());
    }
    let (gates, told) = args.ci.tell(&args.dir)?;
    let code = if code == 0 { gates } else { code };
    let text = match args.json {
        true => json(&serde_json::json!({
            "gates": gate::json(&told),
            "report": paths.html,
            "results": paths.csv,
            "figures": paths.figures,
            "more": more,
            "warnings": notes,
        }))?,
        false => {
            let more = more
                .iter()
                .map(|path| format!("wrote    {}\n", path.display()));
            format!(
                "{}\nreport   {}\nresults  {}\n{}",
                headline(&args.dir)?.trim_end(),
                paths.html.display(),
                paths.csv.display(),
                more.collect::<String>()
            )
        }
    };
    Ok(Output { text, code })
}

/// A sentence about each file of data that is here and not what the study was made with. Data that are
/// not here are none of a report's.
fn changed_data(store: &Store, dir: &DataDir) -> Result<Vec<String>> {
    let (_, faults) = store.study.clone().resolved(&HOUSE, dir)?;
    let changes = faults.iter().filter(|fault| fault.is_change());
    Ok(changes
        .map(|fault| format!("{fault}; the report shows what was measured on the old ones"))
        .collect())
}
