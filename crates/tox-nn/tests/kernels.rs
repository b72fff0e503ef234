//! The CPU kernels against the definitions written as plain loops in float64 and against Burn's own
//! ops: sizes that leave partial vectors and tiles, equal values, numbers of threads.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Clippy knows test functions, not their helpers.

mod support;

use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use proptest::prelude::*;
use std::process::Command;
use support::{
    Array, ENGINES, assert_close, differentiate, geometries, naive_conv, read, rng, side, widen,
    window,
};
use tox_nn::kernels::chain::{self, Link};
use tox_nn::kernels::conv::{self, Geometry};
use tox_nn::kernels::norm;
use tox_nn::kernels::pool::{self, Pool};
use tox_nn::ops::{self, BN_EPS, Engine};

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
    for engine in ENGINES {
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
    // Planes that are read where they lie, with one tap of one or of nine.
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
        stride in 1usize..4, seed: u64,
    ) {
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
    for engine in ENGINES {
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
    for engine in ENGINES {
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
            for engine in ENGINES {
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

/// What a chain is tested with: a list of links, and how many channels each convolution makes.
fn chains(c: usize) -> Vec<(Vec<Link>, Vec<usize>)> {
    let link = |conv, norm| Link {
        relu: false,
        conv,
        norm,
    };
    let point = link(Geometry::same(1), Some(true));
    let mut all = vec![
        (vec![link(Geometry::same(3), Some(false))], vec![5]),
        (
            vec![link(Geometry::same(1).groups(c), Some(false))],
            vec![c],
        ),
        (
            vec![
                point,
                link(Geometry::same(5).groups(c), None),
                link(Geometry::same(1), Some(true)),
            ],
            vec![c, c, 7],
        ),
        // No batch norm behind the last one.
        (vec![point, link(Geometry::same(3), None)], vec![4, 3]),
        (vec![link(Geometry::same(3), None)], vec![3]),
    ];
    let second = geometries().into_iter();
    all.extend(second.map(|g| (vec![point, link(g, Some(true))], vec![c, 6])));
    // Separable convolutions of cells: ReLU first, and on what no batch norm made.
    let relu = |link: Link| Link { relu: true, ..link };
    for stride in [1, 2] {
        all.push((
            vec![
                relu(link(Geometry::same(3).groups(c).stride(stride), None)),
                link(Geometry::same(1), Some(false)),
                relu(link(Geometry::dilated(5, 2).groups(c), None)),
                relu(point),
            ],
            vec![c, c, c, 5],
        ));
    }
    all.push((
        vec![
            link(Geometry::same(3).stride(2), Some(true)),
            link(Geometry::same(3), Some(false)),
            point,
        ],
        vec![9, 2, 12],
    ));
    all
}

/// A chain is its ops apart, bit for bit: what each gives is tested above. Beside Burn's ops it is
/// right to rounding.
#[test]
fn a_chain_is_its_ops_one_after_the_other() {
    for (s, (n, map)) in [
        (1, (7, 7)),
        (5, (8, 8)),
        (3, (16, 12)),
        (40, (2, 3)),
        (9, (1, 1)),
    ]
    .into_iter()
    .enumerate()
    {
        for c in [1, 3, 8] {
            for (links, outs) in chains(c) {
                let rng = &mut rng(s as u64);
                let mut inputs = vec![Array::uniform([n, c, map.0, map.1], -1.0, 1.0, rng)];
                let (mut ci, mut at) = (c, map);
                for (link, &co) in links.iter().zip(&outs) {
                    let k = link.conv.kernel;
                    let shape = [co, ci / link.conv.groups, k, k];
                    inputs.push(Array::uniform(shape, -1.0, 1.0, rng));
                    if link.norm.is_some() {
                        inputs.push(Array::uniform([co, 1, 1, 1], 0.5, 1.5, rng));
                        inputs.push(Array::uniform([co, 1, 1, 1], -0.5, 0.5, rng));
                    }
                    (ci, at) = (co, side(at, link.conv));
                }
                let dy = Array::uniform([n, ci, at.0, at.1], -1.0, 1.0, rng);
                let inputs: Vec<&Array> = inputs.iter().collect();
                let what = format!("{n} images {map:?}, {c} channels, {links:?}");
                let chain = |engine| {
                    differentiate(&inputs, &dy, |t| {
                        ops::chain(engine, t[0].clone(), &links, t[1..].to_vec())
                    })
                };
                let (out, gradients) = chain(Engine::Kernels);
                let apart = differentiate(&inputs, &dy, |t| {
                    let (mut x, mut weights) = (t[0].clone(), t[1..].iter().cloned());
                    let mut next = || weights.next().unwrap();
                    for link in &links {
                        if link.relu {
                            x = relu(x);
                        }
                        x = ops::conv(Engine::Kernels, x, next(), link.conv);
                        if let Some(relu) = link.norm {
                            x = ops::batch_norm(Engine::Kernels, x, next(), next(), relu);
                        }
                    }
                    x
                });
                assert_eq!(out, apart.0, "output: {what}");
                assert_eq!(gradients, apart.1, "gradients: {what}");
                // One value a channel has no variance: rounding would be all there is to compare.
                if n * at.0 * at.1 > 8 {
                    let (plain, plain_gradients) = chain(Engine::Plain);
                    assert_close(&what, &out, &widen(&plain), 1e-4, 1e-5);
                    for (ours, plain) in gradients.iter().zip(&plain_gradients) {
                        // Where rounding moves a value over ReLU's kink, so does the gradient.
                        let off = ours
                            .iter()
                            .zip(plain)
                            .filter(|(a, b)| (*a - *b).abs() > 1e-2 * (1.0 + b.abs()));
                        assert!(off.count() <= ours.len() / 50, "gradients: {what}");
                    }
                }
            }
        }
    }
}

/// What batch norms measure on the way is mean and biased variance of what they see.
#[test]
fn statistics_are_those_of_the_maps() {
    let rng = &mut rng(12);
    let x = Array::uniform([5, 3, 7, 7], 2.0, 4.0, rng);
    let weight = Array::uniform([6, 3, 3, 3], -1.0, 1.0, rng);
    let [gamma, beta] = [0, 1].map(|v| Array::new([6, 1, 1, 1], vec![v as f32; 6]));
    let g = Geometry::same(3).stride(2);
    let (none, dy) = (x.clone(), Array::new([5, 6, 4, 4], vec![0.0; 480]));
    let check = |values: &[f64], c: usize, measured: Tensor<2>, what: &str| {
        let measured: Vec<f32> = measured.into_data().try_into_vec().unwrap();
        let plane = values.len() / 5 / c;
        let of = |channel: usize| -> Vec<f64> {
            let mine = |i: &usize| i / plane % c == channel;
            (0..values.len()).filter(mine).map(|i| values[i]).collect()
        };
        let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
        let means: Vec<f64> = (0..c).map(|ch| mean(&of(ch))).collect();
        let vars = (0..c).map(|ch| {
            let squares: Vec<f64> = of(ch).iter().map(|v| (v - means[ch]).powi(2)).collect();
            mean(&squares)
        });
        let expected: Vec<f64> = means.iter().copied().chain(vars).collect();
        assert_close(what, &measured, &expected, 1e-6, 1e-6);
    };
    let [y, ..] = naive_conv(&none, &weight, &dy, g);
    for engine in ENGINES {
        let what = format!("{engine:?}");
        let link = Link {
            relu: false,
            conv: g,
            norm: Some(true),
        };
        let weights = [&weight, &gamma, &beta].map(Array::leaf).to_vec();
        let (_, measured) = ops::chain_measured(engine, x.constant(), &[link], weights);
        assert_eq!(measured.len(), 1);
        check(&y, 6, measured[0].clone(), &what);
        let [gamma, beta] = [1, 0].map(|v| Array::new([3, 1, 1, 1], vec![v as f32; 3]).leaf());
        let (_, measured) = ops::batch_norm_measured(engine, x.leaf(), gamma, beta, false);
        check(&widen(&x.values), 3, measured, &what);
    }
}

/// The sum of maps and its batch norm are the additions and the batch norm.
#[test]
fn a_normalised_sum_is_the_sum_normalised() {
    for (maps, shape) in [
        (1, [3, 5, 7, 7]),
        (2, [1, 3, 2, 2]),
        (4, [5, 36, 9, 9]),
        (15, [2, 2, 3, 1]),
    ] {
        let rng = &mut rng(maps as u64);
        let mut inputs: Vec<Array> = (0..maps)
            .map(|_| Array::uniform(shape, -1.0, 1.0, rng))
            .collect();
        for (low, high) in [(0.5, 1.5), (-0.5, 0.5)] {
            inputs.push(Array::uniform([shape[1], 1, 1, 1], low, high, rng));
        }
        let dy = Array::uniform(shape, -1.0, 1.0, rng);
        let inputs: Vec<&Array> = inputs.iter().collect();
        let one = differentiate(&inputs, &dy, |t| {
            let (gamma, beta) = (t[maps].clone(), t[maps + 1].clone());
            ops::sum_norm(Engine::Kernels, t[..maps].to_vec(), gamma, beta, true)
        });
        let apart = differentiate(&inputs, &dy, |t| {
            let (gamma, beta) = (t[maps].clone(), t[maps + 1].clone());
            let sum = t[..maps].iter().cloned().reduce(|a, b| a + b).unwrap();
            ops::batch_norm(Engine::Kernels, sum, gamma, beta, true)
        });
        assert_eq!(one, apart, "{maps} maps of {shape:?}");
    }
}

/// Buffers of maps are used again, with what they held.
#[test]
fn what_a_buffer_held_before_is_never_read() {
    let rng = &mut rng(9);
    // Odd, so that a gathered map has pixels without a source; large enough to be kept.
    let shape = [16, 36, 9, 9];
    let x = Array::uniform(shape, -1.0, 1.0, rng);
    let mut bad = x.clone();
    bad.values.fill(f32::NAN);
    let weight = Array::uniform([36, 36, 3, 3], -1.0, 1.0, rng);
    let norm = Array::uniform([36, 1, 1, 1], 0.5, 1.5, rng);
    let gathered = Array::uniform([16, 72, 5, 5], -1.0, 1.0, rng);
    let halved = Array::uniform([16, 36, 5, 5], -1.0, 1.0, rng);
    let run = |x: &Array, dy: &Array, gathered: &Array, halved: &Array| {
        let mut all = Vec::new();
        let mut keep = |(out, gradients): (Vec<f32>, Vec<Vec<f32>>)| {
            all.push(out);
            all.extend(gradients);
        };
        keep(differentiate(&[x, &weight], dy, |t| {
            ops::conv(
                Engine::Kernels,
                t[0].clone(),
                t[1].clone(),
                Geometry::same(3),
            )
        }));
        keep(differentiate(&[x, &norm, &norm], dy, |t| {
            ops::batch_norm(
                Engine::Kernels,
                t[0].clone(),
                t[1].clone(),
                t[2].clone(),
                true,
            )
        }));
        let halve = Geometry::same(3).stride(2);
        keep(differentiate(
            &[x, &weight, &norm, &norm, &weight],
            halved,
            |t| {
                let link = |conv, norm| Link {
                    relu: false,
                    conv,
                    norm,
                };
                let links = [link(Geometry::same(3), Some(true)), link(halve, None)];
                ops::chain(Engine::Kernels, t[0].clone(), &links, t[1..].to_vec())
            },
        ));
        keep(differentiate(&[x, x, &norm, &norm], dy, |t| {
            let (gamma, beta) = (t[2].clone(), t[3].clone());
            ops::sum_norm(Engine::Kernels, t[..2].to_vec(), gamma, beta, false)
        }));
        for kind in [Pool::Average, Pool::Max] {
            keep(differentiate(&[x], dy, |t| {
                ops::pool(Engine::Kernels, t[0].clone(), kind)
            }));
        }
        keep(differentiate(&[x], gathered, |t| {
            ops::gather(Engine::Kernels, t[0].clone())
        }));
        all
    };
    let first = run(&x, &x, &gathered, &halved);
    assert!(first.iter().flatten().all(|v| v.is_finite()));
    let mut worst = [gathered.clone(), halved.clone()];
    worst.iter_mut().for_each(|map| map.values.fill(f32::NAN));
    run(&bad, &bad, &worst[0], &worst[1]);
    assert_eq!(run(&x, &x, &gathered, &halved), first);
}

/// All tests of this file with the instruction sets of older machines, in processes of their own.
#[test]
fn older_instruction_sets_are_right_too() {
    if let Ok(set) = std::env::var("TOXSCREEN_KERNELS") {
        let used = tox_nn::kernels::instruction_set();
        assert_eq!(used == "avx2", set == "avx2", "{used} in place of {set}");
        assert_ne!(used, "avx512");
        return;
    }
    for set in ["avx2", "portable"] {
        if set == "avx2" && !["avx512", "avx2"].contains(&tox_nn::kernels::instruction_set()) {
            eprintln!("skipped: this machine has no AVX2");
            continue;
        }
        let out = Command::new(std::env::current_exe().unwrap())
            .env("TOXSCREEN_KERNELS", set)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&out.stdout);
        assert!(out.status.success(), "{set}: {text}");
        assert!(
            text.contains("9 passed") || text.contains("10 passed"),
            "{set}: {text}"
        );
    }
}

/// Sums are cut alike whatever the number of threads; the maps are large enough to be shared out.
#[test]
fn threads_do_not_change_a_bit() {
    let s = conv::Sizes {
        n: 97,
        c_in: 12,
        c_out: 12,
        h: 7,
        w: 5,
    };
    let rng = &mut rng(8);
    let mut uniform = |shape| Array::uniform(shape, -1.0, 1.0, rng);
    let (x, dy) = (uniform([97, 12, 7, 5]), uniform([97, 12, 7, 5]));
    let (dense, depthwise) = (uniform([12, 12, 3, 3]), uniform([12, 1, 5, 5]));
    let (gamma, beta) = (uniform([12, 1, 1, 1]), uniform([12, 1, 1, 1]));
    let run = || {
        let mut all = Vec::new();
        for (weight, g) in [
            (&dense, Geometry::same(3)),
            (&depthwise, Geometry::same(5).groups(12)),
        ] {
            let (x, dy) = (x.values.as_slice(), dy.values.as_slice());
            all.push(conv::forward(x.into(), &weight.values, g, s, false).0);
            let made = conv::gradients(x.into(), dy.into(), &weight.values, g, s, true);
            all.extend([made.input.unwrap(), made.weight]);
        }
        let strided = conv::Sizes { c_out: 6, ..s };
        let links = [
            Link {
                relu: false,
                conv: Geometry::same(3),
                norm: Some(true),
            },
            Link {
                relu: false,
                conv: Geometry::same(3).stride(2),
                norm: Some(false),
            },
        ];
        let (first, second) = (dense.values.as_slice(), &dense.values[..6 * 12 * 9]);
        let (gamma, beta) = (gamma.values.as_slice(), beta.values.as_slice());
        let weights = [first, gamma, beta, second, &gamma[..6], &beta[..6]];
        let sizes = [s, strided];
        let (out, kept) = chain::forward(&x.values, &links, &sizes, &weights, BN_EPS);
        let above = &dy.values[..out.len()];
        let (dx, gradients) =
            chain::backward(&x.values, &links, &sizes, &weights, &kept, above, true);
        all.extend([out, dx.unwrap(), gradients.concat()]);
        let sizes = norm::Sizes {
            n: 97,
            c: 12,
            plane: 35,
        };
        let stats = norm::statistics(&x.values, sizes);
        let channels = norm::Channel::all(&stats, gamma, beta, BN_EPS, true);
        all.push(norm::forward(&x.values, &channels, sizes));
        let totals = norm::totals(&x.values, &dy.values, &channels, sizes);
        all.push(norm::backward(
            &x.values, &dy.values, &channels, &totals, sizes,
        ));
        all.extend([totals.gamma, totals.beta]);
        for kind in [Pool::Average, Pool::Max] {
            all.push(pool::forward(&x.values, kind, 7, 5));
            all.push(pool::backward(&x.values, &dy.values, kind, 7, 5));
        }
        let gather = |x: &Array| read(ops::gather(Engine::Kernels, x.constant()));
        all.push(gather(&x));
        all.concat().iter().map(|v| v.to_bits()).collect::<Vec<_>>()
    };
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap().install(run)
    };
    let one = with(1);
    assert!(one.iter().any(|bits| *bits != 0));
    for threads in [2, 3, 8] {
        assert!(with(threads) == one, "{threads} threads");
    }
}
