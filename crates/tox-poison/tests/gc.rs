//! Gradient cancelling: against a closed form, against PyTorch's exact double backward, and on the
//! digits.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Clippy knows test functions, not their helpers.

use burn::tensor::Tensor;
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;
use tox_data::checkpoint::Hooks;
use tox_data::features::{Features, Layout, Values};
use tox_data::rng::stream;
use tox_data::spec::{Augment, DataSpec};
use tox_data::{Batch, DataDir, Dataset, Normalise};
use tox_nn::Device;
use tox_nn::fit::{FitConfig, Inputs, fit};
use tox_nn::init;
use tox_nn::kernels::conv::Geometry;
use tox_nn::layers::{BatchNorm, Builder, Conv, Init, Linear, Network, Pass, State};
use tox_nn::ops::global_average;
use tox_nn::params::Params;
use tox_poison::data::gc::{Ascent, Attack, Gc, Objective, Victim, WithAlphas, craft, craft_rows};
use tox_poison::data::{Crafted, PoisonError};
use tox_search::cell::nasbench201::Nb201Supernet;
use tox_search::space::nasbench201;

/// Softmax regression, or a 3x3 convolution, batch norm or none, ReLU, max pooling or none, average
/// over pixels, softmax regression.
#[derive(Clone)]
struct Net {
    conv: Option<(Conv, Option<BatchNorm>)>,
    pool: bool,
    fc: Linear,
}

impl Net {
    fn linear(features: usize, classes: usize) -> (Self, State) {
        let mut b = Builder::new(5, "test", Init::Torch);
        let net = Self {
            conv: None,
            pool: false,
            fc: b.linear("fc", features, classes),
        };
        (net, b.finish())
    }

    fn conv(c_in: usize, c: usize, norm: bool, pool: bool, classes: usize) -> (Self, State) {
        let mut b = Builder::new(5, "test", Init::Torch);
        let conv = b.conv("conv", c_in, c, Geometry::same(3));
        let net = Self {
            conv: Some((conv, norm.then(|| b.norm("bn", c)))),
            pool,
            fc: b.linear("fc", c, classes),
        };
        (net, b.finish())
    }
}

impl Network for Net {
    fn logits(&self, pass: &Pass<'_>, x: Tensor<4>) -> Tensor<2> {
        let x = match &self.conv {
            None => x.flatten(1, 3),
            Some((conv, norm)) => {
                let x = conv.forward(pass, x);
                let x = match norm {
                    Some(norm) => norm.forward(pass, x, true),
                    None => pass.relu(x),
                };
                global_average(if self.pool { pass.max_pool(x) } else { x })
            }
        };
        self.fc.forward(pass, x)
    }
}

/// Relative distance in L2.
fn distance(found: &[f32], exact: &[f64]) -> f64 {
    assert_eq!(found.len(), exact.len());
    let pairs = found.iter().zip(exact);
    let rest: f64 = pairs.map(|(a, b)| (f64::from(*a) - b).powi(2)).sum();
    (rest / exact.iter().map(|b| b * b).sum::<f64>()).sqrt()
}

