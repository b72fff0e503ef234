//! TE-NAS against an independent PyTorch implementation (`benches/peers/nas`), finite differences and
//! hand-made scores.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Clippy knows test functions, not their helpers.

mod support;

use burn::tensor::{Tensor, TensorData};
use serde_json::Value;
use std::process::Command;
use support::nas::{Tensors, narrow};
use tox_data::spec::Augment;
use tox_data::{Batch, Images, Normalise, Split};
use tox_nn::Device;
use tox_nn::layers::{Mode, Pass, State};
use tox_nn::ops::read;
use tox_search::nas::Direction;
use tox_search::space::cells::{CellGenotype, CellSpace};
use tox_search::space::darts::Op;
use tox_search::tenas::kernel::{condition_number, gram};
use tox_search::tenas::network::{Score, Supernet};
use tox_search::tenas::rank::{Candidate, Drops, pruned, removed};
use tox_search::tenas::regions::Patterns;
use tox_search::tenas::{Found, Left, Scene, TenasConfig, ops, run};
use tox_testkit::stops::told;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn numbers() -> Value {
    json(include_str!("fixtures/nas/tenas.json"))
}

/// The published names of a weight, from ours: ours are those of DARTS.
fn published(name: &str) -> String {
    let mut name = name.to_owned();
    let Some(at) = name.find("._ops.") else {
        return name;
    };
    let op = name[at + 6..].chars().next().unwrap();
    let tail = &name[at + 8..].to_owned();
    name.truncate(at + 8);
    let renamed = match (op, tail.split_once('.')) {
        ('2' | '3', Some((_, rest))) => {
            let (number, rest) = rest.split_once('.').unwrap();
            let number: usize = number.parse().unwrap();
            let half = if number < 4 { "op_a" } else { "op_b" };
            format!("{half}.op.{}.{rest}", number % 4)
        }
        ('1', _) => tail
            .replace("conv_1", "convs.0")
            .replace("conv_2", "convs.1"),
        _ => tail.clone(),
    };
    name + &renamed
}

/// The numbers of one copy, from a fixture.
fn set(state: &mut State, file: &Tensors, prefix: &str) {
    for entry in state.params.entries().to_vec() {
        let name = format!("{prefix}weights.{}", published(&entry.name));
        let values = narrow(file.get(&name));
        assert_eq!(values.len(), entry.len(), "{name}");
        state.params.values[entry.range()].copy_from_slice(&values);
    }
}

fn left(space: CellSpace, left: &Value) -> Left {
    let names = ops(space);
    let op = |name: &Value| names.iter().position(|n| name == n).unwrap();
    let list = |v: &Value| v.as_array().unwrap().clone();
    let edge = |ops: &Value| list(ops).iter().map(op).collect();
    let cell = |edges: &Value| list(edges).iter().map(edge).collect();
    Left(match space {
        CellSpace::Darts => list(left).iter().map(cell).collect(),
        CellSpace::NasBench201 => vec![cell(left)],
    })
}

fn batch(file: &Tensors, name: &str) -> Batch {
    let shape: [usize; 4] = file.shape(name).try_into().unwrap();
    Batch {
        pixels: narrow(file.get(name)),
        shape,
        labels: vec![0; shape[0]],
    }
}

/// A network of several copies with the weights of one.
fn wide(
    space: CellSpace,
    score: Score,
    copies: usize,
    fill: impl Fn(&mut State),
) -> (Supernet, State) {
    let build = |copies| Supernet::new(space, score, (3, 4), copies, (0, "test"));
    let (_, mut one) = build(1);
    fill(&mut one);
    let (net, mut state) = build(copies);
    net.widen(&mut state, &one);
    (net, state)
}

