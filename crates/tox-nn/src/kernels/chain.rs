//! Convolutions in a row, with batch norm and ReLU between them, as one op.
//!
//! Apart, each would write its map and read it again. Here a convolution measures its output's mean
//! and variance while a tile is in cache, the next one normalises what it reads, and on the way back
//! the gradient of a batch norm is made by the convolution that reads it. A map between two
//! convolutions is written once and its gradient once. The values are those of the ops apart, bit for bit.
//!
//! A [`Block`] may begin with a batch norm and have a way around its convolutions, as those of residual
//! networks do. Where its batch norms are given mean and variance, as in evaluation, they measure nothing
//! and no gradient goes through either.

use super::buffer_pool::PooledBuffer;
use super::conv::{self, Behind, Geometry, Gradient, Sizes, Source, Through, Wanted};
use super::norm::{self, Channel, Stats, Totals};

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

/// What goes around the convolutions of a [`Block`] and is added to what they make.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Around<C> {
    /// Nothing.
    #[default]
    Nothing,
    /// The block's input.
    Input,
    /// A convolution of what the first convolution reads.
    Conv(C),
}

/// Convolutions in a row, with what goes before and around them. Its weights, in order: gamma and beta of
/// the leading batch norm, those of the links, that of the convolution around them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Block {
    /// Whether it begins with a batch norm; the first link's ReLU is behind it.
    pub lead: bool,
    /// The convolutions, at least one. The last has no batch norm if something goes around them.
    pub links: Vec<Link>,
    /// What goes around them.
    pub around: Around<Geometry>,
    /// Mean and variance of all batch norms, in order, in place of the batch's own.
    pub given: Option<Vec<Stats>>,
}

impl Block {
    /// The links alone.
    pub fn of(links: &[Link]) -> Self {
        Self {
            links: links.to_vec(),
            ..Self::default()
        }
    }

    /// Number of all its weights.
    pub fn weights(&self) -> usize {
        let links: usize = self.links.iter().map(|link| link.weights()).sum();
        let around = matches!(self.around, Around::Conv(_));
        2 * usize::from(self.lead) + links + usize::from(around)
    }

    /// Sizes of every convolution of images `[n, c, h, w]`, that around the others last. `channels`: out,
    /// of the weight with that number.
    pub fn sizes(&self, [n, c, h, w]: [usize; 4], channels: impl Fn(usize) -> usize) -> Vec<Sizes> {
        let size = |weight, c_in, (h, w)| Sizes {
            n,
            c_in,
            c_out: channels(weight),
            h,
            w,
        };
        let mut sizes = Vec::with_capacity(self.links.len() + 1);
        let (mut weight, mut c_in, mut map) = (2 * usize::from(self.lead), c, (h, w));
        for link in &self.links {
            let s = size(weight, c_in, map);
            (weight, c_in, map) = (weight + link.weights(), s.c_out, s.out(link.conv));
            sizes.push(s);
        }
        if let Around::Conv(_) = self.around {
            sizes.push(size(weight, c, (h, w)));
        }
        sizes
    }
}

/// The map that a convolution reads.
fn input(s: Sizes) -> norm::Sizes {
    norm::Sizes {
        n: s.n,
        c: s.c_in,
        plane: s.h * s.w,
    }
}

/// What the backward pass needs of a forward pass.
#[derive(Debug)]
pub struct Kept {
    /// The leading batch norm; empty if there is none.
    lead: Vec<Channel>,
    /// The output of every convolution; none of a last one without batch norm.
    maps: Vec<PooledBuffer>,
    /// The batch norm behind each; empty if there is none.
    norms: Vec<Vec<Channel>>,
    /// What each batch norm measured, in their order; nothing if it was given.
    pub measured: Vec<Stats>,
}

/// The block's output, and what backward needs if that is to be kept. `sizes`: [`Block::sizes`];
/// `weights`: all, in order.
pub fn forward(
    x: &[f32],
    block: &Block,
    sizes: &[Sizes],
    weights: &[&[f32]],
    eps: f32,
    keep: bool,
) -> (Vec<f32>, Kept) {
    let mut kept = Kept {
        lead: Vec::new(),
        maps: Vec::new(),
        norms: Vec::new(),
        measured: Vec::new(),
    };
    let links = &block.links;
    let mut given = block.given.iter().flatten();
    let mut rest = weights;
    if block.lead {
        let (now, later) = rest.split_at(2);
        rest = later;
        let measured = || norm::statistics(x, input(sizes[0]));
        let relu = links[0].relu;
        kept.lead = match given.next() {
            Some(stats) => Channel::all(stats, now[0], now[1], eps, relu),
            None => {
                let stats = measured();
                let channels = Channel::all(&stats, now[0], now[1], eps, relu);
                kept.measured.push(stats);
                channels
            }
        };
    }
    let around = match block.around {
        Around::Conv(g) => {
            let (source, s) = (kept.source(x, links, 0), sizes[links.len()]);
            let weight = weights[weights.len() - 1];
            Some(PooledBuffer(
                conv::forward(source, weight, g, s, (None, false)).0,
            ))
        }
        _ => None,
    };
    let plus = match block.around {
        Around::Input => Some(x),
        _ => around.as_ref().map(|map| map.0.as_slice()),
    };
    for (i, (link, s)) in links.iter().zip(sizes).enumerate() {
        let (now, later) = rest.split_at(link.weights());
        rest = later;
        let source = kept.source(x, links, i);
        let given = link.norm.and_then(|_| given.next());
        let measure = link.norm.is_some() && given.is_none();
        let plus = plus.filter(|_| i + 1 == links.len());
        let (map, moments) = conv::forward(source, now[0], link.conv, *s, (plus, measure));
        if let Some(before) = kept.maps.last_mut().filter(|_| !keep) {
            *before = PooledBuffer(Vec::new());
        }
        kept.maps.push(PooledBuffer(map));
        // A ReLU before the next convolution is one behind this batch norm.
        let relu = |relu| relu || links.get(i + 1).is_some_and(|next| next.relu);
        let channels =
            |stats: &Stats, behind| Channel::all(stats, now[1], now[2], eps, relu(behind));
        kept.norms.push(match (link.norm, given) {
            (Some(behind), Some(stats)) => channels(stats, behind),
            (Some(behind), None) => {
                let stats = norm::join(&moments, plane(link, *s));
                let channels = channels(&stats, behind);
                kept.measured.push(stats);
                channels
            }
            (None, _) => Vec::new(),
        });
    }
    let i = links.len() - 1;
    let out = match links[i].norm {
        None => kept.maps.remove(i).into_values(),
        Some(_) => norm::forward(&kept.maps[i].0, &kept.norms[i], plane(&links[i], sizes[i])),
    };
    (out, kept)
}

