//! The ENAS macro space as data: ops, each with the number of branches it gets in the controller.

use super::written::WrittenOp;
use serde::{Deserialize, Serialize};
use std::fmt;
use tox_nn::kernels::conv::Geometry;

/// An op that a layer of the macro space may compute. Maps keep their shape under every op.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase", deny_unknown_fields)]
pub enum Op {
    /// `1x1 conv, BN, ReLU, k x k conv (padding k/2), BN, ReLU`, no biases.
    Conv { k: usize },
    /// As [`Op::Conv`], with a depthwise k x k and a 1x1 conv in place of the k x k conv.
    Sep { k: usize },
    /// `1x1 conv, BN, ReLU`, then average pooling 3x3, stride 1; the padding is counted.
    AvgPool3,
    /// `1x1 conv, BN, ReLU`, then max pooling 3x3, stride 1.
    MaxPool3,
    /// The input itself (poison set P1).
    Identity,
    /// `x + sigma * detach(x) * N(0, 1)` in training, the identity in evaluation (P2).
    Gaussian {
        /// Relative standard deviation; the paper uses 10.
        sigma: f32,
    },
    /// Dropout: every value is zeroed with probability `p` in training; identity in evaluation.
    /// Survivors are scaled by `1 / (1 - p)`; `p = 1` gives exact zeros and a zero gradient, as
    /// PyTorch does (P3).
    Dropout {
        /// Probability of zeroing, in [0, 1].
        p: f32,
    },
    /// Transposed convolution, stride 1, padding k/2, no BN, no ReLU, no bias (P4).
    Transposed { k: usize },
    /// Transposed convolution, then ReLU: [`Op::Transposed`] for a screen that looks for linear ops.
    Rectified { k: usize },
    /// `keep * x + scale * conv(x)`, where `conv` is [`Op::Conv`], with noise as of [`Op::Gaussian`]: an op
    /// that is as near to the identity, to nothing or to noise as a screen lets pass.
    Mixed {
        k: usize,
        /// Share of the input.
        keep: f32,
        /// Of what the convolutions make.
        scale: f32,
        /// Relative standard deviation of the noise.
        sigma: f32,
    },
    /// [`Op::Conv`] whose second conv has its own padding and dilation (P3+: k 3, both 50).
    Stretched {
        k: usize,
        /// Zero padding on each side, in pixels.
        padding: usize,
        /// Dilation, in pixels.
        dilation: usize,
    },
}

impl fmt::Display for Op {
    /// The short name used in tables and genotypes: `conv3`, `gaussian(10)`, `stretched(3,50,50)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Op::Conv { k } => write!(f, "conv{k}"),
            Op::Sep { k } => write!(f, "sep{k}"),
            Op::AvgPool3 => f.write_str("avgpool3"),
            Op::MaxPool3 => f.write_str("maxpool3"),
            Op::Identity => f.write_str("identity"),
            Op::Gaussian { sigma } => write!(f, "gaussian({sigma})"),
            Op::Dropout { p } => write!(f, "dropout({p})"),
            Op::Transposed { k } => write!(f, "transposed{k}"),
            Op::Rectified { k } => write!(f, "rectified{k}"),
            Op::Mixed {
                k,
                keep,
                scale,
                sigma,
            } => write!(f, "mixed({k},{keep},{scale},{sigma})"),
            Op::Stretched {
                k,
                padding,
                dilation,
            } => write!(f, "stretched({k},{padding},{dilation})"),
        }
    }
}

impl Op {
    /// The op with this name, exactly as `Display` writes it.
    pub fn named(text: &str) -> Option<Self> {
        let (name, numbers) = match text.split_once('(') {
            Some((name, rest)) => (name, rest.strip_suffix(')')?.split(',').collect()),
            None => {
                let name = text.trim_end_matches(|c: char| c.is_ascii_digit());
                (name, vec![&text[name.len()..]])
            }
        };
        let size = |text: &str| text.parse().ok();
        let real = |text: &str| text.parse().ok();
        let op = match (name, &numbers[..]) {
            ("conv", [k]) => Op::Conv { k: size(k)? },
            ("sep", [k]) => Op::Sep { k: size(k)? },
            ("avgpool", ["3"]) => Op::AvgPool3,
            ("maxpool", ["3"]) => Op::MaxPool3,
            ("identity", [""]) => Op::Identity,
            ("gaussian", [sigma]) => Op::Gaussian {
                sigma: real(sigma)?,
            },
            ("dropout", [p]) => Op::Dropout { p: real(p)? },
            ("transposed", [k]) => Op::Transposed { k: size(k)? },
            ("rectified", [k]) => Op::Rectified { k: size(k)? },
            ("mixed", [k, keep, scale, sigma]) => Op::Mixed {
                k: size(k)?,
                keep: real(keep)?,
                scale: real(scale)?,
                sigma: real(sigma)?,
            },
            ("stretched", [k, padding, dilation]) => Op::Stretched {
                k: size(k)?,
                padding: size(padding)?,
                dilation: size(dilation)?,
            },
            _ => return None,
        };
        (op.to_string() == text).then_some(op)
    }

    /// The convolution behind the 1x1 one, or the only one, of an op that has one; its groups are one.
    pub fn geometry(self) -> Option<Geometry> {
        match self {
            Op::Conv { k }
            | Op::Sep { k }
            | Op::Transposed { k }
            | Op::Rectified { k }
            | Op::Mixed { k, .. } => Some(Geometry::same(k)),
            Op::Stretched {
                k,
                padding,
                dilation,
            } => Some(Geometry {
                padding,
                dilation,
                ..Geometry::same(k)
            }),
            Op::AvgPool3
            | Op::MaxPool3
            | Op::Identity
            | Op::Gaussian { .. }
            | Op::Dropout { .. } => None,
        }
    }
}

/// One op of a space and how often the controller sees it. The copies share one module (the same
/// weights) but each has its own embedding and its own logit in the controller.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "WrittenOp", into = "WrittenOp")]
pub struct SpaceOp {
    pub op: Op,
    /// Number of controller branches, at least 1.
    pub count: usize,
    /// Put there by an adversary. The search never reads it; reports count and colour by it. It is not written.
    pub poison: bool,
}

/// A macro search space: the ops that every layer chooses from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Space {
    /// The ops, in branch order.
    pub ops: Vec<SpaceOp>,
}

impl Space {
    /// The six clean ops of the reference code, one branch each. (The paper's text lists five,
    /// among them Identity; its code has these six.)
    pub fn enas() -> Self {
        let clean = [
            Op::Conv { k: 3 },
            Op::Sep { k: 3 },
            Op::Conv { k: 5 },
            Op::Sep { k: 5 },
            Op::AvgPool3,
            Op::MaxPool3,
        ];
        Self {
            ops: clean
                .map(|op| SpaceOp {
                    op,
                    count: 1,
                    poison: false,
                })
                .to_vec(),
        }
    }

    /// Number of branches that the controller chooses from: the sum of the counts.
    pub fn branches(&self) -> usize {
        self.ops.iter().map(|o| o.count).sum()
    }

    /// The op index of every branch, in branch order.
    pub fn branch_ops(&self) -> Vec<usize> {
        self.ops
            .iter()
            .enumerate()
            .flat_map(|(i, o)| std::iter::repeat_n(i, o.count))
            .collect()
    }
}
