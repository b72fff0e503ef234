//! Convolutions with fewer products against the definition in float64 and against those with all products:
//! how much is lost, maps of every size, what is not finite.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Clippy knows test functions, not their helpers.

mod support;

use support::{Array, differentiate, instruction_sets, naive_conv, rng};
use tox_nn::kernels::conv::Geometry;
use tox_nn::ops::{self, Engine};

/// Images, channels in, channels out, rows and columns: maps that fill vectors; that leave columns, rows and
/// images; that are wider or higher than a band; channels that fill blocks and vectors or not.
const SIZES: [(usize, usize, usize, (usize, usize)); 10] = [
    (3, 32, 36, (32, 32)),
    (5, 16, 19, (16, 16)),
    (19, 36, 36, (8, 8)),
    (9, 40, 17, (8, 8)),
    (17, 16, 16, (4, 4)),
    (3, 18, 16, (5, 11)),
    (1, 16, 33, (9, 70)),
    (2, 17, 16, (140, 6)),
    (1, 16, 16, (4, 150)),
    (1, 64, 48, (6, 7)),
];

/// Output and gradients by the input and the weights.
fn made(x: &Array, weight: &Array, dy: &Array, g: Geometry) -> [Vec<f32>; 3] {
    let (out, gradients) = differentiate(&[x, weight], dy, |t| {
        ops::conv(Engine::Kernels, t[0].clone(), t[1].clone(), g)
    });
    let [dx, dw] = gradients.try_into().unwrap();
    [out, dx, dw]
}

/// Input, weights and the output's gradient.
fn drawn((n, ci, co, (h, w)): (usize, usize, usize, (usize, usize)), k: usize) -> [Array; 3] {
    let rng = &mut rng((n + ci + h + w + k) as u64);
    [[n, ci, h, w], [co, ci, k, k], [n, co, h, w]].map(|s| Array::uniform(s, -1.0, 1.0, rng))
}

/// What is lost of each value is bounded by the sum of the sizes of its products, and its root of the mean
/// square by that of all products: a digit.
#[test]
fn fewer_products_lose_a_digit() {
    for (k, bound, factors) in [
        (3, 1e-5, [10.0, 10.0, 30.0]),
        (5, 2.5e-5, [16.0, 16.0, 64.0]),
    ] {
        for sizes in SIZES {
            let [x, weight, dy] = drawn(sizes, k);
            let size = |a: &Array| Array::new(a.shape, a.values.iter().map(|v| v.abs()).collect());
            let direct = Geometry::same(k);
            let exact = naive_conv(&x, &weight, &dy, direct);
            let sums = naive_conv(&size(&x), &size(&weight), &size(&dy), direct);
            let all = made(&x, &weight, &dy, direct);
            let fewer = made(&x, &weight, &dy, direct.winograd());
            for (i, what) in ["output", "by the input", "by the weights"]
                .iter()
                .enumerate()
            {
                let what = format!("{k}x{k}, {sizes:?}, {what}");
                assert_ne!(fewer[i], all[i], "{what}: the other way was gone");
                let errors = |found: &[f32]| -> Vec<f64> {
                    let pairs = found.iter().zip(&exact[i]);
                    pairs.map(|(a, e)| (f64::from(*a) - e).abs()).collect()
                };
                let (lost, least) = (errors(&fewer[i]), errors(&all[i]));
                let worst = lost
                    .iter()
                    .zip(&sums[i])
                    .map(|(e, s)| e / s)
                    .fold(0.0, f64::max);
                assert!(worst <= bound, "{what}: {worst:e} of the products' sizes");
                let root =
                    |e: &[f64]| (e.iter().map(|e| e * e).sum::<f64>() / e.len() as f64).sqrt();
                let (lost, least) = (root(&lost), root(&least));
                println!("{what}: {worst:.1e}, {lost:.1e} where all products lose {least:.1e}");
                assert!(
                    lost <= factors[i] * least,
                    "{what}: {lost:e} where all products lose {least:e}"
                );
            }
        }
    }
}

/// A map with a value that is not finite, or so large that sums of tiles might overflow, goes the direct way.
#[test]
fn what_is_not_finite_goes_the_direct_way() {
    let sizes = (19, 18, 17, (9, 12));
    for k in [3, 5] {
        let direct = Geometry::same(k);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 3e38, -1e13] {
            for which in 0..3 {
                let mut arrays = drawn(sizes, k);
                let at = arrays[which].values.len() * 2 / 3;
                arrays[which].values[at] = bad;
                let [x, weight, dy] = arrays;
                let all = made(&x, &weight, &dy, direct);
                let fewer = made(&x, &weight, &dy, direct.winograd());
                // What does not read the bad value goes its own way.
                let reads = [[0, 1], [2, 1], [0, 2]];
                for (i, reads) in reads.into_iter().enumerate() {
                    let bits = |v: &[f32]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                    let same = bits(&all[i]) == bits(&fewer[i]);
                    assert_eq!(
                        same,
                        reads.contains(&which),
                        "{k}x{k}, {bad} in {which}: {i}"
                    );
                }
            }
        }
    }
}

/// Too few channels, too small maps, and too large a kernel.
#[test]
fn what_does_not_suit_goes_the_direct_way() {
    for (sizes, k) in [
        ((2, 15, 16, (8, 8)), 3),
        ((2, 16, 15, (8, 8)), 5),
        ((2, 16, 16, (3, 8)), 5),
        ((2, 16, 16, (8, 3)), 3),
        ((2, 16, 16, (8, 8)), 7),
    ] {
        let [x, weight, dy] = drawn(sizes, k);
        let direct = Geometry::same(k);
        let all = made(&x, &weight, &dy, direct);
        assert_eq!(all, made(&x, &weight, &dy, direct.winograd()), "{sizes:?}");
    }
}

instruction_sets!();
