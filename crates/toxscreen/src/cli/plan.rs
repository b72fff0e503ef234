//! `toxscreen plan`: the trials of a recipe.

use super::args::Plan;
use super::run::load;
use super::{Output, json, table};
use std::path::Path;
use tox_bilevel::config::{BilevelConfig, Groups, Penalty, Victim};
use tox_data::DataDir;
use tox_search::compress::task;
use tox_search::enas::config::{EnasConfig, NanPolicy, Strategy};
use tox_search::nas::NasConfig;
use tox_study::spec::{Defence, Learner, Threat, TrialSpec};

pub fn plan(args: &Plan) -> anyhow::Result<Output> {
    let study = load(args.recipe.as_deref(), &args.changes.overrides()?)?;
    let (study, faults) = study.resolved(&DataDir::resolve(args.data_dir.as_deref())?)?;
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
            threat(&s.threat),
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

fn threat(threat: &Threat) -> String {
    match threat {
        Threat::None => "none".into(),
        Threat::SearchSpace(p) => format!("{} x {}", p.set, p.q),
        Threat::Bilevel(attack) => format!("{} points", attack.points()),
        Threat::File(file) => match Path::new(&file.path).file_name() {
            Some(name) => name.to_string_lossy().into_owned(),
            None => file.path.clone(),
        },
        Threat::Evasion(threat) => task::attack(threat).name,
        other => match other.budget() {
            Some(budget) => format!("{} {} %", other.kind(), 100.0 * budget),
            None => other.kind().to_owned(),
        },
    }
}

fn learner(spec: &TrialSpec) -> String {
    let mut text = match &spec.learner {
        Learner::Enas(config) => enas(config),
        Learner::Bilevel(config) => bilevel(config),
        Learner::Synthetic(_) => "synthetic".to_owned(),
        Learner::Nas(config) => nas(config),
        Learner::RcNas(config) => format!("{}, {}", config.search.method.word(), config.teacher),
        Learner::SubNetworks(config) => format!("sub-networks of {}", config.teacher),
    };
    match &spec.defence {
        Defence::None => {}
        Defence::Screen => text.push_str(", screened space"),
        defence => text.push_str(&format!(", {}", defence.word())),
    }
    text
}

fn nas(config: &NasConfig) -> String {
    format!("{}, {}", config.search.title(), config.space.title())
}

fn enas(config: &EnasConfig) -> String {
    let mut text = match config.strategy {
        Strategy::Enas => "enas".to_owned(),
        Strategy::Random => "random".to_owned(),
    };
    if config.child.nan_policy == NanPolicy::Guarded {
        text.push_str(", guarded");
    }
    text
}

fn bilevel(config: &BilevelConfig) -> String {
    let model = match config.hidden.as_slice() {
        [] => "logistic regression".to_owned(),
        widths => {
            let widths: Vec<String> = widths.iter().map(usize::to_string).collect();
            format!("net {}", widths.join("-"))
        }
    };
    let penalty = match config.penalty {
        Penalty::L2 => "L2",
        Penalty::L1 => "L1",
    };
    let groups = match config.lambda.groups {
        Groups::One => "",
        Groups::PerLayer => " per layer",
    };
    match config.victim {
        Victim::None => format!("{model}, unregularised"),
        Victim::Large => format!("{model}, large {penalty}"),
        Victim::CrossValidated => format!("{model}, cross-validated {penalty}"),
        Victim::Learned => format!("{model}, learned {penalty}{groups}"),
    }
}
