//! The network of an architecture.

use super::kernel::MATRICES;
use super::resize;
use crate::space::SpaceError;
use crate::space::elastic::{Arch, ElasticSpace, Layer};
use burn::tensor::Tensor;
use tox_nn::kernels::conv::Geometry;
use tox_nn::layers::{
    BatchNorm, Builder, ChainStep, Conv, Init, Linear, Network, Pass, State, chain,
};
use tox_nn::ops;

/// Where the parts of the searched layers are in names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// `conv` and `bn`, in the network of an architecture.
    Plain,
    /// `conv.conv` and `bn.bn`, in a supernet.
    Dynamic,
}

impl Naming {
    fn conv(self) -> &'static str {
        match self {
            Self::Plain => "conv",
            Self::Dynamic => "conv.conv",
        }
    }

    fn norm(self) -> &'static str {
        match self {
            Self::Plain => "bn",
            Self::Dynamic => "bn.bn",
        }
    }
}

/// An inverted residual layer; [`Layer`] says what it computes.
#[derive(Clone, Debug)]
struct Block {
    layer: Layer,
    expand: Option<(Conv, BatchNorm)>,
    depthwise: (Conv, BatchNorm),
    squeeze: Option<[Conv; 2]>,
    project: (Conv, BatchNorm),
}

/// Stem, layers, head.
#[derive(Clone, Debug)]
pub struct ElasticNet {
    /// Probability of dropout before the classifier, in training.
    pub dropout: f32,
    resolution: usize,
    stem: (Conv, BatchNorm),
    blocks: Vec<Block>,
    expand: (Conv, BatchNorm),
    mix: Conv,
    head: Linear,
}

fn relu6(x: Tensor<4>) -> Tensor<4> {
    x.clamp(0.0, 6.0)
}

fn hswish(x: Tensor<4>) -> Tensor<4> {
    x.clone() * relu6(x + 3.0) / 6.0
}

fn conv_norm(
    b: &mut Builder<'_>,
    name: &str,
    naming: Naming,
    [c_in, c_out]: [usize; 2],
    geometry: Geometry,
) -> (Conv, BatchNorm) {
    (
        b.conv(&format!("{name}.{}", naming.conv()), c_in, c_out, geometry),
        b.norm(&format!("{name}.{}", naming.norm()), c_out),
    )
}

impl Block {
    fn new(b: &mut Builder<'_>, name: &str, naming: Naming, layer: Layer) -> Self {
        let Layer {
            input,
            hidden,
            output,
            ..
        } = layer;
        let name = format!("{name}.mobile_inverted_conv");
        let one = Geometry::same(1);
        let expand = (hidden != input).then(|| {
            let name = format!("{name}.inverted_bottleneck");
            conv_norm(b, &name, naming, [input, hidden], one)
        });
        let geometry = Geometry::same(layer.kernel).stride(layer.stride);
        let depth = format!("{name}.depth_conv");
        let depthwise = conv_norm(b, &depth, naming, [hidden, hidden], geometry.groups(hidden));
        let squeeze = layer.squeeze.map(|middle| {
            let fc = format!("{depth}.se.fc");
            [
                b.conv_with_bias(&format!("{fc}.reduce"), hidden, middle, one),
                b.conv_with_bias(&format!("{fc}.expand"), middle, hidden, one),
            ]
        });
        let project = format!("{name}.point_linear");
        let project = conv_norm(b, &project, naming, [hidden, output], one);
        Self {
            layer,
            expand,
            depthwise,
            squeeze,
            project,
        }
    }

    fn forward(&self, pass: &Pass<'_>, x: Tensor<4>) -> Tensor<4> {
        let (expand, depthwise) = (self.expand.as_ref(), &self.depthwise);
        let mut y = x.clone();
        if self.layer.hswish {
            for part in expand.into_iter().chain([depthwise]) {
                y = hswish(chain(pass, y, vec![step(pass, part, false)], None));
            }
        } else {
            // What lies between them is a ReLU, so they are one op.
            let mut steps: Vec<_> = expand
                .map(|part| step(pass, part, false))
                .into_iter()
                .collect();
            steps.push(step(pass, depthwise, expand.is_some()));
            if self.squeeze.is_none() {
                steps.push(step(pass, &self.project, true));
                return self.joined(chain(pass, y, steps, None), x);
            }
            y = pass.relu(chain(pass, y, steps, None));
        }
        if let Some([reduce, expand]) = &self.squeeze {
            let middle = pass.relu(reduce.forward(pass, averaged(y.clone())));
            y = y * (relu6(expand.forward(pass, middle) + 3.0) / 6.0);
        }
        let last = vec![step(pass, &self.project, false)];
        self.joined(chain(pass, y, last, None), x)
    }

