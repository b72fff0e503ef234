//! A run folder, read: the study's title, its plan, and what became of each trial.

use crate::ReportError;
use serde::Deserialize;
use std::path::Path;
use tox_study::files::read;
use tox_study::plan;
use tox_study::record::{EnasOutcome, Outcome, Provenance, Timing};
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
}

/// The record of a search.
#[derive(Clone, Debug)]
pub struct Record {
    pub trial: String,
    pub spec: TrialSpec,
    pub outcome: EnasOutcome,
    pub provenance: Provenance,
    pub timing: Timing,
}

impl Record {
    pub fn read(path: &Path) -> Result<Self, ReportError> {
        let r = tox_study::record::Record::read(path)?;
        let Outcome::Enas(outcome) = r.outcome else {
            return Err(ReportError::Learner(r.spec.learner.kind()));
        };
        Ok(Self {
            trial: r.trial,
            spec: r.spec,
            outcome,
            provenance: r.provenance,
            timing: r.timing,
        })
    }
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

/// A run folder.
#[derive(Clone, Debug)]
pub struct Run {
    /// From `study.toml`.
    pub head: Head,
    /// In plan order.
    pub trials: Vec<Trial>,
}

impl Run {
    /// Reads a run folder.
    ///
    /// # Errors
    /// When `study.toml`, `plan.jsonl` or a record cannot be read or does not parse, or a record was
    /// changed after it was written.
    pub fn load(dir: &Path) -> Result<Self, ReportError> {
        let path = dir.join("study.toml");
        let head: Head =
            toml::from_str(&read(&path)?).map_err(|e| ReportError::parse(&path, e.message()))?;
        let path = dir.join("plan.jsonl");
        let mut trials = Vec::new();
        for (number, line) in read(&path)?.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let line: plan::Trial = serde_json::from_str(line)
                .map_err(|e| ReportError::parse(&path, format!("line {}: {e}", number + 1)))?;
            if !matches!(line.spec.learner, Learner::Enas(_)) {
                return Err(ReportError::Learner(line.spec.learner.kind()));
            }
            let state = state(&dir.join("trials").join(&line.id))?;
            trials.push(Trial {
                id: line.id,
                spec: line.spec,
                state,
            });
        }
        Ok(Self { head, trials })
    }
}

fn state(dir: &Path) -> Result<State, ReportError> {
    let path = dir.join("record.json");
    if path.exists() {
        return Ok(State::Done(Box::new(Record::read(&path)?)));
    }
    let path = dir.join("failure.json");
    if path.exists() {
        let text = read(&path)?;
        let failure = serde_json::from_str::<Failure>(&text);
        return Ok(State::Failed(failure.map_or(text, |f| f.message)));
    }
    Ok(State::Missing)
}