impl Kept {
    /// What convolution `i` reads.
    fn source<'a>(&'a self, x: &'a [f32], links: &[Link], i: usize) -> Source<'a> {
        let before = i.checked_sub(1);
        let map = before.map_or(x, |before| &self.maps[before].0);
        let norm = before.map_or(&self.lead, |before| &self.norms[before]);
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

/// The gradients by `x`, if it is wanted, and by all weights, in order; those are empty unless they are
/// wanted.
pub fn backward(
    x: &[f32],
    block: &Block,
    sizes: &[Sizes],
    weights: &[&[f32]],
    kept: &Kept,
    dy: &[f32],
    (by_input, by_weight): (bool, bool),
) -> (Option<Vec<f32>>, Vec<Vec<f32>>) {
    let links = &block.links;
    let given = block.given.is_some();
    let wanted = Wanted {
        // The leading batch norm's weights need it too.
        input: by_input || (block.lead && by_weight),
        weight: by_weight,
        // What a batch norm was given needs no sums, but its weights do.
        sums: by_weight || !given,
        plus: None,
    };
    let totals = |sums: &dyn Fn() -> Totals, channels| match (given, wanted.sums) {
        (false, _) => sums(),
        (true, true) => sums().given(),
        (true, false) => Totals::none(channels),
    };
    let mut gradients: Vec<Vec<f32>> = Vec::new();
    let mut end = weights.len();
    let mut around = None;
    if let Around::Conv(g) = block.around {
        end -= 1;
        let (source, s) = (kept.source(x, links, 0), sizes[links.len()]);
        let wanted = Wanted {
            sums: false,
            ..wanted
        };
        let made = conv::gradients(source, dy.into(), weights[end], g, s, wanted);
        around = made.input.map(PooledBuffer);
        gradients.push(made.weight);
    }
    // That of the output of the link before the last one done, and what its batch norm needs of it.
    let mut above: Option<(PooledBuffer, Vec<[f64; 2]>)> = None;
    for (i, (link, s)) in links.iter().zip(sizes).enumerate().rev() {
        let first = end - link.weights();
        let weight = weights[first];
        end = first;
        let map = above.as_ref().map_or(dy, |(map, _)| &map.0);
        let out = plane(link, *s);
        let sums = || match &above {
            Some((_, sums)) => Totals::of(sums, out),
            None => norm::totals(&kept.maps[i].0, dy, &kept.norms[i], out),
        };
        let totals = link.norm.map(|_| totals(&sums, out.c));
        let norm = totals.as_ref().map(|totals| Behind {
            y: &kept.maps[i].0,
            channels: &kept.norms[i],
            means: &totals.means,
        });
        let gradient = Gradient { map, norm };
        let source = kept.source(x, links, i);
        let wanted = Wanted {
            input: i > 0 || wanted.input,
            plus: around
                .as_ref()
                .map(|map| map.0.as_slice())
                .filter(|_| i == 0),
            ..wanted
        };
        let made = conv::gradients(source, gradient, weight, link.conv, *s, wanted);
        if let Some(totals) = totals {
            gradients.extend([totals.beta, totals.gamma]);
        }
        gradients.push(made.weight);
        above = made.input.map(|map| (PooledBuffer(map), made.sums));
    }
    let plus = (block.around == Around::Input).then_some(dy);
    let mut dx = None;
    if let Some((map, sums)) = above {
        dx = Some(map);
        if let Some(map) = dx.as_mut().filter(|_| block.lead) {
            let s = input(sizes[0]);
            let totals = totals(&|| Totals::of(&sums, s), s.c);
            if by_input {
                *map = PooledBuffer(norm::backward(x, &map.0, &kept.lead, &totals, s, plus));
            }
            gradients.extend([totals.beta, totals.gamma]);
        } else if let Some((map, plus)) = dx.as_mut().zip(plus) {
            norm::add(plus, &mut map.0);
        }
    }
    gradients.reverse();
    (
        dx.filter(|_| by_input).map(PooledBuffer::into_values),
        gradients,
    )
}
