//! A sub-network takes from its teacher what the teacher's function needs.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Clippy knows test functions, not their helpers.

#[path = "../../tox-nn/tests/support/mod.rs"]
mod support;

use burn::tensor::{Int, Tensor, TensorData};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use support::{Array, assert_close, rng, widen};
use tox_nn::Device;
use tox_nn::layers::{Draws, Mode, Network, Pass, State};
use tox_nn::nets::wrn::{INIT, RobustBlock, Shape, Wrn, WrnConfig, wrn};
use tox_nn::ops;
use tox_rcnas::subnetwork::{Depth, Fresh, Importance, Inheritance, inherit};

const IMPORTANCES: [Importance; 2] = [Importance::L1, Importance::Gamma];

fn config(text: &str) -> WrnConfig {
    // Blocks that are wide enough to be sliced.
    let cells = RobustBlock {
        scales: 3,
        base_width: 160,
        cardinality: 2,
        se: 8,
    };
    WrnConfig {
        cells,
        ..WrnConfig::new(Shape::parse(text).unwrap(), 3, 5)
    }
}

/// A network in which batch norms matter.
fn taught(config: &WrnConfig) -> (Wrn, State) {
    let (network, mut state) = wrn(config, INIT, (1, "teacher"));
    let mut rng = rng(2);
    let mut near = |from: &mut [f32], centre: f32| {
        let draw = |rng: &mut ChaCha8Rng| centre + rng.random_range(-0.3f32..0.3);
        from.iter_mut().for_each(|v| *v = draw(&mut rng));
    };
    let entries = state.params.entries().to_vec();
    for entry in entries.iter().filter(|e| e.rank == 1) {
        let centre = if entry.name.ends_with("bias") {
            0.0
        } else {
            1.0
        };
        near(&mut state.params.values[entry.range()], centre);
    }
    let norms: Vec<_> = state.running.norms().map(|(id, ..)| id).collect();
    for (i, id) in norms.into_iter().enumerate() {
        let (mean, var) = state.running.of_mut(id);
        near(mean, 0.0);
        near(var, 1.0);
        *state.running.batches_mut(id) = 10 + i as u64;
    }
    (network, state)
}

fn logits((network, state): (&Wrn, &State)) -> Vec<f32> {
    let device = Device::flex();
    let images = Array::uniform([3, 3, 8, 8], -1.0, 1.0, &mut rng(9));
    let x = Tensor::<4>::from_data(TensorData::new(images.values, images.shape), &device);
    let pass = Pass::new(state, &device, Mode::Evaluate);
    ops::read(network.logits(&pass, x))
}

fn values<'a>(state: &'a State, name: &str) -> &'a [f32] {
    let entry = state.params.entries().iter().find(|e| e.name == name);
    &state.params.values[entry.unwrap_or_else(|| panic!("no {name}")).range()]
}

fn set(state: &mut State, name: &str, value: f32) {
    let entry = state.params.entries().iter().find(|e| e.name == name);
    let range = entry.unwrap_or_else(|| panic!("no {name}")).range();
    state.params.values[range].fill(value);
}

/// Makes a block of the teacher the identity.
fn vanish(state: &mut State, block: &str) {
    let robust = is_robust(state, block);
    let parts: &[&str] = match robust {
        true => &["conv3.weight", "se_bn.weight", "se_bn.bias"],
        false => &["conv2.weight"],
    };
    for part in parts {
        set(state, &format!("{block}.{part}"), 0.0);
    }
}

fn is_robust(state: &State, block: &str) -> bool {
    let name = format!("{block}.se_bn.weight");
    state.params.entries().iter().any(|e| e.name == name)
}

#[test]
fn the_whole_shape_is_the_teacher_bit_for_bit() {
    for text in [
        "d3,2,2-w3,3,4-r011-b4",
        "rrn-d2,1,2-w2,1,2-r100-b4",
        "wrn-16-1-b4",
    ] {
        let config = config(text);
        let (_, teacher) = taught(&config);
        for channels in IMPORTANCES {
            for depth in [Depth::First, Depth::Last, Depth::Even] {
                let how = Inheritance {
                    channels,
                    depth,
                    ..Inheritance::default()
                };
                let (_, state) =
                    inherit((&config, &teacher), &config, how, INIT, (7, "student")).unwrap();
                assert_eq!(state.params.entries(), teacher.params.entries());
                assert_eq!(state.params.values, teacher.params.values, "{text}");
                assert_eq!(state.running, teacher.running, "{text}");
            }
        }
    }
}

