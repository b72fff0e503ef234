//! Panels of curves: means over seeds with faint bands for their 95 % intervals.

use crate::cells::Cell;
use crate::lines::{Point, Rule, ends};
use crate::plot::{Axis, Panel};
use crate::stats::{self, Interval};
use crate::svg::{Ink, Svg};

/// A curve: what stands at its end, its look, and the mean at each place.
pub type Curve = (String, (Ink, &'static str), Vec<(f64, Interval)>);

/// Means over the trials of a cell of curves that `of` reads, place by place; where a trial has
/// nothing there is no mean.
pub fn means<C, O>(cell: &Cell<C, O>, of: impl Fn(&O) -> Vec<Option<f64>>) -> Vec<(f64, Interval)> {
    let seeds: Vec<Vec<Option<f64>>> = cell.records().map(|r| of(r.outcome)).collect();
    let longest = seeds.iter().map(Vec::len).max().unwrap_or(0);
    let at = |i: usize| {
        let values: Option<Vec<f64>> = seeds.iter().map(|s| s.get(i).copied().flatten()).collect();
        Some((i as f64, stats::mean(&values?)?))
    };
    (0..longest).filter_map(at).collect()
}

/// A panel of curves with faint bands for their intervals, cut at `least` and `most`, and levels
/// across it; `None` without a point. A level with a label is one that the axis must reach.
pub fn panel(
    title: &str,
    (x, y): (&str, &str),
    ((least, most), rules): ((f64, f64), &[Rule]),
    curves: &[Curve],
) -> Option<Svg> {
    let all = || curves.iter().flat_map(|c| &c.2);
    let (low, high) = ends(all().map(|(_, i)| Point::from(*i)))?;
    let named = || rules.iter().filter(|r| !r.label.is_empty()).map(|r| r.at);
    let (low, high) = (named().fold(low, f64::min), named().fold(high, f64::max));
    let (low, high) = (low.max(least), high.min(most));
    let room = 0.04 * (high - low);
    let last = all().map(|(x, _)| *x).fold(1.0, f64::max);
    let labels = curves.iter().map(|c| &c.0);
    let labels = labels.chain(rules.iter().map(|r| &r.label));
    let longest = labels.map(|l| l.chars().count()).max();
    let margin = 6.6 * longest.unwrap_or(0) as f64 + 14.0;
    let y = Axis::span(low - room, high + room, 5, y);
    let mut panel = Panel::new(title, Axis::linear(last, 5, x), y, margin);
    for rule in rules.iter().filter(|r| low <= r.at && r.at <= high) {
        let (ink, dash) = rule.look;
        panel.line(&[(0.0, rule.at), (last, rule.at)], ink, 1.0, dash);
        if !rule.label.is_empty() {
            panel.label(rule.at, ink, &rule.label);
        }
    }
    for (_, (ink, _), points) in curves {
        let band: Vec<(f64, f64, f64)> = points
            .iter()
            .filter_map(|(x, i)| Some((*x, i.mean - i.half?, i.mean + i.half?)))
            .collect();
        if band.len() > 1 {
            panel.band(&band, *ink);
        }
    }
    for (label, (ink, dash), points) in curves {
        let line: Vec<(f64, f64)> = points.iter().map(|(x, i)| (*x, i.mean)).collect();
        panel.line(&line, *ink, 1.6, dash);
        if let Some((_, last)) = points.last() {
            panel.label(last.mean, *ink, label);
        }
    }
    Some(panel.finish())
}
