//! Parts of the child that the PyTorch fixtures do not reach: noise, dropout, where maps are halved.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Clippy knows test functions, not their helpers.

mod support;

use burn::tensor::{Int, Tensor, TensorData};
use rand::RngExt;
use rand_distr::StandardNormal;
use support::{assert_close, mode, pass, set, space};
use tox_data::Batch;
use tox_data::rng::stream;
use tox_nn::Device;
use tox_nn::kernels::conv::Geometry;
use tox_nn::ops::{self, cross_entropy};
use tox_nn::params::Leaves;
use tox_search::enas::child::{Architecture, Child, Choice, Mode};
use tox_search::enas::config::ChildConfig;
use tox_search::space::Op;

/// A child of three layers and four channels that computes the first op everywhere, without skips.
fn small(ops: &[Op], keep_prob: f64) -> (Child, Architecture) {
    let config = ChildConfig {
        layers: 3,
        channels: 4,
        keep_prob,
        ..ChildConfig::default()
    };
    let layer = |i| Choice {
        op: 0,
        skips: vec![false; i],
    };
    let layers = (0..3).map(layer).collect();
    let child = Child::new(&space(ops), &config, 1, 4, 4, "search");
    (child, Architecture { layers })
}

/// `n` images of 8x8.
fn images(n: usize) -> Batch {
    Batch {
        pixels: (0..n * 64).map(|v| (v * v % 13) as f32 - 6.0).collect(),
        shape: [n, 1, 8, 8],
        labels: (0..n).map(|i| i as u16 % 4).collect(),
    }
}

fn logits(child: &Child, batch: &Batch, architecture: &Architecture, mode: Mode) -> Vec<f32> {
    let device = Device::flex();
    let leaves = Leaves::new(&child.params, &device);
    let x = TensorData::new(batch.pixels.clone(), batch.shape);
    let logits = child.forward(&leaves, Tensor::from_data(x, &device), architecture, mode);
    logits.into_data().try_into_vec().unwrap()
}

/// No noise in evaluation or with `sigma` 0; otherwise noise that belongs to the step.
#[test]
fn gaussian_noise_is_drawn_anew_at_every_training_step() {
    let of = |op, mode| {
        let (child, architecture) = small(&[op], 1.0);
        logits(&child, &images(2), &architecture, mode)
    };
    let noisy = |sigma| Op::Gaussian { sigma };
    let plain = of(Op::Identity, Mode::Evaluate);
    assert_eq!(plain, of(noisy(10.0), Mode::Evaluate));
    assert_eq!(plain, of(noisy(0.0), mode(0)));
    let first = of(noisy(10.0), mode(0));
    assert_ne!(plain, first);
    assert_eq!(first, of(noisy(10.0), mode(0)), "the same step again");
    assert_ne!(first, of(noisy(10.0), mode(1)), "another step");
}

