//! The classifier as an oracle of attacks: a perceptron of leaky units, its pixels scaled to the
//! learner's range.

use crate::error::TrialError;
use tox_bilevel::audit::{Finished, Inputs};
use tox_bilevel::config::Range;
use tox_bilevel::model::Model;
use tox_bilevel::victim::{model, retrain};
use tox_data::Dataset;
use tox_robust::oracle::{Cotangent, Oracle};

pub struct Mlp {
    model: Model,
    weights: Vec<f32>,
    /// Value of a black pixel, and of a white one less that.
    scale: (f32, f32),
    shape: [usize; 3],
}

impl Mlp {
    /// The victim of the last level, trained once more: a function of what it was trained on.
    pub fn last(
        inputs: &Inputs<'_>,
        finished: &Finished,
        data: &Dataset,
    ) -> Result<Self, TrialError> {
        let (config, sets, levels) = (inputs.config, inputs.sets, &finished.outcome.levels);
        let lambda = levels.last().map_or(&[][..], |level| &level.lambda);
        let level = levels.len().saturating_sub(1);
        let trained = retrain(sets, config, lambda, &finished.poison, inputs.seed, level);
        let diverged =
            |_| TrialError::Unfit("the learner diverged: there is no model to attack".into());
        let weights = trained.map_err(diverged)?.weights;
        let [_, c, h, w] = data.test.images.shape;
        Ok(Self::new(
            model(config, sets),
            weights,
            config.range,
            [c, h, w],
        ))
    }

    pub fn new(model: Model, weights: Vec<f32>, range: Range, shape: [usize; 3]) -> Self {
        let (low, high) = range.bounds();
        Self {
            model,
            weights,
            scale: (low, high - low),
            shape,
        }
    }

    /// What goes into each layer, image by image, and the logits.
    fn forward(&self, pixels: &[f32]) -> Vec<Vec<f32>> {
        let (low, width) = self.scale;
        let rows = pixels.iter().map(|p| low + width * p).collect();
        self.model.forward(&self.weights, rows)
    }
}

impl Oracle for Mlp {
    fn shape(&self) -> [usize; 3] {
        self.shape
    }

    fn classes(&self) -> usize {
        self.model.classes
    }

    fn logits(&self, pixels: &[f32]) -> Vec<f32> {
        let last = self.forward(pixels).pop().unwrap_or_default();
        self.model.logits(&last)
    }