/// Softmax regression with weights W [c, d] and biases b: with e_i = softmax(W x_i + b) - onehot(y_i),
/// g_p is the mean of e_i x_i^T and of e_i. With r = 2p ((1 - p) g_c + p g_p) = (R, s) held constant,
/// r . g_p is the mean of e_i . (R x_i + s), whose gradient by x_i is
/// (R^T e_i + W^T (diag(q_i) - q_i q_i^T) (R x_i + s)) / n, q the softmax.
#[test]
fn on_a_linear_model_the_gradient_is_the_closed_form() {
    let (n, shape, classes, p) = (6, [6, 3, 4, 4], 5, 0.3);
    let d = 48;
    let mut rng = stream(1, "test", &[]);
    let (net, mut state) = Net::linear(d, classes);
    state.params.values = init::normal(classes * d + classes, 0.3, &mut rng);
    let batch = Batch {
        pixels: init::normal(n * d, 1.0, &mut rng),
        shape,
        labels: vec![0, 1, 2, 3, 4, 1],
    };
    let clean = init::normal(classes * d + classes, 0.2, &mut rng);
    let values: Vec<f64> = state.params.values.iter().map(|v| f64::from(*v)).collect();
    let (w, b) = values.split_at(classes * d);
    let x: Vec<f64> = batch.pixels.iter().map(|v| f64::from(*v)).collect();
    let times = |m: &[f64], b: &[f64], x: &[f64]| -> Vec<f64> {
        let row = |k: usize| -> f64 { (0..d).map(|j| m[k * d + j] * x[j]).sum::<f64>() + b[k] };
        (0..classes).map(row).collect()
    };
    let softmax = |x: &[f64]| -> Vec<f64> {
        let z: Vec<f64> = times(w, b, x).iter().map(|z| z.exp()).collect();
        z.iter().map(|v| v / z.iter().sum::<f64>()).collect()
    };
    let wrong = |i: usize| -> Vec<f64> {
        let mut e = softmax(&x[i * d..][..d]);
        e[usize::from(batch.labels[i])] -= 1.0;
        e
    };
    let mut g = vec![0.0; classes * d + classes];
    for i in 0..n {
        for (k, e) in wrong(i).into_iter().enumerate() {
            for j in 0..d {
                g[k * d + j] += e * x[i * d + j] / n as f64;
            }
            g[classes * d + k] += e / n as f64;
        }
    }
    let rest: Vec<f64> = (clean.iter().zip(&g))
        .map(|(c, g)| (1.0 - p) * f64::from(*c) + p * g)
        .collect();
    let r: Vec<f64> = rest.iter().map(|v| 2.0 * p * v).collect();
    let (big, small) = r.split_at(classes * d);
    let mut exact = Vec::new();
    for i in 0..n {
        let (x, e) = (&x[i * d..][..d], wrong(i));
        let (q, u) = (softmax(x), times(big, small, x));
        let mean: f64 = q.iter().zip(&u).map(|(q, u)| q * u).sum();
        exact.extend((0..d).map(|j| {
            let of = |k: usize| big[k * d + j] * e[k] + w[k * d + j] * q[k] * (u[k] - mean);
            (0..classes).map(of).sum::<f64>() / n as f64
        }));
    }
    let mut victim = Victim::of_all(net, state, Device::flex());
    let before = victim.values();
    let objective = Objective {
        clean: &clean,
        share: p,
        difference: Gc::default().difference,
    };
    let (alignment, found) = objective.gradient(&mut victim, &batch);
    assert_eq!(victim.values(), before, "the victim is where it was");
    assert!(
        distance(&found, &exact) < 1e-4,
        "{}",
        distance(&found, &exact)
    );
    let loss: f64 = rest.iter().map(|v| v * v).sum();
    assert!((alignment.loss / loss - 1.0).abs() < 1e-5);
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let c: Vec<f64> = clean.iter().map(|v| f64::from(*v)).collect();
    let cosine = dot(&c, &g) / (dot(&c, &c) * dot(&g, &g)).sqrt();
    assert!((alignment.cosine - cosine).abs() < 1e-5);
}

/// A case of the PyTorch fixtures.
struct Case {
    name: &'static str,
    numbers: &'static Value,
    clean: Features,
    normalise: Normalise,
}

static NUMBERS: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("fixtures/gradient_cancelling.json")).unwrap()
});

fn tensor(name: &str) -> Vec<f64> {
    let bytes = include_bytes!("fixtures/gradient_cancelling.safetensors");
    let file = SafeTensors::deserialize(bytes).unwrap();
    let view = file.tensor(name).unwrap();
    let data = view.data();
    match view.dtype() {
        Dtype::U8 => data.iter().map(|v| f64::from(*v)).collect(),
        Dtype::F32 => (data.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)))
            .map(f64::from)
            .collect(),
        Dtype::F64 => (data.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b))).collect(),
        Dtype::I64 => (data
            .as_chunks()
            .0
            .iter()
            .map(|b| i64::from_le_bytes(*b) as f64))
        .collect(),
        other => panic!("{name} is {other:?}"),
    }
}

