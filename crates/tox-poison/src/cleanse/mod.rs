//! Countermeasures: what a defender does to training data that may be poisoned, before a search
//! learns from it.
//!
//! Each takes data whose rows ([`DataRef::pool`], the training and then the validation rows) may be
//! poisoned, and gives a cleaned copy and a report, [`Cleansed`]. [`Knn`] corrects labels by those of near
//! rows, [`LossFilter`] drops rows that a classifier trained on trusted rows finds wrong, [`Suspects`] the most
//! suspicious rows by any of the methods of [`crate::suspects`], [`Denoise`] smooths all images, and cannot do that to a table. Test rows, normalisation and the hash, which says what was
//! loaded, stay as they are.

mod denoise;
mod knn;
mod loss;
mod report;
mod small;
mod suspects;

pub use denoise::{BitDepth, Denoise, Median, TvChambolle, tv_chambolle};
pub use knn::{Action, Knn, Pixels, Points, Space, majority, neighbours};
pub(crate) use loss::covers;
pub use loss::{LossFilter, trusted};
pub use report::{Against, Cleansed, Known};
pub use small::SmallResnet;
pub use suspects::Suspects;

use crate::classifier::ClassifierError;
use report::Verdict;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tox_data::checkpoint::Hooks;
use tox_data::features::Features;
use tox_data::ranges::{self, OutOfRange};
use tox_data::spec::Augment;
use tox_data::{Data, DataRef};
use tox_nn::Device;

/// A countermeasure with its settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Countermeasure {
    /// Labels by those of near images.
    Knn(Knn),
    /// Drops rows of high loss.
    LossFilter(LossFilter),
    /// Drops or relabels the most suspicious rows.
    Suspects(Suspects),
    /// Smooths all images.
    Denoise(Denoise),
}

/// What a countermeasure is applied to.
pub struct Inputs<'a> {
    /// The data, poisoned perhaps. The countermeasure sees no more of the poison than this.
    pub data: DataRef<'a>,
    /// Rows whose labels the defender vouches for, see [`trusted`]; [`LossFilter`] and [`Suspects`] use them.
    pub trusted: Option<&'a Features>,
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
    /// A setting out of range, or one that does not go with another.
    #[error(transparent)]
    Range(#[from] OutOfRange),
    /// Fewer rows than neighbours.
    #[error(
        "cannot find {k} neighbours of a row among {rows} rows for training and validation: lower `k` or use \
         more rows"
    )]
    FewRows { k: usize, rows: usize },
    /// Too few rows for the methods that look for suspects.
    #[error(
        "cannot judge rows by {k} others among {rows} rows: use more rows, or lower `k` or `folds` of the \
         settings"
    )]
    FewToJudge { k: usize, rows: usize },
    /// The trusted rows are of no use.
    #[error("cannot use these trusted rows: {what}")]
    Trusted { what: String },
    /// A table, where images are needed.
    #[error("a table of numbers cannot be cleaned so: {0}")]
    Table(&'static str),
    /// The known poison is not of this data.
    #[error("cannot compare with the known poison: {what}")]
    Known { what: String },
    /// Nearly nothing is left.
    #[error(
        "the countermeasure would leave {left} of the {before} {split} rows, and a learner needs \
         at least 2: {REMEDY}"
    )]
    FewLeft {
        split: &'static str,
        left: usize,
        before: usize,
    },
    /// A class is gone.
    #[error(
        "the countermeasure would leave no training row of class {class}, of which there were \
         {before}: {REMEDY}"
    )]
    ClassGone { class: String, before: usize },
    /// The classifier could not be trained.
    #[error(transparent)]
    Classifier(#[from] ClassifierError),
}

/// What to do when a countermeasure takes too much.
const REMEDY: &str = "lower `drop` or raise `quantile` of a loss filter, lower `share` of suspects, raise `eta` or set \
                      `action = \"relabel\"` for nearest neighbours, or use more rows";

impl Countermeasure {
    /// Checks every range.
    ///
    /// # Errors
    /// The first setting that is out of its range, or that contradicts another.
    pub fn check(&self) -> Result<(), OutOfRange> {
        ranges::check(self)?;
        match self {
            Self::LossFilter(filter) => filter.relations(),
            Self::Suspects(suspects) => suspects.relations(),
            Self::Knn(_) | Self::Denoise(_) => Ok(()),
        }
    }

    /// Whether it can clean a table of numbers.
    ///
    /// # Errors
    /// Why not.
    pub fn tables(&self) -> Result<(), &'static str> {
        match self {
            Self::Knn(knn) => knn.tables(),
            Self::LossFilter(filter) => filter.tables(),
            Self::Suspects(_) => Ok(()),
            Self::Denoise(_) => Err(
                "a denoiser smooths the pixels of an image over its neighbours, and the columns of a table \
                 have none; \"knn\" and \"loss-filter\" clean tables",
            ),
        }
    }

    /// How many trusted rows it wants; none if it needs none.
    pub fn trusted(&self) -> Option<usize> {
        match self {
            Self::LossFilter(filter) => Some(filter.trusted),
            Self::Suspects(suspects) => suspects.trusted,
            Self::Knn(_) | Self::Denoise(_) => None,
        }
    }

    /// The cleaned data and what was done to them. A training goes on from its checkpoint if there is
    /// one; distances and denoising, which take minutes at most, begin anew. `None` means that it was
    /// asked to stop.
    ///
    /// # Errors
    /// Settings out of range, inputs of no use, a training that failed, and too little left: fewer than
    /// 2 rows in a half of the pool, or a class of the training half without a row.
    pub fn apply(
        &self,
        inputs: &Inputs<'_>,
        hooks: Hooks<'_>,
    ) -> Result<Option<(Data, Cleansed)>, CleanseError> {
        self.check()?;
        if inputs.data.images().is_none() {
            self.tables().map_err(CleanseError::Table)?;
        }
        if let Some(known) = inputs.known {
            known.check(inputs.data)?;
        }
        let verdict = match self {
            Self::Knn(knn) => knn.verdict(inputs, hooks)?,
            Self::LossFilter(filter) => filter.verdict(inputs, hooks)?,
            Self::Suspects(suspects) => suspects.verdict(inputs, hooks)?,
            Self::Denoise(denoise) => denoise.verdict(inputs, hooks)?,
        };
        let Some(verdict) = verdict else {
            return Ok(None);
        };
        Verdict::apply(verdict, inputs.data, inputs.known).map(Some)
    }
}
