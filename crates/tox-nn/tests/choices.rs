//! Passes whose ReLUs and max pools choose as those of an earlier pass: by hand, and that nothing
//! changes where the weights are those of the earlier pass, nor where a pass is probing.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Clippy knows test functions, not their helpers.

mod support;

use burn::tensor::{Tensor, TensorData};
use support::{Array, assert_close, engines, rng};
use tox_nn::Device;
use tox_nn::kernels::conv::Geometry;
use tox_nn::layers::{BatchNorm, Builder, Conv, Init, Linear, Mode, Network, Pass, State};
use tox_nn::nets::resnet::resnet18;
use tox_nn::nets::wrn::{Shape, WrnConfig, wrn};
use tox_nn::ops::{Engine, global_average, read};

fn tensor<const D: usize>(values: &[f32], shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

#[test]
fn a_held_relu_lets_through_what_the_earlier_one_did() {
    let (state, device) = (State::default(), support::device().autodiff());
    let nan = f32::NAN;
    let first = Pass::new(&state, &device, Mode::Probe).noting();
    let y = first.relu(tensor(&[1.0, -2.0, 3.0, 0.0, nan, -1.0], [2, 3], &device));
    let y = read(y);
    assert_eq!(y[..4], [1.0, 0.0, 3.0, 0.0]);
    assert!(y[4].is_nan() && y[5] == 0.0);
    let choices = first.choices();
    let held = Pass::new(&state, &device, Mode::Probe).holding(&choices);
    let x = tensor(
        &[-1.0, 5.0, 2.0, 3.0, 4.0, f32::NEG_INFINITY],
        [2, 3],
        &device,
    );
    let x = x.require_grad();
    let y = held.relu(x.clone());
    assert_eq!(read(y.clone()), [-1.0, 0.0, 2.0, 0.0, 4.0, 0.0]);
    let dx = x.grad(&y.sum().backward()).unwrap();
    assert_eq!(read(dx), [1.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
}

/// The windows of a 2x2 plane hold all of it; those of a row of four end at its borders.
#[test]
fn a_held_max_pool_takes_the_pixel_that_won_before() {
    let (state, device) = (State::default(), support::device().autodiff());
    let first = Pass::new(&state, &device, Mode::Probe).noting();
    let square = tensor(&[1.0, 2.0, 3.0, 9.0], [1, 1, 2, 2], &device);
    let row = tensor(&[-4.0, -1.0, -2.0, -1.0], [1, 1, 1, 4], &device);
    assert_eq!(read(first.max_pool(square)), [9.0; 4]);
    assert_eq!(read(first.max_pool(row)), [-1.0; 4]);
    let choices = first.choices();
    let held = Pass::new(&state, &device, Mode::Probe).holding(&choices);
    let x = tensor(&[7.0, 6.0, 8.0, 5.0], [1, 1, 2, 2], &device).require_grad();
    let y = held.max_pool(x.clone());
    assert_eq!(read(y.clone()), [5.0; 4]);
    let dx = x.grad(&y.sum().backward()).unwrap();
    assert_eq!(read(dx), [0.0, 0.0, 0.0, 4.0]);
    let row = tensor(&[10.0, 20.0, 30.0, 40.0], [1, 1, 1, 4], &device);
    // Of equals, the first won.
    assert_eq!(read(held.max_pool(row)), [20.0, 20.0, 20.0, 40.0]);
}

struct Net {
    conv: Conv,
    norm: BatchNorm,
    head: Linear,
}

impl Network for Net {
    fn logits(&self, pass: &Pass<'_>, x: Tensor<4>) -> Tensor<2> {
        let x = self.norm.forward(pass, self.conv.forward(pass, x), true);
        let x = global_average(pass.max_pool(x));
        self.head.forward(pass, x)
    }
}

fn net() -> (Net, State) {
    let mut b = Builder::new(3, "test", Init::Torch);
    let net = Net {
        conv: b.conv("conv", 3, 5, Geometry::same(3)),
        norm: b.norm("norm", 5),
        head: b.linear("head", 5, 4),
    };
    (net, b.finish())
}

/// Logits and all gradients of their squares' sum.
fn passed<N: Network>(network: &N, pass: Pass<'_>, x: &Array) -> (Vec<f32>, Vec<Vec<f32>>) {
    let y = network.logits(&pass, x.constant());
    let step = pass.finish((y.clone() * y.clone()).sum().backward());
    let gradients = step.gradients.into_iter().map(|(_, g)| g).collect();
    (read(y), gradients)
}

fn unchanged<N: Network>(network: &N, state: &State, side: usize, engine: Engine, mode: Mode<'_>) {
    let x = Array::uniform([4, 3, side, side], -1.0, 1.0, &mut rng(6));
    let device = support::device().autodiff();
    let pass = || {
        let mut pass = Pass::new(state, &device, mode);
        pass.engine = engine;
        pass
    };
    let (y, gradients) = passed(network, pass(), &x);
    let noting = pass().noting();
    network.logits(&noting, x.constant());
    let choices = noting.choices();
    let all = [
        ("noting", passed(network, pass().noting(), &x)),
        ("held", passed(network, pass().holding(&choices), &x)),
        ("probing", passed(network, pass().probing(), &x)),
    ];
    let wide = |values: &[f32]| values.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
    for (name, (held, held_gradients)) in all {
        assert_close(name, &held, &wide(&y), 1e-5, 1e-6);
        assert_eq!(held_gradients.len(), gradients.len());
        for (a, b) in held_gradients.iter().zip(&gradients) {
            let size = b.iter().fold(0.0f32, |m, v| m.max(v.abs()));
            assert_close(name, a, &wide(b), 1e-4, 1e-5 * f64::from(size));
        }
    }
}

#[test]
fn at_the_same_weights_nothing_changes() {
    for engine in engines() {
        for mode in [Mode::Probe, Mode::Evaluate] {
            let (network, state) = net();
            unchanged(&network, &state, 6, engine, mode);
            let (network, state) = resnet18(3, 4, 4, Init::Torch, (1, "test"));
            unchanged(&network, &state, 8, engine, mode);
            let shape = Shape::parse("d2,1,1-w1,2,2-r001-b8").unwrap();
            let config = WrnConfig::new(shape, 3, 4);
            let (network, state) = wrn(&config, Init::Torch, (1, "test"));
            unchanged(&network, &state, 8, engine, mode);
        }
    }
}

/// With its choices held, the net without batch norm's own nonlinearity is linear in the head's and
/// in the convolution's weights each: twice the step, twice the change.
#[test]
fn held_choices_leave_no_kink() {
    let (network, state) = net();
    let device = support::device();
    let x = Array::uniform([4, 3, 6, 6], -1.0, 1.0, &mut rng(6));
    let pass = Pass::new(&state, &device, Mode::Evaluate).noting();
    let x = tensor(&x.values, [4, 3, 6, 6], &device);
    let here = read(network.logits(&pass, x.clone()));
    let choices = pass.choices();
    let at = |step: f32, held: bool| {
        let mut moved = state.clone();
        let range = moved.params.entry(network.conv.weight()).range();
        for (i, w) in moved.params.values[range].iter_mut().enumerate() {
            *w += step * if i % 2 == 0 { 1.0 } else { -1.0 };
        }
        let mut pass = Pass::new(&moved, &device, Mode::Evaluate);
        if held {
            pass = pass.holding(&choices);
        }
        read(network.logits(&pass, x.clone()))
    };
    let bend = |held: bool| {
        let (once, twice) = (at(1.0, held), at(2.0, held));
        let bends = here.iter().zip(once.iter().zip(&twice));
        bends
            .map(|(here, (once, twice))| (here - 2.0 * once + twice).abs())
            .fold(0.0f32, f32::max)
    };
    assert!(bend(true) < 1e-5, "{}", bend(true));
    assert!(bend(false) > 1e-2, "{}", bend(false));
}

support::on_vulkan!();
