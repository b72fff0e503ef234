//! Figures of numbers against the share of poison (Fig. 2, 3, 5 to 8 and 10 to 13).

use super::cells::{Cell, Setting};
use tox_bilevel::config::Victim;
use tox_bilevel::outcome::Level;
use tox_report::figure::Figure;
use tox_report::lines::{Line, Rule, around, panel};
use tox_report::plot::Axis;
use tox_report::svg::{Ink, Svg};

/// A number of a cell at each planned level.
pub fn line(cell: &Cell, label: String, of: impl Fn(&Level) -> Option<f64>) -> Line {
    let at = |points: u64| Some((cell.percent(points)?, cell.at(points, &of)?.into()));
    Line {
        label,
        look: cell.look(),
        points: cell.planned().into_iter().filter_map(at).collect(),
    }
}

/// A panel whose x axis is the share of poison.
fn against_poison(
    title: &str,
    y: &str,
    range: impl Fn(f64, f64) -> (f64, f64),
    lines: &[Line],
) -> Option<Svg> {
    panel(title, shares(lines), (y, &[]), range, lines)
}

/// The axis of the shares of poison, with ticks at those measured where these are few.
fn shares(lines: &[Line]) -> Axis {
    let all = lines.iter().flat_map(|l| &l.points);
    let mut shares: Vec<f64> = all.map(|p| p.0).collect();
    shares.sort_by(f64::total_cmp);
    shares.dedup_by(|a, b| (*a - *b).abs() < 1e-9);
    let wide = shares.last().copied().unwrap_or(0.0).max(1e-9);
    let mut axis = Axis::span(
        -0.04 * wide,
        1.04 * wide,
        5,
        "poison, % of the training set",
    );
    if shares.len() <= 7 {
        // A tick is written with a decimal, and so stands there.
        axis.ticks = shares.iter().map(|s| (10.0 * s).round() / 10.0).collect();
    }
    axis
}

/// A y axis from 0.
fn from_zero(_: f64, high: f64) -> (f64, f64) {
    (0.0, 1.04 * high.max(1e-9))
}

/// Where the paper has a figure, for logistic regression and for networks.
fn paper(settings: &[Setting], regression: &str, network: &str) -> String {
    let nets = |net: bool| {
        settings
            .iter()
            .any(|s| net != s.cells[0].config.hidden.is_empty())
    };
    let parts: Vec<&str> = [(nets(false), regression), (nets(true), network)]
        .into_iter()
        .filter_map(|(is, name)| (is && !name.is_empty()).then_some(name))
        .collect();
    match parts.as_slice() {
        [] => String::new(),
        parts => format!("{} of the paper.", parts.join(" and ")),
    }
}

/// Test error of each victim.
pub fn errors(settings: &[Setting]) -> Figure {
    let panel = |s: &Setting| {
        let lines = s.cells.iter();
        let lines: Vec<Line> = lines
            .map(|c| line(c, s.label(c), |l| Some(l.test_error)))
            .collect();
        against_poison(&s.title, "test error, %", from_zero, &lines)
    };
    Figure {
        name: "error-against-poison",
        title: "Test error against the share of poison",
        caption: format!(
            "{} Error of the victim, trained anew on the poisoned set. Dots: mean over seeds; bars: \
             its 95 % t-interval, cut at the panel's edge; lines stand a little apart where bars \
             would meet. none: no regularisation; large: a large constant lambda; clean CV: lambda \
             from cross-validation on clean data; learned, per layer: learned on the trusted \
             validation set during the attack, one lambda or one a layer.",
            paper(settings, "Fig. 2", "Fig. 6 (L2) and 11 (L1)")
        ),
        panels: settings.iter().filter_map(panel).collect(),
    }
}

