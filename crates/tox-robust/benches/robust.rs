//! Time of what attacks and adversarial training do on a WRN-16-2, batch 128 of 3x32x32, as
//! `benches/peers/rcnas/robust.py` measures it for PyTorch.
//!
//!     cargo bench -p tox-robust --bench robust -- [--threads 2] [--batch 128] [--repeats 3] [--only pgd]
//!         [--network wrn-16-2] [--csv FILE --label "2026-11-22, quiet"]
//!
//! `pgd`: 20 steps of PGD with all of the batch, each a forward pass and the gradient by the pixels.
//! `trades`: 10 steps on the KL divergence, then the step of training on the clean and on the
//! adversarial batch, SGD with Nesterov momentum and decay. `pass` and `training` are the parts that these
//! are made of. Seconds, the median of the repeats after one warm-up.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};
use rand::RngExt;
use std::fs::File;
use std::io::Write;
use std::time::Instant;
use tox_data::Normalise;
use tox_data::rng::stream;
use tox_nn::layers::{Draws, Mode, Network, Pass, State};
use tox_nn::nets::wrn::{INIT, Shape, Wrn, WrnConfig, wrn};
use tox_nn::optim::Sgd;
use tox_nn::{Device, kernels, ops};
use tox_robust::model::Model;
use tox_robust::oracle::Oracle;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CLASSES: usize = 10;
const EPS: f32 = 8.0 / 255.0;
const STEP: f32 = 2.0 / 255.0;
const BETA: f32 = 6.0;

fn text(name: &str) -> Option<String> {
    std::env::args().skip_while(|arg| arg != name).nth(1)
}

fn option(name: &str, default: usize) -> usize {
    text(name).and_then(|v| v.parse().ok()).unwrap_or(default)
}

/// The network, what it learns with, and a batch of pixels with labels.
struct Subject {
    network: Wrn,
    state: State,
    sgd: Sgd,
    normalise: Normalise,
    pixels: Vec<f32>,
    labels: Vec<i64>,
    steps: u64,
}

/// Softmax of rows of logits.
fn softmax(logits: &[f32]) -> Vec<f32> {
    let rows = logits.chunks_exact(CLASSES).flat_map(|row| {
        let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let exp: Vec<f32> = row.iter().map(|v| (v - max).exp()).collect();
        let sum: f32 = exp.iter().sum();
        exp.into_iter().map(move |v| v / sum)
    });
    rows.collect()
}

impl Subject {
    fn new(shape: Shape, batch: usize) -> Self {
        let config = WrnConfig::new(shape, 3, CLASSES);
        let (network, state) = wrn(&config, INIT, (0, "bench"));
        let mut sgd = Sgd::new(&state.params, 0.9, 5e-4, true);
        sgd.nesterov = true;
        let mut rng = stream(0, "bench", &[]);
        Self {
            network,
            state,
            sgd,
            normalise: Normalise {
                mean: vec![0.4914, 0.4822, 0.4465],
                std: vec![0.2470, 0.2435, 0.2616],
            },
            pixels: (0..batch * 3 * 32 * 32).map(|_| rng.random()).collect(),
            labels: (0..batch).map(|_| rng.random_range(0..10)).collect(),
            steps: 0,
        }
    }

