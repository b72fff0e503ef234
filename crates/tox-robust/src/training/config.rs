//! Every number of a training.

use crate::ball::{Ball, Norm};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tox_data::ranges::{self, OutOfRange};
use tox_nn::fit::FitConfig;
use tox_nn::optim::Schedule;

/// What a network learns from; see [`losses`](super::losses) for what each descends.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Method {
    /// Clean images.
    Standard,
    /// Adversarial images in place of clean ones (Madry et al. 2018).
    Sat,
    /// Clean images, and answers that an adversary cannot move (Zhang et al. 2019).
    Trades {
        /// Weight of the second term.
        #[serde(default = "trades_beta")]
        #[schemars(range(min = 0.0, max = 1e6))]
        beta: f64,
    },
    /// Adversarial images with a margin, and answers that an adversary cannot move, above all to
    /// images that the network is not sure of (Wang et al. 2020).
    Mart {
        /// Weight of the second term.
        #[serde(default = "mart_beta")]
        #[schemars(range(min = 0.0, max = 1e6))]
        beta: f64,
    },
}

fn trades_beta() -> f64 {
    6.0
}

fn mart_beta() -> f64 {
    5.0
}

/// The adversary inside a training: steps of one size up a loss, each followed by the projection;
/// no early end, the last point counts. The loss is cross-entropy in SAT and MART, the divergence
/// from the clean answers in TRADES, as published.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InnerAttack {
    /// Where it may move an image; the ball of the validation's attack too.
    pub ball: Ball,
    /// Steps.
    #[schemars(range(min = 1, max = 10_000))]
    pub steps: usize,
    /// Length of a step: of every pixel (L-inf, along the gradient's sign) or of the image (L2, along
    /// the gradient).
    #[schemars(range(min = 0.0, max = 1e3))]
    pub step_size: f64,
    /// Standard deviation of the normal noise that the start is off the image. The start itself is
    /// not projected, as published. The code of the paper's base networks has 0.001 for TRADES, but
    /// a step's size for SAT and MART; the paper's page says 0.001.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub start: f64,
    /// Whether batch norm goes by the batch's own statistics under attack in place of the running
    /// ones: published SAT code differs (Rice et al. attack in training mode, the paper's base
    /// networks, TRADES and MART in evaluation mode). Unlike in PyTorch's training mode the attack's
    /// passes do not move the running statistics, and dropout is off.
    pub batch_statistics: bool,
}

impl Default for InnerAttack {
    fn default() -> Self {
        Self {
            ball: Ball {
                norm: Norm::Linf,
                epsilon: 8.0 / 255.0,
            },
            steps: 10,
            step_size: 2.0 / 255.0,
            start: 0.001,
            batch_statistics: false,
        }
    }
}

/// An exponential moving average of the weights, taken after every step. It is what is validated
/// and what a training results in. Batch norm's running statistics are averaged as the weights are,
/// its counters are copied.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Ema {
    /// Share of the average that a step leaves.
    #[schemars(range(min = 0.0, max = 0.999_999))]
    pub decay: f64,
    /// Whether the share of step t (from 1) is at most `(1 + t) / (10 + t)`, so that the initial
    /// weights are soon forgotten, as the code of the paper's base networks does.
    pub warm: bool,
}

impl Default for Ema {
    fn default() -> Self {
        Self {
            decay: 0.999,
            warm: true,
        }
    }
}

/// How robust accuracy is followed along a training: by [PGD](crate::attacks::Pgd) on the
/// cross-entropy from one random point in the ball. It ranks epochs; it is no evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Validation {
    /// Images: the first of the validation images, at most all; 0: none, which `keep = "best"` does not go with.
    #[schemars(range(min = 0, max = 1_000_000_000))]
    pub images: usize,
    /// After every so many epochs, and after the last; 0: after the last only.
    #[schemars(range(min = 0, max = 100_000))]
    pub every: usize,
    /// Steps of the attack.
    #[schemars(range(min = 1, max = 10_000))]
    pub steps: usize,
    /// Length of a step, see [`InnerAttack::step_size`].
    #[schemars(range(min = 0.0, max = 1e3))]
    pub step_size: f64,
}

impl Default for Validation {
    /// The PGD-20 that the paper evaluates with, on few images.
    fn default() -> Self {
        Self {
            images: 512,
            every: 1,
            steps: 20,
            step_size: 0.8 / 255.0,
        }
    }
}

/// Which epoch's network a training results in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// The last.
    #[default]
    Last,
    /// That of the highest robust validation accuracy, the first of equals: adversarial training
    /// overfits after the learning rate has fallen (Rice et al. 2020).
    Best,
}

