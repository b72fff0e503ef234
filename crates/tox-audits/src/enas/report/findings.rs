//! What the data show, in sentences. A sentence says no more than its numbers: means with their
//! intervals, how many seeds, and what is missing.

use super::cells::{self, COLLAPSE_MARGIN, Cell, clean_of, policy_name};
use super::family::by_setting;
use super::paper::{Beside, Paper, Printed};
use super::screen;
use crate::enas::outcome::EnasOutcome;
use tox_poison::space::{BadSet, PoisonSet};
use tox_report::findings::{missing, mixed, with_seeds};
use tox_report::run::Run;
use tox_report::stats::{self, Interval};

/// Sentences, most important first.
pub fn findings(run: &Run, cells: &[Cell], paper: Option<&Paper>) -> Vec<String> {
    let mut out = Vec::new();
    out.extend(mixed(run));
    out.extend(missing(run, cells));
    out.extend(constant(cells));
    let plain: Vec<&Cell> = cells
        .iter()
        .filter(|c| !c.screened() && !c.random() && c.done() > 0)
        .collect();
    for cell in &plain {
        if cell.unpoisoned() && !cell.guarded() {
            out.extend(clean(cell, paper));
        }
    }
    let one_shot = |c: &Cell| c.of_set(PoisonSet::P3Plus);
    let worst = plain
        .iter()
        .filter(|c| c.poison().is_some() && !one_shot(c) && !c.guarded())
        .filter_map(|c| Some((*c, c.test()?)))
        .max_by(|a, b| a.1.mean.total_cmp(&b.1.mean));
    if let Some((cell, test)) = worst {
        out.push(worst_cell(cells, cell, test));
    }
    out.extend(rise(cells));
    for cell in &plain {
        if one_shot(cell) || cell.collapses() > 0 {
            let like = plain.iter().filter(|c| c.policy() == cell.policy());
            let like: Vec<&Cell> = like.copied().collect();
            out.push(collapse(cell, &cell.told(&like)));
        }
    }
    let told = plain.iter().copied().filter(|c| {
        c.poison().is_none() || one_shot(c) || worst.is_some_and(|w| std::ptr::eq(w.0, *c))
    });
    out.extend(retraining(told));
    out.extend(cells.iter().filter_map(|c| screen::sentence(cells, c)));
    out
}

/// Cells without poison whose network answers no better than one class does: those of poison have their
/// own sentences.
fn constant(cells: &[Cell]) -> Option<String> {
    let names = cells.iter().filter(|c| c.unpoisoned() || c.screened());
    let names: Vec<String> = names
        .filter_map(|c| {
            let error = c.test()?.mean;
            let chance = c.mean(|o| Some(o.chance_error))?.mean;
            (error >= chance - COLLAPSE_MARGIN)
                .then(|| format!("{} ({error:.1} %, that class {chance:.1} %)", c.name))
        })
        .collect();
    (!names.is_empty()).then(|| {
        format!(
            "Warning: without poison already, these cells err no less than always answering the most \
             frequent class, within {COLLAPSE_MARGIN} points, so nothing can be said of poison by them: \
             {}.",
            names.join("; ")
        )
    })
}

fn clean(cell: &Cell, paper: Option<&Paper>) -> Option<String> {
    let (valid, test) = (cell.valid()?, cell.test()?);
    let printed = match paper.map(|p| p.cell(cell)) {
        Some(Beside::Printed(Printed { test: Some(p), .. }, reduced)) if reduced.is_empty() => {
            format!(" The paper prints {p:.2} %.")
        }
        Some(Beside::Printed(Printed { test: Some(p), .. }, reduced)) => {
            let reduced = reduced.join(", ");
            format!(" The paper prints {p:.2} % at its full size; this cell has {reduced}.")
        }
        Some(Beside::Printed(..) | Beside::Not(_)) | None => String::new(),
    };
    Some(format!(
        "Without poison ({}) the network found has {} test error with shared weights; validation \
         {:.1} %.{printed}",
        cell.name,
        with_seeds(test),
        valid.mean,
    ))
}

fn worst_cell(cells: &[Cell], cell: &Cell, test: Interval) -> String {
    let head = format!(
        "The worst repeated-op cell is {} ({}): {} test error",
        cell.name,
        cell.threat(),
        with_seeds(test)
    );
    let above = clean_of(cells, cell).and_then(|clean| cell.test_above(clean));
    match above {
        Some(above) => format!("{head}, {}", against_clean(above)),
        None => format!("{head}; there is no clean trial of the same seed to compare it with."),
    }
}

