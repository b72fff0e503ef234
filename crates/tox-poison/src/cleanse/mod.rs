//! Countermeasures: what a defender does to training data that may be poisoned, before a search
//! learns from it.
//!
//! Each takes a [`Dataset`] whose rows ([`Dataset::pool`], the training and then the validation
//! images) may be poisoned, and gives a cleaned copy and a report, [`Cleansed`]. [`Knn`] corrects
//! labels by those of near images, [`LossFilter`] drops rows that a network trained on trusted images
//! finds wrong, [`Denoise`] smooths all images. Test images, normalisation and [`Dataset::hash`],
//! which says what was loaded, stay as they are.

mod denoise;
mod knn;
mod loss;
mod report;
mod small;

pub use denoise::{BitDepth, Denoise, Median, TvChambolle, tv_chambolle};
pub use knn::{Action, Knn, Pixels, Points, Space, majority, neighbours};
pub use loss::{LossFilter, trusted};
pub use report::{Against, Cleansed, Known};
pub use small::SmallResnet;

use crate::classifier::ClassifierError;
use report::Verdict;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tox_data::checkpoint::Hooks;
use tox_data::spec::Augment;
use tox_data::{Dataset, Split};
use tox_nn::Device;

/// A countermeasure with its settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Countermeasure {
    /// Labels by those of near images.
    Knn(Knn),
    /// Drops rows of high loss.
    LossFilter(LossFilter),
    /// Smooths all images.
    Denoise(Denoise),
}

/// What a countermeasure is applied to.
pub struct Inputs<'a> {
    /// The data, poisoned perhaps. The countermeasure sees no more of the poison than this.
    pub data: &'a Dataset,
    /// Images whose labels the defender vouches for, see [`trusted`]; only [`LossFilter`] uses them.
    pub trusted: Option<&'a Split>,
    /// What happens to batches that a network is trained on.
    pub augment: &'a Augment,
    /// What was done to the data, if it is known: for the report alone.
    pub known: Option<Known<'a>>,
    pub seed: u64,
    pub device: Device,
}

/// Why the data could not be cleaned.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum CleanseError {
    /// A setting out of range.
    #[error("`{key}` = {found} is out of range: expected {expected}")]
    Setting {
        key: &'static str,
        found: f64,
        expected: &'static str,
    },
    /// Two settings that exclude each other.
    #[error("`{0}` and `{1}` are both set, and each says which rows are dropped: leave one out")]
    Both(&'static str, &'static str),
    /// Fewer rows than neighbours.
    #[error(
        "cannot find {k} neighbours of a row among {rows} rows of training and validation images: \
         lower `k` or use more images"
    )]
    FewRows { k: usize, rows: usize },
    /// The trusted images are of no use.
    #[error("cannot use these trusted images: {what}")]
    Trusted { what: String },
    /// The known poison is not of this data.
    #[error("cannot compare with the known poison: {what}")]
    Known { what: String },
    /// Nearly nothing is left.
    #[error(
        "the countermeasure would leave {left} of the {before} {split} images, and a search needs \
         at least 2: {REMEDY}"
    )]
    FewLeft {
        split: &'static str,
        left: usize,
        before: usize,
    },
    /// A class is gone.
    #[error(
        "the countermeasure would leave no training image of class {class}, of which there were \
         {before}: {REMEDY}"
    )]
    ClassGone { class: String, before: usize },
    /// The classifier could not be trained.
    #[error(transparent)]
    Classifier(#[from] ClassifierError),
}

/// What to do when a countermeasure takes too much.
const REMEDY: &str = "lower `drop` or raise `quantile` of a loss filter, raise `eta` or set \
                      `action = \"relabel\"` for nearest neighbours, or use more images";

/// Refuses the first of `ranges` (key, value, least, most, what is expected) that does not hold its
/// value.
fn ranges(ranges: &[(&'static str, f64, f64, f64, &'static str)]) -> Result<(), CleanseError> {
    for &(key, found, low, high, expected) in ranges {
        // NaN is in no range.
        if !(low..=high).contains(&found) {
            return Err(CleanseError::Setting {
                key,
                found,
                expected,
            });
        }
    }
    Ok(())
}

impl Countermeasure {
    /// Checks every range.
    ///
    /// # Errors
    /// The first setting that is out of its range, or that contradicts another.
    pub fn check(&self) -> Result<(), CleanseError> {
        match self {
            Self::Knn(knn) => knn.check(),
            Self::LossFilter(filter) => filter.check(),
            Self::Denoise(denoise) => denoise.check(),
        }
    }

    /// How many trusted images it wants; none if it needs no trusted images.
    pub fn trusted(&self) -> Option<usize> {
        match self {
            Self::LossFilter(filter) => Some(filter.trusted),
            Self::Knn(_) | Self::Denoise(_) => None,
        }
    }

    /// The cleaned data and what was done to them. A training goes on from its checkpoint if there is
    /// one; distances and denoising, which take minutes at most, begin anew. `None` means that it was
    /// asked to stop.
    ///
    /// # Errors
    /// Settings out of range, inputs of no use, a training that failed, and too little left: fewer than
    /// 2 images in a half of the pool, or a class of the training half without an image.
    pub fn apply(
        &self,
        inputs: &Inputs<'_>,
        hooks: Hooks<'_>,
    ) -> Result<Option<(Dataset, Cleansed)>, CleanseError> {
        self.check()?;
        if let Some(known) = inputs.known {
            known.check(inputs.data)?;
        }
        let verdict = match self {
            Self::Knn(knn) => knn.verdict(inputs, hooks)?,
            Self::LossFilter(filter) => filter.verdict(inputs, hooks)?,
            Self::Denoise(denoise) => denoise.verdict(inputs, hooks),
        };
        let Some(verdict) = verdict else {
            return Ok(None);
        };
        Verdict::apply(verdict, inputs.data, inputs.known).map(Some)
    }
}
