//! What a poison of data is crafted from, and what is known of it.

use crate::error::TrialError;
use serde::de::DeserializeOwned;
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
    /// Whose gradient is cancelled, where the learner offers a victim; else a network of toxscreen's.
    pub victims: Option<&'a dyn Victims>,
    /// Kinds of threats to data, and of defences of them, that the learner sees to itself.
    pub own: &'a [&'a str],
}

impl<'a> Scene<'a> {
    /// Of a learner that learns from training and validation rows, and leaves the poisons to toxscreen.
    pub fn of(spec: &'a TrialSpec, clean: impl Into<DataRef<'a>>, device: Device) -> Self {
        Self {
            spec,
            clean: clean.into(),
            device,
            reach: Reach::TrainAndValid,
            victims: None,
            own: &[],
        }
    }

    /// The clean data, for what works on images alone.
    ///
    /// # Errors
    /// A table of numbers.
    pub fn images(&self) -> Result<&'a Dataset, TrialError> {
        self.clean.images().ok_or(TrialError::NotImages)
    }

    /// The keys of the threat to the data.
    ///
    /// # Errors
    /// There is none, or it is another.
    pub fn threat<T: DeserializeOwned>(&self) -> Result<T, TrialError> {
        let threat = self.spec.threat.data.as_ref();
        let none = || TrialError::Unfit("the trial has no threat to its data".into());
        Ok(threat.ok_or_else(none)?.read()?)
    }
}

/// A patch and what is known of it, or why there is none.
pub type Crafting = Result<(Patch, Poison), TrialError>;

/// A poison of GC that is asked for.
pub struct Cancelling<'a> {
    pub scene: &'a Scene<'a>,
    pub threat: &'a GcThreat,
    /// The clean rows that it may reach.
    pub pool: &'a Features,
}

/// What moved targets of a victim stand for, by their values; none if nobody can tell.
pub type Reading<'a> = dyn Fn(&[f32]) -> Option<Aim> + 'a;

/// What a learner offers to an adversary who cancels gradients.
pub trait Victims {
    /// Crafts the poison against what a clean run of the learner gives.
    ///
    /// # Errors
    /// Why there is none.
    fn cancel(&self, asked: &Cancelling<'_>, steps: &mut Steps<'_>) -> Crafting;
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
    /// GC, against a search: the architecture that the victim's moved targets stand for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aim: Option<Aim>,
    /// The built-in learner that it was crafted against, where another one is given it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transferred: Option<Transferred>,
}

/// What a search would find at the parameters that a poison of GC is to make look like a minimum. A poison that aims at
/// the architecture of the unpoisoned victim would change nothing if it worked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aim {
    Architecture(Box<Aimed>),
    /// Why nobody can tell.
    CannotTell(String),
}

/// An architecture that a poison of GC aims at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Aimed {
    pub genotype: Architecture,
    /// Its accuracy in the table of the trial, percent, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// That of the architecture that the unpoisoned victim stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub victim_accuracy: Option<f64>,
}

impl Aim {
    /// What a search says of the moved parameters, not looked up.
    pub fn of(found: Result<Architecture, impl ToString>) -> Self {
        match found {
            Ok(genotype) => Self::Architecture(Box::new(Aimed {
                genotype,
                accuracy: None,
                victim_accuracy: None,
            })),
            Err(reason) => Self::CannotTell(reason.to_string()),
        }
    }

    /// The architecture, if anybody can tell.
    pub fn architecture(&self) -> Option<&Aimed> {
        match self {
            Self::Architecture(aimed) => Some(&**aimed),
            Self::CannotTell(_) => None,
        }
    }
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
            aim: None,
            transferred: None,
        }
    }
}
