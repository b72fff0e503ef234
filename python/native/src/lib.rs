//! Attacks on live models: a Python model as the [`Oracle`](tox_robust::Oracle) of tox-robust.
//!
//! What people call is `toxscreen.live`, which looks over models, images and labels and says what is wrong with them.
//! Here arrays are borrowed, the interpreter's lock is released while Rust works, and taken for each pass of the model.

mod errors;
mod live;
mod recorded;

use errors::{Refused, attack_named, ball_of, labels_fit};
use live::Live;
use numpy::{
    IntoPyArray, PyArray1, PyArray4, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray4,
    PyUntypedArrayMethods,
};
use pyo3::prelude::*;
use recorded::{Recorded, Recording};
use std::path::Path;
use std::time::Duration;
use tox_data::checkpoint::Hooks;
use tox_robust::evaluation::{Inputs, Pictures, evaluate as robust_accuracy, possible};
use tox_robust::{Attack, Oracle, Points};

/// That of the package `toxscreen` which this one is for.
const INTERFACE: u32 = 1;

/// Images, and whether, at how many passes forward and back each was fooled.
type Attacked<'py> = (
    Bound<'py, PyArray4<f32>>,
    Bound<'py, PyArray1<bool>>,
    Bound<'py, PyArray1<u32>>,
    Bound<'py, PyArray1<u32>>,
);

/// The evaluation as JSON; of each image whether it is classified correctly, the place of the first attack that
/// fooled it or -1, and the image that fools or the clean one; of each attack its short name and which images stand.
type Evaluated<'py> = (
    String,
    Bound<'py, PyArray1<bool>>,
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray4<f32>>,
    Vec<(String, Bound<'py, PyArray1<bool>>)>,
);

/// Runs one attack, a short name or a table in JSON, on images in 0..=1. `first` is the row of the first of them.
#[pyfunction]
#[pyo3(signature = (model, pixels, labels, *, attack, norm, epsilon, seed, first))]
#[expect(clippy::too_many_arguments, reason = "keywords of Python")]
fn attack<'py>(
    py: Python<'py>,
    model: &Bound<'py, PyAny>,
    pixels: PyReadonlyArray4<'py, f32>,
    labels: PyReadonlyArray1<'py, u16>,
    attack: &str,
    norm: &str,
    epsilon: f64,
    seed: u64,
    first: u32,
) -> PyResult<Attacked<'py>> {
    let oracle = Live::new(model, pixels.shape())?;
    let (pixels, labels) = (pixels.as_slice()?, labels.as_slice()?);
    let (attack, ball) = (attack_named(attack)?, ball_of(norm, epsilon)?);
    attack.check(ball, oracle.classes()).refused(py)?;
    possible(&oracle, &attack).refused(py)?;
    labels_fit(pixels.len(), labels, &oracle)?;
    let rows: Vec<u32> = (first..).take(labels.len()).collect();
    let points = Points {
        pixels,
        labels,
        rows: &rows,
    };
    let shape = oracle.images(labels.len());
    let found = py.detach(|| attack.run(&oracle, points, ball, seed));
    oracle.end()?;
    Ok((
        found.pixels.into_pyarray(py).reshape(shape)?,
        found.fooled.into_pyarray(py),
        found.forward.into_pyarray(py),
        found.backward.into_pyarray(py),
    ))
}

/// Robust accuracy under attacks, each a short name or a table in JSON. `progress` is told the share of the work done and
/// what is going on.
#[pyfunction]
#[pyo3(signature = (model, pixels, labels, *, attacks, norm, epsilon, seed, progress=None))]
#[expect(clippy::too_many_arguments, reason = "keywords of Python")]
fn evaluate<'py>(
    py: Python<'py>,
    model: &Bound<'py, PyAny>,
    pixels: PyReadonlyArray4<'py, f32>,
    labels: PyReadonlyArray1<'py, u16>,
    attacks: Vec<String>,
    norm: &str,
    epsilon: f64,
    seed: u64,
    progress: Option<Py<PyAny>>,
) -> PyResult<Evaluated<'py>> {
    let oracle = Live::new(model, pixels.shape())?;
    let (pixels, labels) = (pixels.as_slice()?, labels.as_slice()?);
    labels_fit(pixels.len(), labels, &oracle)?;
    let shape = oracle.images(labels.len());
    let attacks: Vec<Attack> = attacks
        .iter()
        .map(|a| attack_named(a))
        .collect::<PyResult<_>>()?;
    let recording = Recording::new(pixels, labels.len());
    let recorded: Vec<Attack> = Recorded::all(&attacks, &recording);
    let rows: Vec<u32> = (0..labels.len() as u32).collect();
    let ball = ball_of(norm, epsilon)?;
    let found = py.detach(|| {
        let inputs = Inputs {
            oracle: &oracle,
            split: Pictures::Reals {
                pixels,
                shape,
                labels,
            },
            rows: &rows,
            ball,
            attacks: &recorded,
            seed,
        };
        let hooks = Hooks {
            checkpoint: Path::new(""),
            key: "",
            save_every: Duration::MAX,
            stop: &mut || oracle.stopped(),
            progress: &mut |share, message| {
                if let Some(progress) = &progress {
                    oracle.pass(|py| progress.call1(py, (share, message)));
                }
            },
        };
        robust_accuracy(&inputs, hooks)
    });
    oracle.end()?;
    let Some(mut found) = found.refused(py)? else {
        // It stops where the oracle does, which has said why.
        return Err(errors::lost("the evaluation stopped without a reason"));
    };
    for (attacked, attack) in found.attacks.iter_mut().zip(attacks) {
        attacked.attack = attack;
    }
    let stands = found.attacks.iter().map(|attacked| {
        let robust = attacked.robust.clone().into_pyarray(py);
        (attacked.attack.name(), robust)
    });
    let stands = stands.collect();
    let told = serde_json::to_string(&found).map_err(|e| errors::lost(&e.to_string()))?;
    let (seen, by, pixels) = recording.end();
    Ok((
        told,
        seen.into_pyarray(py),
        by.into_pyarray(py),
        pixels.into_pyarray(py).reshape(shape)?,
        stands,
    ))
}

/// Short names of all attacks.
#[pyfunction]
fn names() -> String {
    tox_robust::attacks::names()
}

#[pymodule(gil_used = true)]
fn toxscreen_native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("INTERFACE", INTERFACE)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_function(wrap_pyfunction!(attack, module)?)?;
    module.add_function(wrap_pyfunction!(evaluate, module)?)?;
    module.add_function(wrap_pyfunction!(names, module)?)
}