fn check_kernel(space: CellSpace, file: &Tensors, prefix: &str, gram_name: &str, info: &Value) {
    let batch = batch(file, "kernel.images");
    let n = batch.shape[0];
    for copies in [1, 4, 6] {
        let (net, state) = wide(space, Score::Kernel, copies, |one| set(one, file, prefix));
        let left = left(space, &info["ops"]);
        let found = gram((&net, &state, copies), &left, &batch, &Device::flex());
        let expected = file.get(gram_name);
        let largest = expected.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        for i in 0..n {
            for j in 0..n {
                let error = (found[(i, j)] - expected[i * n + j]).abs();
                assert!(
                    error < 3e-5 * largest,
                    "{gram_name} {copies}: {i} {j}: {error:e}"
                );
            }
        }
        let condition = condition_number(&found);
        let expected = info["condition_number"].as_f64().unwrap();
        let error = (condition / expected - 1.0).abs();
        assert!(
            error < 2e-3,
            "{gram_name} {copies}: {condition}, {expected}"
        );
    }
}

fn check_regions(space: CellSpace, file: &Tensors, prefix: &str, info: &Value) {
    let batches = [0, 1].map(|i| batch(file, &format!("regions.images.{i}")));
    let shape = batches[0].shape;
    let pixels = batches.map(|batch| batch.pixels);
    let (net, state) = wide(space, Score::Regions, 2, |one| set(one, file, prefix));
    let left = left(space, &info["ops"]);
    let patterns = Patterns::of((&net, &state), &left, (&pixels, shape), &Device::flex());
    let number = |key: &str| info[key].as_u64().unwrap() as usize;
    assert_eq!(patterns.bits, number("relu_outputs"));
    assert_eq!(patterns.ones(), number("above_zero"));
    assert_eq!(patterns.count(), number("regions"));
}

#[test]
fn kernels_and_regions_of_the_darts_space_match_pytorch() {
    let file = Tensors::read(include_bytes!("fixtures/nas/tenas_darts.safetensors"));
    for state in ["fresh", "pruned"] {
        let info = &numbers()[format!("darts.{state}")];
        check_kernel(
            CellSpace::Darts,
            &file,
            "",
            &format!("{state}.kernel"),
            info,
        );
        check_regions(CellSpace::Darts, &file, "", info);
    }
}

#[test]
fn kernels_and_regions_of_nas_bench_201_match_pytorch() {
    let file = Tensors::read(include_bytes!("fixtures/nas/tenas_nb201.safetensors"));
    let info = &numbers()["nb201"];
    check_kernel(CellSpace::NasBench201, &file, "kernel.", "kernel", info);
    check_regions(CellSpace::NasBench201, &file, "regions.", info);
}

/// Row i times a direction is the change of image i's logits along it, batch norm and all.
#[test]
fn rows_of_the_jacobian_match_finite_differences_of_the_logits() {
    let file = Tensors::read(include_bytes!("fixtures/nas/tenas_darts.safetensors"));
    let info = &numbers()["darts.pruned"];
    let left = left(CellSpace::Darts, &info["ops"]);
    let batch = batch(&file, "kernel.images");
    let n = batch.shape[0];
    let (net, state) = wide(CellSpace::Darts, Score::Kernel, 1, |one| {
        set(one, &file, "")
    });
    let device = Device::flex();
    let x = TensorData::new(batch.pixels.clone(), batch.shape);
    let logits = |state: &State| {
        let pass = Pass::new(state, &device, Mode::Probe);
        let logits = read(net.logits(&pass, Tensor::from_data(x.clone(), &device), &left));
        let sums = logits.chunks_exact(logits.len() / n);
        sums.map(|row| row.iter().map(|v| f64::from(*v)).sum())
            .collect::<Vec<f64>>()
    };
    // The kernel is the Gram matrix of the rows, and a row is found back from differences by every
    // single weight: here by those of the classifier and of the last batch norm, whose effect has no
    // ReLU behind it but one.
    let found = tox_search::tenas::kernel::jacobian((&net, &state, 1), &left, &batch, &device);
    let mut start = 0;
    let (mut checked, mut bad) = (0, 0);
    for entry in state.params.entries().to_vec() {
        if !entry.name.ends_with(".weight") {
            continue;
        }
        let reached = {
            // A weight that no image's logits reach has no place in the rows.
            let mut moved = state.clone();
            moved.params.values[entry.range()]
                .iter_mut()
                .for_each(|v| *v += 0.5);
            let (a, b) = (logits(&moved), logits(&state));
            a != b
        };
        if !reached {
            continue;
        }
        for k in [0, entry.len() - 1] {
            let place = entry.range().start + k;
            let at = |by: f32| {
                let mut moved = state.clone();
                moved.params.values[place] += by;
                logits(&moved)
            };
            let h = 3e-4;
            let (up, down) = (at(h), at(-h));
            let mut off = 0;
            for i in 0..n {
                let slope = (up[i] - down[i]) / (2.0 * f64::from(h));
                let row = f64::from(found[i][start + k]);
                let scale = 1.0 + found[i].iter().fold(0.0f32, |m, v| m.max(v.abs())) as f64;
                off += usize::from((slope - row).abs() > 0.01 * scale);
            }
            // A ReLU that flips within the step moves a difference, not the derivative.
            bad += usize::from(off > 0);
            checked += 1;
        }
        start += entry.len();
    }
    assert_eq!(start, found[0].len());
    assert!(checked > 100 && 30 * bad < checked, "{bad} of {checked}");
}

