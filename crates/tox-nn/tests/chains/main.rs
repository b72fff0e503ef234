//! Ops that are made of others (chains, normalised sums) against those, and what holds for all kernels:
//! threads change nothing, buffers that are used again do not show, gradients that nobody asks for are
//! not missed.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Clippy knows test functions, not their helpers.

mod cases;
mod computed;

#[path = "../support/mod.rs"]
mod support;

use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use support::{
    Array, assert_close, differentiate, engines, geometries, instruction_sets, naive_conv, read,
    rng, side, widen,
};
use tox_nn::kernels::chain::{Around, Block, Link};
use tox_nn::kernels::conv::Geometry;
use tox_nn::kernels::pool::Pool;
use tox_nn::ops::{self, Engine};

/// What a chain is tested with: a list of links, and how many channels each convolution makes.
fn chains(c: usize) -> Vec<(Vec<Link>, Vec<usize>)> {
    let link = |conv, norm| Link {
        relu: false,
        conv,
        norm,
    };
    let point = link(Geometry::same(1), Some(true));
    let mut all = vec![
        (vec![link(Geometry::same(3), Some(false))], vec![5]),
        (
            vec![link(Geometry::same(1).groups(c), Some(false))],
            vec![c],
        ),
        (
            vec![
                point,
                link(Geometry::same(5).groups(c), None),
                link(Geometry::same(1), Some(true)),
            ],
            vec![c, c, 7],
        ),
        // No batch norm behind the last one.
        (vec![point, link(Geometry::same(3), None)], vec![4, 3]),
        (vec![link(Geometry::same(3), None)], vec![3]),
    ];
    let second = geometries().into_iter();
    all.extend(second.map(|g| (vec![point, link(g, Some(true))], vec![c, 6])));
    // Separable convolutions of cells: ReLU first, and on what no batch norm made.
    let relu = |link: Link| Link { relu: true, ..link };
    for stride in [1, 2] {
        all.push((
            vec![
                relu(link(Geometry::same(3).groups(c).stride(stride), None)),
                link(Geometry::same(1), Some(false)),
                relu(link(Geometry::dilated(5, 2).groups(c), None)),
                relu(point),
            ],
            vec![c, c, c, 5],
        ));
    }
    all.push((
        vec![
            link(Geometry::same(3).stride(2), Some(true)),
            link(Geometry::same(3), Some(false)),
            point,
        ],
        vec![9, 2, 12],
    ));
    all
}

/// Blocks to test: what leads, the links, what goes around; and channels out of all convolutions.
fn blocks(c: usize) -> Vec<(Block, Vec<usize>)> {
    let link = |relu, k, stride, norm| Link {
        relu,
        conv: Geometry::same(k).stride(stride).winograd(),
        norm,
    };
    // A pre-activation block: BN, ReLU, 3x3, BN, ReLU, 3x3.
    let pair = |relu, stride| vec![link(relu, 3, stride, Some(false)), link(true, 3, 1, None)];
    let block = |lead, links, around| Block {
        lead,
        links,
        around,
        given: None,
    };
    let one = |stride| Around::Conv(Geometry::same(1).stride(stride));
    vec![
        (block(true, pair(true, 1), Around::Input), vec![c, c]),
        (block(true, pair(true, 1), one(1)), vec![19, 17, 17]),
        (block(true, pair(true, 2), one(2)), vec![5, 18, 18]),
        (block(true, pair(false, 1), Around::Nothing), vec![4, 3]),
        (block(false, pair(true, 1), Around::Input), vec![6, c]),
        (block(false, pair(true, 1), one(1)), vec![6, 2, 2]),
        (block(false, pair(false, 1), Around::Input), vec![6, c]),
        (
            block(true, vec![link(true, 1, 1, Some(true))], Around::Nothing),
            vec![7],
        ),
    ]
}

/// A block of ops of the kernels, one after the other.
fn apart(block: &Block, t: &[Tensor<4>]) -> Tensor<4> {
    const KERNELS: Engine = Engine::Kernels;
    let (x, mut weights) = (t[0].clone(), t[1..].iter().cloned());
    let mut given = block.given.iter().flatten();
    let mut next = || weights.next().unwrap();
    let mut norm = |x, gamma, beta, relu| match given.next() {
        Some(given) => ops::batch_norm_given(KERNELS, x, (gamma, beta), given.clone(), relu),
        None => ops::batch_norm(KERNELS, x, gamma, beta, relu),
    };
    let mut y = x.clone();
    if block.lead {
        y = norm(y, next(), next(), false);
    }
    let mut first = None;
    for link in &block.links {
        y = if link.relu { relu(y) } else { y };
        first.get_or_insert(y.clone());
        y = ops::conv(KERNELS, y, next(), link.conv);
        if let Some(relu) = link.norm {
            y = norm(y, next(), next(), relu);
        }
    }
    match block.around {
        Around::Nothing => y,
        Around::Input => y + x,
        Around::Conv(g) => y + ops::conv(KERNELS, first.unwrap(), next(), g),
    }
}

/// A block's weights after an input of `c` channels, and the output's shape.
fn block_inputs(
    block: &Block,
    outs: &[usize],
    [n, c, h, w]: [usize; 4],
) -> (Vec<[usize; 4]>, [usize; 4]) {
    let mut shapes = vec![[n, c, h, w]];
    let norm = |shapes: &mut Vec<_>, c| shapes.extend([[c, 1, 1, 1]; 2]);
    if block.lead {
        norm(&mut shapes, c);
    }
    let (mut ci, mut at) = (c, (h, w));
    for (link, &co) in block.links.iter().zip(outs) {
        let k = link.conv.kernel;
        shapes.push([co, ci, k, k]);
        if link.norm.is_some() {
            norm(&mut shapes, co);
        }
        (ci, at) = (co, side(at, link.conv));
    }
    if let Around::Conv(g) = block.around {
        shapes.push([ci, c, g.kernel, g.kernel]);
    }
    (shapes, [n, ci, at.0, at.1])
}

/// Means and variances for the batch norms of a block.
fn given(block: &Block, outs: &[usize], c: usize) -> Vec<Vec<[f32; 2]>> {
    let links = block.links.iter().zip(outs);
    let behind = links.filter_map(|(link, co)| link.norm.map(|_| *co));
    let norms = block.lead.then_some(c).into_iter().chain(behind);
    let stats = |c| (0..c).map(|i| [0.1 * (i % 5) as f32 - 0.2, 0.5 + 0.3 * (i % 4) as f32]);
    norms.map(|c| stats(c).collect()).collect()
}
