//! Launches of the kernels.

use super::kernels::{self, UNITS};
use crate::kernels::pool::halved;
use burn::tensor::{DType, Shape};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::ops::{permute_nchw_to_nhwc, permute_nhwc_to_nchw};
use burn_cubecl::tensor::CubeTensor;
use cubecl::calculate_cube_count_elemwise;
use cubecl::prelude::*;

/// A tensor like `x` in place, of another shape or type.
fn empty(x: &CubeTensor, shape: Shape, dtype: DType) -> CubeTensor {
    empty_device_contiguous_dtype(x.client.clone(), x.device.clone(), shape, dtype)
}

/// A part of a flat tensor, as it lies there.
pub fn view(flat: &CubeTensor, start: usize, shape: [usize; 4]) -> CubeTensor {
    let (all, len) = (
        flat.meta.shape().num_elements(),
        shape.iter().product::<usize>(),
    );
    let bytes = |values: usize| (values * flat.dtype.size()) as u64;
    let handle = flat.handle.clone();
    let handle = handle
        .offset_start(bytes(start))
        .offset_end(bytes(all - start - len));
    let (client, device) = (flat.client.clone(), flat.device.clone());
    let [o, i, h, w] = shape;
    let part =
        |shape| CubeTensor::new_contiguous(client, device, Shape::new(shape), handle, flat.dtype);
    // Of one pixel it lies as NHWC too, which convolutions look for.
    match h * w {
        1 => permute_nhwc_to_nchw(part([o, h, w, i])),
        _ => part(shape),
    }
}

pub fn dims(x: &CubeTensor) -> [usize; 4] {
    let shape = x.meta.shape();
    [shape[0], shape[1], shape[2], shape[3]]
}

/// Cubes and units for one unit a value.
fn each(x: &CubeTensor) -> (CubeCount, CubeDim, usize) {
    let values = x.meta.shape().num_elements();
    let dim = CubeDim::new(&x.client, values);
    (
        calculate_cube_count_elemwise(&x.client, values, dim),
        dim,
        values,
    )
}

pub fn max_pool(x: CubeTensor) -> (CubeTensor, CubeTensor) {
    let x = into_contiguous(x);
    let [_, _, h, w] = dims(&x);
    let shape = x.meta.shape().clone();
    let y = empty(&x, shape.clone(), DType::F32);
    let winners = empty(&x, shape, DType::I32);
    let (count, dim, values) = each(&x);
    // SAFETY: each unit writes its own value, and reads within the plane.
    unsafe {
        kernels::max_pool::launch_unchecked(
            &y.client,
            count,
            dim,
            x.into_buffer_arg(),
            y.clone().into_buffer_arg(),
            winners.clone().into_buffer_arg(),
            values,
            h,
            w,
        );
    }
    (y, winners)
}

pub fn pick(x: CubeTensor, winners: CubeTensor) -> CubeTensor {
    let (x, winners) = (into_contiguous(x), into_contiguous(winners));
    let [_, _, h, w] = dims(&x);
    let y = empty(&x, x.meta.shape().clone(), DType::F32);
    let (count, dim, values) = each(&x);
    // SAFETY: winners are those of a map of this shape.
    unsafe {
        kernels::pick::launch_unchecked(
            &y.client,
            count,
            dim,
            x.into_buffer_arg(),
            winners.into_buffer_arg(),
            y.clone().into_buffer_arg(),
            values,
            h,
            w,
        );
    }
    y
}

pub fn picked(dy: CubeTensor, winners: CubeTensor) -> CubeTensor {
    let (dy, winners) = (into_contiguous(dy), into_contiguous(winners));
    let [_, _, h, w] = dims(&dy);
    let dx = empty(&dy, dy.meta.shape().clone(), DType::F32);
    let (count, dim, values) = each(&dy);
    // SAFETY: each unit writes its own value, and reads within the plane.
    unsafe {
        kernels::picked::launch_unchecked(
            &dx.client,
            count,
            dim,
            dy.into_buffer_arg(),
            winners.into_buffer_arg(),
            dx.clone().into_buffer_arg(),
            values,
            h,
            w,
        );
    }
    dx
}

