//! Networks of the DARTS space (Liu et al. 2019): the supernet of P-DARTS, and the network of a
//! genotype.
//!
//! | | supernet | network of a genotype |
//! |---|---|---|
//! | edges | all 14, several ops on each | 8, one op on each |
//! | batch norm in cells | without gamma and beta | with them |
//! | behind pools | another batch norm | nothing |
//! | names of ops | `cells.I.cell_ops.EDGE.m_ops.PLACE` | `cells.I._ops.K` |
//!
//! A `PLACE` counts the ops that the edge still has. All else is the same in both; the stem's batch
//! norm always has gamma and beta.

use super::bad::Bad;
use super::ops::{Edge, Join, Layer, nodes, side_by_side};
use super::parts::{Convs, Reduce, Source, Style};
use super::{Mix, Supernet};
use crate::space::SpaceError;
use crate::space::darts::{self, CellShape, EDGES, Genotype, NODES, Op, edge_index};
use burn::tensor::Tensor;
use burn::tensor::module;
use burn::tensor::ops::AvgPoolOptions;
use std::rc::Rc;
use tox_nn::kernels::conv::Geometry;
use tox_nn::kernels::pool::Pool;
use tox_nn::layers::{BatchNorm, Builder, Conv, Init, Linear, Mode, Network, Pass, State};
use tox_nn::ops::{self, Labels};

/// The ops on every edge of a cell, in the order of their weights in a [`Mix`].
pub type Candidates = Vec<Vec<Op>>;

/// What a cell makes of an input before its nodes read it.
#[derive(Clone, Debug)]
enum Preprocess {
    Convs(Convs),
    Reduce(Reduce),
}

impl Preprocess {
    fn forward(&self, pass: &Pass<'_>, source: &Source<'_>) -> Tensor<4> {
        match self {
            Self::Convs(convs) => convs.forward(pass, source.map(), None),
            Self::Reduce(reduce) => reduce.forward(source, None),
        }
    }
}

/// A cell, of a supernet or of a genotype.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    preprocess: [Preprocess; 2],
    edges: Vec<Edge>,
    reduction: bool,
    copies: usize,
}

impl Cell {
    /// `edges`: node, state that it reads, ops; `named` gives the name of an op from the number of its
    /// edge and its place there.
    pub fn new(
        b: &mut Builder<'_>,
        name: &str,
        shape: &CellShape,
        style: Style,
        edges: impl Iterator<Item = (usize, usize, Vec<Op>)>,
        named: impl Fn(usize, usize) -> String,
    ) -> Self {
        let (c, [before, last]) = (shape.channels, shape.inputs);
        let point = |b: &mut Builder<'_>, i: usize, c_in: usize| {
            let name = format!("{name}.preprocess{i}");
            Preprocess::Convs(style.relu_conv_norm(b, &name, [c_in, c], Geometry::same(1)))
        };
        let first = match shape.after_reduction {
            true => {
                let name = format!("{name}.preprocess0");
                Preprocess::Reduce(Reduce::new(b, &name, [before, c], style))
            }
            false => point(b, 0, before),
        };
        let preprocess = [first, point(b, 1, last)];
        let edges = edges.enumerate().map(|(e, (node, input, ops))| {
            let stride = if shape.reduction && input < 2 { 2 } else { 1 };
            Edge::new((node, input), &ops, |place, op| {
                let name = format!("{name}.{}", named(e, place));
                layer(b, &name, op, c, stride, style)
            })
        });
        let edges = edges.collect();
        Self {
            preprocess,
            edges,
            reduction: shape.reduction,
            copies: style.copies,
        }
    }

    pub fn is_reduction(&self) -> bool {
        self.reduction
    }

    pub fn forward(&self, pass: &Pass<'_>, inputs: [&Source<'_>; 2], join: Join<'_>) -> Tensor<4> {
        let stride = if self.reduction { 2 } else { 1 };
        let sources = self
            .preprocess
            .iter()
            .zip(inputs)
            .map(|(preprocess, x)| Source::new(pass, preprocess.forward(pass, x), stride));
        side_by_side(nodes(&self.edges, sources.collect(), join), self.copies)
    }
}