fn floats(name: &str) -> Vec<f32> {
    tensor(name).into_iter().map(|v| v as f32).collect()
}

fn list(value: &Value) -> Vec<f64> {
    let values = value.as_array().unwrap().iter();
    values.map(|v| v.as_f64().unwrap()).collect()
}

impl Case {
    fn new(name: &'static str) -> Self {
        let numbers = &NUMBERS[name];
        let side = numbers["image_size"].as_u64().unwrap() as usize;
        let classes = numbers["classes"].as_u64().unwrap();
        let bytes = |name: String| tensor(&name).into_iter().map(|v| v as u8).collect();
        let labels = tensor(&format!("{name}.labels")).into_iter();
        Self {
            name,
            numbers,
            clean: Features {
                values: Values::Bytes(bytes(format!("{name}.clean"))),
                rows: 24,
                columns: 3 * side * side,
                shape: Some([3, side, side]),
                layout: Layout::ChannelsFirst,
                labels: labels.map(|v| v as u16).collect(),
                class_names: (0..classes).map(|class| class.to_string()).collect(),
            },
            normalise: Normalise {
                mean: floats("mean"),
                std: floats("std"),
            },
        }
    }

    /// Of softmax regression and the small convolutional nets.
    fn victim(&self) -> Victim<Net> {
        let (net, mut state) = match self.name {
            "linear" => Net::linear(self.clean.columns, 4),
            "conv" => Net::conv(3, 4, false, false, 4),
            _ => Net::conv(3, 4, true, false, 4),
        };
        self.set(&mut state.params);
        let names = state.params.entries().iter().map(|entry| &entry.name);
        assert_eq!(json!(names.collect::<Vec<_>>()), self.numbers["targets"]);
        Victim::of_all(net, state, Device::flex())
    }

    /// Of the alphas of a NAS-Bench-201 supernet.
    fn supernet(&self) -> Victim<WithAlphas<Nb201Supernet>> {
        let all = vec![nasbench201::Op::ALL.to_vec(); nasbench201::EDGES];
        let shape = nasbench201::Network {
            channels: 2,
            cells: 1,
            classes: 4,
            input: [3, 8, 8],
        };
        let made = Nb201Supernet::new(&all, false, &shape, Init::Torch, (0, "test"));
        let (net, mut state) = made.unwrap();
        self.set(&mut state.params);
        let mut alphas = Params::default();
        alphas.add("alphas".into(), [6, 5], vec![0.0; 30]);
        self.set(&mut alphas);
        Victim::of_alphas(net, state, &alphas, Device::flex())
    }

    /// The weights before GradPC.
    fn set(&self, params: &mut Params) {
        for entry in params.entries().to_vec() {
            let values = floats(&format!("{}.weights.{}", self.name, entry.name));
            params.values[entry.range()].copy_from_slice(&values);
        }
    }

    /// Puts a victim's targets behind PyTorch's GradPC.
    fn moved<N: Network>(&self, mut victim: Victim<N>) -> Victim<N> {
        victim.set(&floats(&format!("{}.moved", self.name)));
        victim
    }

    fn batches(&self, rows: usize, size: usize) -> Vec<Batch> {
        let images = self.clean.images().unwrap();
        let rows: Vec<u32> = (0..rows as u32).collect();
        let batches = rows.chunks(size);
        batches
            .map(|rows| images.batch(rows, &self.normalise, None))
            .collect()
    }

    fn share(&self) -> f64 {
        self.numbers["p"].as_f64().unwrap()
    }
}

