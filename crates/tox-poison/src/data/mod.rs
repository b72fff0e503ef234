//! Label and image poisons of the data that a search learns from ("Data poisoning of NAS"): a share
//! p of the training rows is changed in place, the number of rows stays.
//!
//! [`flip::random`] is RLF, [`clf::flip`] CLF, [`noise::gaussian`] the noise control, [`gc::craft`]
//! gradient cancelling. Each takes the clean rows (of a search, [`tox_data::Dataset::pool`]) and
//! gives a [`Patch`], to save or to apply before any augmentation, with a [`Check`]: what the patch
//! really did when it was tried.
//!
//! **Budgets are nested.** The rows of a smaller budget are the first of those of a larger one with
//! the same seed, and, but for GC, what happens to a row depends on seed and row alone. So the points
//! of a curve over budgets are paired: each adds poison to that of the one before. RLF, noise and GC
//! of a seed hit the same rows.

pub mod check;
pub mod clf;
pub mod flip;
pub mod gc;
pub mod noise;
pub mod threat;

pub use check::Check;

use crate::classifier::ClassifierError;
use tox_data::checkpoint::CheckpointError;
use tox_data::patch::{Patch, PatchError};
use tox_data::ranges::OutOfRange;
use tox_data::rng::stream;
use tox_data::shuffled;

/// A poison and what it does.
#[derive(Clone, Debug, PartialEq)]
pub struct Crafted {
    /// The poison.
    pub patch: Patch,
    /// What it did to a copy of the clean rows; see [`Check::unreliable`].
    pub check: Check,
}

/// Why a poison could not be made.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum PoisonError {
    /// Not a share of the rows.
    #[error(
        "cannot poison a share of {budget} of the training rows: expected a budget above 0 and at \
         most 1, such as 0.1"
    )]
    Budget { budget: f64 },
    /// Less than one row.
    #[error(
        "a budget of {budget} of {rows} training rows is {share:.3} of a row, and rounds down to \
         no row at all: nothing would be poisoned; ask for at least {least:.2e}, which is one row",
        share = budget * *rows as f64,
        least = 1.0 / *rows as f64
    )]
    NoPoints { budget: f64, rows: usize },
    /// A single class.
    #[error("cannot flip labels among {classes} classes: expected at least 2")]
    OneClass { classes: usize },
    /// Rows that are no 8-bit images.
    #[error(
        "{attack} needs 8-bit images, found {found}; save the images as uint8 in an array of shape \
         (N, H, W), (N, H, W, C) or (N, C, H, W)"
    )]
    NotImages {
        attack: &'static str,
        found: &'static str,
    },
    /// A setting out of range.
    #[error(transparent)]
    Range(#[from] OutOfRange),
    /// A table of confidences that is none.
    #[error("cannot use these confidences: {what}; expected a softmax of each training row")]
    Confidences { what: String },
    /// A victim that gradient cancelling cannot use.
    #[error("cannot cancel the gradient of this victim: {what}")]
    Victim { what: String },
    /// CLF's classifier did not end in numbers.
    #[error("{0}")]
    Diverged(ClassifierError),
    /// Keys of its network, beside a table.
    #[error("{0}")]
    Keys(ClassifierError),
    /// The checkpoint cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The points make no patch.
    #[error(transparent)]
    Patch(#[from] PatchError),
}

impl From<ClassifierError> for PoisonError {
    fn from(error: ClassifierError) -> Self {
        match error {
            ClassifierError::Range(error) => Self::Range(error),
            ClassifierError::Checkpoint(error) => Self::Checkpoint(error),
            ClassifierError::Keys => Self::Keys(error),
            ClassifierError::Diverged { .. } | ClassifierError::Descent(_) => Self::Diverged(error),
        }
    }
}

/// Rows that a `budget`, a share of `rows`, poisons, see [`tox_data::share::of`].
///
/// # Errors
/// A budget that is not above 0 and at most 1, or that is less than a row.
pub fn points(budget: f64, rows: usize) -> Result<usize, PoisonError> {
    // NaN is no share.
    if !(budget > 0.0 && budget <= 1.0) {
        return Err(PoisonError::Budget { budget });
    }
    match tox_data::share::of(budget, rows) {
        0 => Err(PoisonError::NoPoints { budget, rows }),
        points => Ok(points),
    }
}

/// The rows that a random attack poisons: the first [`points`] of a uniform permutation, which is
/// the same for every budget and attack of a seed (stream `poison/rows`).
///
/// # Errors
/// As [`points`].
pub fn random_rows(budget: f64, rows: usize, seed: u64) -> Result<Vec<u64>, PoisonError> {
    let n = points(budget, rows)?;
    let order = shuffled(rows, &mut stream(seed, "poison/rows", &[]));
    Ok(order.into_iter().take(n).map(u64::from).collect())
}
