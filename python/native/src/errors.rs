//! What is refused, as exceptions of Python.

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use tox_robust::attacks::AttackError;
use tox_robust::evaluation::EvaluationError;
use tox_robust::{Attack, Ball, Norm, Oracle};

/// An error of tox-robust, raised.
pub trait Refused<T> {
    fn refused(self, py: Python<'_>) -> PyResult<T>;
}

impl<T> Refused<T> for Result<T, AttackError> {
    fn refused(self, _: Python<'_>) -> PyResult<T> {
        self.map_err(|e| PyValueError::new_err(e.to_string()))
    }
}

impl<T> Refused<T> for Result<T, EvaluationError> {
    /// The package has a type for what asks for gradients.
    fn refused(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|e| match e {
            EvaluationError::NoGradient { .. } => {
                let raised = py
                    .import("toxscreen.live")
                    .and_then(|live| live.getattr("NoGradientError"))
                    .and_then(|class| class.call1((e.to_string(),)));
                raised.map_or_else(|e| e, PyErr::from_value)
            }
            EvaluationError::Checkpoint(_)
            | EvaluationError::Attack(_)
            | EvaluationError::NoImages
            | EvaluationError::Row { .. }
            | EvaluationError::Shape { .. }
            | EvaluationError::Pixels { .. }
            | EvaluationError::Outside { .. }
            | EvaluationError::Label { .. } => PyValueError::new_err(e.to_string()),
        })
    }
}

/// What cannot happen, told rather than a panic.
pub fn lost(what: &str) -> PyErr {
    PyRuntimeError::new_err(format!("toxscreen_native: {what}; please report this"))
}

/// An attack by its short name, or by its table in JSON.
pub fn attack_named(text: &str) -> PyResult<Attack> {
    if text.starts_with('{') {
        let read = serde_json::from_str(text);
        return read.map_err(|e| PyValueError::new_err(format!("attack {text}: {e}")));
    }
    let read = text.parse::<Attack>();
    read.map_err(|e| PyValueError::new_err(e.to_string()))
}

/// Where attacks may move.
pub fn ball_of(norm: &str, epsilon: f64) -> PyResult<Ball> {
    let norm = match norm {
        "linf" => Norm::Linf,
        "l2" => Norm::L2,
        other => {
            let said = format!("norm is {other}, expected linf or l2");
            return Err(PyValueError::new_err(said));
        }
    };
    Ok(Ball { norm, epsilon })
}

/// That there is a label for each image, of a class that the model has.
pub fn labels_fit(pixels: usize, labels: &[u16], oracle: &impl Oracle) -> PyResult<()> {
    let (images, classes) = (pixels / oracle.size().max(1), oracle.classes());
    if images != labels.len() {
        let said = format!("{} labels of {images} images", labels.len());
        return Err(PyValueError::new_err(said));
    }
    match labels.iter().find(|&&label| usize::from(label) >= classes) {
        Some(label) => Err(PyValueError::new_err(format!(
            "a label is {label}, the model has {classes} classes"
        ))),
        None => Ok(()),
    }
}
