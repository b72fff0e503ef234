//! Every number of a random search.

use crate::reward::{RewardError, TrainConfig};
use crate::space::cells::CellSpace;
use crate::space::darts;
use crate::space::nasbench201::CELLS;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tox_data::checkpoint::CheckpointError;
use tox_data::ranges::{self, OutOfRange};

/// The numbers of a random search. The defaults are the study's control.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RandomConfig {
    /// Different architectures that are drawn, of NAS-Bench-201 at most 15,625, of the elastic space one. Of
    /// one nothing is measured; of several the most accurate is the result.
    #[schemars(range(min = 1, max = 100_000))]
    pub draws: usize,
    /// How the two inputs of a node are drawn, in the DARTS space.
    pub inputs: darts::Inputs,
    /// Channels of the networks that are trained.
    #[schemars(range(min = 1, max = 4096))]
    pub channels: usize,
    /// Their cells; a stage's in NAS-Bench-201.
    #[schemars(range(min = 1, max = 4096))]
    pub cells: usize,
    /// Training of an architecture, whose validation accuracy decides.
    pub train: TrainConfig,
}

impl Default for RandomConfig {
    fn default() -> Self {
        Self {
            draws: 1,
            inputs: darts::Inputs::default(),
            channels: 16,
            cells: 5,
            train: TrainConfig::default(),
        }
    }
}

/// Why a search could not begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum RandomError {
    #[error(transparent)]
    Config(#[from] OutOfRange),
    #[error(transparent)]
    Reward(#[from] RewardError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

impl RandomConfig {
    pub fn check(&self, space: CellSpace) -> Result<(), OutOfRange> {
        ranges::check(self)?;
        let fits = space == CellSpace::Darts || self.draws <= CELLS;
        OutOfRange::unless(fits, "draws", self.draws, format!("1 to {CELLS}"))?;
        self.train.check().map_err(|e| e.below("train"))
    }
}
