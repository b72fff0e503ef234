//! What a countermeasure did to each row, brought to the data and counted.

use super::CleanseError;
use serde::{Deserialize, Serialize};
use tox_data::{Dataset, Split};

/// What is done to the rows of a pool.
pub(super) struct Verdict {
    /// The pool with new labels and images, row for row.
    pub pool: Split,
    /// Whether a row stays.
    pub keep: Vec<bool>,
}

/// A poison that is known, to measure a countermeasure by. No countermeasure sees it.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Rows of the pool that were poisoned, each once.
    pub rows: &'a [u64],
    /// The clean labels of all rows of the pool.
    pub labels: &'a [u16],
}

/// What a countermeasure did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cleansed {
    /// Training and validation images before.
    pub rows: usize,
    /// Of them dropped.
    pub dropped: usize,
    /// Rows kept with another label.
    pub relabelled: usize,
    /// Rows kept with another image.
    pub images_changed: usize,
    /// Largest change of a pixel, in 1/255.
    pub largest_change: u8,
    /// Mean absolute change over all pixels of the rows kept, in 1/255.
    pub mean_change: f64,
    /// Training images left.
    pub train_left: usize,
    /// Validation images left.
    pub valid_left: usize,
    /// Against the known poison; absent if none was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub against: Option<Against>,
}

/// What a countermeasure did to a known poison. A row is touched if it was dropped, or has another
/// label or another image than before; so a denoiser touches nearly all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Against {
    /// Rows poisoned.
    pub poisoned: usize,
    /// Of them touched.
    pub caught: usize,
    /// Clean rows touched.
    pub clean_touched: usize,
    /// Poisoned rows whose label was flipped.
    pub flipped: usize,
    /// Of them kept with their clean label.
    pub restored: usize,
}

impl Against {
    /// Share of the poisoned rows that were touched; none without poison.
    pub fn recall(&self) -> Option<f64> {
        share(self.caught, self.poisoned)
    }

    /// Share of the touched rows that were poisoned; none if none was touched.
    pub fn precision(&self) -> Option<f64> {
        share(self.caught, self.caught + self.clean_touched)
    }
}

fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

impl Known<'_> {
    /// Whether this is of the pool of `data`.
    pub(super) fn check(&self, data: &Dataset) -> Result<(), CleanseError> {
        let rows = data.train.len() + data.valid.len();
        let refuse = |what| Err(CleanseError::Known { what });
        if self.labels.len() != rows {
            let found = self.labels.len();
            return refuse(format!("{found} clean labels, expected {rows}, one a row"));
        }
        let mut seen = vec![false; rows];
        for &row in self.rows {
            match seen.get_mut(row as usize) {
                None => return refuse(format!("row {row}, expected one below {rows}")),
                Some(true) => return refuse(format!("row {row} more than once")),
                Some(seen) => *seen = true,
            }
        }
        Ok(())
    }
}

impl Verdict {
    /// Nothing is done to the rows of `data`.
    pub fn none(data: &Dataset) -> Self {
        let pool = data.pooled();
        Self {
            keep: vec![true; pool.len()],
            pool,
        }
    }

    /// The data with all this done to them.
    pub fn apply(
        self,
        data: &Dataset,
        known: Option<Known<'_>>,
    ) -> Result<(Dataset, Cleansed), CleanseError> {
        let half = |rows: std::ops::Range<usize>| -> Split {
            let rows: Vec<usize> = rows.filter(|&row| self.keep[row]).collect();
            self.pool.rows(&rows)
        };
        let (border, rows) = (data.train.len(), self.pool.len());
        let (train, valid) = (half(0..border), half(border..rows));
        enough(data, &train, &valid)?;
        let report = self.report(data, known, [train.len(), valid.len()]);
        let cleaned = Dataset {
            train,
            valid,
            ..data.clone()
        };
        Ok((cleaned, report))
    }

    fn report(&self, data: &Dataset, known: Option<Known<'_>>, left: [usize; 2]) -> Cleansed {
        let rows = self.pool.len();
        let stride = self.pool.images.stride();
        let border = data.train.len();
        let before = |row: usize| match row.checked_sub(border) {
            None => (&data.train, row),
            Some(row) => (&data.valid, row),
        };
        let mut report = Cleansed {
            rows,
            dropped: 0,
            relabelled: 0,
            images_changed: 0,
            largest_change: 0,
            mean_change: 0.0,
            train_left: left[0],
            valid_left: left[1],
            against: None,
        };
        let (mut touched, mut change) = (vec![false; rows], 0u64);
        for (row, touched) in touched.iter_mut().enumerate() {
            if !self.keep[row] {
                report.dropped += 1;
                *touched = true;
                continue;
            }
            let (split, at) = before(row);
            let old = &split.images.pixels[at * stride..][..stride];
            let new = &self.pool.images.pixels[row * stride..][..stride];
            let (mut moved, mut largest) = (0, 0);
            for (old, new) in old.iter().zip(new) {
                let change = old.abs_diff(*new);
                moved += u64::from(change);
                largest = largest.max(change);
            }
            let relabelled = split.labels[at] != self.pool.labels[row];
            report.relabelled += usize::from(relabelled);
            report.images_changed += usize::from(moved > 0);
            report.largest_change = report.largest_change.max(largest);
            change += moved;
            *touched = relabelled || moved > 0;
        }
        let pixels = (rows - report.dropped) * stride;
        report.mean_change = change as f64 / pixels.max(1) as f64;
        report.against = known.map(|known| {
            let mut against = Against {
                poisoned: known.rows.len(),
                caught: 0,
                clean_touched: 0,
                flipped: 0,
                restored: 0,
            };
            for row in known.rows.iter().map(|row| *row as usize) {
                let (split, at) = before(row);
                let flipped = split.labels[at] != known.labels[row];
                let clean = self.keep[row] && self.pool.labels[row] == known.labels[row];
                against.caught += usize::from(touched[row]);
                against.flipped += usize::from(flipped);
                against.restored += usize::from(flipped && clean);
            }
            let all = touched.iter().filter(|touched| **touched).count();
            against.clean_touched = all - against.caught;
            against
        });
        report
    }
}

/// Whether a search can still learn from both halves. A half or a class that was as small before is
/// not the countermeasure's doing.
fn enough(data: &Dataset, train: &Split, valid: &Split) -> Result<(), CleanseError> {
    let halves = [
        ("training", &data.train, train),
        ("validation", &data.valid, valid),
    ];
    for (split, before, left) in halves {
        let (before, left) = (before.len(), left.len());
        if left < 2 && left < before {
            return Err(CleanseError::FewLeft {
                split,
                left,
                before,
            });
        }
    }
    let count = |split: &Split| {
        let mut counts = vec![0; data.classes];
        for &label in &split.labels {
            counts[usize::from(label)] += 1;
        }
        counts
    };
    let (before, left) = (count(&data.train), count(train));
    match (0..data.classes).find(|&class| left[class] == 0 && before[class] > 0) {
        None => Ok(()),
        Some(class) => Err(CleanseError::ClassGone {
            class: match data.class_names.get(class) {
                Some(name) => format!("{class} ({name})"),
                None => class.to_string(),
            },
            before: before[class],
        }),
    }
}
