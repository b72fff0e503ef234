//! A Python model as an oracle.

use numpy::{PyArray1, PyArray4, PyArrayMethods, PyReadonlyArrayDyn};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::sync::OnceLock;
use tox_robust::{Cotangent, Oracle};

/// The model, an object of `toxscreen.live` with `logits(x)`, `forward(x)` and, of the last `forward`,
/// `backward(cotangent)`. The first exception, Ctrl-C too, ends all passes.
pub struct Live {
    model: Py<PyAny>,
    shape: [usize; 3],
    classes: usize,
    /// Images that the model is shown at once, at most.
    batch: usize,
    gradient: bool,
    raised: OnceLock<PyErr>,
}

impl Live {
    /// For images of `shape`, (n, channels, height, width).
    pub fn new(model: &Bound<'_, PyAny>, shape: &[usize]) -> PyResult<Self> {
        let &[_, c, h, w] = shape else {
            return Err(PyValueError::new_err(format!(
                "images have the shape {shape:?}, expected (n, channels, height, width)"
            )));
        };
        let batch: usize = model.getattr("batch")?.extract()?;
        Ok(Self {
            shape: [c, h, w],
            classes: model.getattr("classes")?.extract()?,
            batch: batch.max(1),
            gradient: model.getattr("has_gradient")?.extract()?,
            model: model.clone().unbind(),
            raised: OnceLock::new(),
        })
    }

    /// The shape of `n` images.
    pub fn images(&self, n: usize) -> [usize; 4] {
        let [c, h, w] = self.shape;
        [n, c, h, w]
    }

    /// Asks Python, unless it has raised before.
    pub fn pass<T>(&self, ask: impl FnOnce(Python<'_>) -> PyResult<T>) -> Option<T> {
        if self.stopped() {
            return None;
        }
        let answer = Python::attach(|py| {
            py.check_signals()?;
            ask(py)
        });
        answer.map_err(|error| self.raised.set(error)).ok()
    }

    /// What was raised.
    pub fn end(self) -> PyResult<()> {
        match self.raised.into_inner() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn array<'py>(&self, py: Python<'py>, pixels: &[f32]) -> PyResult<Bound<'py, PyArray4<f32>>> {
        PyArray1::from_slice(py, pixels).reshape(self.images(pixels.len() / self.size()))
    }

    /// What a method of the model returns for rows of pixels, `width` numbers an image.
    fn ask(&self, name: &str, pixels: &[f32]) -> Option<Vec<f32>> {
        self.pass(|py| {
            let answer = self
                .model
                .bind(py)
                .call_method1(name, (self.array(py, pixels)?,))?;
            read(&answer, pixels.len() / self.size() * self.classes)
        })
    }

    /// The gradient at the images of the last `forward`.
    fn back(&self, cotangent: &[f32], pixels: usize) -> Option<Vec<f32>> {
        self.pass(|py| {
            let shape = [cotangent.len() / self.classes.max(1), self.classes];
            let cotangent = PyArray1::from_slice(py, cotangent).reshape(shape)?;
            let answer = self.model.bind(py).call_method1("backward", (cotangent,))?;
            read(&answer, pixels)
        })
    }
}

fn read(answer: &Bound<'_, PyAny>, expected: usize) -> PyResult<Vec<f32>> {
    let array: PyReadonlyArrayDyn<'_, f32> = answer.extract()?;
    let numbers = array.as_slice()?;
    match numbers.len() == expected {
        true => Ok(numbers.to_vec()),
        false => Err(PyValueError::new_err(format!(
            "the model answered with {} numbers, expected {expected}",
            numbers.len()
        ))),
    }
}

impl Oracle for Live {
    fn shape(&self) -> [usize; 3] {
        self.shape
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn logits(&self, pixels: &[f32]) -> Vec<f32> {
        let mut logits = Vec::new();
        for pixels in pixels.chunks(self.batch * self.size()) {
            let n = pixels.len() / self.size();
            let found = self.ask("logits", pixels);
            logits.extend(found.unwrap_or_else(|| vec![0.0; n * self.classes]));
        }
        logits
    }

    /// In one piece where the batch allows it; else the logits of all pieces first, for the cotangent is of all.
    fn pullback(&self, pixels: &[f32], cotangent: &mut Cotangent<'_>) -> (Vec<f32>, Vec<f32>) {
        let size = self.batch * self.size();
        let whole = pixels.len() <= size;
        let logits = match whole {
            true => self.ask("forward", pixels),
            false => Some(self.logits(pixels)),
        };
        let none = || vec![0.0; pixels.len() / self.size() * self.classes];
        let (Some(logits), false) = (logits, self.stopped()) else {
            return (none(), vec![0.0; pixels.len()]);
        };
        let cotangent = cotangent(&logits);
        let mut gradient = Vec::new();
        let pieces = pixels
            .chunks(size)
            .zip(cotangent.chunks(self.batch * self.classes));
        for (pixels, cotangent) in pieces {
            let shown = whole || self.ask("forward", pixels).is_some();
            let found = shown.then(|| self.back(cotangent, pixels.len())).flatten();
            gradient.extend(found.unwrap_or_else(|| vec![0.0; pixels.len()]));
        }
        (logits, gradient)
    }

    fn has_gradient(&self) -> bool {
        self.gradient
    }

    fn stopped(&self) -> bool {
        self.raised.get().is_some()
    }
}
