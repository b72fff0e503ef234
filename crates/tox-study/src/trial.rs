//! One trial: data set -> threat -> defence -> learner -> outcome. Joins the floors below; no
//! science of its own.

mod bilevel;
mod compress;
mod enas;
mod nas;
mod steps;

use crate::files::FileError;
use crate::plan::trial_id;
use crate::record::Outcome;
use crate::spec::{Learner, TrialSpec};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tox_bilevel::audit::AuditError;
use tox_data::checkpoint::{CheckpointError, Hooks};
use tox_data::patch::PatchError;
use tox_data::{DataDir, DataError, Dataset};
use tox_nn::device::DeviceError;
use tox_nn::layers::WeightsError;
use tox_nn::nets::wrn::{InheritError, Shape};
use tox_poison::cleanse::CleanseError;
use tox_poison::data::PoisonError;
use tox_poison::screen::ScreenError;
use tox_poison::space::QError;
use tox_robust::attack::AttackError;
use tox_robust::evaluation::EvaluationError;
use tox_search::compress::NormaliseError;
use tox_search::enas::config::ConfigError;
use tox_search::final_training::FinalError;
use tox_search::nas::NasError;
use tox_search::rcnas::search::RcnasError;
use tox_search::rcnas::table::TableError as SubNetworksError;
use tox_search::space::SpaceError;
use tox_search::table::TableError;

/// What a trial needs beside its spec. Nothing here may change the outcome, except the device.
pub struct TrialContext<'a> {
    /// The trial's folder: its checkpoint lives here.
    pub dir: &'a Path,
    /// `--data-dir`, when given.
    pub data_dir: Option<&'a Path>,
    /// Where the trials of a study leave what others of them need too, such as a classifier that
    /// crafts poison; without it the trial makes all on its own.
    pub shared: Option<&'a Path>,
    /// `cpu`, `vulkan:0`, `cuda:0`.
    pub device: &'a str,
    /// Threads that the trial may use.
    pub threads: usize,
    /// Set when the trial should write a checkpoint and end with [`TrialError::Stopped`].
    pub stop: &'a AtomicBool,
    /// Called now and then with how far the trial is.
    pub progress: &'a mut dyn FnMut(Progress),
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
    pub outcome: Outcome,
    /// Content hash of the data as used.
    pub data_hash: String,
    /// What is unusual about this copy of the data.
    pub data_notes: Vec<String>,
    /// Instruction set that the kernels used, or `plain`.
    pub simd: String,
}

