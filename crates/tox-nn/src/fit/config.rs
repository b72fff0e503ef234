//! Every number of a training.

use crate::optim::Schedule;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Schedule and optimiser. The defaults are those that the field trains ResNet-18 on CIFAR with
/// (`kuangliu/pytorch-cifar`): 200 epochs of 128 images a step, SGD with momentum 0.9 and decay
/// 5e-4, learning rate 0.1 to 0 along a cosine, no clipping.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FitConfig {
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
    /// Whether the momentum is Nesterov's.
    pub nesterov: bool,
    /// L2 penalty, added to the gradient.
    pub weight_decay: f64,
    /// Global gradient norm above which the gradient is scaled down; absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
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

/// A number out of range.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("`{key}` = {found} is out of range for a training: expected {low} to {high}")]
pub struct FitConfigError {
    /// Key in the config.
    pub key: &'static str,
    /// What was found.
    pub found: f64,
    /// Least that would do.
    pub low: f64,
    /// Most that would do.
    pub high: f64,
}

impl FitConfigError {
    /// Of the first number that is out of its range: key, number, least and most. NaN is in no range.
    pub fn first(
        ranges: impl IntoIterator<Item = (&'static str, f64, f64, f64)>,
    ) -> Result<(), Self> {
        let mut wrong = ranges
            .into_iter()
            .filter(|(_, found, low, high)| !(low..=high).contains(&found));
        wrong.next().map_or(Ok(()), |(key, found, low, high)| {
            Err(Self {
                key,
                found,
                low,
                high,
            })
        })
    }
}

impl FitConfig {
    /// Learning rate of an epoch, from 0.
    pub fn lr(&self, epoch: usize) -> f64 {
        let min = self.lr_min;
        Schedule::Cosine { min }.lr(self.lr_max, epoch, self.epochs)
    }

    pub fn check(&self) -> Result<(), FitConfigError> {
        FitConfigError::first([
            ("epochs", self.epochs as f64, 1.0, 1e5),
            ("batch", self.batch as f64, 2.0, 65_536.0),
            ("lr_max", self.lr_max, 1e-12, 1e6),
            ("lr_min", self.lr_min, 0.0, self.lr_max),
            ("momentum", self.momentum, 0.0, 0.9999),
            ("weight_decay", self.weight_decay, 0.0, 1e3),
            ("grad_clip", self.grad_clip.unwrap_or(1.0), 1e-12, 1e12),
        ])
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
