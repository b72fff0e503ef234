//! Convolutions in a row with what is between them.

use super::{BatchNorm, Mode, Pass};
use crate::kernels::chain::Link;
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
/// own; in one that evaluates or is [probing](Pass::probing), all are.
pub fn chain(
    pass: &Pass<'_>,
    mut x: Tensor<4>,
    steps: Vec<ChainStep>,
    scale: Option<&Tensor<4>>,
) -> Tensor<4> {
    if matches!(pass.mode(), Mode::Evaluate) || pass.is_probing() {
        return apart(pass, x, steps, scale);
    }
    if pass.is_free() {
        return fused(pass, x, steps, scale);
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
        x = fused(pass, x, part, scale.filter(|_| i + 1 == count));
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

/// One op, in which no ReLU is seen.
fn fused(
    pass: &Pass<'_>,
    x: Tensor<4>,
    steps: Vec<ChainStep>,
    scale: Option<&Tensor<4>>,
) -> Tensor<4> {
    let count = steps.len();
    let (mut links, mut weights, mut norms) = (Vec::new(), Vec::new(), Vec::new());
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
    let [n, _, mut h, mut w] = x.dims();
    let y = match pass.mode() {
        Mode::Train(_) => {
            let (y, measured) = ops::chain_measured(pass.engine, x, &links, weights);
            let mut measured = norms.iter().zip(measured);
            for link in &links {
                let stride = link.conv.stride;
                (h, w) = (h.div_ceil(stride), w.div_ceil(stride));
                if link.norm.is_some()
                    && let Some((norm, statistics)) = measured.next()
                {
                    pass.measure(norm.running(), n * h * w, statistics);
                }
            }
            y
        }
        _ => ops::chain(pass.engine, x, &links, weights),
    };
    match outer {
        Some(scale) => y * scale.clone(),
        None => y,
    }
}
