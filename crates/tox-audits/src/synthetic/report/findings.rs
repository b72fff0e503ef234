//! Claim 6 of the paper, put to the maps.

use super::Cell;
use tox_bilevel::outcome::{Path, SyntheticOutcome};
use tox_report::findings::{missing, mixed};
use tox_report::run::Run;
use tox_report::stats::spearman;
use tox_report::verdict::{Case, Claim, Expect, Verdict};

/// Sentences, most important first.
pub fn findings(run: &Run, cells: &[Cell]) -> Vec<String> {
    let mut out = Vec::new();
    out.extend(mixed(run));
    out.extend(missing(run, cells));
    out.extend(cells.iter().filter(|c| c.done() > 0).map(hurt));
    out
}

/// How many training points the point joins.
fn points(cell: &Cell) -> String {
    let n = cell.spec().data.train;
    n.map_or("the training points".to_owned(), |n| {
        format!("{n} training points")
    })
}

/// What the point does to the validation error, without regularisation and with the fixed lambda.
fn hurt(cell: &Cell) -> String {
    let error = |of: fn(&SyntheticOutcome) -> &Path| {
        let mean = |value: fn(&Path) -> f64| {
            let mean = cell.mean(|o| Some(value(of(o))));
            mean.map_or("–".to_owned(), |i| format!("{:.1}", i.mean))
        };
        let rise = cell.mean(|o| Some(of(o).error - of(o).clean_error));
        let rise = rise.map_or(String::new(), |r| format!(" ({r:+})"));
        format!(
            "{} to {} %{rise}",
            mean(|p| p.clean_error),
            mean(|p| p.error)
        )
    };
    let seeds = match cell.done() {
        1 => "one trial".to_owned(),
        n => format!("{n} trials"),
    };
    format!(
        "One poison point among {}, moved to where it raises the validation loss, takes the validation \
         error from {} without regularisation and from {} with the fixed lambda {:.2} ({seeds}).",
        points(cell),
        error(|o| &o.attack_none),
        error(|o| &o.attack_fixed),
        cell.config.lambda,
    ) + &turns(cell)
}

/// By how much the point turns the boundary.
fn turns(cell: &Cell) -> String {
    let degrees = |of: fn(&SyntheticOutcome) -> Option<f64>| {
        let values = cell.records().filter_map(|r| of(r.outcome));
        let texts: Vec<String> = values.map(|t| format!("{t:.0}")).collect();
        texts.join(", ")
    };
    let (none, fixed) = (degrees(turned_none), degrees(turned_fixed));
    match none.is_empty() || fixed.is_empty() {
        true => String::new(),
        false => format!(
            " The boundary's normal turns by {none} degrees without regularisation and by {fixed} with it."
        ),
    }
}

/// Claim 6 in its parts. The paper shows one drawn example and says in words what a fixed lambda
/// changes, so each part compares the same seed with and without it.
pub fn claims(cells: &[Cell]) -> Vec<Claim> {
    let done = || cells.iter().filter(|c| c.done() > 0);
    let beside = |unit: &'static str, of: fn(&SyntheticOutcome) -> Option<f64>| -> Vec<Case> {
        done()
            .map(|c| Case::of(&c.name, c.mean(of), Expect::Down, unit))
            .collect()
    };
    let claims = [
        (
            "6a",
            "with the fixed lambda one point moves the boundary less than without regularisation \
             (difference of the angles by which its normal turns)",
            beside(" degrees", |o| Some(turned_fixed(o)? - turned_none(o)?)),
        ),
        (
            "6b",
            "with the fixed lambda the validation error rises less after the attack (difference of the \
             rises)",
            beside(" points", |o| {
                let rise = |p: &Path| p.error - p.clean_error;
                Some(rise(&o.attack_fixed) - rise(&o.attack_none))
            }),
        ),
        (
            "6c",
            "with the fixed lambda the map of the error is more uniform (difference of the standard \
             deviations over the positions)",
            beside(" points", |o| {
                Some(spread(&o.error_fixed)? - spread(&o.error_none)?)
            }),
        ),
        (
            "6d",
            "the best lambda is largest where the point hurts most (Spearman's rank correlation of the \
             two maps is at least 0.5, and the tenth of the positions with most error has a larger \
             mean best lambda than the others, in every trial; not held if neither is above 0 in any)",
            done().map(where_it_hurts).collect(),
        ),
    ];
    let claims = claims.into_iter().map(|(number, words, cases)| Claim {
        number,
        words,
        cases,
    });
    claims.filter(|c: &Claim| !c.cases.is_empty()).collect()
}

