//! What happens to NaN, infinity and channels without variance: it decides how a poisoned search
//! dies.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Clippy knows test functions, not their helpers.

mod support;

use support::{
    Array, assert_close, differentiate, engines, geometries, instruction_sets, naive_conv, rng,
    side, widen, window,
};
use tox_nn::kernels::chain::Link;
use tox_nn::kernels::conv::Geometry;
use tox_nn::kernels::pool::Pool;
use tox_nn::ops::{self, BN_EPS};

/// Without variance the gradient is multiplied by `gamma / sqrt(eps)`: about 316.
#[test]
fn a_constant_channel_multiplies_the_gradient() {
    for value in [0.0f32, 0.1, -7.3] {
        let x = Array::new([2, 1, 3, 3], vec![value; 18]);
        let (gamma, beta) = ([1.25f32], [-0.5f32]);
        let vector = |v: [f32; 1]| Array::new([1, 1, 1, 1], v.to_vec());
        let dy = Array::uniform([2, 1, 3, 3], -1.0, 1.0, &mut rng(3));
        let mean = dy.values.iter().map(|d| f64::from(*d)).sum::<f64>() / 18.0;
        let gain = 1.25 / f64::from(BN_EPS).sqrt();
        let expected: Vec<f64> = widen(&dy.values)
            .iter()
            .map(|d| gain * (d - mean))
            .collect();
        for engine in engines() {
            let (out, gradients) = differentiate(&[&x, &vector(gamma), &vector(beta)], &dy, |t| {
                ops::batch_norm(engine, t[0].clone(), t[1].clone(), t[2].clone(), false)
            });
            let what = format!("{engine:?} {value}");
            // The mean of equal numbers is off by their rounding, 316 times that is seen.
            assert_close(&what, &out, &[-0.5; 18], 0.0, 3e-4 * f64::from(value.abs()));
            assert_close(&what, &gradients[0], &expected, 1e-5, 0.0);
        }
    }
}

/// NaN and infinity reach exactly the values that a window connects with them, in this image and no
/// other. A weight's gradient may be NaN as well where the window reaches into the padding: 0 times
/// infinity. (PyTorch's own kernels differ there: oneDNN leaves the padding out, the native ones
/// multiply.)
#[test]
fn convs_pass_nan_and_infinity_to_their_windows() {
    for bad in [f32::NAN, f32::INFINITY] {
        for g in geometries() {
            for groups in [1, 3] {
                let (g, rng) = (g.groups(groups), &mut rng(5));
                let mut x = Array::uniform([2, 3, 5, 9], 0.5, 1.0, rng);
                let weight = Array::uniform([3, 3 / groups, g.kernel, g.kernel], 0.5, 1.0, rng);
                let (oh, ow) = side((5, 9), g);
                let mut dy = Array::uniform([2, 3, oh, ow], 0.5, 1.0, rng);
                // First image, second channel, row 2, column 6: every stride sees it.
                x.values[45 + 2 * 9 + 6] = bad;
                let seen = 2 / g.stride * ow + 6 / g.stride;
                dy.values[oh * ow + seen] = bad;
                let [y, dx, dw] = naive_conv(&x, &weight, &dy, g);
                let bad_ones = y.iter().filter(|v| !v.is_finite()).count();
                assert!(0 < bad_ones && bad_ones < y.len() / 2);
                for engine in engines() {
                    let what = format!("{engine:?} {bad} {g:?}");
                    let (out, gradients) = differentiate(&[&x, &weight], &dy, |t| {
                        ops::conv(engine, t[0].clone(), t[1].clone(), g)
                    });
                    for (actual, expected) in [(&out, &y), (&gradients[0], &dx)] {
                        for (i, (a, e)) in actual.iter().zip(expected).enumerate() {
                            assert!(alike(*a, *e), "{what} [{i}]: {a}, expected {e}");
                        }
                    }
                    let (per_channel, taps) = (dw.len() / 3, g.kernel * g.kernel);
                    for (i, (a, e)) in gradients[1].iter().zip(&dw).enumerate() {
                        let (o, source) = (i / per_channel, i % per_channel / taps);
                        // The weight reads or writes channel 1.
                        let near = o == 1 || (groups == 1 && source == 1);
                        let what = format!("{what} weight [{i}]: {a}, expected {e}");
                        assert!(alike(*a, *e) || (near && a.is_nan()), "{what}");
                    }
                }
            }
        }
    }
}

