//! Panels of lines: means over seeds with bars for their 95 % intervals.

use crate::plot::{Axis, Panel};
use crate::stats::Interval;
use crate::svg::{Datum, Ink, Svg};

/// A mean at a place on the x axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// The mean.
    pub mean: f64,
    /// Ends of its 95 % interval, if it has one.
    pub ends: Option<(f64, f64)>,
    /// Whether it is not to be trusted, and so drawn hollow.
    pub doubtful: bool,
}

impl From<Interval> for Point {
    fn from(i: Interval) -> Self {
        Self {
            mean: i.mean,
            ends: i.half.map(|half| (i.mean - half, i.mean + half)),
            doubtful: false,
        }
    }
}

/// A line of a panel.
pub struct Line {
    /// What stands at its end.
    pub label: String,
    /// Ink and dash.
    pub look: (Ink, &'static str),
    /// Percent of poison, or another place on the x axis, and the mean there.
    pub points: Vec<(f64, Point)>,
}

/// A level across a panel, to compare lines with.
pub struct Rule {
    /// Where, on the y axis.
    pub at: f64,
    /// What stands at its end; may be empty.
    pub label: String,
    /// Ink and dash.
    pub look: (Ink, &'static str),
}

impl Rule {
    /// A plain line at 0.
    pub fn zero() -> Self {
        Self {
            at: 0.0,
            label: String::new(),
            look: (Ink::Muted, ""),
        }
    }
}

/// A panel of lines with bars for their 95 % intervals; `None` without a point. `range` is given the
/// lowest and the highest end and says where the y axis begins and ends; bars are cut there.
pub fn panel(
    title: &str,
    x: Axis,
    (y, rules): (&str, &[Rule]),
    range: impl Fn(f64, f64) -> (f64, f64),
    lines: &[Line],
) -> Option<Svg> {
    let all = || lines.iter().flat_map(|l| &l.points);
    let (low, high) = ends(all().map(|(_, point)| *point))?;
    let (low, high) = range(low, high);
    let labels = lines.iter().map(|l| &l.label);
    let labels = labels.chain(rules.iter().map(|r| &r.label));
    let longest = labels.map(|l| l.chars().count()).max();
    let margin = 6.6 * longest.unwrap_or(0) as f64 + 14.0;
    let mut panel = Panel::new(title, x, Axis::span(low, high, 5, y), margin);
    let (left, right) = panel.sides();
    for rule in rules.iter().filter(|r| (low..=high).contains(&r.at)) {
        let (ink, dash) = rule.look;
        panel.line(&[(left, rule.at), (right, rule.at)], ink, 1.0, dash);
        if !rule.label.is_empty() {
            panel.label(rule.at, ink, &rule.label);
        }
    }
    // Bars would cover each other, so their lines stand a little apart.
    let bars = all().any(|(_, p)| p.ends.is_some_and(|(low, high)| high > low));
    let apart = match (bars, lines.len()) {
        (true, n @ 2..) => (12.0 / (n - 1) as f64).min(3.5),
        _ => 0.0,
    };
    let shift = |i: usize| apart * (i as f64 - (lines.len().saturating_sub(1)) as f64 / 2.0);
    for (i, line) in lines.iter().enumerate() {
        for (x, point) in &line.points {
            if let Some((low, high)) = point.ends {
                let (from, to) = (panel.at(*x, low), panel.at(*x, high));
                let moved = |p: (f64, f64)| (p.0 + shift(i), p.1);
                panel.svg.line(moved(from), moved(to), line.look.0, 1.1, "");
            }
        }
    }
    for (i, line) in lines.iter().enumerate() {
        let (ink, dash) = line.look;
        let at = line.points.iter().map(|(x, p)| panel.at(*x, p.mean));
        let at: Vec<(f64, f64)> = at.map(|p| (p.0 + shift(i), p.1)).collect();
        panel.svg.polyline(&at, ink, 1.9, dash);
        for (at, (_, point)) in at.into_iter().zip(&line.points) {
            let hollow = point.doubtful || !dash.is_empty();
            panel.svg.dot(at, 2.4, ink, hollow);
        }
        if let Some((_, last)) = line.points.last() {
            panel.label(last.mean, ink, &line.label);
        }
    }
    let mut drawn = panel.finish();
    for line in lines {
        drawn
            .data
            .extend(line.points.iter().map(|(x, point)| Datum {
                panel: title.to_owned(),
                series: line.label.clone(),
                x: *x,
                mean: point.mean,
                ends: point.ends,
            }));
    }
    Some(drawn)
}

/// A y axis with a little room beyond what is drawn.
pub fn around(low: f64, high: f64) -> (f64, f64) {
    let room = 0.04 * (high - low);
    (low - room, high + room)
}

/// The lowest and the highest end of intervals. Wide intervals of few seeds may not squeeze the
/// means into a line: ends count for no more than the means' own range beyond them.
pub fn ends(points: impl Iterator<Item = Point> + Clone) -> Option<(f64, f64)> {
    let low = points.clone().map(|p| p.mean).reduce(f64::min)?;
    let high = points.clone().map(|p| p.mean).reduce(f64::max)?;
    let room = (high - low).max(0.05 * high.abs());
    let ends = |p: Point| p.ends.unwrap_or((p.mean, p.mean));
    Some((
        points
            .clone()
            .map(|p| ends(p).0.max(p.mean - room))
            .fold(low, f64::min),
        points
            .map(|p| ends(p).1.min(p.mean + room))
            .fold(high, f64::max),
    ))
}