/// The angle between two boundaries' normals, degrees: 0 if the boundary only moved, above 90 if
/// its sides changed places. `None` for weights of 0.
pub fn turn(clean: &[f64; 3], poisoned: &[f64; 3]) -> Option<f64> {
    let dot = clean[0] * poisoned[0] + clean[1] * poisoned[1];
    let norms = clean[0].hypot(clean[1]) * poisoned[0].hypot(poisoned[1]);
    (norms > 0.0).then(|| (dot / norms).clamp(-1.0, 1.0).acos().to_degrees())
}

fn turned_none(o: &SyntheticOutcome) -> Option<f64> {
    turn(&o.clean_none, &o.attack_none.weights)
}

fn turned_fixed(o: &SyntheticOutcome) -> Option<f64> {
    turn(&o.clean_fixed, &o.attack_fixed.weights)
}

/// Standard deviation of a map's values; `None` for an empty one.
pub fn spread(map: &[f64]) -> Option<f64> {
    if map.is_empty() {
        return None;
    }
    let n = map.len() as f64;
    let mean = map.iter().sum::<f64>() / n;
    Some((map.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt())
}

/// Whether the best lambda is largest where the point hurts most: 6d.
fn where_it_hurts(cell: &Cell) -> Case {
    let ranks: Vec<f64> = cell
        .records()
        .filter_map(|r| spearman(&r.outcome.error_none, &r.outcome.best_lambda))
        .collect();
    let tenths: Vec<f64> = cell
        .records()
        .filter_map(|r| lead(&r.outcome.error_none, &r.outcome.best_lambda))
        .collect();
    let both = ranks.iter().zip(&tenths);
    let list = |values: &[f64]| {
        let texts: Vec<String> = values.iter().map(|v| format!("{v:+.2}")).collect();
        texts.join(", ")
    };
    let (verdict, evidence) = if ranks.is_empty() || ranks.len() != tenths.len() {
        (Verdict::CannotTell, "a map has one value only".to_owned())
    } else {
        let verdict = if both.clone().all(|(r, t)| *r >= 0.5 && *t > 0.0) {
            Verdict::Held
        } else if both.clone().all(|(r, t)| *r <= 0.0 && *t <= 0.0) {
            Verdict::NotHeld
        } else {
            Verdict::CannotTell
        };
        let evidence = format!(
            "rank correlation {}; worst tenth above the others by {}",
            list(&ranks),
            list(&tenths)
        );
        (verdict, evidence)
    };
    Case {
        setting: cell.name.clone(),
        verdict,
        evidence,
        seeds: cell.done(),
    }
}

/// Mean best lambda over the tenth of the positions with most error less that over the others.
pub fn lead(error: &[f64], lambda: &[f64]) -> Option<f64> {
    if error.len() != lambda.len() || error.len() < 2 {
        return None;
    }
    let mut order: Vec<usize> = (0..error.len()).collect();
    order.sort_by(|a, b| error[*b].total_cmp(&error[*a]));
    let (worst, rest) = order.split_at(error.len().div_ceil(10));
    let mean = |at: &[usize]| at.iter().map(|i| lambda[*i]).sum::<f64>() / at.len() as f64;
    Some(mean(worst) - mean(rest))
}
