//! The figures of a report: the three columns of the paper's Figure 4, and how searches died.

use crate::cells::{Cell, budget, clean_of};
use crate::paper::Paper;
use crate::plot::{Axis, Panel};
use crate::stats::Interval;
use crate::svg::{Anchor, Ink, Svg};
use tox_poison::space::PoisonSet;
use tox_search::enas::config::NanPolicy;
use tox_study::record::{EnasOutcome as Outcome, Epoch};

/// A figure: drawn in panels, which a page may lay out anew.
pub struct Figure {
    /// File name without its end.
    pub name: &'static str,
    /// Heading.
    pub title: &'static str,
    /// What is drawn, and how to read it.
    pub caption: String,
    /// The panels; empty when there is nothing to draw.
    pub panels: Vec<Svg>,
}

impl Figure {
    /// All panels as one drawing.
    pub fn whole(&self) -> Svg {
        Svg::grid(&self.panels, 3)
    }
}

/// The cells of one poison set on one data set, weakest first, beside their clean twin.
struct Family<'c, 'a> {
    title: String,
    clean: Option<&'c Cell<'a>>,
    cells: Vec<&'c Cell<'a>>,
    doses: Vec<usize>,
}

impl<'c, 'a> Family<'c, 'a> {
    fn all(cells: &'c [Cell<'a>]) -> Vec<Self> {
        use PoisonSet::{P1, P2, P3, P3Plus, P4, P5};
        let mut data: Vec<_> = Vec::new();
        for cell in cells {
            if !data.contains(&&cell.spec().data) {
                data.push(&cell.spec().data);
            }
        }
        let several = data.len() > 1;
        let mut families = Vec::new();
        for data in data {
            for set in [P1, P2, P3, P4, P5, P3Plus] {
                let of = |c: &&Cell| {
                    c.poison().is_some_and(|p| p.set == set)
                        && !c.screened()
                        && !c.random()
                        && c.spec().data == *data
                };
                let mut members: Vec<&Cell> = cells.iter().filter(of).collect();
                members.retain(|c| c.done() > 0);
                let q = |c: &Cell| c.poison().map_or(0, |p| p.q);
                members.sort_by_key(|c| q(c));
                let Some(first) = members.first() else {
                    continue;
                };
                let mut doses: Vec<usize> = members.iter().map(|c| q(c)).collect();
                doses.dedup();
                let mut title = format!("{set}: {}", about(set));
                if several {
                    title = format!("{title}, {}", data.dataset);
                }
                families.push(Self {
                    title,
                    clean: clean_of(cells, first).filter(|c| c.done() > 0),
                    doses,
                    cells: members,
                });
            }
        }
        families
    }

    /// Ink and dash of a cell: the dose is the ink, the policy `guarded` a dashed line.
    fn look(&self, cell: &Cell) -> (Ink, &'static str) {
        let dash = match cell.policy() {
            NanPolicy::Torch => "",
            NanPolicy::Guarded => "5 4",
        };
        let rank = cell
            .poison()
            .and_then(|p| self.doses.iter().position(|q| *q == p.q));
        match rank {
            Some(rank) => {
                let steps = (self.doses.len() - 1).max(1);
                (Ink::Dose((rank * 3).div_ceil(steps)), dash)
            }
            None => (Ink::Clean, dash),
        }
    }

    /// The clean cell and the poisoned ones.
    fn with_clean(&self) -> impl Iterator<Item = &'c Cell<'a>> + '_ {
        self.clean.into_iter().chain(self.cells.iter().copied())
    }

    /// Pixels that the longest label needs.
    fn margin(&self) -> f64 {
        let longest = self.with_clean().map(|c| short(&c.name).chars().count());
        7.0 * longest.max().unwrap_or(0) as f64 + 8.0
    }
}

/// What a set is made of.
pub fn about(set: PoisonSet) -> &'static str {
    match set {
        PoisonSet::P1 => "identity",
        PoisonSet::P2 => "Gaussian noise",
        PoisonSet::P3 => "dropout, p = 1",
        PoisonSet::P4 => "transposed convolutions",
        PoisonSet::P5 => "all of P1 to P4",
        PoisonSet::P3Plus => "one-shot",
    }
}

