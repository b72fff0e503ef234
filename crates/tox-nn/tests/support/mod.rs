//! What the tests of the ops share: tensors with gradients, and comparison with float64 values.
#![allow(dead_code)] // Each test binary uses a part of it.

use burn::tensor::{Device, Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::path::{Path, PathBuf};
use std::process::Command;
use tox_nn::kernels::conv::Geometry;
use tox_nn::layers::{Draws, Mode};
use tox_nn::ops::Engine;
#[allow(unused_imports)]
pub use tox_testkit::numbers::widen;
use tox_testkit::numbers::{self, Within};

/// What the tests of the calling process compute on: the CPU, or what [`on_device`] said.
pub fn device() -> Device {
    match std::env::var(DEVICE) {
        Ok(name) => tox_nn::device::parse(&name).unwrap(),
        Err(_) => Device::flex(),
    }
}

const DEVICE: &str = "TOXSCREEN_TEST_DEVICE";

/// Every test runs with all that the device has, kernels first.
pub fn engines() -> Vec<Engine> {
    match Engine::on(&device()) {
        Engine::Kernels => vec![Engine::Kernels, Engine::Plain],
        Engine::Plain => vec![Engine::Plain],
    }
}

/// Any training step.
pub const TRAIN: Mode<'_> = Mode::Train(Draws {
    seed: 0,
    network: "test",
    step: 0,
});

/// A file of the fixtures.
pub fn path(name: &str) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    fixtures.join(name)
}

/// Four dimensions and values in row-major order.
#[derive(Clone, Debug)]
pub struct Array {
    pub shape: [usize; 4],
    pub values: Vec<f32>,
}

impl Array {
    pub fn new(shape: [usize; 4], values: Vec<f32>) -> Self {
        assert_eq!(values.len(), shape.iter().product::<usize>());
        Self { shape, values }
    }

    /// Integers in `-4..=4`: with them, every sum of a small convolution is exact in f32, in
    /// whatever order it is taken, and maps are full of equal values.
    pub fn integers(shape: [usize; 4], rng: &mut ChaCha8Rng) -> Self {
        let n = shape.iter().product();
        let values = (0..n).map(|_| rng.random_range(-4i8..=4).into()).collect();
        Self { shape, values }
    }

    /// Uniform in `low..high`.
    pub fn uniform(shape: [usize; 4], low: f32, high: f32, rng: &mut ChaCha8Rng) -> Self {
        let n = shape.iter().product();
        let values = (0..n).map(|_| rng.random_range(low..high)).collect();
        Self { shape, values }
    }

    /// On the device, with gradients recorded.
    pub fn leaf(&self) -> Tensor<4> {
        self.constant().require_grad()
    }

    pub fn constant(&self) -> Tensor<4> {
        let data = TensorData::new(self.values.clone(), self.shape);
        Tensor::from_data(data, &device().autodiff())
    }
}

pub fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

pub fn read(x: Tensor<4>) -> Vec<f32> {
    x.into_data().try_into_vec().unwrap()
}

/// The output of `f(inputs)`, and the gradients of `sum(output * cotangent)` with respect to every
/// input.
pub fn differentiate(
    inputs: &[&Array],
    cotangent: &Array,
    f: impl FnOnce(&[Tensor<4>]) -> Tensor<4>,
) -> (Vec<f32>, Vec<Vec<f32>>) {
    let leaves: Vec<_> = inputs.iter().map(|x| x.leaf()).collect();
    let out = f(&leaves);
    assert_eq!(out.dims(), cotangent.shape);
    let gradients = (out.clone() * cotangent.constant()).sum().backward();
    let gradients = leaves
        .iter()
        .map(|leaf| read(leaf.grad(&gradients).expect("a gradient")))
        .collect();
    (read(out), gradients)
}

/// Fails unless every value is within `tolerance * (|expected| + the largest |expected|) + floor`.
pub fn assert_close(what: &str, actual: &[f32], expected: &[f64], tolerance: f64, floor: f64) {
    let (own, peak) = (tolerance, tolerance);
    numbers::assert_close(what, actual, expected, Within { own, peak, floor });
}

