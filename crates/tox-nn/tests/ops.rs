//! The ops of the search space against an independent PyTorch implementation in float64
//! (`benches/peers`), as our kernels and as compositions of Burn's ops.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Clippy knows test functions, not their helpers.

mod support;

use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use serde_json::Value;
use std::collections::BTreeMap;
use support::{Array, assert_close, differentiate, engines};
use tox_nn::kernels::conv::Geometry;
use tox_nn::kernels::pool::Pool;
use tox_nn::ops::{self, Engine};

fn fixture() -> Value {
    serde_json::from_str(include_str!("fixtures/ops.json")).unwrap()
}

fn numbers(tensor: &Value) -> Vec<f64> {
    let values = tensor["values"].as_array().expect("a tensor");
    values.iter().map(|v| v.as_f64().unwrap()).collect()
}

/// Shapes of fewer than four dimensions are filled up with 1.
fn array(tensor: &Value) -> Array {
    let mut shape = [1; 4];
    for (to, from) in shape.iter_mut().zip(tensor["shape"].as_array().unwrap()) {
        *to = from.as_u64().unwrap() as usize;
    }
    Array::new(shape, numbers(tensor).iter().map(|&v| v as f32).collect())
}

struct Weights<'a> {
    engine: Engine,
    tensors: BTreeMap<&'a str, Tensor<4>>,
}

impl Weights<'_> {
    fn get(&self, name: &str) -> Tensor<4> {
        let found = self.tensors.get(name);
        found
            .unwrap_or_else(|| panic!("the fixture has no {name}"))
            .clone()
    }

    fn conv(&self, x: Tensor<4>, name: &str, g: Geometry) -> Tensor<4> {
        ops::conv(self.engine, x, self.get(name), g)
    }

    fn norm(&self, x: Tensor<4>, name: &str, relu: bool) -> Tensor<4> {
        let (gamma, beta) = (
            self.get(&format!("{name}weight")),
            self.get(&format!("{name}bias")),
        );
        ops::batch_norm(self.engine, x, gamma, beta, relu)
    }

    /// The op called `name`; none for those that are not made of this crate's ops.
    fn op(&self, name: &str, pointwise: Option<&str>, x: Tensor<4>) -> Option<Tensor<4>> {
        let c = x.dims()[1];
        let point = Geometry::same(1);
        let first = |x| {
            let x = self.conv(x, "first.conv.weight", point);
            self.norm(x, "first.bn.", true)
        };
        let second = |x, g| {
            let x = self.conv(first(x), "second.conv.weight", g);
            self.norm(x, "second.bn.", true)
        };
        let separable = |x, k| {
            let depthwise = Geometry::same(k).groups(c);
            let groups = if pointwise == Some("reference") { c } else { 1 };
            let x = self.conv(first(x), "second.depthwise.weight", depthwise);
            let x = self.conv(x, "second.pointwise.weight", point.groups(groups));
            self.norm(x, "second.bn.", true)
        };
        let stretched = |by| Geometry {
            padding: by,
            dilation: by,
            ..Geometry::same(3)
        };
        Some(match name {
            "conv3" => second(x, Geometry::same(3)),
            "conv5" => second(x, Geometry::same(5)),
            "stretched(3,50,50)" => second(x, stretched(50)),
            "stretched(3,2,2)" => second(x, stretched(2)),
            "sep3" => separable(x, 3),
            "sep5" => separable(x, 5),
            "avgpool3" => ops::pool(self.engine, first(x), Pool::Average),
            "maxpool3" => ops::pool(self.engine, first(x), Pool::Max),
            "transposed3" | "transposed5" => {
                ops::conv_transposed(self.engine, x, self.get("weight"))
            }
            "batch_norm" => self.norm(x, "", false),
            // Both paths' weights as one conv of two groups, as the child network has them.
            "factorized_reduction" => {
                let paths = vec![self.get("path1.weight"), self.get("path2.weight")];
                let pixels = ops::gather(self.engine, x);
                let x = ops::conv(self.engine, pixels, Tensor::cat(paths, 0), point.groups(2));
                self.norm(x, "bn.", false)
            }
            _ => return None,
        })
    }
}

