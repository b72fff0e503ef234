//! What a loader reads: the training and the test file as they are on disk.

use crate::dataset::{Normalise, Split};
use crate::row_set::RowSet;

/// What a loader returns.
#[derive(Debug)]
pub(crate) struct Files<R = Split> {
    pub train: R,
    pub test: R,
    pub class_names: Vec<String>,
    /// Published constants; measured on the training split where there are none.
    pub normalise: Option<Normalise>,
    /// Names of the columns of a table of text.
    pub columns: Option<Vec<String>>,
    pub notes: Vec<String>,
    pub origin: Origin,
    /// How many of the last training rows the user brought for validation.
    pub valid: usize,
}

/// Where training and test images are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A published set.
    Known,
    /// Two files, or arrays, of the user's.
    Files,
    /// The test images are the last of one file of the user's.
    OneFile,
}

impl<R: RowSet> Files<R> {
    /// A training and a test file of which nothing else is to be said.
    pub fn of([train, test]: [R; 2], class_names: Vec<String>, origin: Origin) -> Self {
        Self {
            train,
            test,
            class_names,
            normalise: None,
            columns: None,
            notes: Vec::new(),
            origin,
            valid: 0,
        }
    }

    /// BLAKE3 (hexadecimal) of what was read: class names, names of columns, and shape, values and labels of
    /// both files.
    pub fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new_derive_key("toxscreen 2026 data source v1");
        let number = |hasher: &mut blake3::Hasher, n: usize| {
            hasher.update(&(n as u64).to_le_bytes());
        };
        for names in [Some(&self.class_names), self.columns.as_ref()] {
            let Some(names) = names else { continue };
            number(&mut hasher, names.len());
            for name in names {
                number(&mut hasher, name.len());
                hasher.update(name.as_bytes());
            }
        }
        for split in [&self.train, &self.test] {
            split.hash_values(&mut hasher);
            number(&mut hasher, split.count());
            let labels = split.labels().iter().flat_map(|label| label.to_le_bytes());
            hasher.update(&labels.collect::<Vec<u8>>());
        }
        hasher.finalize().to_hex().to_string()
    }
}