fn candidates(list: &Value) -> Vec<Candidate> {
    let number = |v: &Value| v.as_u64().unwrap() as usize;
    let list = list.as_array().unwrap().iter();
    list.map(|c| Candidate {
        cell: number(&c[0]),
        edge: number(&c[1]),
        op: number(&c[2]),
    })
    .collect()
}

#[test]
fn candidates_go_as_in_the_published_ranking() {
    let file = json(include_str!("fixtures/nas/tenas_ranking.json"));
    let drops = |kernel: &str, regions: &str| {
        let list = |key: &str| file[key].as_array().unwrap().clone();
        let pairs = list(kernel).into_iter().zip(list(regions));
        let drops = pairs.map(|(kernel, regions)| Drops {
            kernel: kernel.as_f64().unwrap(),
            regions: regions.as_f64().unwrap(),
        });
        drops.collect::<Vec<_>>()
    };
    let all = candidates(&file["candidates"]);
    let scores = drops("ntk_drop", "region_drop");
    for number in [1, 2] {
        let expected = candidates(&file["pruned"][number.to_string()]);
        assert_eq!(pruned(&all, &scores, |_| number), expected);
    }
    let group = candidates(&file["group"]);
    let scores = drops("group_ntk_drop", "group_region_drop");
    assert_eq!(
        removed(&group, &scores, 2),
        candidates(&file["group_removed"])
    );
}

fn split() -> Split {
    let pixels = (0..24 * 3 * 64).map(|i: usize| (i * i * 7 + i / 9) as u8);
    let images = Images {
        pixels: pixels.collect(),
        shape: [24, 3, 8, 8],
    };
    let labels = (0..24).map(|i| i % 3).collect();
    Split { images, labels }
}

