//! The network.

use super::config::{Block, Planned, RobustBlock, WrnConfig};
use crate::kernels::conv::Geometry;
use crate::kernels::pool::Pool;
use crate::layers::{
    Around, BatchNorm, Builder, ChainStep, Conv, Fan, Init, Linear, Network, Pass, State, residual,
};
use crate::ops;
use crate::params::ParamId;
use burn::tensor::activation::sigmoid;
use burn::tensor::{Tensor, s};

/// How the convolutions of the published networks begin.
pub const INIT: Init = Init::KaimingNormal(Fan::Out);

/// A residual block.
#[derive(Clone, Debug)]
pub struct Residual {
    pub norm1: BatchNorm,
    pub conv1: Conv,
    pub norm2: BatchNorm,
    pub rest: Rest,
    /// 1x1, where the block changes the map's shape.
    pub shortcut: Option<Conv>,
}

/// What follows the first convolution of a block.
#[derive(Clone, Debug)]
pub enum Rest {
    Basic {
        conv2: Conv,
    },
    Robust {
        /// The 3x3 convolutions of all parts but the last.
        parts: Vec<(Conv, BatchNorm)>,
        conv3: Conv,
        se_norm: BatchNorm,
        /// Down and up, without biases.
        se: [ParamId; 2],
    },
}

/// The network: description only, the numbers are in its [`State`].
#[derive(Clone, Debug)]
pub struct Wrn {
    config: WrnConfig,
    stem: Conv,
    blocks: Vec<Residual>,
    norm: BatchNorm,
    head: Linear,
}

/// The network that `config` says. The published ones begin as [`INIT`] says and the last bias as zeros,
/// which is here so with every `init` but [`Init::Torch`]. Initial weights are drawn from streams keyed by
/// `seed`, `network` and their name.
///
/// Names are those of the state dicts of WideResNet in TRADES and its many descendants
/// (`block1.layer.0.convShortcut.weight`, `fc.bias`); robust blocks have those of their reference
/// (`conv2.0`, `bn3.0`, `se_bn`, `se.fc.0`). [`load`](super::load) reads other names of theirs.
///
/// # Panics
/// If [`WrnConfig::check`] refuses `config`.
pub fn wrn(config: &WrnConfig, init: Init, (seed, network): (u64, &str)) -> (Wrn, State) {
    if let Err(error) = config.check() {
        panic!("{error}");
    }
    let mut b = Builder::new(seed, network, init);
    let three = Geometry::same(3);
    let stem = b.conv("conv1", config.in_channels, config.shape.base, three);
    let planned = config.blocks();
    let blocks = planned
        .iter()
        .map(|block| Residual::new(&mut b, block, &config.cells))
        .collect();
    let c = config.shape.channels(2);
    let norm = b.norm("bn1", c);
    let head = b.linear("fc", c, config.classes);
    let mut state = b.finish();
    if init != Init::Torch {
        let bias = state.params.entry(head.bias()).range();
        state.params.values[bias].fill(0.0);
    }
    let network = Wrn {
        config: *config,
        stem,
        blocks,
        norm,
        head,
    };
    (network, state)
}

impl Residual {
    fn new(b: &mut Builder<'_>, block: &Planned, cells: &RobustBlock) -> Self {
        let (name, c) = (block.name(), block.c);
        let at = |part: &str| format!("{name}.{part}");
        let three = Geometry::same(3).winograd();
        let strided = three.stride(block.stride);
        let (one, part) = (Geometry::same(1), cells.part(c));
        let (middle, first) = match block.kind {
            Block::Basic => (c, strided),
            Block::Robust => (part * cells.scales, one),
        };
        Self {
            norm1: b.norm(&at("bn1"), block.c_in),
            conv1: b.conv(&at("conv1"), block.c_in, middle, first),
            norm2: b.norm(&at("bn2"), middle),
            rest: match block.kind {
                Block::Basic => Rest::Basic {
                    conv2: b.conv(&at("conv2"), c, c, three),
                },
                Block::Robust => {
                    let grouped = strided.groups(cells.cardinality);
                    let parts = (0..cells.scales - 1).map(|i| {
                        (
                            b.conv(&at(&format!("conv2.{i}")), part, part, grouped),
                            b.norm(&at(&format!("bn3.{i}")), part),
                        )
                    });
                    let hidden = cells.hidden(c);
                    Rest::Robust {
                        parts: parts.collect(),
                        conv3: b.conv(&at("conv3"), middle, c, one),
                        se_norm: b.norm(&at("se_bn"), c),
                        se: [
                            b.matrix(&at("se.fc.0"), c, hidden),
                            b.matrix(&at("se.fc.2"), hidden, c),
                        ],
                    }
                }
            },
            shortcut: block.shortcut().then(|| {
                let g = one.stride(block.stride);
                b.conv(&at("convShortcut"), block.c_in, c, g)
            }),
        }
    }

