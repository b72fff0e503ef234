//! Robust accuracy, and whether to believe it.
//!
//! [`evaluate`] measures the accuracy of an [`Oracle`] on images as they are, then under each of some
//! attacks on those that it classifies correctly, and looks over its own result: [`checks`] holds the
//! signs by which published evaluations were found to be wrong, `own_attacks` tries what the attacks left, and
//! `verdict` says whether there was a test at all. A machine of small steps, a chunk of images under one
//! attack, or a part of an ensemble, each, so that it can stop and go on anywhere.

pub mod checks;
mod examples;
mod machine;
mod outcome;
mod own_attacks;
mod pictures;
mod probes;
mod stop;
mod tally;
mod verdict;
mod warning;

pub use examples::{Error as FoundError, Examples};
pub use outcome::{Attacked, Evaluation, OwnAttacks, Part, Queries};
pub use pictures::Pictures;
pub use verdict::{Gap, Reliable, Untested};
pub use warning::{Warning, WarningKind, WarningKind as Kind};

use crate::attacks::{Attack, AttackError, AttackKind, KINDS};
use crate::ball::Ball;
use crate::oracle::Oracle;
use machine::Machine;
use stop::StopRequest;
use tox_data::checkpoint::{self, CheckpointError, Hooks};

/// Images a step.
pub const CHUNK: usize = 128;

/// What is evaluated.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    pub oracle: &'a dyn Oracle,
    /// Images with their labels; a [`Split`](tox_data::Split) is one by `into()`.
    pub split: Pictures<'a>,
    /// Rows of `split` to evaluate on, each at most once; they key the attacks' random streams.
    pub rows: &'a [u32],
    /// Where attacks move in.
    pub ball: Ball,
    /// Each is run alone, on all images that are classified correctly.
    pub attacks: &'a [Attack],
    pub seed: u64,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum EvaluationError {
    /// See there.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// See there.
    #[error(transparent)]
    Attack(#[from] AttackError),
    /// Nothing to measure on.
    #[error(
        "robust accuracy: there is no image to evaluate on; give at least one row of the split"
    )]
    NoImages,
    /// A row that the split does not have.
    #[error("robust accuracy: row {row} was asked for, the split has {images} images, rows 0 to {}", .images.saturating_sub(1))]
    Row {
        /// The row.
        row: u32,
        /// Images in the split.
        images: usize,
    },
    /// Images of another shape than the network's.
    #[error(
        "robust accuracy: the images are {found:?} (channels, height, width), the network was built \
         for {expected:?}; resize the data or build the network for them"
    )]
    Shape {
        /// The network's.
        expected: [usize; 3],
        /// The split's.
        found: [usize; 3],
    },
    /// Reals of another number than their shape says.
    #[error(
        "robust accuracy: images of shape {shape:?} (images, channels, height, width) were given as {found} \
         numbers, expected {}", .shape.iter().product::<usize>()
    )]
    Pixels {
        /// Images, channels, height, width.
        shape: [usize; 4],
        /// How many numbers there are.
        found: usize,
    },
    /// A pixel outside of the image range.
    #[error(
        "robust accuracy: a pixel is {found}, expected numbers in 0..=1; divide bytes by 255, and make the \
         normalisation a part of the model"
    )]
    Outside {
        /// The pixel.
        found: f32,
    },
    /// An attack along gradients on a model that has none.
    #[error(
        "robust accuracy: {attack} follows the model's gradient, but this model answers with logits alone; \
         use {} or another black box",
        blind()
    )]
    NoGradient {
        /// The attack, or the member of an ensemble.
        attack: String,
    },
    /// A label that the network cannot answer.
    #[error(
        "robust accuracy: row {row} has label {label}, the network has {classes} classes; build it \
         with the data set's number of classes"
    )]
    Label {
        /// The row.
        row: u32,
        /// Its label.
        label: u16,
        /// The network's classes.
        classes: usize,
    },
}

/// Evaluates, or goes on from a checkpoint. `None` means that it was asked to stop and has saved
/// itself. It asks before every pass of the network; a step that it stops in is made again.
///
/// # Errors
/// Settings or images that cannot be evaluated, or a checkpoint that cannot be read or written or
/// belongs to something else.
pub fn evaluate(
    inputs: &Inputs<'_>,
    hooks: Hooks<'_>,
) -> Result<Option<Evaluation>, EvaluationError> {
    Ok(drive(inputs, hooks, false)?.map(|(evaluation, _)| evaluation))
}

/// As [`evaluate`], with what was found image by image.
///
/// # Errors
/// As [`evaluate`].
pub fn evaluate_each(
    inputs: &Inputs<'_>,
    hooks: Hooks<'_>,
) -> Result<Option<(Evaluation, Examples)>, EvaluationError> {
    drive(inputs, hooks, true)
}

fn drive(
    inputs: &Inputs<'_>,
    hooks: Hooks<'_>,
    each: bool,
) -> Result<Option<(Evaluation, Examples)>, EvaluationError> {
    check(inputs)?;
    let Hooks {
        checkpoint,
        key,
        save_every,
        stop,
        progress,
    } = hooks;
    let request = StopRequest::new(stop);
    let machine = Machine::new(inputs, &request);
    let mut machine = if each { machine.keeping() } else { machine };
    let mut hooks = Hooks {
        checkpoint,
        key,
        save_every,
        stop: &mut || request.poll(),
        progress,
    };
    let done = checkpoint::drive(&mut machine, &mut hooks)?;
    Ok(done.then(|| machine.finish_keeping()))
}

/// That the oracle has the gradients that an attack, or a member of it, follows.
///
/// # Errors
/// [`EvaluationError::NoGradient`].
pub fn possible(oracle: &dyn Oracle, attack: &Attack) -> Result<(), EvaluationError> {
    let mut parts = attack.parts(oracle.classes()).into_iter();
    let follows = parts.find(|part| !oracle.has_gradient() && !part.facts().black_box());
    match follows {
        None => Ok(()),
        Some(part) if part == *attack => Err(EvaluationError::NoGradient {
            attack: part.name(),
        }),
        Some(part) => Err(EvaluationError::NoGradient {
            attack: format!("{} of {}", part.name(), attack.name()),
        }),
    }
}

/// Names of black boxes.
fn blind() -> String {
    let blind = |kind: &&AttackKind| {
        let attack = kind.name.parse::<Attack>();
        attack.is_ok_and(|attack| attack.facts().black_box())
    };
    let names: Vec<&str> = KINDS.iter().filter(blind).map(|kind| kind.name).collect();
    names.join(", ")
}

fn check(inputs: &Inputs<'_>) -> Result<(), EvaluationError> {
    let (split, classes) = (inputs.split, inputs.oracle.classes());
    split.check()?;
    for attack in inputs.attacks {
        attack.check(inputs.ball, classes)?;
        possible(inputs.oracle, attack)?;
    }
    if inputs.rows.is_empty() {
        return Err(EvaluationError::NoImages);
    }
    let [images, c, h, w] = split.shape();
    let (found, expected) = ([c, h, w], inputs.oracle.shape());
    if found != expected {
        return Err(EvaluationError::Shape { expected, found });
    }
    for &row in inputs.rows {
        let label = split.labels().get(row as usize).copied();
        let label = label.filter(|_| (row as usize) < images);
        let label = label.ok_or(EvaluationError::Row { row, images })?;
        if usize::from(label) >= classes {
            return Err(EvaluationError::Label {
                row,
                label,
                classes,
            });
        }
    }
    Ok(())
}
