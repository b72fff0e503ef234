//! The files of a study, held against what `study.toml` and the records say.

use super::{FileCheck, Verdict};
use crate::child::Past;
use crate::files::{self, FileError};
use crate::house::House;
use crate::plan::Trial;
use crate::record::Record;
use crate::spec::TrialSpec;
use crate::store::Store;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use tox_data::patch::Patch;
use tox_data::spec::{DataSpec, SplitKind};
use tox_data::{DataDir, DataError};

/// What is not as it should be among the files of a study, but for its records.
pub fn files(store: &Store) -> Result<Vec<FileCheck>, FileError> {
    let mut found = Vec::new();
    let mut say = |file: String, verdict, note: &str| {
        let note = note.to_owned();
        found.push(FileCheck {
            file,
            verdict,
            note,
        });
    };
    match std::fs::read(store.dir().join("plan.jsonl")) {
        Ok(bytes) if bytes == store.plan().as_bytes() => {}
        Ok(_) => say(
            "plan.jsonl".into(),
            Verdict::Damaged,
            "is not what study.toml means; `toxscreen report` makes it again",
        ),
        Err(_) => say("plan.jsonl".into(), Verdict::Missing, ""),
    }
    for trial in &store.study.trials {
        let dir = store.trial_dir(&trial.id);
        for (name, verdict, note) in amiss(&dir, trial, store.is_done(&trial.id))? {
            say(format!("trials/{}/{name}", trial.id), verdict, &note);
        }
    }
    let known: BTreeSet<&String> = store.study.trials.iter().map(|t| &t.id).collect();
    for id in files::names(&store.dir().join("trials"))? {
        if known.contains(&id) {
            continue;
        }
        let (verdict, note) = match Store::has_record(store.dir(), &id) {
            true => (
                Verdict::Damaged,
                "has a record, and belongs to no trial of study.toml",
            ),
            false => (Verdict::Noted, "belongs to no trial of study.toml"),
        };
        say(format!("trials/{id}"), verdict, note);
    }
    Ok(found)
}

/// What is wrong with a trial's folder.
fn amiss(
    dir: &Path,
    trial: &Trial,
    done: bool,
) -> Result<Vec<(String, Verdict, String)>, FileError> {
    let mut found = Vec::new();
    let mut say = |name: &str, verdict, note: String| found.push((name.to_owned(), verdict, note));
    match std::fs::read(dir.join("spec.json")) {
        Ok(bytes) if bytes == trial.spec_json().as_bytes() => {}
        Ok(_) => {
            let note = "is not the trial's spec; `toxscreen run` reads study.toml and not this";
            say("spec.json", Verdict::Damaged, note.into());
        }
        Err(_) if done => say("spec.json", Verdict::Missing, String::new()),
        Err(_) => {}
    }
    for name in files::names(dir)?.iter().filter(|_| done) {
        if name == "failure.json" {
            let note = "beside a record: the trial did not fail; `toxscreen run` removes it";
            say(name, Verdict::Damaged, note.into());
        } else if name.starts_with("checkpoint") || name.starts_with(".unfinished-") {
            let note = "left by a kill; `toxscreen run` removes it";
            say(name, Verdict::Noted, note.into());
        }
    }
    match Past::read(&dir.join("events.jsonl"), 0) {
        Ok(past) if past.damaged > 0 => {
            let note = format!(
                "{} lines were torn by a kill or changed since",
                past.damaged
            );
            say("events.jsonl", Verdict::Noted, note);
        }
        Ok(_) => {}
        Err(e) => say("events.jsonl", Verdict::Damaged, e.to_string()),
    }
    Ok(found)
}

/// Files that a trial may leave beside its record: networks, their adversarial examples, tables of images.
const LEFT: [&str; 3] = [".safetensors", ".npz", ".csv"];

/// Files that a trial left beside its record for whoever wants them, held against those that it left
/// when it was run again in `again`, to the same outcome.
pub fn left(store: &Store, id: &str, again: &Path) -> Vec<FileCheck> {
    let mut found = Vec::new();
    let names = files::names(again).unwrap_or_default();
    let left = |name: &&String| LEFT.iter().any(|end| name.ends_with(end));
    for name in names.iter().filter(left) {
        let made = std::fs::read(again.join(name)).ok();
        let (verdict, note) = match std::fs::read(store.trial_dir(id).join(name)) {
            Ok(bytes) if Some(&bytes) == made.as_ref() => continue,
            Ok(_) => (Verdict::Damaged, "is not what the trial leaves"),
            Err(_) => (Verdict::Noted, "was left by the trial, and is gone"),
        };
        found.push(FileCheck {
            file: format!("trials/{id}/{name}"),
            verdict,
            note: note.to_owned(),
        });
    }
    found
}

/// Data sets as trials of different seeds see them, each read once.
pub struct Sets<'a> {
    house: House,
    dir: Result<&'a DataDir, &'a DataError>,
    seen: BTreeMap<String, Result<String, DataError>>,
    /// Hashes of other files, by name and the hash that a trial expects.
    read: BTreeMap<(String, String), Result<String, String>>,
}

impl<'a> Sets<'a> {
    pub fn new(house: House, dir: Result<&'a DataDir, &'a DataError>) -> Self {
        Self {
            house,
            dir,
            seen: BTreeMap::new(),
            read: BTreeMap::new(),
        }
    }

