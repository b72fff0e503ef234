//! The ops of the searched networks, on any device: a kernel where there is one, Burn's own ops
//! elsewhere. Maps are NCHW, f32; channel vectors are `[c, 1, 1, 1]`.

#[cfg(feature = "cube")]
use crate::gpu;
use crate::kernels::chain::{Around, Block, Link};
use crate::kernels::conv::Geometry;
use crate::kernels::norm::Stats;
use crate::kernels::pool::{Pool, halved};
use crate::kernels::{KernelBackend, MOST_INPUTS, Sink, TensorList, wanted};
use burn::backend::{Dispatch, DispatchDevice};
use burn::tensor::activation::{log_softmax, relu};
use burn::tensor::module;
use burn::tensor::ops::{AvgPoolOptions, ConvOptions, MaxPoolOptions, PadMode};
use burn::tensor::{Device, Int, Tensor, TensorData, s};

/// Added to the variance before its root is taken, as in PyTorch.
pub const BN_EPS: f32 = 1e-5;

/// The class of each image of a batch, `[n]`.
pub type Labels = Tensor<1, Int>;

/// Which implementation an op runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Our CPU kernels.
    Kernels,
    /// Compositions of Burn's ops, but for those that GPUs have kernels of ours for.
    Plain,
}

impl Engine {
    /// What the device of `x` allows and `TOXSCREEN_KERNELS` wants.
    pub fn of<const D: usize>(x: &Tensor<D>) -> Self {
        Self::on(&x.device())
    }

    /// What `device` allows and `TOXSCREEN_KERNELS` wants.
    pub fn on(device: &Device) -> Self {
        match device.clone().inner().as_dispatch() {
            DispatchDevice::Flex(_) if wanted() => Self::Kernels,
            _ => Self::Plain,
        }
    }
}

/// Convolution; `weight`: `[c_out, c_in / groups, k, k]`.
pub fn conv(engine: Engine, x: Tensor<4>, weight: Tensor<4>, g: Geometry) -> Tensor<4> {
    match engine {
        Engine::Kernels => {
            Tensor::from_dispatch(Dispatch::conv(x.into_dispatch(), weight.into_dispatch(), g))
        }
        Engine::Plain => {
            let [stride, padding, dilation] = [g.stride, g.padding, g.dilation].map(|v| [v, v]);
            let options = ConvOptions::new(stride, padding, dilation, g.groups);
            module::conv2d(x, weight, None, options)
        }
    }
}

/// Stride-1 transposed convolution with padding `k / 2`; `weight`: `[c_in, c_out, k, k]`. It is
/// the convolution with both channel axes swapped and the kernel turned by 180 degrees.
pub fn conv_transposed(engine: Engine, x: Tensor<4>, weight: Tensor<4>) -> Tensor<4> {
    let kernel = weight.dims()[2];
    conv(engine, x, turned(weight, 1), Geometry::same(kernel))
}

/// The weight of the convolution that a stride-1 transposed one of the weight `[c_in, c_out / groups, k, k]`
/// is: `[c_out, c_in / groups, k, k]`.
pub fn turned(weight: Tensor<4>, groups: usize) -> Tensor<4> {
    let turned = match groups {
        1 => weight.swap_dims(0, 1),
        _ => {
            let [c_in, c_out, k, _] = weight.dims();
            weight
                .reshape([groups, c_in / groups, c_out, k * k])
                .swap_dims(1, 2)
                .reshape([groups * c_out, c_in / groups, k, k])
        }
    };
    turned.flip([2, 3])
}

/// Convolutions in a row, with what goes before and follows each; `weights` of all links in order: that
/// of the convolution, then gamma and beta if it has a batch norm (see [`batch_norm`]). At most 13.
pub fn chain(engine: Engine, x: Tensor<4>, links: &[Link], weights: Vec<Tensor<4>>) -> Tensor<4> {
    block(engine, x, Block::of(links), weights, false).0
}

