//! The supernets of NSGANetV2: against PyTorch (`benches/peers/nas/elastic_net.py`), against networks
//! built on their own, by their gradients.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Clippy knows test functions, not their helpers.

mod support;

use burn::tensor::{Tensor, TensorData};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use support::nas::{DRAWS, assert_near, images};
use tox_data::rng::stream;
use tox_data::{Batch, Images, Normalise, Split};
use tox_nn::Device;
use tox_nn::layers::{Mode, Network, Pass, State};
use tox_nn::ops::read;
use tox_nn::params::ParamId;
use tox_search::cell::SupernetShape;
use tox_search::count;
use tox_search::elastic::kernel::{shrink, shrink_backward};
use tox_search::elastic::resize;
use tox_search::genes::{Architecture, GeneSpace};
use tox_search::nsganet::Supernet;
use tox_search::nsganet::candidate::calibrate;
use tox_search::space::cells::CellSpace;
use tox_search::space::elastic::ElasticSpace;
use tox_search::space::{BadOps, PoisonedSpace};

fn shape(classes: usize, side: usize) -> SupernetShape {
    SupernetShape {
        channels: 4,
        cells: 3,
        classes,
        input: [3, side, side],
    }
}

fn tiny() -> GeneSpace {
    GeneSpace::Elastic(ElasticSpace::small(0.05))
}

/// `elastic_net.value`: hashes of place `j` of tensor `index`, in [-0.5, 0.5).
fn value(index: u32, j: u32) -> f64 {
    let mut u = j.wrapping_mul(2_654_435_761);
    u = u
        .wrapping_add(index.wrapping_mul(40_503))
        .wrapping_add(12_345);
    u ^= u >> 15;
    u = u.wrapping_mul(2_246_822_519);
    u ^= u >> 13;
    f64::from(u) / 4_294_967_296.0 - 0.5
}

/// Names in their order, and the ids that have them.
fn sorted(state: &State) -> BTreeMap<String, ParamId> {
    let ids = state.params.ids();
    ids.map(|id| (state.params.entry(id).name.clone(), id))
        .collect()
}

/// The weights of `elastic_net.weights`.
fn set(state: &mut State) {
    for (index, (name, id)) in sorted(state).into_iter().enumerate() {
        let entry = state.params.entry(id).clone();
        let fan: usize = entry.shape[1..].iter().product();
        let scale = (24.0 / fan as f64).sqrt();
        for (j, to) in state.params.values[entry.range()].iter_mut().enumerate() {
            let v = value(index as u32, j as u32);
            let n = entry.shape[1];
            let w = if name.ends_with("_matrix") {
                0.2 * v + f64::from(u8::from(j % (n + 1) == 0))
            } else if entry.rank > 1 {
                v * scale
            } else if name.contains("bn.weight") {
                1.0 + 0.4 * v
            } else {
                0.4 * v
            };
            *to = w as f32;
        }
    }
}

