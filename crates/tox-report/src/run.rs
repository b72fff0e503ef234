//! A run folder, read: the study's title, its plan, and what became of each trial.

use crate::{ReportError, Reports, names};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;
use tox_study::files::read;
use tox_study::house::House;
use tox_study::part::{Part, PartError};
use tox_study::plan;
use tox_study::record::{Record, RecordError};
use tox_study::spec::TrialSpec;
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
    /// What must hold, by name.
    pub gate: BTreeMap<String, String>,
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
    /// Whether the learner's own report knows nothing of its threats or defences.
    pub foreign: bool,
    config: Typed,
    outcome: Typed,
}

/// What a part means to who registered its kind; nothing where nobody asks.
type Typed = Option<Rc<dyn Any>>;

fn typed<T: DeserializeOwned + 'static>(part: &Part) -> Result<Rc<dyn Any>, PartError> {
    Ok(Rc::new(part.read::<T>()?))
}

/// The structures that a report reads configurations and outcomes as.
#[derive(Clone, Copy)]
pub struct Types {
    config: fn(&Part) -> Result<Rc<dyn Any>, PartError>,
    outcome: fn(&Part) -> Result<Rc<dyn Any>, PartError>,
}

impl Types {
    /// `C` for configurations, `O` for outcomes.
    pub fn of<C, O>() -> Self
    where
        C: DeserializeOwned + 'static,
        O: DeserializeOwned + 'static,
    {
        Self {
            config: typed::<C>,
            outcome: typed::<O>,
        }
    }
}

impl Trial {
    /// As much of its id as a table shows.
    pub fn short_id(&self) -> String {
        self.id.chars().take(12).collect()
    }

    /// The learner's keys as the `C` of [`Types`].
    pub fn config<C: 'static>(&self) -> Option<&C> {
        self.config.as_ref()?.downcast_ref()
    }

    /// What it measured as the `O` of [`Types`], if it is done.
    pub fn outcome<O: 'static>(&self) -> Option<&O> {
        self.record()?;
        self.outcome.as_ref()?.downcast_ref()
    }

    /// Its record with both, if it is done.
    pub fn measured<C: 'static, O: 'static>(&self) -> Option<(&Record, &C, &O)> {
        Some((self.record()?, self.config()?, self.outcome()?))
    }

    /// Its record, if it is done.
    pub fn record(&self) -> Option<&Record> {
        match &self.state {
            State::Done(record) => Some(record),
            State::Failed(_) | State::Missing => None,
        }
    }
}

/// A run folder.
#[derive(Clone)]
pub struct Run {
    pub house: House,
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
    /// of its specs, each once. A record that cannot be believed or read is a trial that failed.
    pub fn load(reports: &Reports, dir: &Path) -> Result<Self, ReportError> {
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
            let refuse = |found: &str| {
                let found = format!("line {}: {found}", number + 1);
                Err(ReportError::parse(&path, found))
            };
            if line.id != plan::trial_id(&line.spec) {
                return refuse("its id is not that of its spec");
            }
            if !seen.insert(line.id.clone()) {
                return refuse("the trial is there twice");
            }
            let kind = &line.spec.learner.kind;
            let first: Option<&Trial> = trials.first();
            let first = first.map(|t| &t.spec.learner.kind);
            if let Some(other) = first.filter(|k| *k != kind) {
                return refuse(&format!("a trial of `{kind}` in a study of `{other}`"));
            }
            let types = reports.of(kind).map(|r| r.types());
            let config = match types.map(|t| (t.config)(&line.spec.learner)) {
                None => None,
                Some(Ok(config)) => Some(config),
                Some(Err(why)) => return refuse(&why.to_string()),
            };
            let mut state = state(&dir.join("trials").join(&line.id), &line.id, kind)?;
            let mut outcome = None;
            if let (Some(types), State::Done(record)) = (types, &state) {
                match (types.outcome)(&record.outcome) {
                    Ok(found) => outcome = Some(found),
                    Err(_) => state = State::Failed(UNREADABLE.into()),
                }
            }
            let own = reports.of(kind);
            trials.push(Trial {
                foreign: own.is_some_and(|own| own.foreign(&line.spec)),
                id: line.id,
                spec: line.spec,
                state,
                config,
                outcome,
            });
        }
        let house = reports.house;
        let mut run = Self {
            house,
            head,
            trials,
        };
        run.shorten_names();
        Ok(run)
    }

    fn shorten_names(&mut self) {
        let sets = self.trials.iter().map(|t| t.spec.data.dataset.clone());
        let all: BTreeSet<String> = sets.collect();
        let shorten = |name: &mut String| names::shorten(name, &all);
        shorten(&mut self.head.data.dataset);
        for trial in &mut self.trials {
            shorten(&mut trial.spec.data.dataset);
            if let State::Done(record) = &mut trial.state {
                shorten(&mut record.spec.data.dataset);
            }
        }
    }

    /// The kind of learner that it audits; empty if it has no trial.
    pub fn kind(&self) -> &str {
        let first = self.trials.first();
        first.map_or("", |t| &t.spec.learner.kind)
    }
}

const UNREADABLE: &str = "its record cannot be read";

fn state(dir: &Path, id: &str, kind: &str) -> Result<State, ReportError> {
    let path = dir.join("record.json");
    if path.exists() {
        let record = match Record::read(&path) {
            Ok(record) => record,
            // The path would say more of this machine than a page should.
            Err(RecordError::Changed { what, .. }) => {
                return Ok(State::Failed(format!("its record was changed: {what}")));
            }
            Err(_) => return Ok(State::Failed(UNREADABLE.into())),
        };
        if record.trial != id {
            return Ok(State::Failed("its record is another trial's".into()));
        }
        let found = &record.outcome.kind;
        if found != kind {
            let found = format!("it has an outcome of `{found}`, its learner is `{kind}`");
            return Err(ReportError::parse(&path, found));
        }
        return Ok(State::Done(Box::new(record)));
    }
    let failure = Failure::read(&dir.join("failure.json"));
    Ok(failure.map_or(State::Missing, |failure| State::Failed(failure.message)))
}
