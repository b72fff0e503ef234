//! What is kept of suspects: the first of them, and how well a poison that is known is found.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tox_data::features::{Features, Values};
use tox_data::patch::Patch;
use tox_poison::suspects::quality::{average_precision, precision_at};
use tox_poison::suspects::{Score, Suspects};

/// Rows that are kept; all are in the tables beside the record.
const FIRST: usize = 100;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuspectsOutcome {
    /// Rows judged.
    pub rows: usize,
    pub classes: Vec<String>,
    /// Rows trusted.
    pub trusted: usize,
    pub methods: Vec<String>,
    /// Methods without rows to learn from.
    pub left_out: Vec<String>,
    /// The scores that methods rank by, and the combined rank: what people are shown.
    pub main: Vec<String>,
    /// The first of them, in order.
    pub suspects: Vec<Suspect>,
    pub known: Option<Known>,
}

/// A row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suspect {
    /// From 1.
    pub rank: usize,
    /// Its place in the file, from 0.
    pub row: usize,
    pub label: String,
    /// Its own, if nothing speaks for another.
    pub suggested: String,
    pub scores: Map<String, Value>,
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,
}

/// A row as an image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// Pixels in hexadecimal digits.
    pub pixels: String,
}

impl Suspect {
    /// The label that is suggested, if it is another than its own.
    pub fn other(&self) -> Option<&str> {
        (self.label != self.suggested).then_some(&self.suggested)
    }

    pub fn score(&self, name: &str) -> Option<f64> {
        self.scores.get(name)?.as_f64()
    }

    /// It in a sentence without its end.
    pub fn words(&self) -> String {
        let suggested = match self.other() {
            Some(label) => format!("suggested: {label}"),
            None => "no other label is suggested for it".to_owned(),
        };
        format!(
            "row {}, labelled {} ({suggested}): {}",
            self.row, self.label, self.reason
        )
    }
}

impl SuspectsOutcome {
    /// Of what was found among `rows`.
    pub fn of(
        rows: &Features,
        trusted: Option<&Features>,
        found: &Suspects,
        known: Option<Known>,
    ) -> Self {
        let scores = found.scores();
        let main = |(at, score): &(usize, &Score)| {
            let ranks = |(_, found): &(&str, tox_poison::suspects::Found)| {
                found.scores[0].name == score.name
            };
            *at + 1 == scores.len() || found.found.iter().any(ranks)
        };
        let main = scores.iter().enumerate().filter(main);
        let class = |label: u16| rows.class_names[usize::from(label)].clone();
        let range = range(rows);
        let suspect = |(at, &row): (usize, &usize)| Suspect {
            rank: at + 1,
            row,
            label: class(rows.labels[row]),
            suggested: class(found.suggested[row]),
            scores: (scores.iter())
                .map(|score| (score.name.to_owned(), score.values[row].into()))
                .collect(),
            reason: found.reason(row),
            image: image(rows, row, range),
        };
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            rows: rows.rows,
            classes: rows.class_names.clone(),
            trusted: trusted.map_or(0, |trusted| trusted.rows),
            methods: found
                .found
                .iter()
                .map(|(name, _)| (*name).to_owned())
                .collect(),
            left_out: names(&found.left_out),
            main: main.map(|(_, score)| score.name.to_owned()).collect(),
            suspects: found
                .order
                .iter()
                .take(FIRST)
                .enumerate()
                .map(suspect)
                .collect(),
            known,
        }
    }
}

/// The row as an image, if it is one.
fn image(rows: &Features, row: usize, (low, high): (f32, f32)) -> Option<Image> {
    let shape = rows.shape?;
    let at = row * rows.columns..(row + 1) * rows.columns;
    let pixels: Vec<u8> = match &rows.values {
        Values::Bytes(values) => values[at].to_vec(),
        Values::Floats(values) => {
            let span = if high > low { high - low } else { 1.0 };
            let byte = |x: &f32| (255.0 * (x - low) / span).round() as u8;
            values[at].iter().map(byte).collect()
        }
    };
    Some(Image {
        shape,
        pixels: pixels.iter().map(|pixel| format!("{pixel:02x}")).collect(),
    })
}

/// Least and largest value of float images.
fn range(rows: &Features) -> (f32, f32) {
    match &rows.values {
        Values::Bytes(_) => (0.0, 255.0),
        Values::Floats(values) => {
            let least = values.iter().copied().fold(f32::INFINITY, f32::min);
            let most = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            (least, most)
        }
    }
}

/// A poison that is known, and how well each score finds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// Rows poisoned, which is the budget that precisions are taken at.
    pub budget: usize,
    pub scores: Vec<Quality>,
}

/// How well one score finds the rows of a poison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quality {
    pub score: String,
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

/// Which rows a patch poisoned.
///
/// # Errors
/// A patch of other rows.
pub fn poisoned(patch: &Patch, rows: &Features) -> Result<Vec<bool>, OtherRows> {
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
    if let Some(row) = patch
        .values()
        .and_then(|values| absent(patch, values, rows))
    {
        return refuse(format!("it gives row {row} other values than the row has"));
    }
    Ok(poisoned)
}

/// The first row of `patch` that does not have its values, but for what a file's type may have rounded.
fn absent(patch: &Patch, values: &Values, rows: &Features) -> Option<u64> {
    let count = patch.indices().len();
    let length = match values {
        Values::Bytes(values) => values.len(),
        Values::Floats(values) => values.len(),
    };
    if length != count * rows.columns {
        return patch.indices().first().copied();
    }
    let held = |at: usize, row: usize| {
        let pair = |column: usize| {
            let (from, to) = (at * rows.columns + column, row * rows.columns + column);
            match (values, &rows.values) {
                (Values::Bytes(values), Values::Bytes(rows)) => values[from] == rows[to],
                (Values::Floats(values), Values::Bytes(rows)) => {
                    (255.0 * values[from]).round() == f32::from(rows[to])
                }
                (Values::Bytes(values), Values::Floats(rows)) => {
                    near(f32::from(values[from]) / 255.0, rows[to])
                }
                (Values::Floats(values), Values::Floats(rows)) => near(values[from], rows[to]),
            }
        };
        (0..rows.columns).all(pair)
    };
    let mut points = patch.indices().iter().enumerate();
    let found = points.find(|(at, row)| !held(*at, **row as usize));
    found.map(|(_, row)| *row)
}

/// Whether a file that has the second may have been given the first: a half float, or a whole number.
fn near(given: f32, found: f32) -> bool {
    (given - found).abs() <= 2e-3 * given.abs().max(1.0) || given.round() == found
}

impl Known {
    /// How well `suspects` finds the `poisoned` rows.
    pub fn of(poisoned: &[bool], suspects: &Suspects) -> Self {
        let budget = poisoned.iter().filter(|row| **row).count();
        let quality = |score: Score| {
            let suspicion = score.suspicion();
            Some(Quality {
                score: score.name.to_owned(),
                precision: precision_at(&suspicion, poisoned, budget)?,
                average_precision: average_precision(&suspicion, poisoned)?,
            })
        };
        Self {
            budget,
            scores: suspects.scores().into_iter().filter_map(quality).collect(),
        }
    }
}
