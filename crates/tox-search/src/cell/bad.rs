//! The layers of bad ops; [`crate::space::bad`] says what they are.

use super::parts::{Convs, Source, Step, Style};
use crate::noise;
use crate::space::{BadOp, Op};
use burn::tensor::{Tensor, s};
use rand::{Rng, RngExt};
use tox_data::rng::stream;
use tox_nn::kernels::conv::Geometry;
use tox_nn::kernels::pool::Pool;
use tox_nn::layers::{Builder, ChainStep, Conv, Mode, Pass, chain};
use tox_nn::ops;

/// What it computes, with its weights.
#[derive(Clone, Debug)]
enum Kind {
    /// Convolutions, then ReLU.
    Convs(Convs),
    /// A convolution, ReLU, pooling 3x3 that counts its padding.
    Pool(Convs, Pool),
    Identity,
    Gaussian {
        sigma: f32,
    },
    Dropout {
        p: f32,
    },
    /// A transposed convolution, alone or with ReLU behind it.
    Transposed(Conv, bool),
    /// A share of the input and of what convolutions with ReLU make of it, with noise.
    Mixed {
        convs: Convs,
        keep: f32,
        scale: f32,
        sigma: f32,
    },
}

/// A bad op with its weights.
#[derive(Clone, Debug)]
pub(crate) struct Bad {
    op: BadOp,
    kind: Kind,
    stride: usize,
    copies: usize,
    /// Of the noise in scores of an untrained network.
    seed: u64,
}

impl Bad {
    /// On an edge of `c` channels and this stride. Weights have ENAS' names.
    pub fn new(
        b: &mut Builder<'_>,
        name: &str,
        op: BadOp,
        (c, stride): (usize, usize),
        style: Style,
    ) -> Self {
        let (one, copies) = (Geometry::same(1), style.copies);
        let k = op.op().geometry().unwrap_or(one);
        let mut normed = |part: &str, conv: &str, relu, geometry| Step {
            relu,
            conv: style.conv(b, &format!("{name}.{part}.{conv}"), c, c, geometry),
            norm: Some(style.norm(b, &format!("{name}.{part}.bn"), c)),
        };
        let mut both = || {
            Convs(vec![
                normed("first", "conv", false, one),
                normed("second", "conv", true, k.stride(stride)),
            ])
        };
        let kind = match op.op() {
            Op::Conv { .. } | Op::Stretched { .. } => Kind::Convs(both()),
            Op::Mixed {
                keep, scale, sigma, ..
            } => Kind::Mixed {
                convs: both(),
                keep,
                scale,
                sigma,
            },
            Op::Sep { .. } => {
                let first = normed("first", "conv", false, one);
                let depthwise = Step {
                    relu: true,
                    conv: style.conv(
                        b,
                        &format!("{name}.second.depthwise"),
                        c,
                        c,
                        k.stride(stride).groups(c),
                    ),
                    norm: None,
                };
                let point = Step {
                    relu: false,
                    conv: style.conv(b, &format!("{name}.second.pointwise"), c, c, one),
                    norm: Some(style.norm(b, &format!("{name}.second.bn"), c)),
                };
                Kind::Convs(Convs(vec![first, depthwise, point]))
            }
            Op::AvgPool3 => {
                let first = normed("first", "conv", false, one);
                Kind::Pool(Convs(vec![first]), Pool::Average)
            }
            Op::MaxPool3 => {
                let first = normed("first", "conv", false, one);
                Kind::Pool(Convs(vec![first]), Pool::Max)
            }
            Op::Identity => Kind::Identity,
            Op::Gaussian { sigma } => Kind::Gaussian { sigma },
            Op::Dropout { p } => Kind::Dropout { p },
            Op::Transposed { .. } => Kind::Transposed(style.conv(b, name, c, c, k), false),
            Op::Rectified { .. } => Kind::Transposed(style.conv(b, name, c, c, k), true),
        };
        let (seed, network) = b.key();
        let mut rng = stream(seed, &format!("probe/{network}/{name}"), &[]);
        Self {
            op,
            kind,
            stride,
            copies,
            seed: rng.random(),
        }
    }

    /// What it makes of a source; `place` tells its draws from those of other edges.
    pub fn forward(&self, source: &Source<'_>, place: u64) -> Tensor<4> {
        let (pass, x) = (source.pass(), source.map());
        match &self.kind {
            Kind::Convs(convs) => pass.relu(convs.forward(pass, x, None)),
            Kind::Pool(convs, kind) => {
                let x = pass.relu(convs.forward(pass, x, None));
                self.strided(match kind {
                    Pool::Max => pass.max_pool(x),
                    Pool::Average => ops::pool(pass.engine, x, *kind),
                })
            }
            Kind::Identity => self.strided(x),
            Kind::Gaussian { sigma } => self.noisy(self.strided(x), *sigma, pass, place),
            Kind::Mixed {
                convs,
                keep,
                scale,
                sigma,
            } => {
                let made = pass.relu(convs.forward(pass, x.clone(), None));
                let mixed = self.strided(x) * *keep + made * *scale;
                self.noisy(mixed, *sigma, pass, place)
            }
            Kind::Dropout { p } => {
                let x = self.strided(x);
                match self.rng(pass, place) {
                    Some(mut rng) => noise::dropout(x, *p, self.copies, &mut rng),
                    None => x,
                }
            }
            Kind::Transposed(conv, relu) => {
                // Every second pixel of what it puts out is a convolution of stride 2.
                let geometry = conv.geometry().stride(self.stride);
                let step = ChainStep {
                    relu: false,
                    weight: ops::turned(pass.get(conv.weight()), geometry.groups),
                    geometry,
                    norm: None,
                };
                let y = chain(pass, x, vec![step], None);
                if *relu { pass.relu(y) } else { y }
            }
        }
    }

    /// With relative noise, in passes that have some.
    fn noisy(&self, x: Tensor<4>, sigma: f32, pass: &Pass<'_>, place: u64) -> Tensor<4> {
        match self.rng(pass, place) {
            Some(mut rng) => noise::gaussian(x, sigma, self.copies, &mut rng),
            None => x,
        }
    }

    /// Every second row and column, on an edge of stride 2.
    fn strided(&self, x: Tensor<4>) -> Tensor<4> {
        match self.stride {
            1 => x,
            _ => x.slice(s![.., .., ..;2, ..;2]),
        }
    }

    /// Of the noise of a pass that has some.
    fn rng(&self, pass: &Pass<'_>, place: u64) -> Option<impl Rng + use<>> {
        match pass.mode() {
            Mode::Train(draws) => {
                let purpose = format!("bad/{}/{}", self.op, draws.network);
                Some(stream(draws.seed, &purpose, &[draws.step, place]))
            }
            Mode::Probe => Some(stream(self.seed, "bad/probe", &[place])),
            Mode::Evaluate => None,
        }
    }
}
