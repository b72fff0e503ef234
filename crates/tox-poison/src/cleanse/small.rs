//! The network that a countermeasure trains.

use crate::classifier::Classifier;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tox_nn::fit::FitConfig;

/// A narrow ResNet-18 and its training: SGD along a cosine to a learning rate of 0. The training is
/// counted in steps, so that its cost does not depend on the number of images: the defaults are six
/// passes over 50,000 images and 250 over 1,000. On data that may be poisoned it should be short:
/// networks learn what fits together before they memorise the labels that do not (Arpit et al. 2017).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SmallResnet {
    /// Channels of the first stage. The published network has 64; 16 cost a sixteenth.
    #[schemars(range(min = 1, max = 1024))]
    pub width: usize,
    /// Steps, rounded up to whole passes over the images.
    #[schemars(range(min = 1, max = 100_000))]
    pub steps: usize,
    /// Images a step.
    #[schemars(range(min = 2, max = 65_536))]
    pub batch: usize,
    /// Learning rate of the first pass.
    #[schemars(range(min = 1e-12, max = 1e6))]
    pub lr_max: f64,
    /// Momentum.
    #[schemars(range(min = 0.0, max = 0.9999))]
    pub momentum: f64,
    /// L2 penalty, added to the gradient.
    #[schemars(range(min = 0.0, max = 1e3))]
    pub weight_decay: f64,
    /// Global gradient norm above which the gradient is scaled down; absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1e-12, max = 1e12))]
    pub grad_clip: Option<f64>,
}

impl Default for SmallResnet {
    fn default() -> Self {
        Self {
            width: 16,
            steps: 2_000,
            batch: 128,
            lr_max: 0.1,
            momentum: 0.9,
            weight_decay: 5e-4,
            grad_clip: None,
        }
    }
}

impl SmallResnet {
    /// The classifier that is trained on so many images.
    pub(super) fn classifier(&self, images: usize) -> Classifier {
        // A single image left over is left out, see `tox_nn::fit`.
        let batch = self.batch.max(1);
        let pass = (images / batch + usize::from(images % batch > 1)).max(1);
        Classifier {
            width: self.width,
            fit: FitConfig {
                epochs: self.steps.div_ceil(pass),
                batch: self.batch,
                lr_max: self.lr_max,
                lr_min: 0.0,
                momentum: self.momentum,
                nesterov: false,
                weight_decay: self.weight_decay,
                grad_clip: self.grad_clip,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_become_whole_passes() {
        let small = SmallResnet::default();
        let epochs = |images| small.classifier(images).fit.epochs;
        // 391 steps a pass, 8 (104 images are left over), 8 (one is left out), 1.
        assert_eq!([50_000, 1_000, 1_025, 7].map(epochs), [6, 250, 250, 2_000]);
    }
}
