//! Every number of a P-DARTS search.

use super::discretise::{MAX_SKIPS, skip_dropout};
use crate::space::cells::CellSpace;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tox_data::ranges::{self, OutOfRange};
use tox_nn::fit::falls;
use tox_nn::optim::cosine;

/// One stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Cells of its supernet; in NAS-Bench-201 those of each of three parts.
    #[schemars(range(min = 1, max = 1000))]
    pub cells: usize,
    /// Ops on every edge. The first stage has all of the published space, and the bad ops of a poisoned one
    /// beside them; later ones fewer each.
    #[schemars(range(min = 2, max = 8))]
    pub ops: usize,
    /// Dropout on skip-connects of stride 1 at its start.
    #[schemars(range(min = 0.0, max = 0.999))]
    pub skip_dropout: f64,
}

/// Every number of a search. The defaults are the poisoning paper's, which are P-DARTS' own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PdartsConfig {
    /// The stages, each with new weights; only the choice of ops goes on. Default: for the DARTS
    /// space 5, 11 and 17 cells with 8, 5 and 3 ops, for NAS-Bench-201 1, 3 and 5 with 5, 4 and 3.
    #[serde(default = "Vec::<Stage>::new")]
    #[schemars(length(max = 10))]
    pub stages: Vec<Stage>,
    /// Channels of a node of the first cell.
    #[schemars(range(min = 1, max = 4096))]
    pub channels: usize,
    /// Images a step, for the weights and for the alphas each.
    #[schemars(range(min = 2, max = 65_536))]
    pub batch: usize,
    /// Epochs of a stage.
    #[schemars(range(min = 1, max = 100_000))]
    pub epochs: usize,
    /// Of them those at the start in which the alphas are frozen, at most all.
    #[schemars(range(min = 0, max = 100_000))]
    pub frozen_epochs: usize,
    /// Learning rate of the weights at the start of a stage.
    #[schemars(range(min = 1e-12, max = 1e6))]
    pub lr_max: f64,
    /// The cosine's end, one epoch after the last, at most `lr_max`.
    #[schemars(range(min = 0.0))]
    pub lr_min: f64,
    /// Momentum.
    #[schemars(range(min = 0.0, max = 0.9999))]
    pub momentum: f64,
    /// L2 penalty of the weights.
    #[schemars(range(min = 0.0, max = 1e3))]
    pub weight_decay: f64,
    /// Global gradient norm above which a gradient is scaled down: that of all alphas, and that of
    /// all weights.
    #[schemars(range(min = 1e-12, max = 1e30))]
    pub grad_clip: f64,
    /// Learning rate of the alphas (Adam).
    #[schemars(range(min = 0.0, max = 1e3))]
    pub alpha_lr: f64,
    /// Adam's betas.
    #[schemars(inner(range(min = 0.0, max = 0.999_999)))]
    pub alpha_betas: [f64; 2],
    /// L2 penalty of the alphas, a part of their gradient.
    #[schemars(range(min = 0.0, max = 1e3))]
    pub alpha_decay: f64,
    /// Alphas begin with this times N(0, 1).
    #[schemars(range(min = 0.0, max = 1e3))]
    pub alpha_init: f64,
    /// Once the alphas learn, dropout on skips decays by `exp(-this)` an epoch.
    #[schemars(range(min = 0.0, max = 1e3))]
    pub skip_dropout_decay: f64,
    /// Skip-connects that the result's normal cell may have (M). In NAS-Bench-201, whose paper knows
    /// no such limit, those of the cell, which has 6 edges.
    #[schemars(range(min = 0, max = 14))]
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

    pub fn check(&self, space: CellSpace) -> Result<(), OutOfRange> {
        ranges::check(self)?;
        let all = space.ops().len();
        // Without `none` and a struck skip-connect, an edge must have an op left.
        let least = match space {
            CellSpace::Darts => 3,
            CellSpace::NasBench201 => 2,
        };
        OutOfRange::unless(!self.stages.is_empty(), "stages", "none", "at least one")?;
        let mut before = all;
        for (i, stage) in self.stages.iter().enumerate() {
            let expected = format!("{all} in the first stage, all of the space");
            OutOfRange::unless(i > 0 || stage.ops == all, "stages.ops", stage.ops, expected)?;
            let holds = (least..=before).contains(&stage.ops);
            let expected = format!("{least} to {before}");
            OutOfRange::unless(holds, "stages.ops", stage.ops, expected)?;
            before = stage.ops;
        }
        let (epochs, frozen) = (self.epochs, self.frozen_epochs);
        OutOfRange::unless(
            frozen <= epochs,
            "frozen_epochs",
            frozen,
            format!("0 to {epochs}"),
        )?;
        falls(self.lr_max, self.lr_min)?;
        let (edges, skips) = (space.edges(), self.max_skips);
        OutOfRange::unless(skips <= edges, "max_skips", skips, format!("0 to {edges}"))
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
