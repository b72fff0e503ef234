//! `toxscreen report`: write a study's report again.

use super::args::Report;
use super::{Output, json};
use tox_study::store::Store;

pub fn report(args: &Report) -> anyhow::Result<Output> {
    let store = Store::open(&args.dir)?;
    // A report of damaged records would be worse than none.
    for trial in &store.study.trials {
        store.record(&trial.id).transpose()?;
    }
    let paths = tox_report::write(&args.dir)?;
    if args.json {
        let value = serde_json::json!({"report": paths.html, "results": paths.csv, "figures": paths.figures});
        return json(&value).map(Output::done);
    }
    Ok(Output::done(format!(
        "{}\nreport   {}\nresults  {}\n",
        tox_report::headline(&args.dir)?.trim_end(),
        paths.html.display(),
        paths.csv.display()
    )))
}
