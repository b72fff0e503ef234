//! Seconds of one hypergradient by reverse mode, against what the machine's memory can give.
//!
//!     cargo bench -p tox-bilevel --bench hypergradient -- [n d p T] [--hidden 32,8]
//!         [--keep everything|states|checkpoints] [--threads N] [--repeats N] [--json]
//!
//! n training points of which p are poison, d features, T steps of gradient descent; without
//! `--hidden` logistic regression. Default: `10000 784 350 140`, every state kept, all cores, 15
//! repeats after one that is not timed. The points are random: seeded bytes, and reals for the poison.
//!
//! Printed: how fast the machine reads a buffer much larger than its caches, and one of the size of
//! the rows, with the same threads; then median and least seconds, rows' bytes read a second against
//! both, and for nets the products with the rows a second. `--json` adds one line of JSON.
//! Processor time says what a run costs where other programs share the cores.
//! Peak memory beyond the data is the growth of the process's largest resident set.
//!
//! PyTorch beside it, in the same run: `python benches/peers/compare_hypergradient.py`.

use rand::Rng;
use std::hint::black_box;
use std::time::Instant;
use tox_bilevel::config::{Keep, Penalty};
use tox_bilevel::hypergradient::{Hypergradient, ReverseMode};
use tox_bilevel::inner::{Problem, Regulariser};
use tox_bilevel::model::Model;
use tox_bilevel::points::{Points, TrainingSet, Values};
use tox_data::rng::stream;

/// What is measured.
struct Setting {
    n: usize,
    d: usize,
    poison: usize,
    steps: usize,
    hidden: Vec<usize>,
    keep: Keep,
    threads: usize,
    repeats: usize,
    json: bool,
}

impl Setting {
    fn from_args(args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut setting = Self {
            n: 10_000,
            d: 784,
            poison: 350,
            steps: 140,
            hidden: Vec::new(),
            keep: Keep::Everything,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            repeats: 15,
            json: false,
        };
        let number = |text: &str| {
            let number = text.parse::<usize>();
            number.map_err(|_| format!("expected a whole number, found `{text}`"))
        };
        let mut sizes = Vec::new();
        let mut args = args;
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or(format!("`{arg}` wants a value"));
            match arg.as_str() {
                "--hidden" => {
                    let widths = value()?;
                    setting.hidden = widths.split(',').map(number).collect::<Result<_, _>>()?;
                }
                "--keep" => {
                    setting.keep = match value()?.as_str() {
                        "everything" => Keep::Everything,
                        "states" => Keep::States,
                        "checkpoints" => Keep::Checkpoints,
                        other => return Err(format!("no such --keep: `{other}`")),
                    }
                }
                "--threads" => setting.threads = number(&value()?)?.max(1),
                "--repeats" => setting.repeats = number(&value()?)?.max(1),
                "--json" => setting.json = true,
                // What cargo passes to every bench.
                "--bench" => {}
                other => sizes.push(number(other)?),
            }
        }
        match sizes[..] {
            [] => {}
            [n, d, poison, steps] => {
                (setting.n, setting.d, setting.poison, setting.steps) = (n, d, poison, steps);
            }
            _ => return Err("expected the four numbers n d p T, or none".into()),
        }
        if setting.n == 0 || setting.d == 0 || setting.poison >= setting.n {
            return Err("expected n and d above 0 and p below n".into());
        }
        Ok(setting)
    }
}

