//! Every number of a P-DARTS search.

use super::discretise::{MAX_SKIPS, skip_dropout};
use crate::config::{ConfigError, error, real, sgd, whole};
use crate::space::cells::CellSpace;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tox_nn::optim::cosine;

/// One stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Cells of its supernet; in NAS-Bench-201 those of each of three parts.
    pub cells: usize,
    /// Ops on every edge. The first stage has all of the published space, and the bad ops of a poisoned one
    /// beside them; later ones fewer each.
    pub ops: usize,
    /// Dropout on skip-connects of stride 1 at its start, [0, 1).
    pub skip_dropout: f64,
}

/// Every number of a search. The defaults are the poisoning paper's, which are P-DARTS' own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PdartsConfig {
    /// The stages, each with new weights; only the choice of ops goes on. Default: for the DARTS
    /// space 5, 11 and 17 cells with 8, 5 and 3 ops, for NAS-Bench-201 1, 3 and 5 with 5, 4 and 3.
    #[serde(default = "Vec::<Stage>::new")]
    pub stages: Vec<Stage>,
    /// Channels of a node of the first cell.
    pub channels: usize,
    /// Images a step, for the weights and for the alphas each.
    pub batch: usize,
    /// Epochs of a stage.
    pub epochs: usize,
    /// Of them those at the start in which the alphas are frozen.
    pub frozen_epochs: usize,
    /// Learning rate of the weights at the start of a stage.
    pub lr_max: f64,
    /// The cosine's end, one epoch after the last.
    pub lr_min: f64,
    /// Momentum.
    pub momentum: f64,
    /// L2 penalty of the weights.
    pub weight_decay: f64,
    /// Global gradient norm above which a gradient is scaled down: that of all alphas, and that of
    /// all weights.
    pub grad_clip: f64,
    /// Learning rate of the alphas (Adam).
    pub alpha_lr: f64,
    /// Adam's betas.
    pub alpha_betas: [f64; 2],
    /// L2 penalty of the alphas, a part of their gradient.
    pub alpha_decay: f64,
    /// Alphas begin with this times N(0, 1).
    pub alpha_init: f64,
    /// Once the alphas learn, dropout on skips decays by `exp(-this)` an epoch.
    pub skip_dropout_decay: f64,
    /// Skip-connects that the result's normal cell may have (M). In NAS-Bench-201, whose paper knows
    /// no such limit, those of the cell.
    pub max_skips: usize,
}

impl Default for PdartsConfig {
    fn default() -> Self {
        Self {
            stages: stages([5, 11, 17], [8, 5, 3]),
            channels: 16,
            batch: 96,
            epochs: 25,
            frozen_epochs: 10,
            lr_max: 0.025,
            lr_min: 0.0,
            momentum: 0.9,
            weight_decay: 3e-4,
            grad_clip: 5.0,
            alpha_lr: 6e-4,
            alpha_betas: [0.5, 0.999],
            alpha_decay: 1e-3,
            alpha_init: 1e-3,
            skip_dropout_decay: 0.2,
            max_skips: MAX_SKIPS,
        }
    }
}

fn stages(cells: [usize; 3], ops: [usize; 3]) -> Vec<Stage> {
    let each = cells.into_iter().zip(ops).zip([0.1, 0.4, 0.7]);
    let stage = |((cells, ops), skip_dropout)| Stage {
        cells,
        ops,
        skip_dropout,
    };
    each.map(stage).collect()
}

impl PdartsConfig {
    /// The defaults on NAS-Bench-201, see the docs of [`super`].
    pub fn nasbench201() -> Self {
        Self {
            stages: stages([1, 3, 5], [5, 4, 3]),
            ..Self::default()
        }
    }

    /// With the stages of `space` if it has none.
    pub fn resolved(mut self, space: CellSpace) -> Self {
        if self.stages.is_empty() {
            self.stages = match space {
                CellSpace::Darts => Self::default().stages,
                CellSpace::NasBench201 => Self::nasbench201().stages,
            };
        }
        self
    }

    pub fn check(&self, space: CellSpace) -> Result<(), ConfigError> {
        let all = space.ops().len();
        // Without `none` and a struck skip-connect, an edge must have an op left.
        let least = match space {
            CellSpace::Darts => 3,
            CellSpace::NasBench201 => 2,
        };
        whole("stages, number of", self.stages.len(), 1, 10)?;
        let mut before = all;
        for (i, stage) in self.stages.iter().enumerate() {
            whole("stages.cells", stage.cells, 1, 1000)?;
            if i == 0 && stage.ops != all {
                let expected = format!("{all} in the first stage, all of the space");
                return error("stages.ops", stage.ops, expected);
            }
            whole("stages.ops", stage.ops, least, before)?;
            real("stages.skip_dropout", stage.skip_dropout, 0.0, 0.999)?;
            before = stage.ops;
        }
        whole("channels", self.channels, 1, 4096)?;
        whole("epochs", self.epochs, 1, 100_000)?;
        whole("frozen_epochs", self.frozen_epochs, 0, self.epochs)?;
        sgd(self.batch, (self.lr_max, self.lr_min), self.momentum)?;
        real("weight_decay", self.weight_decay, 0.0, 1e3)?;
        real("grad_clip", self.grad_clip, 1e-12, 1e30)?;
        real("alpha_lr", self.alpha_lr, 0.0, 1e3)?;
        for beta in self.alpha_betas {
            real("alpha_betas", beta, 0.0, 0.999_999)?;
        }
        real("alpha_decay", self.alpha_decay, 0.0, 1e3)?;
        real("alpha_init", self.alpha_init, 0.0, 1e3)?;
        real("skip_dropout_decay", self.skip_dropout_decay, 0.0, 1e3)?;
        whole("max_skips", self.max_skips, 0, space.edges())
    }

    /// Learning rate of the weights in an epoch of a stage.
    pub fn lr(&self, epoch: usize) -> f64 {
        cosine(epoch, self.lr_max, self.lr_min, self.epochs)
    }

    /// Dropout on skips in an epoch of a stage.
    pub fn skip_dropout(&self, stage: &Stage, epoch: usize) -> f64 {
        let (all, frozen) = (self.epochs, self.frozen_epochs);
        skip_dropout(
            stage.skip_dropout,
            epoch,
            all,
            frozen,
            self.skip_dropout_decay,
        )
    }
}
