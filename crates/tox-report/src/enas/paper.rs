//! The numbers that a paper prints, kept as data beside the code (`data/*.toml`).

use serde::Deserialize;
use std::collections::BTreeMap;

/// A printed pair, percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Printed {
    /// Validation error.
    pub valid: Option<f64>,
    /// Test error.
    pub test: Option<f64>,
}

/// What a paper printed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paper {
    /// Title.
    pub name: String,
    /// Authors.
    pub authors: String,
    /// What its numbers are.
    pub setting: String,
    /// Cells on CIFAR-10.
    cifar10: BTreeMap<String, Printed>,
    /// Cells on CIFAR-100.
    cifar100: BTreeMap<String, Printed>,
    /// Where its running text gives another number than its tables.
    pub text: Vec<String>,
}

impl Paper {
    /// The paper that a recipe calls `key`; `None` when there are no numbers for it.
    pub fn find(key: &str) -> Option<Self> {
        match key {
            "ssp" => toml::from_str(include_str!("../../data/ssp.toml")).ok(),
            _ => None,
        }
    }

    /// What it printed for a cell. A data set that it did not use is put beside its CIFAR-10 numbers.
    pub fn cell(&self, dataset: &str, cell: &str) -> Printed {
        let table = match dataset {
            "cifar100" => &self.cifar100,
            _ => &self.cifar10,
        };
        table.get(cell).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_file_parses_and_has_all_cells() {
        let paper = Paper::find("ssp").unwrap();
        assert_eq!(paper.cifar10.len(), 23);
        assert_eq!(paper.cell("digits", "5d").test, Some(70.14));
        assert_eq!(paper.cell("cifar100", "5d"), Printed::default());
        assert_eq!(paper.cell("cifar100", "oneshot-2").test, Some(99.0));
        assert!(Paper::find("none").is_none());
    }
}