/// Whether a map lies as NHWC, as convolutions leave it, and not as NCHW.
pub fn is_last(x: &CubeTensor) -> bool {
    permute_nchw_to_nhwc(x.clone()).is_contiguous()
}

/// A map `[n, c, h, w]` like `x` in place that lies as NHWC if `last`, else as NCHW.
fn map(x: &CubeTensor, [n, c, h, w]: [usize; 4], last: bool) -> CubeTensor {
    match last {
        true => permute_nhwc_to_nchw(empty(x, Shape::new([n, h, w, c]), DType::F32)),
        false => empty(x, Shape::new([n, c, h, w]), DType::F32),
    }
}

/// A map, made to lie so.
pub fn laid(map: CubeTensor, last: bool) -> CubeTensor {
    match last {
        true => permute_nhwc_to_nchw(into_contiguous(permute_nchw_to_nhwc(map))),
        false => into_contiguous(map),
    }
}

/// The pixels of a factorised reduction of `x`, and whether it lies as NHWC.
pub fn gather(x: CubeTensor) -> (CubeTensor, bool) {
    let last = is_last(&x);
    let x = laid(x, last);
    let [n, c, h, w] = dims(&x);
    let (oh, ow) = halved(h, w);
    let y = map(&x, [n, 2 * c, oh, ow], last);
    let (count, dim, values) = each(&y);
    // SAFETY: each unit writes its own value, and reads within the map.
    unsafe {
        kernels::gather::launch_unchecked(
            &y.client,
            count,
            dim,
            x.into_buffer_arg(),
            y.clone().into_buffer_arg(),
            values,
            c,
            h,
            w,
            oh,
            ow,
            last,
        );
    }
    (y, last)
}

/// The gradient by a map of these dimensions, which lies as NHWC if `last`.
pub fn gathered(dy: CubeTensor, [n, c, h, w]: [usize; 4], last: bool) -> CubeTensor {
    let dy = laid(dy, last);
    let [_, _, oh, ow] = dims(&dy);
    let dx = map(&dy, [n, c, h, w], last);
    let (count, dim, values) = each(&dx);
    // SAFETY: each unit writes its own value; of its pixel there is a value in `dy`.
    unsafe {
        kernels::gathered::launch_unchecked(
            &dx.client,
            count,
            dim,
            dy.into_buffer_arg(),
            dx.clone().into_buffer_arg(),
            values,
            c,
            h,
            w,
            oh,
            ow,
            last,
        );
    }
    dx
}

/// The mean of every channel of every image, `[n, c]`, and whether `x` lies as NHWC.
pub fn average(x: CubeTensor) -> (CubeTensor, bool) {
    let last = is_last(&x);
    let x = laid(x, last);
    let [n, c, h, w] = dims(&x);
    let y = empty(&x, Shape::new([n, c]), DType::F32);
    let (count, dim, values) = each(&y);
    // SAFETY: each unit writes its own value, and reads its channel.
    unsafe {
        kernels::average::launch_unchecked(
            &y.client,
            count,
            dim,
            x.into_buffer_arg(),
            y.clone().into_buffer_arg(),
            values,
            c,
            h * w,
            last,
        );
    }
    (y, last)
}

/// The gradient by a map of these dimensions, which lies as NHWC if `last`.
pub fn averaged(dy: CubeTensor, [n, c, h, w]: [usize; 4], last: bool) -> CubeTensor {
    let dy = into_contiguous(dy);
    let dx = map(&dy, [n, c, h, w], last);
    let (count, dim, values) = each(&dx);
    // SAFETY: each unit writes its own value, and reads that of its channel.
    unsafe {
        kernels::averaged::launch_unchecked(
            &dx.client,
            count,
            dim,
            dy.into_buffer_arg(),
            dx.clone().into_buffer_arg(),
            values,
            c,
            h * w,
            last,
        );
    }
    dx
}

