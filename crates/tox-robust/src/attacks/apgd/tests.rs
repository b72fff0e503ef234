#![allow(clippy::unwrap_used)]

use super::*;
use crate::attacks::losses;
use crate::ball::Norm;
use crate::oracle::{Cotangent, Oracle, Points};

#[test]
fn checkpoints_by_hand() {
    assert_eq!(checkpoints(100), [22, 41, 57, 70, 80, 87, 93, 99]);
    // 2.2, 4.1, 5.7, 7, 8, 8.7, 9.3, 9.9.
    assert_eq!(checkpoints(10), [3, 5, 6, 7, 8, 9, 10]);
    assert_eq!(checkpoints(1), [1]);
}

/// Feeds losses to a pace from `from`, then checks it.
fn fed(pace: &mut Pace, mut from: f64, losses: &[f64]) -> bool {
    for &loss in losses {
        pace.see(from, loss);
        from = loss;
    }
    pace.check(0.75)
}

#[test]
fn a_step_is_halved_by_either_rule() {
    // Four of four steps raise the loss: kept.
    let mut pace = Pace::new(1.0, 0.0);
    assert!(!fed(&mut pace, 0.0, &[1.0, 2.0, 3.0, 4.0]));
    assert_eq!((pace.step, pace.best), (1.0, 4.0));
    // Three of four are a share of 0.75, which is not enough; 5 is the new best.
    assert!(fed(&mut pace, 4.0, &[5.0, 3.0, 3.5, 4.5]));
    assert_eq!((pace.step, pace.best), (0.5, 5.0));
    // All four rise but to no new best. Halved last time, so the second rule rests,
    assert!(!fed(&mut pace, 1.0, &[1.5, 2.0, 3.0, 5.0]));
    assert_eq!(pace.step, 0.5);
    // and now it does not.
    assert!(fed(&mut pace, 1.0, &[1.5, 2.0, 3.0, 4.0]));
    assert_eq!((pace.step, pace.best), (0.25, 5.0));
}

#[test]
fn the_second_rule_rests_at_the_first_checkpoint() {
    let mut pace = Pace::new(1.0, 9.0);
    assert!(!fed(&mut pace, 0.0, &[1.0, 2.0, 3.0, 4.0]));
    assert!(fed(&mut pace, 0.0, &[1.0, 2.0, 3.0, 4.0]));
}

#[test]
fn momentum_by_hand() {
    let ball = Ball {
        norm: Norm::Linf,
        epsilon: 0.25,
    };
    let mut climb = Climb {
        example: 0,
        x: vec![0.5, 0.5],
        old: vec![0.5, 0.5],
        gradient: vec![2.0, -1.0],
        loss: 0.0,
        best: vec![0.5, 0.5],
        best_gradient: vec![2.0, -1.0],
        pace: Pace::new(0.125, 0.0),
    };
    let clean = [0.5, 0.5];
    climb.step(ball, &clean, true);
    assert_eq!(climb.x, [0.625, 0.375]);
    climb.see(1.0, &[1.0, 1.0]);
    // z = (0.75, 0.5); 0.625 + 0.75 * 0.125 + 0.25 * 0.125, 0.375 + 0.75 * 0.125 - 0.25 * 0.125.
    climb.step(ball, &clean, false);
    assert_eq!(climb.x, [0.75, 0.4375]);
    assert_eq!(climb.old, [0.625, 0.375]);
    assert_eq!((climb.best, climb.pace.best), (vec![0.625, 0.375], 1.0));
}

/// Logit c: the sum over pixels j of cos(c j) sin(1 + 3 c + 7 j + 9 x_j), and 8 for class 0.
struct Waves;

const SIZE: usize = 12;
const CLASSES: usize = 4;

fn phase(c: usize, j: usize, x: f32) -> f64 {
    1.0 + 3.0 * c as f64 + 7.0 * j as f64 + 9.0 * f64::from(x)
}

impl Oracle for Waves {
    fn shape(&self) -> [usize; 3] {
        [1, 3, 4]
    }

    fn classes(&self) -> usize {
        CLASSES
    }

