//! What is asked of cells of compressions.

use crate::rcnas::outcome::CompressOutcome;
use crate::rcnas::outcome::{Judged, Role};
use tox_rcnas::learner::{CompressConfig, Part};
use tox_rcnas::{Evaluation, Method};
use tox_robust::evaluation::{Reliable, Warning};

tox_report::cells_of!(CompressConfig, CompressOutcome);

/// The mark of a robust accuracy that is not to be trusted.
pub const MARK: &str = "†";

/// Numbers of evaluations at which methods are compared before the end.
pub const MARKS: [usize; 8] = [1, 3, 5, 10, 25, 50, 100, 250];

/// Highest robust accuracy within the budget after `n` evaluations, as the search saw it, percent. A
/// search that had evaluated all that is within the budget keeps its last.
pub fn after(outcome: &CompressOutcome, n: usize) -> Option<f64> {
    let spent = outcome.search.evaluations.len().min(n);
    let last: &Evaluation = outcome.search.evaluations.get(spent.checked_sub(1)?)?;
    last.best_robust
}

/// Robust accuracy of the result, percent: of a table the mean over its seeds, which the search has not
/// chosen by; else what the search measured.
pub fn result(outcome: &CompressOutcome) -> Option<f64> {
    match &outcome.table {
        Some(table) => table.found,
        None => Some(outcome.search.found()?.measured?.robust),
    }
}

/// How much the result is below the best of the table, points.
pub fn regret(outcome: &CompressOutcome) -> Option<f64> {
    let table = outcome.table.as_ref()?;
    Some(table.best - table.found?)
}

/// Evaluations after which the search had seen a robust accuracy of at least `level` within the budget.
pub fn needed(outcome: &CompressOutcome, level: f64) -> Option<usize> {
    let mut evaluations = outcome.search.evaluations.iter();
    let reached = |e: &&Evaluation| e.best_robust.is_some_and(|best| best >= level);
    evaluations.find(reached).map(|e| e.index)
}

/// The teacher, or the result, as it was attacked in the end.
pub fn judged(outcome: &CompressOutcome, role: Role) -> Option<&Judged> {
    outcome.judged.iter().find(|j| j.role == role)
}

/// What speaks against the robust accuracies of a trial, with whose they are.
pub fn warnings(outcome: &CompressOutcome) -> Vec<(Role, &Warning)> {
    let all = outcome.judged.iter();
    all.flat_map(|j| j.evaluation.warnings.iter().map(|w| (j.role, w)))
        .collect()
}

/// Whether the robust accuracies of the end are not to be trusted.
pub fn unreliable(outcome: &CompressOutcome) -> bool {
    let no = |j: &Judged| j.evaluation.reliable == Reliable::No;
    outcome.judged.iter().any(no)
}

/// What was not tested of them, though nothing speaks against them, without repeats.
pub fn untested(outcome: &CompressOutcome) -> Vec<&str> {
    let mut all: Vec<&str> = Vec::new();
    let evaluations = outcome.judged.iter().map(|j| &j.evaluation);
    for untested in evaluations.flat_map(|e| &e.untested) {
        if !all.contains(&untested.reason.as_str()) {
            all.push(&untested.reason);
        }
    }
    all
}

impl<'a> Cell<'a> {
    /// How it searches.
    pub fn method(&self) -> Method {
        self.config.search.method
    }

    /// Parts of the task that meta-training never met; empty without meta-training.
    pub fn unseen(&self) -> Vec<String> {
        if self.method() != Method::RcNas {
            return Vec::new();
        }
        let first = self.records().next();
        let found = first.and_then(|r| r.outcome.search.meta.as_ref());
        found.map_or_else(
            || {
                let word = |part: &Part| match part {
                    Part::Data => "data",
                    Part::Attack => "attack",
                    Part::Teacher => "teacher",
                };
                let mut parts: Vec<String> = Vec::new();
                for part in &self.config.unseen {
                    if !parts.iter().any(|p| p == word(part)) {
                        parts.push(word(part).to_owned());
                    }
                }
                parts
            },
            |meta| meta.unseen.clone(),
        )
    }

    /// A text about its networks' robustness in the end, with the mark if it is doubtful.
    pub fn marked(&self, text: &str) -> String {
        match self.doubtful() {
            true => format!("{text} {MARK}"),
            false => text.to_owned(),
        }
    }

    /// Whether it has a trial whose robust accuracies of the end are not to be trusted.
    pub fn doubtful(&self) -> bool {
        self.records().any(|r| unreliable(r.outcome))
    }
}
