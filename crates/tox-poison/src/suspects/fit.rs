//! Logistic regressions on rows that were brought to about one size, and the folds that they leave out.

use crate::classifier::ClassifierError;
use crate::cleanse::CleanseError;
use tox_bilevel::converge::{Stop, minimise_weighed};
use tox_bilevel::inner::Diverged;
use tox_bilevel::scale::{Scale, Scaling};
use tox_bilevel::{Groups, Model, Penalty, Points, Problem, Regulariser, TrainingSet, Values};
use tox_data::features::{Features, Values as Stored};
use tox_data::rng::stream;
use tox_data::shuffled;

/// As scikit-learn stops.
const STOP: Stop = Stop {
    slope: 1e-4,
    iterations: 1000,
};

/// The rows, and the trusted rows in the same units. Of a table each column has a mean of 0 and a standard
/// deviation of 1 among the rows; of images all pixels are divided by their range (255 of bytes) and have
/// a mean of 0 together, so that rare pixels stay rare.
pub fn scaled(rows: &Features, trusted: Option<&Features>) -> (Points<f32>, Option<Points<f32>>) {
    let points = |set: &Features| Points::of(set.clone());
    if rows.shape.is_none() {
        let scale = Scale::fit(Scaling::Standard, rows);
        return (
            scale.apply(points(rows)),
            trusted.map(|trusted| scale.apply(points(trusted))),
        );
    }
    let (mean, factor) = match &rows.values {
        Stored::Bytes(values) => {
            let sum: u64 = values.iter().map(|v| u64::from(*v)).sum();
            (sum as f64 / 255.0 / values.len().max(1) as f64, 1.0)
        }
        Stored::Floats(values) => {
            let sum: f64 = values.iter().map(|v| f64::from(*v)).sum();
            let low = values.iter().copied().fold(f32::INFINITY, f32::min);
            let high = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let range = f64::from(high) - f64::from(low);
            let factor = if range > 0.0 { 1.0 / range } else { 1.0 };
            (sum / values.len().max(1) as f64, factor)
        }
    };
    let apply = |set: &Features| {
        let mut points = points(set);
        match &mut points.values {
            Values::Bytes { offset, .. } => *offset = -mean as f32,
            Values::Reals(values) => {
                for x in values {
                    *x = ((f64::from(*x) - mean) * factor) as f32;
                }
            }
        }
        points
    };
    (apply(rows), trusted.map(apply))
}

/// A logistic regression that was trained.
pub struct Fitted {
    model: Model,
    weights: Vec<f32>,
}

/// The model of rows of `features` in `classes`.
pub fn logistic(features: usize, classes: usize) -> Model {
    Model {
        features,
        hidden: Vec::new(),
        classes,
        leak: 0.0,
    }
}

/// Trains one on `parts` until it has converged; row `i` counts for `weights[i]`, part after part. `c` is
/// scikit-learn's C.
///
/// # Errors
/// A training that does not end in numbers.
pub fn fit(
    parts: &[&Points<f32>],
    weights: Option<&[f32]>,
    classes: usize,
    c: f64,
) -> Result<Fitted, CleanseError> {
    let model = logistic(parts[0].features, classes);
    let none = Points::none(model.features);
    let start = vec![0.0; model.parameters()];
    let train = TrainingSet {
        fixed: parts.to_vec(),
        poison: &none,
    };
    let lambda = -(train.len() as f64 * c).ln();
    let problem = Problem {
        model: &model,
        valid: parts[0],
        regulariser: Some(Regulariser {
            penalty: Penalty::L2,
            groups: Groups::One,
            bias: false,
            lambda: vec![lambda as f32],
        }),
        start: &start,
        steps: 1,
        lr: 1.0,
        train,
    };
    let found = minimise_weighed(&problem, weights, &start, STOP);
    if !found.loss.is_finite() {
        return Err(diverged(Diverged {
            step: found.iterations,
            what: "the loss is not a number",
        }));
    }
    Ok(Fitted {
        weights: found.weights,
        model,
    })
}

/// A training that did not end in numbers.
pub fn diverged(found: Diverged) -> CleanseError {
    CleanseError::Classifier(ClassifierError::Descent(found))
}

impl Fitted {
    /// A model that was trained elsewhere.
    pub fn new(model: Model, weights: Vec<f32>) -> Self {
        Self { model, weights }
    }

    /// The cross-entropy of every point.
    pub fn losses(&self, points: &Points<f32>) -> Vec<f64> {
        let all = self.probabilities(points);
        let rows = all.chunks_exact(self.model.classes).zip(&points.labels);
        rows.map(|(p, label)| cross_entropy(p, *label)).collect()
    }

