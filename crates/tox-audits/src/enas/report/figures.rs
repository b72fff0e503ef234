//! The figures of the paper's Figure 4: its three columns.

use super::cells::{Cell, POLICIES, budget};
use super::family::Family;
use super::paper::Paper;
use crate::enas::outcome::Epoch;
use tox_report::figure::{Figure, short};
use tox_report::plot::{Axis, Panel};
use tox_report::stats::Interval;
use tox_report::svg::{Ink, Svg};
use tox_search::enas::config::NanPolicy;

/// The window of the moving average, epochs: the paper's 20, or a fifth of a shorter search.
pub fn window(epochs: usize) -> usize {
    (epochs / 5).clamp(1, 20)
}

/// Mean of the last `window` values (fewer at the start), one a value.
fn moving_average(epochs: &[Epoch], window: usize) -> Vec<f64> {
    (0..epochs.len())
        .map(|i| {
            let part = &epochs[(i + 1).saturating_sub(window)..=i];
            part.iter().map(|e| e.valid_error).sum::<f64>() / part.len() as f64
        })
        .collect()
}

/// Validation error against epochs.
pub fn curves(cells: &[Cell]) -> Figure {
    let families = Family::all(cells);
    let longest = |c: &Cell| c.records().map(|r| r.outcome.epochs.len()).max();
    let panels = families.iter().map(|family| {
        let epochs = family.with_clean().filter_map(longest).max().unwrap_or(1);
        let window = window(epochs);
        let mut panel = Panel::new(
            &family.title,
            Axis::linear(epochs as f64, 5, "epoch"),
            Axis::percent("validation error, %"),
            family.margin(),
        );
        for cell in family.with_clean() {
            let (ink, dash) = family.look(cell);
            let seeds: Vec<Vec<f64>> = cell
                .records()
                .map(|r| moving_average(&r.outcome.epochs, window))
                .collect();
            let band: Vec<(f64, f64, f64)> = (0..epochs)
                .filter_map(|i| {
                    let at: Vec<f64> = seeds.iter().filter_map(|s| s.get(i).copied()).collect();
                    let low = at.iter().copied().reduce(f64::min)?;
                    let high = at.iter().copied().reduce(f64::max)?;
                    Some(((i + 1) as f64, low, high))
                })
                .collect();
            let line: Vec<(f64, f64)> = (0..band.len())
                .map(|i| {
                    let at = seeds.iter().filter_map(|s| s.get(i));
                    let n = seeds.iter().filter(|s| s.len() > i).count();
                    (band[i].0, at.sum::<f64>() / n as f64)
                })
                .collect();
            if seeds.len() > 1 {
                panel.band(&band, ink);
            }
            panel.line(&line, ink, 2.0, dash);
            if let Some(last) = line.last() {
                panel.label(last.1, ink, &short(&cell.name));
            }
        }
        panel.finish()
    });
    let epochs = cells.iter().filter_map(longest).max().unwrap_or(1);
    Figure {
        name: "validation-error",
        title: "Validation error while searching",
        caption: format!(
            "Error of the best of each epoch's candidates with shared weights, moving average over \
             the last {} epochs (a fifth of the search, at most 20). \
             Line: mean over seeds; band: lowest to highest seed; dashed: NaN policy guarded.",
            window(epochs)
        ),
        panels: panels.collect(),
    }
}

