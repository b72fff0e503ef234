//! The folder in which a learner works: nothing in it, and nothing around it, tells of the study, of its
//! other trials, of test labels or of what was poisoned.

use super::config::{ExternalConfig, Layout};
use super::error::ExternalError;
use super::protocol::{DataFiles, Input, PROTOCOL, Part, Phase, Request, Task};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use tox_data::arrays;
use tox_data::features::{Features, Values};
use tox_search::space::{Space, SpaceOp};
use tox_study::steps::Place;

/// End of the name of the file that remembers where the folder of a step is.
const WHERE: &str = ".work";

/// The Python end of the protocol, which runs a function.
const PYTHON: &str = include_str!("../../../../python/toxscreen/learner.py");
const PYTHON_FILE: &str = "toxscreen_learner.py";

/// The rows of a trial, as a learner is given them.
pub struct Rows<'a> {
    pub train: &'a Features,
    pub valid: &'a Features,
    pub test: &'a Features,
    /// Names of the columns of a table.
    pub columns: Option<&'a [String]>,
}

/// What a call asks for.
pub struct Call<'a> {
    pub config: &'a ExternalConfig,
    pub rows: Rows<'a>,
    pub phase: Phase,
    pub seed: u64,
    pub threads: usize,
    pub choice: Option<&'a Value>,
    /// The search space that it is handed.
    pub space: Option<&'a Space>,
    /// Phase `predict`: the archive of what it left.
    pub model: Option<&'a Path>,
}

/// A folder with a name that nobody can guess, in the system's folder for temporary files.
pub struct Work {
    dir: PathBuf,
    /// Where a trial remembers it.
    remembered: PathBuf,
    /// Whether what a stopped learner left is in it.
    pub resume: bool,
}

impl Work {
    /// The folder of a step: the one that it had when it was stopped, or a new one.
    pub fn open(place: &Place) -> Result<Self, ExternalError> {
        let remembered = place.file(WHERE);
        let before = fs::read_to_string(&remembered).ok().map(PathBuf::from);
        // Whoever may write to the temporary folder must not name another place.
        let ours = |dir: &PathBuf| fs::symlink_metadata(dir).is_ok_and(|m| m.is_dir());
        let dir = match before.filter(ours) {
            Some(dir) => dir,
            None => {
                let made = tempfile::Builder::new()
                    .prefix("toxscreen-")
                    .rand_bytes(16)
                    .tempdir();
                let made = made.map_err(failed("make a folder in", &std::env::temp_dir()))?;
                let dir = made.keep();
                let name = dir.to_string_lossy();
                fs::write(&remembered, name.as_bytes()).map_err(failed("write", &remembered))?;
                dir
            }
        };
        let checkpoint = dir.join(CHECKPOINT);
        for entry in fs::read_dir(&dir).map_err(failed("list", &dir))? {
            let path = entry.map_err(failed("list", &dir))?.path();
            if path == checkpoint {
                continue;
            }
            let removed = match fs::symlink_metadata(&path) {
                Ok(found) if found.is_dir() => fs::remove_dir_all(&path),
                Ok(_) | Err(_) => fs::remove_file(&path),
            };
            removed.map_err(failed("remove", &path))?;
        }
        let left = fs::read_dir(&checkpoint).is_ok_and(|mut left| left.next().is_some());
        for folder in [CHECKPOINT, OUT] {
            let path = dir.join(folder);
            fs::create_dir_all(&path).map_err(failed("make", &path))?;
        }
        Ok(Self {
            dir,
            remembered,
            resume: left,
        })
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn out(&self) -> PathBuf {
        self.dir.join(OUT)
    }

    pub fn events(&self) -> PathBuf {
        self.dir.join(EVENTS)
    }

    /// Removes what a learner left to go on with. What it removed itself is gone already.
    pub fn forget(&self) -> Result<(), ExternalError> {
        let checkpoint = self.dir.join(CHECKPOINT);
        match fs::remove_dir_all(&checkpoint) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(failed("remove", &checkpoint)(e))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Removes the folder, and that it was there.
    pub fn remove(self) -> Result<(), ExternalError> {
        match fs::remove_dir_all(&self.dir) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(failed("remove", &self.dir)(e));
            }
            Ok(()) | Err(_) => {}
        }
        fs::remove_file(&self.remembered).map_err(failed("remove", &self.remembered))
    }

    /// Writes the rows and the request; the program and its arguments.
    pub fn write(&self, call: &Call<'_>) -> Result<Vec<String>, ExternalError> {
        let (config, rows) = (call.config, &call.rows);
        let seconds = config.limit().map_or(0.0, |limit| limit.as_secs_f64());
        let request = Request {
            protocol: PROTOCOL.to_owned(),
            phase: call.phase,
            seed: call.seed,
            threads: call.threads,
            seconds,
            task: Task {
                kind: "classification".to_owned(),
                classes: rows.train.class_names.len(),
                class_names: rows.train.class_names.clone(),
                input: input(rows),
            },
            data: DataFiles {
                train: self.part("train", rows.train, config.layout, true)?,
                valid: match rows.valid.rows {
                    0 => None,
                    _ => Some(self.part("valid", rows.valid, config.layout, true)?),
                },
                test: self.part("test", rows.test, config.layout, false)?,
            },
            params: config.params.clone(),
            choice: call.choice.cloned(),
            space: call.space.map(|space| self.space(space)).transpose()?,
            model: call.model.map(|_| MODEL.to_owned()),
            out: OUT.to_owned(),
            events: EVENTS.to_owned(),
            checkpoint: CHECKPOINT.to_owned(),
            resume: self.resume,
        };
        if let Some(archive) = call.model {
            let file = fs::File::open(archive).map_err(failed("open", archive))?;
            let unpacked = tar::Archive::new(file).unpack(self.dir.join(MODEL));
            unpacked.map_err(failed("unpack", archive))?;
        }
        let text = serde_json::to_string_pretty(&request).unwrap_or_default();
        let path = self.dir.join("request.json");
        fs::write(&path, text).map_err(failed("write", &path))?;
        let mut argv = config.found(&config.command);
        if let Some(function) = &config.python {
            let script = self.dir.join(PYTHON_FILE);
            fs::write(&script, PYTHON).map_err(failed("write", &script))?;
            let script = script.to_string_lossy().into_owned();
            argv = vec![config.interpreter.clone(), script, function.clone()];
        }
        argv.push(path.to_string_lossy().into_owned());
        Ok(argv)
    }

