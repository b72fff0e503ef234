//! Robust accuracy of a model of one's own, under AutoAttack and an attack of one's own.
//!
//!     cargo run --release --example attack_my_model
//!
//! A model is anything that implements [`Oracle`]: logits, and the gradient of any function of them by the pixels.
//! An attack is anything that implements [`Evasion`]; neither is known to the crate.

use rand::RngExt;
use serde::Serialize;
use tox_data::checkpoint::Hooks;
use tox_data::rng::stream;
use tox_data::{Images, Split};
use tox_robust::{
    Attack, Ball, Batch, Cotangent, Evaluation, EvaluationError, Evasion, Facts, Found, Inputs,
    Norm, Oracle, Points, evaluate,
};

const SIDE: usize = 6;
const PIXELS: usize = SIDE * SIDE;
const CLASSES: usize = 4;

/// The nearest of four patterns: logits are minus half the squared distances.
pub struct NearestPattern {
    patterns: Vec<[f32; PIXELS]>,
}

impl Oracle for NearestPattern {
    fn shape(&self) -> [usize; 3] {
        [1, SIDE, SIDE]
    }

    fn classes(&self) -> usize {
        CLASSES
    }

    fn logits(&self, pixels: &[f32]) -> Vec<f32> {
        let squared = |x: &[f32], pattern: &[f32; PIXELS]| {
            let pairs = x.iter().zip(pattern);
            pairs.map(|(x, p)| (x - p) * (x - p)).sum::<f32>()
        };
        let rows = pixels.chunks_exact(PIXELS);
        rows.flat_map(|x| self.patterns.iter().map(move |p| -0.5 * squared(x, p)))
            .collect()
    }

    fn pullback(&self, pixels: &[f32], cotangent: &mut Cotangent<'_>) -> (Vec<f32>, Vec<f32>) {
        let logits = self.logits(pixels);
        let cotangent = cotangent(&logits);
        let mut gradient = vec![0.0; pixels.len()];
        let rows = gradient
            .chunks_exact_mut(PIXELS)
            .zip(pixels.chunks_exact(PIXELS))
            .zip(cotangent.chunks_exact(CLASSES));
        for ((gradient, x), cotangent) in rows {
            for (pattern, d) in self.patterns.iter().zip(cotangent) {
                for ((g, x), p) in gradient.iter_mut().zip(x).zip(pattern) {
                    *g += d * (p - x);
                }
            }
        }
        (logits, gradient)
    }
}

/// Tries images with every pixel at clean plus or minus epsilon, the signs drawn at random.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RandomSigns {
    /// Images that it tries.
    pub tries: usize,
}

impl Evasion for RandomSigns {
    fn facts(&self) -> Facts {
        Facts {
            kind: "random-signs",
            title: "Random signs",
            gradient: None,
            steps: self.tries,
            passes: self.tries as f64,
            ..Facts::default()
        }
    }

    fn name(&self) -> String {
        format!("random-signs{}", self.tries)
    }

    fn shorten(&mut self, tries: usize) {
        self.tries = tries;
    }

    fn run(&self, oracle: &dyn Oracle, points: Points<'_>, ball: Ball, seed: u64) -> Found {
        let mut batch = Batch::new(oracle, points, ball);
        for attempt in 0..self.tries {
            let mut images = Vec::new();
            for example in batch.open() {
                let mut rng = batch.stream(seed, "random-signs", example, &[attempt as u64]);
                let clean = batch.clean(example);
                let sign = |c: &f32| match rng.random() {
                    true => c + ball.epsilon as f32,
                    false => c - ball.epsilon as f32,
                };
                let mut x: Vec<f32> = clean.iter().map(sign).collect();
                ball.project(&mut x, clean);
                images.push((example, x));
            }
            batch.logits(images.iter().map(|(i, x)| (*i, x.as_slice())));
        }
        batch.finish()
    }
}

/// A model of four random patterns.
pub fn model() -> NearestPattern {
    let mut rng = stream(0, "example/patterns", &[]);
    let mut pattern = || std::array::from_fn(|_| rng.random_range(0.3..0.7));
    NearestPattern {
        patterns: (0..CLASSES).map(|_| pattern()).collect(),
    }
}

/// Noisy images of its patterns, as bytes.
pub fn images(model: &NearestPattern) -> Split {
    let mut rng = stream(0, "example/images", &[]);
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for i in 0..200 {
        let label = i % CLASSES;
        let noisy = model.patterns[label].map(|p| p + rng.random_range(-0.3..0.3));
        pixels.extend(noisy.map(|v: f32| (v * 255.0).round().clamp(0.0, 255.0) as u8));
        labels.push(label as u16);
    }
    let shape = [labels.len(), 1, SIDE, SIDE];
    Split {
        images: Images { pixels, shape },
        labels,
    }
}

/// Robust accuracy under these attacks, which move pixels by up to 16 of 255.
pub fn evaluated(attacks: &[Attack]) -> Result<Option<Evaluation>, EvaluationError> {
    let model = model();
    let split = images(&model);
    let rows: Vec<u32> = (0..split.len() as u32).collect();
    let inputs = Inputs {
        oracle: &model,
        split: (&split).into(),
        rows: &rows,
        ball: Ball {
            norm: Norm::Linf,
            epsilon: 16.0 / 255.0,
        },
        attacks,
        seed: 0,
    };
    evaluate(&inputs, Hooks::none())
}

/// Prints them.
pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    let attacks = [
        RandomSigns { tries: 50 }.into(),
        "fgsm".parse()?,
        "pgd20".parse()?,
        "autoattack".parse()?,
    ];
    // Nothing asks these hooks to stop, so there is a result.
    let Some(found) = evaluated(&attacks)? else {
        return Ok(());
    };
    println!("{:<16} {:>6.2} %", "none", found.clean);
    for attacked in &found.attacks {
        println!(
            "{:<16} {:>6.2} %",
            attacked.attack.name(),
            attacked.accuracy
        );
    }
    println!("reliable: {}", found.reliable.word());
    for warning in &found.warnings {
        println!("  {}", warning.reason);
    }
    for untested in &found.untested {
        println!("  {}", untested.reason);
    }
    Ok(())
}
