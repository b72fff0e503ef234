//! The kernels as differentiable ops of Burn's `Cube` backend.

use super::launch::{self, Norm, Normed};
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, AutodiffBackend, Backend, Cube, backend_extension};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;

/// Ops on maps, f32 and NCHW; see [`super`].
#[backend_extension(Cube, Autodiff)]
pub trait CubeKernels: Backend {
    fn cube_max_pool(x: FloatTensor<Self>) -> (FloatTensor<Self>, IntTensor<Self>);
    fn cube_pick(x: FloatTensor<Self>, winners: IntTensor<Self>) -> FloatTensor<Self>;
    fn cube_gather(x: FloatTensor<Self>) -> FloatTensor<Self>;
    /// `[n, c]`.
    fn cube_average(x: FloatTensor<Self>) -> FloatTensor<Self>;
    /// The values of `flat` from `start` on, as a tensor of `shape`, without a copy and without gradients.
    fn cube_view(flat: FloatTensor<Self>, start: usize, shape: [usize; 4]) -> FloatTensor<Self>;
    /// The same values, lying as NHWC, without gradients.
    fn cube_lay(x: FloatTensor<Self>) -> FloatTensor<Self>;
    /// The output, and the statistics, which no gradient goes through.
    fn cube_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        eps: f32,
        relu: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    /// The same with given statistics.
    fn cube_norm_given(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        stats: FloatTensor<Self>,
        eps: f32,
        relu: bool,
    ) -> FloatTensor<Self>;
}

impl CubeKernels for Cube {
    fn cube_view(flat: FloatTensor<Self>, start: usize, shape: [usize; 4]) -> FloatTensor<Self> {
        launch::view(&flat, start, shape)
    }

    fn cube_lay(x: FloatTensor<Self>) -> FloatTensor<Self> {
        launch::laid(x, true)
    }

    fn cube_max_pool(x: FloatTensor<Self>) -> (FloatTensor<Self>, IntTensor<Self>) {
        launch::max_pool(x)
    }

    fn cube_pick(x: FloatTensor<Self>, winners: IntTensor<Self>) -> FloatTensor<Self> {
        launch::pick(x, winners)
    }

    fn cube_gather(x: FloatTensor<Self>) -> FloatTensor<Self> {
        launch::gather(x).0
    }

    fn cube_average(x: FloatTensor<Self>) -> FloatTensor<Self> {
        launch::average(x).0
    }

    fn cube_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        eps: f32,
        relu: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        launch::norm(Norm::new([x, gamma, beta], eps, relu), None)
    }

    fn cube_norm_given(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        stats: FloatTensor<Self>,
        eps: f32,
        relu: bool,
    ) -> FloatTensor<Self> {
        let stats = into_contiguous(stats);
        launch::norm(Norm::new([x, gamma, beta], eps, relu), Some(stats)).0
    }
}

#[derive(Debug)]
struct Picking;

impl Backward<Cube, 1> for Picking {
    /// The winners.
    type State = CubeTensor;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = grads.consume::<Cube>(&ops.node);
        let [node] = ops.parents;
        if let Some(node) = node {
            grads.register::<Cube>(node.id, launch::picked(dy, ops.state));
        }
    }
}

#[derive(Debug)]
struct Gathering;

impl Backward<Cube, 1> for Gathering {
    /// The dimensions of the map, and whether it lies as NHWC.
    type State = ([usize; 4], bool);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = grads.consume::<Cube>(&ops.node);
        let ([node], (dims, last)) = (ops.parents, ops.state);
        if let Some(node) = node {
            grads.register::<Cube>(node.id, launch::gathered(dy, dims, last));
        }
    }
}

#[derive(Debug)]
struct Averaging;

impl Backward<Cube, 1> for Averaging {
    /// The dimensions of the map, and whether it lies as NHWC.
    type State = ([usize; 4], bool);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = grads.consume::<Cube>(&ops.node);
        let ([node], (dims, last)) = (ops.parents, ops.state);
        if let Some(node) = node {
            grads.register::<Cube>(node.id, launch::averaged(dy, dims, last));
        }
    }
}

