//! What the code and the PyTorch of the time did otherwise: skips in place and the clipping before 1.10, on
//! numbers worked by hand. `tests/child.rs` holds skips in place against PyTorch itself.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Clippy knows test functions, not their helpers.

mod support;

use burn::tensor::{Tensor, TensorData};
use support::{assert_close, mode, set, space};
use tox_data::Batch;
use tox_nn::Device;
use tox_nn::params::{Leaves, Params};
use tox_search::enas::child::{Architecture, Child, Choice, Mode};
use tox_search::enas::config::{ChildConfig, NanPolicy, Skips};
use tox_search::enas::train::Trainer;
use tox_search::genotype::Genotype;
use tox_search::space::Op;

/// Images of 4x4 equal pixels: every map behind them is constant, and a channel one number an image.
fn flat(pixels: &[f32], label: u16) -> Batch {
    Batch {
        pixels: pixels.iter().flat_map(|p| [*p; 16]).collect(),
        shape: [pixels.len(), 1, 4, 4],
        labels: vec![label; pixels.len()],
    }
}

/// A child of two channels and two classes that computes `genotype`. Its convolutions hand on the first
/// channel, batch norms are fresh, and the logits are the features.
fn child(genotype: &str, config: &ChildConfig) -> (Child, Architecture) {
    let genotype: Genotype = genotype.parse().unwrap();
    let mut ops: Vec<Op> = Vec::new();
    let layers = genotype.layers.iter().map(|layer| {
        let op = Op::named(&layer.op).unwrap();
        let known = ops.iter().position(|known| *known == op);
        Choice {
            op: known.unwrap_or_else(|| {
                ops.push(op);
                ops.len() - 1
            }),
            skips: layer.skips.clone(),
        }
    });
    let architecture = Architecture {
        layers: layers.collect(),
    };
    let config = ChildConfig {
        layers: architecture.layers.len(),
        channels: 2,
        keep_prob: 1.0,
        ..config.clone()
    };
    let mut child = Child::new(&space(&ops), &config, 1, 2, 0, "search");
    for entry in child.params.entries().to_vec() {
        let given = match (entry.name.as_str(), entry.shape) {
            ("stem.conv.weight", _) => [[0.0; 4].as_slice(), &[1.0], &[0.0; 4]].concat().repeat(2),
            ("classify.weight", _) => vec![1.0, 0.0, 0.0, 1.0],
            ("classify.bias", _) => vec![0.0; 2],
            (_, [2, 2, 1, 1]) => vec![1.0, 0.0, 1.0, 0.0],
            _ => continue,
        };
        set(&mut child.params, [(entry.name.clone(), given)].into());
    }
    (child, architecture)
}

fn logits(child: &Child, batch: &Batch, architecture: &Architecture, mode: Mode) -> Vec<f32> {
    let device = Device::flex();
    let leaves = Leaves::new(&child.params, &device);
    let x = TensorData::new(batch.pixels.clone(), batch.shape);
    let logits = child.forward(&leaves, Tensor::from_data(x, &device), architecture, mode);
    logits.into_data().try_into_vec().unwrap()
}

fn named<'p>(params: &'p Params, name: &str) -> &'p [f32] {
    let mut entries = params.entries().iter();
    let entry = entries.find(|entry| entry.name == name);
    &params.values[entry.unwrap_or_else(|| panic!("no {name}")).range()]
}

