//! What a poison of data is crafted from, and what is known of it.

use crate::error::TrialError;
use serde::{Deserialize, Serialize};
use tox_data::features::Features;
use tox_data::patch::Patch;
use tox_data::{DataRef, Dataset};
use tox_nn::Device;
use tox_poison::data::Check;
use tox_poison::data::threat::GcThreat;
use tox_search::genes::Architecture;
use tox_study::spec::TrialSpec;
use tox_study::steps::Steps;

/// Rows that an adversary of data can reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Training and validation rows: the learner learns from both.
    TrainAndValid,
    /// Training rows; the validation rows are trusted.
    Train,
}

/// What the data of a trial are made of.
pub struct Scene<'a> {
    pub spec: &'a TrialSpec,
    /// The data without poison, images or a table.
    pub clean: DataRef<'a>,
    pub device: Device,
    pub reach: Reach,
    /// Whose gradient is cancelled.
    pub victims: &'a dyn Victims,
    /// Kinds of threats to data, and of defences of them, that the learner sees to itself.
    pub own: &'a [&'a str],
}

impl<'a> Scene<'a> {
    /// The clean data, for what works on images alone.
    ///
    /// # Errors
    /// A table of numbers.
    pub fn images(&self) -> Result<&'a Dataset, TrialError> {
        self.clean.images().ok_or(TrialError::NotImages)
    }
}

/// What a learner offers to an adversary who cancels gradients.
pub trait Victims {
    /// Crafts the poison against what a clean run of the learner gives.
    ///
    /// # Errors
    /// Why there is none.
    fn cancel(
        &self,
        scene: &Scene<'_>,
        threat: &GcThreat,
        pool: &Features,
        steps: &mut Steps<'_>,
    ) -> Result<(Patch, Poison), TrialError>;
}

/// A poison as it was applied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Poison {
    /// What it did to the rows, and why it is not to be trusted, if it is not.
    pub check: Check,
    /// CLF: share of the clean rows that its classifier names rightly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classifier_accuracy: Option<f64>,
    /// GC: the architecture of the victim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub victim: Option<Architecture>,
    /// The built-in learner that it was crafted against, where another one is given it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transferred: Option<Transferred>,
}

/// What a poison does to the built-in learner that it was crafted against.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transferred {
    /// The learner.
    pub victim: String,
    /// Its error on the clean test rows without the poison, percent.
    pub clean_error: f64,
    /// With it.
    pub error: f64,
}

impl Poison {
    /// With nothing known but its check.
    pub fn of(check: Check) -> Self {
        Self {
            check,
            classifier_accuracy: None,
            victim: None,
            transferred: None,
        }
    }
}
