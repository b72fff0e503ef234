//! How the attack climbs, and what cross-validation saw.

use super::cells::{Cell, Setting, average};
use super::figures::learns;
use tox_bilevel::outcome::Hyperiteration;
use tox_report::figure::Figure;
use tox_report::lines::{Point, ends};
use tox_report::plot::{Axis, Panel};
use tox_report::stats::{self, Interval};
use tox_report::svg::{Ink, Svg};

/// Mean of a number at each hyperiteration of a level, over seeds.
fn trace(cell: &Cell, points: u64, of: impl Fn(&Hyperiteration) -> Option<f64>) -> Vec<Interval> {
    let seeds: Vec<&[Hyperiteration]> = cell
        .records()
        .filter_map(|r| super::cells::level(r.outcome, points))
        .map(|l| l.trace.as_slice())
        .collect();
    let longest = seeds.iter().map(|t| t.len()).max().unwrap_or(0);
    (0..longest)
        .map_while(|i| {
            let at: Vec<f64> = seeds.iter().filter_map(|t| of(t.get(i)?)).collect();
            stats::mean(&at)
        })
        .collect()
}

/// Validation loss of the learner, or its lambda, over the hyperiterations of all batches.
fn panel(
    setting: &Setting,
    y: &str,
    with: impl Fn(&Cell) -> bool,
    box_of: impl Fn(&Cell) -> (f64, f64),
    of: impl Fn(&Hyperiteration) -> Option<f64>,
) -> Option<Svg> {
    let mut lines = Vec::new();
    let mut edges: Vec<f64> = Vec::new();
    for cell in setting.cells.iter().filter(|c| with(c)) {
        let mut from = 0.0;
        let mut parts = Vec::new();
        for points in cell.planned().into_iter().skip(1) {
            let part = trace(cell, points, &of);
            let n = part.len() as f64;
            let numbered = part.into_iter().enumerate();
            let placed: Vec<(f64, Interval)> =
                numbered.map(|(i, v)| (from + i as f64, v)).collect();
            parts.push(placed);
            from += n;
            if !edges.contains(&from) {
                edges.push(from);
            }
        }
        if from > 0.0 {
            lines.push((cell, parts));
        }
    }
    let all = lines.iter().flat_map(|l| l.1.iter().flatten());
    let (low, high) = ends(all.clone().map(|(_, i)| Point::from(*i)))?;
    // No interval may widen the axis to what cannot be.
    let boxes = lines.iter().map(|l| box_of(l.0));
    let (least, most) = boxes.fold((f64::MAX, f64::MIN), |a, b| (a.0.min(b.0), a.1.max(b.1)));
    let (low, high) = (low.max(least), high.min(most));
    let room = 0.04 * (high - low);
    let last = edges.iter().copied().fold(1.0, f64::max);
    let x = Axis::linear(last, 5, "hyperiteration, batch after batch");
    let y = Axis::span(low - room, high + room, 5, y);
    let longest = lines.iter().map(|l| setting.label(l.0).chars().count());
    let margin = 6.6 * longest.max().unwrap_or(0) as f64 + 10.0;
    let mut panel = Panel::new(&setting.title, x, y, margin);
    for edge in edges.iter().filter(|e| **e < last) {
        let (low, high) = (low - room, high + room);
        panel.line(&[(*edge, low), (*edge, high)], Ink::Grid, 1.0, "3 3");
    }
    for (cell, parts) in &lines {
        let (ink, _) = cell.look();
        for part in parts {
            let band: Vec<(f64, f64, f64)> = part
                .iter()
                .filter_map(|(x, i)| Some((*x, i.mean - i.half?, i.mean + i.half?)))
                .collect();
            if band.len() > 1 {
                panel.band(&band, ink);
            }
        }
    }
    for (cell, parts) in &lines {
        let (ink, dash) = cell.look();
        for part in parts {
            let means: Vec<(f64, f64)> = part.iter().map(|(x, i)| (*x, i.mean)).collect();
            panel.line(&means, ink, 1.6, dash);
        }
        if let Some((_, last)) = parts.iter().flatten().last() {
            panel.label(last.mean, ink, &setting.label(cell));
        }
    }
    Some(panel.finish())
}

