//! Sensitivities to the outputs of layers, by an identity: a channel's, summed over images, is the
//! change of the loss when all its weights grow by a share, so the sum of weight times gradient.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Clippy knows test functions, not their helpers.

mod support;

use support::{Array, assert_close, engines, rng};
use tox_nn::kernels::conv::Geometry;
use tox_nn::layers::{Builder, ChainStep, Init, Mode, Pass, Sensitivity, chain};
use tox_nn::ops::{Engine, global_average};

struct Found {
    sensitivities: Vec<Sensitivity>,
    /// Of each layer, by channel: the sum of weight, bias included, times gradient.
    products: Vec<Vec<f64>>,
}

fn find(engine: Engine) -> Found {
    let mut b = Builder::new(3, "test", Init::Torch);
    let stem = b.conv_with_bias("stem", 3, 4, Geometry::same(3));
    let depthwise = b.conv("depthwise", 4, 4, Geometry::same(3).groups(4));
    let (point, norm) = (b.conv("point", 4, 6, Geometry::same(1)), b.norm("norm", 6));
    let head = b.linear("head", 6, 5);
    let unused = b.conv("unused", 3, 7, Geometry::same(1));
    let state = b.finish();
    let device = support::device().autodiff();
    let mut pass = Pass::new(&state, &device, Mode::Probe).probing();
    pass.engine = engine;
    let x = Array::uniform([5, 3, 6, 6], -1.0, 1.0, &mut rng(6)).constant();
    unused.forward(&pass, x.clone());
    let step = |conv: tox_nn::layers::Conv, relu, norm| ChainStep {
        relu,
        weight: pass.get(conv.weight()),
        geometry: conv.geometry(),
        norm,
    };
    let steps = vec![step(depthwise, true, None), step(point, false, Some(norm))];
    let x = chain(&pass, stem.forward(&pass, x), steps, None);
    let y = head.forward(&pass, global_average(pass.relu(x)));
    let mut gradients = (y.clone() * y).sum().backward();
    let sensitivities = pass.sensitivities(&mut gradients);
    let gradients = pass.finish(gradients).gradients;
    let products = ["stem", "depthwise", "point", "head"].map(|name| {
        let mut sums: Vec<f64> = Vec::new();
        for (id, gradient) in &gradients {
            let entry = state.params.entry(*id);
            if entry
                .name
                .strip_prefix(name)
                .is_some_and(|n| n.starts_with('.'))
            {
                let channels = entry.shape[0];
                sums.resize(channels, 0.0);
                let weights = &state.params.values[entry.range()];
                for (i, (w, g)) in weights.iter().zip(gradient).enumerate() {
                    sums[i * channels / entry.len()] += f64::from(*w) * f64::from(*g);
                }
            }
        }
        sums
    });
    Found {
        sensitivities,
        products: products.into(),
    }
}

#[test]
fn a_channel_is_as_sensitive_as_its_weights() {
    for engine in engines() {
        let Found {
            sensitivities,
            products,
        } = find(engine);
        // In the order of the pass; the layer that nothing depends on is left out.
        let weights: Vec<usize> = sensitivities.iter().map(|s| s.weights).collect();
        assert_eq!(weights, [27, 9, 4, 6], "{engine:?}");
        for (layer, expected) in sensitivities.iter().zip(products) {
            assert_eq!(layer.values.len(), 5 * layer.channels);
            let mut sums = vec![0.0; layer.channels];
            for (i, v) in layer.values.iter().enumerate() {
                sums[i % layer.channels] += v;
            }
            let largest = expected.iter().fold(0.0f64, |m, v| m.max(v.abs()));
            assert_close(
                &format!("{engine:?}"),
                &sums,
                &expected,
                1e-4,
                1e-5 * (1.0 + largest),
            );
        }
    }
}

support::on_vulkan!();