    fn logits(&self, pixels: &[f32]) -> Vec<f32> {
        let mut logits = Vec::new();
        for x in pixels.chunks(SIZE) {
            for c in 0..CLASSES {
                let waves = x.iter().enumerate();
                let z: f64 = waves
                    .map(|(j, &x)| ((c * j) as f64).cos() * phase(c, j, x).sin())
                    .sum();
                logits.push((z + if c == 0 { 8.0 } else { 0.0 }) as f32);
            }
        }
        logits
    }

    fn pullback(&self, pixels: &[f32], cotangent: &mut Cotangent<'_>) -> (Vec<f32>, Vec<f32>) {
        let logits = self.logits(pixels);
        let cotangent = cotangent(&logits);
        let mut gradient = Vec::new();
        for (x, d) in pixels.chunks(SIZE).zip(cotangent.chunks(CLASSES)) {
            for (j, &x) in x.iter().enumerate() {
                let by_class = d.iter().enumerate().map(|(c, &d)| {
                    f64::from(d) * ((c * j) as f64).cos() * 9.0 * phase(c, j, x).cos()
                });
                gradient.push(by_class.sum::<f64>() as f32);
            }
        }
        (logits, gradient)
    }
}

/// Every loss of 100 steps is that of torchattacks' APGD from the same starts
/// (`benches/peers/rcnas/make_apgd_fixture.py`): momentum, schedule, halvings, returns to the best point.
#[test]
fn steps_are_those_of_torchattacks() {
    let text = include_str!("../../../tests/fixtures/apgd.json");
    let expected: std::collections::BTreeMap<String, Vec<Vec<f64>>> =
        serde_json::from_str(text).unwrap();
    let value = |i: usize, j: usize| 0.5 + 0.4 * (2.0 + j as f64 + 11.0 * i as f64).sin();
    let pixels: Vec<f32> = (0..4 * SIZE)
        .map(|k| value(k / SIZE, k % SIZE) as f32)
        .collect();
    let labels: Vec<u16> = Waves
        .logits(&pixels)
        .chunks(CLASSES)
        .map(|z| crate::attack::predicted(z).unwrap() as u16)
        .collect();
    let points = Points {
        pixels: &pixels,
        labels: &labels,
        rows: &[0, 1, 2, 3],
    };
    for (norm, epsilon, name) in [(Norm::Linf, 0.03, "linf"), (Norm::L2, 0.08, "l2")] {
        let ball = Ball { norm, epsilon };
        let starts = (0..4).map(|i| {
            let draw = |j: usize| (13.0 + 17.0 * j as f64 + 5.0 * i as f64).sin();
            let draws = (0..SIZE).map(draw);
            let size = match norm {
                Norm::Linf => draws.clone().fold(0.0, |most: f64, d| most.max(d.abs())),
                Norm::L2 => draws.clone().map(|d| d * d).sum::<f64>().sqrt(),
            };
            let clean = &pixels[i * SIZE..][..SIZE];
            let moved = clean.iter().zip(draws);
            let moved = moved.map(|(&c, d)| (f64::from(c) + epsilon * d / size) as f32);
            let mut x: Vec<f32> = moved.collect();
            ball.project(&mut x, clean);
            (i, x)
        });
        let seen = std::cell::RefCell::new(vec![Vec::new(); 4]);
        let mut batch = Batch::new(&Waves, points, ball);
        let loss: Loss<'_> = &|i, logits, d| {
            let value = losses::cross_entropy(logits, labels[i].into(), d);
            seen.borrow_mut()[i].push(value);
            value
        };
        climb(&mut batch, &ApgdCe::default(), starts.collect(), loss);
        assert_eq!(batch.open().len(), 4);
        for (i, (seen, expected)) in seen.borrow().iter().zip(&expected[name]).enumerate() {
            // The fixture has the last step's loss too, which we have no use for.
            assert_eq!((seen.len(), expected.len()), (100, 101));
            for (step, (seen, expected)) in seen.iter().zip(expected).enumerate() {
                let near = (seen / expected - 1.0).abs() < 1e-4;
                assert!(near, "{name} image {i} step {step}: {seen} {expected}");
            }
        }
    }
}