#[test]
fn elastic_subnets_and_their_summed_gradients_are_those_of_pytorch() {
    let fixture: Value = serde_json::from_str(include_str!("fixtures/nas/elastic.json")).unwrap();
    let classes = fixture["classes"].as_u64().unwrap() as usize;
    let shape4: [usize; 4] = serde_json::from_value(fixture["images"].clone()).unwrap();
    let pixels =
        (0..shape4.iter().product::<usize>() as u32).map(|j| (4.0 * value(9999, j)) as f32);
    let batch = Batch {
        pixels: pixels.collect(),
        shape: shape4,
        labels: serde_json::from_value(fixture["labels"].clone()).unwrap(),
    };
    let archs: Vec<Architecture> = fixture["archs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|arch| Architecture::Elastic(serde_json::from_value(arch.clone()).unwrap()))
        .collect();
    let mut supernet = Supernet::new(&tiny(), shape(classes, 32), true, (1, "test")).unwrap();
    set(supernet.state_mut());
    let device = Device::flex();
    for (arch, expected) in archs.iter().zip(fixture["logits"].as_array().unwrap()) {
        let (net, state, _) = supernet.subnet(arch).unwrap();
        let pass = Pass::new(&state, &device, Mode::Probe);
        let logits = read(net.logits(&pass, images(&batch, &device)));
        let expected: Vec<Vec<f64>> = serde_json::from_value(expected.clone()).unwrap();
        assert_near("logits", &logits, &expected.concat(), 2e-4);
    }
    for (key, distil) in [("gradients", false), ("distilled", true)] {
        let expected: BTreeMap<String, [f64; 2]> =
            serde_json::from_value(fixture[key].clone()).unwrap();
        let (gradients, _) = supernet
            .gradients(&archs, &batch, DRAWS, distil, &device)
            .unwrap();
        let names = sorted(supernet.state());
        assert!(expected.len() < names.len(), "matrices that no subnet used");
        let used = gradients
            .iter()
            .map(|(id, _)| &supernet.state().params.entry(*id).name);
        assert!(
            used.collect::<BTreeSet<_>>()
                .into_iter()
                .eq(expected.keys())
        );
        let total = expected
            .values()
            .map(|[norm, _]| norm * norm)
            .sum::<f64>()
            .sqrt();
        for (index, (name, id)) in names.iter().enumerate() {
            let Some((_, gradient)) = gradients.iter().find(|(of, _)| of == id) else {
                continue;
            };
            let square: f64 = gradient.iter().map(|g| f64::from(*g).powi(2)).sum();
            let probe = (0..).map(|j| value(5000 + index as u32, j));
            let product: f64 = gradient
                .iter()
                .zip(probe)
                .map(|(g, p)| f64::from(*g) * p)
                .sum();
            for (found, expected) in [square.sqrt(), product].into_iter().zip(expected[name]) {
                let off = (found - expected).abs();
                let within = 1e-3 * expected.abs() + 2e-5 * total;
                assert!(
                    off < within,
                    "{key} of {name}: {found}, expected {expected}"
                );
            }
        }
    }
}

fn random_batch(n: usize, side: usize, classes: u16) -> Batch {
    let count = n * 3 * side * side;
    Batch {
        pixels: (0..count as u32)
            .map(|j| (4.0 * value(77, j)) as f32)
            .collect(),
        shape: [n, 3, side, side],
        labels: (0..n as u16).map(|i| i % classes).collect(),
    }
}

fn spaces() -> [GeneSpace; 5] {
    [
        GeneSpace::Cell(CellSpace::NasBench201.into()),
        GeneSpace::Cell(CellSpace::Darts.into()),
        GeneSpace::Cell(poisoned(CellSpace::NasBench201)),
        GeneSpace::Cell(poisoned(CellSpace::Darts)),
        tiny(),
    ]
}

/// Bad ops whose gradients are those of what they compute, more often than not on an edge.
fn poisoned(space: CellSpace) -> PoisonedSpace {
    let names = [
        "conv3",
        "sep5",
        "maxpool3",
        "avgpool3",
        "identity",
        "transposed3",
        "transposed5",
        "stretched(3,50,50)",
    ];
    let bad = names.map(|name| BadOps {
        op: name.parse().unwrap(),
        count: 3,
    });
    let bad = bad.to_vec();
    PoisonedSpace { space, bad }
}

/// Every subnet has the parameters that are counted for its network; of the cell spaces batch norms
/// of ops have none here.
#[test]
fn elastic_subnets_have_the_parameters_that_are_counted() {
    for space in [ElasticSpace::small(0.05), ElasticSpace::small(0.3)] {
        let genes = GeneSpace::Elastic(space.clone());
        let supernet = Supernet::new(&genes, shape(7, 32), true, (1, "test")).unwrap();
        let random = (0..5).map(|i| genes.random(&mut stream(4, "test", &[i])));
        for architecture in genes.extremes().unwrap().into_iter().chain(random) {
            let (_, state, _) = supernet.subnet(&architecture).unwrap();
            let Architecture::Elastic(arch) = &architecture else {
                panic!("{architecture}")
            };
            let counted = count::elastic(&space, arch, 7).unwrap();
            assert_eq!(state.parameters() as u64, counted.params, "{architecture}");
            assert_eq!(genes.counts(&architecture, shape(7, 32)).unwrap(), counted);
        }
    }
}

/// Of one subnet by itself, through its own pass, to compare with what a supernet adds up.
fn gradients_by_name(
    supernet: &Supernet,
    of: &[Architecture],
    batch: &Batch,
) -> BTreeMap<String, Vec<f32>> {
    let device = Device::flex();
    let (found, step) = supernet
        .gradients(of, batch, DRAWS, false, &device)
        .unwrap();
    assert!(step.loss.is_finite() && step.grad_norm > 0.0);
    let params = &supernet.state().params;
    let named = |(id, g): (ParamId, Vec<f32>)| (params.entry(id).name.clone(), g);
    found.into_iter().map(named).collect()
}

#[test]
fn gradients_of_a_step_are_the_sums_over_its_subnets() {
    let batch = random_batch(6, 16, 4);
    for space in spaces() {
        let supernet = Supernet::new(&space, shape(4, 16), true, (3, "test")).unwrap();
        let draw = |i| space.random(&mut stream(9, "test", &[i]));
        let subnets: Vec<Architecture> = (0..3).map(draw).collect();
        let together = gradients_by_name(&supernet, &subnets, &batch);
        let mut sum: BTreeMap<String, Vec<f32>> = BTreeMap::new();
        for subnet in &subnets {
            let alone = gradients_by_name(&supernet, std::slice::from_ref(subnet), &batch);
            for (name, gradient) in alone {
                let to = sum.entry(name).or_insert_with(|| vec![0.0; gradient.len()]);
                to.iter_mut().zip(gradient).for_each(|(to, g)| *to += g);
            }
        }
        assert!(together.keys().eq(sum.keys()));
        for (name, gradient) in &together {
            let expected: Vec<f64> = sum[name].iter().map(|g| f64::from(*g)).collect();
            assert_near(name, gradient, &expected, 1e-5);
        }
    }
}

/// A path through a supernet of a cell space: the same logits as its ops alone, whatever the weights of
/// ops that are not on it, and no gradient there.
#[test]
fn a_path_has_the_weights_of_its_ops_alone() {
    let (batch, device) = (random_batch(4, 16, 4), Device::flex());
    for space in spaces() {
        let mut supernet = Supernet::new(&space, shape(4, 16), false, (3, "test")).unwrap();
        let architecture = space.random(&mut stream(2, "test", &[]));
        let logits = |supernet: &Supernet| {
            let (net, state, _) = supernet.subnet(&architecture).unwrap();
            let pass = Pass::new(&state, &device, Mode::Probe);
            read(net.logits(&pass, images(&batch, &device)))
        };
        let before = logits(&supernet);
        let one = std::slice::from_ref(&architecture);
        let gradients = supernet
            .gradients(one, &batch, DRAWS, false, &device)
            .unwrap()
            .0;
        let params = &mut supernet.state_mut().params;
        let used: Vec<ParamId> = gradients.iter().map(|(id, _)| *id).collect();
        for id in params.ids().filter(|id| !used.contains(id)) {
            let range = params.entry(id).range();
            params.values[range].fill(f32::NAN);
        }
        assert!(used.len() < params.entries().len(), "{space:?}");
        assert_eq!(logits(&supernet), before, "{space:?}");
    }
}

/// One weight of every kind, moved a little: the loss moves as the gradient says.
#[test]
fn gradients_of_shared_weights_are_differences_of_losses() {
    let (batch, device) = (random_batch(6, 16, 4), Device::flex());
    for space in spaces() {
        let mut supernet = Supernet::new(&space, shape(4, 16), true, (3, "test")).unwrap();
        let one = [space.random(&mut stream(5, "test", &[]))];
        let (gradients, _) = supernet
            .gradients(&one, &batch, DRAWS, false, &device)
            .unwrap();
        let square: f64 = gradients
            .iter()
            .flat_map(|(_, g)| g)
            .map(|g| f64::from(*g).powi(2))
            .sum();
        // Along the gradient itself, by which no entry is left out.
        let step = 2e-4 / square.sqrt();
        let mut loss = |sign: f64| {
            let kept = supernet.state().params.values.clone();
            let params = &mut supernet.state_mut().params;
            for (id, gradient) in &gradients {
                let range = params.entry(*id).range();
                for (v, g) in params.values[range].iter_mut().zip(gradient) {
                    *v += (sign * step * f64::from(*g)) as f32;
                }
            }
            let (_, found) = supernet
                .gradients(&one, &batch, DRAWS, false, &device)
                .unwrap();
            supernet.state_mut().params.values = kept;
            f64::from(found.loss)
        };
        let slope = (loss(1.0) - loss(-1.0)) / (2.0 * step);
        assert!(
            (slope / square - 1.0).abs() < 0.02,
            "{space:?}: {slope} {square}"
        );
    }
}

#[test]
fn kernels_shrink_by_hand_and_their_gradients_are_the_transposed() {
    let large: Vec<f32> = (0..49).map(|i| i as f32).collect();
    let middle = |size: usize| -> Vec<f32> {
        let first = (7 - size) / 2;
        let rows = first..first + size;
        rows.flat_map(|y| (first..first + size).map(move |x| (7 * y + x) as f32))
            .collect()
    };
    for size in [3, 5, 7] {
        assert_eq!(shrink(&large, size, None), middle(size));
    }
    let matrix =
        |index, n: u32| -> Vec<f32> { (0..n * n).map(|j| value(index, j) as f32).collect() };
    let (five, three) = (matrix(1, 25), matrix(2, 9));
    let matrices = Some([&five[..], &three[..]]);
    assert_eq!(shrink(&large, 7, matrices), large);
    // <shrink(x), g> is linear in x: its value at x is that of the gradient's product with x.
    for size in [3, 5, 7] {
        let y = shrink(&large, size, matrices);
        let g: Vec<f32> = (0..(size * size) as u32)
            .map(|j| value(3, j) as f32)
            .collect();
        let (of_large, of_matrices) = shrink_backward(&g, &large, size, matrices);
        let dot = |a: &[f32], b: &[f32]| -> f32 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
        let expected = dot(&y, &g);
        assert!((dot(&of_large, &large) - expected).abs() < 1e-3 * expected.abs());
        // It is linear in each matrix too.
        for (matrix, found) in [&five, &three].into_iter().zip(&of_matrices) {
            if let Some(found) = found {
                assert!((dot(found, matrix) - expected).abs() < 1e-3 * expected.abs());
            }
        }
        let used = [size <= 5, size == 3];
        assert_eq!(of_matrices.map(|m| m.is_some()), used);
    }
}

/// As [`tox_data`] resizes, but for its rounding.
#[test]
fn images_are_resized_as_those_of_data_sets() {
    let pixels: Vec<u8> = (0..2 * 3 * 32 * 32)
        .map(|j| (255.0 * (value(8, j) + 0.5)) as u8)
        .collect();
    let device = Device::flex();
    for side in [24, 28, 32, 48] {
        let given = Images {
            pixels: pixels.clone(),
            shape: [2, 3, 32, 32],
        };
        let expected = tox_data::resize(given, side);
        let x: Vec<f32> = pixels.iter().map(|p| f32::from(*p)).collect();
        let x = Tensor::<4>::from_data(TensorData::new(x, [2, 3, 32, 32]), &device);
        let found = read(resize(x, side));
        assert_eq!(found.len(), expected.pixels.len());
        for (found, expected) in found.iter().zip(expected.pixels) {
            assert!(
                (found - f32::from(expected)).abs() < 1.01,
                "{side}: {found} {expected}"
            );
        }
    }
}

/// With one batch the running statistics are that batch's, so evaluation does what training does.
#[test]
fn calibrated_statistics_are_those_of_the_images() {
    let split = Split {
        images: Images {
            pixels: (0..8 * 3 * 16 * 16)
                .map(|j| (255.0 * (value(8, j) + 0.5)) as u8)
                .collect(),
            shape: [8, 3, 16, 16],
        },
        labels: vec![0; 8],
    };
    let (normalise, device) = (Normalise::measured(&split.images), Device::flex());
    let all: Vec<u32> = (0..8).collect();
    let x = split.batch(&all, &normalise, None);
    for space in spaces() {
        let supernet = Supernet::new(&space, shape(4, 16), true, (3, "test")).unwrap();
        let architecture = space.random(&mut stream(6, "test", &[]));
        let (net, mut state, _) = supernet.subnet(&architecture).unwrap();
        calibrate(&net, &mut state, (&split, &all), 8, &normalise, &device);
        let logits = |mode| -> Vec<f64> {
            let pass = Pass::new(&state, &device, mode);
            let logits = read(net.logits(&pass, images(&x, &device)));
            logits.into_iter().map(f64::from).collect()
        };
        let evaluated: Vec<f32> = logits(Mode::Evaluate).iter().map(|v| *v as f32).collect();
        assert_near("logits", &evaluated, &logits(Mode::Probe), 1e-3);
    }
}

#[test]
fn supernets_go_to_files_and_get_new_classifiers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("supernet.safetensors");
    let supernet = Supernet::new(&tiny(), shape(4, 16), true, (3, "test")).unwrap();
    supernet.save(&path).unwrap();
    let mut other = Supernet::new(&tiny(), shape(4, 16), true, (4, "test")).unwrap();
    assert_ne!(other.state().params.values, supernet.state().params.values);
    other.load(&path).unwrap();
    assert_eq!(other.state().params.values, supernet.state().params.values);
    let mut without = Supernet::new(&tiny(), shape(4, 16), false, (4, "test")).unwrap();
    let message = without.load(&path).unwrap_err().to_string();
    assert!(message.contains("_matrix"), "{message}");
    let seven = supernet.with_classes(7, (5, "test")).unwrap();
    let before = supernet.state().params.entries();
    for (a, b) in before.iter().zip(seven.state().params.entries()) {
        let same =
            supernet.state().params.values[a.range()] == seven.state().params.values[b.range()];
        assert_eq!(same, !a.name.starts_with("classifier"), "{}", a.name);
    }
}
