//! Accuracy predictors against closed forms, hand-worked cases, brute force and other libraries
//! (`benches/peers/make_surrogate_fixtures.py`).
#![allow(clippy::unwrap_used, clippy::expect_used)] // Clippy knows test functions, not their helpers.

mod cart;
mod gp;
mod kendall;
mod rbf;
mod select;

use proptest::prelude::*;
use serde_json::Value;
use tox_testkit::numbers::{self, Within};

fn fixture(part: &str) -> Value {
    let text = include_str!("../fixtures/surrogates.json");
    serde_json::from_str::<Value>(text).unwrap()[part].clone()
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

fn list(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(number).collect()
}

fn rows(value: &Value) -> Vec<Vec<f64>> {
    value.as_array().unwrap().iter().map(list).collect()
}

fn assert_close(what: &str, actual: &[f64], expected: &[f64], tolerance: f64) {
    let floor = tolerance;
    numbers::assert_close(
        what,
        actual,
        expected,
        Within {
            floor,
            ..Within::default()
        },
    );
}

fn column(values: &[f64]) -> Vec<Vec<f64>> {
    values.iter().map(|v| vec![*v]).collect()
}

/// Points of the unit box, three decimals.
fn points(n: usize, width: usize) -> impl Strategy<Value = Vec<Vec<f64>>> {
    let number = (0..1000_i32).prop_map(|v| f64::from(v) / 1000.0);
    prop::collection::vec(prop::collection::vec(number, width), n)
}

fn differ(rows: &[Vec<f64>]) -> bool {
    (0..rows.len()).all(|i| !rows[..i].contains(&rows[i]))
}
