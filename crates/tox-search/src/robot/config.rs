//! Every number of a RoBoT search.

use crate::bayes::BayesConfig;
use crate::reward::{RewardError, TrainConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tox_data::ranges::{self, OutOfRange};

/// Which of the trained architectures is the result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Choice {
    /// The one of the highest accuracy, the first of equals.
    #[default]
    Best,
    /// As the published code does: it looks for an accuracy above the smallest *index* in the pool of
    /// those trained, less one, and takes entry 0 of the pool if none is. (It takes the minimum of a
    /// dictionary from index to accuracy, which is that of its keys.) With accuracies in percent and
    /// pools of thousands the result is mostly entry 0, whatever the data: of the 40 genotypes that the
    /// data-poisoning study lists 27 are.
    Published,
}

/// The numbers of a search. The defaults are those of the published scripts for the DARTS space.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RobotConfig {
    /// Random architectures that are scored; equal ones count once. NAS-Bench-201 has 15,625, which
    /// are all scored if this is more.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub pool: usize,
    /// Whether genotypes of the pool may have `dil_conv_5x5`. The published draw has seven columns
    /// for eight ops, so that the last is never drawn.
    pub all_ops: bool,
    /// Images of the batch that the metrics are taken of.
    #[schemars(range(min = 2, max = 65_536))]
    pub batch: usize,
    /// Channels of the networks that are scored and trained.
    #[schemars(range(min = 1, max = 4096))]
    pub channels: usize,
    /// Their cells; a stage's in NAS-Bench-201.
    #[schemars(range(min = 1, max = 4096))]
    pub cells: usize,
    /// Step of the difference that grasp takes, a share of the weights.
    #[schemars(range(min = 1e-4, max = 0.5))]
    pub grasp_step: f32,
    /// Rounds of Bayesian optimisation.
    #[schemars(range(min = 1, max = 10_000))]
    pub rounds: usize,
    /// Architectures that are trained in all; those that the rounds leave go greedily down
    /// the best ranking.
    #[schemars(range(min = 1, max = 10_000))]
    pub evaluated: usize,
    /// Bayesian optimisation over the weights of the metrics.
    pub bayes: BayesConfig,
    /// Training of an architecture, whose validation accuracy is the reward.
    pub train: TrainConfig,
    /// Which architecture is the result.
    pub choice: Choice,
}

impl Default for RobotConfig {
    fn default() -> Self {
        Self {
            pool: 60_000,
            all_ops: false,
            batch: 64,
            channels: 16,
            cells: 5,
            grasp_step: crate::zero_cost::GRASP_STEP,
            rounds: 25,
            evaluated: 25,
            bayes: BayesConfig::default(),
            train: TrainConfig::default(),
            choice: Choice::Best,
        }
    }
}

/// Why a search could not begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum RobotError {
    #[error(transparent)]
    Config(#[from] OutOfRange),
    #[error(
        "the metrics take {batch} different images, but the training split has {images}; give it more \
         images or set `batch`"
    )]
    Images { batch: usize, images: usize },
    #[error(transparent)]
    Reward(#[from] RewardError),
    #[error(transparent)]
    Space(#[from] crate::space::SpaceError),
    #[error("round {round} of the search for metric weights: {source}")]
    Bayes {
        round: usize,
        source: crate::bayes::BayesError,
    },
    #[error(transparent)]
    Checkpoint(#[from] tox_data::checkpoint::CheckpointError),
}

impl RobotConfig {
    pub fn check(&self) -> Result<(), OutOfRange> {
        ranges::check(self)?;
        self.train.check().map_err(|e| e.below("train"))
    }
}
