//! What is asked of cells of searches on poisoned data.

use crate::cells;
use crate::page::percent;
use crate::run::Run;
use crate::stats::Interval;
use std::path::Path;
use tox_search::nas::{NasConfig, SearchKind};
use tox_study::record::{NasOutcome, Outcome};
use tox_study::spec::{Defence, Learner, Threat};

/// A cell of searches.
pub type Cell<'a> = cells::Cell<'a, NasConfig, NasOutcome>;

/// The mark of what is not to be trusted.
pub const MARK: &str = "†";

/// The cells of a run, in plan order.
pub fn all(run: &Run) -> Vec<Cell<'_>> {
    fn config(learner: &Learner) -> Option<&NasConfig> {
        match learner {
            Learner::Nas(config) => Some(config),
            _ => None,
        }
    }
    fn outcome(outcome: &Outcome) -> Option<&NasOutcome> {
        match outcome {
            Outcome::Nas(outcome) => Some(outcome),
            _ => None,
        }
    }
    Cell::group(run, config, outcome)
}

/// Final accuracy, percent.
pub fn accuracy(outcome: &NasOutcome) -> Option<f64> {
    Some(outcome.evaluation.as_ref()?.accuracy)
}

/// Why the poison of a trial is not to be trusted, if it is not.
pub fn doubt(outcome: &NasOutcome) -> Option<&str> {
    outcome.poison.as_ref()?.check.unreliable.as_deref()
}

impl<'a> Cell<'a> {
    /// The search.
    pub fn kind(&self) -> SearchKind {
        self.config.search
    }

    /// Final accuracy, mean over seeds.
    pub fn accuracy(&self) -> Option<Interval> {
        self.mean(accuracy)
    }

    /// Short name of the attack; `None` without one.
    pub fn attack(&self) -> Option<&'static str> {
        match self.spec().threat {
            Threat::Rlf(_) => Some("RLF"),
            Threat::Clf(_) => Some("CLF"),
            Threat::Noise(_) => Some("noise"),
            Threat::Gc(_) => Some("GC"),
            Threat::File(_) => Some("file"),
            Threat::None | Threat::SearchSpace(_) | Threat::Bilevel(_) | Threat::Evasion(_) => None,
        }
    }

    /// Share of the rows that is poisoned, 0 to 1; of a poison made before, what the trials found.
    pub fn budget(&self) -> Option<f64> {
        let found = |o: &NasOutcome| {
            let check = &o.poison.as_ref()?.check;
            (check.rows > 0).then(|| check.points as f64 / check.rows as f64)
        };
        let threat = &self.spec().threat;
        threat
            .budget()
            .or_else(|| self.records().find_map(|r| found(r.outcome)))
    }

    /// Name of the attack; of a poison made before, of its file.
    pub fn attack_name(&self) -> Option<String> {
        let name = self.attack()?;
        Some(match &self.spec().threat {
            Threat::File(file) => {
                let stem = Path::new(&file.path).file_stem();
                stem.map_or(name.to_owned(), |s| s.to_string_lossy().into_owned())
            }
            _ => name.to_owned(),
        })
    }

    /// What is done to the data, such as `GC 50 %`.
    pub fn threat(&self) -> String {
        let Some(name) = self.attack_name() else {
            return "clean".to_owned();
        };
        match self.budget() {
            Some(budget) => format!("{name} {}", percent(budget)),
            None => name,
        }
    }

    /// Whether somebody defends the search.
    pub fn defended(&self) -> bool {
        self.spec().defence != Defence::None
    }

    /// The seeds whose poison is not to be trusted, and why.
    pub fn doubts(&self) -> Vec<(u64, &'a str)> {
        self.records()
            .filter_map(|r| Some((r.spec.seed, doubt(r.outcome)?)))
            .collect()
    }

    /// Whether it has such a seed.
    pub fn doubtful(&self) -> bool {
        !self.doubts().is_empty()
    }

    /// A text about it, with the mark if it is doubtful.
    pub fn marked(&self, text: &str) -> String {
        match self.doubtful() {
            true => format!("{text} {MARK}"),
            false => text.to_owned(),
        }
    }

    /// What a trial of a seed found.
    pub fn at(&self, seed: u64) -> Option<&'a NasOutcome> {
        let mut records = self.records();
        records.find(|r| r.spec.seed == seed).map(|r| r.outcome)
    }
}
