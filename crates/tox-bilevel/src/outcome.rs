//! What a bilevel trial measures; part of its record. Errors are in percent; a number that is not
//! finite, or that was not reached, is `None`.

use crate::config::TargetLabels;
use crate::sets::Sets;
use serde::{Deserialize, Serialize};

/// What Algorithm 2 did to one victim on one split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BilevelOutcome {
    /// Trainable parameters.
    pub parameters: u64,
    /// Features of a point.
    pub features: u64,
    /// Error of always answering the most frequent class of the test set.
    pub chance_error: f64,
    /// Mean validation cross-entropy over the folds for each lambda tried; empty without
    /// cross-validation.
    pub cross_validation: Vec<CrossValidated>,
    /// One entry for each amount of poison, the first without any.
    pub levels: Vec<Level>,
    /// Some poison points of the last level beside the clean points that they began as.
    pub examples: Vec<Example>,
    /// Where training diverged, if it did; later levels are then missing.
    pub divergence: Option<Divergence>,
    /// What the adversary aimed at, where that is not the validation set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetRows>,
}

/// The adversary's target set.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetRows {
    pub rows: u64,
    pub labels: TargetLabels,
    /// Rows of it whose features are those of a training point, of a validation point and of a test point.
    pub also: [u64; 3],
}

impl TargetRows {
    /// Of sets that have a target.
    pub fn of(sets: &Sets) -> Option<Self> {
        sets.target.as_ref().map(|target| Self {
            rows: target.points.len() as u64,
            labels: target.labels,
            also: sets.overlap().map(|count| count as u64),
        })
    }

    /// What is to be said of it: rows that are not apart.
    pub fn overlap(&self) -> Option<String> {
        let [train, valid, test] = self.also;
        (train + valid + test > 0).then(|| {
            format!(
                "of {} target rows {train} are training rows too, {valid} trusted rows and {test} test rows",
                self.rows
            )
        })
    }
}

/// The victim on the target set.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Aimed {
    /// What the adversary raises: the mean cross-entropy, or less that of wanted labels.
    pub objective: f64,
    /// Percent of its rows that are misclassified, or that get the wanted label.
    pub success: f64,
    /// The same when this level's last batch is as it began. `None` without poison.
    pub flipped_success: Option<f64>,
    /// The same when the poison is rounded to 8 bits. `None` without poison.
    pub rounded_success: Option<f64>,
}

/// One value tried in the cross-validation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CrossValidated {
    /// Its exponent.
    pub lambda: f64,
    /// Mean cross-entropy on the held-out folds; `None` where training diverged.
    pub loss: Option<f64>,
}

/// The victim at one amount of poison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// Poison points in the training set.
    pub points: u64,
    /// Their share of the training set, 0 to 1.
    pub fraction: f64,
    /// The lambdas in force: one, one for each layer, or none without regularisation.
    pub lambda: Vec<f64>,
    /// Test error of the retrained victim.
    pub test_error: f64,
    /// Its error on the trusted validation set.
    pub valid_error: f64,
    /// Its error on the (poisoned) training set.
    pub train_error: f64,
    /// Its mean cross-entropy on the validation set, the adversary's objective.
    pub valid_loss: f64,
    /// Test error when this level's last batch is as it began: labels flipped, nothing optimised.
    /// `None` without poison.
    pub flipped_test_error: Option<f64>,
    /// Test error when the poison is rounded to 8 bits. `None` without poison.
    pub rounded_test_error: Option<f64>,
    /// `||w||^2 / d` of each layer's weights (d = their number), biases left out.
    pub norms: Vec<f64>,
    /// Kuncheva's index of the top-k weights against the clean level's, one for each k of the
    /// config; empty for networks.
    pub kuncheva: Vec<f64>,
    /// Mean L2 distance of this level's last batch from where it began.
    pub moved: f64,
    /// One entry for each hyperiteration that led here.
    pub trace: Vec<Hyperiteration>,
    /// The victim with each lambda of the grid on this level's poison; empty where it was not asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub curve: Vec<Tried>,
    /// On the target set; `None` where the adversary aims at the validation set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Aimed>,
}

/// A victim retrained with one lambda. Nothing where training diverged.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tried {
    pub lambda: f64,
    /// Mean cross-entropy on the validation set.
    pub valid_loss: Option<f64>,
    pub valid_error: Option<f64>,
    pub test_error: Option<f64>,
}

/// One step of Algorithm 2, before its update.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hyperiteration {
    /// Mean validation cross-entropy after the inner training.
    pub loss: f64,
    /// The lambdas.
    pub lambda: Vec<f64>,
    /// L2 norm of the poison's hypergradient.
    pub gradient: f64,
    /// What the adversary raises, where that is not `loss`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<f64>,
}

impl Hyperiteration {
    /// What the adversary raises.
    pub fn aim(&self) -> f64 {
        self.objective.unwrap_or(self.loss)
    }
}

/// A poison point beside its origin, as 8-bit pixels in C, H, W order, hexadecimal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// Name of the class that the clean point belongs to.
    pub class: String,
    /// Name of the class that its flipped label says.
    pub label: String,
    /// The clean pixels.
    pub clean: String,
    /// The poison's, rounded.
    pub poison: String,
}

/// Where a training diverged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Divergence {
    /// Poison points of the level.
    pub points: u64,
    /// Which training, such as `hyperiteration 3` or `retraining`.
    pub training: String,
    /// Step of gradient descent after which a weight was of no use; the last one if the training
    /// loss ended above that of the start.
    pub step: u64,
}

/// The paper's Fig. 1: three maps over the position of one poison point. Maps are row-major, the
/// first row at the bottom (least second coordinate).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyntheticOutcome {
    /// Positions along a side.
    pub grid: usize,
    /// Half the side of the square.
    pub half_side: f64,
    /// Validation error, percent, without regularisation.
    pub error_none: Vec<f64>,
    /// Validation error, percent, with the fixed lambda.
    pub error_fixed: Vec<f64>,
    /// The best lambda, by what the config says.
    pub best_lambda: Vec<f64>,
    /// Clean training points: position and class.
    pub train: Vec<(f64, f64, u16)>,
    /// Weights and bias without regularisation, trained on the clean set.
    pub clean_none: [f64; 3],
    /// The same with the fixed lambda.
    pub clean_fixed: [f64; 3],
    /// The attack on the learner without regularisation.
    pub attack_none: Path,
    /// The attack on the learner with the fixed lambda.
    pub attack_fixed: Path,
}

/// The way of the poison point, and what it led to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Path {
    /// Positions, the first where it was cloned.
    pub positions: Vec<(f64, f64)>,
    /// The class that its flipped label says.
    pub label: u16,
    /// Validation error, percent, on the clean set.
    pub clean_error: f64,
    /// Validation error, percent, with the point at its last position.
    pub error: f64,
    /// Weights and bias with the point there.
    pub weights: [f64; 3],
}
