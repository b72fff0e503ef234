//! What noting, holding and probing passes do to a map, as ops of Burn's `Flex` backend. Compositions
//! of Burn's own ops do the same on other backends; here they took two thirds of the time of a pass.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex, backend_extension};
use burn::tensor::TensorData;
use std::sync::{Arc, Mutex, PoisonError};

/// One byte a value: whether a ReLU lets it through, or which value of its 3x3 window a max pool took
/// (0 to 8, row by row).
pub type Bytes = Arc<Vec<u8>>;

/// Where an op leaves what it found, which no gradient goes through.
#[derive(Debug)]
pub struct Sink<T>(Arc<Mutex<Vec<T>>>);

impl<T> Clone for Sink<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Sink<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Sink<T> {
    fn put(&self, found: T) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(found);
    }

    /// What has been found since it was last asked for.
    pub fn take(&self) -> Vec<T> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Ops on maps, f32 and NCHW.
#[backend_extension(Flex, Autodiff)]
pub trait GateBackend: Backend {
    /// The values that `gate` lets through, the others 0.
    fn gate(x: FloatTensor<Self>, gate: Bytes) -> FloatTensor<Self>;
    /// ReLU; its gate goes into `sink`.
    fn noted_relu(x: FloatTensor<Self>, sink: Sink<Bytes>) -> FloatTensor<Self>;
    /// Of every 3x3 window, padding 1, the value that `winners` says.
    fn pick(x: FloatTensor<Self>, winners: Bytes) -> FloatTensor<Self>;
    /// Max pooling; its winners go into `sink`.
    fn noted_max_pool(x: FloatTensor<Self>, sink: Sink<Bytes>) -> FloatTensor<Self>;
    /// `x` itself. The backward pass puts the sum of value times gradient of each plane into `sink`,
    /// with `mark`.
    fn watch(x: FloatTensor<Self>, mark: usize, sink: Sink<(usize, Vec<f32>)>)
    -> FloatTensor<Self>;
}

fn shape(x: &FlexTensor) -> [usize; 4] {
    let shape = x.layout().shape();
    [shape[0], shape[1], shape[2], shape[3]]
}

fn range(x: &FlexTensor) -> std::ops::Range<usize> {
    let start = x.layout().start_offset();
    start..start + x.layout().num_elements()
}

fn values(x: &FlexTensor) -> &[f32] {
    &x.storage::<f32>()[range(x)]
}

/// Changes every value, with its byte, in place if nobody else has the tensor.
fn gated(x: FlexTensor, gate: &[u8]) -> FlexTensor {
    let mut x = x.to_contiguous();
    let through = |v: f32, open: u8| if open != 0 { v } else { 0.0 };
    if x.is_unique() {
        let range = range(&x);
        let values = x.storage_mut::<f32>()[range].iter_mut();
        values
            .zip(gate)
            .for_each(|(v, open)| *v = through(*v, *open));
        return x;
    }
    let out = values(&x).iter().zip(gate);
    let out: Vec<f32> = out.map(|(v, open)| through(*v, *open)).collect();
    FlexTensor::from_data(TensorData::new(out, shape(&x)))
}

/// Where window value `tap` lies, from the window's centre.
fn offsets(w: usize) -> [isize; 9] {
    std::array::from_fn(|tap| (tap as isize / 3 - 1) * w as isize + tap as isize % 3 - 1)
}