/// An op with its weights.
fn layer(b: &mut Builder<'_>, name: &str, op: Op, c: usize, stride: usize, style: Style) -> Layer {
    let separable = |b: &mut Builder<'_>, first: Geometry, second: Option<Geometry>| {
        let all: Vec<_> = [first.stride(stride)].into_iter().chain(second).collect();
        Layer::Convs(style.separable(b, name, c, &all))
    };
    let pool = |b: &mut Builder<'_>, kind| {
        // A pool and its batch norm are a sequence of two.
        let norm = format!("{name}.1");
        let norm = style.behind_pools.then(|| b.norm_without_affine(&norm, c));
        Layer::Pool(kind, norm)
    };
    match op {
        Op::None => Layer::None,
        Op::MaxPool3 => pool(b, Pool::Max),
        Op::AvgPool3 => pool(b, Pool::Average),
        Op::Skip if stride == 1 => Layer::Skip,
        Op::Skip => Layer::Reduce(Reduce::new(b, name, [c, c], style)),
        Op::Sep3 => separable(b, Geometry::same(3), Some(Geometry::same(3))),
        Op::Sep5 => separable(b, Geometry::same(5), Some(Geometry::same(5))),
        Op::Dil3 => separable(b, Geometry::dilated(3, 2), None),
        Op::Dil5 => separable(b, Geometry::dilated(5, 2), None),
        Op::Bad(op) => Layer::Bad(Bad::new(b, name, op, (c, stride), style)),
    }
}

/// The classifier behind the second reduction cell, for maps of 8x8 to 10x10: ReLU, average pooling
/// 5x5 of stride 3, 1x1 convolution to 128 channels, 2x2 convolution to 768, linear.
#[derive(Clone, Debug)]
pub struct AuxiliaryHead {
    convs: [(Conv, BatchNorm); 2],
    linear: Linear,
}

impl AuxiliaryHead {
    /// For maps of `channels` channels. Names begin with `auxiliary_head`.
    pub fn new(b: &mut Builder<'_>, channels: usize, classes: usize) -> Self {
        let name = "auxiliary_head";
        let mut conv_norm = |i: usize, c_in: usize, c_out: usize, kernel: usize| {
            // The 2x2 convolution is without padding; on the pool's maps of 2x2 it is a matrix
            // product, and done as such.
            let geometry = Geometry {
                padding: 0,
                ..Geometry::same(kernel)
            };
            (
                b.conv(&format!("{name}.features.{i}"), c_in, c_out, geometry),
                b.norm(&format!("{name}.features.{}", i + 1), c_out),
            )
        };
        let convs = [conv_norm(2, channels, 128, 1), conv_norm(5, 128, 768, 2)];
        let linear = b.linear(&format!("{name}.classifier"), 768, classes);
        Self { convs, linear }
    }

    /// Logits `[n, classes]`.
    pub fn forward(&self, pass: &Pass<'_>, x: Tensor<4>) -> Tensor<2> {
        let [(point, first), (two, second)] = &self.convs;
        let n = x.dims()[0];
        let options = AvgPoolOptions::new([5, 5]).with_stride([3, 3]);
        let x = module::avg_pool2d(pass.relu(x), options);
        let x = first.forward(pass, point.forward(pass, x), true);
        let weight = pass.get(two.weight()).reshape([768, 4 * 128]);
        let x = ops::matmul(pass.engine, x.reshape([n, 4 * 128]), weight.transpose());
        let x = second.forward(pass, x.reshape([n, 768, 1, 1]), true);
        self.linear.forward(pass, x.reshape([n, 768]))
    }
}

/// Stem, cells and classifiers.
#[derive(Clone, Debug)]
struct Body {
    stem: (Conv, BatchNorm),
    cells: Vec<Cell>,
    head: Linear,
    /// Behind which cell it stands, and the head.
    auxiliary: Option<(usize, AuxiliaryHead)>,
}

