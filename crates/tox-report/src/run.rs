//! A run folder, read: the study's title, its plan, and what became of each trial.

use crate::{ReportError, names};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::Path;
use tox_study::files::read;
use tox_study::plan;
use tox_study::record::{Outcome, Record, RecordError};
use tox_study::spec::{Learner, TrialSpec};
use tox_study::store::Failure;

/// The keys of `study.toml` that a report shows.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Head {
    /// Short name.
    pub name: String,
    /// Title for people.
    pub title: String,
    /// A paragraph about it.
    pub description: String,
    /// Key of the paper whose numbers stand beside ours; empty for none.
    pub paper: String,
    /// The data of those cells that do not say otherwise.
    pub data: HeadData,
}

/// The keys of `[data]` in `study.toml` that a report needs.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct HeadData {
    /// Name of the data set; empty where the file says none.
    pub dataset: String,
}

/// What became of a planned trial.
#[derive(Clone, Debug)]
pub enum State {
    /// It has a record.
    Done(Box<Record>),
    /// It failed; the reason.
    Failed(String),
    /// It has not run yet.
    Missing,
}

/// A planned trial.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Its id.
    pub id: String,
    /// Its spec.
    pub spec: TrialSpec,
    /// What became of it.
    pub state: State,
}

impl Trial {
    /// Its record, if it is done.
    pub fn record(&self) -> Option<&Record> {
        match &self.state {
            State::Done(record) => Some(record),
            State::Failed(_) | State::Missing => None,
        }
    }
}

/// What a study audits; all its trials have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// ENAS under search-space poisoning.
    Enas,
    /// A bilevel learner under data poisoning.
    Bilevel,
    /// The synthetic example of the bilevel paper.
    Synthetic,
    /// Searches over cells under data poisoning.
    Nas,
    /// Searches for sub-networks of a teacher.
    RcNas,
    /// Tables of sub-networks.
    SubNetworks,
}

impl Kind {
    fn of(spec: &TrialSpec) -> Self {
        match spec.learner {
            Learner::Enas(_) => Self::Enas,
            Learner::Bilevel(_) => Self::Bilevel,
            Learner::Synthetic(_) => Self::Synthetic,
            Learner::Nas(_) => Self::Nas,
            Learner::RcNas(_) => Self::RcNas,
            Learner::SubNetworks(_) => Self::SubNetworks,
        }
    }

    fn of_outcome(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Enas(_) => Self::Enas,
            Outcome::Bilevel(_) => Self::Bilevel,
            Outcome::Synthetic(_) => Self::Synthetic,
            Outcome::Nas(_) => Self::Nas,
            Outcome::RcNas(_) => Self::RcNas,
            Outcome::SubNetworks(_) => Self::SubNetworks,
        }
    }
}

/// A run folder.
#[derive(Clone, Debug)]
pub struct Run {
    /// From `study.toml`.
    pub head: Head,
    /// In plan order.
    pub trials: Vec<Trial>,
}

impl Run {
    /// Whether it is a study of the paper that recipes call `key`. Others are the user's own: nothing is
    /// held against a paper there.
    pub fn follows(&self, key: &str) -> bool {
        self.head.paper == key
    }

    /// Reads a run folder.
    ///
    /// # Errors
    /// When `study.toml` or `plan.jsonl` cannot be read or does not parse, or the plan's ids are not those
    /// of its specs, each once. A record that cannot be believed is a trial that failed.
    pub fn load(dir: &Path) -> Result<Self, ReportError> {
        let path = dir.join("study.toml");
        let head: Head =
            toml::from_str(&read(&path)?).map_err(|e| ReportError::parse(&path, e.message()))?;
        let path = dir.join("plan.jsonl");
        let mut trials = Vec::new();
        let mut seen = BTreeSet::new();
        for (number, line) in read(&path)?.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let line: plan::Trial = serde_json::from_str(line)
                .map_err(|e| ReportError::parse(&path, format!("line {}: {e}", number + 1)))?;
            // A trial that counts twice, or under the settings of another, would make every number that is
            // shown another one.
            let refuse = |found| {
                let found = format!("line {}: {found}", number + 1);
                Err(ReportError::parse(&path, found))
            };
            if line.id != plan::trial_id(&line.spec) {
                return refuse("its id is not that of its spec");
            }
            if !seen.insert(line.id.clone()) {
                return refuse("the trial is there twice");
            }
            let kind = Kind::of(&line.spec);
            let first: Option<&Trial> = trials.first();
            if let Some(other) = first.map(|t| Kind::of(&t.spec)).filter(|k| *k != kind) {
                let number = number + 1;
                let found = format!("line {number} is a {kind:?} trial in a study of {other:?}");
                return Err(ReportError::parse(&path, found));
            }
            let state = state(&dir.join("trials").join(&line.id), &line.id, kind)?;
            trials.push(Trial {
                id: line.id,
                spec: line.spec,
                state,
            });
        }
        let mut run = Self { head, trials };
        names::shorten(&mut run);
        Ok(run)
    }

    /// What it audits; ENAS if it has no trial.
    pub fn kind(&self) -> Kind {
        let first = self.trials.first();
        first.map_or(Kind::Enas, |t| Kind::of(&t.spec))
    }
}

fn state(dir: &Path, id: &str, kind: Kind) -> Result<State, ReportError> {
    let path = dir.join("record.json");
    if path.exists() {
        let record = match Record::read(&path) {
            Ok(record) => record,
            // The path would say more of this machine than a page should.
            Err(RecordError::Changed { what, .. }) => {
                return Ok(State::Failed(format!("its record was changed: {what}")));
            }
            Err(_) => return Ok(State::Failed("its record cannot be read".into())),
        };
        if record.trial != id {
            return Ok(State::Failed("its record is another trial's".into()));
        }
        let found = Kind::of_outcome(&record.outcome);
        if found != kind {
            let found = format!("it has an outcome of {found:?}, its learner is {kind:?}");
            return Err(ReportError::parse(&path, found));
        }
        return Ok(State::Done(Box::new(record)));
    }
    let failure = Failure::read(&dir.join("failure.json"));
    Ok(failure.map_or(State::Missing, |failure| State::Failed(failure.message)))
}