/// What a difference to the clean cell by seed amounts to.
fn against_clean(above: Interval) -> String {
    let side = if above.mean < 0.0 { "below" } else { "above" };
    let points = above.mean.abs();
    let Some(half) = above.half else {
        return format!(
            "{points:.1} points {side} clean. With {} in common there is no interval to judge that by.",
            above.lone()
        );
    };
    let verdict = if above.mean.abs() > half {
        "excludes 0"
    } else {
        "holds 0, so the difference may be chance"
    };
    format!(
        "{points:.1} points {side} clean. The 95 % interval of the differences by seed, {:.1} to \
         {:.1} points ({} seeds), {verdict}.",
        above.mean - half,
        above.mean + half,
        above.n
    )
}

/// How the error moves with q, for each set, in differences by seed.
fn rise(cells: &[Cell]) -> Option<String> {
    let mut parts = Vec::new();
    let sets = cells::sets(cells).into_iter();
    let of = |set: &BadSet| {
        let fit = |c: &&Cell| c.of_set(set.clone()) && !c.screened() && !c.random() && !c.guarded();
        cells.iter().filter(fit).collect::<Vec<&Cell>>()
    };
    let sets = sets.filter(|set| *set != PoisonSet::P3Plus.into());
    for (title, mut steps) in sets.flat_map(|set| by_setting(&set, of(&set))) {
        let q = |c: &Cell| c.poison().map_or(0, |p| p.q);
        steps.sort_by_key(|c| q(c));
        let Some(clean) = steps.first().and_then(|c| clean_of(cells, c)) else {
            continue;
        };
        steps.insert(0, clean);
        // One data set and one learner, or there is no order to speak of.
        if steps.len() < 3 || steps.windows(2).any(|w| q(w[0]) == q(w[1])) {
            continue;
        }
        let moves: Option<Vec<Interval>> =
            steps.windows(2).map(|w| w[1].test_above(w[0])).collect();
        let last = steps[steps.len() - 1];
        let (Some(moves), Some(whole)) = (moves, last.test_above(clean)) else {
            continue;
        };
        let up = moves.iter().filter(|m| m.mean > 0.0);
        let sure = up.clone().filter(|m| m.excludes_zero() == Some(true));
        let half = whole.half.map_or(String::new(), |h| format!(" ± {h:.1}"));
        parts.push(format!(
            "{title} up at {} of {} steps, {} of them by more than chance; {:+.1}{half} points at \
             q = {}",
            up.count(),
            moves.len(),
            sure.count(),
            whole.mean,
            q(last)
        ));
    }
    (!parts.is_empty()).then(|| {
        format!(
            "Test error with rising q, from clean step by step (means of the differences by seed; \
             more than chance: their 95 % interval excludes 0): {}.",
            parts.join(". ")
        )
    })
}

/// How a cell fared with NaN.
fn collapse(cell: &Cell, name: &str) -> String {
    let (k, n) = (cell.collapses(), cell.done());
    let (low, high) = stats::wilson(k, n);
    let mut text = format!(
        "{name} under {}: collapsed in {k} of {n} seeds (95 % interval of the share {:.0} to {:.0} %)",
        policy_name(cell.policy()),
        100.0 * low,
        100.0 * high
    );
    for (what, of) in [
        (
            "first non-finite gradient",
            (|o| o.first_nonfinite_step) as fn(&EnasOutcome) -> Option<u64>,
        ),
        ("first non-finite weight", |o| o.first_nan_weight_step),
    ] {
        let steps = cell.records().map(|r| of(r.outcome));
        if let Some(steps) = range(&steps.flatten().collect::<Vec<_>>()) {
            text = format!("{text}; {what} at {steps}");
        }
    }
    let skipped: u64 = cell.records().map(|r| r.outcome.nonfinite_steps).sum();
    let steps: u64 = cell.records().map(|r| r.outcome.steps).sum();
    if cell.guarded() && steps > 0 {
        text = format!("{text}; {skipped} of {steps} steps skipped");
    }
    match cell.test() {
        Some(test) => format!("{text}. Test error {}.", with_seeds(test)),
        None => format!("{text}."),
    }
}

/// `step 7` or `steps 7 to 9`.
pub fn range(steps: &[u64]) -> Option<String> {
    let (low, high) = (steps.iter().min()?, steps.iter().max()?);
    Some(if low == high {
        format!("step {low}")
    } else {
        format!("steps {low} to {high}")
    })
}

fn retraining<'c>(cells: impl Iterator<Item = &'c Cell<'c>>) -> Option<String> {
    let parts: Vec<String> = cells
        .filter_map(|c| {
            let (scratch, shared) = (c.retrained()?, c.test()?);
            Some(format!(
                "{} {:.1} % (shared weights {:.1} %)",
                c.name, scratch.mean, shared.mean
            ))
        })
        .collect();
    (!parts.is_empty()).then(|| {
        format!(
            "Trained alone from scratch, the networks found have these mean test errors: {}.",
            parts.join("; ")
        )
    })
}