impl Body {
    fn new(
        b: &mut Builder<'_>,
        shape: &darts::Network,
        mut cell: impl FnMut(&mut Builder<'_>, &str, &CellShape) -> Cell,
    ) -> Self {
        let [c_in, ..] = shape.input;
        let wide = 3 * shape.channels;
        let stem = (
            b.conv("stem.0", c_in, wide, Geometry::same(3)),
            b.norm("stem.1", wide),
        );
        let shapes = shape.cells();
        let mut cells = Vec::with_capacity(shapes.len());
        let mut auxiliary = None;
        for (i, cell_shape) in shapes.iter().enumerate() {
            cells.push(cell(b, &format!("cells.{i}"), cell_shape));
            if shape.auxiliary && i == shape.auxiliary_cell() {
                let channels = 4 * cell_shape.channels;
                auxiliary = Some((i, AuxiliaryHead::new(b, channels, shape.classes)));
            }
        }
        let last = shapes.last().map_or(wide, |cell| 4 * cell.channels);
        Self {
            stem,
            cells,
            head: b.linear("classifier", last, shape.classes),
            auxiliary,
        }
    }

    /// Logits, and those of the auxiliary head in training. `join` by whether a cell is a reduction
    /// cell.
    fn forward<'m>(
        &self,
        pass: &Pass<'_>,
        x: Tensor<4>,
        join: impl Fn(bool) -> Join<'m>,
    ) -> (Tensor<2>, Option<Tensor<2>>) {
        let (conv, norm) = &self.stem;
        let output = |map| Rc::new(Source::new(pass, map, 2));
        let stem = output(norm.forward(pass, conv.forward(pass, x), false));
        let (mut before, mut last, mut auxiliary) = (stem.clone(), stem, None);
        for (i, cell) in self.cells.iter().enumerate() {
            let join = Join {
                cell: i,
                ..join(cell.reduction)
            };
            let next = output(cell.forward(pass, [&before, &last], join));
            (before, last) = (last, next);
            if let (Some((at, head)), Mode::Train(_)) = (&self.auxiliary, pass.mode())
                && *at == i
            {
                auxiliary = Some(head.forward(pass, last.map()));
            }
        }
        let logits = self.head.forward(pass, ops::global_average(last.map()));
        (logits, auxiliary)
    }
}

/// What a training of a genotype's network adds to the loss of its logits. By default nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Regularisation {
    /// Drop-path probability that would be reached after the last epoch, linearly from 0; below 1.
    pub drop_path: f64,
    /// Weight of the auxiliary head's loss, of a network that has the head.
    pub auxiliary_weight: f64,
}

impl Regularisation {
    /// Drop-path probability in an epoch, from 0: `drop_path * epoch / epochs`, as in the published
    /// code.
    pub fn drop_path(self, epoch: usize, epochs: usize) -> f64 {
        self.drop_path * epoch as f64 / epochs as f64
    }
}

/// The network of a genotype.
#[derive(Clone, Debug)]
pub struct CellNetwork {
    body: Body,
    regularisation: Regularisation,
    drop_path: f32,
}

impl CellNetwork {
    /// The network of `shape` with the cells of `genotype`. Initial weights are drawn from streams
    /// keyed by `seed`, `network` and their name; the published code begins with [`Init::Torch`].
    pub fn new(
        genotype: &Genotype,
        shape: &darts::Network,
        init: Init,
        (seed, network): (u64, &str),
    ) -> Result<(Self, State), SpaceError> {
        shape.check()?;
        let style = Style {
            affine: true,
            behind_pools: false,
            copies: 1,
        };
        let mut b = Builder::new(seed, network, init);
        let body = Body::new(&mut b, shape, |b, name, shape| {
            let cell = match shape.reduction {
                true => genotype.reduce,
                false => genotype.normal,
            };
            let edges = cell.edges().iter().enumerate();
            let edges = edges.map(|(k, edge)| (k / 2, edge.input, vec![edge.op]));
            Cell::new(b, name, shape, style, edges, |k, _| format!("_ops.{k}"))
        });
        let network = Self {
            body,
            regularisation: Regularisation::default(),
            drop_path: 0.0,
        };
        Ok((network, b.finish()))
    }

