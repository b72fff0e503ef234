//! The three colour maps.

use super::Cell;
use tox_bilevel::outcome::{Path, SyntheticOutcome};
use tox_report::figure::{Figure, short};
use tox_report::plot::{Axis, Panel, label};
use tox_report::raster::Png;
use tox_report::svg::{Anchor, Ink, Svg};

/// The maps of the first trial of each cell.
pub fn figure(cells: &[Cell]) -> Figure {
    let mut panels = Vec::new();
    for cell in cells {
        let Some(record) = cell.records().next() else {
            continue;
        };
        let o = record.outcome;
        let named = |what: &str| match cells.len() {
            1 => what.to_owned(),
            _ => format!("{}: {what}", short(&cell.name)),
        };
        // One scale for both errors, or they cannot be compared.
        let errors = || o.error_none.iter().chain(&o.error_fixed).copied();
        let ends = (
            errors().reduce(f64::min).unwrap_or(0.0),
            errors().reduce(f64::max).unwrap_or(1.0),
        );
        let lambdas = || o.best_lambda.iter().copied();
        let best = (
            lambdas().reduce(f64::min).unwrap_or(0.0),
            lambdas().reduce(f64::max).unwrap_or(1.0),
        );
        let none = Some((&o.clean_none, &o.attack_none));
        let fixed = Some((&o.clean_fixed, &o.attack_fixed));
        let maps = [
            (
                "no regularisation",
                &o.error_none,
                ends,
                "validation error, %",
                none,
            ),
            (
                &format!("fixed lambda {:.2}", cell.config.lambda),
                &o.error_fixed,
                ends,
                "validation error, %",
                fixed,
            ),
            ("best lambda", &o.best_lambda, best, "lambda", None),
        ];
        for (what, values, ends, unit, attack) in maps {
            panels.extend(map(&named(what), o, values, ends, unit, attack));
        }
    }
    let seeds: Vec<String> = cells
        .iter()
        .filter_map(|c| Some(c.records().next()?.spec.seed.to_string()))
        .collect();
    Figure {
        name: "maps",
        title: "Where one poison point hurts, and which lambda helps there",
        caption: format!(
            "Fig. 1 of the paper. Colour: validation error with the poison point at each position, \
             without regularisation and with the fixed lambda, on one scale; and the lambda of least \
             validation loss there. Dots: training points, blue and red by class. Dashed: the boundary \
             without poison; solid: with the point at the end of its way (the line from its ring to \
             its cross). First trial of each cell (seed {}).",
            seeds.join(", ")
        ),
        panels,
    }
}

/// One map; `None` if it is not a square of `grid` positions a side.
fn map(
    title: &str,
    o: &SyntheticOutcome,
    values: &[f64],
    (low, high): (f64, f64),
    unit: &str,
    attack: Option<(&[f64; 3], &Path)>,
) -> Option<Svg> {
    if values.len() != o.grid.checked_mul(o.grid)? || o.grid < 2 {
        return None;
    }
    let picture = Png::map(o.grid, values, (low, high))?;
    // A position's colour fills the square around it.
    let edge = o.half_side * (1.0 + 1.0 / (o.grid - 1) as f64);
    let axis = |caption| Axis::span(-edge, edge, 4, caption);
    let mut panel = Panel::square(title, axis("x"), axis("y"), 84.0);
    let (corner, far) = (panel.at(-edge, edge), panel.at(edge, -edge));
    let size = (far.0 - corner.0, far.1 - corner.1);
    panel.svg.image(corner, size, title, &picture);
    for (x, y, class) in &o.train {
        let ink = if *class == 0 {
            Ink::Clean
        } else {
            Ink::BadLine
        };
        let at = panel.at(*x, *y);
        panel.svg.dot(at, 1.8, ink, true);
    }
    if let Some((clean, path)) = attack {
        for (weights, dash) in [(clean, "5 4"), (&path.weights, "")] {
            if let Some((a, b)) = boundary(weights, edge) {
                // Light on dark and dark on light: a wide line under a narrow one.
                panel.line(&[a, b], Ink::Page, 3.6, "");
                panel.line(&[a, b], Ink::Text, 1.6, dash);
            }
        }
        panel.line(&path.positions, Ink::Page, 4.0, "");
        panel.line(&path.positions, Ink::Dose(0), 2.2, "");
        let ends = (path.positions.first(), path.positions.last());
        if let (Some(first), Some(last)) = ends {
            let (first, last) = (panel.at(first.0, first.1), panel.at(last.0, last.1));
            panel.svg.dot(first, 3.4, Ink::Dose(0), true);
            let (x, y) = last;
            for (reach, ink, width) in [(5.0, Ink::Page, 5.0), (4.0, Ink::Text, 2.2)] {
                for slope in [-reach, reach] {
                    let ends = ((x - reach, y - slope), (x + reach, y + slope));
                    panel.svg.line(ends.0, ends.1, ink, width, "");
                }
            }
        }
    }
    legend(
        &mut panel.svg,
        far.0 + 12.0,
        corner.1,
        size.1,
        (low, high),
        unit,
    );
    Some(panel.finish())
}

fn legend(svg: &mut Svg, x: f64, y: f64, height: f64, (low, high): (f64, f64), unit: &str) {
    let scale: Vec<f64> = (0..64).map(f64::from).collect();
    if let Some(png) = Png::map(1, &scale, (0.0, 63.0)) {
        svg.image((x, y), (12.0, height), unit, &png);
    }
    let (low, high) = if high > low {
        (low, high)
    } else {
        (low, low + 1.0)
    };
    for tick in Axis::span(low, high, 5, "").ticks {
        let part = (tick - low) / (high - low);
        let at = (x + 17.0, y + height * (1.0 - part) + 3.5);
        svg.text(at, 10.5, Anchor::Start, Ink::Muted, &label(tick));
    }
    svg.vertical((x + 50.0, y + height / 2.0), 11.0, Ink::Muted, unit);
}

/// Where the line `w . x + b = 0` crosses the square of this half side.
pub fn boundary(weights: &[f64; 3], half: f64) -> Option<((f64, f64), (f64, f64))> {
    let [u, v, b] = *weights;
    let mut hits: Vec<(f64, f64)> = Vec::new();
    for side in [-half, half] {
        if v != 0.0 {
            hits.push((side, -(u * side + b) / v));
        }
        if u != 0.0 {
            hits.push((-(v * side + b) / u, side));
        }
    }
    let slack = half * (1.0 + 1e-9);
    hits.retain(|(x, y)| x.abs() <= slack && y.abs() <= slack);
    let first = *hits.first()?;
    let far = |p: &(f64, f64)| (p.0 - first.0).hypot(p.1 - first.1);
    let last = hits.into_iter().max_by(|a, b| far(a).total_cmp(&far(b)))?;
    (far(&last) > 0.0).then_some((first, last))
}
