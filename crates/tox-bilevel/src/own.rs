//! A user's own rows as the three sets of a bilevel problem, and what is held out of them.

use crate::config::Keep;
use crate::model::Model;
use crate::points::{Points, Values};
use crate::scale::{Scale, Scaling};
use crate::sets::{Sets, SetsError};
use crate::victim::Poison;
use rand::seq::SliceRandom;
use tox_data::features::{FeatureSets, Features, Values as Stored};
use tox_data::rng::stream;

/// Most rows that are held out, so that a manifest can name them.
pub const MOST_HELD_OUT: usize = 50_000;

/// Sets, and which of the user's training rows are where. What the user brings as a set of its own
/// has no rows here.
#[derive(Clone, Debug)]
pub struct Own {
    /// The sets. 8-bit features are pixel / 255 and stay in [0, 1]; each float feature stays within
    /// the values that it has among the training rows.
    pub sets: Sets,
    /// Rows that the learner trains on, in the order of `sets.train`.
    pub rows: Vec<usize>,
    /// Rows held out as the trusted set, ascending.
    pub trusted_rows: Vec<usize>,
    /// Rows held out as the test set, ascending.
    pub test_rows: Vec<usize>,
    /// How features were scaled, if they were.
    pub scale: Option<Scale>,
}

/// What is asked of [`Own::new`].
#[derive(Clone, Copy, Debug)]
pub struct Division {
    /// Training rows to hold out as the trusted set, if the user brings none.
    pub hold_out: usize,
    /// Of the draw of what is held out.
    pub seed: u64,
    /// Which fold of the rows is held out, from 0: the test rows of the folds 0 to 4 are apart.
    pub fold: usize,
    /// How features are scaled, if they are.
    pub scaling: Option<Scaling>,
}

/// Why rows do not make the sets of a bilevel problem.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum OwnError {
    /// A class that no training row has.
    #[error(
        "no training row has the label {class}, though labels go up to {largest}: expected rows of \
         each class; choose the classes that there are, which makes them 0, 1 and so on: {present}"
    )]
    EmptyClass {
        /// The first of them.
        class: usize,
        /// Largest label of all.
        largest: usize,
        /// Those that have rows, such as `1,2`.
        present: String,
    },
    /// More rows to hold out than there are.
    #[error(
        "holding {trusted} rows out as the trusted set and {test} as the test set leaves nothing of \
         {rows} training rows to train on (and at most 50,000 of each can be held out); hold fewer \
         out, or bring these sets"
    )]
    HeldOut {
        /// For the trusted set.
        trusted: usize,
        /// For the test set.
        test: usize,
        /// Training rows.
        rows: usize,
    },
    /// Bytes beside floats.
    #[error(
        "the trusted rows are {found} and the training rows are {expected}: expected the same kind, \
         or their units differ; store both sets in the same way"
    )]
    Kind {
        /// `8-bit` or `floats`.
        found: &'static str,
        /// Of the training set.
        expected: &'static str,
    },
    /// Nothing to learn from.
    #[error(
        "all {rows} training rows are alike: no feature differs between any two of them, so that no \
         learner can tell their classes apart; check what was exported into the file"
    )]
    Alike {
        /// Training rows.
        rows: usize,
    },
    /// The sets do not fit each other.
    #[error(transparent)]
    Sets(#[from] SetsError),
}

