//! Logistic regression on a table of numbers: what stands for the ResNet-18 where rows are no images.

use crate::classifier::ClassifierError;
use tox_bilevel::inner::Descent;
use tox_bilevel::scale::{Scale, Scaling};
use tox_bilevel::{Model, Points, Problem, TrainingSet, Values};
use tox_data::checkpoint::Hooks;
use tox_data::features::Features;

/// Steps of gradient descent over all rows.
pub const STEPS: usize = 500;

/// A logistic regression on columns that were brought to a mean of 0 and a standard deviation of 1.
pub struct Logistic {
    model: Model,
    weights: Vec<f32>,
    scale: Scale,
}

impl Logistic {
    /// Trains it on all `rows` by [`STEPS`] steps from zero, at a rate with which the loss cannot rise. `None`
    /// means that it was asked to stop; it takes seconds, and begins anew.
    ///
    /// # Errors
    /// A training that does not end in numbers.
    pub fn train(rows: &Features, hooks: Hooks<'_>) -> Result<Option<Self>, ClassifierError> {
        let scale = Scale::fit(Scaling::Standard, rows);
        let model = Model {
            features: rows.columns,
            hidden: Vec::new(),
            classes: rows.class_names.len(),
            leak: 0.0,
        };
        let points = scale.apply(Points::of(rows.clone()));
        let none = Points::none(rows.columns);
        let start = vec![0.0; model.parameters()];
        let problem = Problem {
            model: &model,
            train: TrainingSet::of(&points, &none),
            valid: &points,
            regulariser: None,
            start: &start,
            steps: STEPS,
            lr: steady(&points, model.classes),
        };
        let (mut weights, mut descent) = (start.clone(), Descent::new(&problem));
        for step in 1..=STEPS {
            if (hooks.stop)() {
                return Ok(None);
            }
            (hooks.progress)(step as f64 / STEPS as f64, "logistic regression");
            descent
                .step(&mut weights, step, None)
                .map_err(ClassifierError::Descent)?;
        }
        Ok(Some(Self {
            weights,
            scale,
            model,
        }))
    }

    /// Logits of every row, in order and row-major.
    pub fn logits(&self, rows: &Features) -> Vec<f32> {
        let last = self
            .model
            .forward(&self.weights, standardised(&self.scale, rows))
            .pop();
        self.model.logits(&last.unwrap_or_default())
    }
}

/// 1.5 over an upper bound of the curvature of the mean cross-entropy; below 2 the loss descends.
fn steady(points: &Points<f32>, classes: usize) -> f32 {
    let square = |i| {
        points
            .row(i)
            .iter()
            .map(|x| f64::from(*x).powi(2))
            .sum::<f64>()
    };
    let mean = (0..points.len()).map(square).sum::<f64>() / points.len().max(1) as f64;
    let part = if classes == 2 { 0.25 } else { 0.5 };
    (1.5 / (part * (1.0 + mean))) as f32
}

/// The values of `rows`, scaled.
pub fn standardised(scale: &Scale, rows: &Features) -> Vec<f32> {
    match scale.apply(Points::of(rows.clone())).values {
        Values::Reals(values) => values,
        Values::Bytes { .. } => unreachable!("scaled values are real"),
    }
}
