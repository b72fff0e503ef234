//! The fast f32 path against the plain f64 one, 8-bit rows against real ones, and one number of
//! threads against another.

#![allow(clippy::unwrap_used)]

mod case;

use rand::Rng;
use tox_bilevel::config::{Keep, Penalty};
use tox_bilevel::hypergradient::{Hypergradient, Hypergradients, ReverseMode};
use tox_bilevel::inner::Regulariser;
use tox_bilevel::model::Model;
use tox_bilevel::points::{Points, Values};
use tox_bilevel::{Products, Real};
use tox_data::rng::stream;

const D: usize = 197;

/// Points of two or more classes that differ in their brightness.
fn bytes(n: usize, classes: u16, purpose: &str) -> (Vec<u8>, Vec<u16>) {
    let mut bytes = vec![0; n * D];
    stream(2, purpose, &[]).fill_bytes(&mut bytes);
    let labels: Vec<u16> = (0..n).map(|i| i as u16 % classes).collect();
    for (row, &label) in bytes.chunks_exact_mut(D).zip(&labels) {
        for (j, value) in row.iter_mut().enumerate() {
            if j % usize::from(classes) != usize::from(label) {
                *value /= 2;
            }
        }
    }
    (bytes, labels)
}

/// The same numbers in any type: scale and offset are exact in f32.
fn points<F: Products>((bytes, labels): (Vec<u8>, Vec<u16>), offset: f64) -> Points<F> {
    Points {
        features: D,
        values: Values::Bytes {
            bytes: bytes.into(),
            scale: F::of(1.0 / 128.0),
            offset: F::of(offset),
        },
        labels,
    }
}

struct Case {
    hidden: Vec<usize>,
    classes: usize,
    offset: f64,
    keep: Keep,
}

/// Hypergradients of a poisoned set, its clean rows as bytes or as reals.
fn run<F: Products>(case: &Case, as_reals: bool) -> Hypergradients<F> {
    let model = Model {
        features: D,
        hidden: case.hidden.clone(),
        classes: case.classes,
        leak: 0.01,
    };
    let classes = case.classes as u16;
    let clean = points::<F>(bytes(601, classes, "clean"), case.offset);
    let clean = if as_reals { clean.real() } else { clean };
    let frozen = points::<F>(bytes(37, classes, "frozen"), case.offset).real();
    let mut poison = points::<F>(bytes(41, classes, "poison"), case.offset).real();
    for label in &mut poison.labels {
        *label = (*label + 1) % classes;
    }
    let valid = points::<F>(bytes(75, classes, "valid"), case.offset);
    let start: Vec<f32> = model.start(0.01, &mut stream(2, "weights", &[]));
    let start: Vec<F> = start.iter().map(|w| F::of(w.wide())).collect();
    let steps = (30, F::of(0.0625));
    let mut problem = case::problem(&model, (&clean, &poison), &valid, &start, steps);
    problem.train.fixed.push(&frozen);
    problem.regulariser = Some(Regulariser::one(Penalty::L2, F::of(-3.0)));
    ReverseMode { keep: case.keep }.of(&problem).unwrap()
}

fn cases() -> Vec<Case> {
    let case = |hidden: &[usize], classes, offset, keep| Case {
        hidden: hidden.to_vec(),
        classes,
        offset,
        keep,
    };
    vec![
        case(&[], 2, 0.0, Keep::Everything),
        case(&[], 2, -1.0, Keep::States),
        case(&[], 5, 0.0, Keep::Everything),
        case(&[32, 8], 2, 0.0, Keep::Everything),
        case(&[32, 8], 2, -1.0, Keep::Checkpoints),
        case(&[3], 3, 0.0, Keep::Checkpoints),
    ]
}

/// Largest difference, relative to the largest value.
fn difference<A: Products, B: Products>(a: &[A], b: &[B]) -> f64 {
    assert_eq!(a.len(), b.len());
    let size = b.iter().map(|b| b.wide().abs()).fold(0.0, f64::max);
    assert!(size > 0.0);
    let differences = a.iter().zip(b).map(|(a, b)| (a.wide() - b.wide()).abs());
    differences.fold(0.0, f64::max) / size
}

/// f32 rounding, 60 passes long.
const ROUNDING: f64 = 3e-6;

#[test]
fn bytes_and_reals_agree_to_rounding_and_with_f64() {
    for (i, case) in cases().iter().enumerate() {
        let exact = run::<f64>(case, false);
        let (bytes, reals) = (run::<f32>(case, false), run::<f32>(case, true));
        let all = |name: &str, a: &Hypergradients<f32>| {
            let by = [
                difference(&a.weights, &exact.weights),
                difference(&a.poison, &exact.poison),
                difference(&a.lambda, &exact.lambda),
            ];
            println!("case {i}, {name} against f64: {by:?}");
            assert!(by.iter().all(|&by| by < ROUNDING));
        };
        all("bytes", &bytes);
        all("reals", &reals);
        assert!(difference(&bytes.poison, &reals.poison) < ROUNDING);
        assert!(difference(&bytes.lambda, &reals.lambda) < ROUNDING);
    }
}

#[test]
fn threads_change_nothing() {
    for case in cases() {
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            pool.build().unwrap().install(|| run::<f32>(&case, false))
        };
        let one = with(1);
        for threads in [2, 3] {
            assert_eq!(with(threads), one);
        }
    }
}
