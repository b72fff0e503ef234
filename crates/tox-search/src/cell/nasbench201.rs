//! Networks of NAS-Bench-201 (Dong and Yang 2020): the supernet, and the network of one cell.
//!
//! Ops of a supernet are called `cells.I.edges.T<-S.PLACE`, from state S to state T, where `PLACE`
//! counts the ops that the edge still has; those of a cell `cells.I.layers.K`. Batch norms of stem,
//! residual blocks and head always have gamma and beta, those of a cell too, those of a supernet's
//! ops if asked for.

use super::bad::Bad;
use super::ops::{Edge, Join, Layer, nodes};
use super::parts::{Convs, Source, Style};
use super::{Mix, Supernet};
use crate::space::SpaceError;
use crate::space::nasbench201::{self, Cell, EDGES, NODES, Op};
use burn::tensor::Tensor;
use burn::tensor::module;
use burn::tensor::ops::AvgPoolOptions;
use tox_nn::kernels::conv::Geometry;
use tox_nn::kernels::pool::Pool;
use tox_nn::layers::{BatchNorm, Builder, Conv, Init, Linear, Network, Pass, State};
use tox_nn::ops;

/// The ops on every edge, in the order of their weights in a [`Mix`].
pub type Candidates = Vec<Vec<Op>>;

/// Halves the map and doubles the channels.
#[derive(Clone, Debug)]
pub(crate) struct Residual {
    convs: [Convs; 2],
    around: Conv,
}

impl Residual {
    fn new(b: &mut Builder<'_>, name: &str, c: usize, style: Style) -> Self {
        let three = Geometry::same(3);
        let mut conv = |part: &str, c_in, geometry| {
            style.relu_conv_norm(b, &format!("{name}.{part}"), [c_in, 2 * c], geometry)
        };
        let convs = [
            conv("conv_a", c, three.stride(2)),
            conv("conv_b", 2 * c, three),
        ];
        let around = format!("{name}.downsample.1");
        let around = style.conv(b, &around, c, 2 * c, Geometry::same(1));
        Self { convs, around }
    }

    fn forward(&self, pass: &Pass<'_>, x: Tensor<4>) -> Tensor<4> {
        let mut y = x.clone();
        for convs in &self.convs {
            y = convs.forward(pass, y, None);
        }
        let options = AvgPoolOptions::new([2, 2]).with_stride([2, 2]);
        self.around.forward(pass, module::avg_pool2d(x, options)) + y
    }
}

const AFFINE: Style = Style {
    affine: true,
    behind_pools: false,
    copies: 1,
};

/// A part of the network between stem and head.
#[derive(Clone, Debug)]
pub(crate) enum Block {
    Cell(Vec<Edge>),
    Residual(Residual),
}

