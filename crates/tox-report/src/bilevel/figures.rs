//! Figures of numbers against the share of poison (Fig. 2, 3, 5 to 8 and 10 to 13).

use super::cells::{Cell, Setting};
use crate::figure::Figure;
use crate::plot::{Axis, Panel};
use crate::stats::Interval;
use crate::svg::{Ink, Svg};
use tox_bilevel::config::Victim;
use tox_bilevel::outcome::Level;

/// A line of a panel.
pub struct Line {
    /// What stands at its end.
    pub label: String,
    /// Ink and dash.
    pub look: (Ink, &'static str),
    /// Percent of poison and the mean there.
    pub points: Vec<(f64, Interval)>,
}

/// A number of a cell at each planned level.
pub fn line(cell: &Cell, label: String, of: impl Fn(&Level) -> Option<f64>) -> Line {
    let at = |points: u64| Some((cell.percent(points)?, cell.at(points, &of)?));
    Line {
        label,
        look: cell.look(),
        points: cell.planned().into_iter().filter_map(at).collect(),
    }
}

/// A panel of lines with their 95 % bands; `None` without a point. The y axis begins at 0 unless
/// `free`.
pub fn panel(title: &str, y: &str, free: bool, lines: &[Line]) -> Option<Svg> {
    let all = || lines.iter().flat_map(|l| &l.points);
    let (low, high) = ends(all().map(|(_, i)| (i.mean, i.half)))?;
    let wide = all().map(|p| p.0).fold(0.0, f64::max);
    let longest = lines.iter().map(|l| l.label.chars().count()).max();
    let x = Axis::linear(wide * 1.02, 5, "poison, % of the training set");
    let y = if free {
        let room = 0.04 * (high - low);
        Axis::span(low - room, high + room, 5, y)
    } else {
        Axis::linear(high * 1.04, 4, y)
    };
    let margin = 6.6 * longest.unwrap_or(0) as f64 + 10.0;
    let mut panel = Panel::new(title, x, y, margin);
    for line in lines {
        let (ink, dash) = line.look;
        let band: Vec<(f64, f64, f64)> = line
            .points
            .iter()
            .filter_map(|(x, i)| Some((*x, i.mean - i.half?, i.mean + i.half?)))
            .collect();
        if band.len() > 1 {
            panel.band(&band, ink);
        }
        let means: Vec<(f64, f64)> = line.points.iter().map(|(x, i)| (*x, i.mean)).collect();
        panel.line(&means, ink, 1.9, dash);
        for (x, y) in &means {
            let at = panel.at(*x, *y);
            panel.svg.dot(at, 2.4, ink, !dash.is_empty());
        }
        if let Some(last) = means.last() {
            panel.label(last.1, ink, &line.label);
        }
    }
    Some(panel.finish())
}

/// The lowest and the highest end of intervals. Wide intervals of few seeds may not squeeze the
/// means into a line: ends count for no more than the means' own range beyond them.
pub fn ends(values: impl Iterator<Item = (f64, Option<f64>)> + Clone) -> Option<(f64, f64)> {
    let low = values.clone().map(|v| v.0).reduce(f64::min)?;
    let high = values.clone().map(|v| v.0).reduce(f64::max)?;
    let room = (high - low).max(0.05 * high.abs());
    let cut = |v: (f64, Option<f64>)| v.1.unwrap_or(0.0).min(room);
    Some((
        values.clone().map(|v| v.0 - cut(v)).fold(low, f64::min),
        values.map(|v| v.0 + cut(v)).fold(high, f64::max),
    ))
}

/// Test error of each victim.
pub fn errors(settings: &[Setting]) -> Figure {
    let panel = |s: &Setting| {
        let lines = s.cells.iter();
        let lines: Vec<Line> = lines
            .map(|c| line(c, s.label(c), |l| Some(l.test_error)))
            .collect();
        panel(&s.title, "test error, %", false, &lines)
    };
    Figure {
        name: "error-against-poison",
        title: "Test error against the share of poison",
        caption: "Error of the victim, trained anew on the poisoned set. Line: mean over seeds; \
                  band: its 95 % t-interval, cut at the panel's edge. none: no regularisation; \
                  large: a large constant lambda; clean CV: lambda from cross-validation on clean \
                  data; learned, per layer: learned on the trusted validation set during the \
                  attack, one lambda or one a layer."
            .to_owned(),
        panels: settings.iter().filter_map(panel).collect(),
    }
}

/// Lambda in force, a line a layer.
pub fn lambdas(settings: &[Setting]) -> Figure {
    let mut panels = Vec::new();
    for s in settings {
        let mut shared = Vec::new();
        let mut apart = Vec::new();
        for cell in &s.cells {
            let layers = cell.records().flat_map(|r| &r.outcome.levels);
            let layers = layers.map(|l| l.lambda.len()).max().unwrap_or(0);
            if layers < 2 {
                let of = |l: &Level| l.lambda.first().copied();
                shared.push(line(cell, s.label(cell), of));
                continue;
            }
            let lines: Vec<Line> = (0..layers)
                .map(|layer| Line {
                    look: layer_look(layer),
                    ..line(cell, format!("layer {}", layer + 1), |l| {
                        l.lambda.get(layer).copied()
                    })
                })
                .collect();
            let title = format!("{}: {}", s.title, s.label(cell));
            apart.extend(panel(&title, "lambda", true, &lines));
        }
        shared.retain(|l| !l.points.is_empty());
        panels.extend(panel(&s.title, "lambda", true, &shared));
        panels.extend(apart);
    }
    Figure {
        name: "lambda-against-poison",
        title: "Lambda against the share of poison",
        caption: "The lambda with which the victim was trained; the penalty is multiplied by \
                  exp(lambda). One line for each layer where layers have their own. Mean over seeds \
                  with the 95 % t-interval."
            .to_owned(),
        panels,
    }
}

fn layer_look(layer: usize) -> (Ink, &'static str) {
    const LOOKS: [(Ink, &str); 4] = [
        (Ink::Clean, ""),
        (Ink::Dose(0), "8 4"),
        (Ink::Dose(2), "2 4"),
        (Ink::Dose(3), "6 3"),
    ];
    LOOKS[layer % LOOKS.len()]
}

/// `||w||^2 / d` of each layer.
pub fn norms(settings: &[Setting]) -> Figure {
    let mut panels = Vec::new();
    for s in settings {
        let layers = s.cells[0].config.hidden.len() + 1;
        for layer in 0..layers {
            let of = |l: &Level| l.norms.get(layer).copied();
            let lines: Vec<Line> = s.cells.iter().map(|c| line(c, s.label(c), of)).collect();
            let title = match layers {
                1 => s.title.clone(),
                _ => format!("{}: layer {}", s.title, layer + 1),
            };
            panels.extend(panel(&title, "||w||² / d", false, &lines));
        }
    }
    Figure {
        name: "weights-against-poison",
        title: "Size of the weights against the share of poison",
        caption: "Squared norm of a layer's weights by their number, biases left out. Mean over \
                  seeds with the 95 % t-interval."
            .to_owned(),
        panels,
    }
}

/// Kuncheva's index at each k.
pub fn stability(settings: &[Setting]) -> Figure {
    let mut panels = Vec::new();
    for s in settings {
        let sizes = s.cells.iter().flat_map(|c| &c.config.kuncheva);
        let mut sizes: Vec<usize> = sizes.copied().collect();
        sizes.sort_unstable();
        sizes.dedup();
        for k in sizes {
            let lines: Vec<Line> = s
                .cells
                .iter()
                .filter_map(|c| {
                    let at = c.config.kuncheva.iter().position(|size| *size == k)?;
                    let of = |l: &Level| l.kuncheva.get(at).copied();
                    Some(line(c, s.label(c), of))
                })
                .collect();
            let title = format!("{}, k = {k}", s.title);
            panels.extend(panel(&title, "Kuncheva's index", true, &lines));
        }
    }
    Figure {
        name: "kuncheva",
        title: "Stability of the selected features",
        caption:
            "Kuncheva's index of the k largest weights against those of the clean level: 1 if \
                  the same features are chosen, about 0 if as many agree as chance would have it."
                .to_owned(),
        panels,
    }
}

/// The poison beside its labels alone and beside its 8-bit copy.
pub fn ablation(settings: &[Setting]) -> Figure {
    let mut panels = Vec::new();
    for s in settings {
        for cell in s.cells.iter().filter(|c| c.attack().is_some()) {
            let of = |label: &str, look, number: fn(&Level) -> Option<f64>| Line {
                look,
                ..line(cell, label.to_owned(), number)
            };
            let lines = [
                of("8-bit", (Ink::Dose(0), "2 4"), |l| l.rounded_test_error),
                of("flips", (Ink::Muted, "6 4"), |l| l.flipped_test_error),
                of("attack", (Ink::BadLine, ""), |l| Some(l.test_error)),
            ];
            if lines[0].points.is_empty() && lines[1].points.is_empty() {
                continue;
            }
            let title = format!("{}: {}", s.title, s.label(cell));
            panels.extend(panel(&title, "test error, %", false, &lines));
        }
    }
    Figure {
        name: "attack-beside-flips",
        title: "What optimising adds to flipped labels, and what 8 bits leave",
        caption: "attack: test error under the optimised poison. flips: the level's last batch as \
                  it began, labels flipped and nothing optimised. 8-bit: the poison rounded to 8 \
                  bits. Mean over seeds with the 95 % t-interval."
            .to_owned(),
        panels,
    }
}

/// Whether lambda of a cell is learned during the attack.
pub fn learns(cell: &Cell) -> bool {
    cell.config.victim == Victim::Learned
}
