//! A trial in several long steps: each has its own checkpoint, and a result that is kept once it is
//! there, so that a resumed trial goes on in the step where it stopped.
//!
//! Steps that do not depend on the cell alone, such as the classifier of CLF or the victim of GC, are
//! shared by the trials of a study: the first that needs one makes it, in the study's folder, and
//! the others read it. Since everything is a function of its key, that changes no outcome.

use super::{Progress, TrialContext, TrialError, checkpoint_interval};
use crate::files::{self, Lock};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tox_data::Dataset;
use tox_data::checkpoint::Hooks;

/// How the name of a step's checkpoint ends.
const CHECKPOINT: &str = ".safetensors.part";

/// How often a step that another trial is making is asked for.
const PATIENCE: Duration = Duration::from_millis(500);

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
        // What is not there, is removed.
        let _ = std::fs::remove_file(self.file(".json"));
        let _ = std::fs::remove_file(self.file(file));
    }
}

/// The steps of a trial.
pub struct Steps<'a> {
    dir: &'a Path,
    shared: Option<&'a Path>,
    stop: &'a AtomicBool,
    progress: &'a mut dyn FnMut(Progress),
    /// All that every step's result depends on beside its own key.
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
            "toxscreen": env!("CARGO_PKG_VERSION"),
            "data": data,
            "seed": seed,
            "device": context.device,
            "simd": tox_nn::kernels::instruction_set(),
        });
        Self {
            dir: context.dir,
            shared: context.shared,
            stop: context.stop,
            progress: context.progress,
            base,
            done: 0.0,
            weights,
        }
    }

    /// Makes the result of a step, or reads what was made before. `key` has all that it depends on
    /// beside data, seed and device.
    pub fn step<T: Serialize + DeserializeOwned>(
        &mut self,
        name: &str,
        key: Value,
        make: impl FnOnce(&Place, Hooks<'_>) -> Result<Option<T>, TrialError>,
    ) -> Result<T, TrialError> {
        self.made(name, self.place(name), &key, make)
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
    ) -> Result<Option<T>, TrialError> {
        let key = json!([self.base, key]).to_string();
        let kept = read(&self.place(name).file(".json"), &key)?;
        if kept.is_some() {
            self.skip(name);
        }
        Ok(kept)
    }

    /// Counts a step as done that need not be made.
    pub fn skip(&mut self, name: &str) {
        self.done += self.weight(name);
    }

    /// A step whose result other trials of the study may need too; `file` is the end of the name of
    /// the file that it leaves beside its result, if it leaves one.
    pub fn shared<T: Serialize + DeserializeOwned>(
        &mut self,
        name: &str,
        file: Option<&str>,
        key: Value,
        make: impl FnOnce(&Place, Hooks<'_>) -> Result<Option<T>, TrialError>,
    ) -> Result<(Place, T), TrialError> {
        let text = json!([self.base, name, key]).to_string();
        let hash = blake3::hash(text.as_bytes()).to_hex();
        let Some(shared) = self.shared else {
            let stem = || Place(self.dir.join(format!("checkpoint-{name}-{}", &hash[..12])));
            let (place, again) = (stem(), stem());
            forget(&place, file);
            return Ok((again, self.made(name, place, &key, make)?));
        };
        files::create_dir(shared)?;
        let stem = || Place(shared.join(format!("{name}-{}", &hash[..12])));
        let (place, again) = (stem(), stem());
        let lock = self.wait(name, &place)?;
        forget(&place, file);
        let made = self.made(name, place, &key, make)?;
        drop(lock);
        Ok((again, made))
    }

    /// Waits until no other trial makes the step.
    fn wait(&mut self, name: &str, place: &Place) -> Result<Lock, TrialError> {
        loop {
            if let Some(lock) = Lock::take(&place.file(".lock"), PATIENCE)? {
                return Ok(lock);
            }
            if self.stop.load(Ordering::SeqCst) {
                return Err(TrialError::Stopped);
            }
            (self.progress)(Progress {
                done: self.done,
                message: format!("{name}: another trial makes it"),
            });
        }
    }

    /// A step whose result is too large to be kept as text. A trial that stops later makes it again,
    /// from the checkpoint of what it trained.
    pub fn again<T>(
        &mut self,
        name: &str,
        key: Value,
        make: impl FnOnce(Hooks<'_>) -> Result<Option<T>, TrialError>,
    ) -> Result<T, TrialError> {
        let place = self.place(name);
        let key = json!([self.base, key]).to_string();
        self.hooked(name, &key, &place, make)
    }

    fn made<T: Serialize + DeserializeOwned>(
        &mut self,
        name: &str,
        place: Place,
        key: &Value,
        make: impl FnOnce(&Place, Hooks<'_>) -> Result<Option<T>, TrialError>,
    ) -> Result<T, TrialError> {
        let key = json!([self.base, key]).to_string();
        let path = place.file(".json");
        if let Some(made) = read(&path, &key)? {
            self.skip(name);
            return Ok(made);
        }
        let made = self.hooked(name, &key, &place, |hooks| make(&place, hooks))?;
        let result = json!({ "key": key, "result": made }).to_string();
        files::write_atomic(&path, result.as_bytes())?;
        // The result stands: a checkpoint is of no use any more, and there may be none.
        let _ = std::fs::remove_file(place.file(CHECKPOINT));
        Ok(made)
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
    fn hooked<T>(
        &mut self,
        name: &str,
        key: &str,
        place: &Place,
        run: impl FnOnce(Hooks<'_>) -> Result<Option<T>, TrialError>,
    ) -> Result<T, TrialError> {
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
        run(hooks)?.ok_or(TrialError::Stopped)
    }
}

/// What a step that is made of these data depends on.
pub fn data_key(data: &Dataset) -> Value {
    let normalise = &data.normalise;
    json!([
        data.hash,
        data.name,
        data.classes,
        normalise.mean,
        normalise.std
    ])
}

/// Forgets a result whose file is gone, such as a large one that was deleted.
fn forget(place: &Place, file: Option<&str>) {
    if file.is_some_and(|file| !place.file(file).is_file()) {
        // If there is none, it is forgotten already.
        let _ = std::fs::remove_file(place.file(".json"));
    }
}

/// A result that was made before with this key.
fn read<T: DeserializeOwned>(path: &Path, key: &str) -> Result<Option<T>, TrialError> {
    if !path.is_file() {
        return Ok(None);
    }
    let text = files::read(path)?;
    let damaged = |what: String| TrialError::Step {
        path: path.to_owned(),
        what,
    };
    let mut value: Value = serde_json::from_str(&text).map_err(|e| damaged(e.to_string()))?;
    if value["key"] != key {
        return Err(damaged("it was made for another trial".into()));
    }
    let made = serde_json::from_value(value["result"].take());
    made.map(Some).map_err(|e| damaged(e.to_string()))
}
