//! What `plan` says of the cost of a study.

use super::{duration, table};
use serde_json::{Value, json};
use tox_study::executors::Executor;
use tox_study::price::{Basis, CellPrice};

/// Seconds of a probe.
pub fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse::<f64>().ok();
    let seconds = seconds.filter(|s| (0.1..=86_400.0).contains(s));
    seconds.ok_or_else(|| "expected seconds from 0.1 to 86400".to_owned())
}

/// The price of what is left of a study.
pub struct Price {
    pub cells: Vec<CellPrice>,
    pub executor: &'static dyn Executor,
    pub at_a_time: Option<usize>,
    pub probed: bool,
}

impl Price {
    /// Core-hours of what can be told, and the trials of which nothing can.
    fn total(&self) -> (f64, usize) {
        // No number at all sums to -0.
        let hours = self.cells.iter().filter_map(CellPrice::core_hours);
        let hours = hours.fold(0.0, |all, hours| all + hours);
        let unknown = self.cells.iter().filter(|c| c.seconds.is_none());
        (hours, unknown.map(|c| c.left).sum())
    }

    /// Wall seconds on the engine, where it is known how many trials run at a time and what all cost.
    fn wall(&self) -> Option<f64> {
        let at_a_time = self.at_a_time? as f64;
        let each = |c: &CellPrice| Some(c.seconds? * c.left as f64);
        let open = self.cells.iter().filter(|c| c.left > 0);
        let sum: Option<f64> = open.clone().map(each).sum();
        // No trial is faster for others beside it.
        let longest = open.filter_map(|c| c.seconds).fold(0.0, f64::max);
        Some((sum? / at_a_time).max(longest))
    }

    pub fn json(&self) -> Value {
        let (hours, unknown) = self.total();
        json!({
            "cells": self.cells,
            "core_hours": hours,
            "unknown_trials": unknown,
            "engine": self.executor.name(),
            "at_a_time": self.at_a_time,
            "wall_seconds": self.wall(),
        })
    }

    pub fn text(&self) -> String {
        let left: usize = self.cells.iter().map(|c| c.left).sum();
        if left == 0 {
            return "nothing is left to run\n".to_owned();
        }
        let (hours, unknown) = self.total();
        if unknown == left {
            let how = match self.probed {
                true => "no trial came far enough; give --probe more seconds",
                false => {
                    "nothing of it was run yet; `--probe 10` measures ten seconds of each cell"
                }
            };
            return format!("\nwhat it costs cannot be told: {how}\n");
        }
        let open = self.cells.iter().filter(|c| c.left > 0);
        let rows = open.map(|c| {
            vec![
                c.cell.clone(),
                c.left.to_string(),
                c.seconds.map_or("cannot tell".to_owned(), duration),
                c.core_hours().map_or(String::new(), |h| format!("{h:.2}")),
                basis(c.basis),
            ]
        });
        let rows: Vec<_> = rows.collect();
        let head = ["cell", "left", "a trial", "core-hours", "told from"];
        let mut text = format!("\n{}", table(&head, &rows));
        let least = if unknown > 0 { "at least " } else { "" };
        text.push_str(&format!(
            "{left} trials are left: {least}{hours:.2} core-hours"
        ));
        if unknown > 0 {
            text.push_str(&format!(", and {unknown} trials that cannot be told"));
        }
        let name = self.executor.name();
        text.push_str(&match (self.wall(), self.at_a_time) {
            (Some(wall), Some(n)) => {
                format!(
                    "; on the engine {name}, {n} at a time: about {}\n",
                    duration(wall)
                )
            }
            (None, Some(n)) => format!("; the engine {name} runs {n} at a time\n"),
            (_, None) => {
                format!("; how long that is on the engine {name} is the cluster's to tell\n")
            }
        });
        text
    }
}

/// Cells of which something is left, and nothing known.
pub fn open_count(cells: &[CellPrice]) -> usize {
    cells
        .iter()
        .filter(|c| c.seconds.is_none() && c.left > 0)
        .count()
}

/// What a price is told from, for people.
fn basis(basis: Basis) -> String {
    match basis {
        Basis::Records { trials: 1 } => "1 record".to_owned(),
        Basis::Records { trials } => format!("{trials} records"),
        Basis::UnderWay { trials, share } => {
            let s = if trials == 1 { "" } else { "s" };
            format!("{trials} trial{s} under way, {:.0} % done", 100.0 * share)
        }
        Basis::Probe { share } if share >= 1.0 => "a trial here".to_owned(),
        Basis::Probe { share } => format!("the first {:.0} % of a trial here", 100.0 * share),
        Basis::Nothing => "nothing".to_owned(),
    }
}
