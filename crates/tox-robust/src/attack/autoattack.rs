//! AutoAttack, standard version (Croce and Hein, "Reliable evaluation of adversarial robustness with
//! an ensemble of diverse parameter-free attacks", ICML 2020): APGD-CE, targeted APGD-DLR, targeted
//! FAB, Square, each on what the ones before it left correct.

use super::{AutoAttackConfig, Found};
use crate::ball::Ball;
use crate::oracle::{Oracle, Points};

/// What AutoAttack found, and which part of it fooled each example.
#[derive(Clone, Debug, PartialEq)]
pub struct Shared {
    /// As of any attack; where nothing fooled, the pixels are those of Square.
    pub found: Found,
    /// Index into [`AutoAttackConfig::parts`] of the attack that fooled the example.
    pub by: Vec<Option<usize>>,
}

/// Runs the parts one after the other.
pub fn run(
    oracle: &dyn Oracle,
    points: Points<'_>,
    ball: Ball,
    config: &AutoAttackConfig,
    seed: u64,
) -> Shared {
    let (n, size) = (points.len(), oracle.size());
    let mut found = Found {
        pixels: points.pixels.to_vec(),
        fooled: vec![false; n],
        forward: vec![0; n],
        backward: vec![0; n],
    };
    let mut by = vec![None; n];
    for (part, attack) in config.parts(oracle.classes()).iter().enumerate() {
        let left: Vec<usize> = (0..n).filter(|&i| !found.fooled[i]).collect();
        if left.is_empty() {
            break;
        }
        let pixels: Vec<f32> = left
            .iter()
            .flat_map(|&i| &points.pixels[i * size..][..size])
            .copied()
            .collect();
        let labels: Vec<u16> = left.iter().map(|&i| points.labels[i]).collect();
        let keys: Vec<u32> = left.iter().map(|&i| points.rows[i]).collect();
        let points = Points {
            pixels: &pixels,
            labels: &labels,
            rows: &keys,
        };
        let more = attack.run(oracle, points, ball, seed);
        for (row, &i) in left.iter().enumerate() {
            found.pixels[i * size..][..size].copy_from_slice(&more.pixels[row * size..][..size]);
            found.fooled[i] = more.fooled[row];
            found.forward[i] += more.forward[row];
            found.backward[i] += more.backward[row];
            by[i] = more.fooled[row].then_some(part);
        }
    }
    Shared { found, by }
}
