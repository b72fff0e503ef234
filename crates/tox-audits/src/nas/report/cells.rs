//! What is asked of cells of searches on poisoned data.

use crate::nas::outcome::NasOutcome;
use crate::report_facts;
use crate::threats::{self, bad_ops::BadOps};
use std::path::Path;
use tox_poison::data::threat::FileThreat;
use tox_report::numbers::percent;
use tox_report::stats::Interval;
use tox_search::nas::{NasConfig, SearchKind};
use tox_study::house::Threat;
use tox_study::part::Part;
use tox_study::spec::Surface;

tox_report::cells_of!(NasConfig, NasOutcome);

/// The mark of what is not to be trusted.
pub const MARK: &str = "†";

/// Final accuracy, percent.
pub fn accuracy(outcome: &NasOutcome) -> Option<f64> {
    Some(outcome.evaluation.as_ref()?.accuracy)
}

/// Why the poison of a trial is not to be trusted, if it is not.
pub fn doubt(outcome: &NasOutcome) -> Option<&str> {
    outcome.poison.as_ref()?.check.unreliable.as_deref()
}

/// Share of the rows that a threat poisons; `None` of one that is not given by a share.
pub fn budget(threat: Option<&Part>) -> Option<f64> {
    let threat = threat?;
    threats::poison(&threat.kind)?.budget(threat)
}

impl<'a> Cell<'a> {
    /// The search.
    pub fn kind(&self) -> SearchKind {
        self.config.search
    }

    /// Whether it searches away from the search's objective.
    pub fn anti(&self) -> bool {
        !self.config.direction.is_search()
    }

    /// Final accuracy, mean over seeds.
    pub fn accuracy(&self) -> Option<Interval> {
        self.mean(accuracy)
    }

    /// Short name of the attack; `None` without one.
    pub fn attack(&self) -> Option<&'a str> {
        let threat = self.spec().threat.data.as_ref()?;
        Some(threats::poison(&threat.kind).map_or(&threat.kind, |poison| poison.name()))
    }

    /// What was put into the search space, such as `P5 x 1`; `None` if nothing was.
    pub fn bad_ops(&self) -> Option<String> {
        let threat = self.spec().threat.space.as_ref()?;
        Some(BadOps.title(threat))
    }

    /// Whether data or space are poisoned.
    pub fn touched(&self) -> bool {
        self.attack().is_some() || self.bad_ops().is_some()
    }

    /// Share of the rows that is poisoned, 0 to 1; of a poison made before, what the trials found.
    pub fn budget(&self) -> Option<f64> {
        let found = |o: &NasOutcome| {
            let check = &o.poison.as_ref()?.check;
            (check.rows > 0).then(|| check.points as f64 / check.rows as f64)
        };
        budget(self.spec().threat.data.as_ref())
            .or_else(|| self.records().find_map(|r| found(r.outcome)))
    }

    /// Name of the attack; of a poison made before, of its file.
    pub fn attack_name(&self) -> Option<String> {
        let name = self.attack()?;
        let file: Option<FileThreat> = report_facts::threat(self.spec(), Surface::Data, "file");
        let stem = file.as_ref().and_then(|f| Path::new(&f.path).file_stem());
        Some(stem.map_or(name.to_owned(), |s| s.to_string_lossy().into_owned()))
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
        !self.spec().defence.is_none()
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