    /// Probabilities of every class for every row, row-major.
    pub fn probabilities(&self, points: &Points<f32>) -> Vec<f64> {
        const ROWS: usize = 256;
        let mut all = Vec::with_capacity(points.len() * self.model.classes);
        for start in (0..points.len()).step_by(ROWS) {
            let end = (start + ROWS).min(points.len());
            let rows = (start..end).flat_map(|row| points.row(row)).collect();
            let last = self.model.forward(&self.weights, rows).pop();
            let logits = self.model.logits(&last.unwrap_or_default());
            for logits in logits.chunks_exact(self.model.classes) {
                softmax(logits, &mut all);
            }
        }
        all
    }
}

/// Cross-entropy of probabilities with a label; finite, whatever they are.
pub fn cross_entropy(p: &[f64], label: u16) -> f64 {
    -p[usize::from(label)].max(f64::MIN_POSITIVE).ln()
}

fn softmax(logits: &[f32], out: &mut Vec<f64>) {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let odds = logits
        .iter()
        .map(|z| (f64::from(*z) - f64::from(most)).exp());
    let sum: f64 = odds.clone().sum();
    out.extend(odds.map(|odds| odds / sum));
}

/// The fold of every row, below `folds`: drawn for `seed` (stream `suspects/folds`, by class), as many of each
/// class in each, give or take one.
pub fn folds(labels: &[u16], classes: usize, folds: usize, seed: u64) -> Vec<usize> {
    let mut of = vec![0; labels.len()];
    let mut dealt = 0;
    for class in 0..classes {
        let there: Vec<usize> = (0..labels.len())
            .filter(|row| usize::from(labels[*row]) == class)
            .collect();
        let mut rng = stream(seed, "suspects/folds", &[class as u64]);
        for at in shuffled(there.len(), &mut rng) {
            of[there[at as usize]] = dealt % folds;
            dealt += 1;
        }
    }
    of
}

/// Probabilities of every row by a model that did not see it: `train` is given the rows of the other folds.
/// `None` if `go_on`, told the share of the folds done, said so.
pub fn out_of_fold(
    points: &Points<f32>,
    classes: usize,
    folds: &[usize],
    train: &mut dyn FnMut(&[usize]) -> Result<Fitted, CleanseError>,
    go_on: &mut dyn FnMut(f64) -> bool,
) -> Result<Option<Vec<f64>>, CleanseError> {
    let count = folds.iter().max().map_or(0, |last| last + 1);
    let mut all = vec![0.0; points.len() * classes];
    for fold in 0..count {
        if !go_on(fold as f64 / count as f64) {
            return Ok(None);
        }
        let (held, others): (Vec<usize>, Vec<usize>) =
            (0..points.len()).partition(|row| folds[*row] == fold);
        let fitted = train(&others)?;
        let found = fitted.probabilities(&points.select(&held));
        for (row, found) in held.iter().zip(found.chunks_exact(classes)) {
            all[row * classes..][..classes].copy_from_slice(found);
        }
    }
    Ok(Some(all))
}

/// The class of the largest probability, of equal ones the first.
pub fn likeliest(probabilities: &[f64]) -> usize {
    let mut best = 0;
    for (class, p) in probabilities.iter().enumerate() {
        if *p > probabilities[best] {
            best = class;
        }
    }
    best
}

/// A share as people read it.
pub fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tox_data::features::Layout;

    #[test]
    fn folds_are_even_in_every_class() {
        let labels: Vec<u16> = (0..103).map(|i| i % 4).collect();
        let folds = folds(&labels, 4, 5, 1);
        for class in 0..4u16 {
            let counts = (0..5).map(|fold| {
                let there = (0..103).filter(|&i| labels[i] == class && folds[i] == fold);
                there.count()
            });
            let counts: Vec<usize> = counts.collect();
            assert!(counts.iter().all(|n| (5..=6).contains(n)), "{counts:?}");
        }
        assert_ne!(folds, super::folds(&labels, 4, 5, 2));
    }

    #[test]
    fn images_share_their_units_and_columns_do_not() {
        let mut rows = Features {
            values: Stored::Bytes(vec![0, 255, 0, 51]),
            rows: 2,
            columns: 2,
            shape: Some([1, 1, 2]),
            layout: Layout::Grey,
            labels: vec![0, 1],
            class_names: vec!["a".into(), "b".into()],
        };
        let close = |found: Vec<f32>, expected: [f32; 2]| {
            let pairs = found.iter().zip(expected);
            assert!(
                pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-6),
                "{found:?}"
            );
        };
        let (points, trusted) = scaled(&rows, Some(&rows));
        close(points.row(0), [-0.3, 0.7]);
        close(trusted.unwrap().row(1), [-0.3, -0.1]);
        rows.values = Stored::Floats(vec![0.0, 10.0, 0.0, 2.0]);
        close(scaled(&rows, None).0.row(0), [-0.3, 0.7]);
        rows.shape = None;
        close(scaled(&rows, None).0.row(0), [0.0, 1.0]);
    }
}