fn search_on(
    split: &Split,
    space: CellSpace,
    repeats: usize,
    stop_after: usize,
    threads: usize,
) -> (Found, usize) {
    let images = &split.images;
    let normalise = Normalise {
        mean: vec![0.5; 3],
        std: vec![0.25; 3],
    };
    let config = TenasConfig {
        batch: Some(4),
        repeats,
        region_batches: 2,
        region_crops: 30,
        ..TenasConfig::default()
    };
    let augment = Augment {
        crop: 1,
        flip: true,
        ..Augment::default()
    };
    let scene = Scene {
        space: &space.into(),
        images,
        normalise: &normalise,
        augment: &augment,
        classes: 3,
        config: &config,
        direction: Direction::Search,
        seed: 5,
    };
    let mut last = 0.0;
    let mut progress = |done: f64, _: &str| {
        assert!(done >= last && done <= 1.0 + 1e-9, "{last} {done}");
        last = done;
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    let (found, stops) = pool.build().unwrap().install(|| {
        told(stop_after, &mut progress, |hooks| {
            run(scene, Device::flex(), hooks)
        })
    });
    let found = found.unwrap();
    assert!((last - 1.0).abs() < 1e-9, "{last}");
    (found, stops)
}

fn search(space: CellSpace, repeats: usize, stop_after: usize, threads: usize) -> (Found, usize) {
    search_on(&split(), space, repeats, stop_after, threads)
}

/// Random and confidence-based label flips change nothing but labels.
#[test]
fn label_noise_leaves_a_search_as_it_is() {
    let clean = split();
    let mut flipped = clean.clone();
    flipped
        .labels
        .iter_mut()
        .for_each(|label| *label = 2 - *label);
    assert_ne!(flipped, clean);
    let found = |split: &Split| search_on(split, CellSpace::NasBench201, 1, usize::MAX, 1).0;
    let json = |found: Found| serde_json::to_vec(&found).unwrap();
    assert_eq!(json(found(&flipped)), json(found(&clean)));
}

#[test]
fn what_cannot_be_searched_is_refused() {
    let refused = |space, shape, change: fn(&mut TenasConfig)| {
        let mut config = TenasConfig::default();
        change(&mut config);
        config.check(space, shape).unwrap_err().to_string()
    };
    let (darts, bench) = (CellSpace::Darts, CellSpace::NasBench201);
    let shape = [100, 3, 8, 8];
    assert!(TenasConfig::default().check(darts, shape).is_ok());
    assert!(refused(darts, shape, |c| c.batch = Some(1)).contains("`batch` = 1"));
    assert!(refused(darts, shape, |c| c.repeats = 0).contains("`repeats` = 0"));
    assert!(refused(darts, [100, 3, 8, 2], |_| ()).contains("8 x 2"));
    assert!(refused(bench, [71, 3, 8, 8], |_| ()).contains("takes 72 different images"));
    assert!(refused(bench, [99, 3, 8, 6], |_| ()).contains("multiples of 4"));
}

#[test]
fn a_search_prunes_to_one_op_an_edge_and_does_not_care_for_stops_or_threads() {
    let (found, stops) = search(CellSpace::NasBench201, 2, usize::MAX, 1);
    assert_eq!(stops, 0);
    // 4 to 3 to 2 to 1 op on six edges.
    assert_eq!(
        found.rounds.iter().map(Vec::len).collect::<Vec<_>>(),
        [6; 3]
    );
    let CellGenotype::NasBench201(cell) = found.genotype else {
        panic!("{found:?}");
    };
    assert!(!cell.to_string().contains("none"), "{cell}");
    for (stop_after, threads) in [(usize::MAX, 2), (2, 1), (7, 2)] {
        let (again, stops) = search(CellSpace::NasBench201, 2, stop_after, threads);
        assert_eq!(again, found, "a stop every {stop_after} steps");
        assert_eq!(stops > 0, stop_after < 100);
    }
}

#[test]
fn a_darts_search_keeps_two_edges_a_node() {
    let (found, _) = search(CellSpace::Darts, 1, usize::MAX, 2);
    // 7 to 4 to 1 op on 28 edges, then 3, 4 and 5 edges to 2, in both cells.
    let gone: Vec<usize> = found.rounds.iter().map(Vec::len).collect();
    assert_eq!(gone, [84, 84, 1, 2, 3, 1, 2, 3]);
    let CellGenotype::Darts(genotype) = found.genotype else {
        panic!("{found:?}");
    };
    for cell in [genotype.normal, genotype.reduce] {
        for nodes in cell.nodes() {
            assert!(nodes[0].input < nodes[1].input);
        }
        assert!(cell.edges().iter().all(|edge| edge.op != Op::None));
    }
}

/// The ops of other devices: those of Burn alone.
#[test]
fn scores_match_pytorch_without_our_kernels() {
    let program = std::env::current_exe().unwrap();
    let run = Command::new(program)
        .arg("match_pytorch")
        .args(["--skip", "without"])
        .env("TOXSCREEN_KERNELS", "plain")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && text.contains("2 passed"), "{text}");
}
