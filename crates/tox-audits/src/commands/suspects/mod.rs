//! Rows of a user's own that are likely mislabelled or poisoned: what is written of them, and what is known.

pub mod page;
pub mod table;

use serde::Serialize;
use tox_data::features::Features;
use tox_data::patch::Patch;
use tox_poison::suspects::quality::{average_precision, precision_at};
use tox_poison::suspects::{Score, Suspects};

/// Rows that were judged, with what was found of them.
pub struct Listed<'a> {
    /// What the user calls the data.
    pub name: &'a str,
    pub rows: &'a Features,
    pub trusted: Option<usize>,
    pub suspects: &'a Suspects,
    /// Held against a poison that is known.
    pub known: Option<&'a Known>,
    pub seed: u64,
    /// BLAKE3 of the rows.
    pub hash: &'a str,
}

impl Listed<'_> {
    /// The scores that methods rank by, and the combined rank: what people are shown.
    pub fn main_scores(&self) -> Vec<Score> {
        let found = self.suspects.found.iter();
        let names: Vec<&str> = found.map(|(_, found)| found.scores[0].name).collect();
        let combined = self.suspects.scores().len() - 1;
        let scores = self.suspects.scores().into_iter().enumerate();
        let shown = scores.filter(|(at, score)| *at == combined || names.contains(&score.name));
        shown.map(|(_, score)| score).collect()
    }

    /// The name of a class.
    pub fn class(&self, label: u16) -> &str {
        &self.rows.class_names[usize::from(label)]
    }

    /// The label that is suggested for a row, if it is another than its own.
    pub fn suggested(&self, row: usize) -> Option<&str> {
        let (own, other) = (self.rows.labels[row], self.suspects.suggested[row]);
        (own != other).then(|| self.class(other))
    }
}

/// A poison that is known, and how well each score finds it.
#[derive(Clone, Debug, Serialize)]
pub struct Known {
    /// Rows poisoned, which is the budget that precisions are taken at.
    pub budget: usize,
    pub scores: Vec<Quality>,
}

/// How well one score finds the rows of a poison.
#[derive(Clone, Debug, Serialize)]
pub struct Quality {
    pub score: &'static str,
    /// Share of poisoned rows among as many of the most suspicious.
    pub precision: f64,
    /// As scikit-learn's `average_precision_score`.
    pub average_precision: f64,
}

/// A patch that is not in these rows.
#[derive(Debug, thiserror::Error)]
#[error(
    "the patch is not in these rows: {what}; give --data the poisoned file that was written beside the patch, and \
     --classes as it was made with"
)]
pub struct OtherRows {
    what: String,
}

impl Known {
    /// # Errors
    /// A patch of other rows.
    pub fn of(patch: &Patch, rows: &Features, suspects: &Suspects) -> Result<Self, OtherRows> {
        let refuse = |what: String| Err(OtherRows { what });
        let expected = patch.manifest().train_rows;
        if expected != rows.rows {
            return refuse(format!(
                "it is of {expected} rows, and these are {}",
                rows.rows
            ));
        }
        let mut poisoned = vec![false; rows.rows];
        for (&row, &label) in patch.indices().iter().zip(patch.labels()) {
            let row = row as usize;
            if rows.labels[row] != label {
                return refuse(format!(
                    "it gives row {row} label {label}, and the row has label {}",
                    rows.labels[row]
                ));
            }
            poisoned[row] = true;
        }
        let budget = patch.indices().len();
        let quality = |score: Score| {
            let suspicion = score.suspicion();
            Some(Quality {
                score: score.name,
                precision: precision_at(&suspicion, &poisoned, budget)?,
                average_precision: average_precision(&suspicion, &poisoned)?,
            })
        };
        Ok(Self {
            budget,
            scores: suspects.scores().into_iter().filter_map(quality).collect(),
        })
    }
}
