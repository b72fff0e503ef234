//! What a countermeasure did to each row, brought to the data and counted.

use super::CleanseError;
use serde::{Deserialize, Serialize};
use tox_data::features::{Features, Values};
use tox_data::{Data, DataRef};

/// What is done to the rows of a pool.
pub(super) struct Verdict {
    /// The pool with new labels and values, row for row.
    pub pool: Features,
    /// Whether a row stays.
    pub keep: Vec<bool>,
}

/// `None` means that it was asked to stop.
pub(super) type Judged = Result<Option<Verdict>, CleanseError>;

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
    /// Training and validation rows before.
    pub rows: usize,
    /// Of them dropped.
    pub dropped: usize,
    /// Rows kept with another label.
    pub relabelled: usize,
    /// Rows kept with another image; none of a table.
    pub images_changed: usize,
    /// Largest change of a pixel, in 1/255.
    pub largest_change: u8,
    /// Mean absolute change over all pixels of the rows kept, in 1/255.
    pub mean_change: f64,
    /// Training rows left.
    pub train_left: usize,
    /// Validation rows left.
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
    pub(super) fn check(&self, data: DataRef<'_>) -> Result<(), CleanseError> {
        let [train, valid, _] = data.labels();
        let rows = train.len() + valid.len();
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
    pub fn none(data: DataRef<'_>) -> Self {
        let pool = data.pool();
        Self {
            keep: vec![true; pool.rows],
            pool,
        }
    }

    /// The data with all this done to them.
    pub fn apply(
        self,
        data: DataRef<'_>,
        known: Option<Known<'_>>,
    ) -> Result<(Data, Cleansed), CleanseError> {
        let half = |rows: std::ops::Range<usize>| -> Features {
            let rows: Vec<usize> = rows.filter(|&row| self.keep[row]).collect();
            self.pool.rows(&rows)
        };
        let (border, rows) = (data.labels()[0].len(), self.pool.rows);
        let (train, valid) = (half(0..border), half(border..rows));
        enough(data, [&train.labels, &valid.labels])?;
        let report = self.report(data, known, [train.rows, valid.rows]);
        Ok((data.replaced(train, Some(valid)), report))
    }

    fn report(&self, data: DataRef<'_>, known: Option<Known<'_>>, left: [usize; 2]) -> Cleansed {
        let (rows, stride) = (self.pool.rows, self.pool.columns);
        let [train, valid, _] = data.labels();
        let border = train.len();
        let label = |row: usize| match row.checked_sub(border) {
            None => train[row],
            Some(row) => valid[row],
        };
        // Pixels before and after.
        let pixels = |row: usize| -> Option<(&[u8], &[u8])> {
            let (data, Values::Bytes(new)) = (data.images()?, &self.pool.values) else {
                return None;
            };
            let (split, at) = match row.checked_sub(border) {
                None => (&data.train, row),
                Some(row) => (&data.valid, row),
            };
            let old = &split.images.pixels[at * stride..][..stride];
            Some((old, &new[row * stride..][..stride]))
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
            let (old, new) = pixels(row).unwrap_or_default();
            let (mut moved, mut largest) = (0, 0);
            for (old, new) in old.iter().zip(new) {
                let change = old.abs_diff(*new);
                moved += u64::from(change);
                largest = largest.max(change);
            }
            let relabelled = label(row) != self.pool.labels[row];
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
                let flipped = label(row) != known.labels[row];
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

/// Whether a learner can still learn from the labels of both halves. A half or a class that was as small
/// before is not the countermeasure's doing.
fn enough(data: DataRef<'_>, [train, valid]: [&[u16]; 2]) -> Result<(), CleanseError> {
    let [before_train, before_valid, _] = data.labels();
    let halves = [
        ("training", before_train, train),
        ("validation", before_valid, valid),
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
    let names = data.class_names();
    let count = |labels: &[u16]| {
        let mut counts = vec![0; names.len()];
        for &label in labels {
            counts[usize::from(label)] += 1;
        }
        counts
    };
    let (before, left) = (count(before_train), count(train));
    match (0..names.len()).find(|&class| left[class] == 0 && before[class] > 0) {
        None => Ok(()),
        Some(class) => Err(CleanseError::ClassGone {
            class: format!("{class} ({})", names[class]),
            before: before[class],
        }),
    }
}