/// Why a trial did not end with an outcome.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// Asked to stop; the checkpoint is written.
    #[error("stopped; run the same command again to go on")]
    Stopped,
    /// The data cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The device cannot be used.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A number of the learner is out of range.
    #[error("the trial's learner: {0}; correct the recipe")]
    Config(#[from] ConfigError),
    /// The threat's multiplicity is out of range.
    #[error("the trial's threat: {0}; correct the recipe")]
    Threat(#[from] QError),
    /// The learner and the threat, or the defence, are not made for each other.
    #[error(
        "the trial's learner `{learner}` cannot be run against the threat `{threat}` with the \
         defence `{defence}`; correct the recipe"
    )]
    Unfit {
        /// Kind of the learner.
        learner: &'static str,
        /// Kind of the threat.
        threat: &'static str,
        /// The defence.
        defence: &'static str,
    },
    /// The bilevel learner cannot be run.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// A learner that has no code for the device.
    #[error(
        "the learner `{learner}` runs on the CPU, but the device is {device}; leave --device out"
    )]
    CpuOnly {
        /// Kind of the learner.
        learner: &'static str,
        /// The device string.
        device: String,
    },
    /// The checkpoint cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The space cannot be screened on this data.
    #[error(transparent)]
    Screen(#[from] ScreenError),
    /// A search over cells.
    #[error(transparent)]
    Nas(#[from] NasError),
    /// The final training.
    #[error("the final training: {0}")]
    Final(#[from] FinalError),
    /// A network of the trial cannot be built.
    #[error(transparent)]
    Space(#[from] SpaceError),
    /// The table cannot be used.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The poison cannot be crafted.
    #[error("the trial's threat: {0}")]
    Poison(#[from] PoisonError),
    /// The defence cannot clean the data.
    #[error("the trial's defence: {0}")]
    Cleanse(#[from] CleanseError),
    /// The poison does not fit the data.
    #[error("the trial's threat: {0}")]
    Patch(#[from] PatchError),
    /// Weights that another step left cannot be used.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The images cannot be normalised so.
    #[error("`candidate.normalise`: {0}")]
    Normalise(#[from] NormaliseError),
    /// A sub-network cannot begin with its teacher's weights.
    #[error(transparent)]
    Inherit(#[from] InheritError),
    /// The attack cannot be run.
    #[error("the trial's threat: {0}")]
    Attack(#[from] AttackError),
    /// A network cannot be attacked.
    #[error(transparent)]
    Evaluation(#[from] EvaluationError),
    /// Without a teacher there is nothing to compress.
    #[error(
        "the teacher {shape} cannot be used: {reason}; lower `candidate.training.lr`, or give its \
         `weights`"
    )]
    Teacher {
        /// The teacher.
        shape: Box<Shape>,
        /// Why.
        reason: String,
    },
    /// The search for a sub-network.
    #[error(transparent)]
    Rcnas(#[from] RcnasError),
    /// The table of sub-networks cannot be used.
    #[error(transparent)]
    SubNetworks(#[from] SubNetworksError),
    /// What was found cannot be trained.
    #[error(
        "the sub-network {shape} that was found cannot be judged: {reason}; lower \
         `judge.training.lr`"
    )]
    Found {
        /// What was found.
        shape: Box<Shape>,
        /// Why.
        reason: String,
    },
    /// A file is not the one that the study was made with.
    #[error(
        "{path} changed: its content has the hash {found}, expected {expected}; give the new file a \
         study of its own with --out, or put the old one back"
    )]
    OtherFile {
        /// The file.
        path: String,
        /// The hash in the trial's spec.
        expected: String,
        /// That of the file.
        found: String,
    },
    /// A spec that does not say which data it is about.
    #[error(
        "the trial's spec does not name {what} by content, so that its id and its record would not \
         say which data they are of; make it with `toxscreen plan --json` or `toxscreen run` where the \
         data are"
    )]
    Unnamed {
        /// The data set, or the table.
        what: String,
    },
    /// A file of the trial cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// What a step left is damaged.
    #[error("{} cannot be used ({what}); delete it and run again", path.display())]
    Step {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Every op was found poisonous.
    #[error(
        "the screen found every op of the search space poisonous, so nothing is left to search; \
         run `toxscreen screen` on the space, or leave `defence` out"
    )]
    NothingLeft,
}

/// Runs the trial, going on from the checkpoint in `context.dir` if there is one.
///
/// # Errors
/// See [`TrialError`].
pub fn execute(spec: &TrialSpec, context: TrialContext<'_>) -> Result<Finished, TrialError> {
    check(spec, context.device)?;
    let threads = context.threads;
    // Burn's own ops ask for rayon's global pool, so ours is that one. A second trial in one
    // process (tests) finds it built; results do not depend on the number of threads.
    let _ = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global();
    match &spec.learner {
        Learner::Enas(config) => enas::execute(spec, config, context),
        Learner::Bilevel(config) => bilevel::execute(spec, config, context),
        Learner::Synthetic(config) => bilevel::synthetic(spec, config, context),
        Learner::Nas(config) => nas::execute(spec, config, context),
        Learner::RcNas(config) => compress::execute(spec, config, context),
        Learner::SubNetworks(config) => compress::sub_networks(spec, config, context),
    }
}

/// Refuses what a recipe would have refused, but a spec may still say.
fn check(spec: &TrialSpec, device: &str) -> Result<(), TrialError> {
    let learner = spec.learner.kind();
    if !spec.learner.faces(&spec.threat) || !spec.learner.defended_by(&spec.defence) {
        return Err(TrialError::Unfit {
            learner,
            threat: spec.threat.kind(),
            defence: spec.defence.word(),
        });
    }
    let unnamed = |what: &str| TrialError::Unnamed {
        what: what.to_owned(),
    };
    if let Some(data) = spec.data_sets().into_iter().find(|d| d.hash.is_none()) {
        return Err(unnamed(&data.dataset));
    }
    if let (true, None) = spec.learner.benchmark() {
        return Err(unnamed("the table of NAS-Bench-201"));
    }
    if device != "cpu" && !spec.learner.on_device() {
        let device = device.to_owned();
        return Err(TrialError::CpuOnly { learner, device });
    }
    Ok(())
}

/// Refuses a file whose content is not the one of the spec.
fn unchanged(path: &str, expected: Option<&String>, found: &str) -> Result<(), TrialError> {
    match expected {
        Some(expected) if expected != found => Err(TrialError::OtherFile {
            path: path.to_owned(),
            expected: expected.clone(),
            found: found.to_owned(),
        }),
        _ => Ok(()),
    }
}

/// The data of a trial.
fn load(spec: &TrialSpec, context: &TrialContext<'_>) -> Result<Dataset, TrialError> {
    let data = tox_data::load_seeded(&spec.data, &DataDir::resolve(context.data_dir)?, spec.seed)?;
    // One class cannot be told wrong; one image has no batch statistics.
    for (key, found, expected) in [
        ("dataset (classes)", data.classes, "at least 2 classes"),
        ("train", data.train.len(), "at least 2 images"),
        ("valid", data.valid.len(), "at least 2 images"),
    ] {
        if found < 2 {
            let (name, expected) = (data.name, expected.to_owned());
            return Err(DataError::Spec {
                name,
                key,
                found,
                expected,
            }
            .into());
        }
    }
    Ok(data)
}

/// Calls `run` with what a long computation needs beside its inputs: where its checkpoint is and
/// what fits it, when to stop, whom to tell.
fn with_hooks<T>(
    spec: &TrialSpec,
    context: TrialContext<'_>,
    data_hash: &str,
    run: impl FnOnce(Hooks<'_>) -> T,
) -> T {
    let TrialContext { stop, progress, .. } = context;
    // A checkpoint goes on only where everything that the outcome depends on is as it was; version and
    // instruction set are the checkpoint's own.
    let (trial, device) = (trial_id(spec), context.device);
    let key = format!("trial {trial}, data {data_hash}, device {device}");
    run(Hooks {
        key: &key,
        checkpoint: &context.dir.join("checkpoint.safetensors"),
        save_every: checkpoint_interval(),
        stop: &mut || stop.load(Ordering::SeqCst),
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
fn checkpoint_interval() -> Duration {
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
