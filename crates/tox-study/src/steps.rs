//! A trial in several long steps: each has its own checkpoint, and a result that is kept once it is
//! there, so that a resumed trial goes on in the step where it stopped.
//!
//! Steps that do not depend on the cell alone, such as the classifier of CLF or the victim of GC, are
//! shared by the trials of a study: the first that needs one makes it, in the study's folder, and
//! the others read it. Since everything is a function of its key, that changes no outcome.

use crate::files::{self, FileError};
use crate::lock::Lock;
use crate::trial::{Progress, TrialContext, checkpoint_interval};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tox_data::DataRef;
use tox_data::checkpoint::{self, Hooks, NOTE, made_with};
use tox_data::hashed::hash_of;
use tox_data::seal;

/// How the name of a step's checkpoint ends.
const CHECKPOINT: &str = ".safetensors.part";

/// Files of a step that are no results: its result's own, its checkpoint, its lock, and what was put
/// aside of them.
const NO_RESULTS: [&str; 3] = [".json", CHECKPOINT, ".lock"];

/// How often a step that another trial is making is asked for.
const PATIENCE: Duration = Duration::from_millis(500);

/// Why a step has no result.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// Asked to stop; the checkpoint is written.
    #[error("stopped; run the same command again to go on")]
    Stopped,
    /// A file of the trial cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// What a step left is damaged.
    #[error("{} cannot be used ({what}); delete it and run again", path.display())]
    Damaged {
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
}

/// Where the files of a step lie.
pub struct Place(PathBuf);

impl Place {
    /// The file that ends in `suffix`, such as `.npz`.
    pub fn file(&self, suffix: &str) -> PathBuf {
        let mut name = self.0.clone().into_os_string();
        name.push(suffix);
        name.into()
    }

    /// Removes a result and the file `file` beside it.
    pub fn remove(&self, file: &str) {
        checkpoint::remove(&self.file(".json"));
        // What is not there, is removed.
        let _ = std::fs::remove_file(self.file(file));
    }

    /// Hashes of the files that a step left here, by how their names end.
    fn files(&self) -> Result<BTreeMap<String, String>, StepError> {
        let (Some(dir), Some(stem)) = (self.0.parent(), self.0.file_name()) else {
            return Ok(BTreeMap::new());
        };
        let start = format!("{}.", stem.to_string_lossy());
        let mut files = BTreeMap::new();
        for entry in std::fs::read_dir(dir).map_err(files::failed("list", dir))? {
            let name = entry.map_err(files::failed("list", dir))?.file_name();
            let name = name.to_string_lossy();
            let Some(end) = name.strip_prefix(&start) else {
                continue;
            };
            let suffix = format!(".{end}");
            if !NO_RESULTS.iter().any(|no| suffix.starts_with(no)) {
                let hash = hash(&self.file(&suffix))?;
                files.insert(suffix, hash);
            }
        }
        Ok(files)
    }
}

fn hash(path: &Path) -> Result<String, StepError> {
    Ok(hash_of(path).map_err(files::failed("read", path))?)
}

/// What a step leaves.
#[derive(Serialize, Deserialize)]
struct Kept<T> {
    /// See [`seal`].
    blake3: String,
    key: String,
    /// See [`made_with`].
    made_with: String,
    /// Hashes of the files beside it, by how their names end.
    files: BTreeMap<String, String>,
    result: T,
}

/// The steps of a trial.
pub struct Steps<'a> {
    dir: &'a Path,
    shared: Option<&'a Path>,
    /// See [`TrialContext::shared_only`].
    shared_only: bool,
    stop: &'a AtomicBool,
    progress: &'a mut dyn FnMut(Progress),
    /// All that every step's result depends on beside its own key and [`made_with`].
    base: Value,
    /// Share of the trial that is done, and what each step adds.
    done: f64,
    weights: Vec<(String, f64)>,
}

impl<'a> Steps<'a> {
    /// For a trial whose steps depend on `data`, see [`data_key`], and take these shares of its time,
    /// as far as they are made.
    pub fn new(
        context: TrialContext<'a>,
        data: Value,
        seed: u64,
        weights: Vec<(String, f64)>,
    ) -> Self {
        let base = json!({
            "data": data,
            "seed": seed,
            "device": context.device,
        });
        Self {
            dir: context.dir,
            shared: context.shared,
            shared_only: context.shared_only,
            stop: context.stop,
            progress: context.progress,
            base,
            done: 0.0,
            weights,
        }
    }

