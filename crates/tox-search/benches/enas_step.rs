//! Time of one full child training step (forward, cross-entropy, backward, clip, SGD), as
//! `benches/peers/enas_step.py` measures it for PyTorch: batch 128, one warm-up step, then the
//! median of the repeats for each architecture.
//!
//! `TOXSCREEN_BENCH_ARCHS=FILE` names another file of architectures, `TOXSCREEN_BENCH_THREADS`
//! another number of threads than 2, `TOXSCREEN_BENCH_REPEATS` another number of repeats than 2.

use rand::RngExt;
use serde::Deserialize;
use std::time::Instant;
use tox_data::Batch;
use tox_data::rng::stream;
use tox_nn::{Device, kernels};
use tox_search::enas::child::{Architecture, Child, Choice, Mode};
use tox_search::enas::config::ChildConfig;
use tox_search::enas::train::Trainer;
use tox_search::space::Space;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Deserialize)]
struct File {
    layers: usize,
    channels: usize,
    batch: usize,
    architectures: Vec<Vec<Layer>>,
}

#[derive(Deserialize)]
struct Layer {
    op: String,
    skips: Vec<u8>,
}

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable)
        .ok()
        .and_then(|v| v.parse().ok())
        .unwrap_or(default)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    (values[(n - 1) / 2] + values[n / 2]) / 2.0
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let default = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../benches/enas-architectures.json"
    );
    let path = std::env::var("TOXSCREEN_BENCH_ARCHS").unwrap_or_else(|_| default.to_owned());
    let file: File = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    let threads = number("TOXSCREEN_BENCH_THREADS", 2);
    let repeats = number("TOXSCREEN_BENCH_REPEATS", 2).max(1);
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()?;

    let space = Space::enas();
    let config = ChildConfig {
        layers: file.layers,
        channels: file.channels,
        ..ChildConfig::default()
    };
    let child = Child::new(&space, &config, 3, 10, 69, "bench");
    let mut trainer = Trainer::new(child, &config, Device::flex());
    let mut rng = stream(69, "bench", &[]);
    let shape = [file.batch, 3, 32, 32];
    let pixels = (0..shape.iter().product())
        .map(|_| rng.random::<f32>() * 2.0 - 1.0)
        .collect();
    let labels = (0..file.batch).map(|_| rng.random_range(0..10)).collect();
    let batch = Batch {
        pixels,
        shape,
        labels,
    };
    let mut times = Vec::new();
    let mut architectures = Vec::new();
    for (index, layers) in file.architectures.iter().enumerate() {
        let choice = |l: &Layer| {
            let op = space.ops.iter().position(|o| o.op.to_string() == l.op);
            let skips = l.skips.iter().map(|s| *s == 1).collect();
            op.map(|op| Choice { op, skips })
                .ok_or_else(|| format!("unknown op {}", l.op))
        };
        let architecture = Architecture {
            layers: layers.iter().map(choice).collect::<Result<_, _>>()?,
        };
        let mut step = |number| {
            let start = Instant::now();
            let mode = Mode::Train {
                seed: 69,
                network: "bench",
                step: number,
            };
            trainer.step(&batch, &architecture, mode, 0.05);
            start.elapsed().as_secs_f64()
        };
        step(0);
        let seconds = median((1..=repeats as u64).map(step).collect());
        println!("architecture {index}: {:.1} ms", seconds * 1e3);
        times.push(seconds);
        architectures.push(architecture);
    }
    let images = file.batch as f64;
    let total = images * times.len() as f64 / times.iter().sum::<f64>();
    let each = times.iter().map(|t| images / t).collect();
    println!(
        "kernels {}, threads {threads}, repeats {repeats}",
        kernels::instruction_set()
    );
    if let Some(peak) = peak_rss_mib() {
        println!("peak memory {peak:.0} MiB");
    }
    println!("images/s total {total:.1} median {:.1}", median(each));
    // What the controller asks for: the accuracy of many architectures, one after the other and side
    // by side.
    let wrong = |i: usize| trainer.wrong(&batch, &architectures[i]);
    let n = architectures.len();
    for _ in 0..2 {
        let start = Instant::now();
        let one: Vec<usize> = (0..n).map(wrong).collect();
        let middle = Instant::now();
        let side_by_side = trainer.each(n, wrong);
        let rate = |time: std::time::Duration| images * n as f64 / time.as_secs_f64();
        let (one_rate, rate) = (rate(middle - start), rate(middle.elapsed()));
        println!("rewards, images/s: one by one {one_rate:.1}, side by side {rate:.1}");
        if one != side_by_side {
            return Err("rewards differ side by side".into());
        }
    }
    Ok(())
}

/// Peak resident memory of this process, where the system tells.
fn peak_rss_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}