fn ascends<N: Network>(case: &Case, mut victim: Victim<N>) {
    let (name, settings) = (case.name, &case.numbers["gradpc"]);
    let number = |key: &str| settings[key].as_f64().unwrap();
    let mut ascent = Ascent::new(&victim, number("eps"), number("lr"));
    for (batch, norm) in case.batches(24, 8).iter().zip(list(&settings["norms"])) {
        let reached = ascent.step(&mut victim, batch).unwrap();
        assert!((reached - norm).abs() < 1e-6, "{name} {reached} {norm}");
    }
    let moved = tensor(&format!("{name}.moved"));
    let found = distance(&victim.values(), &moved);
    assert!(found < 1e-5, "{name} {found}");
}

#[test]
fn the_ascent_goes_where_pytorchs_does() {
    for case in ["linear", "conv", "conv_bn"].map(Case::new) {
        ascends(&case, case.victim());
    }
    let case = Case::new("alphas");
    ascends(&case, case.supernet());
}

fn cancels<N: Network>(case: &Case, mut victim: Victim<N>, difference: f64) {
    let name = case.name;
    let mut clean = vec![0.0; victim.values().len()];
    for batch in case.batches(24, 8) {
        let found = victim.gradient(&batch).values;
        let pairs = clean.iter_mut().zip(&found);
        pairs.for_each(|(c, g)| *c += g / 3.0);
    }
    let exact = tensor(&format!("{name}.clean_gradient"));
    let found = distance(&clean, &exact);
    assert!(found < 1e-5, "{name}, clean gradient: {found}");
    let objective = Objective {
        clean: &clean,
        share: case.share(),
        difference,
    };
    let (mut gradient, mut loss, mut cosine) = (Vec::new(), 0.0, 0.0);
    for batch in case.batches(8, 4) {
        let (alignment, found) = objective.gradient(&mut victim, &batch);
        gradient.extend(found);
        loss += alignment.loss / 2.0;
        cosine += alignment.cosine / 2.0;
    }
    let exact = tensor(&format!("{name}.first_gradient"));
    let found = distance(&gradient, &exact);
    println!("{name} {difference} {found:.1e}");
    assert!(found < 2e-4, "{name}: {found}");
    let first = |key: &str| list(&case.numbers[key])[0];
    assert!((loss / first("losses") - 1.0).abs() < 1e-5, "{name} {loss}");
    assert!((cosine - first("cosines")).abs() < 1e-5, "{name} {cosine}");
}

/// Without held choices, these gradients are off by 0.2 and more.
#[test]
fn gradients_are_those_of_double_backward() {
    for case in ["linear", "conv", "conv_bn"].map(Case::new) {
        let victim = case.moved(case.victim());
        cancels(&case, victim, Gc::default().difference);
    }
    let case = Case::new("alphas");
    for difference in [0.003, 0.01] {
        cancels(&case, case.moved(case.supernet()), difference);
    }
}

fn hooks<'a>(
    checkpoint: &'a Path,
    stop: &'a mut dyn FnMut() -> bool,
    progress: &'a mut dyn FnMut(f64, &str),
) -> Hooks<'a> {
    Hooks {
        checkpoint,
        key: "a key",
        save_every: Duration::from_secs(3600),
        stop,
        progress,
    }
}

/// To the end, stopped after every `steps` steps.
fn crafted<N: Network + Clone>(
    victim: &Victim<N>,
    attack: &Attack<'_>,
    budget: f64,
    steps: usize,
) -> Result<Crafted, PoisonError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gc.safetensors");
    let mut last = 0.0;
    let mut progress = |done: f64, _: &str| {
        assert!((last..1.0).contains(&done), "{done} after {last}");
        last = done;
    };
    loop {
        let mut left = steps;
        let mut stop = || {
            left -= 1;
            left == 0
        };
        let hooks = hooks(&path, &mut stop, &mut progress);
        if let Some(crafted) = craft(victim.clone(), attack, budget, hooks)? {
            return Ok(crafted);
        }
    }
}

fn bytes(values: Option<&Values>) -> &[u8] {
    match values {
        Some(Values::Bytes(values)) => values,
        other => panic!("{other:?}"),
    }
}