/// Checks output and every gradient; false if the op is not made of this crate's ops.
fn check(engine: Engine, case: &Value, input: &Value, cotangent: &Value) -> bool {
    let name = case["op"].as_str().unwrap();
    let pointwise = case.get("pointwise").and_then(Value::as_str);
    let what = format!("{name} {pointwise:?} {engine:?}");
    let weights = case["weights"].as_object().unwrap();
    let arrays: Vec<Array> = std::iter::once(input)
        .chain(weights.values())
        .map(array)
        .collect();
    let mut known = true;
    let (out, gradients) = differentiate(
        &arrays.iter().collect::<Vec<_>>(),
        &array(cotangent),
        |leaves| {
            let tensors = weights
                .keys()
                .map(String::as_str)
                .zip(leaves[1..].iter().cloned())
                .collect();
            let out = Weights { engine, tensors }.op(name, pointwise, leaves[0].clone());
            known = out.is_some();
            // Any function of all leaves will do for an op that is skipped.
            out.unwrap_or_else(|| leaves[0].clone())
        },
    );
    if !known {
        return false;
    }
    // Two batch norms in a row at most: errors stay near f32's 6e-8 of the largest value.
    let close = |part: &str, actual: &[f32], expected: &Value| {
        let what = format!("{what}: {part}");
        assert_close(&what, actual, &numbers(expected), 3e-6, 3e-6);
    };
    close("output", &out, &case["output"]);
    close("grad_input", &gradients[0], &case["grad_input"]);
    let expected = case["grad_weights"].as_object().unwrap();
    assert_eq!(expected.len(), weights.len(), "{what}: gradients");
    for ((name, expected), gradient) in expected.iter().zip(&gradients[1..]) {
        close(name, gradient, expected);
    }
    true
}

#[test]
fn ops_match_pytorch() {
    let file = fixture();
    for engine in engines() {
        let cases = file["cases"].as_array().unwrap().iter();
        let checked: Vec<&str> = cases
            .filter(|case| check(engine, case, &file["input"], &file["cotangent"]))
            .map(|case| case["op"].as_str().unwrap())
            .collect();
        let expected = "conv3 sep3 conv5 sep5 avgpool3 maxpool3 sep3 sep5 transposed3 transposed5 \
                        stretched(3,50,50) stretched(3,2,2)";
        assert_eq!(checked.join(" "), expected);
    }
}

#[test]
fn parts_match_pytorch() {
    let file = fixture();
    let parts = file["parts"].as_array().unwrap();
    assert_eq!(parts.len(), 3);
    for engine in engines() {
        for part in parts {
            assert!(check(engine, part, &part["input"], &part["cotangent"]));
        }
    }
}

/// Loss and gradient against the definition, in float64.
#[test]
fn cross_entropy_is_the_mean_negative_log_probability() {
    let logits = [[0.5f32, -1.25, 2.0], [30.0, -30.0, 0.0]];
    let labels = [2usize, 1];
    let leaf = Array::new([2, 3, 1, 1], logits.concat()).leaf();
    let classes = burn::tensor::TensorData::new(vec![2i64, 1], [2]);
    let classes = Tensor::from_data(classes, &leaf.device());
    let loss = ops::cross_entropy(leaf.clone().reshape([2, 3]), classes);
    let gradients = loss.backward();
    let (mut expected, mut gradient) = (0.0, Vec::new());
    for (row, label) in logits.iter().zip(labels) {
        let row = row.map(f64::from);
        let total: f64 = row.iter().map(|v| v.exp()).sum();
        expected += (total.ln() - row[label]) / 2.0;
        let p = |(i, v): (usize, &f64)| (v.exp() / total - f64::from(u8::from(i == label))) / 2.0;
        gradient.extend(row.iter().enumerate().map(p));
    }
    let loss: Vec<f32> = loss.into_data().try_into_vec().unwrap();
    assert_close("loss", &loss, &[expected], 1e-6, 0.0);
    let actual = support::read(leaf.grad(&gradients).unwrap());
    assert_close("gradient", &actual, &gradient, 1e-6, 1e-7);
}

/// `relu` on its own, as the plain batch norm uses it.
#[test]
fn relu_passes_nan() {
    let x = Array::new([1, 1, 1, 3], vec![f32::NAN, -1.0, f32::INFINITY]);
    let ones = Array::new([1, 1, 1, 3], vec![1.0; 3]);
    let (y, gradients) = differentiate(&[&x], &ones, |x| relu(x[0].clone()));
    assert!(y[0].is_nan() && y[1] == 0.0 && y[2] == f32::INFINITY);
    assert_eq!(gradients[0], [1.0, 0.0, 1.0]);
}

support::on_vulkan!();
