//! Convolutions in a row, with batch norm and ReLU between them, as one op.
//!
//! Apart, each would write its map and read it again. Here a convolution measures its output's mean
//! and variance while a tile is in cache, the next one normalises what it reads, and on the way back
//! the gradient of a batch norm is made by the convolution that reads it. A map between two
//! convolutions is written once and its gradient once. The values are those of the ops apart, bit for bit.

use super::conv::{self, Behind, Geometry, Gradient, Sizes, Source, Through};
use super::norm::{self, Channel, Stats, Totals};
use super::room::Lent;

/// One convolution of a chain, what comes before it and what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// ReLU before the convolution.
    pub relu: bool,
    /// The convolution.
    pub conv: Geometry,
    /// Batch norm behind it, with ReLU if true.
    pub norm: Option<bool>,
}

impl Link {
    /// Number of weights that it has: that of the convolution, gamma and beta.
    pub fn weights(self) -> usize {
        if self.norm.is_some() { 3 } else { 1 }
    }
}

/// What the backward pass needs of a forward pass.
#[derive(Debug)]
pub struct Kept {
    /// The output of every convolution; none of a last one without batch norm.
    maps: Vec<Lent>,
    /// The batch norm behind each; empty if there is none.
    norms: Vec<Vec<Channel>>,
    /// What each batch norm measured, in their order.
    pub measured: Vec<Stats>,
}

/// The chain's output, and what backward needs if that is to be kept. `sizes`: of every convolution;
/// `weights`: of all links, of which there is at least one, in order.
pub fn forward(
    x: &[f32],
    links: &[Link],
    sizes: &[Sizes],
    weights: &[&[f32]],
    eps: f32,
    keep: bool,
) -> (Vec<f32>, Kept) {
    let mut kept = Kept {
        maps: Vec::new(),
        norms: Vec::new(),
        measured: Vec::new(),
    };
    let mut rest = weights;
    for (i, (link, s)) in links.iter().zip(sizes).enumerate() {
        let (now, later) = rest.split_at(link.weights());
        rest = later;
        let source = kept.source(x, links, i);
        let measure = link.norm.is_some();
        let (map, moments) = conv::forward(source, now[0], link.conv, *s, measure);
        if let Some(before) = kept.maps.last_mut().filter(|_| !keep) {
            *before = Lent(Vec::new());
        }
        kept.maps.push(Lent(map));
        kept.norms.push(match link.norm {
            Some(relu) => {
                let stats = norm::join(&moments, plane(link, *s));
                // A ReLU before the next convolution is one behind this batch norm.
                let relu = relu || links.get(i + 1).is_some_and(|next| next.relu);
                let channels = Channel::all(&stats, now[1], now[2], eps, relu);
                kept.measured.push(stats);
                channels
            }
            None => Vec::new(),
        });
    }
    let (last, s) = (links[links.len() - 1], sizes[sizes.len() - 1]);
    let map = kept.maps.len() - 1;
    let out = match last.norm {
        None => kept.maps.remove(map).into_values(),
        Some(_) => norm::forward(&kept.maps[map].0, &kept.norms[map], plane(&last, s)),
    };
    (out, kept)
}

impl Kept {
    /// What convolution `i` reads.
    fn source<'a>(&'a self, x: &'a [f32], links: &[Link], i: usize) -> Source<'a> {
        let before = i.checked_sub(1);
        let map = before.map_or(x, |before| &self.maps[before].0);
        let norm = before.map_or(&[][..], |before| self.norms[before].as_slice());
        let through = match (norm.is_empty(), links[i].relu) {
            (false, _) => Through::Norm(norm),
            (true, true) => Through::Relu,
            (true, false) => Through::Nothing,
        };
        Source { map, through }
    }
}

/// The output map of a link.
fn plane(link: &Link, s: Sizes) -> norm::Sizes {
    let (h, w) = s.out(link.conv);
    norm::Sizes {
        n: s.n,
        c: s.c_out,
        plane: h * w,
    }
}

/// The gradients by `x`, if it is wanted, and by all weights, in order; those by the convolutions' are
/// empty unless they are wanted.
pub fn backward(
    x: &[f32],
    links: &[Link],
    sizes: &[Sizes],
    weights: &[&[f32]],
    kept: &Kept,
    dy: &[f32],
    (by_input, by_weight): (bool, bool),
) -> (Option<Vec<f32>>, Vec<Vec<f32>>) {
    let mut gradients: Vec<Vec<f32>> = Vec::new();
    // That of the output of the link before the last one done, and what its batch norm needs of it.
    let mut above: Option<(Lent, Vec<[f64; 2]>)> = None;
    let mut end = weights.len();
    for (i, (link, s)) in links.iter().zip(sizes).enumerate().rev() {
        let first = end - link.weights();
        let weight = weights[first];
        end = first;
        let map = above.as_ref().map_or(dy, |(map, _)| &map.0);
        let out = plane(link, *s);
        let totals = link.norm.map(|_| match &above {
            Some((_, sums)) => Totals::of(sums, out),
            None => norm::totals(&kept.maps[i].0, dy, &kept.norms[i], out),
        });
        let norm = totals.as_ref().map(|totals| Behind {
            y: &kept.maps[i].0,
            channels: &kept.norms[i],
            means: &totals.means,
        });
        let gradient = Gradient { map, norm };
        let source = kept.source(x, links, i);
        let wanted = (i > 0 || by_input, by_weight);
        let made = conv::gradients(source, gradient, weight, link.conv, *s, wanted);
        if let Some(totals) = totals {
            gradients.extend([totals.beta, totals.gamma]);
        }
        gradients.push(made.weight);
        above = made.input.map(|map| (Lent(map), made.sums));
    }
    gradients.reverse();
    let dx = above.map(|(map, _)| map.into_values());
    (dx.filter(|_| by_input), gradients)
}
