//! Sentences that every kind of study needs: warnings, and percentages with their intervals.

use crate::cells::Cell;
use crate::run::{Run, State};
use crate::stats::Interval;
use std::ops::Deref;
use tox_data::spec::SplitKind;
use tox_study::record::{Provenance, Record};
use tox_study::spec::TrialSpec;

/// A percentage with its interval and number of seeds.
pub fn with_seeds(interval: Interval) -> String {
    match interval.half {
        Some(half) => format!("{:.1} ± {half:.1} % ({} seeds)", interval.mean, interval.n),
        None => format!("{:.1} % ({}, no interval)", interval.mean, interval.lone()),
    }
}

/// Most names in one sentence; more are counted.
pub const NAMES: usize = 4;

/// The first few `names`, and how many `more` there are: `a; b; c; d; and 3 more cells` where `more` is
/// ` cells`. `None` of no names.
pub fn few(names: &[String], more: &str) -> Option<String> {
    let shown = names
        .iter()
        .take(NAMES)
        .cloned()
        .collect::<Vec<_>>()
        .join("; ");
    match names.len() {
        0 => None,
        n if n <= NAMES => Some(shown),
        n => Some(format!("{shown}; and {} more{more}", n - NAMES)),
    }
}

/// A warning if the records were not all made with the same data, device and program.
pub fn mixed(run: &Run) -> Option<String> {
    let records: Vec<&Record> = run.trials.iter().filter_map(|t| t.record()).collect();
    let mut parts = Vec::new();
    let mut count = |what: &str, values: Vec<&str>| {
        let mut kinds: Vec<(&str, usize)> = Vec::new();
        for value in values {
            match kinds.iter_mut().find(|k| k.0 == value) {
                Some(kind) => kind.1 += 1,
                None => kinds.push((value, 1)),
            }
        }
        if kinds.len() > 1 {
            let kinds: Vec<String> = kinds
                .iter()
                .map(|(kind, n)| format!("{kind} ({n})"))
                .collect();
            parts.push(format!("{what} {}", kinds.join(", ")));
        }
    };
    // Different data sets, or parts of one, have different hashes, and so have random splits of
    // different seeds; only one spec may not.
    let drawn = |spec: &TrialSpec| spec.data.split == SplitKind::Random;
    let alike = |a: &TrialSpec, b: &TrialSpec| a.data == b.data && (!drawn(a) || a.seed == b.seed);
    let mut specs: Vec<&TrialSpec> = Vec::new();
    for record in &records {
        if !specs.iter().any(|s| alike(s, &record.spec)) {
            specs.push(&record.spec);
        }
    }
    for spec in specs {
        let same = records.iter().filter(|r| alike(&r.spec, spec));
        let hashes = same.map(|r| {
            let hash = r.provenance.data_hash.as_str();
            hash.get(..12).unwrap_or(hash)
        });
        let split = if drawn(spec) {
            format!(", seed {}", spec.seed)
        } else {
            String::new()
        };
        let what = format!("data hash of {}{split}", spec.data.dataset);
        count(&what, hashes.collect());
    }
    let all = |of: fn(&Provenance) -> &str| records.iter().map(|r| of(&r.provenance)).collect();
    let places: Vec<String> = records.iter().map(|r| r.provenance.place()).collect();
    count("device", places.iter().map(String::as_str).collect());
    count("version of toxscreen", all(|p| &p.toxscreen));
    count("instruction set", all(|p| &p.simd));
    (!parts.is_empty()).then(|| {
        format!(
            "Warning: the records come from more than one setup, so cells may differ for that \
             reason alone; the number of trials is in brackets: {}.",
            parts.join("; ")
        )
    })
}

/// What is not done yet, or failed.
pub fn missing<'a, D, C, O>(run: &Run, cells: &[D]) -> Option<String>
where
    D: Deref<Target = Cell<'a, C, O>>,
    C: 'static,
    O: 'static,
{
    let planned = run.trials.len();
    let done = run.trials.iter().filter(|t| t.record().is_some()).count();
    let failed = run
        .trials
        .iter()
        .filter(|t| matches!(t.state, State::Failed(_)));
    let failed = failed.count();
    if done == planned {
        return None;
    }
    let open: Vec<String> = cells
        .iter()
        .filter(|c| !c.complete())
        .map(|c| format!("{} ({})", c.name, c.seeds()))
        .collect();
    Some(format!(
        "Incomplete: {done} of {planned} trials are done, {failed} failed. Means of these cells are \
         over fewer seeds than planned: {}.",
        open.join(", ")
    ))
}

/// Where a paper's claims are put to data sets that it did not use; `others` names what else of the study is
/// not the paper's.
pub fn elsewhere<'a, D, C, O>(cells: &[D], paper: &[&str], others: &[&str]) -> Option<String>
where
    D: Deref<Target = Cell<'a, C, O>>,
    C: 'static,
    O: 'static,
{
    let mut names: Vec<&str> = Vec::new();
    let used = cells.iter().map(|c| c.spec().data.dataset.as_str());
    for name in used
        .filter(|name| !paper.contains(name))
        .chain(others.iter().copied())
    {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    (!names.is_empty()).then(|| {
        format!(
            "The claims below are a paper’s, which did not use {}: one that does not hold there does not \
             contradict it.",
            names.join(", ")
        )
    })
}
