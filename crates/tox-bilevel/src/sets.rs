//! The three sets of a bilevel problem as points, with the box that poison must stay in.

use crate::config::{Range, TargetLabels};
use crate::points::{Points, Values};
use crate::scale::{Scale, Scaling};
use std::collections::BTreeSet;
use tox_data::features::Features;
use tox_data::{Dataset, Split, TableSet};

/// Training, trusted validation and test points.
#[derive(Clone, Debug)]
pub struct Sets {
    /// What the adversary poisons.
    pub train: Points<f32>,
    /// What the learner trusts, and the adversary is judged on.
    pub valid: Points<f32>,
    /// What results are measured on.
    pub test: Points<f32>,
    /// One name a class.
    pub class_names: Vec<String>,
    /// Least value of each feature that poison may have.
    pub low: Vec<f32>,
    /// Largest.
    pub high: Vec<f32>,
    /// Channels, height and width, if features are pixels, which have 8 bits.
    pub shape: Option<[usize; 3]>,
    /// What the adversary aims at; `None` = the trusted validation points.
    pub target: Option<Target>,
}

/// The target set of Eq. 2.
#[derive(Clone, Debug)]
pub struct Target {
    pub points: Points<f32>,
    pub labels: TargetLabels,
}

impl Target {
    /// The adversary's objective, which it raises, where the mean cross-entropy is `loss`.
    pub fn objective(&self, loss: f64) -> f64 {
        match self.labels {
            TargetLabels::True => loss,
            TargetLabels::Wanted => -loss,
        }
    }

    /// Percent of the points that are as the adversary wants them, where so many percent differ from their labels.
    pub fn success(&self, error: f64) -> f64 {
        match self.labels {
            TargetLabels::True => error,
            TargetLabels::Wanted => 100.0 - error,
        }
    }
}

/// Why sets cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SetsError {
    /// A set has no points, or points of one class only.
    #[error(
        "the {set} set has {points} points of {classes} classes: expected points of at least 2; \
         ask for more points, or for classes that the data have"
    )]
    OneClass {
        /// `training`, `validation` or `test`.
        set: &'static str,
        /// Its points.
        points: usize,
        /// Classes among them.
        classes: usize,
    },
    /// Nothing to aim at.
    #[error("the {set} set has no points: expected at least 1; bring a file that has rows")]
    Empty {
        /// Which set.
        set: &'static str,
    },
    /// A label no class has.
    #[error(
        "the {set} set has the label {found}: expected 0 to {}, as the training set has; take all \
         sets from the same export", classes.saturating_sub(1)
    )]
    Label {
        /// Which set.
        set: &'static str,
        /// The label.
        found: u16,
        /// Classes of the training set.
        classes: usize,
    },
    /// Sets differ in their features.
    #[error(
        "points of the {set} set have {found} features: expected {expected}, as the training points \
         have; take all sets from the same export"
    )]
    Features {
        /// Which set.
        set: &'static str,
        /// Its features.
        found: usize,
        /// Those of the training set.
        expected: usize,
    },
    /// A feature is not a number.
    #[error(
        "point {point} (counted from 0) of the {set} set has a feature {feature} that is not a \
         finite number; remove or fill it in before the audit"
    )]
    NotFinite {
        /// Which set.
        set: &'static str,
        /// The point.
        point: usize,
        /// Its feature.
        feature: usize,
    },
}

impl Sets {
    /// The sets of an image data set, pixels scaled to `range`.
    ///
    /// # Errors
    /// See [`Sets::check`].
    pub fn of(data: &Dataset, range: Range) -> Result<Self, SetsError> {
        let (low, high) = range.bounds();
        let points = |split: &Split| {
            let (pixels, labels) = (split.images.pixels.clone(), split.labels.clone());
            pixel_points((pixels, split.images.stride()), labels, range)
        };
        let [_, c, h, w] = data.train.images.shape;
        let features = data.train.images.stride();
        let sets = Self {
            train: points(&data.train),
            valid: points(&data.valid),
            test: points(&data.test),
            class_names: data.class_names.clone(),
            low: vec![low; features],
            high: vec![high; features],
            shape: Some([c, h, w]),
            target: None,
        };
        sets.check()?;
        Ok(sets)
    }

    /// The sets of a table, each column brought to `range` by its least and its largest value among the
    /// training rows. Other rows may lie beyond.
    ///
    /// # Errors
    /// See [`Sets::check`].
    pub fn of_table(data: &TableSet, range: Range) -> Result<Self, SetsError> {
        let (low, high) = range.bounds();
        let scale = Scale::fit(Scaling::Minmax, &data.train);
        let points = |rows: &Features| table_points(&scale, range, rows);
        let sets = Self {
            train: points(&data.train),
            valid: points(&data.valid),
            test: points(&data.test),
            class_names: data.class_names.clone(),
            low: vec![low; data.train.columns],
            high: vec![high; data.train.columns],
            shape: None,
            target: None,
        };
        sets.check()?;
        Ok(sets)
    }

    /// Rows of 8-bit images as points of a trial whose sets are from [`Sets::of`].
    pub fn image_points(
        pixels: Vec<u8>,
        labels: Vec<u16>,
        columns: usize,
        range: Range,
    ) -> Points<f32> {
        pixel_points((pixels, columns), labels, range)
    }

