//! Matrix products and their gradients, beside plain sums in float64.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Clippy knows test functions, not their helpers.

mod support;

use burn::tensor::{Device, Tensor, TensorData};
use rand::{Rng, RngExt};
use support::{assert_close, instruction_sets, rng};
use tox_nn::ops::{self, Engine};

/// Rows and columns of values in any order of memory.
struct Matrix {
    size: [usize; 2],
    values: Vec<f32>,
}

impl Matrix {
    fn random(size: [usize; 2], rng: &mut impl Rng) -> Self {
        let value = |_| rng.random::<f32>() - 0.5;
        let values = (0..size[0] * size[1]).map(value).collect();
        Self { size, values }
    }

    fn at(&self, i: usize, j: usize) -> f64 {
        self.values[i * self.size[1] + j].into()
    }

    /// With gradients recorded; `turned`: laid out by columns.
    fn leaf(&self, turned: bool) -> (Tensor<2>, Tensor<2>) {
        let ([rows, columns], device) = (self.size, Device::flex().autodiff());
        if !turned {
            let data = TensorData::new(self.values.clone(), self.size);
            let leaf = Tensor::from_data(data, &device).require_grad();
            return (leaf.clone(), leaf);
        }
        let of = |j: usize| (0..rows).map(move |i| self.values[i * columns + j]);
        let values: Vec<f32> = (0..columns).flat_map(of).collect();
        let data = TensorData::new(values, [columns, rows]);
        let leaf = Tensor::<2>::from_data(data, &device).require_grad();
        (leaf.clone(), leaf.transpose())
    }
}

fn product(
    a: impl Fn(usize, usize) -> f64,
    b: impl Fn(usize, usize) -> f64,
    [m, k, n]: [usize; 3],
) -> Vec<f64> {
    let value = |i: usize, j: usize| (0..k).map(|p| a(i, p) * b(p, j)).sum();
    (0..m * n).map(|at| value(at / n, at % n)).collect()
}

#[test]
fn products_and_their_gradients_are_right_in_every_order_of_memory() {
    let mut rng = rng(1);
    for m in [1, 2, 5, 12, 49, 130] {
        for k in [1, 3, 64, 129] {
            for n in [1, 4, 10, 17, 33, 64] {
                let (x, y) = (
                    Matrix::random([m, k], &mut rng),
                    Matrix::random([k, n], &mut rng),
                );
                let dy = Matrix::random([m, n], &mut rng);
                let expected = product(|i, j| x.at(i, j), |i, j| y.at(i, j), [m, k, n]);
                let dx = product(|i, j| dy.at(i, j), |i, j| y.at(j, i), [m, n, k]);
                let dw = product(|i, j| x.at(j, i), |i, j| dy.at(i, j), [k, m, n]);
                for turned in [[false, false], [false, true], [true, false], [true, true]] {
                    let what = format!("{m} {k} {n} {turned:?}");
                    let ((a_leaf, a), (b_leaf, b)) = (x.leaf(turned[0]), y.leaf(turned[1]));
                    let out = ops::matmul(Engine::Kernels, a, b);
                    assert_close(&what, &ops::read(out.clone()), &expected, 1e-6, 1e-5);
                    let weight = Tensor::from_data(
                        TensorData::new(dy.values.clone(), [m, n]),
                        &Device::flex().autodiff(),
                    );
                    let gradients = (out * weight).sum().backward();
                    for (leaf, expected, turned) in
                        [(a_leaf, &dx, turned[0]), (b_leaf, &dw, turned[1])]
                    {
                        let gradient = leaf.grad(&gradients).unwrap();
                        let gradient = if turned {
                            gradient.transpose()
                        } else {
                            gradient
                        };
                        let what = format!("gradient of {what}");
                        assert_close(&what, &ops::read(gradient), expected, 1e-6, 1e-5);
                    }
                }
            }
        }
    }
}