/// One cube a channel.
fn cubes(channels: usize) -> (CubeCount, CubeDim) {
    (
        CubeCount::Static(channels as u32, 1, 1),
        CubeDim::new_1d(UNITS as u32),
    )
}

/// A batch norm: its inputs, without gaps.
#[derive(Clone, Debug)]
pub struct Norm {
    x: CubeTensor,
    gamma: CubeTensor,
    beta: CubeTensor,
    eps: f32,
    relu: bool,
    /// Whether its map lies as NHWC.
    last: bool,
}

impl Norm {
    /// The map is taken as it lies where that can be.
    pub fn new([x, gamma, beta]: [CubeTensor; 3], eps: f32, relu: bool) -> Self {
        let last = is_last(&x);
        Self {
            x: if last { x } else { into_contiguous(x) },
            gamma: into_contiguous(gamma),
            beta: into_contiguous(beta),
            eps,
            relu,
            last,
        }
    }

    /// A map that lies as the input does.
    fn map(&self) -> CubeTensor {
        map(&self.x, dims(&self.x), self.last)
    }
}

/// The output, and the statistics `[2, c]`, which are those of the batch unless they are given.
pub fn norm(inputs: Norm, given: Option<CubeTensor>) -> (CubeTensor, CubeTensor) {
    let y = inputs.map();
    let Norm {
        x,
        gamma,
        beta,
        eps,
        relu,
        last,
    } = inputs;
    let [n, c, h, w] = dims(&x);
    let is_given = given.is_some();
    let stats = given.unwrap_or_else(|| empty(&x, Shape::new([2, c]), DType::F32));
    let (count, dim) = cubes(c);
    // SAFETY: each cube reads and writes its own channel.
    unsafe {
        kernels::norm::launch_unchecked(
            &y.client,
            count,
            dim,
            x.into_buffer_arg(),
            gamma.into_buffer_arg(),
            beta.into_buffer_arg(),
            y.clone().into_buffer_arg(),
            stats.clone().into_buffer_arg(),
            n * h * w,
            c,
            h * w,
            eps,
            relu,
            is_given,
            last,
        );
    }
    (y, stats)
}

/// What the gradients of a batch norm are made of.
#[derive(Clone, Debug)]
pub struct Normed {
    pub inputs: Norm,
    pub stats: CubeTensor,
    pub given: bool,
}

impl Normed {
    /// The gradients of the map, gamma and beta.
    pub fn backward(self, dy: CubeTensor) -> [CubeTensor; 3] {
        let (dy, dx) = (laid(dy, self.inputs.last), self.inputs.map());
        let Norm {
            x,
            gamma,
            beta,
            eps,
            relu,
            last,
        } = self.inputs;
        let [n, c, h, w] = dims(&x);
        let vector = || empty(&x, Shape::new([c, 1, 1, 1]), DType::F32);
        let (dgamma, dbeta) = (vector(), vector());
        let (count, dim) = cubes(c);
        // SAFETY: each cube reads and writes its own channel.
        unsafe {
            kernels::normed::launch_unchecked(
                &dx.client,
                count,
                dim,
                x.into_buffer_arg(),
                dy.into_buffer_arg(),
                gamma.into_buffer_arg(),
                beta.into_buffer_arg(),
                self.stats.into_buffer_arg(),
                dx.clone().into_buffer_arg(),
                dgamma.clone().into_buffer_arg(),
                dbeta.clone().into_buffer_arg(),
                n * h * w,
                c,
                h * w,
                eps,
                relu,
                self.given,
                last,
            );
        }
        [dx, dgamma, dbeta]
    }
}
