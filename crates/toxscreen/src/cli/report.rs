//! `toxscreen report`: write a study's report again.

use super::args::Report;
use super::warn;
use super::{FAILED, Output, json};
use tox_data::DataDir;
use tox_study::store::Store;

pub fn report(args: &Report) -> anyhow::Result<Output> {
    let mut store = Store::open(&args.dir)?;
    store.mend_plan()?;
    // What an earlier report left that was killed.
    let _alone = store.tidy()?;
    let mut notes = store.notes.clone();
    let changed = changed_data(&store, &DataDir::resolve(args.data_dir.as_deref())?)?;
    notes.extend(changed);
    // The others are worth a report, and one that is left out must be heard of.
    let trials = store.study.trials.iter();
    let damaged: Vec<String> = trials.filter_map(|t| store.damage(&t.id)).collect();
    let code = if damaged.is_empty() { 0 } else { FAILED };
    notes.extend(damaged);
    warn(&notes);
    let paths = tox_report::write(&args.dir)?;
    let text = match args.json {
        true => json(&serde_json::json!({
            "report": paths.html,
            "results": paths.csv,
            "figures": paths.figures,
            "warnings": notes,
        }))?,
        false => format!(
            "{}\nreport   {}\nresults  {}\n",
            tox_report::headline(&args.dir)?.trim_end(),
            paths.html.display(),
            paths.csv.display()
        ),
    };
    Ok(Output { text, code })
}

/// A sentence about each file of data that is here and not what the study was made with. Data that are
/// not here are none of a report's.
fn changed_data(store: &Store, dir: &DataDir) -> anyhow::Result<Vec<String>> {
    let (_, faults) = store.study.clone().resolved(dir)?;
    let changes = faults.iter().filter(|fault| fault.is_change());
    Ok(changes
        .map(|fault| format!("{fault}; the report shows what was measured on the old ones"))
        .collect())
}
