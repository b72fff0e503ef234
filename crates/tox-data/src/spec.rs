//! What a trial says about its data, as data.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A data set and what is done to it before a learner sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataSpec {
    /// `digits`, `mnist`, `fashion-mnist`, `cifar10`, `cifar100`; or a path to an `.npz` file or
    /// to a folder of class folders.
    pub dataset: String,
    /// Training images used (the first ones); default: all that `valid` leaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train: Option<usize>,
    /// Validation images: the last `valid` images of the training file.
    pub valid: usize,
    /// Test images used (the first ones); default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<usize>,
    /// Side in pixels to which images are resized; default: as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resize: Option<usize>,
    /// Grey images become three equal channels.
    #[serde(default)]
    pub rgb: bool,
    /// What happens to training (and, as the reference code does, validation) batches.
    #[serde(default)]
    pub augment: Augment,
}

/// Random changes of a batch; all off by default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Augment {
    /// Zero padding of a random crop, in pixels; 0 = no crop.
    pub crop: usize,
    /// Horizontal flip with probability 1/2.
    pub flip: bool,
    /// Side of the square that cutout erases, in pixels; 0 = off.
    pub cutout: usize,
    /// Validation batches are changed too (the reference code does).
    pub valid: bool,
}
