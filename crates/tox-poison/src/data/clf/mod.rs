//! CLF, confidence-based label flipping: the rows that a classifier trained on the clean set is most
//! confident of get a label that it finds unlikely.

mod classifier;

pub use crate::classifier::Classifier;
pub use classifier::{Training, confidences};

use super::{Check, Crafted, PoisonError, points};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tox_data::features::Features;
use tox_data::patch::Patch;

/// Which label a row gets, never its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// The one that the classifier finds least likely, the first of equals.
    #[default]
    LeastLikely,
    /// The most likely one beside the row's own, the first of equals: of a row that is classified
    /// rightly, the second most likely. Harder to find by eye.
    SecondMostLikely,
}

/// What confidence in a row is. The paper says neither; on the classifier's own training set, where
/// nearly all answers are right, both choose nearly the same rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// The largest probability of the row, right or wrong.
    #[default]
    Prediction,
    /// The probability of the row's own label: a row that the classifier gets wrong is no row that
    /// it is confident of.
    Label,
}

/// The choices that the paper leaves open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Clf {
    /// Which label a row gets.
    pub target: Target,
    /// Which rows come first.
    pub confidence: Confidence,
}

/// A classifier's probability of every class for every training row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Confidences {
    classes: usize,
    values: Vec<f64>,
    /// How they were made, for the patch's manifest.
    source: Value,
}

impl Confidences {
    /// From a table, row after row; each row adds up to 1. `source` says how it was made.
    ///
    /// # Errors
    /// Values that do not make whole rows, that are outside of 0..=1, or whose row does not add up
    /// to 1 within 1e-3.
    pub fn new(classes: usize, values: Vec<f64>, source: Value) -> Result<Self, PoisonError> {
        let refuse = |what| Err(PoisonError::Confidences { what });
        if classes < 2 {
            return Err(PoisonError::OneClass { classes });
        }
        if values.is_empty() || !values.len().is_multiple_of(classes) {
            let n = values.len();
            return refuse(format!("{n} values make no rows of {classes} classes"));
        }
        for (i, row) in values.chunks_exact(classes).enumerate() {
            if let Some(value) = row.iter().find(|value| !(0.0..=1.0).contains(*value)) {
                return refuse(format!("row {i} holds {value}"));
            }
            let sum: f64 = row.iter().sum();
            if (sum - 1.0).abs() > 1e-3 {
                return refuse(format!("row {i} adds up to {sum}"));
            }
        }
        Ok(Self {
            classes,
            values,
            source,
        })
    }

    /// One row a training row, one value a class.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f64]> {
        self.values.chunks_exact(self.classes)
    }

    /// Share of the rows whose most likely class is their label.
    pub fn accuracy(&self, labels: &[u16]) -> f64 {
        let answers = self.rows().map(|row| best(row, None, f64::gt));
        let right = answers
            .zip(labels)
            .filter(|(answer, label)| answer == *label);
        right.count() as f64 / labels.len().max(1) as f64
    }
}

/// The class whose value beats all others by `better`, the first of equals; not `without`.
fn best(row: &[f64], without: Option<u16>, better: fn(&f64, &f64) -> bool) -> u16 {
    let mut best: Option<(u16, f64)> = None;
    for (class, &value) in row.iter().enumerate() {
        let class = class as u16;
        if Some(class) != without && best.is_none_or(|(_, found)| better(&value, &found)) {
            best = Some((class, value));
        }
    }
    best.map_or(0, |(class, _)| class)
}

/// Flips the labels of the rows, a share of `budget` of all (see [`super::points`]), that come first in confidence, the first of
/// equals. Nothing is drawn, so budgets are nested for one table of confidences. The check fails if
/// the classifier is no better than naming the most frequent class.
///
/// # Errors
/// A budget that is no share or less than a row, and confidences of other rows or classes.
pub fn flip(
    clean: &Features,
    confidences: &Confidences,
    clf: Clf,
    budget: f64,
) -> Result<Crafted, PoisonError> {
    let (rows, classes) = (clean.rows, clean.class_names.len());
    let found = [confidences.rows().len(), confidences.classes];
    if found != [rows, classes] {
        let what = format!(
            "they are of {} rows and {} classes, the training set has {rows} and {classes}",
            found[0], found[1]
        );
        return Err(PoisonError::Confidences { what });
    }
    let n = points(budget, rows)?;
    let table: Vec<&[f64]> = confidences.rows().collect();
    let confidence = |row: usize| match clf.confidence {
        Confidence::Prediction => table[row].iter().copied().fold(0.0, f64::max),
        Confidence::Label => table[row][usize::from(clean.labels[row])],
    };
    let mut order: Vec<(f64, usize)> = (0..rows).map(|row| (confidence(row), row)).collect();
    order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let chosen = || order[..n].iter().map(|(_, row)| *row);
    let better = match clf.target {
        Target::LeastLikely => f64::lt,
        Target::SecondMostLikely => f64::gt,
    };
    let label = |row: usize| best(table[row], Some(clean.labels[row]), better);
    let settings = json!({ "budget": budget, "clf": clf, "classifier": confidences.source });
    let indices = chosen().map(|row| row as u64).collect();
    let labels = chosen().map(label).collect();
    let patch = Patch::of_labels(clean, indices, labels, "clf", settings)?;
    let mut check = Check::labels(&patch, clean)?;
    let (right, frequent) = (confidences.accuracy(&clean.labels), most_frequent(clean));
    if right <= frequent {
        check.unreliable = Some(format!(
            "the classifier gets {:.1} % of the clean rows right, no better than naming the most \
             frequent class ({:.1} %): its confidence says nothing",
            100.0 * right,
            100.0 * frequent
        ));
    }
    Ok(Crafted { patch, check })
}

/// Share of the rows that are of the most frequent class.
fn most_frequent(clean: &Features) -> f64 {
    let mut counts = vec![0usize; clean.class_names.len()];
    for &label in &clean.labels {
        counts[usize::from(label)] += 1;
    }
    counts.into_iter().max().unwrap_or(0) as f64 / clean.rows.max(1) as f64
}
