//! `toxscreen plan`: the trials of a recipe.

use super::args::Plan;
use super::run::load;
use super::{Output, json, table};
use tox_search::enas::config::{NanPolicy, Strategy};
use tox_study::spec::{Defence, Learner, Threat, TrialSpec};

pub fn plan(args: &Plan) -> anyhow::Result<Output> {
    let study = load(args.recipe.as_deref(), &args.changes.overrides()?)?;
    if args.json {
        let name = &study.recipe.name;
        let value = serde_json::json!({"study": name, "trials": study.trials});
        return json(&value).map(Output::done);
    }
    let row = |t: &tox_study::plan::Trial| {
        let s = &t.spec;
        vec![
            t.id.clone(),
            t.cell(),
            s.data.dataset.clone(),
            threat(&s.threat),
            learner(s),
            s.seed.to_string(),
        ]
    };
    let rows: Vec<_> = study.trials.iter().map(row).collect();
    let head = ["trial", "cell", "data", "threat", "learner", "seed"];
    let cells = study.recipe.cells.len();
    Ok(Output::done(format!(
        "{}\n{}: {} trials in {cells} cells\n",
        table(&head, &rows),
        study.recipe.name,
        rows.len(),
    )))
}

fn threat(threat: &Threat) -> String {
    match threat {
        Threat::None => "none".into(),
        Threat::SearchSpace(p) => format!("{} x {}", p.set, p.q),
    }
}

fn learner(spec: &TrialSpec) -> String {
    let Learner::Enas(config) = &spec.learner;
    let mut text = match config.strategy {
        Strategy::Enas => "enas".to_owned(),
        Strategy::Random => "random".to_owned(),
    };
    if config.child.nan_policy == NanPolicy::Guarded {
        text.push_str(", guarded");
    }
    if spec.defence == Defence::Screen {
        text.push_str(", screened space");
    }
    text
}
