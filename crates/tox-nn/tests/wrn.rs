//! Wide residual networks and robust blocks against PyTorch in float64
//! (`benches/peers/rcnas/make_wrn_fixtures.py`): logits, gradients, running statistics, names.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Clippy knows test functions, not their helpers.

mod support;

use burn::tensor::{Int, Tensor, TensorData};
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use support::{TRAIN, assert_close, engines, path, widen};
use tox_nn::layers::{Init, Mode, Network, Pass, State};
use tox_nn::nets::wrn::{INIT, RobustBlock, Shape, Wrn, WrnConfig, infer, load, wrn};
use tox_nn::ops::{self, Engine};

/// Of which shape the fixtures are, and what the names of its state dict are called here.
fn config(name: &str) -> WrnConfig {
    let (shape, cells) = match name {
        "wrn" => ("d2,1,1-w1,3,2-r001-b2", RobustBlock::default()),
        _ => {
            let cells = RobustBlock {
                scales: 4,
                base_width: 40,
                cardinality: 2,
                se: 8,
            };
            ("rrn-d1,2,1-w1,1,1-r000-b2", cells)
        }
    };
    WrnConfig {
        cells,
        ..WrnConfig::new(Shape::parse(shape).unwrap(), 3, 5)
    }
}

fn loaded(name: &str) -> (Wrn, State) {
    let (network, mut state) = wrn(&config(name), Init::Zero, (0, "test"));
    load(&mut state, &path(&format!("{name}.safetensors"))).unwrap();
    (network, state)
}

/// Their name of one of our tensors.
fn theirs(fixture: &str, name: &str) -> String {
    if fixture == "wrn" {
        return name.to_owned();
    }
    let name = name.replace("convShortcut", "shortcut.0");
    if let Some(rest) = name.strip_prefix("conv1.") {
        return format!("stem_conv.{rest}");
    }
    if let Some(rest) = name.strip_prefix("bn1.") {
        return format!("norm1.{rest}");
    }
    match name.strip_prefix("block") {
        Some(rest) => {
            let (stage, rest) = rest.split_once('.').unwrap();
            format!("blocks.{}.{rest}", stage.parse::<usize>().unwrap() - 1)
        }
        None => name,
    }
}

struct Expected(Vec<u8>);

impl Expected {
    fn has(&self, name: &str) -> bool {
        let file = SafeTensors::deserialize(&self.0).unwrap();
        file.tensor(name).is_ok()
    }

    fn get(&self, name: &str) -> Vec<f64> {
        let file = SafeTensors::deserialize(&self.0).unwrap();
        let view = file.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}"));
        match view.dtype() {
            Dtype::F32 => widen(&floats(view.data())),
            _ => {
                let (words, _) = view.data().as_chunks::<8>();
                words
                    .iter()
                    .map(|w| i64::from_le_bytes(*w) as f64)
                    .collect()
            }
        }
    }
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    let (words, _) = bytes.as_chunks::<4>();
    words.iter().map(|w| f32::from_le_bytes(*w)).collect()
}

