//! The kernels as ops of Burn's `Cube` backend, on tensors of which nobody asks for gradients.
// An op's arguments are its tensors.
#![allow(clippy::too_many_arguments)]

use super::kernels;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, Backend, Cube, backend_extension};
use burn::tensor::{DType, Shape};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::calculate_cube_count_elemwise;
use cubecl::prelude::*;

use crate::gpu::kernels::UNITS;
use crate::gpu::launch::{is_last, laid};

/// What a step is made in, beside its images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    pub images: usize,
    /// Values of an image, and of one of its channels.
    pub size: usize,
    pub plane: usize,
    pub length: f32,
    /// Of a sphere; in a box there is none.
    pub radius: Option<f32>,
    pub stops: bool,
}

/// The tensors of an ascent, all f32 and without gaps, `normal` as NHWC; `x`, `kept`, `normal` and `state` are changed in place.
#[backend_extension(Cube, Autodiff)]
pub trait AscentKernels: Backend {
    /// The derivative of the loss by `logits`, `[n, classes]`; changes `state`.
    fn cube_judge(
        logits: FloatTensor<Self>,
        of: FloatTensor<Self>,
        state: FloatTensor<Self>,
        pass: f32,
        loss: u32,
        stops: bool,
    ) -> FloatTensor<Self>;
    /// A tensor whose gradient of one by `y` is `gradient`.
    fn cube_seed(y: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self>;
    /// Changes `x`, `kept` and `normal`; returns `x`.
    fn cube_step(
        x: FloatTensor<Self>,
        kept: FloatTensor<Self>,
        normal: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        bounds: FloatTensor<Self>,
        state: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        step: Step,
    ) -> FloatTensor<Self>;
    /// Changes `kept`, and returns it.
    fn cube_keep(
        x: FloatTensor<Self>,
        kept: FloatTensor<Self>,
        state: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

fn each(x: &CubeTensor, units: usize) -> (CubeCount, CubeDim) {
    let dim = CubeDim::new(&x.client, units);
    (calculate_cube_count_elemwise(&x.client, units, dim), dim)
}

impl AscentKernels for Cube {
    fn cube_judge(
        logits: FloatTensor<Self>,
        of: FloatTensor<Self>,
        state: FloatTensor<Self>,
        pass: f32,
        loss: u32,
        stops: bool,
    ) -> FloatTensor<Self> {
        let logits = into_contiguous(logits);
        let shape = logits.meta.shape();
        let (n, classes) = (shape[0], shape[1]);
        let (client, device) = (logits.client.clone(), logits.device.clone());
        let cotangent =
            empty_device_contiguous_dtype(client, device, Shape::new([n, classes]), DType::F32);
        let (count, dim) = each(&logits, n);
        // SAFETY: each unit reads and writes its own row.
        unsafe {
            kernels::judge::launch_unchecked(
                &cotangent.client,
                count,
                dim,
                logits.into_buffer_arg(),
                of.into_buffer_arg(),
                state.into_buffer_arg(),
                cotangent.clone().into_buffer_arg(),
                n,
                classes,
                pass,
                loss,
                stops,
            );
        }
        cotangent
    }

    fn cube_seed(y: FloatTensor<Self>, _: FloatTensor<Self>) -> FloatTensor<Self> {
        y
    }

    fn cube_step(
        x: FloatTensor<Self>,
        kept: FloatTensor<Self>,
        normal: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        bounds: FloatTensor<Self>,
        state: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        step: Step,
    ) -> FloatTensor<Self> {
        let Step {
            images: n,
            size,
            plane,
            length,
            radius,
            stops,
        } = step;
        let last = is_last(&gradient);
        let gradient = laid(gradient, last);
        let client = x.client.clone();
        let result = x.clone();
        let (x, kept, normal) = (
            x.into_buffer_arg(),
            kept.into_buffer_arg(),
            normal.into_buffer_arg(),
        );
        let (state, scale) = (state.into_buffer_arg(), scale.into_buffer_arg());
        let bounds = bounds.into_buffer_arg();
        // SAFETY: each unit reads and writes its own pixels, of which `n * size` are in each map.
        match radius {
            None => unsafe {
                let (count, dim) = each(&gradient, n * size);
                kernels::step_in_box::launch_unchecked(
                    &client,
                    count,
                    dim,
                    x,
                    kept,
                    normal,
                    gradient.into_buffer_arg(),
                    bounds,
                    state,
                    scale,
                    n * size,
                    n,
                    size,
                    plane,
                    length,
                    stops,
                    last,
                );
            },
            Some(radius) => unsafe {
                kernels::step_in_sphere::launch_unchecked(
                    &client,
                    CubeCount::Static(n as u32, 1, 1),
                    CubeDim::new_1d(UNITS as u32),
                    x,
                    kept,
                    normal,
                    gradient.into_buffer_arg(),
                    bounds,
                    state,
                    scale,
                    n,
                    size,
                    plane,
                    length,
                    radius,
                    stops,
                    last,
                );
            },
        }
        result
    }

    fn cube_keep(
        x: FloatTensor<Self>,
        kept: FloatTensor<Self>,
        state: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let values = x.meta.shape().num_elements();
        let n = x.meta.shape()[0];
        let (count, dim) = each(&x, values);
        // SAFETY: each unit reads and writes its own pixel.
        unsafe {
            kernels::keep::launch_unchecked(
                &kept.client,
                count,
                dim,
                x.into_buffer_arg(),
                kept.clone().into_buffer_arg(),
                state.into_buffer_arg(),
                values,
                n,
                values / n,
            );
        }
        kept
    }
}

#[derive(Debug)]
struct Seeding;

impl Backward<Cube, 1> for Seeding {
    /// The gradient.
    type State = CubeTensor;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        grads.consume::<Cube>(&ops.node);
        let [node] = ops.parents;
        if let Some(node) = node {
            grads.register::<Cube>(node.id, ops.state);
        }
    }
}

impl<C: CheckpointStrategy> AscentKernels for Autodiff<Cube, C> {
    fn cube_judge(
        logits: FloatTensor<Self>,
        of: FloatTensor<Self>,
        state: FloatTensor<Self>,
        pass: f32,
        loss: u32,
        stops: bool,
    ) -> FloatTensor<Self> {
        let [logits, of, state] = [logits, of, state].map(|x| x.into_primitive());
        Self::from_inner(Cube::cube_judge(logits, of, state, pass, loss, stops))
    }

    fn cube_seed(y: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        let prep = Seeding.prepare::<C>([y.node()]).compute_bound().stateful();
        let gradient = gradient.into_primitive();
        // What it is worth is never asked for.
        let (client, device) = (gradient.client.clone(), gradient.device.clone());
        let one = empty_device_contiguous_dtype(client, device, Shape::new([1]), DType::F32);
        match prep {
            OpsKind::Tracked(prep) => prep.finish(gradient, one),
            OpsKind::UnTracked(prep) => prep.finish(one),
        }
    }

    fn cube_step(
        x: FloatTensor<Self>,
        kept: FloatTensor<Self>,
        normal: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        bounds: FloatTensor<Self>,
        state: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        step: Step,
    ) -> FloatTensor<Self> {
        let [x, kept, normal, gradient, bounds, state, scale] =
            [x, kept, normal, gradient, bounds, state, scale].map(|x| x.into_primitive());
        Self::from_inner(Cube::cube_step(
            x, kept, normal, gradient, bounds, state, scale, step,
        ))
    }

    fn cube_keep(
        x: FloatTensor<Self>,
        kept: FloatTensor<Self>,
        state: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let [x, kept, state] = [x, kept, state].map(|x| x.into_primitive());
        Self::from_inner(Cube::cube_keep(x, kept, state))
    }
}