    fn joined(&self, y: Tensor<4>, x: Tensor<4>) -> Tensor<4> {
        if self.layer.residual { y + x } else { y }
    }
}

/// A convolution and its batch norm, after a ReLU if `relu`.
fn step(pass: &Pass<'_>, (conv, norm): &(Conv, BatchNorm), relu: bool) -> ChainStep {
    ChainStep {
        relu,
        weight: pass.get(conv.weight()),
        geometry: conv.geometry(),
        norm: Some(*norm),
    }
}

/// The mean of every channel, `[n, c, 1, 1]`.
fn averaged(x: Tensor<4>) -> Tensor<4> {
    let [n, c, ..] = x.dims();
    ops::global_average(x).reshape([n, c, 1, 1])
}

impl ElasticNet {
    /// The network of `arch` for images of `channels` channels, which it resizes to its resolution, and
    /// `classes` classes. Initial weights are drawn from streams keyed by `seed`, `network` and their
    /// name; Once-for-All begins with [`Init::KaimingNormal`] by fan-out.
    ///
    /// # Errors
    /// An architecture that is not of the space, sizes that no network can have.
    pub fn new(
        space: &ElasticSpace,
        arch: &Arch,
        (channels, classes): (usize, usize),
        (naming, init): (Naming, Init),
        (seed, network): (u64, &str),
    ) -> Result<(Self, State), SpaceError> {
        let layers = space.layers(arch)?;
        ElasticSpace::check_classes(classes)?;
        let ends = space.ends();
        let mut b = Builder::new(seed, network, init);
        if init == Init::Zero {
            b.linear_init = init;
        }
        let first = Geometry::same(3).stride(ends.stem_stride);
        let plain = Naming::Plain;
        let stem = conv_norm(&mut b, "first_conv", plain, [channels, ends.stem], first);
        let blocks = layers.into_iter().enumerate();
        let blocks = blocks.map(|(i, layer)| {
            // The first layer is the same in all networks.
            let naming = if i == 0 { plain } else { naming };
            Block::new(&mut b, &format!("blocks.{i}"), naming, layer)
        });
        let blocks = blocks.collect();
        let one = Geometry::same(1);
        let width = [ends.last, ends.expand];
        let expand = conv_norm(&mut b, "final_expand_layer", plain, width, one);
        let net = Self {
            dropout: 0.0,
            resolution: arch.r,
            stem,
            blocks,
            expand,
            mix: b.conv("feature_mix_layer.conv", ends.expand, ends.mix, one),
            head: b.linear("classifier.linear", ends.mix, classes),
        };
        Ok((net, b.finish()))
    }

    /// The numbers of a supernet: those of its largest network, and for every searched layer the
    /// matrices of smaller kernels (see [`super::kernel`]) if they are wanted, `7to5_matrix` and
    /// `5to3_matrix`.
    ///
    /// # Errors
    /// As [`ElasticNet::new`].
    pub fn supernet(
        space: &ElasticSpace,
        sizes: (usize, usize),
        matrices: bool,
        key: (u64, &str),
    ) -> Result<State, SpaceError> {
        let [_, largest] = space.extremes();
        let init = Init::KaimingNormal(tox_nn::layers::Fan::Out);
        let (net, mut state) = Self::new(space, &largest, sizes, (Naming::Dynamic, init), key)?;
        let searched = if matrices { 1..net.blocks.len() } else { 0..0 };
        for i in searched {
            for (name, n) in ["7to5", "5to3"].into_iter().zip(MATRICES) {
                let name = format!("{}.{name}_matrix", depthwise(i));
                let identity = (0..n * n).map(|j| f32::from(u8::from(j % (n + 1) == 0)));
                state.params.add(name, [n, n], identity.collect());
            }
        }
        Ok(state)
    }
}

/// The name of a supernet's depthwise convolution, but for its last part.
fn depthwise(block: usize) -> String {
    format!("blocks.{block}.mobile_inverted_conv.depth_conv.conv")
}

impl Network for ElasticNet {
    fn logits(&self, pass: &Pass<'_>, x: Tensor<4>) -> Tensor<2> {
        let (conv, norm) = &self.stem;
        let x = conv.forward(pass, resize(x, self.resolution));
        let x = hswish(norm.forward(pass, x, false));
        let blocks = self.blocks.iter();
        let x = blocks.fold(x, |x, block| block.forward(pass, x));
        let (conv, norm) = &self.expand;
        let x = hswish(norm.forward(pass, conv.forward(pass, x), false));
        let x = hswish(self.mix.forward(pass, averaged(x)));
        let [n, c, ..] = x.dims();
        let x = pass.dropout(x.reshape([n, c]), self.dropout, 0);
        self.head.forward(pass, x)
    }
}
