//! What the ops of the cell spaces are made of.

use burn::tensor::module;
use burn::tensor::ops::AvgPoolOptions;
use burn::tensor::{Tensor, TensorData, s};
use std::cell::OnceCell;
use tox_nn::kernels::conv::Geometry;
use tox_nn::kernels::pool::Pool;
use tox_nn::layers::{BatchNorm, Builder, ChainStep, Conv, Pass, chain};
use tox_nn::ops::{self, Engine};

/// How a network's layers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Style {
    /// Batch norms with gamma and beta.
    pub affine: bool,
    /// Another batch norm without them behind pools.
    pub behind_pools: bool,
    /// Networks that stand side by side, each on channels of its own: 1 but for scores that want
    /// the gradients of single images. The channels of a copy lie together.
    pub copies: usize,
}

impl Style {
    pub fn norm(self, b: &mut Builder<'_>, name: &str, channels: usize) -> BatchNorm {
        let channels = self.copies * channels;
        match self.affine {
            true => b.norm(name, channels),
            false => b.norm_without_affine(name, channels),
        }
    }

    /// A convolution of every copy.
    pub fn conv(
        self,
        b: &mut Builder<'_>,
        name: &str,
        c_in: usize,
        c_out: usize,
        geometry: Geometry,
    ) -> Conv {
        let [c_in, c_out] = [c_in, c_out].map(|c| self.copies * c);
        b.conv(
            name,
            c_in,
            c_out,
            geometry.groups(self.copies * geometry.groups),
        )
    }

    /// ReLU, a convolution `NAME.op.1`, batch norm.
    pub fn relu_conv_norm(
        self,
        b: &mut Builder<'_>,
        name: &str,
        [c_in, c_out]: [usize; 2],
        geometry: Geometry,
    ) -> Convs {
        let conv = self.conv(b, &format!("{name}.op.1"), c_in, c_out, geometry);
        let norm = Some(self.norm(b, &format!("{name}.op.2"), c_out));
        let relu = true;
        Convs(vec![Step { relu, conv, norm }])
    }

    /// Once for every geometry: ReLU, that convolution channel by channel, a 1x1 convolution, batch
    /// norm.
    pub fn separable(
        self,
        b: &mut Builder<'_>,
        name: &str,
        c: usize,
        geometries: &[Geometry],
    ) -> Convs {
        let each = geometries.iter().enumerate().flat_map(|(i, geometry)| {
            let op = |j: usize| format!("{name}.op.{}", 4 * i + j);
            let depthwise = Step {
                relu: true,
                conv: self.conv(b, &op(1), c, c, geometry.groups(c)),
                norm: None,
            };
            let pointwise = Step {
                relu: false,
                conv: self.conv(b, &op(2), c, c, Geometry::same(1)),
                norm: Some(self.norm(b, &op(3), c)),
            };
            [depthwise, pointwise]
        });
        Convs(each.collect())
    }
}

/// A convolution, with what is before and behind it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub relu: bool,
    pub conv: Conv,
    pub norm: Option<BatchNorm>,
}

/// Convolutions in a row.
#[derive(Clone, Debug)]
pub(crate) struct Convs(pub Vec<Step>);

impl Convs {
    pub fn forward(&self, pass: &Pass<'_>, x: Tensor<4>, scale: Option<&Tensor<4>>) -> Tensor<4> {
        let steps = self.0.iter().map(|step| ChainStep {
            relu: step.relu,
            weight: pass.get(step.conv.weight()),
            geometry: step.conv.geometry(),
            norm: step.norm,
        });
        chain(pass, x, steps.collect(), scale)
    }
}

/// A state of a cell, and what the ops that read it make of it before any weight comes in: made
/// once, however many they are.
pub(crate) struct Source<'p> {
    pass: &'p Pass<'p>,
    map: Tensor<4>,
    /// Of the ops that read it.
    stride: usize,
    gathered: OnceCell<Tensor<4>>,
    pooled: [OnceCell<Tensor<4>>; 2],
}

impl<'p> Source<'p> {
    pub fn new(pass: &'p Pass<'p>, map: Tensor<4>, stride: usize) -> Self {
        Self {
            pass,
            map,
            stride,
            gathered: OnceCell::new(),
            pooled: Default::default(),
        }
    }

    /// The pass that it is made in.
    pub fn pass(&self) -> &'p Pass<'p> {
        self.pass
    }

    /// The state itself.
    pub fn map(&self) -> Tensor<4> {
        self.map.clone()
    }

    /// The pixels of a factorised reduction, those of a copy together.
    fn gathered(&self, copies: usize) -> Tensor<4> {
        let gather = || gather(self.pass, self.map.clone(), copies);
        self.gathered.get_or_init(gather).clone()
    }