/// A cell's name, cut to what fits beside a line.
pub fn short(name: &str) -> String {
    if name.chars().count() <= 20 {
        name.to_owned()
    } else {
        name.chars().take(19).chain(['…']).collect()
    }
}

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
             the last {} epochs (the paper: 20 of 300; here a fifth of the search, at most 20). \
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
        for policy in [NanPolicy::Torch, NanPolicy::Guarded] {
            let line: Vec<&Cell> = family
                .with_clean()
                .filter(|c| c.policy() == policy)
                .collect();
            if line.iter().all(|c| c.poison().is_none()) {
                continue;
            }
            let dash = if policy == NanPolicy::Torch {
                ""
            } else {
                "5 4"
            };
            let suffix = if policy == NanPolicy::Torch {
                ""
            } else {
                " g."
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
            for cell in family
                .with_clean()
                .filter(|c| c.policy() == NanPolicy::Torch)
            {
                let printed = paper.cell(&cell.spec().data.dataset, cell.label());
                let q = cell.poison().map_or(0, |p| p.q) as f64;
                if let Some(test) = printed.test {
                    let at = panel.at(q, test);
                    panel.svg.cross(at, 3.0, Ink::Muted);
                }
            }
        }
        panel.finish()
    });
    Figure {
        name: "error-against-q",
        title: "Final error against the multiplicity q",
        caption:
            "Shared weights, mean over seeds with the 95 % t-interval (cut at 0 and 100 %). The \
                  axis is ln(1 + q), so that the clean space has its place at q = 0. Dashed with \
                  hollow dots (g.): NaN policy guarded. Grey crosses: the paper's test error."
                .to_owned(),
        panels: panels.collect(),
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
            let expected = (shares.len() - 1) as f64 * budget(cell.poison());
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
                  the paper's kernel smoothing. Triangles below the axis: the mean that uniform \
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

/// When gradients and weights stopped being finite, one row a trial.
pub fn death(cells: &[Cell]) -> Figure {
    let hit = |o: &Outcome| o.first_nonfinite_step.is_some() || o.first_nan_weight_step.is_some();
    let rows: Vec<(String, &Outcome)> = cells
        .iter()
        .filter(|c| c.records().any(|r| hit(&r.outcome)))
        .flat_map(|c| {
            c.records().map(|r| {
                (
                    format!("{}, seed {}", short(&c.name), r.spec.seed),
                    &r.outcome,
                )
            })
        })
        .collect();
    let mut panels = Vec::new();
    if !rows.is_empty() {
        panels.push(draw_death(&rows));
    }
    Figure {
        name: "how-it-died",
        title: "How it died",
        caption: "Child steps on an axis of ln(1 + step). Hollow dot: the first step whose gradient \
                  norm was not finite; cross: the first step after which a weight was NaN or \
                  infinite; a grey line runs to the end of the search, a red one from the cross on. \
                  Cells in which no trial met a non-finite gradient are left out."
            .to_owned(),
        panels,
    }
}

fn draw_death(rows: &[(String, &Outcome)]) -> Svg {
    let (left, top, row, width) = (176.0, 14.0, 18.0, 500.0);
    let bottom = top + row * rows.len() as f64;
    let mut svg = Svg::new(left + width + 24.0, bottom + 42.0);
    let max = rows.iter().map(|r| r.1.steps).max().unwrap_or(1).max(1) as f64;
    let x = |step: f64| left + width * step.ln_1p() / max.ln_1p();
    let mut tick = 1.0;
    while tick <= max {
        svg.line((x(tick), top), (x(tick), bottom), Ink::Grid, 1.0, "");
        let label = format!("{tick:.0}");
        svg.text(
            (x(tick), bottom + 15.0),
            10.5,
            Anchor::Middle,
            Ink::Muted,
            &label,
        );
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
        .filter_map(|c| Some((short(&c.name), c.test()?, c.retrained()?)))
        .collect();
    let mut panels = Vec::new();
    if !rows.is_empty() {
        panels.push(draw_retraining(&rows));
    }
    Figure {
        name: "retraining",
        title: "Shared weights against training from scratch",
        caption:
            "Test error of the network that the search returned, mean over seeds. Filled: with \
                  the weights that all networks share; hollow: after training that network alone \
                  from scratch. Thin lines: 95 % t-interval. A long bridge to the left \
                  speaks for spoiled shared weights rather than a bad architecture."
                .to_owned(),
        panels,
    }
}

fn draw_retraining(rows: &[(String, Interval, Interval)]) -> Svg {
    let (left, top, row, width) = (150.0, 14.0, 20.0, 526.0);
    let bottom = top + row * rows.len() as f64;
    let mut svg = Svg::new(left + width + 24.0, bottom + 42.0);
    let x = |error: f64| left + width * error.clamp(0.0, 100.0) / 100.0;
    for tick in [0.0, 25.0, 50.0, 75.0, 100.0] {
        svg.line((x(tick), top), (x(tick), bottom), Ink::Grid, 1.0, "");
        let label = format!("{tick:.0}");
        svg.text(
            (x(tick), bottom + 15.0),
            10.5,
            Anchor::Middle,
            Ink::Muted,
            &label,
        );
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_shrinks_with_the_search() {
        assert_eq!([1, 4, 25, 100, 300].map(window), [1, 1, 5, 20, 20]);
    }
}