/// Final error against the multiplicity q.
pub fn error_against_q(cells: &[Cell], paper: Option<&Paper>) -> Figure {
    let families = Family::all(cells);
    let panels = families.iter().map(|family| {
        let max = family.doses.last().copied().unwrap_or(1) as f64;
        let ticks = std::iter::once(0).chain(family.doses.iter().copied());
        let mut panel = Panel::new(
            &family.title,
            Axis::log(
                max * 1.15,
                ticks.map(|q| q as f64).collect(),
                "multiplicity q",
            ),
            Axis::percent("error, %"),
            58.0,
        );
        for policy in POLICIES {
            let line: Vec<&Cell> = family
                .with_clean()
                .filter(|c| c.policy() == policy)
                .collect();
            if line.iter().all(|c| c.poison().is_none()) {
                continue;
            }
            let (dash, suffix) = match policy {
                NanPolicy::Torch => ("", ""),
                NanPolicy::Torch19 => ("2 2", " 1.9"),
                NanPolicy::Guarded => ("5 4", " g."),
            };
            let test = (Ink::Dose(2), format!("test{suffix}"));
            let valid = (Ink::Clean, format!("valid.{suffix}"));
            for ((ink, label), tested) in [(valid, false), (test, true)] {
                let of = |c: &Cell| if tested { c.test() } else { c.valid() };
                let points: Vec<(f64, Interval)> = line
                    .iter()
                    .filter_map(|c| Some((c.poison().map_or(0, |p| p.q) as f64, of(c)?)))
                    .collect();
                let means: Vec<_> = points.iter().map(|(q, i)| (*q, i.mean)).collect();
                panel.line(&means, ink, 1.8, dash);
                for (q, interval) in &points {
                    if let Some(half) = interval.half {
                        panel.bar(*q, interval.mean - half, interval.mean + half, ink);
                    }
                    let at = panel.at(*q, interval.mean);
                    panel.svg.dot(at, 3.2, ink, policy == NanPolicy::Guarded);
                }
                if let Some(last) = means.last() {
                    panel.label(last.1, ink, &label);
                }
            }
        }
        if let Some(paper) = paper {
            for cell in family.with_clean().filter(|c| !c.guarded()) {
                let printed = paper.cell(cell).printed();
                let q = cell.poison().map_or(0, |p| p.q) as f64;
                if let Some(test) = printed.test {
                    let at = panel.at(q, test);
                    panel.svg.cross(at, 3.0, Ink::Muted);
                }
            }
        }
        panel.finish()
    });
    let crosses = match paper {
        Some(_) => {
            " Grey crosses: the paper's test error, where it has one of that poison, data set and \
             learner."
        }
        None => "",
    };
    let panels: Vec<Svg> = panels.collect();
    Figure {
        name: "error-against-q",
        title: "Final error against the multiplicity q",
        caption: format!(
            "Shared weights, mean over seeds with the 95 % t-interval (cut at 0 and 100 %). The \
             axis is ln(1 + q), so that the clean space has its place at q = 0. Dashed with hollow dots \
             (g.): NaN policy guarded.{crosses}"
        ),
        panels,
    }
}

/// How many bad ops the final controller samples.
pub fn bad_ops(cells: &[Cell]) -> Figure {
    let families = Family::all(cells);
    let panels = families.iter().map(|family| {
        let shares: Vec<(&Cell, Vec<f64>)> = family
            .cells
            .iter()
            .map(|c| (*c, mean_shares(c)))
            .filter(|(_, s)| !s.is_empty())
            .collect();
        let layers = shares.iter().map(|s| s.1.len() - 1).max().unwrap_or(1);
        let highest = shares
            .iter()
            .flat_map(|s| s.1.iter().copied())
            .fold(0.1, f64::max);
        let mut panel = Panel::new(
            &family.title,
            Axis::linear(layers as f64, 6, "layers with a bad op"),
            Axis::linear((highest * 1.08).min(100.0), 4, "share of architectures, %"),
            family.margin(),
        );
        for (cell, shares) in &shares {
            let (ink, dash) = family.look(cell);
            let points: Vec<(f64, f64)> = shares
                .iter()
                .enumerate()
                .map(|(n, s)| (n as f64, *s))
                .collect();
            let mut outline: Vec<_> = points.iter().map(|p| (p.0, 0.0, p.1)).collect();
            panel.band(&outline, ink);
            outline.clear();
            panel.line(&points, ink, 1.8, dash);
            for point in &points {
                let at = panel.at(point.0, point.1);
                panel.svg.dot(at, 2.0, ink, !dash.is_empty());
            }
            let expected = (shares.len() - 1) as f64 * budget(cell.poison().as_ref(), cell.config);
            let (x, y) = panel.at(expected, 0.0);
            panel
                .svg
                .area(&[(x, y), (x - 4.5, y + 8.0), (x + 4.5, y + 8.0)], ink, 1.0);
            let tail = shares.last().copied().unwrap_or(0.0);
            panel.label(tail, ink, &short(&cell.name));
        }
        panel.finish()
    });
    Figure {
        name: "bad-ops",
        title: "Bad ops in sampled architectures",
        caption:
            "Share of the final controller's samples by number of layers with a poison op, mean \
                  over seeds. The counts are whole numbers, so they are shown as they are, without \
                  smoothing. Triangles below the axis: the mean that uniform \
                  sampling would give; a curve to the right of its triangle means that the search \
                  came to prefer the poison."
                .to_owned(),
        panels: panels.collect(),
    }
}

/// Percent of samples by number of bad ops, mean over seeds.
fn mean_shares(cell: &Cell) -> Vec<f64> {
    let mut sum: Vec<f64> = Vec::new();
    let mut seeds = 0.0;
    for record in cell.records() {
        let counts = &record.outcome.bad_ops;
        let total = counts.iter().sum::<u64>();
        if total == 0 {
            continue;
        }
        sum.resize(sum.len().max(counts.len()), 0.0);
        for (s, n) in sum.iter_mut().zip(counts) {
            *s += 100.0 * *n as f64 / total as f64;
        }
        seeds += 1.0;
    }
    sum.iter().map(|s| s / seeds).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_shrinks_with_the_search() {
        assert_eq!([1, 4, 25, 100, 300].map(window), [1, 1, 5, 20, 20]);
    }
}