    /// Writes the ops with how often each stands there; who put it there is not told.
    fn space(&self, space: &Space) -> Result<String, ExternalError> {
        let op = |op: &SpaceOp| {
            let mut written = serde_json::json!(op.op);
            written["count"] = op.count.into();
            written
        };
        let ops: Vec<Value> = space.ops.iter().map(op).collect();
        let path = self.dir.join(SPACE);
        let text = serde_json::json!({ "ops": ops }).to_string();
        fs::write(&path, text).map_err(failed("write", &path))?;
        Ok(SPACE.to_owned())
    }

    fn part(
        &self,
        name: &str,
        rows: &Features,
        layout: Layout,
        labelled: bool,
    ) -> Result<Part, ExternalError> {
        if layout == Layout::Folder {
            self.folder(name, rows, labelled)?;
            return Ok(Part {
                folder: Some(name.to_owned()),
                ..Part::default()
            });
        }
        let shape = match rows.shape {
            Some([c, h, w]) => vec![rows.rows, c, h, w],
            None => vec![rows.rows, rows.columns],
        };
        let (x, y) = (format!("{name}.x.npy"), format!("{name}.y.npy"));
        arrays::write(&self.dir.join(&x), &shape, &rows.values)?;
        if labelled {
            arrays::write_labels(&self.dir.join(&y), &rows.labels)?;
        }
        Ok(Part {
            x: Some(x),
            y: labelled.then_some(y),
            folder: None,
        })
    }

    /// Images as PNG files, in folders of their classes where labels are told.
    fn folder(&self, name: &str, rows: &Features, labelled: bool) -> Result<(), ExternalError> {
        let images = rows.images().ok_or(ExternalError::NoImages)?;
        let top = self.dir.join(name);
        let folder = |label: u16| match labelled {
            true => top.join(label.to_string()),
            false => top.clone(),
        };
        for class in 0..rows.class_names.len() as u16 {
            let folder = folder(class);
            fs::create_dir_all(&folder).map_err(failed("make", &folder))?;
        }
        for (row, &label) in rows.labels.iter().enumerate() {
            let path = folder(label).join(format!("{row:06}.png"));
            images.images.write_png(row, &path)?;
        }
        Ok(())
    }
}

const OUT: &str = "out";
const EVENTS: &str = "events.jsonl";
const CHECKPOINT: &str = "checkpoint";
const MODEL: &str = "model";
const SPACE: &str = "space.json";

/// Most bytes of what a learner leaves for the phase `predict`.
const MOST_MODEL: u64 = 4 << 30;

/// Packs the folder `from` as the archive `to`: files and folders, no links.
pub fn pack(from: &Path, to: &Path) -> Result<(), ExternalError> {
    let file = fs::File::create(to).map_err(failed("make", to))?;
    let mut archive = tar::Builder::new(file);
    // Times and owners would make it another archive each time.
    archive.mode(tar::HeaderMode::Deterministic);
    let (mut folders, mut bytes) = (vec![PathBuf::new()], 0);
    while let Some(folder) = folders.pop() {
        let here = from.join(&folder);
        let entries = fs::read_dir(&here).map_err(failed("list", &here))?;
        let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
        names.sort();
        for name in names {
            let (path, below) = (here.join(&name), folder.join(&name));
            let found = fs::symlink_metadata(&path).map_err(failed("look at", &path))?;
            if found.is_dir() {
                folders.push(below);
                continue;
            }
            bytes += found.len();
            if !found.is_file() || bytes > MOST_MODEL {
                return Err(ExternalError::Model {
                    name: below.display().to_string(),
                });
            }
            let added = archive.append_path_with_name(&path, &below);
            added.map_err(failed("pack", &path))?;
        }
    }
    archive.finish().map_err(failed("write", to))
}

fn input(rows: &Rows<'_>) -> Input {
    let train = rows.train;
    let dtype = match &train.values {
        Values::Bytes(_) => "uint8",
        Values::Floats(_) => "float32",
    };
    let dtype = dtype.to_owned();
    match train.shape {
        Some(shape) => Input::Image {
            shape,
            dtype,
            range: [0, 255],
        },
        None => Input::Table {
            columns: train.columns,
            names: rows.columns.map(<[String]>::to_vec),
            dtype,
        },
    }
}

/// An error about a file.
pub fn failed(
    what: &'static str,
    path: &Path,
) -> impl FnOnce(std::io::Error) -> ExternalError + use<> {
    let path = path.to_owned();
    move |source| ExternalError::File { what, path, source }
}
