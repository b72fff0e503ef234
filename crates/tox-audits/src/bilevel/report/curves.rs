//! Loss and error against lambda on finished poison.

use super::cells::{Cell, Setting, level};
use tox_bilevel::outcome::Tried;
use tox_report::figure::Figure;
use tox_report::lines::{Line, around, panel};
use tox_report::plot::Axis;
use tox_report::stats;
use tox_report::svg::{Ink, Svg};

/// For each cell that has curves a panel of the test error and one of the trusted points' loss.
pub fn figure(settings: &[Setting]) -> Figure {
    let mut panels = Vec::new();
    for s in settings {
        for cell in &s.cells {
            let title = format!("{}: {}", s.title, s.label(cell));
            panels.extend(drawn(&title, "test error, %", cell, |t| t.test_error));
            panels.extend(drawn(&title, "trusted loss", cell, |t| t.valid_loss));
        }
    }
    Figure {
        name: "lambda-on-finished-poison",
        title: "Lambda on finished poison",
        caption: "The victim retrained with each lambda on one and the same poison, that of each level: its test \
                  error, and the cross-entropy on the trusted points that a learner of lambda sees. The poison was \
                  crafted against the lambda of its own cell, so a curve says what another choice would have been \
                  worth against that poison, and nothing of a poison made against that choice. Mean over seeds with \
                  the 95 % t-interval; a lambda at which some seed's training diverged is left out."
            .to_owned(),
        panels,
    }
}

fn drawn(title: &str, y: &str, cell: &Cell, of: impl Fn(&Tried) -> Option<f64>) -> Option<Svg> {
    let planned = cell.planned();
    let lines: Vec<Line> = planned
        .iter()
        .enumerate()
        .map(|(i, &points)| {
            let percent = cell.percent(points).unwrap_or(0.0);
            Line {
                label: format!("{percent:.1} %"),
                look: match i {
                    0 => (Ink::Clean, ""),
                    i @ 1..=4 => (Ink::Dose(i - 1), ""),
                    // There are four inks of doses.
                    i => (Ink::Dose(i - 1), "6 3"),
                },
                points: curve(cell, points, &of),
            }
        })
        .filter(|line| !line.points.is_empty())
        .collect();
    let all = || lines.iter().flat_map(|l| &l.points).map(|p| p.0);
    let (first, last) = (all().reduce(f64::min)?, all().reduce(f64::max)?);
    let x = Axis::span(first, last, 5, "lambda");
    panel(title, x, (y, &[]), around, &lines)
}

/// Lambdas and the mean of a number there, over seeds.
fn curve(
    cell: &Cell,
    points: u64,
    of: impl Fn(&Tried) -> Option<f64>,
) -> Vec<(f64, tox_report::lines::Point)> {
    let levels: Option<Vec<_>> = cell.records().map(|r| level(r.outcome, points)).collect();
    let levels = levels.unwrap_or_default();
    let Some(first) = levels.first() else {
        return Vec::new();
    };
    let at = |lambda: f64| {
        let seeds: Option<Vec<f64>> = levels
            .iter()
            .map(|l| of(l.curve.iter().find(|t| t.lambda == lambda)?))
            .collect();
        Some((lambda, stats::mean(&seeds?)?.into()))
    };
    first.curve.iter().filter_map(|t| at(t.lambda)).collect()
}
