//! What a search is to those who run it and report on it.

use super::diagnostics::Diagnostics;
use super::{NasConfig, NasSpace, Reach, Trace, Types};
use crate::cell::SupernetShape;
use crate::genes::Architecture;
use crate::nsganet::Subnet;
use crate::pdarts::learner::Learner;
use crate::reward;
use crate::space::{PoisonedSpace, SpaceError};
use tox_data::Dataset;
use tox_data::checkpoint::Hooks;
use tox_data::hashed::HashedError;
use tox_data::ranges::OutOfRange;
use tox_data::spec::Augment;
use tox_nn::Device;
use tox_nn::layers::{State, WeightsError};

/// A search over a space of networks.
pub trait Search: Sync {
    fn facts(&self) -> &'static Facts;

    /// Its name in a recipe, and that of its table there.
    fn kind(&self) -> &'static str {
        self.facts().kind
    }

    /// Its name in papers.
    fn title(&self) -> &'static str {
        self.facts().title
    }

    /// What it sees of the data.
    fn reads(&self, config: &NasConfig) -> Reads {
        let _ = config;
        Reads::All
    }

    fn runs_in(&self, space: NasSpace) -> bool {
        self.facts().elastic || space.cells().is_some()
    }

    /// The cells of NAS-Bench-201 that it may end with: what it would return of data that say nothing is at best
    /// one of these at random.
    ///
    /// # Errors
    /// Numbers that cannot be read.
    fn reach(&self, config: &NasConfig) -> Result<Reach, OutOfRange> {
        let _ = config;
        Ok(Reach::ALL)
    }

    /// Runs or resumes it. The config is checked, and the space one that it runs in.
    ///
    /// # Errors
    /// Images that it cannot use, a checkpoint that cannot be read or written.
    fn run(&self, inputs: &Inputs<'_>, hooks: Hooks<'_>) -> Ended;

    /// Measures what `poisoned`, the same rows as the clean ones of `inputs`, does to the signals that it
    /// goes by.
    fn diagnose(
        &self,
        inputs: &Inputs<'_>,
        found: &Found,
        poisoned: &Dataset,
    ) -> Result<Diagnostics, NasError> {
        let _ = (inputs, found, poisoned);
        Ok(Diagnostics::default())
    }

    /// The architecture that it would have ended with if its architecture parameters, which gradient cancelling moves,
    /// had ended with these `values`, in the order of [`Leftover::Supernet`]; `None` of a search without any, whose
    /// moved network says no other architecture.
    ///
    /// # Errors
    /// Values that give no architecture.
    fn found_at(
        &self,
        inputs: &Inputs<'_>,
        trace: &Trace,
        values: &[f32],
    ) -> Result<Option<Architecture>, NasError> {
        let _ = (inputs, trace, values);
        Ok(None)
    }

    /// The network that it left, built anew; its numbers are for the caller to fill in.
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

/// What does not depend on a run.
pub struct Facts {
    pub kind: &'static str,
    pub title: &'static str,
    /// A sentence on it.
    pub about: &'static str,
    /// Its numbers, and how a run of it went: [`super::TypesOf`] two structures.
    pub types: &'static dyn Types,
    /// Whether it chooses by scores of untrained networks, even if it trains the best by its scores.
    pub training_free: bool,
    /// Whether it is no search at all, but the random choice that others are held against.
    pub control: bool,
    /// Whether it is no search at all, but what a recipe gives.
    pub given: bool,
    /// Whether it runs in the space `elastic` too.
    pub elastic: bool,
    /// Whether its supernet may come from a file there.
    pub takes_supernet: bool,
    /// Seeds of it in the study of Coalson et al.; none if they did not run it.
    pub repetitions: Option<usize>,
    /// Names of what [`Search::diagnose`] measures as changes.
    pub signals: &'static [&'static str],
    /// What it chooses between, in the plural.
    pub choices: &'static str,
}

impl Facts {
    /// Whether something is searched, of which claims can be made.
    pub fn searches(&self) -> bool {
        !self.control && !self.given
    }

    /// Those of a search that trains what it chooses by, in the cell spaces.
    pub const fn of(
        kind: &'static str,
        title: &'static str,
        about: &'static str,
        types: &'static dyn Types,
    ) -> Self {
        Self {
            kind,
            title,
            about,
            types,
            training_free: false,
            control: false,
            given: false,
            elastic: false,
            takes_supernet: false,
            repetitions: None,
            signals: &[],
            choices: "choices of the best architecture",
        }
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
    /// Poisoned or not. Weights learn from the training split; alphas, and accuracies
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
    pub fn cells(&self) -> Result<PoisonedSpace, OutOfRange> {
        let title = self.config.space.title();
        let cells = self.config.cells();
        cells.ok_or_else(|| OutOfRange::new("space", title, "a cell space"))
    }

    /// For a search that evaluates cells by short trainings.
    pub(crate) fn evaluating<'b, C>(
        &'b self,
        space: &'b PoisonedSpace,
        config: &'b C,
    ) -> reward::Inputs<'b, C> {
        reward::Inputs {
            space,
            train: &self.data.train,
            valid: &self.data.valid,
            normalise: &self.data.normalise,
            classes: self.data.classes,
            accuracy: reward::Accuracy::Trained,
            direction: self.config.direction,
            config,
            seed: self.seed,
            device: self.device.clone(),
        }
    }

    /// The shape of a network on its images.
    pub(crate) fn shape(&self, channels: usize, cells: usize) -> SupernetShape {
        reward::shape(&self.data.train, self.data.classes, [channels, cells])
    }
}

/// What a search found.
#[derive(Clone, Debug)]
pub struct Found {
    pub genotype: Architecture,
    pub trace: Trace,
    /// For others to look at.
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

/// What a search ends with; `None` means that it was asked to stop and has saved itself.
pub type Ended = Result<Option<Found>, NasError>;

/// Why a search cannot be run or has no result.
#[derive(Debug, thiserror::Error)]
pub enum NasError {
    #[error(transparent)]
    Search(Box<dyn std::error::Error + Send + Sync>),
    #[error(transparent)]
    Weights(#[from] WeightsError),
    #[error(transparent)]
    Supernet(#[from] HashedError),
    #[error(transparent)]
    Space(#[from] SpaceError),
    #[error(transparent)]
    Config(#[from] OutOfRange),
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
pub fn run(inputs: &Inputs<'_>, hooks: Hooks<'_>) -> Ended {
    inputs.config.check()?;
    inputs.config.search.run(inputs, hooks)
}