/// Which value of each window is its largest: NaN wins, of equals the first, as in the pooling
/// kernel.
fn winners(x: &[f32], h: usize, w: usize) -> Vec<u8> {
    let (mut all, pitch) = (vec![4; x.len()], w + 2);
    let mut padded = vec![f32::NEG_INFINITY; (h + 2) * pitch];
    let (mut best, mut taps) = (vec![0.0f32; w], vec![0u32; w]);
    for (x, winners) in x.chunks_exact(h * w).zip(all.chunks_exact_mut(h * w)) {
        for (y, row) in x.chunks_exact(w).enumerate() {
            padded[(y + 1) * pitch + 1..][..w].copy_from_slice(row);
        }
        for (y, winners) in winners.chunks_exact_mut(w).enumerate() {
            best.fill(f32::NEG_INFINITY);
            taps.fill(4); // A window of -inf: its centre.
            for tap in 0..9 {
                let row = &padded[(y + tap / 3) * pitch + tap % 3..][..w];
                for ((best, winner), v) in best.iter_mut().zip(&mut taps).zip(row) {
                    let wins = *v > *best || v.is_nan();
                    *winner = if wins { tap as u32 } else { *winner };
                    *best = if wins { *v } else { *best };
                }
            }
            let pairs = winners.iter_mut().zip(&taps);
            pairs.for_each(|(winner, tap)| *winner = *tap as u8);
        }
    }
    all
}

fn picked(x: &[f32], winners: &[u8], h: usize, w: usize) -> Vec<f32> {
    let offsets = offsets(w);
    let mut out = Vec::with_capacity(x.len());
    for (x, winners) in x.chunks_exact(h * w).zip(winners.chunks_exact(h * w)) {
        let pixels = winners.iter().enumerate();
        out.extend(pixels.map(|(at, tap)| x[at.wrapping_add_signed(offsets[usize::from(*tap)])]));
    }
    out
}

fn unpicked(dy: &[f32], winners: &[u8], h: usize, w: usize) -> Vec<f32> {
    let offsets = offsets(w);
    let mut dx = vec![0.0; dy.len()];
    let planes = dx.chunks_exact_mut(h * w).zip(dy.chunks_exact(h * w));
    for ((dx, dy), winners) in planes.zip(winners.chunks_exact(h * w)) {
        for (at, (dy, tap)) in dy.iter().zip(winners).enumerate() {
            dx[at.wrapping_add_signed(offsets[usize::from(*tap)])] += dy;
        }
    }
    dx
}

/// For every plane, in sixteen sums.
fn products(x: &[f32], dy: &[f32], plane: usize) -> Vec<f32> {
    let planes = x.chunks_exact(plane).zip(dy.chunks_exact(plane));
    let product = |(x, dy): (&[f32], &[f32])| {
        let mut sums = [0.0f32; 16];
        for (x, dy) in x.chunks(16).zip(dy.chunks(16)) {
            for ((sum, x), dy) in sums.iter_mut().zip(x).zip(dy) {
                *sum += x * dy;
            }
        }
        sums.iter().map(|v| f64::from(*v)).sum::<f64>() as f32
    };
    planes.map(product).collect()
}

impl GateBackend for Flex {
    fn gate(x: FlexTensor, gate: Bytes) -> FlexTensor {
        gated(x, &gate)
    }

    fn noted_relu(x: FlexTensor, sink: Sink<Bytes>) -> FlexTensor {
        let x = x.to_contiguous();
        let gate = values(&x).iter().map(|v| u8::from(*v > 0.0 || v.is_nan()));
        let gate = Arc::new(gate.collect());
        sink.put(Arc::clone(&gate));
        gated(x, &gate)
    }

    fn pick(x: FlexTensor, winners: Bytes) -> FlexTensor {
        let (x, dims) = (x.to_contiguous(), shape(&x));
        let out = picked(values(&x), &winners, dims[2], dims[3]);
        FlexTensor::from_data(TensorData::new(out, dims))
    }

    fn noted_max_pool(x: FlexTensor, sink: Sink<Bytes>) -> FlexTensor {
        let (x, dims) = (x.to_contiguous(), shape(&x));
        let winners = Arc::new(winners(values(&x), dims[2], dims[3]));
        sink.put(Arc::clone(&winners));
        Self::pick(x, winners)
    }

    fn watch(x: FlexTensor, _: usize, _: Sink<(usize, Vec<f32>)>) -> FlexTensor {
        x
    }
}

#[derive(Debug)]
struct Gate;

impl Backward<Flex, 1> for Gate {
    type State = Bytes;

    fn backward(self, ops: Ops<Bytes, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = grads.consume::<Flex>(&ops.node);
        let [node] = ops.parents;
        if let Some(node) = node {
            grads.register::<Flex>(node.id, gated(dy, &ops.state));
        }
    }
}

