//! What a trial says about its data, as data.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::format::formats;

/// The data set of points that a learner draws itself.
pub const DRAWN: &str = "gaussians";

/// A data set and what is done to it before a learner sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataSpec {
    /// `digits`, `mnist`, `fashion-mnist`, `cifar10`, `cifar100`, `svhn`; or a path to an `.npz` file, to a
    /// folder of class folders or, for learners that take tables of numbers, to a `.csv`, `.tsv` or
    /// `.parquet` file.
    pub dataset: String,
    /// The column of labels of a table, by its name or, from 0, its number. Default: the one that is called
    /// `label`, `target`, `class` or `y`, or the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// BLAKE3 of what is read of it: class names, shapes, pixels and labels of the classes kept, before
    /// any split; of a folder with `resize`, resized. Of learners that take the rows of a file as they are, of
    /// these rows. A study fills it in when it is made, and its trials refuse other data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// Classes kept, without repeats; the first becomes class 0, the next 1, and so
    /// on. Images of other classes are dropped before anything else. Default: all, as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2))]
    pub classes: Option<Vec<u16>>,
    /// Where training, validation and test images are taken from.
    #[serde(default, skip_serializing_if = "crate::is_default")]
    pub split: SplitKind,
    /// Training images used (the first ones); default: all that `valid` leaves. A random split
    /// needs it, and draws so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub train: Option<usize>,
    /// Validation images: the last `valid` images of the training file; with a random split, so
    /// many drawn.
    pub valid: usize,
    /// Test images used (the first ones); default: all. With a random split so many are drawn,
    /// or, by default, all that training and validation leave, balanced or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub test: Option<usize>,
    /// Side in pixels to which images are resized; default: as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 4, max = 1024))]
    pub resize: Option<usize>,
    /// Grey images become three equal channels.
    #[serde(default)]
    pub rgb: bool,
    /// What happens to training (and, as the reference code does, validation) batches.
    #[serde(default)]
    pub augment: Augment,
}

impl DataSpec {
    /// All of `dataset` as it stands, with its last `valid` training images for validation.
    pub fn of(dataset: &str, valid: usize) -> Self {
        Self {
            dataset: dataset.to_owned(),
            label: None,
            hash: None,
            classes: None,
            split: SplitKind::Official,
            train: None,
            valid,
            test: None,
            resize: None,
            rgb: false,
            augment: Augment::default(),
        }
    }

    /// Whether it stands for points that a learner draws itself.
    pub fn is_drawn(&self) -> bool {
        self.dataset == DRAWN
    }

    /// Whether its name says that it is a table of text. Archives of arrays and Parquet files may hold a table
    /// too, which is seen when they are opened.
    pub fn is_table(&self) -> bool {
        formats::of(&self.dataset).is_some_and(|format| format.is_table())
    }

    /// Whether it may be a table whose columns have names, of which `label` is one.
    pub fn has_columns(&self) -> bool {
        formats::of(&self.dataset).is_some_and(|format| format.has_columns())
    }

    /// What people call the data set: the last part of a path, else its name.
    pub fn name(&self) -> &str {
        let name = std::path::Path::new(&self.dataset).file_name();
        name.and_then(|name| name.to_str()).unwrap_or(&self.dataset)
    }
}

/// Where training, validation and test images are taken from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SplitKind {
    /// Training and validation from the training file, test from the test file, in file order.
    #[default]
    Official,
    /// All three at random from both files together, without replacement, as many of each class
    /// (give or take one), anew for each seed (bilevel paper: "balanced and drawn at random from
    /// the joint pool").
    Random,
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