    /// The content hash of data as a trial uses them.
    fn hash(&mut self, trial: &TrialSpec, data: &DataSpec) -> Option<&Result<String, DataError>> {
        let dir = self.dir.ok()?;
        let seed = match data.split {
            SplitKind::Random => trial.seed,
            SplitKind::Official => 0,
        };
        let (house, learner) = (self.house, &trial.learner.kind);
        let key = serde_json::to_string(&(data, seed, learner)).unwrap_or_default();
        Some(self.seen.entry(key).or_insert_with(|| {
            let loaded = house.load(trial, data, dir, seed);
            loaded.map(|loaded| loaded.as_ref().hash().to_owned())
        }))
    }

    /// What is wrong with the data of a record: `None` if nothing is, or its data are not here.
    pub fn amiss(&mut self, record: &Record) -> Option<String> {
        let spec = &record.spec;
        let own = spec.data_sets().into_iter().next()?;
        let found = self.hash(spec, &own)?.as_ref().ok()?;
        let said = &record.provenance.data_hash;
        (found != said).then(|| format!("its data have the hash {found}, and it says {said}"))
    }

    /// What is wrong with the files that trials read.
    pub fn files(&mut self, store: &Store) -> Vec<FileCheck> {
        let mut found: Vec<FileCheck> = Vec::new();
        let mut say = |file: &str, verdict, note: String| {
            let check = FileCheck {
                file: file.to_owned(),
                verdict,
                note,
            };
            if !found.contains(&check) {
                found.push(check);
            }
        };
        let done = store.study.trials.iter().filter(|t| store.is_done(&t.id));
        let done: Vec<&Trial> = done.collect();
        for trial in &done {
            for data in &trial.spec.data_sets() {
                let name = &data.dataset;
                match self.hash(&trial.spec, data) {
                    Some(Ok(_)) => {}
                    Some(Err(e @ DataError::Changed { .. })) => {
                        say(name, Verdict::Damaged, e.to_string());
                    }
                    Some(Err(e)) => {
                        say(
                            name,
                            Verdict::CannotTell,
                            format!("cannot be compared here: {e}"),
                        );
                    }
                    None => {}
                }
            }
        }
        for trial in &done {
            for check in self.amiss_files(&trial.spec) {
                say(&check.file, check.verdict, check.note);
            }
        }
        found
    }

    /// The verdict on a trial that cannot be run again, and why: data or files are others now, which is a failure, or
    /// they are not here.
    pub fn lacks(&mut self, trial: &TrialSpec) -> Option<(Verdict, String)> {
        for data in trial.data_sets() {
            if let Some(Err(e)) = self.hash(trial, &data) {
                let verdict = match matches!(e, DataError::Changed { .. }) {
                    true => Verdict::Failed,
                    false => Verdict::CannotTell,
                };
                return Some((verdict, e.to_string()));
            }
        }
        let mut amiss = self.amiss_files(trial);
        amiss.sort_by_key(|check| !check.verdict.is_bad());
        let first = amiss.into_iter().next()?;
        let verdict = match first.verdict.is_bad() {
            true => Verdict::Failed,
            false => Verdict::CannotTell,
        };
        Some((verdict, format!("{}: {}", first.file, first.note)))
    }

    /// The files that a trial reads beside its data which are not those that it was made with, and why.
    fn amiss_files(&mut self, trial: &TrialSpec) -> Vec<FileCheck> {
        let mut files: Vec<Asked> = Vec::new();
        if let (Some(learner), Ok(dir)) = (self.house.learner(&trial.learner.kind), self.dir) {
            for file in learner.files(&trial.learner, dir) {
                let read = file.read;
                files.push(Asked {
                    name: file.path.display().to_string(),
                    expected: file.hash.clone().unwrap_or_default(),
                    read: Box::new(move || read(&file.path).map_err(|e| e.to_string())),
                });
            }
        }
        for (name, expected) in trial.files() {
            let (path, hash) = (name.clone(), expected.clone());
            let read = Box::new(move || hash_of(Path::new(&path), &hash));
            files.push(Asked {
                name,
                expected,
                read,
            });
        }
        let mut amiss = Vec::new();
        for file in files {
            let (name, expected) = (file.name, file.expected);
            let key = (name.clone(), expected.clone());
            let found = self.read.entry(key).or_insert_with(|| (file.read)());
            let (verdict, note) = match found {
                Ok(found) if *found == expected => continue,
                Ok(found) => (
                    Verdict::Damaged,
                    format!(
                        "changed: its hash is {found}, expected {expected}; put the old one back to compare"
                    ),
                ),
                Err(e) => (Verdict::CannotTell, format!("cannot be compared here: {e}")),
            };
            amiss.push(FileCheck {
                file: name,
                verdict,
                note,
            });
        }
        amiss
    }
}

/// A file that a trial reads.
struct Asked {
    name: String,
    /// The hash that the trial names.
    expected: String,
    read: Box<dyn Fn() -> Result<String, String>>,
}

/// Hash of a file's bytes; of a poison patch, that of its content.
fn hash_of(path: &Path, expected: &str) -> Result<String, String> {
    let hash = tox_data::hashed::hash_of(path).map_err(|e| e.to_string())?;
    match Patch::load(path) {
        Ok(patch) if hash != expected => Ok(patch.manifest().patch_hash.clone()),
        _ => Ok(hash),
    }
}
