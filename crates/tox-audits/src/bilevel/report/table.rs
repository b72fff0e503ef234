//! `wide.csv`: one row a trial and level, in plan order, nothing but what is deterministic.

use super::cells::penalty;
use tox_bilevel::config::{BilevelConfig, Groups, TargetLabels, Victim};
use tox_bilevel::outcome::BilevelOutcome;
use tox_report::cells::variant;
use tox_report::csv;
use tox_report::run::Run;

const HEADER: &str = "trial,cell,variant,dataset,train,valid,penalty,hidden,victim,groups,seed,\
points,fraction,lambda,test_error,valid_error,train_error,valid_loss,flipped_test_error,\
rounded_test_error,norms,kuncheva,moved,hyperiterations,first_loss,last_loss,chance_error,\
diverged_at,target_rows,target_labels,target_success,target_flipped_success,target_objective\n";

/// The rows of all trials that are done. Errors are in percent; an absent number is empty; several
/// numbers in a field are separated by spaces; `diverged_at` is the number of poison points at which
/// training stopped being finite.
pub fn csv(run: &Run) -> String {
    let mut out = String::from(HEADER);
    let done = run.trials.iter();
    for (record, config, o) in done.filter_map(|t| t.measured::<BilevelConfig, BilevelOutcome>()) {
        let spec = &record.spec;
        let hidden: Vec<String> = config.hidden.iter().map(usize::to_string).collect();
        let stop = o.divergence.as_ref().map(|d| d.points.to_string());
        for l in &o.levels {
            let loss = |h: Option<&tox_bilevel::outcome::Hyperiteration>| {
                h.map_or(String::new(), |h| format!("{:.6}", h.loss))
            };
            out.push_str(&csv::row([
                record.trial.clone(),
                spec.cell.clone(),
                variant(spec).to_owned(),
                spec.data.dataset.clone(),
                spec.data.train.map_or(String::new(), |n| n.to_string()),
                spec.data.valid.to_string(),
                penalty(config.penalty).to_owned(),
                hidden.join(" "),
                victim(config.victim).to_owned(),
                groups(config.lambda.groups).to_owned(),
                spec.seed.to_string(),
                l.points.to_string(),
                format!("{:.6}", l.fraction),
                numbers(&l.lambda),
                percent(Some(l.test_error)),
                percent(Some(l.valid_error)),
                percent(Some(l.train_error)),
                format!("{:.6}", l.valid_loss),
                percent(l.flipped_test_error),
                percent(l.rounded_test_error),
                numbers(&l.norms),
                numbers(&l.kuncheva),
                format!("{:.4}", l.moved),
                l.trace.len().to_string(),
                loss(l.trace.first()),
                loss(l.trace.last()),
                percent(Some(o.chance_error)),
                stop.clone().unwrap_or_default(),
                o.target.map_or(String::new(), |t| t.rows.to_string()),
                o.target.map_or("", |t| labels(t.labels)).to_owned(),
                percent(l.target.map(|t| t.success)),
                percent(l.target.and_then(|t| t.flipped_success)),
                l.target
                    .map_or(String::new(), |t| format!("{:.6}", t.objective)),
            ]));
        }
    }
    out
}

fn victim(victim: Victim) -> &'static str {
    match victim {
        Victim::None => "none",
        Victim::Large => "large",
        Victim::CrossValidated => "cross-validated",
        Victim::Learned => "learned",
    }
}

fn labels(labels: TargetLabels) -> &'static str {
    match labels {
        TargetLabels::True => "true",
        TargetLabels::Wanted => "wanted",
    }
}

fn groups(groups: Groups) -> &'static str {
    match groups {
        Groups::One => "one",
        Groups::PerLayer => "per-layer",
    }
}

fn percent(value: Option<f64>) -> String {
    value.map_or(String::new(), |v| format!("{v:.4}"))
}

/// Six significant digits each.
fn numbers(values: &[f64]) -> String {
    let texts: Vec<String> = values.iter().map(|v| format!("{v:.5e}")).collect();
    texts.join(" ")
}