    /// Makes the result of a step, or reads what was made before. `key` has all that it depends on
    /// beside data, seed and device.
    pub fn step<T: Serialize + DeserializeOwned, E: From<StepError>>(
        &mut self,
        name: &str,
        key: Value,
        make: impl FnOnce(&Place, Hooks<'_>) -> Result<Option<T>, E>,
    ) -> Result<T, E> {
        self.own()?;
        self.made(name, self.place(name), &key, make)
    }

    /// Where a trial ends that makes only what others need too.
    fn own(&self) -> Result<(), StepError> {
        match self.shared_only {
            true => Err(StepError::Stopped),
            false => Ok(()),
        }
    }

    /// Where the files of a step lie that other trials do not need.
    pub fn place(&self, name: &str) -> Place {
        Place(self.dir.join(format!("checkpoint-{name}")))
    }

    /// The result of [`Steps::step`], if it was made before.
    pub fn kept<T: DeserializeOwned>(
        &mut self,
        name: &str,
        key: &Value,
    ) -> Result<Option<T>, StepError> {
        let key = json!([self.base, key]).to_string();
        let place = self.place(name);
        let kept = read(&place, &key, &mut |note| self.note(note))?;
        if kept.is_some() {
            self.skip(name);
        }
        Ok(kept)
    }

    /// Counts a step as done that need not be made.
    pub fn skip(&mut self, name: &str) {
        self.done += self.weight(name);
    }

    /// A step whose result other trials of the study may need too, such as files beside its result.
    pub fn shared<T: Serialize + DeserializeOwned, E: From<StepError>>(
        &mut self,
        name: &str,
        key: Value,
        make: impl FnOnce(&Place, Hooks<'_>) -> Result<Option<T>, E>,
    ) -> Result<(Place, T), E> {
        let text = json!([self.base, made_with(), name, key]).to_string();
        let hash = blake3::hash(text.as_bytes()).to_hex();
        let Some(shared) = self.shared else {
            let stem = || Place(self.dir.join(format!("checkpoint-{name}-{}", &hash[..12])));
            let (place, again) = (stem(), stem());
            return Ok((again, self.made(name, place, &key, make)?));
        };
        files::create_dir(shared).map_err(StepError::from)?;
        let stem = || Place(shared.join(format!("{name}-{}", &hash[..12])));
        let (place, again) = (stem(), stem());
        let lock = self.wait(name, &place)?;
        let made = self.made(name, place, &key, make)?;
        drop(lock);
        Ok((again, made))
    }

    /// Waits until no other trial makes the step.
    fn wait(&mut self, name: &str, place: &Place) -> Result<Lock, StepError> {
        loop {
            if let Some(lock) = Lock::take(&place.file(".lock"), PATIENCE)? {
                return Ok(lock);
            }
            if self.stop.load(Ordering::SeqCst) {
                return Err(StepError::Stopped);
            }
            (self.progress)(Progress {
                done: self.done,
                message: format!("{name}: another trial makes it"),
            });
        }
    }

    /// A step whose result is too large to be kept as text. A trial that stops later makes it again,
    /// from the checkpoint of what it trained.
    pub fn again<T, E: From<StepError>>(
        &mut self,
        name: &str,
        key: Value,
        make: impl FnOnce(Hooks<'_>) -> Result<Option<T>, E>,
    ) -> Result<T, E> {
        self.own()?;
        let place = self.place(name);
        let key = json!([self.base, key]).to_string();
        self.hooked(name, &key, &place, make)
    }

    fn made<T: Serialize + DeserializeOwned, E: From<StepError>>(
        &mut self,
        name: &str,
        place: Place,
        key: &Value,
        make: impl FnOnce(&Place, Hooks<'_>) -> Result<Option<T>, E>,
    ) -> Result<T, E> {
        let key = json!([self.base, key]).to_string();
        if let Some(made) = read(&place, &key, &mut |note| self.note(note))? {
            self.skip(name);
            return Ok(made);
        }
        let result = self.hooked(name, &key, &place, |hooks| make(&place, hooks))?;
        let kept = Kept {
            blake3: seal::OPEN.to_owned(),
            key,
            made_with: made_with(),
            files: place.files()?,
            result,
        };
        let path = place.file(".json");
        let text = serde_json::to_string(&kept);
        let mut text = text.map_err(|e| step(&path, e.to_string()))?.into_bytes();
        seal::seal(&mut text);
        files::write_atomic(&path, &text).map_err(StepError::from)?;
        // The result stands: a checkpoint is of no use any more.
        checkpoint::remove(&place.file(CHECKPOINT));
        Ok(kept.result)
    }

    /// Says what happens to what was there before.
    fn note(&mut self, note: &str) {
        (self.progress)(Progress {
            done: self.done,
            message: note.to_owned(),
        });
    }

    /// That of the step, or of all whose names begin so.
    fn weight(&self, name: &str) -> f64 {
        let family = name.split('-').next();
        let mut weights = self.weights.iter();
        let found = weights.clone().find(|(step, _)| step == name);
        let found = found.or_else(|| weights.find(|(step, _)| Some(step.as_str()) == family));
        found.map_or(0.0, |(_, weight)| *weight)
    }

    /// Calls `run` with the hooks of a step.
    fn hooked<T, E: From<StepError>>(
        &mut self,
        name: &str,
        key: &str,
        place: &Place,
        run: impl FnOnce(Hooks<'_>) -> Result<Option<T>, E>,
    ) -> Result<T, E> {
        let (from, weight, stop) = (self.done, self.weight(name), self.stop);
        self.done += weight;
        let progress = &mut self.progress;
        let hooks = Hooks {
            key,
            checkpoint: &place.file(CHECKPOINT),
            save_every: checkpoint_interval(),
            stop: &mut || stop.load(Ordering::SeqCst),
            progress: &mut |done, message| {
                progress(Progress {
                    done: (from + weight * done).min(1.0),
                    message: format!("{name}: {message}"),
                });
            },
        };
        run(hooks)?.ok_or_else(|| StepError::Stopped.into())
    }
}

/// What a step that is made of these data depends on.
pub fn data_key<'a>(data: impl Into<DataRef<'a>>) -> Value {
    match data.into() {
        DataRef::Images(data) => {
            let normalise = &data.normalise;
            json!([
                data.hash,
                data.name,
                data.classes,
                normalise.mean,
                normalise.std
            ])
        }
        DataRef::Table(data) => json!([data.hash, data.name, data.class_names.len()]),
    }
}

/// A result that was made before with this key; `None` also if a file of it is gone, such as a large one
/// that was deleted, or if another instruction set made it, which `note` is told.
fn read<T: DeserializeOwned>(
    place: &Place,
    key: &str,
    note: &mut dyn FnMut(&str),
) -> Result<Option<T>, StepError> {
    let path = place.file(".json");
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(files::failed("read", &path)(e).into()),
    };
    if !seal::holds(&bytes) {
        return Err(step(&path, "its digest does not fit its content".into()));
    }
    let kept: Kept<Value> =
        serde_json::from_slice(&bytes).map_err(|e| step(&path, e.to_string()))?;
    if kept.key != key {
        return Err(step(&path, "it was made for another trial".into()));
    }
    if kept.made_with != made_with() {
        // Its files would be overwritten, so it cannot wait for the machine that made it.
        std::fs::remove_file(&path).map_err(files::failed("remove", &path))?;
        note(&format!(
            "{NOTE}{} was made with toxscreen {}, and this is {}: it is made anew",
            path.display(),
            kept.made_with,
            made_with()
        ));
        return Ok(None);
    }
    for (end, expected) in &kept.files {
        let file = place.file(end);
        if !file.is_file() {
            return Ok(None);
        }
        if hash(&file)? != *expected {
            return Err(step(&file, "it is not what its step wrote".into()));
        }
    }
    let made = serde_json::from_value(kept.result);
    made.map(Some).map_err(|e| step(&path, e.to_string()))
}

fn step(path: &Path, what: String) -> StepError {
    StepError::Damaged {
        path: path.to_owned(),
        what,
    }
}
