//! Every number of an NSGANetV2 search.

use crate::nsga::search::NsgaConfig;
use crate::surrogate::{Kind, PredictorConfig, select};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tox_data::ranges::{self, OutOfRange};
use tox_nn::fit::{FitConfig, falls};

/// Training of the supernet. The published code has none, it takes Once-for-All's weights for ImageNet;
/// epochs, learning rate, penalty and clipping are those of DARTS' supernet for CIFAR-10, the subnets of
/// a step those of BigNAS (Yu et al. 2020).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SupernetConfig {
    /// Passes over the training images.
    #[schemars(range(min = 1, max = 100_000))]
    pub epochs: usize,
    /// Images a step.
    #[schemars(range(min = 2, max = 65_536))]
    pub batch: usize,
    /// Learning rate of the first epoch.
    #[schemars(range(min = 1e-12, max = 1e6))]
    pub lr_max: f64,
    /// Learning rate that the cosine would reach after the last epoch, at most `lr_max`.
    #[schemars(range(min = 0.0))]
    pub lr_min: f64,
    /// Momentum.
    #[schemars(range(min = 0.0, max = 0.9999))]
    pub momentum: f64,
    /// L2 penalty. A weight that no subnet of a step has is left alone.
    #[schemars(range(min = 0.0, max = 1e3))]
    pub weight_decay: f64,
    /// Global gradient norm above which the sum of the subnets' gradients is scaled down.
    #[schemars(range(min = 1e-12, max = 1e30))]
    pub grad_clip: f64,
    /// Random subnets a step; in the elastic space beside the largest and the smallest one (the
    /// sandwich rule), elsewhere alone.
    #[schemars(range(min = 1, max = 1000))]
    pub sampled: usize,
    /// Whether all but the largest subnet learn the answers of the largest instead of the labels. Of no
    /// effect in the cell spaces, which have no largest one.
    pub distil: bool,
}

impl Default for SupernetConfig {
    fn default() -> Self {
        Self {
            epochs: 50,
            batch: 96,
            lr_max: 0.025,
            lr_min: 0.0,
            momentum: 0.9,
            weight_decay: 3e-4,
            grad_clip: 5.0,
            sampled: 2,
            distil: true,
        }
    }
}

/// How a candidate is evaluated: weights inherited from the supernet, running statistics measured anew,
/// fine-tuning, accuracy on the validation images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TuneConfig {
    /// Passes over the training images; 0 = none, the inherited weights are evaluated.
    #[schemars(range(min = 0, max = 100_000))]
    pub epochs: usize,
    /// Images a step.
    #[schemars(range(min = 2, max = 65_536))]
    pub batch: usize,
    /// Learning rate of the first epoch.
    #[schemars(range(min = 1e-12, max = 1e6))]
    pub lr_max: f64,
    /// Learning rate that the cosine would reach after the last epoch, at most `lr_max`.
    #[schemars(range(min = 0.0))]
    pub lr_min: f64,
    /// Momentum.
    #[schemars(range(min = 0.0, max = 0.9999))]
    pub momentum: f64,
    /// L2 penalty.
    #[schemars(range(min = 0.0, max = 1e3))]
    pub weight_decay: f64,
    /// Dropout before the classifier; of elastic networks alone.
    #[schemars(range(min = 0.0, max = 0.999))]
    pub dropout: f64,
    /// Whether a candidate gets a new classifier, as published, where the supernet knows ImageNet's
    /// classes. A supernet with another number of classes than the data always does.
    pub new_classifier: bool,
    /// Training images by which running statistics are measured; Once-for-All takes 2000.
    #[schemars(range(min = 2, max = 100_000_000))]
    pub calibration: usize,
}

impl Default for TuneConfig {
    fn default() -> Self {
        Self {
            epochs: 5,
            batch: 96,
            lr_max: 0.01,
            lr_min: 0.0,
            momentum: 0.9,
            weight_decay: 4e-5,
            dropout: 0.2,
            new_classifier: false,
            calibration: 2000,
        }
    }
}

impl TuneConfig {
    pub(super) fn fit(&self) -> FitConfig {
        FitConfig {
            epochs: self.epochs,
            batch: self.batch,
            lr_max: self.lr_max,
            lr_min: self.lr_min,
            momentum: self.momentum,
            nesterov: false,
            weight_decay: self.weight_decay,
            grad_clip: None,
        }
    }
}

/// Which architecture of the archive's front is the result. The published code lists some and leaves the
/// choice to its user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Choice {
    /// The most accurate one.
    #[default]
    Accuracy,
    /// The one of the highest trade-off: from which a step to any neighbour on the front loses the
    /// most of one objective for what it gains of the other.
    Knee,
}

/// Every number of a search. The defaults are those of the published code where it has them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NsganetConfig {
    /// Channels of a node of the first cell, in the cell spaces.
    #[schemars(range(min = 1, max = 4096))]
    pub channels: usize,
    /// Cells; those of each of three stages in NAS-Bench-201.
    #[schemars(range(min = 1, max = 4096))]
    pub cells: usize,
    /// Whether a smaller kernel of the elastic space is the centre of a larger one times a learned
    /// matrix, as in Once-for-All, or the centre as it is.
    pub kernel_matrices: bool,
    /// Training of the supernet.
    pub supernet: SupernetConfig,
    /// Architectures evaluated before the first round: the smallest and the largest if there are such,
    /// the others random; at least 4 if there are rounds.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub initial: usize,
    /// Rounds of predictor, NSGA-II and evaluation.
    #[schemars(range(min = 0, max = 100_000))]
    pub rounds: usize,
    /// Architectures evaluated in a round.
    #[schemars(range(min = 1, max = 10_000))]
    pub candidates: usize,
    /// Predictors to choose from in every round, by cross-validation.
    #[schemars(length(min = 1))]
    pub predictors: Vec<Kind>,
    /// Their settings.
    pub predictor: PredictorConfig,
    /// NSGA-II over predicted error and multiply-adds.
    pub search: NsgaConfig,
    /// Evaluation of an architecture.
    pub tune: TuneConfig,
    /// Which architecture is the result.
    pub choice: Choice,
}

impl Default for NsganetConfig {
    fn default() -> Self {
        Self {
            channels: 16,
            cells: 5,
            kernel_matrices: true,
            supernet: SupernetConfig::default(),
            initial: 100,
            rounds: 30,
            candidates: 8,
            predictors: Kind::ALL.into(),
            predictor: PredictorConfig::default(),
            search: NsgaConfig::default(),
            tune: TuneConfig::default(),
            choice: Choice::Accuracy,
        }
    }
}

impl NsganetConfig {
    pub fn check(&self) -> Result<(), OutOfRange> {
        ranges::check(self)?;
        let least = if self.rounds > 0 { select::FEWEST } else { 1 };
        let expected = format!("at least {least}, since there are rounds");
        OutOfRange::unless(self.initial >= least, "initial", self.initial, expected)?;
        let (net, tune) = (&self.supernet, &self.tune);
        falls(net.lr_max, net.lr_min).map_err(|e| e.below("supernet"))?;
        falls(tune.lr_max, tune.lr_min).map_err(|e| e.below("tune"))
    }
}
