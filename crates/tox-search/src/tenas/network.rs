//! The supernets that TE-NAS scores, several copies of one side by side.
//!
//! | | DARTS space | NAS-Bench-201 |
//! |---|---|---|
//! | stem | 3x3 convolution to C channels, batch norm | the same |
//! | cells | a normal one of C and a reduction cell of 2C channels | 3 stages of one cell, residual blocks between |
//! | batch norm | with gamma and beta, none behind pools | the same |
//! | head | batch norm, ReLU, global average, linear | the same |
//! | kernel | C 1 | C 3 |
//! | regions | C 1, no stem: the crops are state 0 and 1 | C 1, the first cell, no stem |
//!
//! Copies share nothing: each has channels, and so batch norms, of its own. Convolutions go over all
//! of them as groups.

use super::left::{DARTS, Left};
use crate::cell::Mix;
use crate::cell::darts::Cell;
use crate::cell::nasbench201::{Block, blocks, mixed_cell};
use crate::cell::ops::Join;
use crate::cell::parts::{Source, Style};
use crate::space::PoisonedSpace;
use crate::space::cells::CellSpace;
use crate::space::darts::{CellShape, NODES, Op};
use crate::space::nasbench201;
use burn::tensor::Tensor;
use std::rc::Rc;
use tox_nn::kernels::conv::Geometry;
use tox_nn::layers::{BatchNorm, Builder, Conv, Fan, Init, Pass, State};
use tox_nn::ops;
use tox_nn::params::ParamId;

/// Which of a space's two networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Score {
    /// That of the kernel: begins Kaiming normal by fan-out.
    Kernel,
    /// That of the linear regions: begins Kaiming normal by fan-in.
    Regions,
}

#[derive(Clone, Debug)]
enum Body {
    Darts(Vec<Cell>),
    NasBench201(Vec<Block>),
}

/// A supernet.
#[derive(Clone, Debug)]
pub struct Supernet {
    space: PoisonedSpace,
    copies: usize,
    classes: usize,
    stem: Option<(Conv, BatchNorm)>,
    body: Body,
    last: BatchNorm,
    head: (ParamId, ParamId),
}

impl Supernet {
    /// For images of `channels` channels; the network of the regions is always given one. Weights
    /// are drawn from streams keyed by `seed`, `network` and their name.
    pub fn new(
        space: impl Into<PoisonedSpace>,
        score: Score,
        (channels, classes): (usize, usize),
        copies: usize,
        (seed, network): (u64, &str),
    ) -> (Self, State) {
        let space = space.into();
        let fan = match score {
            Score::Kernel => Fan::Out,
            Score::Regions => Fan::In,
        };
        let style = Style {
            affine: true,
            behind_pools: false,
            copies,
        };
        let c = match (space.space, score) {
            (CellSpace::NasBench201, Score::Kernel) => 3,
            (CellSpace::NasBench201, Score::Regions) | (CellSpace::Darts, _) => 1,
        };
        let mut b = Builder::new(seed, network, Init::KaimingNormal(fan));
        b.linear_init = b.conv_init;
        let stem = (score == Score::Kernel).then(|| {
            (
                style.conv(&mut b, "stem.0", channels, c, Geometry::same(3)),
                style.norm(&mut b, "stem.1", c),
            )
        });
        let (body, last) = match space.space {
            CellSpace::Darts => {
                let ops = space.with(&DARTS);
                (Body::Darts(darts_cells(&mut b, c, style, &ops)), 8 * c)
            }
            CellSpace::NasBench201 => {
                let all = vec![space.with(&nasbench201::Op::ALL); nasbench201::EDGES];
                let cell = |b: &mut Builder<'_>, name: &str, c| mixed_cell(b, name, c, &all, style);
                match score {
                    Score::Kernel => {
                        let blocks = blocks(&mut b, (c, 1), style, cell);
                        (Body::NasBench201(blocks), 4 * c)
                    }
                    Score::Regions => {
                        let first = Block::Cell(cell(&mut b, "cells.0", c));
                        (Body::NasBench201(vec![first]), c)
                    }
                }
            }
        };
        let last_norm = style.norm(&mut b, "lastact.0", last);
        let head = b.linear("classifier", last, copies * classes);
        let net = Self {
            space,
            copies,
            classes,
            stem,
            body,
            last: last_norm,
            head: (head.weight(), head.bias()),
        };
        (net, b.finish())
    }

    /// The numbers of all copies, each those of `one`, a network of one copy.
    pub fn widen(&self, wide: &mut State, one: &State) {
        for (to, from) in wide
            .params
            .entries()
            .to_vec()
            .iter()
            .zip(one.params.entries())
        {
            let from = &one.params.values[from.range()];
            let to = wide.params.values[to.range()].chunks_exact_mut(from.len().max(1));
            to.for_each(|to| to.copy_from_slice(from));
        }
    }

    /// Logits `[copies, n, classes]` of images `x`, `[n, copies * channels, h, w]`.
    pub fn logits(&self, pass: &Pass<'_>, x: Tensor<4>, left: &Left) -> Tensor<3> {
        let x = match &self.stem {
            Some((conv, norm)) => norm.forward(pass, conv.forward(pass, x), false),
            None => x,
        };
        let weights = left.weights(&self.space);
        let mixes: Vec<Mix> = weights.iter().map(|w| Mix::given(w, pass)).collect();
        let join = |kind: usize| Join {
            mix: mixes.get(kind),
            ..Join::default()
        };
        let x = match &self.body {
            Body::Darts(cells) => {
                let output = |map| Rc::new(Source::new(pass, map, 2));
                let mut last = output(x);
                let mut before = last.clone();
                for cell in cells {
                    let join = join(usize::from(cell.is_reduction()));
                    let next = output(cell.forward(pass, [&before, &last], join));
                    (before, last) = (last, next);
                }
                last.map()
            }
            Body::NasBench201(blocks) => {
                let blocks = blocks.iter().enumerate();
                blocks.fold(x, |x, (i, block)| block.forward(pass, x, (i, join(0))))
            }
        };
        let x = ops::global_average(self.last.forward(pass, x, true));
        let ([n, channels], s) = (x.dims(), self.copies);
        let x = x.reshape([n, s, channels / s]).swap_dims(0, 1);
        let weight = pass.get(self.head.0);
        let weight = weight.reshape([s, self.classes, channels / s]);
        let bias = pass.get(self.head.1).reshape([s, 1, self.classes]);
        ops::matmul(pass.engine, x, weight.swap_dims(1, 2)) + bias
    }
}

/// A normal and a reduction cell, all ops on all edges.
fn darts_cells(b: &mut Builder<'_>, c: usize, style: Style, ops: &[Op]) -> Vec<Cell> {
    let shape = |i: usize| CellShape {
        inputs: [[c, c], [c, 4 * c]][i],
        channels: c * (1 + i),
        reduction: i == 1,
        after_reduction: false,
        // Of no use here: the cells take maps of any size.
        input_size: [0; 2],
        output_size: [0; 2],
    };
    let cell = |i: usize| {
        let edges = (0..NODES).flat_map(|node| (0..node + 2).map(move |input| (node, input)));
        let ends: Vec<_> = edges.collect();
        let edges = ends
            .iter()
            .map(|(node, input)| (*node, *input, ops.to_vec()));
        let named = |e: usize, o: usize| {
            let (node, input) = ends[e];
            format!("edges.{node}<-{input}._ops.{o}")
        };
        Cell::new(b, &format!("cells.{i}"), &shape(i), style, edges, named)
    };
    [0, 1].map(cell).into()
}
