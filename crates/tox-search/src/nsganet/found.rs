//! What a search gives.

use super::archive::{Entry, Round};
use super::candidate::Candidate;
use super::inputs::{Inputs, NsganetError};
use super::supernet::{Subnet, Supernet};
use crate::genes::Architecture;
use tox_nn::fit::Epoch;
use tox_nn::layers::State;

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
