//! What a trial is given and what it ends with. The learner that runs it is somebody else's.

use crate::part::Part;
use crate::plan::trial_id;
pub use crate::record::Parts;

use crate::record::Adapter;
use crate::spec::TrialSpec;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tox_data::checkpoint::Hooks;
use tox_data::{Data, DataDir, DataError, DataRef, Dataset};

/// What a trial needs beside its spec. Nothing here may change the outcome, except the device.
pub struct TrialContext<'a> {
    /// The trial's folder: its checkpoint lives here.
    pub dir: &'a Path,
    /// `--data-dir`, when given.
    pub data_dir: Option<&'a Path>,
    /// Where the trials of a study leave what others of them need too, such as a classifier that
    /// crafts poison; without it the trial makes all on its own.
    pub shared: Option<&'a Path>,
    /// Whether the trial ends, as if it was asked to stop, once it has made what it shares: at the first step of
    /// its own.
    pub shared_only: bool,
    /// `cpu`, `vulkan:0`, `cuda:0`.
    pub device: &'a str,
    /// Threads that the trial may use.
    pub threads: usize,
    /// Set when the trial should write a checkpoint and end with [`Stopped`](crate::steps::StepError::Stopped).
    pub stop: &'a AtomicBool,
    /// Called now and then with how far the trial is.
    pub progress: &'a mut dyn FnMut(Progress),
}

impl<'a> TrialContext<'a> {
    /// Of a trial that belongs to no study, on the CPU.
    pub fn alone(
        dir: &'a Path,
        stop: &'a AtomicBool,
        progress: &'a mut dyn FnMut(Progress),
    ) -> Self {
        Self {
            dir,
            data_dir: None,
            shared: None,
            shared_only: false,
            device: "cpu",
            threads: 1,
            stop,
            progress,
        }
    }

    /// The same, for a part of the trial.
    pub fn part(&mut self) -> TrialContext<'_> {
        TrialContext {
            progress: &mut *self.progress,
            ..*self
        }
    }
}

/// How far a trial is.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// Share of the work that is done, 0 to 1.
    pub done: f64,
    /// What is going on, such as `epoch 3/20, validation error 41.2 %`.
    pub message: String,
}

/// A finished trial.
pub struct Finished {
    /// What was measured.
    pub outcome: Part,
    /// Content hash of the data as used.
    pub data_hash: String,
    /// What is unusual about this copy of the data.
    pub data_notes: Vec<String>,
    /// Error in percent of always answering the most frequent class of the rows that the error is measured on, where
    /// the trial knows it.
    pub chance_error: Option<f64>,
    /// What it ran with.
    pub machine: Machine,
    /// What parts of it took.
    pub parts: Parts,
}

impl Finished {
    /// With the error of guessing; see [`Finished::chance_error`].
    pub fn guessing(self, chance_error: f64) -> Self {
        Self {
            chance_error: Some(chance_error),
            ..self
        }
    }
}

/// What a trial's numbers were computed with.
pub struct Machine {
    /// Instruction set that the kernels used, or `plain`.
    pub simd: String,
    /// What the device is, where it is no CPU.
    pub adapter: Option<Adapter>,
}

impl Machine {
    /// A CPU.
    pub fn cpu(simd: String) -> Self {
        Self {
            simd,
            adapter: None,
        }
    }
}

/// How a command ends that does not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Something failed.
    Failed,
    /// What was asked for has no meaning, or cannot be done.
    Usage,
    /// Data are missing or cannot be used.
    Data,
    /// It was asked to stop, and can go on.
    Stopped,
}

impl Exit {
    /// Code of the process.
    pub fn code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Data => 3,
            // `EX_TEMPFAIL`: it can be resumed.
            Self::Stopped => 75,
        }
    }
}

