//! The ops of the cell spaces, and the graph of a cell.

use super::Mix;
use super::bad::Bad;
use super::parts::{Convs, Reduce, Source};
use crate::space::bad::CellOp;
use burn::tensor::Tensor;
use tox_nn::kernels::pool::Pool;
use tox_nn::layers::BatchNorm;

/// An op and its weights.
#[derive(Clone, Debug)]
pub(crate) enum Layer {
    /// Zeros.
    None,
    Skip,
    /// Pooling 3x3, with a batch norm behind it or without.
    Pool(Pool, Option<BatchNorm>),
    /// The skip-connect of stride 2.
    Reduce(Reduce),
    Convs(Convs),
    Bad(Bad),
}

impl Layer {
    /// What it makes of a source, times `scale`. Nothing for zeros.
    fn forward(
        &self,
        source: &Source<'_>,
        scale: Option<&Tensor<4>>,
        (skip_dropout, place): (f32, u64),
    ) -> Option<Tensor<4>> {
        let times = |x: Tensor<4>| match scale {
            Some(scale) => x * scale.clone(),
            None => x,
        };
        let pass = source.pass();
        Some(match self {
            Layer::None => return None,
            Layer::Skip => times(pass.dropout(source.map(), skip_dropout, place)),
            Layer::Pool(kind, None) => times(source.pooled(*kind)),
            Layer::Pool(kind, Some(norm)) => {
                norm.forward_scaled(pass, source.pooled(*kind), false, scale)
            }
            Layer::Reduce(reduce) => reduce.forward(source, scale),
            Layer::Convs(convs) => convs.forward(pass, source.map(), scale),
            Layer::Bad(bad) => times(bad.forward(source, place)),
        })
    }
}

/// What reads state `input` and adds to node `node`.
#[derive(Clone, Debug)]
pub(crate) struct Edge {
    /// From 0; its state has the number of the cell's inputs plus this.
    pub node: usize,
    /// The state.
    pub input: usize,
    /// One op, or those that a mix weighs, each with the places of its weights in the mix.
    ops: Vec<(Layer, Vec<usize>)>,
}

impl Edge {
    /// The edge with these ops, whose layers `layer` makes of a place and an op. Branches of the same
    /// bad op share one layer.
    pub fn new<T: CellOp>(
        (node, input): (usize, usize),
        ops: &[T],
        mut layer: impl FnMut(usize, T) -> Layer,
    ) -> Self {
        let mut made: Vec<(T, Layer, Vec<usize>)> = Vec::new();
        for (place, op) in ops.iter().enumerate() {
            let same = made.iter_mut();
            let mut same = same.filter(|(other, ..)| op.bad().is_some() && other == op);
            match same.next() {
                Some((_, _, places)) => places.push(place),
                None => made.push((*op, layer(place, *op), vec![place])),
            }
        }
        let ops = made.into_iter().map(|(_, layer, places)| (layer, places));
        Self {
            node,
            input,
            ops: ops.collect(),
        }
    }
}

/// How the ops of a cell are joined.
#[derive(Clone, Copy, Default)]
pub(crate) struct Join<'m> {
    /// Weights of the ops; without, all are added up as they are.
    pub mix: Option<&'m Mix>,
    /// Dropout on skips that are identities.
    pub skip_dropout: f32,
    /// Drop path on all other ops.
    pub drop_path: f32,
    /// Number of the cell: it and the edge tell one draw from another.
    pub cell: usize,
}

/// Maps side by side, those of a copy together.
pub(crate) fn side_by_side(maps: Vec<Tensor<4>>, copies: usize) -> Tensor<4> {
    if copies == 1 {
        return Tensor::cat(maps, 1);
    }
    let (count, [n, c, h, w]) = (maps.len(), maps[0].dims());
    let split = maps.into_iter();
    let split = split.map(|map| map.reshape([n, copies, c / copies, h * w]));
    Tensor::cat(split.collect(), 2).reshape([n, count * c, h, w])
}

/// The maps of all nodes. `edges` are in the order of nodes, which are at least one.
pub(crate) fn nodes<'p>(
    edges: &[Edge],
    mut sources: Vec<Source<'p>>,
    join: Join<'_>,
) -> Vec<Tensor<4>> {
    let (pass, shape) = (sources[0].pass(), sources[0].shape());
    let count = edges.last().map_or(0, |edge| edge.node + 1);
    let mut maps = Vec::with_capacity(count);
    for node in 0..count {
        let mut sum: Option<Tensor<4>> = None;
        for (e, edge) in edges.iter().enumerate().filter(|(_, e)| e.node == node) {
            let place = (join.cell * edges.len() + e) as u64;
            for (op, places) in &edge.ops {
                let scale = join.mix.map(|mix| mix.get(e, places));
                let Some(scale) = scale.map_or(Some(None), |s| s.map(Some)) else {
                    continue;
                };
                let draw = (join.skip_dropout, place);
                let scale = scale.as_ref();
                let Some(mut y) = op.forward(&sources[edge.input], scale, draw) else {
                    continue;
                };
                if !matches!(op, Layer::Skip) {
                    y = pass.drop_path(y, join.drop_path, place);
                }
                sum = Some(match sum {
                    Some(sum) => sum + y,
                    None => y,
                });
            }
        }
        let map = sum.unwrap_or_else(|| Tensor::zeros(shape, pass.device()));
        sources.push(Source::new(pass, map.clone(), 1));
        maps.push(map);
    }
    maps
}
