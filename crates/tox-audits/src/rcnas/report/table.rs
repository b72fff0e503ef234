//! `wide.csv`: one row a trial, in plan order, nothing but what is deterministic.

use super::cells::{MARKS, after, judged, result};
use super::judged::{accuracy, attacks};
use crate::rcnas::outcome::CompressOutcome;
use crate::rcnas::outcome::{Judged, Looked, Role};
use tox_rcnas::Evaluation;
use tox_rcnas::learner::CompressConfig;
use tox_report::cells::variant;
use tox_report::csv;
use tox_report::run::Run;
use tox_study::record::Record;

/// A trial that is done.
struct Row<'a> {
    record: &'a Record,
    config: &'a CompressConfig,
    outcome: &'a CompressOutcome,
}

impl Row<'_> {
    fn found<T: ToString>(&self, of: impl Fn(&Evaluation) -> Option<T>) -> String {
        text(self.outcome.search.found().and_then(of))
    }

    fn table(&self, of: impl Fn(&Looked) -> Option<f64>) -> String {
        text(self.outcome.table.as_ref().and_then(of).map(percent))
    }

    fn count(&self, is: impl Fn(&&Evaluation) -> bool) -> String {
        self.outcome
            .search
            .evaluations
            .iter()
            .filter(is)
            .count()
            .to_string()
    }
}

fn text<T: ToString>(value: Option<T>) -> String {
    value.map_or(String::new(), |v| v.to_string())
}

fn percent(value: f64) -> String {
    format!("{value:.4}")
}

/// Name of a column and its value for a trial.
type Column = (&'static str, fn(&Row) -> String);

/// All but those of evaluations and of networks judged.
const COLUMNS: [Column; 35] = [
    ("trial", |r| r.record.trial.clone()),
    ("cell", |r| r.record.spec.cell.clone()),
    ("variant", |r| variant(&r.record.spec).to_owned()),
    ("seed", |r| r.record.spec.seed.to_string()),
    ("dataset", |r| r.record.spec.data.dataset.clone()),
    ("attack", |r| r.outcome.search.target.attack.name.clone()),
    ("epsilon", |r| {
        r.outcome.search.target.attack.epsilon.to_string()
    }),
    ("teacher", |r| r.config.teacher.to_string()),
    ("teacher_macs", |r| {
        r.outcome.search.teacher.cost.macs.to_string()
    }),
    ("teacher_robust", |r| {
        percent(r.outcome.search.teacher.measured.robust)
    }),
    ("budget", |r| r.outcome.search.budget.to_string()),
    ("method", |r| r.config.search.method.word().to_owned()),
    ("evaluations", |r| r.count(|_| true)),
    ("failed", |r| r.count(|e| e.failed.is_some())),
    ("filled", |r| r.count(|e| e.filled)),
    ("repeats", |r| r.outcome.search.repeats.to_string()),
    ("skipped", |r| r.outcome.search.skipped.to_string()),
    ("meta_evaluations", |r| {
        text(r.outcome.search.meta.as_ref().map(|m| m.evaluations))
    }),
    ("meta_failed", |r| {
        text(r.outcome.search.meta.as_ref().map(|m| m.failed))
    }),
    ("unseen", |r| {
        let meta = r.outcome.search.meta.as_ref();
        text(meta.map(|m| m.unseen.join("+")))
    }),
    ("robust", |r| text(result(r.outcome).map(percent))),
    ("shape", |r| r.found(|f| Some(f.shape))),
    ("macs", |r| r.found(|f| Some(f.cost.macs))),
    ("parameters", |r| r.found(|f| Some(f.cost.parameters))),
    ("searched_robust", |r| {
        r.found(|f| Some(percent(f.measured?.robust)))
    }),
    ("searched_clean", |r| {
        r.found(|f| Some(percent(f.measured?.clean)))
    }),
    ("lipschitz", |r| {
        r.found(|f| Some(format!("{:.6e}", f.measured?.lipschitz)))
    }),
    ("early_depth", |r| {
        text(
            r.outcome
                .search
                .topology
                .map(|t| format!("{:.4}", t.early_depth)),
        )
    }),
    ("smaller_last", |r| {
        text(r.outcome.search.topology.map(|t| t.smaller_last))
    }),
    ("robust_last", |r| {
        text(r.outcome.search.topology.map(|t| t.robust_last))
    }),
    ("table", |r| {
        text(r.outcome.table.as_ref().map(|t| t.hash.clone()))
    }),
    ("table_within", |r| {
        text(r.outcome.table.as_ref().map(|t| t.within))
    }),
    ("table_best", |r| r.table(|t| Some(t.best))),
    ("table_mean", |r| r.table(|t| Some(t.mean))),
    ("table_found", |r| r.table(|t| t.found)),
];

/// A column of a network judged: its name, and what stands in it.
type OfJudged = (&'static str, fn(&Judged) -> String);

/// What is written of a network judged, beside its accuracies under attacks.
const JUDGED: [OfJudged; 7] = [
    ("shape", |j| j.shape.to_string()),
    ("clean", |j| percent(j.evaluation.clean)),
    ("worst_case", |j| percent(j.evaluation.worst_case)),
    ("macs", |j| j.cost.macs.to_string()),
    ("parameters", |j| j.cost.parameters.to_string()),
    ("lipschitz", |j| format!("{:.6e}", j.lipschitz)),
    ("reliable", |j| j.evaluation.reliable.word().to_lowercase()),
];

/// The rows of all trials that are done. Accuracies are in percent; an absent number is empty. Behind
/// the columns of all trials, the best so far after some evaluations, and what was judged.
pub fn csv(run: &Run) -> String {
    let rows: Vec<Row> = run
        .trials
        .iter()
        .filter_map(|t| {
            let (record, config, outcome) = t.measured()?;
            Some(Row {
                record,
                config,
                outcome,
            })
        })
        .collect();
    let most = rows.iter().map(|r| r.outcome.search.evaluations.len());
    let most = most.max().unwrap_or(0);
    let marks: Vec<usize> = MARKS.into_iter().filter(|m| *m <= most).collect();
    let roles = [(Role::Teacher, "teacher"), (Role::Found, "found")];
    let mut named: Vec<String> = Vec::new();
    let mut any = false;
    for judged in rows.iter().flat_map(|r| &r.outcome.judged) {
        any = true;
        for name in attacks(judged) {
            if !named.contains(&name) {
                named.push(name);
            }
        }
    }
    let roles = if any { &roles[..] } else { &[] };
    let mut head: Vec<String> = COLUMNS.iter().map(|c| c.0.to_owned()).collect();
    head.extend(marks.iter().map(|m| format!("robust_after_{m}")));
    for (_, role) in roles {
        head.extend(JUDGED.iter().map(|j| format!("judged_{role}_{}", j.0)));
        head.extend(named.iter().map(|name| format!("judged_{role}_{name}")));
    }
    let mut out = csv::row(head);
    for row in &rows {
        let mut fields: Vec<String> = COLUMNS.iter().map(|c| c.1(row)).collect();
        let seen = marks.iter().map(|m| after(row.outcome, *m).map(percent));
        fields.extend(seen.map(text));
        for (role, _) in roles {
            let judged = judged(row.outcome, *role);
            fields.extend(JUDGED.iter().map(|j| text(judged.map(j.1))));
            let of = |name: &String| text(judged.and_then(|j| accuracy(j, name)).map(percent));
            fields.extend(named.iter().map(of));
        }
        out.push_str(&csv::row(fields));
    }
    out
}