#[derive(Debug)]
struct Pick;

impl Backward<Flex, 1> for Pick {
    type State = Bytes;

    fn backward(self, ops: Ops<Bytes, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = grads.consume::<Flex>(&ops.node).to_contiguous();
        let [node] = ops.parents;
        if let Some(node) = node {
            let dims = shape(&dy);
            let dx = unpicked(values(&dy), &ops.state, dims[2], dims[3]);
            let dx = FlexTensor::from_data(TensorData::new(dx, dims));
            grads.register::<Flex>(node.id, dx);
        }
    }
}

#[derive(Debug)]
struct Watch;

impl Backward<Flex, 1> for Watch {
    type State = (FlexTensor, usize, Sink<(usize, Vec<f32>)>);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = grads.consume::<Flex>(&ops.node).to_contiguous();
        let (x, mark, sink) = ops.state;
        let (x, [.., h, w]) = (x.to_contiguous(), shape(&x));
        sink.put((mark, products(values(&x), values(&dy), h * w)));
        let [node] = ops.parents;
        if let Some(node) = node {
            grads.register::<Flex>(node.id, dy);
        }
    }
}

/// The one byte map that an op has just put into its own sink.
fn only(sink: &Sink<Bytes>) -> Bytes {
    let kept = sink.0.lock().unwrap_or_else(PoisonError::into_inner);
    kept.last().cloned().unwrap_or_default()
}

impl<C: CheckpointStrategy> GateBackend for Autodiff<Flex, C> {
    fn gate(x: FloatTensor<Self>, gate: Bytes) -> FloatTensor<Self> {
        let prep = Gate.prepare::<C>([x.node()]).compute_bound().stateful();
        let (x, _x) = x.into_parts();
        match prep {
            OpsKind::Tracked(prep) => prep.finish(Arc::clone(&gate), Flex::gate(x, gate)),
            OpsKind::UnTracked(prep) => prep.finish(Flex::gate(x, gate)),
        }
    }

    fn noted_relu(x: FloatTensor<Self>, sink: Sink<Bytes>) -> FloatTensor<Self> {
        let prep = Gate.prepare::<C>([x.node()]).compute_bound().stateful();
        let (x, _x) = x.into_parts();
        let out = Flex::noted_relu(x, sink.clone());
        match prep {
            OpsKind::Tracked(prep) => prep.finish(only(&sink), out),
            OpsKind::UnTracked(prep) => prep.finish(out),
        }
    }

    fn pick(x: FloatTensor<Self>, winners: Bytes) -> FloatTensor<Self> {
        let prep = Pick.prepare::<C>([x.node()]).compute_bound().stateful();
        let (x, _x) = x.into_parts();
        match prep {
            OpsKind::Tracked(prep) => prep.finish(Arc::clone(&winners), Flex::pick(x, winners)),
            OpsKind::UnTracked(prep) => prep.finish(Flex::pick(x, winners)),
        }
    }

    fn noted_max_pool(x: FloatTensor<Self>, sink: Sink<Bytes>) -> FloatTensor<Self> {
        let prep = Pick.prepare::<C>([x.node()]).compute_bound().stateful();
        let (x, _x) = x.into_parts();
        let out = Flex::noted_max_pool(x, sink.clone());
        match prep {
            OpsKind::Tracked(prep) => prep.finish(only(&sink), out),
            OpsKind::UnTracked(prep) => prep.finish(out),
        }
    }

    fn watch(
        x: FloatTensor<Self>,
        mark: usize,
        sink: Sink<(usize, Vec<f32>)>,
    ) -> FloatTensor<Self> {
        let prep = Watch.prepare::<C>([x.node()]).compute_bound().stateful();
        let (x, _x) = x.into_parts();
        match prep {
            OpsKind::Tracked(prep) => prep.finish((x.clone(), mark, sink), x),
            OpsKind::UnTracked(prep) => prep.finish(x),
        }
    }
}