    /// Pooled 3x3 with padding 1, which an average does not count. The window of an output of stride
    /// 2 is that of every second output of stride 1, so the kernel is used for both.
    pub fn pooled(&self, kind: Pool) -> Tensor<4> {
        let engine = self.pass.engine;
        let make = || match (engine, kind) {
            (Engine::Kernels, _) | (_, Pool::Max) => {
                let mut y = match kind {
                    Pool::Max => self.pass.max_pool(self.map.clone()),
                    Pool::Average => ops::pool(engine, self.map.clone(), kind),
                };
                let [.., h, w] = y.dims();
                if self.stride == 2 {
                    y = y.slice(s![.., .., ..;2, ..;2]);
                }
                match kind {
                    Pool::Max => y,
                    // The kernel counts the padding: it divides by nine everywhere.
                    Pool::Average => y * self.shares(h, w),
                }
            }
            (Engine::Plain, Pool::Average) => {
                let options = AvgPoolOptions::new([3, 3])
                    .with_stride([self.stride; 2])
                    .with_padding([1, 1])
                    .with_count_include_pad(false);
                module::avg_pool2d(self.map.clone(), options)
            }
        };
        self.pooled[kind as usize].get_or_init(make).clone()
    }

    /// Nine by the number of pixels that an average really sees: `[1, 1, h, w]`, every `stride`-th.
    fn shares(&self, h: usize, w: usize) -> Tensor<4> {
        let seen = |size: usize| {
            let inside = move |i: &usize| (i.max(&1) - 1..=(i + 1).min(size - 1)).count() as f32;
            let all: Vec<f32> = (0..size).step_by(self.stride).map(|i| inside(&i)).collect();
            all
        };
        let (rows, columns) = (seen(h), seen(w));
        let each = rows
            .iter()
            .flat_map(|r| columns.iter().map(move |c| 9.0 / (r * c)));
        let data = TensorData::new(
            each.collect::<Vec<f32>>(),
            [1, 1, rows.len(), columns.len()],
        );
        Tensor::from_data(data, self.pass.device())
    }

    /// The shape of what an op makes of it.
    pub fn shape(&self) -> [usize; 4] {
        let [n, c, h, w] = self.map.dims();
        [n, c, h.div_ceil(self.stride), w.div_ceil(self.stride)]
    }
}

/// The pixels of a factorised reduction, those of a copy together.
fn gather(pass: &Pass<'_>, map: Tensor<4>, copies: usize) -> Tensor<4> {
    let pixels = ops::gather(pass.engine, map);
    let [n, c, h, w] = pixels.dims();
    match copies {
        1 => pixels,
        _ => pixels
            .reshape([n, 2, copies, c / (2 * copies) * h * w])
            .swap_dims(1, 2)
            .reshape([n, c, h, w]),
    }
}

/// A factorised reduction: ReLU, two 1x1 convolutions of stride 2, the second on the map shifted by a
/// pixel, side by side, batch norm. Both are one convolution of the gathered pixels, in two groups.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reduce {
    convs: [Conv; 2],
    norm: BatchNorm,
    copies: usize,
}

impl Reduce {
    pub fn new(b: &mut Builder<'_>, name: &str, [c_in, c_out]: [usize; 2], style: Style) -> Self {
        let mut conv = |i: usize| {
            let geometry = Geometry::same(1).stride(2);
            style.conv(b, &format!("{name}.conv_{i}"), c_in, c_out / 2, geometry)
        };
        let convs = [conv(1), conv(2)];
        let norm = style.norm(b, &format!("{name}.bn"), c_out);
        let copies = style.copies;
        Self {
            convs,
            norm,
            copies,
        }
    }

    pub fn forward(&self, source: &Source<'_>, scale: Option<&Tensor<4>>) -> Tensor<4> {
        let (pass, copies) = (source.pass, self.copies);
        let weights = self.convs.map(|conv| pass.get(conv.weight()));
        let [c_out, c_in, ..] = weights[0].dims();
        let split = weights.map(|weight| weight.reshape([copies, c_out / copies, c_in, 1]));
        // A ReLU whose choices are noted has them for all pixels, as the published code's.
        let (x, relu) = match pass.is_free() {
            true => (source.gathered(copies), true),
            false => (gather(pass, pass.relu(source.map()), copies), false),
        };
        let step = ChainStep {
            relu,
            weight: Tensor::cat(split.into(), 1).reshape([2 * c_out, c_in, 1, 1]),
            geometry: Geometry::same(1).groups(2 * copies),
            norm: Some(self.norm),
        };
        chain(pass, x, vec![step], scale)
    }
}