    fn pullback(&self, pixels: &[f32], cotangent: &mut Cotangent<'_>) -> (Vec<f32>, Vec<f32>) {
        let all = self.forward(pixels);
        let last = all.last().map_or(&[][..], Vec::as_slice);
        let logits = self.model.logits(last);
        let given = cotangent(&logits);
        let mut down = match self.model.classes {
            2 => given.chunks_exact(2).map(|pair| pair[1]).collect(),
            _ => given,
        };
        for (l, layer) in self.model.layers().iter().enumerate().rev() {
            let weights = &self.weights[layer.weights.clone()];
            let mut below = Vec::with_capacity(all[l].len());
            for row in down.chunks_exact(layer.outputs) {
                let mut sum = vec![0.0; layer.inputs];
                for (unit, d) in weights.chunks_exact(layer.inputs).zip(row) {
                    sum.iter_mut().zip(unit).for_each(|(s, w)| *s += d * w);
                }
                below.extend(sum);
            }
            if l > 0 {
                let leak = self.model.leak as f32;
                // A unit's output has the sign of its input.
                let units = below.iter_mut().zip(&all[l]);
                units
                    .filter(|(_, y)| **y <= 0.0)
                    .for_each(|(b, _)| *b *= leak);
            }
            down = below;
        }
        down.iter_mut().for_each(|d| *d *= self.scale.1);
        (logits, down)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tox_data::checkpoint::Hooks;
    use tox_data::rng::stream;
    use tox_data::{Images, Split};
    use tox_robust::attack::Attack;
    use tox_robust::ball::{Ball, Norm};
    use tox_robust::evaluation::{Inputs as Evaluated, evaluate};

    fn mlp(hidden: Vec<usize>, classes: usize, range: Range) -> Mlp {
        use rand::RngExt;
        let model = Model {
            features: 12,
            hidden,
            classes,
            leak: 0.1,
        };
        let mut rng = stream(3, "test", &[]);
        let weights = (0..model.parameters()).map(|_| rng.random_range(-1.0..1.0));
        Mlp::new(model.clone(), weights.collect(), range, [1, 3, 4])
    }

    fn pixels(rows: usize) -> Vec<u8> {
        use rand::RngExt;
        let mut rng = stream(4, "test", &[]);
        (0..rows * 12).map(|_| rng.random_range(0..=255)).collect()
    }

    #[test]
    fn pullbacks_are_finite_differences() {
        for (hidden, classes) in [(vec![], 2), (vec![], 3), (vec![5, 4], 2), (vec![5, 4], 3)] {
            let mlp = mlp(hidden, classes, Range::Symmetric);
            let x: Vec<f32> = pixels(2).iter().map(|p| f32::from(*p) / 255.0).collect();
            let weight = |i: usize| 0.3 + 0.7 * i as f32;
            let loss = |x: &[f32]| -> f64 {
                let logits = mlp.logits(x);
                logits
                    .iter()
                    .enumerate()
                    .map(|(i, z)| f64::from(weight(i) * z))
                    .sum()
            };
            let (_, gradient) = mlp.pullback(&x, &mut |z| (0..z.len()).map(weight).collect());
            for i in 0..x.len() {
                let at = |by: f32| {
                    let mut x = x.clone();
                    x[i] += by;
                    loss(&x)
                };
                let found = (at(1e-2) - at(-1e-2)) / 2e-2;
                let apart = (found - f64::from(gradient[i])).abs();
                assert!(
                    apart < 2e-2 * (1.0 + found.abs()),
                    "{i}: {found} {}",
                    gradient[i]
                );
            }
        }
    }

    /// Of a linear model of two classes the worst image within the ball moves every pixel as far as it may
    /// against its weight: the accuracy under attack has a closed form, the range of pixels included.
    #[test]
    fn a_linear_model_has_its_closed_form_under_pgd() {
        let mlp = mlp(vec![], 2, Range::Unit);
        let (rows, epsilon) = (60, 40.0 / 255.0);
        let bytes = pixels(rows);
        let x: Vec<f32> = bytes.iter().map(|p| f32::from(*p) / 255.0).collect();
        let logits = mlp.logits(&x);
        let labels: Vec<u16> = logits.chunks(2).map(|z| u16::from(z[1] > z[0])).collect();
        let stands = |(row, label): (&[f32], &u16)| {
            let sign = if *label == 1 { 1.0 } else { -1.0 };
            let bias = f64::from(mlp.weights[12]);
            let worst: f64 = row
                .iter()
                .zip(&mlp.weights)
                .map(|(x, w)| {
                    let (x, w) = (f64::from(*x), f64::from(*w));
                    let moved = x - epsilon * (sign * w).signum();
                    sign * w * moved.clamp(0.0, 1.0)
                })
                .sum();
            worst + sign * bias > 0.0
        };
        let left = x
            .chunks(12)
            .zip(&labels)
            .filter(|pair| stands(*pair))
            .count();
        let expected = 100.0 * left as f64 / rows as f64;
        assert!(expected > 10.0 && expected < 90.0, "{expected}");
        let split = Split {
            images: Images {
                pixels: bytes,
                shape: [rows, 1, 3, 4],
            },
            labels,
        };
        let all: Vec<u32> = (0..rows as u32).collect();
        let attacks = ["pgd20", "fgsm"].map(|name| name.parse::<Attack>().unwrap());
        let inputs = Evaluated {
            oracle: &mlp,
            split: (&split).into(),
            rows: &all,
            ball: Ball {
                norm: Norm::Linf,
                epsilon,
            },
            attacks: &attacks,
            seed: 0,
        };
        let found = evaluate(&inputs, Hooks::none()).unwrap().unwrap();
        for attack in &found.attacks {
            assert_eq!(attack.accuracy, expected, "{}", attack.attack.name());
        }
    }
}
