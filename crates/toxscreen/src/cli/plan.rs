//! `toxscreen plan`: the trials of a recipe.

use super::options::Folder;
use super::run::{Changes, load};
use super::{Output, Result, json, table};
use std::path::PathBuf;
use tox_audits::HOUSE;
use tox_study::spec::TrialSpec;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  toxscreen plan recipes/ssp/table1.toml
  toxscreen plan my.toml --seeds 0..3 --json")]
pub struct Plan {
    /// Recipe [default: the built-in quickstart]
    pub recipe: Option<PathBuf>,
    #[command(flatten)]
    pub folder: Folder,
    #[command(flatten)]
    pub changes: Changes,
    /// Print one JSON object with the trials' resolved specs
    #[arg(long)]
    pub json: bool,
}

pub fn plan(args: &Plan) -> Result<Output> {
    let study = load(args.recipe.as_deref(), &args.changes.overrides()?)?;
    let (study, faults) = study.resolved(&HOUSE, &args.folder.dir()?)?;
    let unread: Vec<String> = faults.iter().map(ToString::to_string).collect();
    if args.json {
        let name = &study.recipe.name;
        let value = serde_json::json!({"study": name, "trials": study.trials, "unread": unread});
        return json(&value).map(Output::done);
    }
    let row = |t: &tox_study::plan::Trial| {
        let s = &t.spec;
        vec![
            t.id.clone(),
            t.cell(),
            s.data.name().to_owned(),
            HOUSE.threats_of(s),
            learner(s),
            s.seed.to_string(),
        ]
    };
    let rows: Vec<_> = study.trials.iter().map(row).collect();
    let head = ["trial", "cell", "data", "threat", "learner", "seed"];
    let cells = study.recipe.cells.len();
    let mut text = format!(
        "{}\n{}: {} trials in {cells} cells\n",
        table(&head, &rows),
        study.recipe.name,
        rows.len(),
    );
    if !unread.is_empty() {
        text.push_str(
            "\nids are not final: a trial is named by the content of its data, and these cannot be read:\n",
        );
        unread
            .iter()
            .for_each(|what| text.push_str(&format!("  {what}\n")));
    }
    Ok(Output::done(text))
}

/// The learner and what stands before it.
fn learner(spec: &TrialSpec) -> String {
    let title = match HOUSE.learner(&spec.learner.kind) {
        Some(learner) => learner.title(&spec.learner),
        None => spec.learner.kind.clone(),
    };
    let defences = HOUSE.defences_of(spec);
    match defences.is_empty() {
        true => title,
        false => format!("{title}, {defences}"),
    }
}