    fn model(&self) -> Model<'_, Wrn> {
        let sizes = ([3, 32, 32], CLASSES);
        let device = Device::flex();
        Model::new(&self.network, &self.state, &self.normalise, sizes, device)
    }

    /// PGD up the gradient of what `cotangent` is the derivative of, from a random start.
    fn attack(&self, steps: u64, cotangent: &dyn Fn(&[f32]) -> Vec<f32>) -> Vec<f32> {
        let model = self.model();
        let mut rng = stream(0, "bench/start", &[]);
        let mut found: Vec<f32> = self.pixels.clone();
        for x in &mut found {
            *x = (*x + rng.random_range(-EPS..EPS)).clamp(0.0, 1.0);
        }
        for _ in 0..steps {
            let (_, gradient) = model.pullback(&found, &mut |logits| cotangent(logits));
            for ((x, g), clean) in found.iter_mut().zip(gradient).zip(&self.pixels) {
                let sign = f32::from(u8::from(g > 0.0)) - f32::from(u8::from(g < 0.0));
                let moved = *x + STEP * sign;
                *x = moved.clamp(clean - EPS, clean + EPS).clamp(0.0, 1.0);
            }
        }
        found
    }

    fn pgd(&self, steps: u64) {
        self.attack(steps, &|logits| {
            let mut p = softmax(logits);
            for (row, &label) in p.chunks_exact_mut(CLASSES).zip(&self.labels) {
                row[label as usize] -= 1.0;
            }
            p
        });
    }

    fn images(&self, pixels: &[f32], device: &Device) -> Tensor<4> {
        let (mean, std) = (&self.normalise.mean, &self.normalise.std);
        let values = pixels.chunks_exact(32 * 32).enumerate();
        let values = values.flat_map(|(i, channel)| {
            let (mean, std) = (mean[i % 3], std[i % 3]);
            channel.iter().map(move |v| (v - mean) / std)
        });
        let shape = [pixels.len() / 3072, 3, 32, 32];
        Tensor::from_data(TensorData::new(values.collect(), shape), device)
    }

    /// The step of training on both batches.
    fn train(&mut self, adversarial: &[f32]) {
        let device = Device::flex().autodiff();
        let draws = Draws {
            seed: 0,
            network: "bench",
            step: self.steps,
        };
        let pass = Pass::new(&self.state, &device, Mode::Train(draws));
        let n = self.labels.len();
        let labels: Tensor<1, Int> =
            Tensor::from_data(TensorData::new(self.labels.clone(), [n]), &device);
        let clean = self
            .network
            .logits(&pass, self.images(&self.pixels, &device));
        let other = self
            .network
            .logits(&pass, self.images(adversarial, &device));
        let (p, q) = (log_softmax(clean.clone(), 1), log_softmax(other, 1));
        let apart = (p.clone().exp() * (p - q)).sum() / n as f32;
        let loss = ops::cross_entropy(clean, labels) + apart * BETA;
        let gradients = loss.backward();
        let backward = pass.finish(gradients);
        let (params, running) = (&mut self.state.params, &mut self.state.running);
        self.sgd.step(params, &backward.gradients, 0.01, 1.0);
        running.update(&backward.measured);
        self.steps += 1;
    }

    fn trades(&mut self) {
        let clean = softmax(&self.model().logits(&self.pixels));
        let found = self.attack(10, &|logits| {
            let q = softmax(logits);
            q.iter().zip(&clean).map(|(q, p)| q - p).collect()
        });
        self.train(&found);
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (threads, batch) = (option("--threads", 2), option("--batch", 128));
    let repeats = option("--repeats", 3).max(1);
    let shape = Shape::parse(&text("--network").unwrap_or_else(|| "wrn-16-2".into()))?;
    let (only, csv) = (text("--only"), text("--csv"));
    let label = text("--label").unwrap_or_default();
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()?;
    let mut subject = Subject::new(shape, batch);
    let pixels = subject.pixels.clone();
    type Part = (&'static str, fn(&mut Subject, &[f32]));
    let parts: [Part; 4] = [
        ("pgd", |s, _| s.pgd(20)),
        ("trades", |s, _| s.trades()),
        ("pass", |s, _| s.pgd(1)),
        ("training", |s, pixels| s.train(pixels)),
    ];
    for (what, run) in parts {
        // The last two are shown when they are asked for.
        let extra = matches!(what, "pass" | "training");
        if only.as_ref().map_or(extra, |only| only != what) {
            continue;
        }
        let mut seconds = Vec::new();
        for _ in 0..=repeats {
            let begin = Instant::now();
            run(&mut subject, &pixels);
            seconds.push(begin.elapsed().as_secs_f64());
        }
        seconds.remove(0);
        let shown: Vec<String> = seconds.iter().map(|s| format!("{s:.3}")).collect();
        seconds.sort_by(f64::total_cmp);
        let median = seconds[seconds.len() / 2];
        let set = kernels::instruction_set();
        println!(
            "{what:<8} toxscreen {set} {median:.3} ({})",
            shown.join(" ")
        );
        if let Some(path) = &csv {
            let mut file = File::options().append(true).create(true).open(path)?;
            let sizes = format!("{threads},{batch}");
            writeln!(
                file,
                "\"{label}\",toxscreen,{set},{sizes},{what},{median:.4}"
            )?;
        }
    }
    Ok(())
}
