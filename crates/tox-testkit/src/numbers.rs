//! Numbers that are close, and the tensors of fixtures.

use safetensors::tensor::{Dtype, SafeTensors};
use std::collections::BTreeMap;
use std::fmt::Display;

/// As f64: what is compared may be narrow.
pub trait Number: Copy + Display {
    fn wide(self) -> f64;
}

impl Number for f32 {
    fn wide(self) -> f64 {
        self.into()
    }
}

impl Number for f64 {
    fn wide(self) -> f64 {
        self
    }
}

/// How far a value may be off: so much of itself, of the largest, and in any case.
#[derive(Clone, Copy, Default)]
pub struct Within {
    pub own: f64,
    pub peak: f64,
    pub floor: f64,
}

/// Fails unless every value is within its tolerance.
pub fn assert_close<N: Number>(what: &str, actual: &[N], expected: &[f64], within: Within) {
    assert_eq!(actual.len(), expected.len(), "{what}: number of values");
    let peak = expected.iter().fold(0.0f64, |peak, e| peak.max(e.abs()));
    for (i, (a, e)) in actual.iter().zip(expected).enumerate() {
        let error = (a.wide() - e).abs();
        assert!(
            error <= within.own * e.abs() + within.peak * peak + within.floor,
            "{what}[{i}]: {a}, expected {e} (off by {error:e}, largest value {peak})"
        );
    }
}

pub fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

pub fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|v| *v as f32).collect()
}

/// What tells apart any two values.
pub fn bits<'a>(values: impl IntoIterator<Item = &'a f32>) -> Vec<u32> {
    values.into_iter().map(|v| v.to_bits()).collect()
}

/// The tensors of a safetensors file by name: shapes and values, as f64.
pub struct Tensors(pub BTreeMap<String, (Vec<usize>, Vec<f64>)>);

impl Tensors {
    pub fn read(bytes: &[u8]) -> Self {
        let file = SafeTensors::deserialize(bytes).unwrap();
        let tensors = file.tensors().into_iter().map(|(name, view)| {
            let bytes = view.data();
            let values = match view.dtype() {
                Dtype::F32 => words(bytes, |b| f64::from(f32::from_le_bytes(b))),
                Dtype::F64 => words(bytes, f64::from_le_bytes),
                Dtype::I64 => words(bytes, |b| i64::from_le_bytes(b) as f64),
                Dtype::U8 => words(bytes, |[b]: [u8; 1]| f64::from(b)),
                other => panic!("{name} is {other:?}"),
            };
            (name, (view.shape().to_vec(), values))
        });
        Self(tensors.collect())
    }

    pub fn get(&self, name: &str) -> &[f64] {
        let found = self.0.get(name);
        &found
            .unwrap_or_else(|| panic!("the fixture has no {name}"))
            .1
    }

    pub fn floats(&self, name: &str) -> Vec<f32> {
        narrow(self.get(name))
    }

    pub fn shape(&self, name: &str) -> &[usize] {
        &self.0[name].0
    }

    /// Tensors whose name begins with `prefix`, by the rest of it.
    pub fn with<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a [f64])> {
        let all = self.0.iter();
        all.filter_map(move |(name, (_, values))| Some((name.strip_prefix(prefix)?, &values[..])))
    }
}

fn words<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    let words = bytes.chunks_exact(N);
    words.map(|word| number(word.try_into().unwrap())).collect()
}
