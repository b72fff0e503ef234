//! Networks of the cell spaces, as layers over [`tox_nn`]: supernets, in which every edge holds
//! several ops, and the networks of a found cell.
//!
//! A network is a description; its numbers are a [`tox_nn::layers::State`] whose names are those of
//! the published PyTorch code, so that weights can be exchanged. [`darts`] has the networks of
//! DARTS and P-DARTS, [`nasbench201`] those of NAS-Bench-201; a [`CellSupernet`]
//! and a [`GenotypeNetwork`] are of either.
//!
//! An op on an edge is a published one, or a bad op ([`crate::space::bad`]); branches of the same bad op
//! share one layer.
//!
//! In a supernet an edge's ops are added up, each times its weight in a [`Mix`]. The multiplication
//! costs nothing where an op ends in a batch norm: there it is that norm's scale, and the gradient
//! of the weight is that of gamma. What the ops that read one state have in common before their
//! own weights (pooling, the pixels of a factorised reduction) is computed once.

mod bad;
pub mod darts;
mod genotype;
pub mod nasbench201;
pub(crate) mod ops;
pub(crate) mod parts;

pub use genotype::GenotypeNetwork;

use crate::space::cells::CellSpace;
use crate::space::{self, PoisonedSpace, SpaceError};
use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use tox_nn::layers::{Init, Pass, State};

/// The weights of the ops on every edge of one kind of cell.
#[derive(Clone, Debug)]
pub struct Mix(Vec<Vec<Option<Tensor<4>>>>);

impl Mix {
    /// The softmax over each edge's ops of `alphas`, `[edges, ops]`. Gradients reach `alphas`.
    pub fn softmax(alphas: Tensor<2>) -> Self {
        let [edges, ops] = alphas.dims();
        let weights = softmax(alphas, 1);
        let weight = |edge: usize, op: usize| {
            let one = weights.clone().slice([edge..edge + 1, op..op + 1]);
            Some(one.reshape([1, 1, 1, 1]))
        };
        let edge = |edge| (0..ops).map(|op| weight(edge, op)).collect();
        Self((0..edges).map(edge).collect())
    }

    /// Given weights. An op without one is left out; it is not even computed.
    pub fn given(weights: &[Vec<Option<f32>>], pass: &Pass<'_>) -> Self {
        let tensor = |w: f32| Tensor::full([1, 1, 1, 1], w, pass.device());
        let edge = |ops: &Vec<Option<f32>>| ops.iter().map(|w| w.map(tensor)).collect();
        Self(weights.iter().map(edge).collect())
    }

    /// The sum of the weights of an edge's ops in these places; `None` if none has one.
    fn get(&self, edge: usize, places: &[usize]) -> Option<Tensor<4>> {
        let ops = self.0.get(edge)?;
        let weights = places.iter().filter_map(|place| ops.get(*place)?.clone());
        weights.reduce(|sum, weight| sum + weight)
    }
}

/// A supernet: what a differentiable search needs to know of one.
pub trait Supernet {
    /// Logits `[n, classes]` for images `x` `[n, c, h, w]`, with one mix for every kind of cell and
    /// dropout of probability `skip_dropout` on the skip-connects that are identities.
    fn mixed(&self, pass: &Pass<'_>, x: Tensor<4>, mixes: &[Mix], skip_dropout: f32) -> Tensor<2>;
}

/// A supernet of either space.
#[derive(Clone, Debug)]
pub enum CellSupernet {
    Darts(darts::DartsSupernet),
    NasBench201(nasbench201::Nb201Supernet),
}

/// The size of a supernet, or of the network of a genotype.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SupernetShape {
    /// Channels of a node of the first cell.
    pub channels: usize,
    /// Cells; in NAS-Bench-201 those of each of three stages.
    pub cells: usize,
    pub classes: usize,
    /// Channels, height and width of an image; sizes are multiples of 4.
    pub input: [usize; 3],
}

impl CellSupernet {
    /// The supernet with these ops, by their numbers among [`PoisonedSpace::ops`], on the edges of each
    /// kind of cell. Batch norms of ops
    /// are without gamma and beta; initial weights are PyTorch's, from streams keyed by `seed`,
    /// `network` and their name.
    ///
    /// # Errors
    /// A shape that cannot be built, candidates for another number of edges.
    pub fn new(
        space: impl Into<PoisonedSpace>,
        candidates: &[Vec<Vec<usize>>],
        shape: SupernetShape,
        key: (u64, &str),
    ) -> Result<(Self, State), SpaceError> {
        let of = |kind: usize| candidates.get(kind).map_or(&[][..], Vec::as_slice);
        let space = space.into();
        match space.space {
            CellSpace::Darts => {
                let ops = space.with(&space::darts::Op::ALL);
                let [normal, reduce] = [0, 1].map(|kind| named(of(kind), &ops));
                let shape = shape.darts(false);
                let made = darts::DartsSupernet::new([&normal, &reduce], &shape, Init::Torch, key)?;
                Ok((Self::Darts(made.0), made.1))
            }
            CellSpace::NasBench201 => {
                let ops = named(of(0), &space.with(&space::nasbench201::Op::ALL));
                let shape = shape.nasbench201();
                let made = nasbench201::Nb201Supernet::new(&ops, false, &shape, Init::Torch, key)?;
                Ok((Self::NasBench201(made.0), made.1))
            }
        }
    }
}

/// Ops by their numbers; unknown ones are left out.
fn named<T: Copy>(edges: &[Vec<usize>], all: &[T]) -> Vec<Vec<T>> {
    let edge = |ops: &Vec<usize>| ops.iter().filter_map(|op| all.get(*op).copied()).collect();
    edges.iter().map(edge).collect()
}

impl Supernet for CellSupernet {
    fn mixed(&self, pass: &Pass<'_>, x: Tensor<4>, mixes: &[Mix], skip_dropout: f32) -> Tensor<2> {
        match self {
            Self::Darts(net) => net.mixed(pass, x, mixes, skip_dropout),
            Self::NasBench201(net) => net.mixed(pass, x, mixes, skip_dropout),
        }
    }
}