    /// Rows of a table as points of a trial whose sets are from [`Sets::of_table`] of `data`.
    pub fn table_points(data: &TableSet, rows: &Features, range: Range) -> Points<f32> {
        table_points(&Scale::fit(Scaling::Minmax, &data.train), range, rows)
    }

    /// How many of the target points are, feature by feature, training, validation and test points too.
    pub fn overlap(&self) -> [usize; 3] {
        let bits = |points: &Points<f32>, i: usize| -> Vec<u32> {
            points.row(i).iter().map(|x| x.to_bits()).collect()
        };
        let Some(target) = &self.target else {
            return [0; 3];
        };
        [&self.train, &self.valid, &self.test].map(|set| {
            let there: BTreeSet<_> = (0..set.len()).map(|i| bits(set, i)).collect();
            let among = |i: &usize| there.contains(&bits(&target.points, *i));
            (0..target.points.len()).filter(among).count()
        })
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.class_names.len()
    }

    /// Whether an audit makes sense on them.
    ///
    /// # Errors
    /// What does not fit.
    pub fn check(&self) -> Result<(), SetsError> {
        let (classes, features) = (self.classes(), self.train.features);
        let named = [
            ("training", &self.train),
            ("validation", &self.valid),
            ("test", &self.test),
        ];
        let target = self.target.iter().map(|t| ("target", &t.points));
        for (set, points) in named.into_iter().chain(target) {
            if set == "target" && points.is_empty() {
                return Err(SetsError::Empty { set });
            }
            if points.features != features {
                return Err(SetsError::Features {
                    set,
                    found: points.features,
                    expected: features,
                });
            }
            let mut seen = vec![false; classes];
            for &label in &points.labels {
                match seen.get_mut(usize::from(label)) {
                    Some(seen) => *seen = true,
                    None => {
                        return Err(SetsError::Label {
                            set,
                            found: label,
                            classes,
                        });
                    }
                }
            }
            let seen = seen.into_iter().filter(|&s| s).count();
            // An adversary may want one label for all of its targets.
            if seen < 2 && set != "target" {
                return Err(SetsError::OneClass {
                    set,
                    points: points.len(),
                    classes: seen,
                });
            }
            if let Values::Reals(reals) = &points.values
                && let Some(at) = reals.iter().position(|x| !x.is_finite())
            {
                return Err(SetsError::NotFinite {
                    set,
                    point: at / features,
                    feature: at % features,
                });
            }
        }
        Ok(())
    }

    /// Error in percent of always answering the test set's most frequent class.
    pub fn chance_error(&self) -> f64 {
        tox_data::majority::error(&self.test.labels)
    }

    /// Puts each feature into the box.
    pub fn project(&self, values: &mut [f32]) {
        for row in values.chunks_exact_mut(self.train.features) {
            for ((x, &low), &high) in row.iter_mut().zip(&self.low).zip(&self.high) {
                *x = x.clamp(low, high);
            }
        }
    }

    /// Pixels of features, rounded to 8 bits of their box.
    pub fn pixels(&self, values: &[f32]) -> Vec<u8> {
        let row = |row: &[f32]| {
            let bounds = self.low.iter().zip(&self.high);
            let pixel = |(&x, (&low, &high)): (&f32, (&f32, &f32))| {
                // `as` saturates, and a box without width gives NaN, which becomes 0.
                (255.0 * (x - low) / (high - low)).round() as u8
            };
            row.iter().zip(bounds).map(pixel).collect::<Vec<_>>()
        };
        values
            .chunks_exact(self.train.features)
            .flat_map(row)
            .collect()
    }

    /// The features of pixels, as a clean point with these pixels has them.
    pub fn features(&self, pixels: &[u8]) -> Vec<f32> {
        let row = |row: &[u8]| {
            let bounds = self.low.iter().zip(&self.high);
            let feature = |(&x, (&low, &high)): (&u8, (&f32, &f32))| {
                (high - low) / 255.0 * f32::from(x) + low
            };
            row.iter().zip(bounds).map(feature).collect::<Vec<_>>()
        };
        pixels
            .chunks_exact(self.train.features)
            .flat_map(row)
            .collect()
    }
}

/// Pixels as points of a range.
fn pixel_points(
    (pixels, features): (Vec<u8>, usize),
    labels: Vec<u16>,
    range: Range,
) -> Points<f32> {
    let (low, high) = range.bounds();
    Points {
        features,
        values: Values::Bytes {
            bytes: pixels.into(),
            scale: (high - low) / 255.0,
            offset: low,
        },
        labels,
    }
}

/// Rows of a table, each column brought to a range.
fn table_points(scale: &Scale, range: Range, rows: &Features) -> Points<f32> {
    let (low, high) = range.bounds();
    let mut points = scale.apply(Points::of(rows.clone()));
    if let Values::Reals(values) = &mut points.values {
        values.iter_mut().for_each(|x| *x = low + (high - low) * *x);
    }
    points
}

impl Range {
    /// Least and largest value.
    pub fn bounds(self) -> (f32, f32) {
        match self {
            Self::Unit => (0.0, 1.0),
            Self::Symmetric => (-1.0, 1.0),
        }
    }
}