fn compare(fixture: &str, engine: Engine, mode: Mode<'_>) {
    let key = if mode == TRAIN { "train" } else { "eval" };
    let expected =
        Expected(std::fs::read(path(&format!("{fixture}_expected.safetensors"))).unwrap());
    let (network, mut state) = loaded(fixture);
    let device = support::device().autodiff();
    let mut pass = Pass::new(&state, &device, mode);
    pass.engine = engine;
    let pixels = floats_of(&expected.get("images"));
    let x = Tensor::<4>::from_data(TensorData::new(pixels, [4, 3, 9, 7]), &device);
    let x = x.require_grad();
    let logits = network.logits(&pass, x.clone());
    let close = |name: &str, found: &[f32], tolerance, floor| {
        let what = format!("{fixture} {engine:?} {name}");
        assert_close(&what, found, &expected.get(name), tolerance, floor);
    };
    let found = ops::read(logits.clone().detach());
    close(&format!("{key}.logits"), &found, 1e-5, 0.0);
    let labels: Vec<i64> = expected.get("labels").iter().map(|l| *l as i64).collect();
    let labels = Tensor::<1, Int>::from_data(TensorData::new(labels, [4]), &device);
    let loss = ops::cross_entropy(logits, labels);
    let gradients = loss.backward();
    close(&format!("{key}.loss"), &ops::read(loss), 1e-5, 0.0);
    let by_images = ops::read(x.grad(&gradients).unwrap());
    close(&format!("{key}.images.grad"), &by_images, 1e-4, 1e-7);
    let step = pass.finish(gradients);
    if key == "eval" {
        return;
    }
    let mut used = Vec::new();
    for (id, gradient) in &step.gradients {
        let name = &state.params.entry(*id).name;
        let name = format!("train.grad.{}", theirs(fixture, name));
        close(&name, gradient, 1e-4, 1e-6);
        used.push(name);
    }
    // PyTorch has gradients of the same weights and of no others.
    for entry in state.params.entries() {
        let name = format!("train.grad.{}", theirs(fixture, &entry.name));
        assert_eq!(expected.has(&name), used.contains(&name), "{name}");
    }
    let measured: Vec<_> = step.measured.iter().map(|m| m.norm).collect();
    state.running.update(&step.measured);
    for (id, name, _) in state.running.norms() {
        if !measured.contains(&id) {
            // The first norm of a robust block without shortcut is in its state for nothing.
            assert!(name.ends_with(".bn1"), "{name}");
            continue;
        }
        let (mean, var) = state.running.of(id);
        let name = theirs(fixture, &format!("{name}."))
            .trim_end_matches('.')
            .to_owned();
        close(&format!("train.{name}.running_mean"), mean, 1e-5, 1e-6);
        close(&format!("train.{name}.running_var"), var, 1e-5, 1e-6);
    }
    let unused = state.running.norms().count() - measured.len();
    assert_eq!(unused, 1, "one such block in each fixture");
}

fn floats_of(values: &[f64]) -> Vec<f32> {
    values.iter().map(|v| *v as f32).collect()
}

#[test]
fn passes_are_pytorchs() {
    for fixture in ["wrn", "rrn"] {
        for engine in engines() {
            compare(fixture, engine, Mode::Evaluate);
            compare(fixture, engine, TRAIN);
        }
    }
}

#[test]
fn what_is_built_is_what_is_counted() {
    let texts = [
        "wrn-16-2-b4",
        "d2,1,3-w1,3,2-r001-b4",
        "d1,1,1-w1,2,1-r111-b8",
        "rrn-d1,2,1-w1,2,1-r010-b4",
    ];
    for text in texts {
        let config = WrnConfig::new(Shape::parse(text).unwrap(), 1, 7);
        let (_, state) = wrn(&config, INIT, (0, "test"));
        assert_eq!(state.parameters() as u64, config.parameters(), "{text}");
        let bias = state.params.entries().iter().find(|e| e.name == "fc.bias");
        let bias = bias.unwrap().range();
        assert!(state.params.values[bias].iter().all(|b| *b == 0.0));
    }
    assert_eq!(config("wrn").check(), Ok(()));
    let broken = |change: fn(&mut WrnConfig)| {
        let mut config = config("wrn");
        change(&mut config);
        config.check().unwrap_err().to_string()
    };
    assert!(broken(|c| c.cells.scales = 1).contains("`scales`"));
    assert!(broken(|c| c.classes = 0).contains("classes"));
    assert!(broken(|c| c.shape.stages[1].depth = 0).contains("depth"));
}