    /// The same network, whose trainings are regularised so.
    pub fn regularised(self, regularisation: Regularisation) -> Self {
        Self {
            regularisation,
            ..self
        }
    }

    /// Logits `[n, classes]`, and those of the auxiliary head if the network has one and the pass
    /// trains. Drop path of probability `drop_path` acts on every op but skips of stride 1, in
    /// training; its place is the number of the cell times 8 plus that of the edge.
    pub fn forward(
        &self,
        pass: &Pass<'_>,
        x: Tensor<4>,
        drop_path: f32,
    ) -> (Tensor<2>, Option<Tensor<2>>) {
        self.body.forward(pass, x, |_| Join {
            drop_path,
            ..Join::default()
        })
    }
}

impl Network for CellNetwork {
    fn logits(&self, pass: &Pass<'_>, x: Tensor<4>) -> Tensor<2> {
        self.forward(pass, x, self.drop_path).0
    }

    /// With that of the auxiliary head, times its weight.
    fn loss(&self, pass: &Pass<'_>, x: Tensor<4>, labels: Labels) -> (Tensor<1>, Tensor<2>) {
        let (logits, auxiliary) = self.forward(pass, x, self.drop_path);
        let loss = ops::cross_entropy(logits.clone(), labels.clone());
        let loss = match auxiliary {
            Some(auxiliary) => {
                let weight = self.regularisation.auxiliary_weight;
                loss + ops::cross_entropy(auxiliary, labels) * weight
            }
            None => loss,
        };
        (loss, logits)
    }

    fn set_epoch(&mut self, epoch: usize, epochs: usize) {
        self.drop_path = self.regularisation.drop_path(epoch, epochs) as f32;
    }
}

/// The supernet of P-DARTS, and of DARTS if all edges have all ops.
#[derive(Clone, Debug)]
pub struct DartsSupernet(Body);

impl DartsSupernet {
    /// The supernet of `shape` with these ops on the 14 edges of normal and reduction cells. Initial
    /// weights as in [`CellNetwork::new`].
    ///
    /// # Errors
    /// A shape that cannot be built, candidates for another number of edges.
    pub fn new(
        [normal, reduce]: [&Candidates; 2],
        shape: &darts::Network,
        init: Init,
        (seed, network): (u64, &str),
    ) -> Result<(Self, State), SpaceError> {
        shape.check()?;
        for ops in [normal, reduce] {
            if ops.len() != EDGES {
                return Err(SpaceError::Network {
                    what: "number of a cell's edges with ops",
                    found: ops.len().to_string(),
                    expected: format!("{EDGES}, one list of ops for each edge"),
                });
            }
        }
        let style = Style {
            affine: false,
            behind_pools: true,
            copies: 1,
        };
        let mut b = Builder::new(seed, network, init);
        let body = Body::new(&mut b, shape, |b, name, shape| {
            let ops = if shape.reduction { reduce } else { normal };
            let edges = (0..NODES).flat_map(|node| (0..node + 2).map(move |i| (node, i)));
            let edges = edges.map(|(node, input)| {
                let ops = ops[edge_index(node, input)].clone();
                (node, input, ops)
            });
            let named = |e: usize, o: usize| format!("cell_ops.{e}.m_ops.{o}");
            Cell::new(b, name, shape, style, edges, named)
        });
        Ok((Self(body), b.finish()))
    }
}

impl Supernet for DartsSupernet {
    /// `mixes`: of normal and of reduction cells. Dropout's place is the number of the cell times 14
    /// plus that of the edge.
    fn mixed(&self, pass: &Pass<'_>, x: Tensor<4>, mixes: &[Mix], skip_dropout: f32) -> Tensor<2> {
        let join = |reduction: bool| Join {
            mix: mixes.get(usize::from(reduction)),
            skip_dropout,
            ..Join::default()
        };
        self.0.forward(pass, x, join).0
    }
}
