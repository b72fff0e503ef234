//! Every number of a training.

use crate::optim::Schedule;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tox_data::ranges::{self, OutOfRange};

/// Schedule and optimiser. The defaults are those that the field trains ResNet-18 on CIFAR with
/// (`kuangliu/pytorch-cifar`): 200 epochs of 128 images a step, SGD with momentum 0.9 and decay
/// 5e-4, learning rate 0.1 to 0 along a cosine, no clipping.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FitConfig {
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
    /// Whether the momentum is Nesterov's.
    pub nesterov: bool,
    /// L2 penalty, added to the gradient.
    #[schemars(range(min = 0.0, max = 1e3))]
    pub weight_decay: f64,
    /// Global gradient norm above which the gradient is scaled down; absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1e-12, max = 1e12))]
    pub grad_clip: Option<f64>,
}

impl Default for FitConfig {
    fn default() -> Self {
        Self {
            epochs: 200,
            batch: 128,
            lr_max: 0.1,
            lr_min: 0.0,
            momentum: 0.9,
            nesterov: false,
            weight_decay: 5e-4,
            grad_clip: None,
        }
    }
}

/// Refuses a learning rate that would not fall from `max` to `min`.
///
/// # Errors
/// When it would rise.
pub fn falls(max: f64, min: f64) -> Result<(), OutOfRange> {
    OutOfRange::unless(min <= max, "lr_min", min, format!("0 to {max}"))
}

impl FitConfig {
    /// Learning rate of an epoch, from 0.
    pub fn lr(&self, epoch: usize) -> f64 {
        let min = self.lr_min;
        Schedule::Cosine { min }.lr(self.lr_max, epoch, self.epochs)
    }

    pub fn check(&self) -> Result<(), OutOfRange> {
        ranges::check(self)?;
        falls(self.lr_max, self.lr_min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_training_can_use_is_refused() {
        assert_eq!(FitConfig::default().check(), Ok(()));
        let refused = |change: fn(&mut FitConfig)| {
            let mut config = FitConfig::default();
            change(&mut config);
            config.check().unwrap_err().to_string()
        };
        assert!(refused(|c| c.epochs = 0).contains("`epochs` = 0"));
        assert!(refused(|c| c.batch = 1).contains("expected 2 to"));
        assert!(refused(|c| c.lr_max = f64::NAN).contains("`lr_max` = NaN"));
        assert!(refused(|c| c.lr_min = 0.2).contains("expected 0 to 0.1"));
        assert!(refused(|c| c.grad_clip = Some(0.0)).contains("grad_clip"));
    }
}