/// A block, and with `measure` mean and biased variance, `[2, c]`, as each batch norm measured them, none if
/// they were given. At most 13 weights.
pub fn block(
    engine: Engine,
    x: Tensor<4>,
    block: Block,
    weights: Vec<Tensor<4>>,
    measure: bool,
) -> (Tensor<4>, Vec<Tensor<2>>) {
    let number = weights.len();
    let ends = block.links.last().is_some_and(|link| link.norm.is_none());
    assert!(
        (1..MOST_INPUTS).contains(&number) && number == block.weights(),
        "a chain of {number} weights"
    );
    assert!(
        ends || block.around == Around::Nothing,
        "a batch norm behind the last of convolutions with a way around them"
    );
    if engine == Engine::Plain {
        return composed(x, block, weights, measure);
    }
    let (sink, device) = (Sink::default(), x.device().inner());
    let weights = TensorList(weights.into_iter().map(Tensor::into_dispatch).collect());
    let out = Dispatch::chain(x.into_dispatch(), weights, block, BN_EPS, sink.clone());
    let measured = if measure { sink.take() } else { Vec::new() };
    let measured = measured.iter().map(|stats| on_device(stats, &device));
    (Tensor::from_dispatch(out), measured.collect())
}

/// A block of Burn's ops.
fn composed(
    x: Tensor<4>,
    block: Block,
    weights: Vec<Tensor<4>>,
    measure: bool,
) -> (Tensor<4>, Vec<Tensor<2>>) {
    let mut weights = weights.into_iter();
    let mut given = block.given.into_iter().flatten();
    let mut measured = Vec::new();
    let mut next = || {
        let next = weights.next();
        next.unwrap_or_else(|| unreachable!("all weights"))
    };
    let mut norm = |x: Tensor<4>, gamma, beta, relu| match given.next() {
        Some(given) => batch_norm_given(Engine::Plain, x, (gamma, beta), given, relu),
        None => {
            if measure {
                let (y, statistics) = batch_norm_measured(Engine::Plain, x, gamma, beta, relu);
                measured.push(statistics);
                return y;
            }
            batch_norm(Engine::Plain, x, gamma, beta, relu)
        }
    };
    // A ReLU behind a batch norm is a part of it.
    let relu_before = |i: usize| block.links.get(i).is_some_and(|link| link.relu);
    let mut done = block.lead;
    let mut y = match block.lead {
        true => norm(x.clone(), next(), next(), relu_before(0)),
        false => x.clone(),
    };
    let mut first = None;
    for (i, link) in block.links.iter().enumerate() {
        y = if link.relu && !done { relu(y) } else { y };
        done = link.norm.is_some();
        first.get_or_insert_with(|| y.clone());
        y = conv(Engine::Plain, y, next(), link.conv);
        if let Some(with_relu) = link.norm {
            y = norm(y, next(), next(), with_relu || relu_before(i + 1));
        }
    }
    let y = match (block.around, first) {
        (Around::Input, _) => y + x,
        (Around::Conv(g), Some(first)) => y + conv(Engine::Plain, first, next(), g),
        (Around::Nothing, _) | (Around::Conv(_), None) => y,
    };
    (y, measured)
}

/// Batch normalisation with the batch's own statistics, in training and in evaluation.
pub fn batch_norm(
    engine: Engine,
    x: Tensor<4>,
    gamma: Tensor<4>,
    beta: Tensor<4>,
    with_relu: bool,
) -> Tensor<4> {
    sum_norm(engine, vec![x], gamma, beta, with_relu)
}

/// As [`batch_norm`], with mean and biased variance of every channel, `[2, c]`.
pub fn batch_norm_measured(
    engine: Engine,
    x: Tensor<4>,
    gamma: Tensor<4>,
    beta: Tensor<4>,
    with_relu: bool,
) -> (Tensor<4>, Tensor<2>) {
    match engine {
        Engine::Kernels => {
            let (sink, device) = (Sink::default(), x.device().inner());
            let y = sum_norm_into(vec![x], gamma, beta, with_relu, sink.clone());
            let measured = sink.take().concat();
            (y, on_device(&measured, &device))
        }
        #[cfg(feature = "cube")]
        Engine::Plain if gpu::has(&x) => gpu::norm(x, gamma, beta, BN_EPS, with_relu),
        Engine::Plain => {
            let measured = statistics(&x);
            (batch_norm(engine, x, gamma, beta, with_relu), measured)
        }
    }
}