/// How far every value of the patch has moved, in steps of 8 bits.
fn changes(crafted: &Crafted, clean: &Features) -> Vec<i16> {
    let all = bytes(Some(&clean.values)).chunks_exact(clean.columns);
    let rows: Vec<&[u8]> = all.collect();
    let before = crafted
        .patch
        .indices()
        .iter()
        .flat_map(|i| rows[*i as usize]);
    let pairs = bytes(crafted.patch.values()).iter().zip(before);
    pairs.map(|(a, b)| i16::from(*a) - i16::from(*b)).collect()
}

#[test]
fn the_curve_and_the_images_are_pytorchs() {
    for name in ["linear", "conv"] {
        let case = Case::new(name);
        for iterations in [1, 10] {
            let attack = Attack {
                clean: &case.clean,
                normalise: &case.normalise,
                gc: Gc {
                    radius: 0.0,
                    clean_batch: 8,
                    batch: 4,
                    iterations,
                    ..Gc::default()
                },
                seed: 1,
                source: json!("fixture"),
            };
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("gc.safetensors");
            let (mut stop, mut progress) = (|| false, |_: f64, _: &str| {});
            let hooks = hooks(&path, &mut stop, &mut progress);
            let rows = (0..8).collect();
            let made = craft_rows(
                case.moved(case.victim()),
                &attack,
                rows,
                case.share(),
                hooks,
            );
            let made = made.unwrap().unwrap();
            let cancelled = made.check.cancelled.as_ref().unwrap();
            assert_eq!(cancelled.curve.len(), iterations);
            assert_eq!(cancelled.snapshot, iterations - 1);
            assert_eq!(cancelled.ascent, 0.0);
            let losses = list(&case.numbers["losses"]);
            let cosines = list(&case.numbers["cosines"]);
            for (i, found) in cancelled.curve.iter().enumerate() {
                assert!(
                    (found.loss / losses[i] - 1.0).abs() < 1e-3,
                    "{name} {i} {found:?}"
                );
                assert!(
                    (found.cosine - cosines[i]).abs() < 1e-3,
                    "{name} {i} {found:?}"
                );
            }
            let exact = tensor(&format!("{name}.delta_after_{iterations}"));
            let plane = case.clean.columns / 3;
            let mut off = 0;
            for (i, (found, exact)) in changes(&made, &case.clean).iter().zip(&exact).enumerate() {
                let exact = exact * 255.0 * f64::from(case.normalise.std[i / plane % 3]);
                off += usize::from((f64::from(*found) - exact).abs() > 0.51);
            }
            assert!(off * 100 <= exact.len(), "{name} {iterations} {off}");
        }
    }
}

fn digits() -> Dataset {
    let folder = DataDir::resolve(Some(Path::new("."))).unwrap();
    tox_data::load(&DataSpec::of("digits", 300), &folder).unwrap()
}

/// A small network that has learned the digits: convolution, batch norm, ReLU, max pooling.
fn learned(data: &Dataset, clean: &Features, epochs: usize) -> Victim<Net> {
    let (net, state) = Net::conv(1, 16, true, true, 10);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("victim.safetensors");
    let (mut stop, mut progress) = (|| false, |_: f64, _: &str| {});
    let inputs = Inputs {
        train: &clean.images().unwrap(),
        normalise: &data.normalise,
        augment: &Augment::default(),
        config: &FitConfig {
            epochs,
            batch: 32,
            ..FitConfig::default()
        },
        seed: 3,
        name: "victim",
        device: Device::flex(),
    };
    let hooks = hooks(&path, &mut stop, &mut progress);
    let fitted = fit(net.clone(), state, &inputs, hooks).unwrap().unwrap();
    Victim::of_all(net, fitted.state, Device::flex())
}

fn attack<'a>(data: &'a Dataset, clean: &'a Features, gc: Gc) -> Attack<'a> {
    Attack {
        clean,
        normalise: &data.normalise,
        gc,
        seed: 4,
        source: json!("digits"),
    }
}