/// A convolution's output and both gradients, by definition.
pub fn naive_conv(x: &Array, weight: &Array, dy: &Array, g: Geometry) -> [Vec<f64>; 3] {
    let [n, ci, h, w] = x.shape;
    let [co, per_group, k, _] = weight.shape;
    let (oh, ow) = (h.div_ceil(g.stride), w.div_ceil(g.stride));
    let mut y = vec![0.0; n * co * oh * ow];
    let mut dx = vec![0.0; x.values.len()];
    let mut dw = vec![0.0; weight.values.len()];
    for m in 0..n {
        for o in 0..co {
            for i in 0..per_group {
                let from = o / (co / g.groups) * per_group + i;
                for tap in 0..k * k {
                    for out in 0..oh * ow {
                        let (row, column) = (out / ow * g.stride, out % ow * g.stride);
                        let row = (row + tap / k * g.dilation).wrapping_sub(g.padding);
                        let column = (column + tap % k * g.dilation).wrapping_sub(g.padding);
                        if row >= h || column >= w {
                            continue;
                        }
                        let a = ((m * ci + from) * h + row) * w + column;
                        let b = (o * per_group + i) * k * k + tap;
                        let c = (m * co + o) * oh * ow + out;
                        y[c] += f64::from(x.values[a]) * f64::from(weight.values[b]);
                        dx[a] += f64::from(dy.values[c]) * f64::from(weight.values[b]);
                        dw[b] += f64::from(dy.values[c]) * f64::from(x.values[a]);
                    }
                }
            }
        }
    }
    [y, dx, dw]
}

/// Kernels of the search spaces: dense, stretched by 50 and dilated by 2; then with a stride of 2.
pub fn geometries() -> Vec<Geometry> {
    let mut all = [1, 3, 5].map(Geometry::same).to_vec();
    all.extend([Geometry::dilated(3, 50), Geometry::dilated(3, 2)]);
    all.extend([1, 3, 5].map(|k| Geometry::same(k).stride(2)));
    all.push(Geometry::dilated(5, 2).stride(2));
    all
}

/// Rows and columns of a convolution's output.
pub fn side((h, w): (usize, usize), g: Geometry) -> (usize, usize) {
    (h.div_ceil(g.stride), w.div_ceil(g.stride))
}

/// The pixels of the 3x3 window around `at` that lie on the map, row by row.
pub fn window((h, w): (usize, usize), at: usize) -> impl Iterator<Item = usize> {
    let (y, x) = (at / w, at % w);
    (y.saturating_sub(1)..(y + 2).min(h))
        .flat_map(move |row| (x.saturating_sub(1)..(x + 2).min(w)).map(move |col| row * w + col))
}

/// Runs all tests of the calling file with the instruction set of an older machine, `avx2` or `portable`,
/// in a process of its own, where this function finds what it was asked for.
pub fn on_instruction_set(set: &str) {
    let used = tox_nn::kernels::instruction_set();
    if let Ok(set) = std::env::var("TOXSCREEN_KERNELS") {
        let older = if set == "portable" { "128-bit" } else { &set };
        assert!([&set, older].contains(&used), "{used} in place of {set}");
        return;
    }
    again(
        set,
        Command::new(std::env::current_exe().unwrap()).env("TOXSCREEN_KERNELS", set),
    );
}

/// Runs all tests of the calling file on another device, in a process of its own.
pub fn on_device(name: &str) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    // Those are of the CPU's kernels.
    command.args(["--skip", "machines_without", "--test-threads", "1"]);
    again(name, command.env(DEVICE, name));
}

/// Runs tests, of which there are some.
fn again(what: &str, command: &mut Command) {
    let out = command.output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    let ran = text.contains("test result: ok.") && !text.contains(" 0 passed");
    assert!(out.status.success() && ran, "{what}: {text}");
}

/// All tests of a file with the instruction sets of older machines.
#[allow(unused_macros)]
macro_rules! instruction_sets {
    () => {
        #[test]
        fn machines_without_vectors_are_right_too() {
            $crate::support::on_instruction_set("portable");
        }

        #[test]
        #[ignore = "needs AVX2"]
        fn avx2_is_right_too() {
            $crate::support::on_instruction_set("avx2");
        }
    };
}
#[allow(unused_imports)]
pub(crate) use instruction_sets;

/// All tests of a file on a GPU, or a software driver.
#[allow(unused_macros)]
macro_rules! on_vulkan {
    () => {
        #[cfg(feature = "vulkan")]
        #[test]
        #[ignore = "needs a Vulkan driver"]
        fn vulkan_is_right_too() {
            $crate::support::on_device("vulkan:0");
        }
    };
}
#[allow(unused_imports)]
pub(crate) use on_vulkan;