#[derive(Debug)]
struct Norming;

impl Backward<Cube, 3> for Norming {
    type State = Normed;

    /// Parents: the map, gamma, beta.
    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = grads.consume::<Cube>(&ops.node);
        let gradients = ops.state.backward(dy);
        for (node, gradient) in ops.parents.into_iter().zip(gradients) {
            if let Some(node) = node {
                grads.register::<Cube>(node.id, gradient);
            }
        }
    }
}

impl<C: CheckpointStrategy> CubeKernels for Autodiff<Cube, C> {
    fn cube_view(flat: FloatTensor<Self>, start: usize, shape: [usize; 4]) -> FloatTensor<Self> {
        Self::from_inner(launch::view(flat.primitive(), start, shape))
    }

    fn cube_lay(x: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::from_inner(launch::laid(x.into_primitive(), true))
    }

    fn cube_max_pool(x: FloatTensor<Self>) -> (FloatTensor<Self>, IntTensor<Self>) {
        let prep = Picking.prepare::<C>([x.node()]).compute_bound().stateful();
        let (x, _x) = x.into_parts();
        let (y, winners) = launch::max_pool(x);
        let y = match prep {
            OpsKind::Tracked(prep) => prep.finish(winners.clone(), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        };
        (y, winners)
    }

    fn cube_pick(x: FloatTensor<Self>, winners: IntTensor<Self>) -> FloatTensor<Self> {
        let prep = Picking.prepare::<C>([x.node()]).compute_bound().stateful();
        let (x, _x) = x.into_parts();
        let y = launch::pick(x, winners.clone());
        match prep {
            OpsKind::Tracked(prep) => prep.finish(winners, y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn cube_gather(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let prep = Gathering
            .prepare::<C>([x.node()])
            .compute_bound()
            .stateful();
        let (x, _x) = x.into_parts();
        let dims = launch::dims(&x);
        let (y, last) = launch::gather(x);
        match prep {
            OpsKind::Tracked(prep) => prep.finish((dims, last), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn cube_average(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let prep = Averaging
            .prepare::<C>([x.node()])
            .compute_bound()
            .stateful();
        let (x, _x) = x.into_parts();
        let dims = launch::dims(&x);
        let (y, last) = launch::average(x);
        match prep {
            OpsKind::Tracked(prep) => prep.finish((dims, last), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn cube_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        eps: f32,
        relu: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let (y, stats) = tracked_norm::<C>([x, gamma, beta], (eps, relu), None);
        (y, Self::from_inner(stats))
    }

    fn cube_norm_given(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        stats: FloatTensor<Self>,
        eps: f32,
        relu: bool,
    ) -> FloatTensor<Self> {
        let stats = into_contiguous(stats.into_primitive());
        tracked_norm::<C>([x, gamma, beta], (eps, relu), Some(stats)).0
    }
}

/// The output, and the statistics.
fn tracked_norm<C: CheckpointStrategy>(
    maps: [FloatTensor<Autodiff<Cube, C>>; 3],
    (eps, relu): (f32, bool),
    given: Option<CubeTensor>,
) -> (FloatTensor<Autodiff<Cube, C>>, CubeTensor) {
    let nodes = maps.each_ref().map(|map| map.node());
    let prep = Norming.prepare::<C>(nodes).compute_bound().stateful();
    // The guards keep the nodes until the op is one of the graph.
    let [x, gamma, beta] = maps.map(|map| map.into_parts());
    let inputs = Norm::new([x.0, gamma.0, beta.0], eps, relu);
    let is_given = given.is_some();
    let (y, stats) = launch::norm(inputs.clone(), given);
    let state = Normed {
        inputs,
        stats: stats.clone(),
        given: is_given,
    };
    let y = match prep {
        OpsKind::Tracked(prep) => prep.finish(state, y),
        OpsKind::UnTracked(prep) => prep.finish(y),
    };
    (y, stats)
}
