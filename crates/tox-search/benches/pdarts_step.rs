//! Time of one P-DARTS search step (alphas on one batch, weights on another), as
//! `benches/peers/nas/pdarts_step.py` measures it for PyTorch: 16 channels, batch 96, 32x32 images,
//! nothing dropped, one warm-up step, then the median of the repeats.
//!
//! `TOXSCREEN_BENCH_STAGE` is 1, 2 or 3 (1), `TOXSCREEN_BENCH_THREADS` the number of threads (1),
//! `TOXSCREEN_BENCH_REPEATS` that of repeats (3), `TOXSCREEN_BENCH_BATCH` the batch.

use rand::RngExt;
use std::time::Instant;
use tox_data::Batch;
use tox_data::rng::stream;
use tox_nn::layers::Draws;
use tox_nn::{Device, kernels};
use tox_search::cell::SupernetShape;
use tox_search::pdarts::config::PdartsConfig;
use tox_search::pdarts::learner::Learner;
use tox_search::space::cells::CellSpace;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable)
        .ok()
        .and_then(|v| v.parse().ok())
        .unwrap_or(default)
}

fn batch(n: usize, i: u64) -> Batch {
    let mut rng = stream(0, "bench", &[i]);
    Batch {
        pixels: (0..n * 3 * 32 * 32)
            .map(|_| 3.4 * (rng.random::<f32>() - 0.5))
            .collect(),
        shape: [n, 3, 32, 32],
        labels: (0..n).map(|_| rng.random_range(0..10)).collect(),
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let threads = number("TOXSCREEN_BENCH_THREADS", 1);
    let repeats = number("TOXSCREEN_BENCH_REPEATS", 3).max(1);
    let size = number("TOXSCREEN_BENCH_BATCH", 96);
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()?;
    // The mix of ops of the peer's STAGES.
    let (cells, ops) = match number("TOXSCREEN_BENCH_STAGE", 1) {
        2 => (11, vec![1, 3, 4, 5, 6]),
        3 => (17, vec![3, 4, 7]),
        _ => (5, (0..8).collect()),
    };
    let count = ops.len();
    let candidates = vec![vec![ops; CellSpace::Darts.edges()]; 2];
    let shape = SupernetShape {
        channels: 16,
        cells,
        classes: 10,
        input: [3, 32, 32],
    };
    let config = PdartsConfig::default();
    let key = (0, "search");
    let device = Device::flex();
    let mut learner = Learner::new(CellSpace::Darts, &candidates, shape, &config, key, device)?;
    let (train, valid) = (batch(size, 0), batch(size, 1));
    let mut seconds = [const { Vec::new() }; 2];
    for step in 0..=repeats as u64 {
        let draws = Draws {
            seed: 0,
            network: "search",
            step,
        };
        let start = Instant::now();
        let alphas = learner.alpha_step(&valid, draws, 0.0);
        let between = Instant::now();
        let weights = learner.weight_step(&train, draws, (0.025, 0.0));
        let end = Instant::now();
        if step > 0 {
            seconds[0].push((between - start).as_secs_f64());
            seconds[1].push((end - between).as_secs_f64());
        }
        eprintln!("losses {} {}", alphas.loss, weights.loss);
    }
    let both = seconds[0].iter().zip(&seconds[1]).map(|(a, w)| a + w);
    let mut both: Vec<f64> = both.collect();
    both.sort_by(f64::total_cmp);
    let median = both[both.len() / 2];
    println!(
        "P-DARTS step, {cells} cells, {count} ops, batch {size}, {threads} thread(s), {}: alphas \
         {:.3?} s, weights {:.3?} s, median of both {median:.3} s",
        kernels::instruction_set(),
        seconds[0],
        seconds[1],
    );
    Ok(())
}
