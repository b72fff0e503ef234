//! A closed form.

use crate::support::{Net, distance};
use tox_data::Batch;
use tox_data::rng::stream;
use tox_nn::Device;
use tox_nn::init;
use tox_poison::data::gc::{Gc, Objective, Victim};

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
