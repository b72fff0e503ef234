//! What the tests share: small networks, ways to run an attack, comparison.

use burn::tensor::Tensor;
use std::path::Path;
use std::time::Duration;
use tox_data::checkpoint::Hooks;
use tox_data::features::{Features, Values};
use tox_nn::kernels::conv::Geometry;
use tox_nn::layers::{BatchNorm, Builder, Conv, Init, Linear, Network, Pass, State};
use tox_nn::ops::global_average;
use tox_poison::data::gc::{Attack, Victim, craft};
use tox_poison::data::{Crafted, PoisonError};

/// Softmax regression, or a 3x3 convolution, batch norm or none, ReLU, max pooling or none, average
/// over pixels, softmax regression.
#[derive(Clone)]
pub struct Net {
    pub conv: Option<(Conv, Option<BatchNorm>)>,
    pub pool: bool,
    pub fc: Linear,
}

impl Net {
    pub fn linear(features: usize, classes: usize) -> (Self, State) {
        let mut b = Builder::new(5, "test", Init::Torch);
        let net = Self {
            conv: None,
            pool: false,
            fc: b.linear("fc", features, classes),
        };
        (net, b.finish())
    }

    pub fn conv(c_in: usize, c: usize, norm: bool, pool: bool, classes: usize) -> (Self, State) {
        let mut b = Builder::new(5, "test", Init::Torch);
        let conv = b.conv("conv", c_in, c, Geometry::same(3));
        let net = Self {
            conv: Some((conv, norm.then(|| b.norm("bn", c)))),
            pool,
            fc: b.linear("fc", c, classes),
        };
        (net, b.finish())
    }
}

impl Network for Net {
    fn logits(&self, pass: &Pass<'_>, x: Tensor<4>) -> Tensor<2> {
        let x = match &self.conv {
            None => x.flatten(1, 3),
            Some((conv, norm)) => {
                let x = conv.forward(pass, x);
                let x = match norm {
                    Some(norm) => norm.forward(pass, x, true),
                    None => pass.relu(x),
                };
                global_average(if self.pool { pass.max_pool(x) } else { x })
            }
        };
        self.fc.forward(pass, x)
    }
}

/// Relative distance in L2.
pub fn distance(found: &[f32], exact: &[f64]) -> f64 {
    assert_eq!(found.len(), exact.len());
    let pairs = found.iter().zip(exact);
    let rest: f64 = pairs.map(|(a, b)| (f64::from(*a) - b).powi(2)).sum();
    (rest / exact.iter().map(|b| b * b).sum::<f64>()).sqrt()
}

pub fn hooks<'a>(
    checkpoint: &'a Path,
    stop: &'a mut dyn FnMut() -> bool,
    progress: &'a mut dyn FnMut(f64, &str),
) -> Hooks<'a> {
    Hooks {
        checkpoint,
        key: "a key",
        save_every: Duration::from_secs(3600),
        stop,
        progress,
    }
}

/// To the end, stopped after every `steps` steps.
pub fn crafted<N: Network + Clone>(
    victim: &Victim<N>,
    attack: &Attack<'_>,
    budget: f64,
    steps: usize,
) -> Result<Crafted, PoisonError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gc.safetensors");
    let mut last = 0.0;
    let mut progress = |done: f64, _: &str| {
        assert!((last..1.0).contains(&done), "{done} after {last}");
        last = done;
    };
    loop {
        let mut left = steps;
        let mut stop = || {
            left -= 1;
            left == 0
        };
        let hooks = hooks(&path, &mut stop, &mut progress);
        if let Some(crafted) = craft(victim.clone(), attack, budget, hooks)? {
            return Ok(crafted);
        }
    }
}

pub fn bytes(values: Option<&Values>) -> &[u8] {
    match values {
        Some(Values::Bytes(values)) => values,
        other => panic!("{other:?}"),
    }
}

/// How far every value of the patch has moved, in steps of 8 bits.
pub fn changes(crafted: &Crafted, clean: &Features) -> Vec<i16> {
    let all = bytes(Some(&clean.values)).chunks_exact(clean.columns);
    let rows: Vec<&[u8]> = all.collect();
    let before = crafted
        .patch
        .indices()
        .iter()
        .flat_map(|i| rows[*i as usize]);
    let pairs = bytes(crafted.patch.values()).iter().zip(before);
    pairs.map(|(a, b)| i16::from(*a) - i16::from(*b)).collect()
}