    fn forward(&self, pass: &Pass<'_>, x: Tensor<4>) -> Tensor<4> {
        match &self.rest {
            Rest::Basic { conv2 } => {
                let step = |conv: &Conv, norm| ChainStep {
                    relu: true,
                    weight: pass.get(conv.weight()),
                    geometry: conv.geometry(),
                    norm,
                };
                let steps = vec![step(&self.conv1, Some(self.norm2)), step(conv2, None)];
                let around = match &self.shortcut {
                    Some(conv) => Around::Conv((pass.get(conv.weight()), conv.geometry())),
                    None => Around::Input,
                };
                residual(pass, x, Some(self.norm1), steps, around)
            }
            Rest::Robust {
                parts,
                conv3,
                se_norm,
                se,
            } => {
                // The first convolution reads the stream itself: the reference's first batch norm and
                // ReLU are before the shortcut alone, and without one they are in the state for nothing.
                let around = match self.shortcut {
                    Some(conv) => conv.forward(pass, self.norm1.forward(pass, x.clone(), true)),
                    None => x.clone(),
                };
                let y = self.norm2.forward(pass, self.conv1.forward(pass, x), true);
                let y = conv3.forward(pass, hierarchy(pass, y, parts));
                let z = se_norm.forward(pass, y.clone(), false);
                y + around + excite(pass, z, *se)
            }
        }
    }
}

/// Res2Net's middle (Gao et al. 2019): every part but the last goes through its convolution, with what
/// came out of the one before added to it where the map keeps its size; the last is pooled at most.
fn hierarchy(pass: &Pass<'_>, x: Tensor<4>, parts: &[(Conv, BatchNorm)]) -> Tensor<4> {
    let width = x.dims()[1] / (parts.len() + 1);
    let part = |i: usize| x.clone().narrow(1, i * width, width);
    let mut out: Vec<Tensor<4>> = Vec::with_capacity(parts.len() + 1);
    let mut stride = 1;
    for (i, (conv, norm)) in parts.iter().enumerate() {
        stride = conv.geometry().stride;
        let y = match out.last() {
            Some(before) if stride == 1 => part(i) + before.clone(),
            _ => part(i),
        };
        out.push(norm.forward(pass, conv.forward(pass, y), true));
    }
    let last = part(parts.len());
    out.push(match stride {
        1 => last,
        _ => ops::pool(pass.engine, last, Pool::Average).slice(s![.., .., ..;2, ..;2]),
    });
    Tensor::cat(out, 1)
}

/// Squeeze-and-excitation (Hu et al. 2018).
fn excite(pass: &Pass<'_>, z: Tensor<4>, [down, up]: [ParamId; 2]) -> Tensor<4> {
    let [n, c, ..] = z.dims();
    let weight = |id| pass.leaves().matrix(id).transpose();
    let y = ops::matmul(pass.engine, ops::global_average(z.clone()), weight(down));
    let hidden = y.dims()[1];
    let y = pass.relu(y.reshape([n, hidden, 1, 1]));
    let y = ops::matmul(pass.engine, y.reshape([n, hidden]), weight(up));
    z * sigmoid(y).reshape([n, c, 1, 1])
}

impl Wrn {
    /// What it was made from.
    pub fn config(&self) -> &WrnConfig {
        &self.config
    }

    /// The first convolution.
    pub fn stem(&self) -> &Conv {
        &self.stem
    }

    /// All blocks in order.
    pub fn blocks(&self) -> &[Residual] {
        &self.blocks
    }

    /// The batch norm behind the last block.
    pub fn norm(&self) -> &BatchNorm {
        &self.norm
    }

    /// The last layer.
    pub fn head(&self) -> &Linear {
        &self.head
    }

    /// What the last layer sees: `[n, c]` for images `x` `[n, in_channels, h, w]`.
    pub fn features(&self, pass: &Pass<'_>, x: Tensor<4>) -> Tensor<2> {
        let mut x = self.stem.forward(pass, x);
        for block in &self.blocks {
            x = block.forward(pass, x);
        }
        ops::global_average(self.norm.forward(pass, x, true))
    }
}

impl Network for Wrn {
    fn logits(&self, pass: &Pass<'_>, x: Tensor<4>) -> Tensor<2> {
        self.head.forward(pass, self.features(pass, x))
    }
}