#[test]
fn on_the_digits_the_poison_turns_against_the_clean_gradient() {
    let data = digits();
    let clean = data.pool();
    let victim = learned(&data, &clean, 8);
    let made = |radius, budget| {
        let gc = Gc {
            iterations: 60,
            radius,
            ..Gc::default()
        };
        crafted(&victim, &attack(&data, &clean, gc), budget, usize::MAX).unwrap()
    };
    let at_rest = made(0.0, 0.1);
    for (crafted, budget, points) in [(&made(0.05, 0.1), 0.1, 143), (&made(0.05, 0.5), 0.5, 718)] {
        let check = &crafted.check;
        assert_eq!(
            (check.points, check.moved, check.flipped),
            (points, points, 0)
        );
        assert_eq!((check.linf, check.unreliable.as_deref()), (16.0, None));
        assert!(changes(crafted, &clean).iter().all(|c| c.abs() <= 16));
        let cancelled = check.cancelled.as_ref().unwrap();
        let (before, after) = (cancelled.before(), cancelled.after);
        assert!(
            after.loss < 0.5 * before.loss,
            "{budget}: {before:?} {after:?}"
        );
        assert!(before.cosine > 0.3, "{budget}: {before:?}");
        assert!(after.cosine < -0.7, "{budget}: {after:?}");
        assert_eq!(cancelled.curve.len(), 60);
        assert!(
            (cancelled.ascent - 0.05).abs() < 1e-6,
            "{}",
            cancelled.ascent
        );
        let unmoved = at_rest.check.cancelled.as_ref().unwrap();
        assert!(cancelled.clean_loss > unmoved.clean_loss);
        assert!(cancelled.clean_gradient > unmoved.clean_gradient);
        // Of the same images, rounded, at the model that they were made for.
        let snapshot = cancelled.curve[cancelled.snapshot];
        assert!(after.loss < 1.2 * snapshot.loss, "{snapshot:?} {after:?}");
        let settings = &crafted.patch.manifest().settings;
        assert_eq!(settings["share"], budget);
        assert_eq!(settings["gc"]["bound"], 16);
        assert_eq!(settings["victim"], "digits");
        let mut poisoned = data.clone();
        crafted.patch.apply_to(&mut poisoned).unwrap();
        assert_ne!(poisoned.train, data.train);
    }
    // Measured from outside, where the victim has not moved: all rows in other batches.
    let mut poisoned = clean.clone();
    at_rest.patch.apply(&mut poisoned).unwrap();
    let gradient = |rows: &Features, indices: &[u32]| -> Vec<f64> {
        let images = rows.images().unwrap();
        let mut sum = vec![0.0; victim.values().len()];
        for indices in indices.chunks(72) {
            let batch = images.batch(indices, &data.normalise, None);
            let found = victim.gradient(&batch).values;
            let weight = indices.len() as f64;
            sum.iter_mut()
                .zip(&found)
                .for_each(|(s, g)| *s += weight * f64::from(*g));
        }
        sum
    };
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let cosine = |a: &[f64], b: &[f64]| dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
    let everything: Vec<u32> = (0..clean.rows as u32).collect();
    let chosen: Vec<u32> = at_rest.patch.indices().iter().map(|i| *i as u32).collect();
    let of_clean = gradient(&clean, &everything);
    let before = cosine(&of_clean, &gradient(&clean, &chosen));
    let after = cosine(&of_clean, &gradient(&poisoned, &chosen));
    assert!(before > 0.2 && after < -0.7, "{before} {after}");
}

