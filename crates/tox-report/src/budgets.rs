//! Figures of numbers against the strength of poison: across cells with several budgets of one threat, and
//! across the levels that one trial measures.

use crate::common::{Cell, Common};
use crate::figure::{Figure, short};
use crate::lines::{self, Line, Point};
use crate::plot::Axis;
use crate::stats::Interval;
use crate::svg::{Ink, Svg};
use tox_study::house::House;
use tox_study::part::Part;
use tox_study::spec::{Surface, TrialSpec};

/// The inks of lines, in turn.
const LOOKS: [(Ink, &str); 6] = [
    (Ink::Dose(2), ""),
    (Ink::Clean, ""),
    (Ink::GoodLine, ""),
    (Ink::Dose(0), "5 4"),
    (Ink::Muted, "5 4"),
    (Ink::Text, ""),
];

fn budget(house: &House, part: &Part) -> Option<f64> {
    house.threat(&part.kind)?.budget(part)
}

/// A spec without what may differ within a panel: names, seed, learner, defences, the threat's keys.
fn panel_of(spec: &TrialSpec, surface: Surface, kind: &str) -> TrialSpec {
    let mut key = line_of(spec, surface, kind);
    key.learner.keys = Default::default();
    key.defence = Default::default();
    key
}

/// A spec without what may differ along a line.
fn line_of(spec: &TrialSpec, surface: Surface, kind: &str) -> TrialSpec {
    let bare = Part {
        kind: kind.to_owned(),
        keys: Default::default(),
    };
    let mut key = spec.clone();
    key.cell = String::new();
    key.variant = None;
    key.seed = 0;
    key.threat.set(surface, bare);
    key
}

/// The error that a threat to a surface is meant to raise.
fn error(cell: &Cell, surface: Surface) -> Option<Interval> {
    match surface {
        Surface::Space | Surface::Data => cell.mean(|m| m.clean_error),
        Surface::Inputs => cell.mean(|m| {
            let worst = m.robust.iter().map(|r| r.1).reduce(f64::min)?;
            Some(100.0 - worst)
        }),
    }
}

/// Error against budget: a panel a threat and data set, a line a learner and defence. The place of budget
/// 0 is the cell without that threat.
pub fn figure(house: &House, common: &Common) -> Figure {
    let mut panels: Vec<(Surface, TrialSpec, Vec<&Cell>)> = Vec::new();
    for cell in &common.cells {
        for (surface, threat) in cell.spec().threat.all() {
            if budget(house, threat).is_none() {
                continue;
            }
            let key = panel_of(cell.spec(), surface, &threat.kind);
            match panels.iter_mut().find(|p| p.0 == surface && p.1 == key) {
                Some(panel) => panel.2.push(cell),
                None => panels.push((surface, key, vec![cell])),
            }
        }
    }
    let drawn = panels.iter();
    Figure {
        name: "error-against-budget",
        title: "Error against budget",
        caption: "Test error against the strength of the threat, mean over seeds with the 95 % t-interval; \
                  of a threat to inputs, the error under its worst attack. A line is one learner behind \
                  one defence, and begins at the cell without that threat."
            .to_owned(),
        panels: drawn.filter_map(|(s, key, cells)| panel(house, common, *s, key, cells)).collect(),
    }
}

