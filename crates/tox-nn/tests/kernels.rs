//! The CPU kernels against the definitions written as plain loops in float64 and against Burn's own
//! ops: sizes that leave partial vectors and tiles, equal values.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Clippy knows test functions, not their helpers.

mod support;

use burn::tensor::Tensor;
use proptest::prelude::*;
use support::{
    Array, assert_close, differentiate, engines, geometries, instruction_sets, naive_conv, rng,
    side, widen, window,
};
use tox_nn::kernels::conv::Geometry;
use tox_nn::kernels::pool::Pool;
use tox_nn::ops::{self, BN_EPS};

const MAPS: [(usize, usize); 5] = [(1, 1), (2, 2), (7, 7), (5, 9), (9, 1)];
const CHANNELS: [usize; 4] = [1, 3, 8, 36];

/// Integers, so all must agree exactly.
fn check_conv(n: usize, ci: usize, co: usize, (h, w): (usize, usize), g: Geometry, seed: u64) {
    let rng = &mut rng(seed);
    let x = Array::integers([n, ci, h, w], rng);
    let weight = Array::integers([co, ci / g.groups, g.kernel, g.kernel], rng);
    let (oh, ow) = side((h, w), g);
    let dy = Array::integers([n, co, oh, ow], rng);
    let [y, dx, dw] = naive_conv(&x, &weight, &dy, g);
    for engine in engines() {
        let (out, gradients) = differentiate(&[&x, &weight], &dy, |t| {
            ops::conv(engine, t[0].clone(), t[1].clone(), g)
        });
        let what = format!("{engine:?} {n}x{ci}x{h}x{w} to {co}, {g:?}");
        assert_eq!(widen(&out), y, "output: {what}");
        assert_eq!(widen(&gradients[0]), dx, "input gradient: {what}");
        assert_eq!(widen(&gradients[1]), dw, "weight gradient: {what}");
    }
}

