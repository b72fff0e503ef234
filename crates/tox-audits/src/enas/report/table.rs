//! `wide.csv`: one row a trial, in plan order, nothing but what is deterministic.

use super::cells::{budget, collapsed, poison, policy_name};
use crate::enas::outcome::EnasOutcome;
use crate::report_facts::defences;
use tox_report::cells::variant;
use tox_report::csv;
use tox_report::run::Run;
use tox_search::enas::config::{EnasConfig, Strategy};

const HEADER: &str = "trial,cell,variant,dataset,threat,q,budget,learner,nan_policy,defence,seed,\
valid_error,test_error,retrained_test_error,chance_error,collapsed,steps,nonfinite_steps,\
first_nonfinite_step,first_nan_weight_step,bad_ops_in_genotype,layers,parameters\n";

/// The rows of all trials that are done. Errors are in percent; an absent number is empty;
/// `budget` is the share of poison branches in the space, 0 to 1.
pub fn csv(run: &Run) -> String {
    let mut out = String::from(HEADER);
    let done = run.trials.iter();
    for (record, config, o) in done.filter_map(|t| t.measured::<EnasConfig, EnasOutcome>()) {
        let spec = &record.spec;
        let poison = poison(spec);
        out.push_str(&csv::row([
            record.trial.clone(),
            spec.cell.clone(),
            variant(spec).to_owned(),
            spec.data.dataset.clone(),
            poison
                .as_ref()
                .map_or("none".to_owned(), |p| p.set.to_string()),
            poison.as_ref().map_or(0, |p| p.q).to_string(),
            format!("{:.4}", budget(poison.as_ref(), config)),
            learner(config.strategy).to_owned(),
            policy_name(config.child.nan_policy).to_owned(),
            defences(spec),
            spec.seed.to_string(),
            percent(Some(o.valid_error)),
            percent(Some(o.test_error)),
            percent(o.retrained_test_error),
            percent(Some(o.chance_error)),
            collapsed(o).to_string(),
            o.steps.to_string(),
            o.nonfinite_steps.to_string(),
            step(o.first_nonfinite_step),
            step(o.first_nan_weight_step),
            o.genotype.bad_ops().to_string(),
            o.genotype.layers.len().to_string(),
            o.parameters.to_string(),
        ]));
    }
    out
}

/// The name of a learner.
pub fn learner(strategy: Strategy) -> &'static str {
    match strategy {
        Strategy::Enas => "enas",
        Strategy::Random => "random",
    }
}

fn percent(value: Option<f64>) -> String {
    value.map_or(String::new(), |v| format!("{v:.4}"))
}

fn step(value: Option<u64>) -> String {
    value.map_or(String::new(), |v| v.to_string())
}
