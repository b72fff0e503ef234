//! The child supernet: shared weights of every op in every layer, and the network that one
//! architecture picks from it.

use super::config::{ChildConfig, Conv, Pointwise, Skips};
use super::pass::{ConvNorm, Module, Norm, Norms, Pass};
pub use super::pass::{Mode, Statistics};
use crate::genotype::{Genotype, Layer};
use crate::space::{Op, Space, SpaceOp};
use burn::tensor::Tensor;
use std::cell::RefCell;
use tox_data::rng::stream;
use tox_nn::init;
use tox_nn::kernels::conv::Geometry;
use tox_nn::kernels::pool::Pool;
use tox_nn::ops::{self, Engine};
use tox_nn::params::{Leaves, ParamId, Params};

/// One sampled architecture: an op of the space and the skip bits for every layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Architecture {
    /// From input to output; layer `i` has `i` skip bits.
    pub layers: Vec<Choice>,
}

/// What one layer computes and which earlier outputs are added to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Index into the ops of the space.
    pub op: usize,
    /// One bit an earlier layer.
    pub skips: Vec<bool>,
}

impl Architecture {
    /// With the ops' names and poison marks.
    pub fn genotype(&self, space: &Space) -> Genotype {
        let layer = |c: &Choice| {
            let op = &space.ops[c.op];
            Layer {
                op: op.op.to_string(),
                poison: op.poison,
                skips: c.skips.clone(),
            }
        };
        Genotype {
            layers: self.layers.iter().map(layer).collect(),
        }
    }

    /// Number of layers that compute a poison op.
    pub fn bad_ops(&self, space: &Space) -> usize {
        self.layers
            .iter()
            .filter(|c| space.ops[c.op].poison)
            .count()
    }
}

/// One factorised reduction: both 1x1 convs as one of two groups, and the BN.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Reduction {
    weight: ParamId,
    norm: Norm,
}

/// The supernet. Its weights live in `params`.
#[derive(Clone, Debug, PartialEq)]
pub struct Child {
    pub params: Params,
    space: Space,
    classes: usize,
    keep_prob: f32,
    skips: Skips,
    stem: (ParamId, Norm),
    /// `[layer][op]`.
    modules: Vec<Vec<Module>>,
    /// The BN behind each layer's sum.
    norms: Vec<Norm>,
    /// `(after layer, one module for every output so far)`.
    reductions: Vec<(usize, Vec<Reduction>)>,
    head: (ParamId, ParamId),
}

/// Adds weights with the initial values of the reference.
struct Builder<'a> {
    params: Params,
    config: &'a ChildConfig,
    seed: u64,
    /// First part of the key of every initial value's stream.
    network: &'static str,
}

impl Builder<'_> {
    fn conv(&mut self, name: String, out: usize, per_group: usize, k: usize) -> ParamId {
        let fan_in = per_group * k * k;
        let mut rng = stream(self.seed, &format!("init/{}/{name}", self.network), &[]);
        let values = init::kaiming_uniform(out * fan_in, fan_in, &mut rng);
        self.params.add(name, [out, per_group, k, k], values)
    }

    fn norm(&mut self, name: &str, channels: usize) -> Norm {
        let mut vector = |part: &str, value| {
            self.params.add(
                format!("{name}.{part}"),
                [channels, 1, 1, 1],
                vec![value; channels],
            )
        };
        Norm(vector("weight", 1.0), vector("bias", 0.0))
    }

    fn conv_norm(&mut self, name: &str, conv: &str, geometry: Geometry) -> ConvNorm {
        let c = self.config.channels;
        let per_group = c / geometry.groups;
        let weight = self.conv(
            format!("{name}.{conv}.weight"),
            c,
            per_group,
            geometry.kernel,
        );
        ConvNorm {
            weight,
            geometry,
            norm: self.norm(&format!("{name}.bn"), c),
        }
    }

    /// The 1x1 convolution and the one behind it.
    fn convs(&mut self, name: &str, op: Op) -> [ConvNorm; 2] {
        let point = Geometry::same(1);
        let direct = op.geometry().unwrap_or(point);
        let main = match self.config.conv {
            Conv::Winograd => direct.winograd(),
            Conv::Direct => direct,
        };
        [
            self.conv_norm(&format!("{name}.first"), "conv", point),
            self.conv_norm(&format!("{name}.second"), "conv", main),
        ]
    }

    /// Those of a layer. Equal ops share one, wherever they stand and whoever put them there.
    fn modules(&mut self, layer: usize, ops: &[SpaceOp]) -> Vec<Module> {
        let mut all: Vec<Module> = Vec::with_capacity(ops.len());
        for (i, op) in ops.iter().enumerate() {
            let twin = ops[..i].iter().position(|other| other.op == op.op);
            let module = twin.map_or_else(|| self.module(layer, op.op), |twin| all[twin]);
            all.push(module);
        }
        all
    }

    fn module(&mut self, layer: usize, op: Op) -> Module {
        let c = self.config.channels;
        let name = format!("layers.{layer}.ops.{op}");
        let point = Geometry::same(1);
        let (first, second) = (format!("{name}.first"), format!("{name}.second"));
        match op {
            Op::Conv { .. } | Op::Stretched { .. } => {
                let [pre, main] = self.convs(&name, op);
                Module::Conv { pre, main }
            }
            Op::Mixed {
                keep, scale, sigma, ..
            } => {
                let [pre, main] = self.convs(&name, op);
                Module::Mixed {
                    pre,
                    main,
                    keep,
                    scale,
                    sigma,
                }
            }
            Op::Sep { k } => {
                let groups = match self.config.pointwise {
                    Pointwise::Dense => 1,
                    Pointwise::Reference => c,
                };
                Module::Sep {
                    pre: self.conv_norm(&first, "conv", point),
                    depthwise: self.conv(format!("{second}.depthwise.weight"), c, 1, k),
                    kernel: k,
                    point: self.conv_norm(&second, "pointwise", point.groups(groups)),
                }
            }
            Op::AvgPool3 => Module::Pool {
                pre: self.conv_norm(&first, "conv", point),
                kind: Pool::Average,
            },
            Op::MaxPool3 => Module::Pool {
                pre: self.conv_norm(&first, "conv", point),
                kind: Pool::Max,
            },
            Op::Identity => Module::Identity,
            Op::Gaussian { sigma } => Module::Gaussian { sigma },
            Op::Dropout { p } => Module::Dropout { p },
            Op::Transposed { k } | Op::Rectified { k } => Module::Transposed {
                weight: self.conv(format!("{name}.weight"), c, c, k),
                relu: matches!(op, Op::Rectified { .. }),
            },
        }
    }
}