/// The noise is `sigma * x * N(0, 1)`, and as the scale `x` is detached, it moves no gradient: the
/// gradient of the map before it is that of the map behind it.
#[test]
fn gaussian_noise_is_a_constant_of_the_gradient() {
    let (child, mut architecture) = small(&[Op::Identity, Op::Gaussian { sigma: 10.0 }], 1.0);
    architecture.layers[2].op = 1;
    let batch = images(2);
    let (got, _, gradients) = pass(&child, &batch, &architecture);

    // The same network from the ops.
    let engine = ops::Engine::Kernels;
    let device = Device::flex().autodiff();
    let leaves = Leaves::new(&child.params, &device);
    let weight = |name: &str| {
        let found = child
            .params
            .ids()
            .find(|id| child.params.entry(*id).name == name);
        leaves.get(found.unwrap_or_else(|| panic!("no {name}")))
    };
    let norm = |x, name: &str| {
        let [gamma, beta] = ["weight", "bias"].map(|part| weight(&format!("{name}.{part}")));
        ops::batch_norm(engine, x, gamma, beta, false)
    };
    let halve = |x, name: &str| {
        let g = Geometry::same(1).groups(2);
        let x = ops::conv(
            engine,
            ops::gather(engine, x),
            weight(&format!("{name}.weight")),
            g,
        );
        norm(x, &format!("{name}.bn"))
    };
    let x = Tensor::from_data(TensorData::new(batch.pixels.clone(), batch.shape), &device);
    let x = ops::conv(engine, x, weight("stem.conv.weight"), Geometry::same(3));
    let x = norm(norm(x, "stem.bn"), "layers.0.bn");
    let x = norm(halve(x, "reductions.0.0"), "layers.1.bn");
    let x = halve(x, "reductions.1.1");
    let mut rng = stream(3, "noise/search", &[0, 2]);
    let noise = (0..x.dims().iter().product())
        .map(|_| 10.0 * rng.sample::<f32, _>(StandardNormal))
        .collect();
    // Numbers, of which the graph knows nothing.
    let values = x.clone().into_data().try_into_vec::<f32>().unwrap();
    let noise: Vec<f32> = std::iter::zip::<_, Vec<f32>>(values, noise)
        .map(|(x, noise)| x * noise)
        .collect();
    let noise = Tensor::from_data(TensorData::new(noise, x.dims()), &device);
    let x = ops::global_average(norm(x + noise, "layers.2.bn"));
    let head = weight("classify.weight").reshape([4, 4]).transpose();
    let expected = x.matmul(head) + weight("classify.bias").reshape([1, 4]);
    let labels = TensorData::new(vec![0i64, 1], [2]);
    let labels = Tensor::<1, Int>::from_data(labels, &device);
    let loss = cross_entropy(expected.clone(), labels).backward();
    let expected: Vec<f32> = expected.into_data().try_into_vec().unwrap();
    let widen = |v: &[f32]| v.iter().copied().map(f64::from).collect::<Vec<_>>();
    assert_close("logits", &got, &widen(&expected), 1e-6);
    for (id, expected) in leaves.gradients(loss) {
        let name = &child.params.entry(id).name;
        assert_close(name, &gradients[name], &widen(&expected), 1e-6);
    }
    assert!(gradients["stem.conv.weight"].iter().any(|g| g.abs() > 1e-3));
}

/// With the identity as classifier, the logits are the pooled features, dropped or scaled.
#[test]
fn dropout_keeps_its_share_and_scales_it() {
    let (mut child, architecture) = small(&[Op::Conv { k: 3 }], 0.75);
    let unit = (0..16).map(|i| f64::from(u8::from(i % 5 == 0))).collect();
    let head = [
        ("classify.weight".to_owned(), unit),
        ("classify.bias".to_owned(), vec![0.0; 4]),
    ];
    set(&mut child.params, head.into());
    let batch = images(300);
    let features = logits(&child, &batch, &architecture, Mode::Evaluate);
    let dropped = logits(&child, &batch, &architecture, mode(0));
    let mut kept = 0;
    for (dropped, feature) in dropped.iter().zip(&features) {
        assert_ne!(*feature, 0.0);
        if *dropped != 0.0 {
            kept += 1;
            assert_close("kept", &[*dropped], &[f64::from(*feature) / 0.75], 1e-7);
        }
    }
    // 1200 draws: 900 kept, standard deviation 15.
    assert!((840..960).contains(&kept), "{kept} of 1200 kept");
}

/// As in the code of ENAS: after `n / 3` layers and after twice as many.
#[test]
fn maps_are_halved_after_each_of_two_equal_parts() {
    for (layers, places) in [
        (3, [0, 1]),
        (5, [0, 1]),
        (7, [1, 3]),
        (8, [1, 3]),
        (12, [3, 7]),
    ] {
        let config = ChildConfig {
            layers,
            channels: 2,
            ..ChildConfig::default()
        };
        let child = Child::new(&space(&[Op::Identity]), &config, 1, 2, 0, "search");
        let has = |name: String| child.params.entries().iter().any(|e| e.name == name);
        for (r, last) in places.into_iter().enumerate() {
            assert!(
                has(format!("reductions.{r}.{last}.weight")),
                "{layers} layers"
            );
            let next = last + 1;
            assert!(
                !has(format!("reductions.{r}.{next}.weight")),
                "{layers} layers"
            );
        }
    }
}