/// Why a trial did not end with an outcome, and how its process ends.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub exit: Exit,
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Failure {
    /// Of an error with its exit.
    pub fn new(exit: Exit, error: &impl ToString) -> Self {
        Self {
            exit,
            message: error.to_string(),
            hint: None,
        }
    }

    /// Of something that cannot be asked for.
    pub fn usage(message: String) -> Self {
        Self::new(Exit::Usage, &message)
    }
}

/// The data of a trial, as images.
///
/// # Errors
/// Data that cannot be read, are too few, or have one class.
pub fn load(spec: &TrialSpec, context: &TrialContext<'_>) -> Result<Dataset, DataError> {
    let data = tox_data::load_seeded(&spec.data, &DataDir::resolve(context.data_dir)?, spec.seed)?;
    enough((&data).into())?;
    Ok(data)
}

/// The data of a trial, images or a table of numbers.
///
/// # Errors
/// As [`load`].
pub fn load_any(spec: &TrialSpec, context: &TrialContext<'_>) -> Result<Data, DataError> {
    let data = tox_data::load_any(&spec.data, &DataDir::resolve(context.data_dir)?, spec.seed)?;
    enough(data.as_ref())?;
    Ok(data)
}

/// One class cannot be told wrong; one row has no batch statistics.
fn enough(data: DataRef<'_>) -> Result<(), DataError> {
    let [train, valid, _] = data.labels();
    let rows = match data {
        DataRef::Images(_) => "at least 2 images",
        DataRef::Table(_) => "at least 2 rows",
    };
    for (key, found, expected) in [
        (
            "dataset (classes)",
            data.class_names().len(),
            "at least 2 classes",
        ),
        ("train", train.len(), rows),
        ("valid", valid.len(), rows),
    ] {
        if found < 2 {
            let (name, expected) = (data.name().to_owned(), expected.to_owned());
            return Err(DataError::Spec {
                name,
                key,
                found,
                expected,
            });
        }
    }
    Ok(())
}

/// Calls `run` with what a long computation needs beside its inputs: where its checkpoint is and
/// what fits it, when to stop, whom to tell.
pub fn with_hooks<T>(
    spec: &TrialSpec,
    context: TrialContext<'_>,
    data_hash: &str,
    run: impl FnOnce(Hooks<'_>) -> T,
) -> T {
    let TrialContext {
        stop,
        progress,
        shared_only,
        ..
    } = context;
    // A checkpoint goes on only where everything that the outcome depends on is as it was; version and
    // instruction set are the checkpoint's own.
    let (trial, device) = (trial_id(spec), context.device);
    let key = format!("trial {trial}, data {data_hash}, device {device}");
    run(Hooks {
        key: &key,
        checkpoint: &context.dir.join("checkpoint.safetensors"),
        save_every: checkpoint_interval(),
        stop: &mut || shared_only || stop.load(Ordering::SeqCst),
        progress: &mut |done, message| {
            progress(Progress {
                done,
                message: message.to_owned(),
            })
        },
    })
}

/// Refuses a `TOXSCREEN_CHECKPOINT_SECONDS` that is no time.
///
/// # Errors
/// What is expected.
pub fn check_interval() -> Result<(), String> {
    given_interval().map(|_| ())
}

/// `TOXSCREEN_CHECKPOINT_SECONDS`, or 30 s: how much work a kill -9 may cost.
pub(crate) fn checkpoint_interval() -> Duration {
    let given = given_interval().ok().flatten();
    Duration::from_secs_f64(given.unwrap_or(30.0))
}

fn given_interval() -> Result<Option<f64>, String> {
    let value = std::env::var_os("TOXSCREEN_CHECKPOINT_SECONDS").unwrap_or_default();
    if value.is_empty() {
        return Ok(None);
    }
    let seconds = value.to_str().and_then(|s| s.parse::<f64>().ok());
    let seconds = seconds.filter(|s| (0.0..=1e6).contains(s));
    seconds.map(Some).ok_or_else(|| {
        format!("TOXSCREEN_CHECKPOINT_SECONDS is {value:?}; expected seconds from 0 to 1000000")
    })
}
