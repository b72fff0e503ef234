//! What a search is run on, why it cannot be run.

use super::config::NsganetConfig;
use super::supernet::Supernet;
use crate::genes::{Architecture, GeneSpace};
use crate::nas::Direction;
use crate::nsga::NsgaError;
use crate::space::SpaceError;
use crate::surrogate::SurrogateError;
use tox_data::Dataset;
use tox_data::checkpoint::CheckpointError;
use tox_data::ranges::OutOfRange;
use tox_data::spec::Augment;
use tox_nn::Device;

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
    pub direction: Direction,
    pub config: &'a NsganetConfig,
    pub seed: u64,
    pub device: Device,
}

/// Why a search could not begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum NsganetError {
    #[error(transparent)]
    Config(#[from] OutOfRange),
    #[error(
        "the {0} split has fewer images than NSGANetV2 needs (2 to train, 1 to validate): it measures \
         the accuracy of every candidate on images that it was not trained on; give it more"
    )]
    Images(&'static str),
    #[error(
        "the supernet is of {found}, but {expected} is searched; build it for this space and images of \
         as many channels"
    )]
    Supernet { found: String, expected: String },
    #[error("a network of NSGANetV2 cannot be built: {0}")]
    Space(#[from] SpaceError),
    #[error("round {round} of NSGANetV2 has no accuracy predictor: {source}")]
    Predictor {
        round: usize,
        source: SurrogateError,
    },
    #[error("round {round} of NSGANetV2: {source}")]
    Nsga { round: usize, source: NsgaError },
    #[error("the accuracy of {architecture} was given as {found}, expected a percentage, 0 to 100")]
    Accuracy { architecture: String, found: f64 },
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}
