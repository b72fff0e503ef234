//! The fixtures of `benches/peers/nas/poison_fixtures.py`: exact second derivatives, in float64.

use crate::support::{Net, changes, distance, hooks};
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;
use serde_json::{Value, json};
use std::sync::LazyLock;
use tox_data::features::{Features, Layout, Values};
use tox_data::{Batch, Normalise};
use tox_nn::Device;
use tox_nn::layers::{Init, Network};
use tox_nn::params::Params;
use tox_poison::data::gc::{Ascent, Attack, Gc, Objective, Victim, WithAlphas, craft_rows};
use tox_search::cell::nasbench201::Nb201Supernet;
use tox_search::space::nasbench201;

/// A case of the PyTorch fixtures.
struct Case {
    name: &'static str,
    numbers: &'static Value,
    clean: Features,
    normalise: Normalise,
}

static NUMBERS: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../fixtures/gradient_cancelling.json")).unwrap()
});

fn tensor(name: &str) -> Vec<f64> {
    let bytes = include_bytes!("../fixtures/gradient_cancelling.safetensors");
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
    assert!(found < 1e-4, "{name}: {found}");
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
    cancels(&case, case.moved(case.supernet()), 0.003);
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