fn panel(
    house: &House,
    common: &Common,
    surface: Surface,
    key: &TrialSpec,
    cells: &[&Cell],
) -> Option<Svg> {
    let kind = &key.threat.get(surface)?.kind;
    let mut lines: Vec<(TrialSpec, Line)> = Vec::new();
    for cell in cells {
        let threat = cell.spec().threat.get(surface)?;
        let (Some(at), Some(error)) = (budget(house, threat), error(cell, surface)) else {
            continue;
        };
        let key = line_of(cell.spec(), surface, kind);
        let point = (at, Point::from(error));
        match lines.iter_mut().find(|l| l.0 == key) {
            Some(line) => line.1.points.push(point),
            None => {
                let name = [common.learner(cell), house.defences_of(cell.spec())];
                let name: Vec<String> = name.into_iter().filter(|n| !n.is_empty()).collect();
                let mut points = vec![point];
                let without = common.cells.iter().find(|c| {
                    let there = c.spec().threat.get(surface).is_some();
                    !there && line_of(c.spec(), surface, kind) == key
                });
                let zero = without.and_then(|c| error_without(c, surface));
                points.extend(zero.map(|zero| (0.0, Point::from(zero))));
                let line = Line {
                    label: short(&name.join(", ")),
                    look: LOOKS[lines.len() % LOOKS.len()],
                    points,
                };
                lines.push((key, line));
            }
        }
    }
    let mut lines: Vec<Line> = lines.into_iter().map(|l| l.1).collect();
    for line in &mut lines {
        line.points.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    let mut budgets: Vec<f64> = lines.iter().flat_map(|l| &l.points).map(|p| p.0).collect();
    budgets.sort_by(f64::total_cmp);
    budgets.dedup();
    budgets.retain(|b| *b > 0.0);
    if budgets.len() < 2 {
        return None;
    }
    let most = budgets.last().copied()?;
    let title = format!("{kind}, {}", key.data.dataset);
    let x = Axis::linear(most, 4, "budget");
    lines::panel(&title, x, ("error, %", &[]), lines::around, &lines)
}

/// The error of a cell that nobody threatens on a surface.
fn error_without(cell: &Cell, surface: Surface) -> Option<Interval> {
    match surface {
        Surface::Space | Surface::Data => error(cell, surface),
        Surface::Inputs => cell.mean(|m| m.clean_error),
    }
}

/// A learner's own measures against their levels, where these are numbers: a panel a measure, a line a cell.
pub fn levels(common: &Common) -> Figure {
    let mut metrics: Vec<(&str, &str)> = Vec::new();
    for record in common.cells.iter().flat_map(|c| c.records()) {
        for m in &record.outcome.others {
            if m.level.parse::<f64>().is_ok() && !metrics.contains(&(m.metric, m.unit)) {
                metrics.push((m.metric, m.unit));
            }
        }
    }
    let panels = metrics.into_iter();
    Figure {
        name: "measures-by-level",
        title: "Measures by level",
        caption:
            "What a trial measures at several levels, such as numbers of poison points, mean over \
                  seeds with the 95 % t-interval; a line is a cell."
                .to_owned(),
        panels: panels
            .filter_map(|metric| by_level(common, metric))
            .collect(),
    }
}

fn by_level(common: &Common, (metric, unit): (&str, &str)) -> Option<Svg> {
    let mut lines: Vec<Line> = Vec::new();
    for cell in &common.cells {
        let mut points: Vec<(f64, Point)> = Vec::new();
        for m in cell.records().flat_map(|r| &r.outcome.others) {
            let Some(at) = m.level.parse().ok().filter(|_| m.metric == metric) else {
                continue;
            };
            if points.iter().any(|p| p.0 == at) {
                continue;
            }
            let mean = cell.mean(|o| {
                let mut own = o.others.iter();
                own.find(|o| (o.metric, &o.level) == (m.metric, &m.level))
                    .map(|o| o.value)
            });
            points.extend(mean.map(|mean| (at, Point::from(mean))));
        }
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        if points.len() > 1 {
            lines.push(Line {
                label: short(&cell.name),
                look: LOOKS[lines.len() % LOOKS.len()],
                points,
            });
        }
    }
    let places = lines.iter().flat_map(|l| &l.points).map(|p| p.0);
    let (low, high) = (places.clone().reduce(f64::min)?, places.reduce(f64::max)?);
    let title = metric.replace('_', " ");
    let y = format!("{title}, {unit}");
    let x = Axis::span(low.min(0.0), high, 4, "level");
    lines::panel(&title, x, (&y, &[]), lines::around, &lines)
}
