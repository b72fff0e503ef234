//! Operator norms against closed forms and explicit matrices.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Clippy knows test functions, not their helpers.

#[path = "../../tox-nn/tests/support/mod.rs"]
mod support;

use burn::tensor::{Tensor, TensorData};
use std::f64::consts::PI;
use support::{Array, naive_conv, rng};
use tox_nn::Device;
use tox_nn::kernels::conv::Geometry;
use tox_nn::layers::{Init, State};
use tox_nn::nets::wrn::{INIT, Shape, WrnConfig, wrn};
use tox_rcnas::subnetwork::{PowerIteration, lipschitz, operator_norm};

const FINE: PowerIteration = PowerIteration {
    tolerance: 1e-7,
    steps: 3000,
};

fn norm(weight: &Array, g: Geometry, size: (usize, usize)) -> f64 {
    let weight = (weight.values.as_slice(), weight.shape);
    let (norm, steps, converged) = operator_norm(weight, g, size, &Device::flex(), FINE);
    assert!(converged && steps <= FINE.steps);
    norm
}

/// The largest singular value of the matrix whose columns are what `g` makes of the unit maps: the
/// largest eigenvalue of its Gram matrix by Jacobi's rotations.
fn by_matrix(weight: &Array, g: Geometry, (h, w): (usize, usize)) -> f64 {
    let c_in = weight.shape[1] * g.groups;
    let count = c_in * h * w;
    let out = [
        1,
        weight.shape[0],
        h.div_ceil(g.stride),
        w.div_ceil(g.stride),
    ];
    let dy = Array::new(out, vec![0.0; out.iter().product()]);
    let columns: Vec<Vec<f64>> = (0..count)
        .map(|i| {
            let mut x = vec![0.0; count];
            x[i] = 1.0;
            let [y, ..] = naive_conv(&Array::new([1, c_in, h, w], x), weight, &dy, g);
            y
        })
        .collect();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    // One-sided Jacobi: rotate the columns until all are orthogonal.
    let mut a = columns;
    for _ in 0..60 {
        let mut off = 0.0f64;
        for p in 0..count {
            for q in p + 1..count {
                let (pp, qq, pq) = (dot(&a[p], &a[p]), dot(&a[q], &a[q]), dot(&a[p], &a[q]));
                if pq.abs() <= 1e-14 * (pp * qq).sqrt() || pq == 0.0 {
                    continue;
                }
                off = off.max(pq.abs());
                let zeta = (qq - pp) / (2.0 * pq);
                let t = zeta.signum() / (zeta.abs() + (1.0 + zeta * zeta).sqrt());
                let t = if zeta == 0.0 { 1.0 } else { t };
                let cos = 1.0 / (1.0 + t * t).sqrt();
                let sin = cos * t;
                for i in 0..a[p].len() {
                    let (x, y) = (a[p][i], a[q][i]);
                    a[p][i] = cos * x - sin * y;
                    a[q][i] = sin * x + cos * y;
                }
            }
        }
        if off < 1e-13 {
            break;
        }
    }
    a.iter().fold(0.0f64, |m, c| m.max(dot(c, c))).sqrt()
}

fn assert_near(what: &str, found: f64, expected: f64, tolerance: f64) {
    let error = (found / expected - 1.0).abs();
    assert!(error <= tolerance, "{what}: {found}, expected {expected}");
}

#[test]
fn norms_are_those_of_the_matrix() {
    let mut rng = rng(3);
    let three = Geometry::same(3);
    let cases = [
        ([3, 2, 3, 3], three, (4, 5)),
        ([3, 2, 3, 3], three.stride(2), (5, 4)),
        ([4, 2, 3, 3], three.groups(2), (4, 4)),
        ([4, 3, 1, 1], Geometry::same(1).stride(2), (5, 5)),
        ([2, 5, 1, 1], Geometry::same(1), (1, 1)),
    ];
    for (shape, g, size) in cases {
        let weight = Array::uniform(shape, -1.0, 1.0, &mut rng);
        let expected = by_matrix(&weight, g, size);
        assert_near(&format!("{g:?}"), norm(&weight, g, size), expected, 1e-4);
    }
}

/// A kernel of ones with zero padding is the product of two tridiagonal matrices of ones, whose
/// eigenvalues are `1 + 2 cos(k pi / (n + 1))`.
#[test]
fn norms_are_those_of_closed_forms() {
    let ones = Array::new([1, 1, 3, 3], vec![1.0; 9]);
    for (h, w) in [(8, 8), (5, 9), (32, 32)] {
        let side = |n: usize| 1.0 + 2.0 * (PI / (n + 1) as f64).cos();
        let found = norm(&ones, Geometry::same(3), (h, w));
        assert_near("ones", found, side(h) * side(w), 1e-5);
    }
    let zeros = Array::new([2, 2, 3, 3], vec![0.0; 36]);
    assert_eq!(norm(&zeros, Geometry::same(3), (4, 4)), 0.0);
    // A rotation times 3.
    let turn = Array::new([2, 2, 1, 1], vec![1.8, -2.4, 2.4, 1.8]);
    assert_near("turn", norm(&turn, Geometry::same(1), (6, 6)), 3.0, 1e-6);
}

