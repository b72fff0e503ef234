//! `results.csv`: one row a measured number, of every learner in the same columns, in plan order, nothing
//! but what is deterministic.
//!
//! | column | what stands there |
//! |---|---|
//! | `study` | name of the study |
//! | `trial`, `cell`, `variant`, `seed` | of which trial the number is |
//! | `dataset` | its data |
//! | `learner` | what is audited |
//! | `threat_space`, `threat_data`, `threat_inputs` | kind of the threat to each surface; `none` without one |
//! | `budget_space`, `budget_data`, `budget_inputs` | its strength: 0 without a threat, empty where the threat has no such number |
//! | `defence` | kinds of the defences, joined by `+`; `none` without one |
//! | `metric` | `clean_error`, `claimed_error`, `robust_accuracy`, `evaluations`, or the learner's own |
//! | `level` | which of several: the attack, or a number of points; empty for one alone |
//! | `value`, `unit` | the number |

use crate::cells::variant;
use crate::common::measures;
use crate::csv;
use crate::run::Run;
use tox_study::house::{House, Measures};
use tox_study::spec::{Surface, TrialSpec};

const HEADER: &str = "study,trial,cell,variant,seed,dataset,learner,threat_space,budget_space,\
threat_data,budget_data,threat_inputs,budget_inputs,defence,metric,level,value,unit\n";

/// The rows of all trials that are done.
pub fn csv(run: &Run) -> String {
    let mut out = String::from(HEADER);
    for (trial, measures) in run.trials.iter().zip(measures(run)) {
        let Some(measures) = measures else { continue };
        let mut of_trial = vec![run.head.name.clone(), trial.id.clone()];
        of_trial.extend(conditions(&run.house, &trial.spec));
        for number in numbers(&measures) {
            out.push_str(&csv::row(of_trial.iter().cloned().chain(number)));
        }
    }
    out
}

/// What a trial is, from `cell` to `defence`.
fn conditions(house: &House, spec: &TrialSpec) -> Vec<String> {
    let learner = house.learner(&spec.learner.kind);
    let mut out = vec![
        spec.cell.clone(),
        variant(spec).to_owned(),
        spec.seed.to_string(),
        spec.data.dataset.clone(),
        learner.map_or_else(|| spec.learner.kind.clone(), |l| l.title(&spec.learner)),
    ];
    for surface in Surface::ALL {
        let Some(threat) = spec.threat.get(surface) else {
            out.extend(["none".to_owned(), "0".to_owned()]);
            continue;
        };
        let known = house.threat(&threat.kind);
        let budget = known.and_then(|known| known.budget(threat));
        out.push(threat.kind.clone());
        out.push(budget.map_or(String::new(), |b| b.to_string()));
    }
    let defences: Vec<&str> = spec.defence.all().map(|d| d.kind.as_str()).collect();
    out.push(match defences.is_empty() {
        true => "none".to_owned(),
        false => defences.join("+"),
    });
    out
}

/// Metric, level, value and unit of every number.
fn numbers(measures: &Measures) -> Vec<[String; 4]> {
    let row = |metric: &str, level: &str, value: f64, unit: &str| {
        [
            metric.to_owned(),
            level.to_owned(),
            value.to_string(),
            unit.to_owned(),
        ]
    };
    let one =
        |metric: &str, value: Option<f64>, unit: &str| value.map(|v| row(metric, "", v, unit));
    let mut out: Vec<[String; 4]> = Vec::new();
    out.extend(one("clean_error", measures.clean_error, "%"));
    out.extend(one("claimed_error", measures.claim, "%"));
    let robust = measures.robust.iter();
    out.extend(robust.map(|(attack, accuracy)| row("robust_accuracy", attack, *accuracy, "%")));
    out.extend(one(
        "evaluations",
        measures.evaluations.map(|n| n as f64),
        "candidates",
    ));
    let others = measures.others.iter();
    out.extend(others.map(|m| row(m.metric, &m.level, m.value, m.unit)));
    out
}