impl Child {
    /// A supernet for images of `in_channels` channels and `classes` classes. Weights are drawn
    /// from streams keyed by `seed`, `network` and their name.
    pub fn new(
        space: &Space,
        config: &ChildConfig,
        in_channels: usize,
        classes: usize,
        seed: u64,
        network: &'static str,
    ) -> Self {
        let c = config.channels;
        let mut b = Builder {
            params: Params::default(),
            config,
            seed,
            network,
        };
        let stem = (
            b.conv("stem.conv.weight".into(), c, in_channels, 3),
            b.norm("stem.bn", c),
        );
        let layers = 0..config.layers;
        let modules = layers.clone().map(|i| b.modules(i, &space.ops)).collect();
        let norms = layers
            .map(|i| b.norm(&format!("layers.{i}.bn"), c))
            .collect();
        let mut reductions = Vec::new();
        let part = config.layers / 3;
        let places = [part - 1, 2 * part - 1];
        for (r, after) in places.into_iter().enumerate() {
            let all = (0..=after).map(|source| {
                let name = format!("reductions.{r}.{source}");
                let weight = b.conv(format!("{name}.weight"), c, c, 1);
                Reduction {
                    weight,
                    norm: b.norm(&format!("{name}.bn"), c),
                }
            });
            reductions.push((after, all.collect()));
        }
        // PyTorch's default for a linear layer: uniform in ±1 / sqrt(fan_in).
        let bound = (1.0 / c as f32).sqrt();
        let mut linear = |name: &str, shape: [usize; 4]| {
            let mut rng = stream(seed, &format!("init/{network}/{name}"), &[]);
            let values = init::uniform(shape.iter().product(), bound, &mut rng);
            b.params.add(name.to_owned(), shape, values)
        };
        let head = (
            linear("classify.weight", [classes, c, 1, 1]),
            linear("classify.bias", [classes, 1, 1, 1]),
        );
        Self {
            params: b.params,
            space: space.clone(),
            classes,
            keep_prob: config.keep_prob as f32,
            skips: config.skips,
            stem,
            modules,
            norms,
            reductions,
            head,
        }
    }

    /// The searched space.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Logits `[n, classes]` of the architecture's network for `x` `[n, c, h, w]`.
    pub fn forward(
        &self,
        leaves: &Leaves<'_>,
        x: Tensor<4>,
        architecture: &Architecture,
        mode: Mode,
    ) -> Tensor<2> {
        self.forward_by(leaves, x, architecture, (mode, Norms::OfBatch))
    }

    /// As [`Child::forward`] in evaluation, with statistics that do not depend on the batch.
    pub fn forward_fixed(
        &self,
        leaves: &Leaves<'_>,
        x: Tensor<4>,
        architecture: &Architecture,
        statistics: &Statistics,
    ) -> Tensor<2> {
        let norms = Norms::Fixed(statistics);
        self.forward_by(leaves, x, architecture, (Mode::Evaluate, norms))
    }

