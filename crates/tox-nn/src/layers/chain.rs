//! Convolutions in a row with what is between and around them.

use super::{BatchNorm, Mode, Pass};
pub use crate::kernels::chain::Around;
use crate::kernels::chain::{Block, Link};
use crate::kernels::conv::Geometry;
use crate::ops;
use burn::tensor::Tensor;

/// A convolution of a [`chain`].
#[derive(Clone, Debug)]
pub struct ChainStep {
    /// ReLU before it.
    pub relu: bool,
    /// Its weight, `[c_out, c_in / groups, k, k]`.
    pub weight: Tensor<4>,
    /// Kernel, stride, padding, dilation, groups.
    pub geometry: Geometry,
    /// Batch norm behind it.
    pub norm: Option<BatchNorm>,
}

/// Convolutions without bias in a row, one op where that can be. A convolution counts as one weight and
/// a batch norm as two; there are at most 13.
///
/// What comes out is multiplied with `scale`, `[1, 1, 1, 1]`. Where the last step has a batch norm,
/// that costs nothing: it is a factor of its gamma and beta, whose gradients lead to that of `scale`.
///
/// In a pass whose choices are [noted](Pass::noting) or [held](Pass::holding), a ReLU is an op of its
/// own; in one that is [probing](Pass::probing), all are.
pub fn chain(
    pass: &Pass<'_>,
    mut x: Tensor<4>,
    steps: Vec<ChainStep>,
    scale: Option<&Tensor<4>>,
) -> Tensor<4> {
    if pass.is_probing() {
        return apart(pass, x, steps, scale);
    }
    if pass.is_free() {
        return fused(pass, x, (None, steps, Around::Nothing), scale);
    }
    let mut parts: Vec<Vec<ChainStep>> = Vec::new();
    for step in steps {
        match parts.last_mut() {
            Some(part) if !step.relu => part.push(step),
            _ => parts.push(vec![step]),
        }
    }
    let count = parts.len();
    for (i, mut part) in parts.into_iter().enumerate() {
        if std::mem::take(&mut part[0].relu) {
            x = pass.relu(x);
        }
        let scale = scale.filter(|_| i + 1 == count);
        x = fused(pass, x, (None, part, Around::Nothing), scale);
    }
    x
}

/// One op after the other.
fn apart(
    pass: &Pass<'_>,
    mut x: Tensor<4>,
    steps: Vec<ChainStep>,
    scale: Option<&Tensor<4>>,
) -> Tensor<4> {
    let count = steps.len();
    for (i, step) in steps.into_iter().enumerate() {
        let scale = scale.filter(|_| i + 1 == count);
        let [_, weights @ ..] = step.weight.dims();
        x = if step.relu { pass.relu(x) } else { x };
        x = ops::conv(pass.engine, x, step.weight, step.geometry);
        x = pass.output(x, weights.iter().product());
        x = match (step.norm, scale) {
            (Some(norm), scale) => norm.forward_scaled(pass, x, false, scale),
            (None, Some(scale)) => x * scale.clone(),
            (None, None) => x,
        };
    }
    x
}

/// Convolutions of a residual network: a [`chain`] that may begin with a batch norm, behind which is the
/// first step's ReLU, and what goes around it: the input, or a convolution (its weight and geometry) of
/// what the first step's convolution reads. If something does, no batch norm is behind the last step.
pub fn residual(
    pass: &Pass<'_>,
    x: Tensor<4>,
    lead: Option<BatchNorm>,
    mut steps: Vec<ChainStep>,
    around: Around<(Tensor<4>, Geometry)>,
) -> Tensor<4> {
    if pass.is_free() && !pass.is_probing() {
        return fused(pass, x, (lead, steps, around), None);
    }
    let with_relu = steps
        .first_mut()
        .is_some_and(|step| std::mem::take(&mut step.relu));
    let mut y = match lead {
        Some(norm) => norm.forward(pass, x.clone(), false),
        None => x.clone(),
    };
    y = if with_relu { pass.relu(y) } else { y };
    match around {
        Around::Nothing => chain(pass, y, steps, None),
        Around::Input => chain(pass, y, steps, None) + x,
        Around::Conv((weight, geometry)) => {
            let around = ChainStep {
                relu: false,
                weight,
                geometry,
                norm: None,
            };
            let straight = chain(pass, y.clone(), steps, None);
            straight + chain(pass, y, vec![around], None)
        }
    }
}

/// One op, in which no ReLU is seen.
fn fused(
    pass: &Pass<'_>,
    x: Tensor<4>,
    (lead, steps, around): (
        Option<BatchNorm>,
        Vec<ChainStep>,
        Around<(Tensor<4>, Geometry)>,
    ),
    scale: Option<&Tensor<4>>,
) -> Tensor<4> {
    let count = steps.len();
    let (mut links, mut weights, mut norms) = (Vec::new(), Vec::new(), Vec::new());
    if let Some(norm) = lead {
        weights.extend(norm.vectors(pass, None));
        norms.push(norm);
    }
    for (i, step) in steps.into_iter().enumerate() {
        let scale = scale.filter(|_| i + 1 == count);
        links.push(Link {
            relu: step.relu,
            conv: step.geometry,
            norm: step.norm.map(|_| false),
        });
        weights.push(step.weight);
        if let Some(norm) = step.norm {
            weights.extend(norm.vectors(pass, scale));
            norms.push(norm);
        }
    }
    let Some(last) = links.last() else { return x };
    let outer = scale.filter(|_| last.norm.is_none());
    let around = match around {
        Around::Nothing => Around::Nothing,
        Around::Input => Around::Input,
        Around::Conv((weight, geometry)) => {
            weights.push(weight);
            Around::Conv(geometry)
        }
    };
    let given = match pass.mode() {
        Mode::Evaluate => {
            let norms = norms
                .iter()
                .map(|norm| pass.running().statistics(norm.running()));
            Some(norms.collect())
        }
        Mode::Train(_) | Mode::Probe => None,
    };
    let [n, _, mut h, mut w] = x.dims();
    let mut counts: Vec<usize> = lead.iter().map(|_| n * h * w).collect();
    for link in &links {
        let stride = link.conv.stride;
        (h, w) = (h.div_ceil(stride), w.div_ceil(stride));
        counts.extend(link.norm.map(|_| n * h * w));
    }
    let block = Block {
        lead: lead.is_some(),
        links,
        around,
        given,
    };
    let measure = matches!(pass.mode(), Mode::Train(_));
    let (y, measured) = ops::block(pass.engine, x, block, weights, measure);
    for ((norm, count), statistics) in norms.iter().zip(counts).zip(measured) {
        pass.measure(norm.running(), count, statistics);
    }
    match outer {
        Some(scale) => y * scale.clone(),
        None => y,
    }
}