fn set(state: &mut State, name: &str, value: f32) {
    let entry = state.params.entries().iter().find(|e| e.name == name);
    let range = entry.unwrap().range();
    state.params.values[range].fill(value);
}

/// Every step has a norm of its own, batch norms included: by hand.
#[test]
fn the_bound_is_that_of_the_blocks() {
    // One channel in every first stage; other stages have convolutions of norm 0.
    let config = WrnConfig::new(Shape::parse("d2,1,1-w1,1,1-b1").unwrap(), 1, 1);
    let (network, mut state) = wrn(&config, Init::Zero, (0, "test"));
    let norms: Vec<_> = state
        .running
        .norms()
        .map(|(id, n, _)| (id, n.to_owned()))
        .collect();
    for (id, name) in norms {
        // gamma 1, so the scale is 2 for `bn2`, else 1.
        let var = if name.ends_with("bn2") { 0.25 } else { 1.0 };
        state.running.of_mut(id).1.fill(var - 1e-5);
    }
    // A kernel with its centre alone is a multiple of the identity.
    let centre = |state: &mut State, name: &str, value: f32| {
        let entry = state.params.entries().iter().find(|e| e.name == name);
        let start = entry.unwrap().range().start;
        state.params.values[start + 4] = value;
    };
    centre(&mut state, "conv1.weight", 3.0);
    centre(&mut state, "block1.layer.0.conv1.weight", 0.5);
    centre(&mut state, "block1.layer.0.conv2.weight", -4.0);
    set(&mut state, "block1.layer.1.bn1.weight", -3.0);
    centre(&mut state, "block1.layer.1.conv1.weight", 1.0);
    centre(&mut state, "block1.layer.1.conv2.weight", 1.0);
    // 1 to 2 channels, and 2 to 4, of 1s: norms sqrt(2) and sqrt(8).
    set(&mut state, "block2.layer.0.convShortcut.weight", 1.0);
    set(&mut state, "block3.layer.0.convShortcut.weight", 1.0);
    // 4 to 1 of 1s: 2.
    set(&mut state, "fc.weight", 1.0);
    let found = lipschitz(&network, &state, (8, 8), &Device::flex(), FINE);
    // 1 + 2 0.5 4, then 1 + 3 2 1; of 2 x 2 pixels the average.
    let expected: f64 = 3.0 * 5.0 * 7.0 * 2f64.sqrt() * 8f64.sqrt() * 2.0 / 2.0;
    assert_near("bound", found.log_bound.exp(), expected, 1e-4);
    let of = |name: &str| {
        let layer = found.layers.iter().find(|l| l.name == name);
        layer.unwrap_or_else(|| panic!("no {name}")).norm
    };
    assert_near("folded", of("block1.layer.0.conv1"), 1.0, 1e-4);
    assert_near("conv2", of("block1.layer.0.conv2"), 4.0, 1e-4);
    assert_eq!(of("block2.layer.0.conv1"), 0.0);
    assert_eq!(found.layers.len(), 1 + 2 * 2 + 3 + 3 + 1);
    assert!(found.converged());
}

/// What comes out never changes by more than the bound says, whose squeeze-and-excitation has no weight.
#[test]
fn no_pair_of_images_is_stretched_by_more_than_the_bound() {
    use tox_nn::layers::{Mode, Network, Pass};
    for text in ["d2,1,1-w1,2,1-r001-b4", "rrn-d2,1,1-w1,1,1-b1"] {
        let config = WrnConfig::new(Shape::parse(text).unwrap(), 3, 5);
        let (network, mut state) = wrn(&config, INIT, (5, "test"));
        let entries = state.params.entries().iter();
        let gates: Vec<_> = entries
            .filter(|e| e.name.contains(".se."))
            .map(|e| e.range())
            .collect();
        assert!(!gates.is_empty());
        gates
            .into_iter()
            .for_each(|range| state.params.values[range].fill(0.0));
        let device = Device::flex();
        let found = lipschitz(&network, &state, (8, 8), &device, FINE);
        assert!(
            found.mean() > 0.5 && found.mean() < 20.0,
            "{}",
            found.mean()
        );
        let again = lipschitz(&network, &state, (8, 8), &device, FINE);
        assert_eq!(found, again);
        let images = Array::uniform([16, 3, 8, 8], -1.0, 1.0, &mut rng(1));
        let x = Tensor::<4>::from_data(
            TensorData::new(images.values.clone(), images.shape),
            &device,
        );
        let pass = Pass::new(&state, &device, Mode::Evaluate);
        let y = tox_nn::ops::read(network.logits(&pass, x));
        let far = |a: &[f32], b: &[f32]| {
            let squares = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2));
            squares.sum::<f64>().sqrt()
        };
        let (x, y): (Vec<_>, Vec<_>) = (images.values.chunks(192).collect(), y.chunks(5).collect());
        for i in 1..16 {
            let ratio = far(y[i], y[0]) / far(x[i], x[0]);
            assert!(ratio > 0.0 && ratio.ln() <= found.log_bound, "{ratio}");
        }
    }
}

#[test]
fn broken_weights_have_no_norm() {
    let weight = [1.0, f32::NAN];
    let g = Geometry::same(1);
    let found = operator_norm((&weight, [2, 1, 1, 1]), g, (4, 4), &Device::flex(), FINE);
    assert!(found.0.is_nan() && !found.2 && found.1 == 1);
}
