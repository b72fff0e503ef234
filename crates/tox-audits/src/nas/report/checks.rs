//! What must not change, whatever the poison: searches that do not read what it changed.

use super::cells::Cell;
use super::search::Search;
use crate::nas::outcome::NasOutcome;
use tox_search::nas::Reads;

/// Trials beside their clean twins that must be identical to them.
#[derive(Debug, Default, PartialEq)]
pub struct Invariance {
    /// How many are.
    pub same: usize,
    /// Those that are not: cell and seed.
    pub violated: Vec<String>,
}

/// Whether a search cannot have seen what a poison changed.
fn blind(cell: &Cell, outcome: &NasOutcome) -> bool {
    let moved = outcome.poison.as_ref().map_or(0, |p| p.check.moved);
    match cell.kind().reads(cell.config) {
        Reads::All => false,
        Reads::Images => moved == 0,
        Reads::Nothing => true,
    }
}

/// Holds the trials of a search against its clean ones of the same seed.
pub fn invariance(search: &Search) -> Invariance {
    let mut out = Invariance::default();
    let Some(clean) = search.clean() else {
        return out;
    };
    for cell in search.attacked() {
        for found in cell.records() {
            let Some(twin) = clean.at(found.spec.seed) else {
                continue;
            };
            let o = found.outcome;
            if !blind(cell, o) {
                continue;
            }
            if o.genotype == twin.genotype && o.trace == twin.trace {
                out.same += 1;
            } else {
                out.violated
                    .push(format!("{}, seed {}", cell.name, found.spec.seed));
            }
        }
    }
    out
}

/// How many different architectures a cell found, and how many are the clean trial's of the same
/// seed: (different, the same as clean, seeds that have a clean trial).
pub fn architectures(search: &Search, cell: &Cell) -> (usize, usize, usize) {
    let mut found: Vec<_> = cell.records().map(|r| r.outcome.genotype.clone()).collect();
    found.sort_unstable();
    found.dedup();
    let clean = search.clean().filter(|_| !search.is_clean(cell));
    let twins = cell.records().filter_map(|r| {
        let twin = clean?.at(r.spec.seed)?;
        Some(twin.genotype == r.outcome.genotype)
    });
    let twins: Vec<bool> = twins.collect();
    let same = twins.iter().filter(|same| **same).count();
    (found.len(), same, twins.len())
}
