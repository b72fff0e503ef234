//! One poison point against logistic regression, by hypergradient ascent, in four ways.
//!
//!     cargo run --release -p tox-bilevel --example hypergradient
//!
//! The adversary cannot touch the trusted points that judge the model. It moves one training point, so it needs
//! the derivative of the judgement by that point, through the whole training: the hypergradient.

use rand::RngExt;
use std::error::Error;
use tox_bilevel::{
    ConjugateGradient, Exact, ForwardMode, Hypergradient, Hypergradients, Model, Penalty, Points,
    Problem, Regulariser, ReverseMode, TrainingSet, Values,
};
use tox_data::rng::stream;

/// Two clouds in the unit square: class 0 below left, class 1 above right.
fn clouds(count: usize, seed: u64) -> Points<f64> {
    let mut rng = stream(seed, "example/clouds", &[]);
    let labels: Vec<u16> = (0..count).map(|i| (i % 2) as u16).collect();
    let values = labels.iter().flat_map(|&label| {
        let centre = if label == 0 { 0.35 } else { 0.65 };
        [(); 2].map(|()| centre + rng.random_range(-0.25..0.25))
    });
    Points {
        features: 2,
        values: Values::Reals(values.collect()),
        labels: labels.clone(),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let (clean, valid) = (clouds(20, 1), clouds(40, 2));
    let model = Model {
        features: 2,
        hidden: Vec::new(),
        classes: 2,
        leak: 0.01,
    };
    let start = vec![0.0; model.parameters()];
    // In the middle, with the label of the cloud above right.
    let mut x = vec![0.5, 0.5];

    for step in 0..=10 {
        let poison = Points {
            features: 2,
            values: Values::Reals(x.clone()),
            labels: vec![1],
        };
        let problem = Problem {
            model: &model,
            train: TrainingSet::of(&clean, &poison),
            valid: &valid,
            regulariser: Some(Regulariser::one(Penalty::L2, -5.0)),
            start: &start,
            steps: 2000,
            lr: 1.0,
        };
        let gradient = ReverseMode::default().of(&problem)?;
        if step == 0 {
            // Reverse and forward mode are exact for these steps. The implicit ways are exact where training has
            // converged, so they agree as far as it has.
            let show = |name: &str, found: &Hypergradients<f64>| {
                let [a, b] = [found.poison[0], found.poison[1]];
                println!(
                    "{name:<19} {a:>10.6} {b:>10.6}   by lambda {:>9.6}",
                    found.lambda[0]
                );
            };
            show("reverse mode", &gradient);
            show("forward mode", &ForwardMode::default().of(&problem)?);
            show(
                "conjugate gradient",
                &ConjugateGradient::default().of(&problem)?,
            );
            show("exact inverse", &Exact::default().of(&problem)?);
            println!();
        }
        if step % 2 == 0 {
            println!(
                "step {step:>2}: point ({:.2}, {:.2}), trusted loss {:.4}",
                x[0], x[1], gradient.loss
            );
        }
        // A step of length 0.1 uphill, then back into the square.
        let norm = gradient.poison.iter().map(|g| g * g).sum::<f64>().sqrt();
        for (x, g) in x.iter_mut().zip(&gradient.poison) {
            *x = (*x + 0.1 * g / norm).clamp(0.0, 1.0);
        }
    }
    Ok(())
}