/// What the student keeps are here the last channels of each group of channels; all others are 0.
#[test]
fn channels_and_blocks_that_do_nothing_are_those_left_out() {
    let cases = [
        (
            "d3,2,2-w3,3,4-r011-b4",
            "d2,1,2-w2,2,2-r001-b4",
            &["block1.layer.2", "block2.layer.1", "block2.layer.2"][..],
        ),
        (
            "rrn-d2,2,1-w2,2,2-b4",
            "rrn-d1,2,1-w1,1,1-b4",
            &["block1.layer.1"][..],
        ),
    ];
    for (big, small, dropped) in cases {
        let (big, small) = (config(big), config(small));
        let (network, mut teacher) = taught(&big);
        let (_, like) = wrn(&small, INIT, (0, "like"));
        for entry in teacher.params.entries().to_vec() {
            let Some(ours) = like.params.entries().iter().find(|e| e.name == entry.name) else {
                continue;
            };
            let block = entry
                .name
                .rsplit_once(".layer.")
                .map(|(stage, rest)| format!("{stage}.layer.{}", rest.split('.').next().unwrap()));
            let robust = block.is_some_and(|b| is_robust(&teacher, &b));
            // Channels that lie in groups: rows, then columns.
            let (scales, groups) = (big.cells.scales, big.cells.cardinality);
            let is = |part: &str| robust && entry.name.contains(part);
            let rows = match [is(".conv1.") || is(".bn2."), is(".conv2.") || is(".bn3.")] {
                [true, _] => scales * groups,
                [_, true] => groups,
                _ => 1,
            };
            let segments = [rows, if is(".conv3.") { scales * groups } else { 1 }];
            let kept = |dim: usize, i: usize| {
                let (from, to) = (
                    entry.shape[dim] / segments[dim],
                    ours.shape[dim] / segments[dim],
                );
                i % from >= from - to
            };
            let [rows, columns, a, b] = entry.shape;
            for i in 0..rows * columns {
                if !(kept(0, i / columns) && kept(1, i % columns)) {
                    let start = entry.range().start + i * a * b;
                    teacher.params.values[start..start + a * b].fill(0.0);
                }
            }
        }
        dropped.iter().for_each(|block| vanish(&mut teacher, block));
        let expected = widen(&logits((&network, &teacher)));
        for channels in IMPORTANCES {
            let how = Inheritance {
                channels,
                ..Inheritance::default()
            };
            let (network, state) =
                inherit((&big, &teacher), &small, how, INIT, (7, "student")).unwrap();
            let found = logits((&network, &state));
            assert_close(&format!("{channels:?}"), &found, &expected, 1e-5, 0.0);
            assert_eq!(state.params.values.len() as u64, small.parameters());
        }
    }
}

#[test]
fn an_identity_is_dropped_without_a_trace() {
    let (big, small) = (config("d4,1,1-w2,2,1-b4"), config("d2,1,1-w2,2,1-b4"));
    for (depth, dropped) in [
        (Depth::First, [2, 3]),
        (Depth::Last, [1, 2]),
        (Depth::Even, [1, 2]),
    ] {
        let (network, mut teacher) = taught(&big);
        for place in dropped {
            vanish(&mut teacher, &format!("block1.layer.{place}"));
        }
        let how = Inheritance {
            depth,
            ..Inheritance::default()
        };
        let student = inherit((&big, &teacher), &small, how, INIT, (7, "student")).unwrap();
        let expected = logits((&network, &teacher));
        assert_eq!(logits((&student.0, &student.1)), expected, "{depth:?}");
    }
}

#[test]
fn even_blocks_are_spread() {
    let (big, small) = (config("d7,1,1-w1,1,1-b2"), config("d4,1,1-w1,1,1-b2"));
    let (_, teacher) = taught(&big);
    for (depth, from) in [
        (Depth::First, [0, 1, 2, 3]),
        (Depth::Last, [0, 4, 5, 6]),
        (Depth::Even, [0, 2, 4, 6]),
    ] {
        let how = Inheritance {
            depth,
            ..Inheritance::default()
        };
        let (_, state) = inherit((&big, &teacher), &small, how, INIT, (7, "student")).unwrap();
        for (to, from) in from.into_iter().enumerate() {
            let of = |i| format!("block1.layer.{i}.conv1.weight");
            assert_eq!(values(&state, &of(to)), values(&teacher, &of(from)));
        }
    }
}