/// A file that names one tensor twice, with and without DataParallel's prefix, and one of another shape.
#[test]
fn lying_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(path("rrn.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let whole: Vec<_> = file.tensors();
    let write = |tensors: Vec<(String, TensorView<'_>)>| {
        let path = folder.path().join("changed.safetensors");
        std::fs::write(&path, serialize(tensors, None).unwrap()).unwrap();
        path
    };
    let (_, mut state) = wrn(&config("rrn"), Init::Zero, (0, "test"));
    let before = state.params.values.clone();
    let mut twice = file.tensors();
    let (name, view) = whole[0].clone();
    twice.push((format!("module.{name}"), view));
    let error = load(&mut state, &write(twice)).unwrap_err().to_string();
    assert!(error.contains("names of one tensor"), "{error}");
    let few = whole.iter().filter(|(name, _)| name != "norm1.weight");
    let error = load(&mut state, &write(few.cloned().collect()));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("1 of its tensors missing (such as `bn1.weight`)"));
    let (_, mut other) = wrn(&config("wrn"), Init::Zero, (0, "test"));
    assert!(load(&mut other, &path("rrn.safetensors")).is_err());
    assert_eq!(state.params.values, before);
}

/// Whatever stands before the names, the numbers are read, and the file says which network it is of and how
/// its images are normalised.
#[test]
fn a_file_says_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let texts = [
        "wrn-16-2-b4",
        "wrn-10-1",
        "d2,1,3-w1,3,2-r001-b4",
        "d1,1,1-w1,2,1-r111-b8",
        "rrn-d1,2,1-w1,2,1-r000-b4",
    ];
    for (text, prefix) in texts
        .iter()
        .zip(["", "module.", "_orig_mod.", "net.model.", "1."])
    {
        let config = WrnConfig::new(Shape::parse(text).unwrap(), 3, 7);
        let (_, state) = wrn(&config, INIT, (0, "test"));
        let path = folder.path().join("weights.safetensors");
        state.save(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let mut tensors: Vec<(String, TensorView<'_>)> = Vec::new();
        for (name, view) in file.tensors() {
            tensors.push((format!("{prefix}{name}"), view));
        }
        let [mean, std]: [Vec<u8>; 2] = [[0.4f32, 0.5, 0.6], [0.2, 0.2, 0.3]]
            .map(|v| v.iter().flat_map(|v| v.to_le_bytes()).collect());
        let view = |bytes| TensorView::new(Dtype::F32, vec![1, 3, 1, 1], bytes).unwrap();
        tensors.push((format!("{prefix}mu"), view(&mean)));
        tensors.push((format!("{prefix}sigma"), view(&std)));
        std::fs::write(&path, serialize(tensors, None).unwrap()).unwrap();
        let (_, mut loaded) = wrn(&config, Init::Zero, (1, "test"));
        let found = load(&mut loaded, &path).unwrap();
        assert_eq!(loaded.params.values, state.params.values, "{text}");
        assert_eq!(
            (found.prefix.as_str(), infer(&found)),
            (prefix, Some(config))
        );
        let own = found.normalise.unwrap();
        assert_eq!(own.mean, [0.4, 0.5, 0.6]);
        assert_eq!(own.std, [0.2, 0.2, 0.3]);
        assert_eq!(
            own.names,
            ["mu", "sigma"].map(|name| format!("{prefix}{name}"))
        );
        // Asked for as another network it says which it is.
        let other = WrnConfig::new(Shape::parse("d3,1,1-w1,1,1-b2").unwrap(), 3, 7);
        let (_, mut other) = wrn(&other, Init::Zero, (1, "test"));
        let error = load(&mut other, &path).unwrap_err().to_string();
        let shape = config.shape.to_string();
        assert!(
            error.contains(&shape) && !error.contains("build"),
            "{error}"
        );
    }
}

#[test]
fn configs_are_read_with_defaults() {
    let text = r#"{"shape": "d2,2,2-w3,3,3", "in_channels": 3, "classes": 10}"#;
    let config: WrnConfig = serde_json::from_str(text).unwrap();
    assert_eq!(
        config,
        WrnConfig::new(Shape::parse("wrn-16-3").unwrap(), 3, 10)
    );
    let written = serde_json::to_string(&config).unwrap();
    assert!(written.contains(r#""shape":"wrn-16-3""#) && written.contains(r#""scales":8"#));
    let refused = serde_json::from_str::<Shape>(r#""wrn-17-3""#).unwrap_err();
    assert!(refused.to_string().contains("not 6n + 4"), "{refused}");
    assert_eq!(serde_json::from_str::<WrnConfig>(&written).unwrap(), config);
}

support::on_vulkan!();