/// The adversary's objective over its hyperiterations.
pub fn losses(settings: &[Setting]) -> Figure {
    let panels = settings.iter().filter_map(|s| {
        panel(
            s,
            "validation loss",
            |_| true,
            |_| (0.0, f64::MAX),
            |h| Some(h.loss),
        )
    });
    Figure {
        name: "how-the-attack-climbs",
        title: "How the attack climbs",
        caption: "Validation cross-entropy after the inner training of each hyperiteration, the \
                  adversary's objective, before its step. Dashed uprights: a new batch begins, and \
                  lambda with it. Mean over seeds with the 95 % t-interval."
            .to_owned(),
        panels: panels.collect(),
    }
}

/// Lambda over the hyperiterations, where it is learned.
pub fn lambdas(settings: &[Setting]) -> Figure {
    let of = |h: &Hyperiteration| average(&h.lambda);
    let panels = settings.iter();
    let feasible = |c: &Cell| (c.config.lambda.min, c.config.lambda.max);
    let panels = panels.filter_map(|s| panel(s, "lambda", learns, feasible, of));
    Figure {
        name: "how-lambda-is-learned",
        title: "How lambda is learned",
        caption: "Lambda at each hyperiteration, before its step; the mean over layers where they \
                  have their own. It begins anew with each batch of poison."
            .to_owned(),
        panels: panels.collect(),
    }
}

/// Loss on the held-out folds against lambda.
pub fn cross_validation(settings: &[Setting]) -> Figure {
    let mut panels = Vec::new();
    for s in settings {
        for cell in &s.cells {
            panels.extend(folds(&format!("{}: {}", s.title, s.label(cell)), cell));
        }
    }
    Figure {
        name: "cross-validation",
        title: "Cross-validation on the clean training set",
        caption: "Mean cross-entropy on the held-out folds for each lambda tried, mean over seeds \
                  with the 95 % t-interval; the filled dot is the least. A lambda at which some \
                  seed's training diverged is left out."
            .to_owned(),
        panels,
    }
}

/// Lambda and the mean loss there, over seeds; lambdas at which some seed diverged left out.
pub fn curve(cell: &Cell) -> Vec<(f64, Interval)> {
    let tried = cell.records().next().map(|r| &r.outcome.cross_validation);
    let tried = tried.into_iter().flatten();
    tried
        .filter_map(|t| {
            let losses: Option<Vec<f64>> = cell
                .records()
                .map(|r| {
                    let folds = &r.outcome.cross_validation;
                    folds.iter().find(|c| c.lambda == t.lambda)?.loss
                })
                .collect();
            Some((t.lambda, stats::mean(&losses?)?))
        })
        .collect()
}

fn folds(title: &str, cell: &Cell) -> Option<Svg> {
    let points = curve(cell);
    let best = points
        .iter()
        .min_by(|a, b| a.1.mean.total_cmp(&b.1.mean))?
        .0;
    let (low, high) = ends(points.iter().map(|(_, i)| Point::from(*i)))?;
    let (first, last) = (points.first()?.0, points.last()?.0);
    let room = 0.04 * (high - low);
    let mut panel = Panel::new(
        title,
        Axis::span(first, last, 5, "lambda"),
        Axis::span(low - room, high + room, 5, "held-out loss"),
        14.0,
    );
    let (ink, _) = cell.look();
    let means: Vec<(f64, f64)> = points.iter().map(|(x, i)| (*x, i.mean)).collect();
    panel.line(&means, ink, 1.8, "");
    for (x, i) in &points {
        if let Some(half) = i.half {
            panel.bar(*x, i.mean - half, i.mean + half, ink);
        }
        let at = panel.at(*x, i.mean);
        panel.svg.dot(at, 3.2, ink, *x != best);
    }
    Some(panel.finish())
}