/// Gamma and filters disagree about which of two channels inside a block matters.
#[test]
fn importance_is_what_was_asked_for() {
    let (big, small) = (config("d1,1,1-w2,1,1-b1"), config("d1,1,1-w1,1,1-b1"));
    let (_, mut teacher) = taught(&big);
    let mut put = |name: &str, new: &[f32]| {
        let entry = teacher.params.entries().iter().find(|e| e.name == name);
        let range = entry.unwrap().range();
        teacher.params.values[range].copy_from_slice(new);
    };
    let filters: Vec<f32> = (0..18).map(|i| if i < 9 { 1.0 } else { -2.0 }).collect();
    put("block1.layer.0.conv1.weight", &filters);
    put("block1.layer.0.bn2.weight", &[-0.7, 0.6]);
    for (channels, filter, gamma) in [(Importance::L1, -2.0, 0.6), (Importance::Gamma, 1.0, -0.7)] {
        let how = Inheritance {
            channels,
            ..Inheritance::default()
        };
        let (_, state) = inherit((&big, &teacher), &small, how, INIT, (7, "student")).unwrap();
        assert_eq!(values(&state, "block1.layer.0.conv1.weight"), [filter; 9]);
        assert_eq!(values(&state, "block1.layer.0.bn2.weight"), [gamma]);
    }
}

#[test]
fn a_fresh_robust_block_begins_as_asked() {
    let (plain, robust) = (config("wrn-10-2-b4"), config("d1,1,1-w2,2,2-r101-b4"));
    let (network, teacher) = taught(&plain);
    let expected = logits((&network, &teacher));
    let student = |fresh| {
        let how = Inheritance {
            fresh,
            ..Inheritance::default()
        };
        inherit((&plain, &teacher), &robust, how, INIT, (7, "student")).unwrap()
    };
    let (network, state) = student(Fresh::Identity);
    assert_eq!(logits((&network, &state)), expected);
    // All else of the block is drawn, as it is in a network of its own.
    let (_, drawn) = wrn(&robust, INIT, (7, "student"));
    let name = "block3.layer.1.conv2.0.weight";
    assert_eq!(values(&state, name), values(&drawn, name));
    // What the identity is made of learns from the first step on, and nothing explodes.
    let device = Device::flex().autodiff();
    let train = Mode::Train(Draws {
        seed: 0,
        network: "test",
        step: 0,
    });
    let pass = Pass::new(&state, &device, train);
    let images = Array::uniform([4, 3, 8, 8], -1.0, 1.0, &mut rng(9));
    let x = Tensor::<4>::from_data(TensorData::new(images.values, images.shape), &device);
    let labels = Tensor::<1, Int>::from_data(TensorData::new(vec![0i64, 1, 2, 4], [4]), &device);
    let loss = ops::cross_entropy(network.logits(&pass, x), labels);
    let mut seen = 0;
    for (id, gradient) in pass.finish(loss.backward()).gradients {
        let largest = gradient.iter().fold(0.0f32, |m, g| m.max(g.abs()));
        let name = &state.params.entry(id).name;
        assert!(largest.is_finite() && largest < 10.0, "{name}: {largest}");
        if name.ends_with("conv3.weight") {
            assert!(largest > 1e-4, "{name}: {largest}");
            seen += 1;
        }
    }
    assert_eq!(seen, 2);
    let (network, state) = student(Fresh::Random);
    assert_ne!(logits((&network, &state)), expected);
    let name = "block3.layer.1.conv3.weight";
    assert_eq!(values(&state, name), values(&drawn, name));
}

#[test]
fn what_is_not_within_the_teacher_is_refused() {
    let big = config("d2,1,1-w2,2,2-r001-b4");
    let (_, teacher) = taught(&big);
    let refused = |student: WrnConfig, state: &State, parts: &[&str]| {
        let how = Inheritance::default();
        let error = inherit((&big, state), &student, how, INIT, (7, "student")).unwrap_err();
        let message = error.to_string();
        for part in parts {
            assert!(message.contains(part), "{message}: no {part}");
        }
    };
    let deeper = config("d2,2,1-w2,2,2-b4");
    refused(deeper, &teacher, &["stage 2 has depth 2, the teacher's 1"]);
    let wider = config("d2,1,1-w2,2,3-b4");
    refused(wider, &teacher, &["stage 3 has width 3, the teacher's 2"]);
    refused(
        config("d2,1,1-w2,2,2-b2"),
        &teacher,
        &["base is 2, the teacher's 4"],
    );
    refused(
        config("rrn-d2,1,1-w2,2,2-b4"),
        &teacher,
        &["block is Robust"],
    );
    let more = WrnConfig { classes: 6, ..big };
    refused(more, &teacher, &["number of classes is 6, the teacher's 5"]);
    let mut cells = big;
    cells.cells.scales = 4;
    refused(cells, &teacher, &["kind of robust block", "scales: 4"]);
    let mut none = big;
    none.shape.stages[0].depth = 0;
    refused(none, &teacher, &["depth of a stage of a network is 0"]);
    let (_, other) = taught(&config("d1,1,1-w2,2,2-r001-b4"));
    refused(
        big,
        &other,
        &["not those of the teacher d2,1,1-w2,2,2-r001-b4", "differs"],
    );
}