/// Lambda in force, a line a layer.
pub fn lambdas(settings: &[Setting]) -> Figure {
    let mut panels = Vec::new();
    for s in settings {
        // No lambda is outside of its box, however wide an interval is.
        let boxes = s.cells.iter().map(|c| &c.config.lambda);
        let least = boxes
            .clone()
            .map(|b| b.min.min(b.large))
            .fold(f64::MAX, f64::min);
        let most = boxes.map(|b| b.max.max(b.large)).fold(f64::MIN, f64::max);
        let range = |low: f64, high: f64| around(low.max(least), high.min(most));
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
                    ..line(cell, layer_name(layer, layers), |l| {
                        l.lambda.get(layer).copied()
                    })
                })
                .collect();
            let title = format!("{}: {}", s.title, s.label(cell));
            apart.extend(against_poison(&title, "lambda", range, &lines));
        }
        shared.retain(|l| !l.points.is_empty());
        // Constants alone are no figure.
        let constant = |c: &&Cell| matches!(c.config.victim, Victim::None | Victim::Large);
        if !s.cells.iter().filter(|c| c.done() > 0).all(constant) {
            panels.extend(against_poison(&s.title, "lambda", range, &shared));
        }
        panels.extend(apart);
    }
    Figure {
        name: "lambda-against-poison",
        title: "Lambda against the share of poison",
        caption: format!(
            "{} The lambda with which the victim was trained; the penalty is multiplied by \
             exp(lambda). One line for each layer where layers have their own. Mean over seeds with \
             the 95 % t-interval.",
            paper(
                settings,
                "Fig. 3 (MNIST) and 8 (Fashion-MNIST, CIFAR-10)",
                "Fig. 7 (per layer, L2), 12 (per layer, L1) and 14 (one lambda)"
            )
        ),
        panels,
    }
}

/// Layer 0 to `layers - 1`, the last of which is the output's.
fn layer_name(layer: usize, layers: usize) -> String {
    match layer + 1 {
        n if n == layers => "output".to_owned(),
        n => format!("layer {n}"),
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
                _ => format!("{}: {}", s.title, layer_name(layer, layers)),
            };
            panels.extend(against_poison(&title, "‖w‖² / d", from_zero, &lines));
        }
    }
    Figure {
        name: "weights-against-poison",
        title: "Size of the weights against the share of poison",
        caption: format!(
            "{} Squared norm of a layer's weights by their number d, biases left out. Mean over seeds \
             with the 95 % t-interval.",
            paper(
                settings,
                "Fig. 3 (MNIST) and 8 (Fashion-MNIST, CIFAR-10)",
                "Fig. 13 (each layer) and 14 (one lambda)"
            )
        ),
        panels,
    }
}

/// Kuncheva's index at each k.
pub fn stability(settings: &[Setting]) -> Figure {
    // One scale for every k, or they cannot be compared.
    let unit = |low: f64, _: f64| (low.clamp(-1.0, 0.0), 1.02);
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
            panels.extend(against_poison(&title, "Kuncheva's index", unit, &lines));
        }
    }
    Figure {
        name: "kuncheva",
        title: "Stability of the selected features",
        caption: format!(
            "{} Kuncheva's index of the k largest weights against those of the same learner without \
             poison: 1 if the same features are chosen, about 0 if as many agree as chance would have \
             it. Mean over seeds with the 95 % t-interval.",
            paper(settings, "Fig. 5 (L2) and 10 (L1)", "")
        ),
        panels,
    }
}

/// How far the poison is above its labels alone.
pub fn flips(settings: &[Setting]) -> Figure {
    let gain = |l: &Level| Some(l.test_error - l.flipped_test_error?);
    let panel = |s: &Setting| {
        let cells = s.cells.iter().filter(|c| c.attack().is_some());
        let lines: Vec<Line> = cells.map(|c| line(c, s.label(c), gain)).collect();
        let range = |low: f64, high: f64| around(low.min(0.0), high.max(0.0));
        panel(
            &s.title,
            shares(&lines),
            ("error above flips, points", &[Rule::zero()]),
            range,
            &lines,
        )
    };
    Figure {
        name: "attack-beside-flips",
        title: "What optimising adds to flipped labels",
        caption: "Test error under the poison less that with the level's last batch as it began, its \
                  labels flipped and nothing optimised, by seed. Above 0: optimising the points does \
                  harm of its own. Mean over seeds with the 95 % t-interval."
            .to_owned(),
        panels: settings.iter().filter_map(panel).collect(),
    }
}

/// Whether lambda of a cell is learned during the attack.
pub fn learns(cell: &Cell) -> bool {
    cell.config.victim == Victim::Learned
}
