//! Every number of an ENAS run. The defaults are the paper's (Table 3 of the seed document).

use crate::space::{OwnOps, Space};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tox_data::ranges::{self, OutOfRange};
use tox_nn::fit::falls;

/// How the child's branches are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// The LSTM controller, trained with REINFORCE (ENAS).
    #[default]
    Enas,
    /// Random search with weight sharing: every branch uniform, every skip a fair coin; the
    /// controller is never trained. The control that a search must beat.
    Random,
}

/// What happens to a child step whose gradient norm is not finite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NanPolicy {
    /// As `clip_grad_norm_` and SGD of PyTorch 1.10 and later: a NaN norm makes every weight NaN, for
    /// ever; an infinite norm scales the gradient to zero (finite entries) or to NaN (infinite ones).
    #[default]
    Torch,
    /// As those of PyTorch 1.9 and earlier, which scale only by a factor below 1: a NaN norm leaves the
    /// gradient as it is, so the weights whose own gradient is NaN become NaN and the others take an
    /// unclipped step. An infinite norm does what it does under `torch`.
    #[serde(rename = "torch-1.9")]
    Torch19,
    /// The step is skipped and counted.
    Guarded,
}

/// The 1x1 conv of a separable conv.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Pointwise {
    /// Mixes all channels, as a separable convolution does.
    #[default]
    Dense,
    /// One group a channel, so nothing is mixed: what the reference code does.
    Reference,
}

/// How the outputs of earlier layers are added to what a layer's op computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Skips {
    /// Into a map of their own: what a layer has put out stays.
    #[default]
    Separate,
    /// Into the op's output, as the reference's `out += earlier` until December 2021. Where the op hands on
    /// its input itself (identity; noise and dropout in evaluation), that is the stored output of the layer
    /// before, which later layers then read with the sum in it.
    InPlace,
}

/// How the CPU kernels make the dense convolutions of 3x3 and 5x5.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Conv {
    /// With a quarter to a sixth of the products, by Winograd's F(4x4, 3x3) and F(4x4, 5x5), which lose a
    /// digit; maps with values that are not finite go the direct way. What is a number there is one here.
    #[default]
    Winograd,
    /// With all products.
    Direct,
}

/// What weight decay and momentum do to weights that the sampled child does not use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Idle {
    /// They go on for every weight that ever had a gradient: PyTorch 1.x (the paper's was
    /// 1.9, as far as we know) zeroes gradients instead of dropping them.
    #[default]
    Decay,
    /// Nothing happens: PyTorch 2.x, where an unused weight has no gradient.
    Rest,
}

/// What becomes of the LSTM state after the second step of a layer (the one that reads the chosen
/// branch's embedding).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SecondStep {
    /// It goes on to the next layer, as in the code of ENAS.
    #[default]
    Carried,
    /// It gives the layer's output only, as in the code that the poisoning paper ran.
    Dropped,
}

/// Whether the entropy in the reward is differentiated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RewardGradient {
    /// The reward is a constant, as REINFORCE has it.
    #[default]
    None,
    /// The entropy term is differentiated too, as the code that the poisoning paper ran does.
    Entropy,
}

/// The child network's shape and training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ChildConfig {
    /// Layers; maps are halved after `layers / 3` of them, rounded down, and after twice
    /// as many.
    #[schemars(range(min = 3, max = 100))]
    pub layers: usize,
    /// Channels of every map, even.
    #[schemars(range(min = 2, max = 4096))]
    pub channels: usize,
    /// Share of the pooled features that dropout keeps before the last linear layer.
    #[schemars(range(min = 1e-3, max = 1.0))]
    pub keep_prob: f64,
    /// Images a step.
    #[schemars(range(min = 2, max = 65_536))]
    pub batch: usize,
    /// Epochs of the search.
    #[schemars(range(min = 1, max = 100_000))]
    pub epochs: usize,
    /// Learning rate at the start of a cosine period.
    #[schemars(range(min = 1e-12, max = 1e6))]
    pub lr_max: f64,
    /// Learning rate at its end, at most `lr_max`.
    #[schemars(range(min = 0.0))]
    pub lr_min: f64,
    /// Epochs of half a cosine period (`T_max`); the schedule goes back up after it, no restart.
    #[schemars(range(min = 1, max = 100_000))]
    pub lr_period: usize,
    /// Nesterov momentum.
    #[schemars(range(min = 0.0, max = 0.9999))]
    pub momentum: f64,
    /// L2 penalty, added to the gradient.
    #[schemars(range(min = 0.0, max = 1e6))]
    pub weight_decay: f64,
    /// Global gradient norm above which the gradient is scaled down.
    #[schemars(range(min = 1e-12, max = 1e30))]
    pub grad_clip: f64,
    /// What a step with a non-finite gradient norm does.
    pub nan_policy: NanPolicy,
    /// How skips are added: `separate` unless given.
    #[serde(skip_serializing_if = "tox_data::is_default")]
    pub skips: Skips,
    /// The 1x1 conv of separable convs.
    pub pointwise: Pointwise,
    /// How dense convolutions are made: `winograd` unless given.
    // The default is not written, so that trials keep the ids that they had before there was a choice.
    #[serde(skip_serializing_if = "tox_data::is_default")]
    pub conv: Conv,
    /// What happens to unused weights.
    pub idle: Idle,
}

