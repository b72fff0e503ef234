//! What a search is to those who run it and report on it.

use super::diagnostics::Diagnostics;
use super::{Course, NasConfig, NasSpace, Table, Trace};
use crate::config::{ConfigError, error};
use crate::genes::Architecture;
use crate::nsganet::Subnet;
use crate::pdarts::learner::Learner;
use crate::space::{PoisonedSpace, SpaceError};
use tox_data::Dataset;
use tox_data::checkpoint::Hooks;
use tox_data::spec::Augment;
use tox_nn::Device;
use tox_nn::layers::{State, WeightsError};

/// A search over a space of networks.
pub trait Search: Sync {
    /// Its name in a recipe, and that of its table there.
    fn kind(&self) -> &'static str;

    /// Its name in papers.
    fn title(&self) -> &'static str;

    /// A sentence on it.
    fn about(&self) -> &'static str;

    /// Its numbers: [`super::TableOf`] a structure.
    fn table(&self) -> &'static dyn Table;

    /// Whether it chooses by scores of untrained networks, even if it trains the best by its scores.
    fn training_free(&self) -> bool;

    /// Whether it is no search at all, but what others are held against.
    fn is_control(&self) -> bool {
        false
    }

    /// What it sees of the data.
    fn reads(&self, config: &NasConfig) -> Reads {
        let _ = config;
        Reads::All
    }

    fn runs_in(&self, space: NasSpace) -> bool {
        space.cells().is_some()
    }

    /// Whether its supernet may come from a file, in the space `elastic`.
    fn takes_supernet(&self) -> bool {
        false
    }

    /// Seeds of it in the study of Coalson et al.; none if they did not run it.
    fn repetitions(&self) -> Option<usize> {
        None
    }

    /// Names of what [`Search::diagnose`] measures as changes.
    fn signals(&self) -> &'static [&'static str] {
        &[]
    }

    /// What it chooses between, in the plural.
    fn choices(&self) -> &'static str {
        "choices of the best architecture"
    }

    /// Runs or resumes it. `None` means that it was asked to stop and has saved itself. The config is
    /// checked, and the space one that it runs in.
    ///
    /// # Errors
    /// Images that it cannot use, a checkpoint that cannot be read or written.
    fn run(&self, inputs: &Inputs<'_>, hooks: Hooks<'_>) -> Result<Option<Found>, NasError>;

    /// Reads the keys of a [`Trace`] of it.
    ///
    /// # Errors
    /// Keys that are not its own.
    fn course(&self, trace: &Trace) -> serde_json::Result<Box<dyn Course>>;

    /// Measures what `poisoned`, the same rows as the clean ones of `inputs`, does to the signals that it
    /// goes by.
    ///
    /// # Errors
    /// A network that cannot be built.
    fn diagnose(
        &self,
        inputs: &Inputs<'_>,
        found: &Found,
        poisoned: &Dataset,
    ) -> Result<Diagnostics, NasError> {
        let _ = (inputs, found, poisoned);
        Ok(Diagnostics::default())
    }

    /// The network that it left, built anew; its numbers are for the caller to fill in.
    ///
    /// # Errors
    /// A network that cannot be built.
    fn left(
        &self,
        inputs: &Inputs<'_>,
        found: &Architecture,
        trace: &Trace,
    ) -> Result<Leftover, NasError> {
        let _ = (inputs, found, trace);
        Ok(Leftover::None)
    }
}

/// What a search sees of the data, and so what poison can reach it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    All,
    /// No labels.
    Images,
    Nothing,
}

/// What is searched on.
pub struct Inputs<'a> {
    /// The images, poisoned or not. Weights learn from the training split; alphas, and accuracies
    /// that a search goes by, are of the validation split. Test images are not looked at.
    pub data: &'a Dataset,
    /// What happens to batches, of searches that augment (P-DARTS, and TE-NAS' kernel).
    pub augment: &'a Augment,
    pub config: &'a NasConfig,
    pub seed: u64,
    pub device: Device,
}

impl Inputs<'_> {
    /// The cell space.
    ///
    /// # Errors
    /// A space of other networks.
    pub fn cells(&self) -> Result<PoisonedSpace, ConfigError> {
        match self.config.cells() {
            Some(cells) => Ok(cells),
            None => error(
                "space",
                self.config.space.title(),
                "a cell space".to_owned(),
            ),
        }
    }
}

/// What a search found.
#[derive(Clone, Debug)]
pub struct Found {
    pub genotype: Architecture,
    /// How it went.
    pub trace: Trace,
    /// What the search leaves for others to look at.
    pub left: Leftover,
}

/// A network that a search leaves: what gradient cancelling attacks. Without one that is a network of what was
/// found.
#[derive(Clone, Debug)]
pub enum Leftover {
    None,
    /// A supernet, whose alphas are attacked.
    Supernet(Box<Learner>),
    /// What was found, with the weights that it inherits from a supernet.
    Subnet(Box<(Subnet, State)>),
}

/// Why a search cannot be run or has no result.
#[derive(Debug, thiserror::Error)]
pub enum NasError {
    /// In the search's own words.
    #[error(transparent)]
    Search(Box<dyn std::error::Error + Send + Sync>),
    /// A supernet's file that cannot be used.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A supernet's file that is not the one of the trial.
    #[error(
        "the supernet {path} has the BLAKE3 hash {found}, but the trial was written for {expected}; use \
         that file, or leave `hash` out of the recipe"
    )]
    OtherSupernet {
        path: String,
        found: String,
        /// The hash of the trial.
        expected: String,
    },
    /// A network that cannot be built.
    #[error(transparent)]
    Space(#[from] SpaceError),
    /// A number out of its range, or a search that does not run on the space.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl NasError {
    /// Of a search's own error.
    pub fn of(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Search(Box::new(error))
    }
}

/// Runs or resumes the search that the config names, see [`Search::run`].
///
/// # Errors
/// A number of the config that is out of its range; those of the search.
pub fn run(inputs: &Inputs<'_>, hooks: Hooks<'_>) -> Result<Option<Found>, NasError> {
    inputs.config.check()?;
    inputs.config.search.run(inputs, hooks)
}