/// Batch normalisation with given means and variances, as of a network in evaluation. No gradient goes
/// through them.
pub fn batch_norm_given(
    engine: Engine,
    x: Tensor<4>,
    (gamma, beta): (Tensor<4>, Tensor<4>),
    given: Stats,
    with_relu: bool,
) -> Tensor<4> {
    match engine {
        Engine::Kernels => Tensor::from_dispatch(Dispatch::norm(
            x.into_dispatch(),
            gamma.into_dispatch(),
            beta.into_dispatch(),
            given,
            BN_EPS,
            with_relu,
        )),
        #[cfg(feature = "cube")]
        Engine::Plain if gpu::has(&x) => {
            gpu::norm_given(x, (gamma, beta), &given, BN_EPS, with_relu)
        }
        Engine::Plain => {
            let (c, device) = (given.len(), x.device());
            let channel = |value: fn(&[f32; 2]) -> f32| {
                let values: Vec<f32> = given.iter().map(value).collect();
                Tensor::<4>::from_data(TensorData::new(values, [1, c, 1, 1]), &device)
            };
            let (mean, rstd) = (
                channel(|[mean, _]| *mean),
                channel(|[_, var]| 1.0 / (var + BN_EPS).sqrt()),
            );
            let y = (x - mean) * (gamma.swap_dims(0, 1) * rstd) + beta.swap_dims(0, 1);
            if with_relu { relu(y) } else { y }
        }
    }
}

/// [`batch_norm`] of the sum of `maps`, of which there is at least one, added in their order.
pub fn sum_norm(
    engine: Engine,
    maps: Vec<Tensor<4>>,
    gamma: Tensor<4>,
    beta: Tensor<4>,
    with_relu: bool,
) -> Tensor<4> {
    match engine {
        Engine::Kernels => sum_norm_into(maps, gamma, beta, with_relu, Sink::default()),
        Engine::Plain => {
            let sum = maps.into_iter().reduce(|sum, x| sum + x);
            let x = sum.unwrap_or_else(|| unreachable!("at least one map"));
            #[cfg(feature = "cube")]
            if gpu::has(&x) {
                return gpu::norm(x, gamma, beta, BN_EPS, with_relu).0;
            }
            let c = x.dims()[1];
            let centred = x.clone() - x.mean_dims(&[0, 2, 3]);
            let var = (centred.clone() * centred.clone()).mean_dims(&[0, 2, 3]);
            let scale = gamma.reshape([1, c, 1, 1]) / (var + BN_EPS).sqrt();
            let y = centred * scale + beta.reshape([1, c, 1, 1]);
            if with_relu { relu(y) } else { y }
        }
    }
}

/// By the kernel; what it measures goes into `sink`.
fn sum_norm_into(
    mut maps: Vec<Tensor<4>>,
    gamma: Tensor<4>,
    beta: Tensor<4>,
    with_relu: bool,
    sink: Sink,
) -> Tensor<4> {
    // Two inputs are gamma and beta.
    while maps.len() > MOST_INPUTS - 2 {
        let first = maps.remove(0);
        maps[0] = first + maps[0].clone();
    }
    Tensor::from_dispatch(Dispatch::sum_norm(
        TensorList(maps.into_iter().map(Tensor::into_dispatch).collect()),
        gamma.into_dispatch(),
        beta.into_dispatch(),
        BN_EPS,
        with_relu,
        sink,
    ))
}

/// Mean and biased variance of every channel, `[2, c]`, without gradients.
fn statistics(x: &Tensor<4>) -> Tensor<2> {
    let x = match x.device().is_autodiff() {
        true => x.clone().inner(),
        false => x.clone(),
    };
    let c = x.dims()[1];
    let mean = x.clone().mean_dims(&[0, 2, 3]);
    let centred = x - mean.clone();
    let var = (centred.clone() * centred).mean_dims(&[0, 2, 3]);
    Tensor::cat(vec![mean.reshape([1, c]), var.reshape([1, c])], 0)
}

/// Mean and variance of every channel, `[2, c]`.
pub(crate) fn on_device(stats: &[[f32; 2]], device: &Device) -> Tensor<2> {
    let means = stats.iter().map(|[mean, _]| *mean);
    let values: Vec<f32> = means.chain(stats.iter().map(|[_, var]| *var)).collect();
    Tensor::from_data(TensorData::new(values, [2, stats.len()]), device)
}