impl Own {
    /// `data` with the trusted rows that the user brings, or with `hold_out` of its training rows
    /// as the trusted set. Without test rows a fifth of the training rows are held out. What is
    /// held out is drawn with the division's seed, class by class in proportion.
    ///
    /// # Errors
    /// See [`OwnError`].
    pub fn new(
        data: &FeatureSets,
        trusted: Option<&Features>,
        division: Division,
    ) -> Result<Self, OwnError> {
        let train = &data.train;
        complete(train)?;
        if let Some(trusted) = trusted
            && kind(trusted) != kind(train)
        {
            return Err(OwnError::Kind {
                found: kind(trusted),
                expected: kind(train),
            });
        }
        let trusted_count = if trusted.is_some() {
            0
        } else {
            division.hold_out
        };
        let test_count = match data.test {
            Some(_) => 0,
            None => (train.rows / 5).min(MOST_HELD_OUT),
        };
        let most = trusted_count.max(test_count);
        if most > MOST_HELD_OUT || trusted_count.saturating_add(test_count) >= train.rows {
            return Err(OwnError::HeldOut {
                trusted: trusted_count,
                test: test_count,
                rows: train.rows,
            });
        }
        let mut order = in_proportion(&train.labels, train.class_names.len(), division.seed);
        // Any stretch of it is in proportion, so another fold is another beginning.
        let held = test_count + trusted_count;
        let step = if test_count > 0 { test_count } else { held };
        order.rotate_left(division.fold.saturating_mul(step) % train.rows);
        let cut = |from: usize, count: usize| {
            let mut rows = order[from..from + count].to_vec();
            rows.sort_unstable();
            rows
        };
        // Test rows first: another trusted set moves none of them.
        let test_rows = cut(0, test_count);
        let trusted_rows = cut(test_count, trusted_count);
        let rows = cut(held, train.rows - held);
        let kept = train.rows(&rows);
        if alike(&kept) {
            return Err(OwnError::Alike { rows: kept.rows });
        }
        let scale = division.scaling.map(|kind| Scale::fit(kind, &kept));
        let scaled = |set: Features| match &scale {
            Some(scale) => scale.apply(Points::of(set)),
            None => Points::of(set),
        };
        let (low, high, shape) = match &kept.values {
            Stored::Bytes(_) => {
                let edge = |x: f32| match &scale {
                    Some(scale) => (0..train.columns).map(|j| scale.to(j, x)).collect(),
                    None => vec![x; train.columns],
                };
                let shape = train.shape.unwrap_or([1, 1, train.columns]);
                (edge(0.0), edge(1.0), Some(shape))
            }
            Stored::Floats(values) => {
                let (mut low, mut high) = bounds(values, train.columns);
                if let Some(scale) = &scale {
                    for (j, (low, high)) in low.iter_mut().zip(&mut high).enumerate() {
                        (*low, *high) = (scale.to(j, *low), scale.to(j, *high));
                    }
                }
                (low, high, None)
            }
        };
        let brought = |set: Option<&Features>, rows: &[usize]| match set {
            Some(set) => scaled(set.clone()),
            None => scaled(train.rows(rows)),
        };
        let sets = Sets {
            valid: brought(trusted, &trusted_rows),
            test: brought(data.test.as_ref(), &test_rows),
            train: scaled(kept),
            class_names: train.class_names.clone(),
            low,
            high,
            shape,
            target: None,
        };
        sets.check()?;
        Ok(Self {
            sets,
            rows,
            trusted_rows,
            test_rows,
            scale,
        })
    }

    /// Rows in the file's units as points of these sets.
    pub fn points(&self, rows: Features) -> Points<f32> {
        match &self.scale {
            Some(scale) => scale.apply(Points::of(rows)),
            None => Points::of(rows),
        }
    }

    /// The values of `poison`, a row a point, in the user's own units (8-bit ones as pixel / 255).
    /// A feature that did not move is the row's own to the bit, and none leaves the box.
    pub fn in_own_units(&self, data: &Features, poison: &Poison) -> Vec<f32> {
        let Some(scale) = &self.scale else {
            return poison.values.clone();
        };
        let columns = data.columns;
        let rows: Vec<usize> = poison.indices.iter().map(|&i| self.rows[i]).collect();
        let from = Points::of(data.rows(&rows)).real();
        let (low, high) = match &data.values {
            Stored::Bytes(_) => (vec![0.0; columns], vec![1.0; columns]),
            Stored::Floats(_) => match Points::of(data.rows(&self.rows)).values {
                Values::Reals(values) => bounds(&values, columns),
                Values::Bytes { .. } => (vec![0.0; columns], vec![1.0; columns]),
            },
        };
        let Values::Reals(from) = from.values else {
            return poison.values.clone();
        };
        let pairs = poison.values.iter().zip(from).enumerate();
        pairs
            .map(|(at, (&x, from))| {
                let j = at % columns;
                match x == scale.to(j, from) {
                    true => from,
                    false => scale.back(j, x).clamp(low[j], high[j]),
                }
            })
            .collect()
    }

