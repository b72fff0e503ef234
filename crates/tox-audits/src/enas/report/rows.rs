//! Figures with one row a trial or a cell: how searches died, and what retraining changed.

use super::cells::Cell;
use crate::enas::outcome::EnasOutcome;
use tox_report::figure::Figure;
use tox_report::stats::Interval;
use tox_report::svg::{Anchor, Ink, Svg};

/// When gradients and weights stopped being finite, one row a trial.
pub fn death(cells: &[Cell]) -> Figure {
    let hit =
        |o: &EnasOutcome| o.first_nonfinite_step.is_some() || o.first_nan_weight_step.is_some();
    let rows: Vec<(String, &EnasOutcome)> = cells
        .iter()
        .filter(|c| c.records().any(|r| hit(r.outcome)))
        .flat_map(|c| {
            c.records()
                .map(|r| (format!("{}, seed {}", c.name, r.spec.seed), r.outcome))
        })
        .collect();
    Figure {
        name: "how-it-died",
        title: "How it died",
        caption: "Child steps on an axis of ln(1 + step). Hollow dot: the first step whose gradient \
                  norm was not finite; cross: the first step after which a weight was NaN or \
                  infinite; a grey line runs to the end of the search, a red one from the cross on. \
                  Cells in which no trial met a non-finite gradient are left out."
            .to_owned(),
        panels: drawn(&rows, draw_death),
    }
}

/// The drawing, unless there is nothing to draw.
fn drawn<R>(rows: &[R], draw: fn(&[R]) -> Svg) -> Vec<Svg> {
    match rows.is_empty() {
        true => Vec::new(),
        false => vec![draw(rows)],
    }
}

/// Room for the longest name, which is not cut: variants often differ at their ends.
fn beside<'n>(least: f64, names: impl Iterator<Item = &'n String>) -> f64 {
    let longest = names.map(|name| name.chars().count()).max();
    least.max(6.4 * longest.unwrap_or(0) as f64 + 14.0)
}

/// A line across the rows with its number below.
fn mark(svg: &mut Svg, x: f64, (top, bottom): (f64, f64), number: f64) {
    svg.line((x, top), (x, bottom), Ink::Grid, 1.0, "");
    let at = (x, bottom + 15.0);
    svg.text(
        at,
        10.5,
        Anchor::Middle,
        Ink::Muted,
        &format!("{number:.0}"),
    );
}

fn draw_death(rows: &[(String, &EnasOutcome)]) -> Svg {
    let (left, top, row, width) = (beside(176.0, rows.iter().map(|r| &r.0)), 14.0, 18.0, 500.0);
    let bottom = top + row * rows.len() as f64;
    let mut svg = Svg::new(left + width + 24.0, bottom + 42.0);
    let max = rows.iter().map(|r| r.1.steps).max().unwrap_or(1).max(1) as f64;
    let x = |step: f64| left + width * step.ln_1p() / max.ln_1p();
    let mut tick = 1.0;
    while tick <= max {
        mark(&mut svg, x(tick), (top, bottom), tick);
        tick *= 10.0;
    }
    let middle = (left + width / 2.0, bottom + 33.0);
    svg.text(middle, 11.0, Anchor::Middle, Ink::Muted, "child step");
    for (i, (name, o)) in rows.iter().enumerate() {
        let y = top + row * (i as f64 + 0.5);
        let end = x(o.steps as f64);
        svg.text((left - 10.0, y + 3.5), 11.0, Anchor::End, Ink::Text, name);
        svg.line((left, y), (end, y), Ink::Grid, 3.0, "");
        if let Some(step) = o.first_nan_weight_step {
            let from = x(step as f64);
            svg.line((from, y), (end, y), Ink::BadLine, 3.0, "");
            svg.cross((from, y), 4.5, Ink::BadLine);
        }
        if let Some(step) = o.first_nonfinite_step {
            svg.dot((x(step as f64), y), 4.0, Ink::Text, true);
        }
    }
    svg
}

/// Error with shared weights beside error after training from scratch, one row a cell.
pub fn retraining(cells: &[Cell]) -> Figure {
    let rows: Vec<(String, Interval, Interval)> = cells
        .iter()
        .filter_map(|c| Some((c.name.clone(), c.test()?, c.retrained()?)))
        .collect();
    Figure {
        name: "retraining",
        title: "Shared weights against training from scratch",
        caption:
            "Test error of the network that the search returned, mean over seeds. Filled: with \
                  the weights that all networks share; hollow: after training that network alone \
                  from scratch. Thin lines: 95 % t-interval. A long bridge to the left \
                  speaks for spoiled shared weights rather than a bad architecture."
                .to_owned(),
        panels: drawn(&rows, draw_retraining),
    }
}

fn draw_retraining(rows: &[(String, Interval, Interval)]) -> Svg {
    let (left, top, row, width) = (beside(150.0, rows.iter().map(|r| &r.0)), 14.0, 20.0, 526.0);
    let bottom = top + row * rows.len() as f64;
    let mut svg = Svg::new(left + width + 24.0, bottom + 42.0);
    let x = |error: f64| left + width * error.clamp(0.0, 100.0) / 100.0;
    for tick in [0.0, 25.0, 50.0, 75.0, 100.0] {
        mark(&mut svg, x(tick), (top, bottom), tick);
    }
    let middle = (left + width / 2.0, bottom + 33.0);
    svg.text(middle, 11.0, Anchor::Middle, Ink::Muted, "test error, %");
    for (i, (name, shared, scratch)) in rows.iter().enumerate() {
        let y = top + row * (i as f64 + 0.5);
        svg.text((left - 10.0, y + 3.5), 11.0, Anchor::End, Ink::Text, name);
        let ends = ((x(scratch.mean), y), (x(shared.mean), y));
        svg.line(ends.0, ends.1, Ink::Grid, 4.0, "");
        for (value, ink, dy, hollow) in [
            (shared, Ink::Dose(2), -2.5, false),
            (scratch, Ink::Clean, 2.5, true),
        ] {
            if let Some(half) = value.half {
                let (low, high) = (x(value.mean - half), x(value.mean + half));
                svg.line((low, y + dy), (high, y + dy), ink, 1.0, "");
            }
            svg.dot((x(value.mean), y), 4.2, ink, hollow);
        }
    }
    svg
}