    /// The statistics of every batch norm on images `x`, each given those before it.
    pub fn statistics(
        &self,
        leaves: &Leaves<'_>,
        x: Tensor<4>,
        architecture: &Architecture,
    ) -> Statistics {
        let statistics = RefCell::default();
        let norms = Norms::Measured(&statistics);
        self.forward_by(leaves, x, architecture, (Mode::Evaluate, norms));
        Statistics(statistics.into_inner())
    }

    fn forward_by(
        &self,
        leaves: &Leaves<'_>,
        x: Tensor<4>,
        architecture: &Architecture,
        (mode, norms): (Mode, Norms<'_>),
    ) -> Tensor<2> {
        let pass = Pass {
            engine: Engine::of(&x),
            leaves,
            mode,
            norms,
        };
        let (weight, norm) = self.stem;
        let mut x = pass.chain(x, &[(weight, Geometry::same(3), Some((norm, false)))]);
        // Outputs so far, and which reductions each has still to go through (done when used).
        let mut outputs: Vec<(Tensor<4>, usize)> = Vec::new();
        for (i, choice) in architecture.layers.iter().enumerate() {
            let reduced = self
                .reductions
                .iter()
                .filter(|(after, _)| *after < i)
                .count();
            if i > 0 {
                x = self.reduced(&pass, &mut outputs, i - 1, reduced);
            }
            let module = self.modules[i][choice.op];
            let skips = choice.skips.iter().enumerate().filter(|(_, on)| **on);
            let maps = if self.skips == Skips::InPlace && i > 0 && pass.hands_on(module) {
                // `out += earlier`, where `out` is the output of the layer before.
                for (j, _) in skips {
                    let earlier = self.reduced(&pass, &mut outputs, j, reduced);
                    outputs[i - 1].0 = outputs[i - 1].0.clone() + earlier;
                }
                vec![outputs[i - 1].0.clone()]
            } else {
                let mut maps = vec![pass.op(x, module, i)];
                for (j, _) in skips {
                    maps.push(self.reduced(&pass, &mut outputs, j, reduced));
                }
                maps
            };
            x = pass.sum_norm(maps, self.norms[i]);
            outputs.push((x.clone(), reduced));
        }
        let features = pass.dropout(ops::global_average(x), 1.0 - self.keep_prob, u64::MAX);
        let bias = leaves.get(self.head.1).reshape([1, self.classes]);
        let head = leaves.matrix(self.head.0).transpose();
        ops::matmul(pass.engine, features, head) + bias
    }

    /// What the first layer sees of images `x` `[n, c, h, w]`.
    pub fn stem(&self, leaves: &Leaves<'_>, x: Tensor<4>) -> Tensor<4> {
        let pass = Pass {
            engine: Engine::of(&x),
            leaves,
            mode: Mode::Evaluate,
            norms: Norms::OfBatch,
        };
        let (weight, norm) = self.stem;
        pass.chain(x, &[(weight, Geometry::same(3), Some((norm, false)))])
    }

    /// Op number `op` of the space as `layer` computes it, without skips and the layer's BN.
    pub fn apply(
        &self,
        leaves: &Leaves<'_>,
        x: Tensor<4>,
        layer: usize,
        op: usize,
        mode: Mode,
    ) -> Tensor<4> {
        let engine = Engine::of(&x);
        let pass = Pass {
            engine,
            leaves,
            mode,
            norms: Norms::OfBatch,
        };
        pass.op(x, self.modules[layer][op], layer)
    }

    /// Output `j` after the first `wanted` reductions. Only what is used is computed; the others
    /// would not reach the loss.
    fn reduced(
        &self,
        pass: &Pass<'_>,
        outputs: &mut [(Tensor<4>, usize)],
        j: usize,
        wanted: usize,
    ) -> Tensor<4> {
        while outputs[j].1 < wanted {
            let reduction = self.reductions[outputs[j].1].1[j];
            let pixels = ops::gather(pass.engine, outputs[j].0.clone());
            let geometry = Geometry::same(1).groups(2);
            let step = (reduction.weight, geometry, Some((reduction.norm, false)));
            outputs[j] = (pass.chain(pixels, &[step]), outputs[j].1 + 1);
        }
        outputs[j].0.clone()
    }

    /// Trainable parameters of the architecture's network: those that its output depends on.
    pub fn parameters(&self, architecture: &Architecture) -> u64 {
        let device = tox_nn::Device::flex().autodiff();
        let leaves = Leaves::new(&self.params, &device);
        let in_channels = self.params.entry(self.stem.0).shape[1];
        let x = Tensor::zeros([1, in_channels, 4, 4], &device);
        let logits = self.forward(&leaves, x, architecture, Mode::Evaluate);
        let used = leaves.gradients(logits.sum().backward());
        used.iter().map(|(_, g)| g.len() as u64).sum()
    }
}