    /// Length of the diagonal of the box that poison stays in: the farthest a point can move.
    pub fn diagonal(&self) -> f64 {
        let sides = self.sets.low.iter().zip(&self.sets.high);
        let squares = sides.map(|(&low, &high)| f64::from(high - low).powi(2));
        squares.sum::<f64>().sqrt()
    }
}

/// The fastest way to keep the inner training of `steps` steps over `rows` rows that takes at most
/// `bytes`; checkpoints if none does.
pub fn keep_within(bytes: usize, model: &Model, rows: usize, steps: usize) -> Keep {
    let floats = |each: usize| each.saturating_mul(steps).saturating_mul(4);
    let states = floats(model.parameters());
    let sums = floats(rows.saturating_mul(model.layers().first().map_or(0, |l| l.outputs)));
    if states.saturating_add(sums) <= bytes {
        Keep::Everything
    } else if states <= bytes {
        Keep::States
    } else {
        Keep::Checkpoints
    }
}

fn kind(set: &Features) -> &'static str {
    match set.values {
        Stored::Bytes(_) => "8-bit",
        Stored::Floats(_) => "floats",
    }
}

/// Whether each class has a row: flipped labels would otherwise name classes that are not there.
///
/// # Errors
/// A class that no row has.
pub fn complete(train: &Features) -> Result<(), OwnError> {
    let mut there = vec![false; train.class_names.len()];
    for &label in &train.labels {
        if let Some(there) = there.get_mut(usize::from(label)) {
            *there = true;
        }
    }
    let Some(class) = there.iter().position(|there| !there) else {
        return Ok(());
    };
    let present: Vec<String> = (0..there.len())
        .filter(|&class| there[class])
        .map(|class| class.to_string())
        .collect();
    Err(OwnError::EmptyClass {
        class,
        largest: there.len() - 1,
        present: present.join(","),
    })
}

/// Whether no two rows differ in a feature.
fn alike(rows: &Features) -> bool {
    fn same<T: PartialEq>(values: &[T], columns: usize) -> bool {
        values
            .chunks_exact(columns)
            .all(|row| *row == values[..columns])
    }
    match &rows.values {
        Stored::Bytes(values) => same(values, rows.columns),
        Stored::Floats(values) => same(values, rows.columns),
    }
}

/// All rows in an order whose every beginning has the classes in about the proportion of the whole.
fn in_proportion(labels: &[u16], classes: usize, seed: u64) -> Vec<usize> {
    let mut by_class = vec![Vec::new(); classes];
    for (row, &label) in labels.iter().enumerate() {
        by_class[usize::from(label)].push(row);
    }
    let mut placed = Vec::with_capacity(labels.len());
    for (class, rows) in by_class.iter_mut().enumerate() {
        rows.shuffle(&mut stream(seed, "hold out", &[class as u64]));
        for (rank, &row) in rows.iter().enumerate() {
            placed.push(((rank as f64 + 0.5) / rows.len() as f64, class, row));
        }
    }
    placed.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    placed.into_iter().map(|(_, _, row)| row).collect()
}