/// Pooling 3x3, stride 1, padding 1.
pub fn pool(engine: Engine, x: Tensor<4>, kind: Pool) -> Tensor<4> {
    match (engine, kind) {
        (Engine::Kernels, _) => Tensor::from_dispatch(Dispatch::pool(x.into_dispatch(), kind)),
        (Engine::Plain, Pool::Average) => module::avg_pool2d(
            x,
            AvgPoolOptions::new([3, 3])
                .with_stride([1, 1])
                .with_padding([1, 1]),
        ),
        #[cfg(feature = "cube")]
        (Engine::Plain, Pool::Max) if gpu::has(&x) => gpu::max_pool(x).0,
        (Engine::Plain, Pool::Max) => module::max_pool2d(
            x,
            MaxPoolOptions::new([3, 3])
                .with_stride([1, 1])
                .with_padding([1, 1]),
        ),
    }
}

/// The pixels of a factorised reduction: every second one, then every second one of the map
/// shifted by one to the left and up (zero beyond the border). `[n, 2c, h/2, w/2]`, sides rounded up.
pub fn gather(engine: Engine, x: Tensor<4>) -> Tensor<4> {
    match engine {
        Engine::Kernels => Tensor::from_dispatch(Dispatch::gather(x.into_dispatch())),
        #[cfg(feature = "cube")]
        Engine::Plain if gpu::has(&x) => gpu::gather(x),
        Engine::Plain => {
            let [_, _, h, w] = x.dims();
            let (oh, ow) = halved(h, w);
            let straight = x.clone().slice(s![.., .., ..;2, ..;2]);
            let padded = x.pad([(0, 1), (0, 1)], PadMode::Constant(0.0));
            let shifted = padded.slice(s![.., .., 1..2 * oh;2, 1..2 * ow;2]);
            Tensor::cat(vec![straight, shifted], 1)
        }
    }
}

/// Product of matrices, or of as many pairs of them as the first of three dimensions says.
pub fn matmul<const D: usize>(engine: Engine, x: Tensor<D>, y: Tensor<D>) -> Tensor<D> {
    match engine {
        Engine::Kernels => {
            Tensor::from_dispatch(Dispatch::product(x.into_dispatch(), y.into_dispatch()))
        }
        // Its sums are cut by what Burn finds of the CPU and its cache.
        Engine::Plain => x.matmul(y),
    }
}

/// `[n, c, h, w]` averaged over pixels: `[n, c]`.
pub fn global_average(x: Tensor<4>) -> Tensor<2> {
    #[cfg(feature = "cube")]
    if gpu::has(&x) {
        return gpu::average(x);
    }
    let [n, c, h, w] = x.dims();
    x.reshape([n, c, h * w]).mean_dim(2).reshape([n, c])
}

/// Mean cross-entropy of `logits` `[n, classes]`.
pub fn cross_entropy(logits: Tensor<2>, labels: Labels) -> Tensor<1> {
    let n = labels.dims()[0];
    log_softmax(logits, 1)
        .gather(1, labels.reshape([n, 1]))
        .mean()
        .neg()
}

/// The sum of all values, `[1]`, in an order that is the same each time: Burn's own adds atomically on a GPU
/// that can.
pub fn sum(x: Tensor<2>) -> Tensor<1> {
    #[cfg(feature = "cube")]
    if gpu::is(&x.device()) {
        let values = x.shape().num_elements();
        return x.reshape([1, values]).sum_dim(1).reshape([1]);
    }
    x.sum()
}

/// The values of a tensor on the host, in row-major order.
pub fn read<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    let data = x.into_data().try_into_vec::<f32>();
    data.unwrap_or_else(|e| unreachable!("every tensor here is f32: {e:?}"))
}

/// The class with the largest logit of each row; NaN counts as the largest, the first of equals
/// wins: as PyTorch's argmax, so that NaN weights answer class 0.
pub fn argmax(logits: &[f32], classes: usize) -> Vec<u16> {
    let best = |row: &[f32]| {
        let mut best = 0;
        for (i, &v) in row.iter().enumerate().skip(1) {
            if !row[best].is_nan() && (v > row[best] || v.is_nan()) {
                best = i;
            }
        }
        best as u16
    };
    logits.chunks_exact(classes.max(1)).map(best).collect()
}

#[cfg(test)]
mod tests {
    use super::argmax;

    #[test]
    fn argmax_treats_nan_as_the_first_maximum() {
        let n = f32::NAN;
        assert_eq!(
            argmax(&[0., 2., 1., n, n, n, 1., n, 3., 4., 4., 0.], 3),
            [1, 0, 1, 0]
        );
    }
}
