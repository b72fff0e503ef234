//! Whether the attack attacked: its own objective, and what it adds to flipped labels.

use super::cells::{Cell, average};
use serde::Serialize;
use tox_bilevel::config::Victim;
use tox_bilevel::outcome::{BilevelOutcome, Level};
use tox_report::stats::{self, Interval};

/// What a cell's attack did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// Batches of all trials whose objective was higher at the last hyperiteration than at the
    /// first.
    pub rose: usize,
    /// Batches of at least two hyperiterations.
    pub batches: usize,
    /// Trials that end with more test error (of targets, success) than flipped labels alone give.
    pub beats: usize,
    /// Trials that have both.
    pub compared: usize,
    /// What to say of it; empty if it attacked.
    pub mark: &'static str,
    /// Mean rise of the objective over a batch.
    #[serde(skip)]
    pub rise: Option<Interval>,
    /// Mean L2 distance that the points moved.
    #[serde(skip)]
    pub moved: Option<Interval>,
    /// Test error at the most poison less that of flipped labels alone, points; of targets, success on them.
    #[serde(skip)]
    pub gain: Option<Interval>,
    /// Test error of the poison in 8 bits less that of the poison itself, points.
    #[serde(skip)]
    pub rounding: Option<Interval>,
}

impl Check {
    /// Whether the objective rose, in a word or two.
    pub fn in_short(&self) -> &'static str {
        match self.mark {
            "" => "climbed",
            _ => "did not climb",
        }
    }
}

/// The objective's rise over a level's hyperiterations.
fn climb(level: &Level) -> Option<f64> {
    let (first, last) = (level.trace.first()?, level.trace.last()?);
    (level.trace.len() > 1).then_some(last.aim() - first.aim())
}

/// The levels with poison.
fn poisoned(outcome: &BilevelOutcome) -> impl Iterator<Item = &Level> {
    outcome.levels.iter().filter(|l| l.points > 0)
}

/// How far optimised poison is above flipped labels alone, at the last level reached: in test error, or in success on
/// the target set.
fn gain(outcome: &BilevelOutcome) -> Option<f64> {
    let last = poisoned(outcome).last()?;
    match last.target {
        Some(on) => Some(on.success - on.flipped_success?),
        None => Some(last.test_error - last.flipped_test_error?),
    }
}

/// Checks a cell; `None` if it has no poisoned level.
pub fn check(cell: &Cell) -> Option<Check> {
    let climbs: Vec<f64> = cell
        .records()
        .flat_map(|r| poisoned(r.outcome).filter_map(climb))
        .collect();
    cell.records().find(|r| poisoned(r.outcome).count() > 0)?;
    let gains: Vec<f64> = cell.records().filter_map(|r| gain(r.outcome)).collect();
    let over = |of: fn(&Level) -> Option<f64>| {
        cell.mean(|o| average(&poisoned(o).filter_map(of).collect::<Vec<_>>()))
    };
    let rise = over(climb);
    let gain = stats::mean(&gains);
    let rounding = cell.mean(|o| {
        let last = poisoned(o).last()?;
        Some(last.rounded_test_error? - last.test_error)
    });
    let up = |i: Option<Interval>| i.is_some_and(|i| i.mean > 0.0);
    // A learner that learns lambda walks down the same loss, so a fall alone proves nothing.
    let mark = match (up(rise), cell.config.victim, up(gain)) {
        (true, ..) => "",
        (false, Victim::Learned, true) => {
            "the loss did not rise: lambda was learned down it; the poison beats flipped labels"
        }
        (false, ..) => "the attack did not attack",
    };
    Some(Check {
        rose: climbs.iter().filter(|c| **c > 0.0).count(),
        batches: climbs.len(),
        beats: gains.iter().filter(|g| **g > 0.0).count(),
        compared: gains.len(),
        mark,
        rise,
        moved: over(|l| Some(l.moved)),
        gain,
        rounding,
    })
}
