//! Milliseconds of each op that a search spends its time in, forward and backward, at the size of the
//! paper's first layers: batch 128, 36 channels, 32x32, f32.
//!
//!     cargo bench -p tox-nn --bench kernels -- [--threads 2] [--batch 128] [--channels 36] [--side 32]
//!         [--repeats 9] [--only "conv 1x1"] [--csv FILE --label "2026-11-21, quiet"]
//!
//! Beside the median, what it amounts to: multiply-adds a second counted as two, and the bytes that
//! must move at least (every map that is read or written, once). In PyTorch:
//! `python benches/peers/kernels.py`.

use burn::tensor::{Device, Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use std::fs::File;
use std::io::Write;
use std::time::Instant;
use tox_nn::kernels::chain::Link;
use tox_nn::kernels::conv::Geometry;
use tox_nn::kernels::instruction_set;
use tox_nn::kernels::pool::Pool;
use tox_nn::ops::{self, Engine};

/// An op of a map and weights.
struct Op {
    name: &'static str,
    /// Shapes of the weights.
    weights: Vec<[usize; 4]>,
    apply: fn(Tensor<4>, &[Tensor<4>]) -> Tensor<4>,
    /// Multiply-adds a pixel and channel out, forward.
    products: usize,
    /// Maps that must be read or written, forward and backward.
    maps: usize,
}

fn link(relu: bool, conv: Geometry, norm: Option<bool>) -> Link {
    Link { relu, conv, norm }
}

/// Weights of `1x1, BN, ReLU, 3x3, BN, ReLU`.
fn block(c: usize) -> Vec<[usize; 4]> {
    let channel = [c, 1, 1, 1];
    let (point, dense) = ([c, c, 1, 1], [c, c, 3, 3]);
    vec![point, channel, channel, dense, channel, channel]
}

/// As many of these blocks as there are weights for.
fn layers(x: Tensor<4>, weights: &[Tensor<4>]) -> Tensor<4> {
    let links = [1, 3].map(|k| link(false, Geometry::same(k), Some(true)));
    weights.chunks_exact(6).fold(x, |x, weights| {
        ops::chain(Engine::of(&x), x, &links, weights.to_vec())
    })
}

fn ops(map: [usize; 4]) -> Vec<Op> {
    let c = map[1];
    let conv = |k: usize| [c, c, k, k];
    let channel = [c, 1, 1, 1];
    vec![
        // What the loss of each op costs, which is taken off the others.
        Op {
            name: "the loss alone",
            weights: Vec::new(),
            apply: |x, _| x,
            products: 0,
            maps: 4,
        },
        Op {
            name: "conv 1x1",
            weights: vec![conv(1)],
            apply: |x, w| ops::conv(Engine::of(&x), x, w[0].clone(), Geometry::same(1)),
            products: c,
            maps: 5,
        },
        Op {
            name: "conv 3x3",
            weights: vec![conv(3)],
            apply: |x, w| ops::conv(Engine::of(&x), x, w[0].clone(), Geometry::same(3)),
            products: 9 * c,
            maps: 5,
        },
        Op {
            name: "conv 5x5",
            weights: vec![conv(5)],
            apply: |x, w| ops::conv(Engine::of(&x), x, w[0].clone(), Geometry::same(5)),
            products: 25 * c,
            maps: 5,
        },
        Op {
            name: "conv 3x3, Winograd",
            weights: vec![conv(3)],
            apply: |x, w| {
                let g = Geometry::same(3).winograd();
                ops::conv(Engine::of(&x), x, w[0].clone(), g)
            },
            products: 9 * c,
            maps: 5,
        },
        Op {
            name: "conv 5x5, Winograd",
            weights: vec![conv(5)],
            apply: |x, w| {
                let g = Geometry::same(5).winograd();
                ops::conv(Engine::of(&x), x, w[0].clone(), g)
            },
            products: 25 * c,
            maps: 5,
        },
        Op {
            name: "depthwise 5x5 + 1x1",
            weights: vec![[c, 1, 5, 5], conv(1)],
            apply: |x, w| {
                let g = Geometry::same(5).groups(x.dims()[1]);
                let x = ops::conv(Engine::of(&x), x, w[0].clone(), g);
                ops::conv(Engine::of(&x), x, w[1].clone(), Geometry::same(1))
            },
            products: 25 + c,
            maps: 10,
        },
        Op {
            name: "batch norm + ReLU",
            weights: vec![channel, channel],
            apply: |x, w| ops::batch_norm(Engine::of(&x), x, w[0].clone(), w[1].clone(), true),
            products: 0,
            maps: 5,
        },
        Op {
            name: "1x1, BN, ReLU, 3x3, BN, ReLU",
            weights: block(c),
            apply: |x, w| layers(x, w),
            products: 10 * c,
            maps: 10,
        },
        Op {
            name: "12 of these",
            weights: (0..12).flat_map(|_| block(c)).collect(),
            apply: |x, w| layers(x, w),
            products: 120 * c,
            maps: 120,
        },
        Op {
            name: "sep conv 5x5, twice",
            weights: [[c, 1, 5, 5], conv(1), channel, channel].repeat(2),
            apply: |x, w| {
                let depthwise = Geometry::same(5).groups(x.dims()[1]);
                let links = [
                    link(true, depthwise, None),
                    link(false, Geometry::same(1), Some(false)),
                ];
                ops::chain(Engine::of(&x), x, &links.repeat(2), w.to_vec())
            },
            products: 2 * (25 + c),
            maps: 20,
        },
        Op {
            name: "sum of 3 + batch norm",
            weights: vec![map, map, channel, channel],
            apply: |x, w| {
                let maps = vec![x.clone(), w[0].clone(), w[1].clone()];
                ops::sum_norm(Engine::of(&x), maps, w[2].clone(), w[3].clone(), false)
            },
            products: 0,
            maps: 7,
        },
        Op {
            name: "max pool 3x3",
            weights: Vec::new(),
            apply: |x, _| ops::pool(Engine::of(&x), x, Pool::Max),
            products: 0,
            maps: 5,
        },
        Op {
            name: "average pool 3x3",
            weights: Vec::new(),
            apply: |x, _| ops::pool(Engine::of(&x), x, Pool::Average),
            products: 0,
            maps: 4,
        },
    ]
}

fn option(name: &str, default: usize) -> usize {
    let mut args = std::env::args().skip_while(|arg| arg != name).skip(1);
    args.next().and_then(|v| v.parse().ok()).unwrap_or(default)
}

fn text(name: &str) -> Option<String> {
    std::env::args().skip_while(|arg| arg != name).nth(1)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let threads = option("--threads", 2);
    let shape = [
        option("--batch", 128),
        option("--channels", 36),
        option("--side", 32),
        option("--side", 32),
    ];
    let repeats = option("--repeats", 9).max(1);
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()?;
    let device = Device::flex().autodiff();
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let mut random = |shape: [usize; 4]| {
        let values: Vec<f32> = (0..shape.iter().product())
            .map(|_| rng.random::<f32>() - 0.5)
            .collect();
        TensorData::new(values, shape)
    };
    let [n, c, side, _] = shape;
    let set = instruction_set();
    println!("{set}, {threads} threads, batch {n}, {c} channels, {side}x{side}");
    let (only, csv) = (text("--only"), text("--csv"));
    let label = text("--label").unwrap_or_default();
    // What the first op takes, which is the loss alone.
    let mut floor = None;
    for op in ops(shape) {
        if floor.is_some() && only.as_ref().is_some_and(|name| name != op.name) {
            continue;
        }
        let (x, cotangent) = (random(shape), random(shape));
        let weights: Vec<TensorData> = op.weights.iter().map(|&shape| random(shape)).collect();
        let cotangent = Tensor::<4>::from_data(cotangent, &device);
        let mut seconds = Vec::new();
        for _ in 0..=repeats {
            let leaf =
                |data: &TensorData| Tensor::<4>::from_data(data.clone(), &device).require_grad();
            let (x, weights): (_, Vec<_>) = (leaf(&x), weights.iter().map(leaf).collect());
            let begin = Instant::now();
            let out = (op.apply)(x, &weights);
            let forward = begin.elapsed().as_secs_f64();
            let loss = (out * cotangent.clone()).sum();
            let begin = Instant::now();
            drop(loss.backward());
            seconds.push(forward + begin.elapsed().as_secs_f64());
        }
        seconds.remove(0);
        seconds.sort_by(f64::total_cmp);
        let median = seconds[seconds.len() / 2] - floor.unwrap_or(0.0);
        floor.get_or_insert(median);
        let values = shape.iter().product::<usize>() as f64;
        println!(
            "{:<28} {:7.1} ms  {:6.1} GFLOP/s  {:5.1} GB/s",
            op.name,
            1e3 * median,
            // Forward, by the input, by the weights.
            6.0 * op.products as f64 * values / median / 1e9,
            4.0 * op.maps as f64 * values / median / 1e9,
        );
        if let Some(csv) = &csv {
            let mut file = File::options().append(true).create(true).open(csv)?;
            let (name, ms) = (op.name, 1e3 * median);
            writeln!(
                file,
                "{label},toxscreen,{set},{threads},{n},{c},{side},\"{name}\",{ms:.2}"
            )?;
        }
    }
    Ok(())
}
