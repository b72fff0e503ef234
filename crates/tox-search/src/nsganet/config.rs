//! Every number of an NSGANetV2 search.

use crate::config::{ConfigError, error, real, sgd, whole};
use crate::nsga::search::NsgaConfig;
use crate::surrogate::{Kind, PredictorConfig, select};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tox_nn::fit::FitConfig;

/// Training of the supernet. The published code has none, it takes Once-for-All's weights for ImageNet;
/// epochs, learning rate, penalty and clipping are those of DARTS' supernet for CIFAR-10, the subnets of
/// a step those of BigNAS (Yu et al. 2020).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SupernetConfig {
    /// Passes over the training images, at least 1.
    pub epochs: usize,
    /// Images a step, at least 2.
    pub batch: usize,
    /// Learning rate of the first epoch.
    pub lr_max: f64,
    /// Learning rate that the cosine would reach after the last epoch.
    pub lr_min: f64,
    /// Momentum, [0, 1).
    pub momentum: f64,
    /// L2 penalty. A weight that no subnet of a step has is left alone.
    pub weight_decay: f64,
    /// Global gradient norm above which the sum of the subnets' gradients is scaled down.
    pub grad_clip: f64,
    /// Random subnets a step; in the elastic space beside the largest and the smallest one (the
    /// sandwich rule), elsewhere alone, at least 1.
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
    pub epochs: usize,
    /// Images a step, at least 2.
    pub batch: usize,
    /// Learning rate of the first epoch.
    pub lr_max: f64,
    /// Learning rate that the cosine would reach after the last epoch.
    pub lr_min: f64,
    /// Momentum, [0, 1).
    pub momentum: f64,
    /// L2 penalty.
    pub weight_decay: f64,
    /// Dropout before the classifier, [0, 1); of elastic networks alone.
    pub dropout: f64,
    /// Whether a candidate gets a new classifier, as published, where the supernet knows ImageNet's
    /// classes. A supernet with another number of classes than the data always does.
    pub new_classifier: bool,
    /// Training images by which running statistics are measured, at least 2; Once-for-All takes 2000.
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
    pub channels: usize,
    /// Cells; those of each of three stages in NAS-Bench-201.
    pub cells: usize,
    /// Whether a smaller kernel of the elastic space is the centre of a larger one times a learned
    /// matrix, as in Once-for-All, or the centre as it is.
    pub kernel_matrices: bool,
    /// Training of the supernet.
    pub supernet: SupernetConfig,
    /// Architectures evaluated before the first round: the smallest and the largest if there are such,
    /// the others random; at least 4 if there are rounds.
    pub initial: usize,
    /// Rounds of predictor, NSGA-II and evaluation.
    pub rounds: usize,
    /// Architectures evaluated in a round.
    pub candidates: usize,
    /// Predictors to choose from in every round, by cross-validation. At least one.
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
    pub fn check(&self) -> Result<(), ConfigError> {
        whole("channels", self.channels, 1, 4096)?;
        whole("cells", self.cells, 1, 4096)?;
        let net = &self.supernet;
        whole("supernet.epochs", net.epochs, 1, 100_000)?;
        sgd(net.batch, (net.lr_max, net.lr_min), net.momentum).map_err(|e| e.below("supernet"))?;
        real("supernet.weight_decay", net.weight_decay, 0.0, 1e3)?;
        real("supernet.grad_clip", net.grad_clip, 1e-12, 1e30)?;
        whole("supernet.sampled", net.sampled, 1, 1000)?;
        let least = if self.rounds > 0 { select::FEWEST } else { 1 };
        whole("initial", self.initial, least, 1_000_000)?;
        whole("rounds", self.rounds, 0, 100_000)?;
        whole("candidates", self.candidates, 1, 10_000)?;
        if self.predictors.is_empty() {
            let expected = "at least one of rbf, gp, carts".to_owned();
            return error("predictors", "[]", expected);
        }
        real("predictor.eta", self.predictor.eta, 0.0, 1e12)?;
        real("predictor.noise", self.predictor.noise, 0.0, 1e12)?;
        whole("predictor.trees", self.predictor.trees, 1, 1_000_000)?;
        whole("search.population", self.search.population, 1, 100_000)?;
        whole("search.generations", self.search.generations, 1, 100_000)?;
        real("search.crossover", self.search.crossover, 0.0, 1.0)?;
        real("search.eta", self.search.eta, 0.0, 1e6)?;
        let tune = &self.tune;
        whole("tune.epochs", tune.epochs, 0, 100_000)?;
        sgd(tune.batch, (tune.lr_max, tune.lr_min), tune.momentum).map_err(|e| e.below("tune"))?;
        real("tune.weight_decay", tune.weight_decay, 0.0, 1e3)?;
        real("tune.dropout", tune.dropout, 0.0, 0.999)?;
        whole("tune.calibration", tune.calibration, 2, 100_000_000)
    }
}