#[test]
fn an_attack_goes_on_where_it_stopped_and_threads_do_not_change_it() {
    let data = digits();
    let clean = data.pool();
    let victim = learned(&data, &clean, 1);
    let gc = Gc {
        iterations: 4,
        snapshot_every: 2,
        ..Gc::default()
    };
    let attack = attack(&data, &clean, gc);
    let undisturbed = crafted(&victim, &attack, 0.1, usize::MAX).unwrap();
    // 23 batches twice, then 4 times 3, then 3.
    for steps in [2, 6, 11] {
        let stopped = crafted(&victim, &attack, 0.1, steps).unwrap();
        assert_eq!(stopped, undisturbed, "stopped every {steps} steps");
    }
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let made = pool
            .unwrap()
            .install(|| crafted(&victim, &attack, 0.1, usize::MAX));
        assert_eq!(made.unwrap(), undisturbed, "{threads} threads");
    }
    let other = Attack { seed: 5, ..attack };
    let other = crafted(&victim, &other, 0.1, usize::MAX).unwrap();
    assert_ne!(other.patch.indices(), undisturbed.patch.indices());
}

#[test]
fn what_no_attack_can_use_is_refused() {
    let data = digits();
    let clean = data.pool();
    let (net, state) = Net::conv(1, 4, true, false, 10);
    let victim = Victim::of_all(net, state, Device::flex());
    let base = || attack(&data, &clean, Gc::default());
    let refused = |victim: &Victim<Net>, attack: &Attack<'_>, budget, part: &str| {
        let error = crafted(victim, attack, budget, usize::MAX).unwrap_err();
        assert!(error.to_string().contains(part), "{part}: {error}");
    };
    for budget in [0.0, -0.1, 1.1, f64::NAN] {
        refused(&victim, &base(), budget, "expected a budget above 0");
    }
    refused(&victim, &base(), 1e-4, "nothing would be poisoned");
    let with = |change: fn(&mut Gc)| {
        let mut attack = base();
        change(&mut attack.gc);
        attack
    };
    for (attack, part) in [
        (with(|gc| gc.bound = 0), "`bound` = 0"),
        (with(|gc| gc.radius = -1.0), "`radius` = -1"),
        (with(|gc| gc.clean_batch = 1), "`clean_batch` = 1"),
        (with(|gc| gc.lr = f64::NAN), "`lr` = NaN"),
        (with(|gc| gc.iterations = 0), "`iterations` = 0"),
        (with(|gc| gc.batch = 0), "`batch` = 0"),
        (with(|gc| gc.snapshot_every = 0), "`snapshot_every` = 0"),
        (with(|gc| gc.difference = 0.0), "`difference` = 0"),
    ] {
        refused(&victim, &attack, 0.1, part);
    }
    let floats = clean.clone().into_floats();
    let of_floats = attack(&data, &floats, Gc::default());
    refused(&victim, &of_floats, 0.1, "8-bit images, found floats");
    let untargeted = Victim {
        targets: Vec::new(),
        ..victim.clone()
    };
    refused(&untargeted, &base(), 0.1, "no target parameters");
    let mut diverged = victim.clone();
    diverged.state.params.values[0] = f32::NAN;
    refused(&diverged, &base(), 0.1, "has norm NaN");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gc.safetensors");
    let rows = |rows: Vec<u64>, key: &str| {
        let (mut stop, mut progress) = (|| true, |_: f64, _: &str| {});
        let hooks = Hooks {
            key,
            ..hooks(&path, &mut stop, &mut progress)
        };
        craft_rows(victim.clone(), &base(), rows, 0.1, hooks)
    };
    for (wrong, part) in [(vec![], "no"), (vec![3, 3], "3"), (vec![1_437], "1437")] {
        let error = rows(wrong, "one").unwrap_err();
        assert!(matches!(error, PoisonError::Patch(_)), "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
    assert!(rows(vec![1, 2], "one").unwrap().is_none());
    assert!(rows(vec![1, 2], "one").unwrap().is_none());
    let error = rows(vec![1, 2], "other").unwrap_err().to_string();
    assert!(error.contains("belongs to one, not to other"), "{error}");
    let error = rows(vec![1], "one").unwrap_err().to_string();
    assert!(error.contains("has another length"), "{error}");
}
