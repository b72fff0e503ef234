//! What a search is run on, what it gives, why it cannot be run.

use super::archive::{Entry, Round};
use super::candidate::Candidate;
use super::config::NsganetConfig;
use super::supernet::{Subnet, Supernet};
use crate::config::ConfigError;
use crate::genes::{Architecture, GeneSpace};
use crate::nsga::NsgaError;
use crate::space::SpaceError;
use crate::surrogate::SurrogateError;
use tox_data::Dataset;
use tox_data::checkpoint::CheckpointError;
use tox_data::spec::Augment;
use tox_nn::Device;
use tox_nn::fit::Epoch;
use tox_nn::layers::State;

/// Where the accuracy of an architecture comes from.
#[derive(Clone, Copy)]
pub enum Accuracy<'a> {
    /// A supernet is trained on the training images, and candidates inherit its weights.
    Trained,
    /// Candidates inherit the weights of this supernet, which is of the space and for images of as many
    /// channels. With another number of classes than the data its classifier is replaced by a new one.
    Inherited(&'a Supernet),
    /// It is known, in percent, for instance from a table; no network is trained.
    Known(&'a (dyn Fn(&Architecture) -> f64 + Sync)),
}

/// What a search is run on.
pub struct Inputs<'a> {
    /// Candidates are fine-tuned, and a supernet is trained, on the training images; accuracies are
    /// those on the validation images.
    pub data: &'a Dataset,
    pub augment: &'a Augment,
    pub space: &'a GeneSpace,
    pub accuracy: Accuracy<'a>,
    pub config: &'a NsganetConfig,
    pub seed: u64,
    pub device: Device,
}

/// What a search found.
#[derive(Clone, Debug)]
pub struct Found {
    pub architecture: Architecture,
    /// Its place in the archive, which says what it was worth.
    pub place: usize,
    /// All architectures that were evaluated, in order.
    pub archive: Vec<Entry>,
    pub rounds: Vec<Round>,
    /// Epochs of the supernet's training: loss and error of the first subnet of each step, which is
    /// the largest in the elastic space and a random one elsewhere. None if it was not trained here.
    pub epochs: Vec<Epoch>,
    /// Steps of that training whose gradient norm was not finite.
    pub nonfinite_steps: u64,
    /// The supernet, which [`Found::subnet`] takes the result's weights from. None if accuracies were
    /// known.
    pub supernet: Option<Supernet>,
}

impl Found {
    /// The network of the result with inherited weights and running statistics of the training images,
    /// as a candidate begins; `inputs` are those of the search. None if accuracies were known.
    ///
    /// # Errors
    /// Inputs of another search, whose networks do not fit.
    pub fn subnet(&self, inputs: &Inputs<'_>) -> Result<Option<(Subnet, State)>, NsganetError> {
        let Some(supernet) = &self.supernet else {
            return Ok(None);
        };
        let candidate = Candidate::new(supernet, &self.architecture, self.place, inputs)?;
        Ok(Some(candidate.calibrated(inputs)))
    }
}

/// Why a search could not begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum NsganetError {
    /// A number of the config is out of its range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No images to train on or to measure accuracy on.
    #[error(
        "the {0} split has fewer images than NSGANetV2 needs (2 to train, 1 to validate): it measures \
         the accuracy of every candidate on images that it was not trained on; give it more"
    )]
    Images(&'static str),
    /// A supernet that does not fit the search.
    #[error(
        "the supernet is of {found}, but {expected} is searched; build it for this space and images of \
         as many channels"
    )]
    Supernet {
        /// Its space and its images' channels.
        found: String,
        /// Those of the search.
        expected: String,
    },
    /// Networks that cannot be built.
    #[error("a network of NSGANetV2 cannot be built: {0}")]
    Space(#[from] SpaceError),
    /// No predictor could be fitted.
    #[error("round {round} of NSGANetV2 has no accuracy predictor: {source}")]
    Predictor {
        /// From 1.
        round: usize,
        /// Why.
        source: SurrogateError,
    },
    /// NSGA-II or the selection of candidates failed.
    #[error("round {round} of NSGANetV2: {source}")]
    Nsga {
        /// From 1.
        round: usize,
        /// Why.
        source: NsgaError,
    },
    /// An accuracy that is not known after all.
    #[error("the accuracy of {architecture} was given as {found}, expected a percentage, 0 to 100")]
    Accuracy {
        /// Of what.
        architecture: String,
        /// What was given.
        found: f64,
    },
    /// The checkpoint cannot be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}