#[test]
fn convs_of_every_odd_size_are_exact() {
    for (s, map) in MAPS.into_iter().enumerate() {
        for c in CHANNELS {
            for g in geometries() {
                for n in [1, 5] {
                    check_conv(n, c, c, map, g, s as u64);
                    check_conv(n, c, c, map, g.groups(c), s as u64);
                }
            }
        }
    }
    // The stretched conv sees more than its centre on a map wider than 50.
    check_conv(2, 3, 3, (53, 61), geometries()[3], 7);
    // The stem and a factorised reduction; more images than one tile or one part holds.
    check_conv(5, 3, 36, (7, 7), Geometry::same(3), 8);
    check_conv(5, 16, 8, (5, 9), Geometry::same(1).groups(2), 9);
    check_conv(131, 2, 5, (2, 3), Geometry::same(3), 10);
    // Depthwise kernels of every size that slides, on maps of less than a vector, of two and of more.
    for (kernel, dilation) in [(3, 1), (5, 1), (7, 1), (3, 2), (5, 2)] {
        for map in [(9, 17), (32, 32), (8, 40), (6, 4)] {
            for n in [1, 35] {
                let g = Geometry::dilated(kernel, dilation).groups(2);
                check_conv(n, 2, 2, map, g, 13);
            }
        }
    }
    // Rows that are planes, with one tap of one or of nine.
    for g in [Geometry::same(1), geometries()[3]] {
        check_conv(11, 12, 20, (8, 8), Geometry { groups: 1, ..g }, 11);
        check_conv(3, 6, 15, (16, 12), g.groups(3), 12);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_conv_is_exact(
        n in 1usize..20, groups in 1usize..4, ci in 1usize..8, co in 1usize..15,
        map in (1usize..12, 1usize..20), kernel in 0usize..4, dilation in 1usize..5,
        stride in 1usize..4, depthwise: bool, seed: u64,
    ) {
        let (ci, co) = if depthwise { (1, 1) } else { (ci, co) };
        let kernel = 2 * kernel + 1;
        let g = Geometry::dilated(kernel, dilation).groups(groups).stride(stride);
        check_conv(n, groups * ci, groups * co, map, g, seed);
    }

    #[test]
    fn any_pool_and_gather_follow_their_definition(
        n in 1usize..4, c in 1usize..20, map in (1usize..10, 1usize..20), seed: u64,
    ) {
        check_pools(n, c, map, seed);
        check_gather(n, c, map, seed);
    }
}

/// Batch norm with given statistics by definition, in f64.
#[test]
fn a_given_norm_follows_its_definition() {
    let rng = &mut rng(15);
    let (shape, channel) = ([5, 3, 7, 7], [3, 1, 1, 1]);
    let (x, dy) = (
        Array::uniform(shape, -2.0, 2.0, rng),
        Array::uniform(shape, -1.0, 1.0, rng),
    );
    let gamma = Array::new(channel, vec![0.7, -1.2, 1.0]);
    let beta = Array::new(channel, vec![0.1, 0.0, -0.4]);
    let given = vec![[0.3, 2.0], [-0.5, 0.25], [0.0, 1.0]];
    for relu in [false, true] {
        let [mut y, mut dx] = [vec![0.0; x.values.len()], vec![0.0; x.values.len()]];
        let mut weights = [vec![0.0; 3], vec![0.0; 3]];
        for i in 0..x.values.len() {
            let c = i / 49 % 3;
            let [mean, var] = given[c].map(f64::from);
            let (gamma, beta) = (f64::from(gamma.values[c]), f64::from(beta.values[c]));
            let rstd = 1.0 / (var + f64::from(BN_EPS)).sqrt();
            let normalised = (f64::from(x.values[i]) - mean) * rstd;
            let value = gamma * normalised + beta;
            if !relu || value > 0.0 {
                let dy = f64::from(dy.values[i]);
                (y[i], dx[i]) = (value, dy * gamma * rstd);
                weights[0][c] += dy * normalised;
                weights[1][c] += dy;
            }
        }
        for engine in engines() {
            let (out, gradients) = differentiate(&[&x, &gamma, &beta], &dy, |t| {
                let weights = (t[1].clone(), t[2].clone());
                ops::batch_norm_given(engine, t[0].clone(), weights, given.clone(), relu)
            });
            let what = format!("{engine:?}, ReLU {relu}");
            assert_close(&what, &out, &y, 1e-6, 1e-6);
            assert_close(&what, &gradients[0], &dx, 1e-6, 1e-6);
            assert_close(&what, &gradients[1], &weights[0], 1e-5, 1e-6);
            assert_close(&what, &gradients[2], &weights[1], 1e-5, 1e-6);
        }
    }
}

fn check_pools(n: usize, c: usize, map: (usize, usize), seed: u64) {
    let (shape, plane) = ([n, c, map.0, map.1], map.0 * map.1);
    let rng = &mut rng(seed);
    let (x, dy) = (Array::integers(shape, rng), Array::integers(shape, rng));
    let size = x.values.len();
    let (mut mean, mut mean_dx) = (vec![0.0; size], vec![0.0; size]);
    let (mut max, mut max_dx) = (vec![0.0; size], vec![0.0; size]);
    for i in 0..size {
        let base = i / plane * plane;
        let cells: Vec<usize> = window(map, i % plane).map(|p| base + p).collect();
        let dy = f64::from(dy.values[i]);
        for &p in &cells {
            mean[i] += f64::from(x.values[p]) / 9.0;
            mean_dx[p] += dy / 9.0;
        }
        // The first of equals takes the gradient.
        let best = cells
            .into_iter()
            .reduce(|a, b| if x.values[b] > x.values[a] { b } else { a });
        max[i] = f64::from(x.values[best.unwrap()]);
        max_dx[best.unwrap()] += dy;
    }
    for engine in engines() {
        let run = |kind| differentiate(&[&x], &dy, |t| ops::pool(engine, t[0].clone(), kind));
        let what = format!("{engine:?} {shape:?}");
        let (out, gradients) = run(Pool::Max);
        assert_eq!(widen(&out), max, "max: {what}");
        assert_eq!(widen(&gradients[0]), max_dx, "max gradient: {what}");
        let (out, gradients) = run(Pool::Average);
        assert_close(&what, &out, &mean, 1e-6, 1e-6);
        assert_close(&what, &gradients[0], &mean_dx, 1e-6, 1e-6);
    }
}

fn check_gather(n: usize, c: usize, (h, w): (usize, usize), seed: u64) {
    let (oh, ow) = (h.div_ceil(2), w.div_ceil(2));
    let rng = &mut rng(seed);
    let x = Array::integers([n, c, h, w], rng);
    let dy = Array::integers([n, 2 * c, oh, ow], rng);
    let (mut y, mut dx) = (vec![0.0; dy.values.len()], vec![0.0; x.values.len()]);
    for (i, y) in y.iter_mut().enumerate() {
        let (m, channel, row, column) = (
            i / ow / oh / c / 2,
            i / ow / oh % (2 * c),
            i / ow % oh,
            i % ow,
        );
        let half = channel / c;
        let (row, column) = (2 * row + half, 2 * column + half);
        if row < h && column < w {
            let from = ((m * c + channel % c) * h + row) * w + column;
            *y = f64::from(x.values[from]);
            dx[from] += f64::from(dy.values[i]);
        }
    }
    for engine in engines() {
        let run = |t: &[Tensor<4>]| ops::gather(engine, t[0].clone());
        let (out, gradients) = differentiate(&[&x], &dy, run);
        assert_eq!(widen(&out), y, "{engine:?} {n}x{c}x{h}x{w}");
        assert_eq!(widen(&gradients[0]), dx, "{engine:?} {n}x{c}x{h}x{w}");
    }
}

/// Batch norm, then ReLU if `relu`, by definition.
fn naive_norm(shape: [usize; 4], x: &[f64], gamma: &[f64], beta: &[f64], relu: bool) -> Vec<f64> {
    let [n, c, h, w] = shape;
    let channel = |i: usize| i / (h * w) % c;
    let mut y = vec![0.0; x.len()];
    for ch in 0..c {
        let own = || (0..x.len()).filter(|i| channel(*i) == ch);
        let count = (n * h * w) as f64;
        let mean = own().map(|i| x[i]).sum::<f64>() / count;
        let var = own().map(|i| (x[i] - mean).powi(2)).sum::<f64>() / count;
        for i in own() {
            let v = (x[i] - mean) / (var + f64::from(BN_EPS)).sqrt() * gamma[ch] + beta[ch];
            y[i] = if relu { v.max(0.0) } else { v };
        }
    }
    y
}

#[test]
fn batch_norm_and_its_gradients_match_finite_differences() {
    let shapes = [
        [1, 3, 1, 1], // one value a channel: no variance
        [5, 8, 1, 1],
        [1, 36, 2, 2],
        [5, 3, 7, 7],
        [2, 1, 5, 9],
    ];
    for (s, shape) in shapes.into_iter().enumerate() {
        for (relu, offset) in [(false, 0.0), (true, 0.0), (true, 30.0)] {
            let rng = &mut rng(s as u64);
            let x = Array::uniform(shape, offset - 1.0, offset + 1.0, rng);
            let gamma = Array::uniform([shape[1], 1, 1, 1], 0.5, 1.5, rng);
            let beta = Array::uniform([shape[1], 1, 1, 1], -0.5, 0.5, rng);
            let mut dy = Array::uniform(shape, -1.0, 1.0, rng);
            let inputs = [&x, &gamma, &beta].map(|a| widen(&a.values));
            let linear = naive_norm(shape, &inputs[0], &inputs[1], &inputs[2], false);
            if relu {
                // At the kink there is no derivative to compare with.
                for (dy, y) in dy.values.iter_mut().zip(&linear) {
                    *dy = if y.abs() < 1e-3 { 0.0 } else { *dy };
                }
            }
            let y = naive_norm(shape, &inputs[0], &inputs[1], &inputs[2], relu);
            let loss = |inputs: &[Vec<f64>; 3]| -> f64 {
                let y = naive_norm(shape, &inputs[0], &inputs[1], &inputs[2], relu);
                y.iter()
                    .zip(&dy.values)
                    .map(|(y, &d)| y * f64::from(d))
                    .sum()
            };
            let slope = |which: usize, i: usize| {
                let step = 1e-6;
                let mut moved = inputs.clone();
                moved[which][i] += step;
                let above = loss(&moved);
                moved[which][i] -= 2.0 * step;
                (above - loss(&moved)) / (2.0 * step)
            };
            for engine in engines() {
                let (out, gradients) = differentiate(&[&x, &gamma, &beta], &dy, |t| {
                    ops::batch_norm(engine, t[0].clone(), t[1].clone(), t[2].clone(), relu)
                });
                let what = format!("{engine:?} {shape:?} relu {relu} offset {offset}");
                // f32 holds a number near 30 to 2e-6, on a scale of one standard deviation.
                let tolerance = if offset > 0.0 { 1e-5 } else { 2e-6 };
                assert_close(&what, &out, &y, tolerance, 1e-6);
                for (which, gradient) in gradients.iter().enumerate() {
                    let expected: Vec<f64> = (0..gradient.len()).map(|i| slope(which, i)).collect();
                    let what = format!("gradient {which} {what}");
                    assert_close(&what, gradient, &expected, tolerance, 1e-5);
                }
            }
        }
    }
}

instruction_sets!();
support::on_vulkan!();