fn main() {
    let setting = match Setting::from_args(std::env::args().skip(1)) {
        Ok(setting) => setting,
        Err(error) => {
            eprintln!("hypergradient: {error}");
            std::process::exit(2);
        }
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(setting.threads);
    match pool.build() {
        Ok(pool) => pool.install(|| measure(&setting)),
        Err(error) => eprintln!("hypergradient: cannot start threads: {error}"),
    }
}

fn measure(s: &Setting) {
    let clean = bytes(s.n - s.poison, s.d, "clean");
    let valid = bytes((s.n / 10).max(1), s.d, "valid");
    let poison = bytes(s.poison, s.d, "poison").real();
    let model = Model {
        features: s.d,
        hidden: s.hidden.clone(),
        classes: 2,
        leak: 0.01,
    };
    let start: Vec<f32> = model.start(0.01, &mut stream(1, "start", &[]));
    let problem = Problem {
        model: &model,
        train: TrainingSet::of(&clean, &poison),
        valid: &valid,
        regulariser: Some(Regulariser::one(Penalty::L2, -4.0)),
        start: &start,
        steps: s.steps,
        lr: 0.01,
    };
    let mode = ReverseMode { keep: s.keep };
    let before = status("VmRSS:");
    let mut seconds = Vec::new();
    let mut cpu = None;
    for repeat in 0..=s.repeats {
        let begin = Instant::now();
        match mode.of(black_box(&problem)) {
            Ok(result) => drop(black_box(result)),
            Err(error) => {
                eprintln!("hypergradient: {error}");
                std::process::exit(1);
            }
        }
        if repeat == 0 {
            cpu = cpu_seconds();
        } else {
            seconds.push(begin.elapsed().as_secs_f64());
        }
    }
    let memory = status("VmHWM:").zip(before).map(|(peak, now)| peak - now);
    let cpu = cpu_seconds().zip(cpu);
    let cpu = cpu.map(|(after, before)| (after - before) / s.repeats as f64);
    // Last, so that its buffers do not count.
    let (far, near) = (
        bandwidth(512 << 20, s.threads),
        bandwidth(s.n * s.d, s.threads),
    );
    seconds.sort_by(f64::total_cmp);
    let (median, least) = (seconds[seconds.len() / 2], seconds[0]);

    // Rows read: each step forward and each step back, and forward again between checkpoints.
    let forward = if s.keep == Keep::Checkpoints { 2 } else { 1 };
    let passes = (s.steps * (forward + 1)) as f64;
    let row_bytes = (s.n - s.poison) * s.d + 4 * s.poison * s.d;
    let rate = passes * row_bytes as f64 / least;
    // A pass is one product with the rows and one transposed; one more back without a trace.
    let again = if s.keep == Keep::States { s.steps } else { 0 };
    let units = s.hidden.first().copied().unwrap_or(1);
    let products = (2.0 * passes + again as f64) * (s.n * s.d * units) as f64 / least;

    let widths = s.hidden.iter().map(|h| format!("{h}-"));
    let name = format!("{}-{}1", s.d, widths.collect::<String>());
    println!(
        "{name}, n {}, poison {}, T {}, {:?}, {} threads",
        s.n, s.poison, s.steps, s.keep, s.threads
    );
    println!("seconds: median {median:.4}, least {least:.4}");
    if let Some(cpu) = cpu {
        println!("seconds of processor time, all threads: mean {cpu:.4}");
    }
    println!(
        "rows read: {:.1} GB/s; memory gives {:.1} GB/s, and {:.1} GB/s at the rows' size",
        rate / 1e9,
        far / 1e9,
        near / 1e9
    );
    println!("first layer: {:.1} G products/s", products / 1e9);
    if let Some(memory) = memory {
        println!("peak memory beyond the data: {memory:.1} MB");
    }
    if s.json {
        println!(
            "{}",
            serde_json::json!({
                "program": "toxscreen", "model": name, "n": s.n, "d": s.d, "poison": s.poison,
                "steps": s.steps, "keep": s.keep, "threads": s.threads, "median_s": median,
                "least_s": least, "cpu_s": cpu, "rows_gb_per_s": rate / 1e9, "memory_gb_per_s": far / 1e9,
                "rows_size_gb_per_s": near / 1e9, "gproducts_per_s": products / 1e9,
                "peak_mb_beyond_data": memory,
            })
        );
    }
}

/// `n` random points of two classes.
fn bytes(n: usize, d: usize, purpose: &str) -> Points<f32> {
    let mut bytes = vec![0; n * d];
    stream(1, purpose, &[]).fill_bytes(&mut bytes);
    Points {
        features: d,
        values: Values::Bytes {
            bytes: bytes.into(),
            scale: 1.0 / 255.0,
            offset: 0.0,
        },
        labels: (0..n).map(|i| (i % 2) as u16).collect(),
    }
}

/// Bytes a second at which `threads` threads together sum a buffer of `size` bytes, the best of
/// several passes.
fn bandwidth(size: usize, threads: usize) -> f64 {
    let buffer = vec![1f32; (size / 4).max(1)];
    let share = buffer.len().div_ceil(threads);
    // Threads stay for all passes of a run, so that starting them does not count.
    let passes = ((1 << 30) / size.max(1)).clamp(1, 1000);
    let run = || {
        let begin = Instant::now();
        rayon::scope(|scope| {
            for part in buffer.chunks(share) {
                scope.spawn(move |_| {
                    for _ in 0..passes {
                        black_box(pulp::Arch::new().dispatch(Sum(black_box(part))));
                    }
                });
            }
        });
        (passes * 4 * buffer.len()) as f64 / begin.elapsed().as_secs_f64()
    };
    (0..5).map(|_| run()).fold(0.0, f64::max)
}

/// A sum of whole vectors.
struct Sum<'a>(&'a [f32]);

impl pulp::WithSimd for Sum<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, simd: S) -> f32 {
        let mut sums = [simd.splat_f32s(0.0); 8];
        for values in S::as_simd_f32s(self.0).0.as_chunks::<8>().0 {
            for (sum, &value) in sums.iter_mut().zip(values) {
                *sum = simd.add_f32s(*sum, value);
            }
        }
        let sum = |sum| simd.reduce_sum_f32s(sum);
        sums.into_iter().map(sum).sum()
    }
}

/// A line of /proc/self/status, in MB; `None` where there is no such file.
fn status(name: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(name))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024.0 / 1e6)
}

/// Processor time of this process so far, user's and system's, to a hundredth of a second.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name, in parentheses, may hold spaces; ticks are the 14th and 15th field.
    let fields = stat.rsplit_once(')')?.1;
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: Vec<f64> = ticks.filter_map(|ticks| ticks.parse().ok()).collect();
    Some(ticks.iter().sum::<f64>() / 100.0)
}