/// Least and largest value of each column.
fn bounds(values: &[f32], columns: usize) -> (Vec<f32>, Vec<f32>) {
    let mut low = vec![f32::INFINITY; columns];
    let mut high = vec![f32::NEG_INFINITY; columns];
    for row in values.chunks_exact(columns) {
        for ((&x, low), high) in row.iter().zip(&mut low).zip(&mut high) {
            *low = low.min(x);
            *high = high.max(x);
        }
    }
    (low, high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tox_data::features::Layout;

    fn division(hold_out: usize, seed: u64) -> Division {
        Division {
            hold_out,
            seed,
            fold: 0,
            scaling: None,
        }
    }

    /// 60 rows of class 0 and 20 of class 1, of two columns.
    fn data(bytes: bool) -> FeatureSets {
        let values = (0..160u32).map(|i| (i * 37 % 251) as u8);
        let train = Features {
            values: match bytes {
                true => Stored::Bytes(values.collect()),
                false => Stored::Floats(values.map(|v| f32::from(v) - 100.0).collect()),
            },
            rows: 80,
            columns: 2,
            shape: None,
            layout: Layout::Columns,
            labels: (0..80).map(|i| u16::from(i % 4 == 3)).collect(),
            class_names: vec!["0".into(), "1".into()],
        };
        FeatureSets { train, test: None }
    }

    #[test]
    fn what_is_held_out_is_in_proportion_and_nothing_is_lost() {
        let data = data(true);
        let own = Own::new(&data, None, division(8, 1)).unwrap();
        let ones = |points: &Points<f32>| points.labels.iter().filter(|&&l| l == 1).count();
        assert_eq!((own.sets.test.len(), ones(&own.sets.test)), (16, 4));
        assert_eq!((own.sets.valid.len(), ones(&own.sets.valid)), (8, 2));
        assert_eq!((own.sets.train.len(), ones(&own.sets.train)), (56, 14));
        let mut all = [&own.rows[..], &own.trusted_rows, &own.test_rows].concat();
        all.sort_unstable();
        assert_eq!(all, (0..80).collect::<Vec<_>>());
        for (at, &row) in own.rows.iter().enumerate() {
            assert_eq!(own.sets.train.labels[at], data.train.labels[row]);
        }
        let more = Own::new(&data, None, division(12, 1)).unwrap();
        assert_eq!(more.test_rows, own.test_rows);
        let other = Own::new(&data, None, division(8, 2)).unwrap();
        assert_ne!(other.trusted_rows, own.trusted_rows);
        let brought = Own::new(&data, Some(&data.train), division(8, 1)).unwrap();
        assert!(brought.trusted_rows.is_empty() && brought.sets.valid.len() == 80);
    }

    #[test]
    fn the_box_is_that_of_pixels_or_of_the_training_rows() {
        let own = Own::new(&data(true), None, division(8, 1)).unwrap();
        assert_eq!((own.sets.low[1], own.sets.high[1]), (0.0, 1.0));
        assert_eq!(own.sets.shape, Some([1, 1, 2]));
        assert!((own.diagonal() - 2f64.sqrt()).abs() < 1e-9);
        let own = Own::new(&data(false), None, division(8, 1)).unwrap();
        assert_eq!(own.sets.shape, None);
        let rows: Vec<_> = (0..own.sets.train.len())
            .map(|i| own.sets.train.row(i)[1])
            .collect();
        assert_eq!(
            own.sets.low[1],
            rows.iter().copied().fold(f32::MAX, f32::min)
        );
        assert_eq!(
            own.sets.high[1],
            rows.iter().copied().fold(f32::MIN, f32::max)
        );
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut gap = data(true);
        gap.train.labels.iter_mut().for_each(|l| *l += 1);
        gap.train.class_names.push("2".into());
        let error = Own::new(&gap, None, division(8, 1))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("label 0") && error.ends_with(": 1,2"),
            "{error}"
        );
        let data = data(true);
        let error = Own::new(&data, None, division(64, 1)).unwrap_err();
        assert!(matches!(error, OwnError::HeldOut { test: 16, .. }));
        let floats = data.train.clone().into_floats();
        let error = Own::new(&data, Some(&floats), division(8, 1)).unwrap_err();
        assert!(matches!(
            error,
            OwnError::Kind {
                found: "floats",
                ..
            }
        ));
    }

    #[test]
    fn memory_decides_what_is_kept() {
        let model = Model {
            features: 784,
            hidden: vec![32],
            classes: 2,
            leak: 0.01,
        };
        let keep = |bytes| keep_within(bytes, &model, 10_000, 700);
        assert_eq!(keep(1 << 30), Keep::Everything);
        assert_eq!(keep(800 << 20), Keep::States);
        assert_eq!(keep(10 << 20), Keep::Checkpoints);
    }
}