impl Block {
    /// `join` but for the number of the cell, which is that of the block, `place`.
    pub fn forward(
        &self,
        pass: &Pass<'_>,
        x: Tensor<4>,
        (place, join): (usize, Join<'_>),
    ) -> Tensor<4> {
        match self {
            Block::Residual(residual) => residual.forward(pass, x),
            Block::Cell(edges) => {
                let join = Join {
                    cell: place,
                    ..join
                };
                let mut maps = nodes(edges, vec![Source::new(pass, x.clone(), 1)], join);
                maps.pop().unwrap_or(x)
            }
        }
    }
}

/// The blocks of three stages of `cells` cells each, the first of `channels` channels, with residual
/// blocks between them.
pub(crate) fn blocks(
    b: &mut Builder<'_>,
    (channels, cells): (usize, usize),
    style: Style,
    mut cell: impl FnMut(&mut Builder<'_>, &str, usize) -> Vec<Edge>,
) -> Vec<Block> {
    let (mut c, mut blocks) = (channels, Vec::new());
    for stage in 0..3 {
        if stage > 0 {
            let name = format!("cells.{}", blocks.len());
            blocks.push(Block::Residual(Residual::new(b, &name, c, style)));
            c *= 2;
        }
        for _ in 0..cells {
            let name = format!("cells.{}", blocks.len());
            blocks.push(Block::Cell(cell(b, &name, c)));
        }
    }
    blocks
}

/// The edges of a supernet's cell.
pub(crate) fn mixed_cell(
    b: &mut Builder<'_>,
    name: &str,
    c: usize,
    candidates: &Candidates,
    style: Style,
) -> Vec<Edge> {
    let edges = ends().zip(candidates);
    let edges = edges.map(|((node, input), ops)| {
        let name = format!("{name}.edges.{}<-{input}", node + 1);
        Edge::new((node, input), ops, |o, op| {
            layer(b, &format!("{name}.{o}"), op, c, style)
        })
    });
    edges.collect()
}

/// An op with its weights.
fn layer(b: &mut Builder<'_>, name: &str, op: Op, c: usize, style: Style) -> Layer {
    let mut conv = |kernel| {
        let geometry = Geometry::same(kernel);
        Layer::Convs(style.relu_conv_norm(b, name, [c, c], geometry))
    };
    match op {
        Op::None => Layer::None,
        Op::Skip => Layer::Skip,
        Op::Conv1 => conv(1),
        Op::Conv3 => conv(3),
        Op::AvgPool3 => Layer::Pool(Pool::Average, None),
        Op::Bad(op) => Layer::Bad(Bad::new(b, name, op, (c, 1), style)),
    }
}

/// Node and state read of the six edges.
fn ends() -> impl Iterator<Item = (usize, usize)> {
    (0..NODES).flat_map(|node| (0..=node).map(move |input| (node, input)))
}

/// Stem, blocks, head.
#[derive(Clone, Debug)]
struct Body {
    stem: (Conv, BatchNorm),
    blocks: Vec<Block>,
    last: BatchNorm,
    head: Linear,
}

impl Body {
    fn new(
        b: &mut Builder<'_>,
        shape: &nasbench201::Network,
        mut cell: impl FnMut(&mut Builder<'_>, &str, usize) -> Vec<Edge>,
    ) -> Self {
        let ([c_in, ..], c) = (shape.input, shape.channels);
        let stem = (
            b.conv("stem.0", c_in, c, Geometry::same(3)),
            b.norm("stem.1", c),
        );
        let blocks = blocks(b, (c, shape.cells), AFFINE, &mut cell);
        let last = 4 * c;
        Self {
            stem,
            blocks,
            last: b.norm("lastact.0", last),
            head: b.linear("classifier", last, shape.classes),
        }
    }

    fn forward(&self, pass: &Pass<'_>, x: Tensor<4>, join: Join<'_>) -> Tensor<2> {
        let (conv, norm) = &self.stem;
        let mut x = norm.forward(pass, conv.forward(pass, x), false);
        for (i, block) in self.blocks.iter().enumerate() {
            x = block.forward(pass, x, (i, join));
        }
        let x = self.last.forward(pass, x, true);
        self.head.forward(pass, ops::global_average(x))
    }
}

/// The network of one cell.
#[derive(Clone, Debug)]
pub struct CellNetwork(Body);

impl CellNetwork {
    /// The network of `shape` with this cell. Initial weights are drawn from streams keyed by
    /// `seed`, `network` and their name; the published code begins with [`Init::Torch`].
    pub fn new(
        cell: &Cell,
        shape: &nasbench201::Network,
        init: Init,
        (seed, network): (u64, &str),
    ) -> Result<(Self, State), SpaceError> {
        shape.check()?;
        let mut b = Builder::new(seed, network, init);
        let body = Body::new(&mut b, shape, |b, name, c| {
            let edges = ends().zip(cell.ops).enumerate();
            let edge = edges.map(|(k, (ends, op))| {
                Edge::new(ends, &[op], |_, op| {
                    layer(b, &format!("{name}.layers.{k}"), op, c, AFFINE)
                })
            });
            edge.collect()
        });
        Ok((Self(body), b.finish()))
    }
}

impl Network for CellNetwork {
    fn logits(&self, pass: &Pass<'_>, x: Tensor<4>) -> Tensor<2> {
        self.0.forward(pass, x, Join::default())
    }
}

/// The supernet.
#[derive(Clone, Debug)]
pub struct Nb201Supernet(Body);

impl Nb201Supernet {
    /// The supernet of `shape` with these ops on the six edges; `affine` tells whether the batch
    /// norms of its ops have gamma and beta. Initial weights as in [`CellNetwork::new`].
    ///
    /// # Errors
    /// A shape that cannot be built, candidates for another number of edges.
    pub fn new(
        candidates: &Candidates,
        affine: bool,
        shape: &nasbench201::Network,
        init: Init,
        (seed, network): (u64, &str),
    ) -> Result<(Self, State), SpaceError> {
        shape.check()?;
        if candidates.len() != EDGES {
            return Err(SpaceError::Network {
                what: "number of a cell's edges with ops",
                found: candidates.len().to_string(),
                expected: format!("{EDGES}, one list of ops for each edge"),
            });
        }
        let style = Style { affine, ..AFFINE };
        let mut b = Builder::new(seed, network, init);
        let body = Body::new(&mut b, shape, |b, name, c| {
            mixed_cell(b, name, c, candidates, style)
        });
        Ok((Self(body), b.finish()))
    }
}

impl Supernet for Nb201Supernet {
    /// `mixes`: one. Dropout's place is the number of the block times 6 plus that of the edge.
    fn mixed(&self, pass: &Pass<'_>, x: Tensor<4>, mixes: &[Mix], skip_dropout: f32) -> Tensor<2> {
        let join = Join {
            mix: mixes.first(),
            skip_dropout,
            ..Join::default()
        };
        self.0.forward(pass, x, join)
    }
}