/// Both NaN, or the same up to rounding.
fn alike(a: f32, e: f64) -> bool {
    let a = f64::from(a);
    a == e || (a.is_nan() && e.is_nan()) || (a - e).abs() <= 1e-5 * e.abs()
}

/// A NaN or infinite weight reaches all that its tap sees: at the centre, which never sees padding, every
/// output of its channel and every input that it reads, and no gradient of a weight.
#[test]
fn convs_pass_bad_weights_to_what_they_see() {
    for bad in [f32::NAN, f32::INFINITY] {
        for g in geometries() {
            for groups in [1, 3] {
                let (g, rng) = (g.groups(groups), &mut rng(5));
                let x = Array::uniform([2, 3, 5, 9], 0.5, 1.0, rng);
                let shape = [3, 3 / groups, g.kernel, g.kernel];
                let mut weight = Array::uniform(shape, 0.5, 1.0, rng);
                // The centre of the second output channel's first kernel.
                let (taps, centre) = (g.kernel * g.kernel, g.kernel * g.kernel / 2);
                weight.values[3 / groups * taps + centre] = bad;
                let (oh, ow) = side((5, 9), g);
                let dy = Array::uniform([2, 3, oh, ow], 0.5, 1.0, rng);
                let [y, dx, dw] = naive_conv(&x, &weight, &dy, g);
                for engine in engines() {
                    let (out, gradients) = differentiate(&[&x, &weight], &dy, |t| {
                        ops::conv(engine, t[0].clone(), t[1].clone(), g)
                    });
                    let all = [(&out, &y), (&gradients[0], &dx), (&gradients[1], &dw)];
                    for (actual, expected) in all {
                        for (i, (a, e)) in actual.iter().zip(expected).enumerate() {
                            assert!(alike(*a, *e), "{engine:?} {bad} {g:?} [{i}]: {a}, {e}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn batch_norm_makes_a_channel_nan_and_relu_keeps_it() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for relu in [false, true] {
            let rng = &mut rng(6);
            let mut x = Array::uniform([2, 3, 5, 9], -1.0, 1.0, rng);
            x.values[45 + 9 + 7] = bad; // channel 1
            let ones = Array::new([3, 1, 1, 1], vec![1.0; 3]);
            let mut beta = Array::new([3, 1, 1, 1], vec![0.0; 3]);
            beta.values[2] = f32::NAN;
            let dy = Array::uniform([2, 3, 5, 9], -1.0, 1.0, rng);
            for engine in engines() {
                let (out, gradients) = differentiate(&[&x, &ones, &beta], &dy, |t| {
                    ops::batch_norm(engine, t[0].clone(), t[1].clone(), t[2].clone(), relu)
                });
                let what = format!("{engine:?} {bad} {relu}");
                for (i, (y, dx)) in out.iter().zip(&gradients[0]).enumerate() {
                    let channel = i / 45 % 3;
                    assert_eq!(y.is_nan(), channel != 0, "{what}: output {i} is {y}");
                    // A NaN beta is no part of the input's gradient.
                    assert_eq!(dx.is_nan(), channel == 1, "{what}: gradient {i} is {dx}");
                }
                assert!(
                    gradients[1][1].is_nan() && !gradients[1][0].is_nan(),
                    "{what}"
                );
                assert!(gradients[2].iter().all(|d| !d.is_nan()), "{what}");
            }
        }
    }
}

/// Applied on the way into a convolution, batch norm and its gradient do to NaN and infinity what they
/// do as ops of their own.
#[test]
fn a_chain_passes_nan_and_infinity_as_its_ops_do() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        // In the input, in a weight, in a gamma, in a beta, in the output's gradient.
        for place in 0..5 {
            let rng = &mut rng(11);
            let mut x = Array::uniform([2, 3, 5, 9], -1.0, 1.0, rng);
            let weight = Array::uniform([3, 3, 3, 3], -1.0, 1.0, rng);
            let mut first = weight.clone();
            let mut gamma = Array::uniform([3, 1, 1, 1], 0.5, 1.5, rng);
            let mut beta = Array::uniform([3, 1, 1, 1], -0.5, 0.5, rng);
            let ones = Array::new([3, 1, 1, 1], vec![1.0; 3]);
            let mut dy = Array::uniform([2, 3, 5, 9], -1.0, 1.0, rng);
            let places = [&mut x, &mut first, &mut gamma, &mut beta, &mut dy];
            places.into_iter().nth(place).unwrap().values[1] = bad;
            let inputs = [&x, &first, &gamma, &beta, &weight, &ones, &ones];
            let g = Geometry::same(3);
            let link = Link {
                relu: false,
                conv: g,
                norm: Some(true),
            };
            let engine = engines()[0];
            let chain = differentiate(&inputs, &dy, |t| {
                ops::chain(engine, t[0].clone(), &[link; 2], t[1..].to_vec())
            });
            let apart = differentiate(&inputs, &dy, |t| {
                let x = ops::conv(engine, t[0].clone(), t[1].clone(), g);
                let x = ops::batch_norm(engine, x, t[2].clone(), t[3].clone(), true);
                let x = ops::conv(engine, x, t[4].clone(), g);
                ops::batch_norm(engine, x, t[5].clone(), t[6].clone(), true)
            });
            let mut broken = 0;
            let pairs = std::iter::once((&chain.0, &apart.0)).chain(chain.1.iter().zip(&apart.1));
            for (ours, theirs) in pairs {
                for (a, b) in ours.iter().zip(theirs) {
                    assert!(
                        a == b || (a.is_nan() && b.is_nan()),
                        "{bad} in {place}: {a}, {b}"
                    );
                    broken += usize::from(!a.is_finite());
                }
            }
            // A beta of -infinity is a channel that ReLU silences.
            let silent = place == 3 && bad == f32::NEG_INFINITY;
            assert_eq!(broken == 0, silent, "{bad} in {place}");
        }
    }
}

#[test]
fn max_pool_passes_nan_and_prefers_it() {
    let mut x = Array::uniform([1, 2, 5, 9], -1.0, 1.0, &mut rng(7));
    let at = 9 + 7;
    x.values[at] = f32::NAN;
    x.values[45 + at] = f32::INFINITY;
    x.values[44] = f32::NEG_INFINITY;
    let dy = Array::new([1, 2, 5, 9], vec![1.0; 90]);
    for engine in engines() {
        let (out, gradients) =
            differentiate(&[&x], &dy, |t| ops::pool(engine, t[0].clone(), Pool::Max));
        for (i, y) in out.iter().enumerate() {
            let hit = window((5, 9), i % 45).any(|p| p == at);
            assert_eq!(y.is_nan(), hit && i < 45, "{engine:?} output {i} is {y}");
            assert_eq!(
                y.is_infinite(),
                hit && i >= 45,
                "{engine:?} output {i} is {y}"
            );
        }
        assert_eq!(gradients[0][at], 9.0, "{engine:?}: NaN takes the gradient");
        assert_eq!(gradients[0][45 + at], 9.0, "{engine:?}");
        let (out, _) = differentiate(&[&x], &dy, |t| {
            ops::pool(engine, t[0].clone(), Pool::Average)
        });
        let nan = out.iter().filter(|y| y.is_nan()).count();
        let inf = out.iter().filter(|y| **y == f32::INFINITY).count();
        let below = out.iter().filter(|y| **y == f32::NEG_INFINITY).count();
        assert_eq!((nan, inf, below), (9, 9, 4), "{engine:?} average");
    }
}

instruction_sets!();
support::on_vulkan!();