/// Layer 1 adds layer 0's output x to its own, which is x itself: in place that makes 2x of the stored output.
/// Layer 2 convolves x with -1.5 and adds what is stored: -1.5 + 1 = -0.5 of x, or -1.5 + 2 = 0.5 of x. Batch
/// norm makes +1 and -1 of either, so the sign of the logits says which. Nothing behind it changes them.
#[test]
fn a_skip_in_place_overwrites_what_the_layer_before_put_out() {
    let rest = "identity identity identity identity identity identity";
    let of = |second: &str, skips, mode: Mode| {
        let config = ChildConfig {
            skips,
            ..ChildConfig::default()
        };
        let text = format!("identity {second}+0 transposed1+0 {rest}");
        let (mut child, architecture) = child(&text, &config);
        let weight = vec![-1.5, 0.0, 0.0, -1.5];
        set(
            &mut child.params,
            [("layers.2.ops.transposed1.weight".to_owned(), weight)].into(),
        );
        logits(&child, &flat(&[0.0, 2.0], 0), &architecture, mode)
    };
    let signs = |sign: f64| [-sign, -sign, sign, sign];
    let check = |second: &str, skips, mode, sign| {
        let what = format!("{second} {skips:?} {mode:?}");
        assert_close(&what, &of(second, skips, mode), &signs(sign), 1e-3);
    };
    let train = mode(0);
    for second in ["identity", "gaussian(10)", "dropout(0.5)"] {
        check(second, Skips::Separate, Mode::Evaluate, -1.0);
        check(second, Skips::InPlace, Mode::Evaluate, 1.0);
    }
    // In training, noise and dropout make a map of their own, but for those of strength 0.
    for second in ["identity", "gaussian(0)", "dropout(0)"] {
        check(second, Skips::Separate, train, -1.0);
        check(second, Skips::InPlace, train, 1.0);
    }
    for second in ["gaussian(10)", "dropout(0.5)"] {
        assert_eq!(
            of(second, Skips::Separate, train),
            of(second, Skips::InPlace, train)
        );
    }
}

/// A child after one step on four images of class 1, three of which it gets right, and what it was before.
/// Behind the first reduction a batch norm makes the map so small that the next one multiplies gradients by
/// hundreds; `gamma` and `head` scale what comes from behind until that overflows f32, or not.
fn stepped(policy: NanPolicy, [gamma, head]: [f64; 2]) -> Trainer {
    let config = ChildConfig {
        grad_clip: 0.01,
        momentum: 0.9,
        weight_decay: 0.0,
        nan_policy: policy,
        ..ChildConfig::default()
    };
    let (mut child, architecture) = child("identity identity identity", &config);
    let given = [
        ("reductions.1.1.bn.weight", vec![1e-3; 2]),
        ("layers.2.bn.weight", vec![gamma; 2]),
        ("classify.weight", vec![head, 0.0, 0.0, 0.0]),
    ];
    let given = given.map(|(name, values)| (name.to_owned(), values));
    set(&mut child.params, given.into());
    let mut trainer = Trainer::new(child, &config, Device::flex());
    let batch = flat(&[0.0, 1.0, 2.0, 6.0], 1);
    let step = trainer.step(&batch, &architecture, mode(0), 0.1);
    assert_eq!(step.wrong, 1);
    trainer
}

/// The one wrong image moves the biases by a quarter of (1, -1), and Nesterov's first step is 0.1 * 1.9 of that:
/// unclipped, although the bound is 0.01. What lies before the overflow has a gradient that is NaN.
#[test]
fn before_1_10_a_nan_norm_clips_nothing() {
    let overflow = [1e20, 3e17];
    let old = stepped(NanPolicy::Torch19, overflow);
    assert_eq!(old.faults.first_nonfinite_step, Some(0));
    assert_eq!(old.faults.first_nan_weight_step, Some(0));
    let bias = named(&old.child.params, "classify.bias");
    assert_close("bias", bias, &[-0.0475, 0.0475], 1e-6);
    assert!(
        named(&old.child.params, "stem.conv.weight")
            .iter()
            .any(|w| w.is_nan())
    );

    let new = stepped(NanPolicy::Torch, overflow);
    let bias = named(&new.child.params, "classify.bias");
    assert!(bias.iter().all(|w| w.is_nan()), "{bias:?}");

    let guarded = stepped(NanPolicy::Guarded, overflow);
    assert!(guarded.child.params.finite());
    assert_eq!(named(&guarded.child.params, "classify.bias"), [0.0, 0.0]);
}

/// An infinite norm of finite gradients scales them to nothing, and a finite one clips, under either.
#[test]
fn norms_that_are_no_nan_are_clipped_alike() {
    for (scales, moved) in [([1e10, 3e10], false), ([1.0, 1e3], true)] {
        let [old, new] = [NanPolicy::Torch19, NanPolicy::Torch].map(|p| stepped(p, scales));
        assert_eq!(old.faults, new.faults);
        assert_eq!(old.faults.nonfinite_steps, u64::from(!moved));
        assert_eq!(old.child.params.values, new.child.params.values);
        let bias = named(&old.child.params, "classify.bias");
        assert_eq!(bias[0] != 0.0, moved, "{bias:?}");
        assert!(bias[0].abs() < 0.0475 / 2.0, "{bias:?}");
    }
}