/// The pairs of three dimensions, one side maybe the same matrix every time; and no matrix at all.
#[test]
fn products_of_pairs_are_those_of_each() {
    let (mut rng, device) = (rng(2), Device::flex());
    let (x, y) = (
        Matrix::random([3 * 5, 7], &mut rng),
        Matrix::random([3 * 7, 4], &mut rng),
    );
    let tensor = |m: &Matrix, shape: [usize; 3]| {
        Tensor::<3>::from_data(TensorData::new(m.values.clone(), shape), &device)
    };
    let (a, b) = (tensor(&x, [3, 5, 7]), tensor(&y, [3, 7, 4]));
    let one = a.clone().narrow(0, 1, 1).expand([3, 5, 7]);
    for (a, what) in [(a, "each"), (one, "one")] {
        let all = ops::read(ops::matmul(Engine::Kernels, a.clone(), b.clone()));
        for (i, found) in all.chunks_exact(20).enumerate() {
            let side = |x: &Tensor<3>, shape: [usize; 2]| x.clone().narrow(0, i, 1).reshape(shape);
            let each = ops::matmul(Engine::Kernels, side(&a, [5, 7]), side(&b, [7, 4]));
            assert_eq!(found, ops::read(each), "{what} {i}");
        }
    }
    let none = |shape: [usize; 2]| Tensor::<2>::zeros(shape, &device);
    let empty = ops::matmul(Engine::Kernels, none([2, 0]), none([0, 3]));
    assert_eq!(ops::read(empty), [0.0; 6]);
}

#[test]
fn threads_change_nothing() {
    let mut rng = rng(3);
    let (x, y) = (
        Matrix::random([300, 700], &mut rng),
        Matrix::random([700, 200], &mut rng),
    );
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let product = || {
            ops::read(ops::matmul(
                Engine::Kernels,
                x.leaf(false).1,
                y.leaf(true).1,
            ))
        };
        pool.unwrap().install(product)
    };
    assert_eq!(with(1), with(2));
    assert_eq!(with(1), with(3));
}

/// Infinity times zero is no number, wherever it stands.
#[test]
fn nan_and_infinity_go_where_they_belong() {
    let device = Device::flex();
    let x = Tensor::<2>::from_floats([[0.0, 1.0], [f32::INFINITY, 1.0], [1.0, 1.0]], &device);
    let y = Tensor::<2>::from_floats([[f32::INFINITY, 2.0], [1.0, f32::NAN]], &device);
    let out = ops::read(ops::matmul(Engine::Kernels, x, y));
    assert!(out[0].is_nan() && out[1].is_nan() && out[3].is_nan() && out[5].is_nan());
    assert_eq!((out[2], out[4]), (f32::INFINITY, f32::INFINITY));
}

/// The sizes in use: LSTM, heads, squeeze and excitation, distances of rows.
#[test]
#[ignore = "seconds of an idle machine"]
fn products_are_as_fast_as_those_of_burn() {
    let (mut rng, device) = (rng(4), Device::flex());
    let mut slower = Vec::new();
    for (m, k, n) in [
        (1, 64, 256),
        (10, 64, 256),
        (256, 64, 256),
        (10, 64, 1),
        (128, 36, 10),
        (128, 512, 10),
        (128, 640, 100),
        (128, 512, 768),
        (256, 784, 256),
        (256, 3072, 256),
        (1024, 3072, 1024),
        (2048, 32, 24),
    ] {
        let data = |m: &Matrix| TensorData::new(m.values.clone(), m.size);
        let (x, y) = (
            Matrix::random([m, k], &mut rng),
            Matrix::random([n, k], &mut rng),
        );
        let x = Tensor::<2>::from_data(data(&x), &device);
        let y = Tensor::<2>::from_data(data(&y), &device).transpose();
        let time = |engine| {
            let mut best = f64::INFINITY;
            // Short windows, some of which no other program cuts.
            let repeats = (5_000_000 / (m * k * n)).clamp(1, 100);
            for _ in 0..30 {
                let begun = std::time::Instant::now();
                for _ in 0..repeats {
                    std::hint::black_box(ops::matmul(engine, x.clone(), y.clone()));
                }
                best = best.min(begun.elapsed().as_secs_f64() / repeats as f64);
            }
            best * 1e6
        };
        let (ours, burns) = (time(Engine::Kernels), time(Engine::Plain));
        println!("{m} x {k} x {n}: {ours:.1} us, Burn's {burns:.1} us");
        if ours > 1.5 * burns + 1.0 {
            slower.push((m, k, n));
        }
    }
    assert!(slower.is_empty(), "{slower:?}");
}

instruction_sets!();
