//! How gradient cancelling went, and how P-DARTS learned.

use super::cells::{Cell, MARK};
use super::figures::attack_look;
use super::search::Search;
use crate::nas::outcome::NasOutcome;
use tox_report::curves::{Curve, means, panel};
use tox_report::figure::{Figure, short};
use tox_report::lines::Rule;
use tox_report::svg::Ink;

/// Loss and cosine of gradient cancelling over its iterations, of each search a panel for each.
pub fn cancelling(searches: &[Search]) -> Figure {
    let mut panels = Vec::new();
    for s in searches.iter().filter(|s| s.searches()) {
        let attacks = s.attacks();
        let gc = attacks.iter().filter(|a| a.starts_with("GC"));
        let cells: Vec<&Cell> = gc.flat_map(|attack| s.doses(attack)).collect();
        let curves = |of: fn(&NasOutcome) -> Vec<Option<f64>>| -> Vec<Curve> {
            let n = cells.len();
            let curve = |(i, c): (usize, &&Cell)| {
                // The most poison is the darkest.
                let look = (Ink::Dose(3 - (n - 1 - i).min(3)), "");
                let name = s.threat(c).replace("GC ", "");
                (c.marked(&short(&name)), look, means(c, of))
            };
            let all = cells.iter().enumerate().map(curve);
            all.filter(|c| c.2.len() > 1).collect()
        };
        let x = "iteration";
        let loss = (x, "loss, of the first");
        panels.extend(panel(
            &format!("{}: loss", s.title),
            loss,
            ((0.0, f64::MAX), &[Rule::zero()]),
            &curves(relative),
        ));
        let cosine = (x, "cosine of both gradients");
        panels.extend(panel(
            &format!("{}: cosine", s.title),
            cosine,
            ((-1.0, 1.0), &[Rule::zero()]),
            &curves(cosines),
        ));
    }
    Figure {
        name: "gradient-cancelling",
        title: "How gradient cancelling went",
        caption: format!(
            "Loss: the attack's loss |(1 - p) g_c + p g_p|² before the step of each iteration, by \
             that of the clean images. Cosine: that of the clean gradient g_c and the poison's \
             g_p; at -1 they cancel. Mean over seeds with the 95 % t-interval. {MARK}: it failed its \
             own check in some trial."
        ),
        panels,
    }
}

fn relative(outcome: &NasOutcome) -> Vec<Option<f64>> {
    let cancelled = outcome
        .poison
        .as_ref()
        .and_then(|p| p.check.cancelled.as_ref());
    let curve = cancelled.map_or(&[][..], |c| &c.curve);
    let first = curve.first().map_or(0.0, |a| a.loss);
    let part = |loss: f64| Some(loss / first).filter(|v| v.is_finite());
    curve.iter().map(|a| part(a.loss)).collect()
}

fn cosines(outcome: &NasOutcome) -> Vec<Option<f64>> {
    let cancelled = outcome
        .poison
        .as_ref()
        .and_then(|p| p.check.cancelled.as_ref());
    let curve = cancelled.map_or(&[][..], |c| &c.curve);
    curve.iter().map(|a| Some(a.cosine)).collect()
}

/// Error of P-DARTS on the half that the alphas learn from, clean beside the most poison of each
/// attack.
pub fn learning(searches: &[Search]) -> Figure {
    let mut panels = Vec::new();
    for s in searches {
        let mut curves: Vec<Curve> = Vec::new();
        if let Some(clean) = s.clean() {
            let look = (Ink::GoodLine, "2 3");
            curves.push(("clean".to_owned(), look, means(clean, errors)));
        }
        for attack in &s.attacks() {
            let done = |c: &&Cell| c.done() > 0;
            if let Some(cell) = s.doses(attack).into_iter().rfind(done) {
                let name = cell.marked(&short(&s.threat(cell)));
                curves.push((name, attack_look(attack, &s.attacks()), means(cell, errors)));
            }
        }
        curves.retain(|c| c.2.len() > 1);
        let axes = ("epoch, stage after stage", "error, %");
        panels.extend(panel(&s.title, axes, ((0.0, 100.0), &[]), &curves));
    }
    Figure {
        name: "alphas-error",
        title: "What the alphas learn from",
        caption: format!(
            "Error of the supernet on the half of the data that the alphas learn from, which is \
             poisoned too, so that flipped labels raise it by themselves; the epochs of all stages \
             after each other, those with frozen alphas left out. Mean over seeds with the 95 % \
             t-interval. {MARK}: the attack failed its own check in some trial."
        ),
        panels,
    }
}

fn errors(outcome: &NasOutcome) -> Vec<Option<f64>> {
    outcome.trace.course().errors()
}
