//! Layers by hand: bias, batch norm without gamma and beta, running statistics, dropout, drop-path;
//! with our kernels and with Burn's own ops.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Clippy knows test functions, not their helpers.

mod support;

use burn::tensor::activation::relu;
use burn::tensor::{Tensor, TensorData};
use support::{Array, assert_close, engines, naive_conv, rng};
use tox_nn::Device;
use tox_nn::kernels::conv::Geometry;
use tox_nn::layers::{Builder, ChainStep, Draws, Init, Mode, Pass, State, chain};
use tox_nn::ops::read;

fn draws(step: u64) -> Draws<'static> {
    Draws {
        seed: 4,
        network: "test",
        step,
    }
}

fn tensor<const D: usize>(values: &[f32], shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

#[test]
fn a_bias_is_added_to_its_channel_and_has_a_gradient() {
    let mut b = Builder::new(1, "test", Init::Torch);
    let conv = b.conv_with_bias("conv", 4, 6, Geometry::same(3).groups(2));
    let state = b.finish();
    assert_eq!(state.params.entries()[1].name, "conv.bias");
    let (x, dy) = (
        Array::uniform([2, 4, 5, 5], -1.0, 1.0, &mut rng(1)),
        Array::uniform([2, 6, 5, 5], -1.0, 1.0, &mut rng(2)),
    );
    let weight = state.params.entry(conv.weight());
    let weight = Array::new(weight.shape, state.params.values[weight.range()].to_vec());
    let [mut y, _, dw] = naive_conv(&x, &weight, &dy, conv.geometry());
    let bias = &state.params.values[state.params.entries()[1].range()];
    let mut db = vec![0.0; 6];
    for (i, (y, dy)) in y.iter_mut().zip(&dy.values).enumerate() {
        let channel = i / 25 % 6;
        *y += f64::from(bias[channel]);
        db[channel] += f64::from(*dy);
    }
    for engine in engines() {
        let device = support::device().autodiff();
        let mut pass = Pass::new(&state, &device, Mode::Evaluate);
        pass.engine = engine;
        let out = conv.forward(&pass, x.constant());
        let step = pass.finish((out.clone() * dy.constant()).sum().backward());
        assert_close("y", &read(out), &y, 1e-5, 0.0);
        assert_close("dw", &step.gradients[0].1, &dw, 1e-5, 0.0);
        assert_close("db", &step.gradients[1].1, &db, 1e-5, 0.0);
    }
}

/// Channel 0 holds 1, 2, 3, 6: mean 3, variance 3.5, unbiased 14 / 3. Channel 1 is constant.
fn measured_by_hand(engine: tox_nn::ops::Engine, passes: usize) -> State {
    let mut b = Builder::new(1, "test", Init::Torch);
    let norm = b.norm_without_affine("bn", 2);
    let mut state = b.finish();
    assert_eq!(state.parameters(), 0);
    let device = support::device();
    let mut pass = Pass::new(&state, &device, Mode::Train(draws(0)));
    pass.engine = engine;
    let x = tensor(&[1., 2., 5., 5., 3., 6., 5., 5.], [2, 2, 1, 2], &device);
    for _ in 0..passes {
        let y = read(norm.forward(&pass, x.clone(), false));
        let unit = 1.0 / 3.5f64.sqrt();
        let expected = [-2.0 * unit, -unit, 0., 0., 0., 3.0 * unit, 0., 0.];
        assert_close("y", &y, &expected, 1e-5, 1e-6);
        let positive =
            read(norm.forward(&Pass::new(&state, &device, Mode::Probe), x.clone(), true));
        assert_close("relu", &positive, &expected.map(|v| v.max(0.0)), 1e-5, 1e-6);
    }
    let measured = pass.measured();
    assert_eq!(measured.len(), passes);
    assert!(measured.iter().all(|m| m.count == 4));
    state.running.update(&measured);
    state
}

#[test]
fn running_statistics_move_by_a_tenth_towards_the_unbiased_ones() {
    for engine in engines() {
        let state = measured_by_hand(engine, 1);
        let (id, name, channels) = state.running.norms().next().unwrap();
        assert_eq!((name, channels), ("bn", 2));
        let (mean, var) = state.running.of(id);
        assert_close("mean", mean, &[0.3, 0.5], 1e-6, 0.0);
        assert_close("var", var, &[0.9 + 1.4 / 3.0, 0.9], 1e-6, 0.0);
        assert_eq!(state.running.batches, [1]);
        // A norm that is passed twice in a step moves twice, as in PyTorch.
        let state = measured_by_hand(engine, 2);
        let (mean, var) = state.running.of(id);
        assert_close("mean", mean, &[0.57, 0.95], 1e-6, 0.0);
        assert_close("var", var, &[0.81 + 0.19 * 14.0 / 3.0, 0.81], 1e-6, 0.0);
        assert_eq!(state.running.batches, [2]);
    }
}

#[test]
fn evaluation_uses_the_running_statistics() {
    let mut b = Builder::new(1, "test", Init::Torch);
    let norm = b.norm("bn", 1);
    let mut state = b.finish();
    let (mean, var) = state.running.of_mut(norm.running());
    (mean[0], var[0]) = (2.0, 4.0 - 1e-5);
    state.params.values = vec![3.0, -1.0];
    let device = support::device();
    for engine in engines() {
        let mut pass = Pass::new(&state, &device, Mode::Evaluate);
        pass.engine = engine;
        let x = tensor(&[0.0, 2.0, 6.0], [1, 1, 1, 3], &device);
        // 3 (x - 2) / 2 - 1
        let y = read(norm.forward(&pass, x.clone(), false));
        assert_close("y", &y, &[-4.0, -1.0, 5.0], 1e-6, 0.0);
        let y = read(norm.forward(&pass, x, true));
        assert_close("relu", &y, &[0.0, 0.0, 5.0], 1e-6, 0.0);
        assert!(pass.measured().is_empty());
    }
}

#[test]
fn dropout_keeps_its_share_and_draws_by_step_and_place() {
    let (state, device) = (State::default(), support::device());
    let drop = |step, p, place| {
        let pass = Pass::new(&state, &device, Mode::Train(draws(step)));
        read(pass.dropout(Tensor::<2>::ones([100, 50], &device), p, place))
    };
    let base = drop(0, 0.2, 3);
    assert!(base.iter().all(|v| *v == 0.0 || (*v - 1.25).abs() < 1e-6));
    // 1,000 of 5,000 expected, standard deviation 28.
    let zeros = base.iter().filter(|v| **v == 0.0).count();
    assert!(zeros.abs_diff(1_000) < 140, "{zeros}");
    assert_eq!(base, drop(0, 0.2, 3));
    assert_ne!(base, drop(1, 0.2, 3));
    assert_ne!(base, drop(0, 0.2, 4));
    assert!(drop(0, 0.0, 3).iter().all(|v| *v == 1.0));
    assert!(drop(0, 1.0, 3).iter().all(|v| *v == 0.0));
    let pass = Pass::new(&state, &device, Mode::Train(draws(0)));
    let nan = pass.dropout(tensor(&[f32::NAN, 1.0], [1, 2], &device), 1.0, 0);
    assert!(read(nan)[0].is_nan(), "0 x NaN");
    for mode in [Mode::Evaluate, Mode::Probe] {
        let pass = Pass::new(&state, &device, mode);
        let x = read(pass.dropout(Tensor::<2>::ones([10, 10], &device), 0.9, 0));
        assert!(x.iter().all(|v| *v == 1.0));
    }
}

#[test]
fn drop_path_drops_whole_images() {
    let (state, device) = (State::default(), support::device());
    let pass = Pass::new(&state, &device, Mode::Train(draws(0)));
    let x = read(pass.drop_path(Tensor::ones([400, 2, 3, 3], &device), 0.5, 0));
    let images: Vec<&[f32]> = x.chunks_exact(18).collect();
    assert!(
        images
            .iter()
            .all(|image| image.iter().all(|v| *v == image[0]))
    );
    assert!(
        images
            .iter()
            .all(|image| image[0] == 0.0 || image[0] == 2.0)
    );
    // 200 of 400 expected, standard deviation 10.
    let dropped = images.iter().filter(|image| image[0] == 0.0).count();
    assert!(dropped.abs_diff(200) < 50, "{dropped}");
}

/// One op in training, layers apart in evaluation: always what the layers do one after the other,
/// also to the scale's gradient and to what batch norms measure. `last`: whether the chain ends in a
/// batch norm, whose gamma the scale multiplies.
#[test]
fn a_chain_is_its_layers_times_the_scale() {
    let x = Array::uniform([3, 4, 6, 6], -1.0, 1.0, &mut rng(5));
    let dy = Array::uniform([3, 4, 3, 3], -1.0, 1.0, &mut rng(6));
    let mut b = Builder::new(1, "test", Init::Torch);
    let geometries = [Geometry::same(3).groups(4).stride(2), Geometry::same(1)];
    let convs = geometries.map(|g| b.conv(&format!("conv{}", g.kernel), 4, 4, g));
    let norms = [b.norm("bn1", 4), b.norm_without_affine("bn2", 4)];
    let mut state = b.finish();
    for norm in norms {
        let (mean, var) = state.running.of_mut(norm.running());
        mean.copy_from_slice(&[0.1, -0.1, 0.2, 0.0]);
        var.copy_from_slice(&[0.5, 1.5, 0.7, 2.0]);
    }
    for engine in engines() {
        for mode in [Mode::Train(draws(0)), Mode::Probe, Mode::Evaluate] {
            for last in [Some(norms[1]), None] {
                let made = |as_chain: bool| {
                    let device = support::device().autodiff();
                    let mut pass = Pass::new(&state, &device, mode);
                    pass.engine = engine;
                    let scale = tensor(&[0.25], [1; 4], &device).require_grad();
                    let y = if as_chain {
                        let step = |i: usize, norm| ChainStep {
                            relu: i == 0,
                            weight: pass.get(convs[i].weight()),
                            geometry: convs[i].geometry(),
                            norm,
                        };
                        let steps = vec![step(0, Some(norms[0])), step(1, last)];
                        chain(&pass, x.constant(), steps, Some(&scale))
                    } else {
                        let x = convs[0].forward(&pass, relu(x.constant()));
                        let x = convs[1].forward(&pass, norms[0].forward(&pass, x, false));
                        let x = match last {
                            Some(norm) => norm.forward(&pass, x, false),
                            None => x,
                        };
                        x * scale.clone()
                    };
                    let mut gradients = (y.clone() * dy.constant()).sum().backward();
                    let by_scale = read(scale.grad_remove(&mut gradients).unwrap());
                    (read(y), by_scale, pass.take(&mut gradients))
                };
                let (y, by_scale, step) = made(true);
                let (wanted, wanted_by_scale, wanted_step) = made(false);
                let wide = |v: &[f32]| v.iter().copied().map(f64::from).collect::<Vec<_>>();
                assert_close("y", &y, &wide(&wanted), 1e-5, 1e-6);
                assert_close("scale", &by_scale, &wide(&wanted_by_scale), 1e-5, 1e-5);
                assert_eq!(step.gradients.len(), 4);
                for ((id, got), (same, wanted)) in step.gradients.iter().zip(&wanted_step.gradients)
                {
                    assert_eq!(id, same);
                    assert_close("weight", got, &wide(wanted), 1e-4, 1e-6);
                }
                let norms = match mode {
                    Mode::Train(_) => 1 + usize::from(last.is_some()),
                    _ => 0,
                };
                assert_eq!(step.measured.len(), norms);
                for (got, wanted) in step.measured.iter().zip(&wanted_step.measured) {
                    assert_eq!((got.norm, got.count), (wanted.norm, 27));
                    assert_close("measured", &got.values, &wide(&wanted.values), 1e-5, 1e-6);
                }
            }
        }
    }
}

/// Weights that are fixed have no gradient; all else has the same.
#[test]
fn a_pass_with_fixed_weights_has_the_gradients_of_the_rest() {
    let x = Array::uniform([2, 3, 5, 5], -1.0, 1.0, &mut rng(7));
    let mut b = Builder::new(1, "test", Init::Torch);
    let conv = b.conv("conv", 3, 2, Geometry::same(3));
    let state = b.finish();
    let made = |fixed: bool| {
        let device = support::device().autodiff();
        let pass = match fixed {
            true => Pass::fixed(&state, &device, Mode::Probe),
            false => Pass::new(&state, &device, Mode::Probe),
        };
        let x = x.leaf();
        let y = conv.forward(&pass, x.clone());
        let mut gradients = (y.clone() * y).sum().backward();
        let by_input = read(x.grad_remove(&mut gradients).unwrap());
        (by_input, pass.take(&mut gradients).gradients.len())
    };
    let (by_input, weights) = made(true);
    assert_eq!(weights, 0);
    assert_eq!(made(false), (by_input, 1));
}

support::on_vulkan!();