impl Default for ChildConfig {
    fn default() -> Self {
        Self {
            layers: 12,
            channels: 36,
            keep_prob: 0.9,
            batch: 128,
            epochs: 300,
            lr_max: 0.05,
            lr_min: 0.0005,
            lr_period: 10,
            momentum: 0.9,
            weight_decay: 2.5e-4,
            grad_clip: 5.0,
            nan_policy: NanPolicy::Torch,
            skips: Skips::Separate,
            pointwise: Pointwise::Dense,
            conv: Conv::Winograd,
            idle: Idle::Decay,
        }
    }
}

/// The controller's shape and its REINFORCE training. Beyond the ranges its own arithmetic overflows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ControllerConfig {
    /// Hidden size of the LSTM.
    #[schemars(range(min = 1, max = 4096))]
    pub hidden: usize,
    /// Updates after each training epoch of the child.
    #[schemars(range(min = 0, max = 100_000))]
    pub steps: usize,
    /// Architectures averaged in one update.
    #[schemars(range(min = 1, max = 10_000))]
    pub aggregate: usize,
    /// Images on which a sampled architecture's reward is measured.
    #[schemars(range(min = 2, max = 65_536))]
    pub batch: usize,
    /// Adam's learning rate; betas (0, 0.999), eps 1e-3.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub lr: f64,
    /// Logits are `tanh_constant * tanh(.)`.
    #[schemars(range(min = 1e-6, max = 40.0))]
    pub tanh_constant: f64,
    /// Weight of the sampling entropy in the reward.
    #[schemars(range(min = -100.0, max = 100.0))]
    pub entropy_weight: f64,
    /// Target probability of a skip connection.
    #[schemars(range(min = 1e-3, max = 0.999))]
    pub skip_target: f64,
    /// Weight of the divergence from that target in the loss.
    #[schemars(range(min = 0.0, max = 1e6))]
    pub skip_weight: f64,
    /// The baseline keeps this share of itself at each sample.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub baseline_decay: f64,
    /// Global gradient norm above which the gradient is scaled down.
    #[schemars(range(min = 1e-12, max = 1e30))]
    pub grad_clip: f64,
    /// The LSTM state after a layer's second step.
    pub second_step: SecondStep,
    /// Whether the entropy in the reward is differentiated.
    pub reward_gradient: RewardGradient,
}

impl Default for ControllerConfig {
    fn default() -> Self {
        Self {
            hidden: 64,
            steps: 50,
            aggregate: 20,
            batch: 128,
            lr: 1e-3,
            tanh_constant: 1.5,
            entropy_weight: 1e-4,
            skip_target: 0.4,
            skip_weight: 0.8,
            baseline_decay: 0.99,
            grad_clip: 5.0,
            second_step: SecondStep::Carried,
            reward_gradient: RewardGradient::None,
        }
    }
}

/// Evaluation with shared weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EvaluationConfig {
    /// Architectures scored on one validation batch after each epoch; the best one's full
    /// validation error is the epoch's.
    #[schemars(range(min = 1, max = 10_000))]
    pub candidates: usize,
    /// The same after the last epoch, whose best is the genotype that the search returns.
    #[schemars(range(min = 1, max = 10_000))]
    pub final_candidates: usize,
    /// Architectures sampled at the end to count the bad ops in each (the paper's densities).
    #[schemars(range(min = 1, max = 1_000_000))]
    pub density_samples: usize,
    /// Measure the test error after every epoch too (always after the last).
    pub test_every_epoch: bool,
}

impl Default for EvaluationConfig {
    fn default() -> Self {
        Self {
            candidates: 10,
            final_candidates: 10,
            density_samples: 1000,
            test_every_epoch: true,
        }
    }
}

/// Training of the found genotype from scratch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetrainConfig {
    /// Epochs; 0 skips the retraining. One cosine descent from `child.lr_max` to `child.lr_min`.
    #[schemars(range(min = 0, max = 100_000))]
    pub epochs: usize,
}

impl Default for RetrainConfig {
    fn default() -> Self {
        Self { epochs: 300 }
    }
}

/// Every number of an ENAS run; `check` turns it into a promise that a run can rely on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EnasConfig {
    /// How branches are chosen.
    pub strategy: Strategy,
    /// The clean ops, in place of the six of the paper's code: a file in the format of `toxscreen screen`,
    /// relative to the recipe. Its ops, and not its name, are a part of the trial's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub space: Option<OwnOps>,
    /// The child.
    pub child: ChildConfig,
    /// The controller.
    pub controller: ControllerConfig,
    /// Evaluation with shared weights.
    pub evaluation: EvaluationConfig,
    /// Final training of the found genotype.
    pub retrain: RetrainConfig,
}

impl EnasConfig {
    /// The space that is searched where nobody poisons it.
    pub fn clean_space(&self) -> Space {
        match &self.space {
            Some(own) => Space {
                ops: own.ops().to_vec(),
            },
            None => Space::enas(),
        }
    }

    pub fn check(&self) -> Result<(), OutOfRange> {
        ranges::check(self)?;
        let child = &self.child;
        let even = child.channels.is_multiple_of(2);
        OutOfRange::unless(even, "child.channels", child.channels, "an even number")?;
        falls(child.lr_max, child.lr_min).map_err(|e| e.below("child"))
    }
}