/// Every number of a training. The defaults are the paper's, those of
/// `zhichao-lu/robust-residual-network`: TRADES for 100 epochs of 128 images a step, SGD with
/// momentum 0.9 and decay 2e-4, learning rate 0.1, a tenth of it from epochs 75 and 90 on, gradients
/// clipped at norm 5.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TrainingConfig {
    /// What is learnt from.
    pub method: Method,
    /// Passes over the training images.
    #[schemars(range(min = 1, max = 100_000))]
    pub epochs: usize,
    /// Images a step.
    #[schemars(range(min = 2, max = 65_536))]
    pub batch: usize,
    /// Learning rate of the first epoch.
    #[schemars(range(min = 1e-12, max = 1e6))]
    pub lr: f64,
    /// How it falls.
    pub schedule: Schedule,
    /// Momentum.
    #[schemars(range(min = 0.0, max = 0.9999))]
    pub momentum: f64,
    /// Whether the momentum is Nesterov's.
    pub nesterov: bool,
    /// L2 penalty, added to the gradient.
    #[schemars(range(min = 0.0, max = 1e3))]
    pub weight_decay: f64,
    /// Global gradient norm above which the gradient is scaled down; 0: never.
    #[schemars(range(min = 0.0, max = 1e12))]
    pub grad_clip: f64,
    /// Share of a label that is spread evenly over all classes, as in PyTorch's
    /// `CrossEntropyLoss`: in the cross-entropy that is descended, not in that of the attack.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub label_smoothing: f64,
    /// The adversary.
    pub attack: InnerAttack,
    /// Average of the weights; absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ema: Option<Ema>,
    /// How robust accuracy is followed.
    pub validation: Validation,
    /// Which epoch counts.
    pub keep: Keep,
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            method: Method::Trades {
                beta: trades_beta(),
            },
            epochs: 100,
            batch: 128,
            lr: 0.1,
            schedule: Schedule::Steps {
                at: vec![0.75, 0.9],
                factor: 0.1,
            },
            momentum: 0.9,
            nesterov: false,
            weight_decay: 2e-4,
            grad_clip: 5.0,
            label_smoothing: 0.0,
            attack: InnerAttack::default(),
            ema: None,
            validation: Validation::default(),
            keep: Keep::Last,
        }
    }
}

impl TrainingConfig {
    /// What [`tox_nn::fit`] needs to know of it.
    pub fn fit(&self) -> FitConfig {
        FitConfig {
            epochs: self.epochs,
            batch: self.batch,
            lr_max: self.lr,
            lr_min: 0.0,
            momentum: self.momentum,
            nesterov: self.nesterov,
            weight_decay: self.weight_decay,
            grad_clip: (self.grad_clip > 0.0).then_some(self.grad_clip),
        }
    }

    pub fn check(&self) -> Result<(), OutOfRange> {
        ranges::check(self)?;
        let Ball { norm, epsilon } = self.attack.ball;
        let widest = match norm {
            Norm::Linf => 1.0,
            Norm::L2 => 1e3,
        };
        let expected = format!("0 to {widest}");
        OutOfRange::unless(epsilon <= widest, "attack.ball.epsilon", epsilon, expected)?;
        let images = self.validation.images;
        let kept = self.keep != Keep::Best || images > 0;
        let expected = "at least 1: the best of no epoch cannot be kept";
        OutOfRange::unless(kept, "validation.images", images, expected)?;
        match self.schedule {
            Schedule::Cosine { min } => {
                let expected = format!("0 to {}", self.lr);
                OutOfRange::unless(min <= self.lr, "schedule.min", min, expected)
            }
            Schedule::Steps { .. } => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_training_can_use_is_refused() {
        assert_eq!(TrainingConfig::default().check(), Ok(()));
        let refused = |change: fn(&mut TrainingConfig)| {
            let mut config = TrainingConfig::default();
            change(&mut config);
            config.check().unwrap_err().to_string()
        };
        assert!(refused(|c| c.attack.ball.epsilon = -0.1).contains("`attack.ball.epsilon` = -0.1"));
        assert!(refused(|c| c.attack.ball.epsilon = 8.0).contains("expected 0 to 1"));
        assert!(refused(|c| c.method = Method::Mart { beta: f64::NAN }).contains("beta"));
        assert!(refused(|c| c.label_smoothing = 1.5).contains("label_smoothing"));
        assert!(refused(|c| c.schedule = Schedule::Cosine { min: 0.2 }).contains("schedule.min"));
        let best_of_none = refused(|c| (c.keep, c.validation.images) = (Keep::Best, 0));
        assert!(best_of_none.contains("`validation.images` = 0"));
    }

    #[test]
    fn what_is_not_said_is_the_papers() {
        let read = |text: &str| serde_json::from_str::<TrainingConfig>(text).unwrap();
        assert_eq!(read("{}"), TrainingConfig::default());
        let mart = read(r#"{"method": {"kind": "mart"}, "attack": {"steps": 7}, "ema": {}}"#);
        assert_eq!(mart.method, Method::Mart { beta: 5.0 });
        assert_eq!((mart.attack.steps, mart.attack.start), (7, 0.001));
        let text = serde_json::to_string(&mart).unwrap();
        assert_eq!(read(&text), mart);
        assert!(serde_json::from_str::<TrainingConfig>(r#"{"eps": 1}"#).is_err());
    }
}
