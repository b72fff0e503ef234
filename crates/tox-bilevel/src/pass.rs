//! Passes over a set of points: the mean loss, its gradient, products with its Hessian, and the
//! mixed product with the poison. Each row is read once a pass: while its block is in cache the
//! first layer's sums, everything behind them, and the products back into the weights are made.
//!
//! Rows are cut into the same tasks whatever the number of threads, and sums are added in their
//! order, so that threads do not change a result.

use crate::block::{Block, Net, ROWS, sum_units};
use crate::model::{Layer, Model};
use crate::points::{Points, TrainingSet};
use crate::real::{Raw, Real};
use rayon::prelude::*;

/// Tasks of a pass.
const TASKS: usize = 8;

/// Rows `start..start + rows` of a part.
#[derive(Clone, Copy)]
struct Place {
    part: usize,
    start: usize,
    rows: usize,
}

/// A task's blocks and the room it works in.
struct Task<F> {
    places: Vec<Place>,
    block: Block<F>,
    /// A sum over its rows for each parameter.
    sums: Vec<F>,
    /// The first layer's sums of one part, of raw values.
    raw: Vec<F>,
    /// The same without the values, for the shift.
    shift: Vec<F>,
    loss: f64,
    errors: usize,
}

/// Passes over one set with one model. It owns the room that they need.
pub struct Passes<'a, F> {
    layers: Vec<Layer>,
    leak: F,
    parts: Vec<&'a Points<F>>,
    points: usize,
    poison: usize,
    tasks: Vec<Task<F>>,
    /// Values that a trace holds for one block.
    stride: usize,
}

/// What a second-order pass is asked for.
pub struct Along<'b, F> {
    /// Direction of the weights.
    pub v: &'b [F],
    /// Direction of the poison, one row a point; `None` = it stays.
    pub poison: Option<&'b [F]>,
    /// The trace of a gradient pass at the same weights; `None` = its values are made anew.
    pub trace: Option<&'b [F]>,
    /// Gets the derivative of `v . gradient` by the poison, one row a point.
    pub mixed: Option<&'b mut [F]>,
}

impl<'a, F: Real> Passes<'a, F> {
    /// Over a training set.
    pub fn over(model: &Model, set: &TrainingSet<'a, F>) -> Self {
        Self::new(model, set.parts().collect(), set.poison.len())
    }

    /// Over one set of points, none of them poison.
    pub fn of(model: &Model, points: &'a Points<F>) -> Self {
        Self::new(model, vec![points], 0)
    }

    fn new(model: &Model, parts: Vec<&'a Points<F>>, poison: usize) -> Self {
        let layers = model.layers();
        let mut places = Vec::new();
        for (part, points) in parts.iter().enumerate() {
            for start in (0..points.len()).step_by(ROWS) {
                let rows = ROWS.min(points.len() - start);
                places.push(Place { part, start, rows });
            }
        }
        let first = &layers[0];
        let task = |i: usize| Task {
            places: places[i * places.len() / TASKS..(i + 1) * places.len() / TASKS].to_vec(),
            block: Block::new(&layers),
            sums: vec![F::zero(); model.parameters()],
            raw: vec![F::zero(); first.weights.len()],
            shift: vec![F::zero(); first.outputs],
            loss: 0.0,
            errors: 0,
        };
        Self {
            tasks: (0..TASKS).map(task).collect(),
            stride: first.outputs * ROWS,
            leak: F::of(model.leak),
            points: parts.iter().map(|p| p.len()).sum(),
            layers,
            parts,
            poison,
        }
    }

    /// Values of a trace: for each row the sums of the first layer, or without hidden layers the
    /// probabilities.
    pub fn trace_len(&self) -> usize {
        self.stride * self.tasks.iter().map(|t| t.places.len()).sum::<usize>()
    }

    /// Mean cross-entropy at `w`.
    pub fn loss(&mut self, w: &[F]) -> f64 {
        self.look(w);
        self.tasks.iter().map(|t| t.loss).sum::<f64>() / self.points as f64
    }

    /// Share of points with the wrong class, percent.
    pub fn error(&mut self, w: &[F]) -> f64 {
        self.look(w);
        100.0 * self.tasks.iter().map(|t| t.errors).sum::<usize>() as f64 / self.points as f64
    }

    /// Forward only.
    fn look(&mut self, w: &[F]) {
        let (net, firsts) = (
            net(&self.layers, self.leak, w),
            firsts(&self.layers, &self.parts, w),
        );
        let parts = &self.parts;
        self.tasks.par_iter_mut().for_each(|task| {
            (task.loss, task.errors) = (0.0, 0);
            for &place in &task.places {
                let points = parts[place.part];
                task.block.rows = place.rows;
                first_sums(points, place, &firsts[place.part], &mut task.block.z[0]);
                task.block.forward(net);
                let labels = &points.labels[place.start..place.start + place.rows];
                task.loss += task.block.loss(labels);
                task.errors += task.block.errors(labels);
            }
        });
    }

    /// Gradient of the mean cross-entropy at `w` into `gradient`; `trace` is kept for
    /// [`Passes::along`].
    pub fn gradient(&mut self, w: &[F], gradient: &mut [F], trace: Option<&mut [F]>) {
        let (net, firsts) = (
            net(&self.layers, self.leak, w),
            firsts(&self.layers, &self.parts, w),
        );
        let (parts, share) = (&self.parts, F::one() / F::of(self.points as f64));
        let stride = self.stride;
        let lengths = self.tasks.iter().map(|t| t.places.len() * stride).collect();
        let traces = cut(trace, lengths);
        self.tasks
            .par_iter_mut()
            .zip(traces)
            .for_each(|(task, mut trace)| {
                task.begin();
                for i in 0..task.places.len() {
                    let place = task.places[i];
                    let points = parts[place.part];
                    let labels = &points.labels[place.start..place.start + place.rows];
                    let block = &mut task.block;
                    block.rows = place.rows;
                    first_sums(points, place, &firsts[place.part], &mut block.z[0]);
                    block.forward(net);
                    block.probabilities();
                    if let Some(trace) = &mut trace {
                        let kept = if net.layers.len() == 1 {
                            &block.p
                        } else {
                            &block.z[0]
                        };
                        trace[i * stride..(i + 1) * stride].copy_from_slice(kept);
                    }
                    block.backward(net, labels, share);
                    block.add_gradient(net.layers, &mut task.sums);
                    let raw = points.raw(place.start..place.start + place.rows);
                    let d = points.features;
                    F::accumulate(raw, place.rows, d, &block.delta[0], ROWS, &mut task.raw);
                    sum_units(&block.delta[0], &mut task.shift);
                    task.end_of_part(i, points, net.layers);
                }
            });
        self.add(gradient);
    }

    /// Gradient of `v . gradient(w)` by the weights, the Hessian's product with `v` (plus the change
    /// of the gradient along `along.poison`), into `product`; by the poison into `along.mixed`.
    pub fn along(&mut self, w: &[F], along: Along<'_, F>, product: &mut [F]) {
        let (net, firsts) = (
            net(&self.layers, self.leak, w),
            firsts(&self.layers, &self.parts, w),
        );
        let v = along.v;
        let (v, firsts_v) = (
            self::net(&self.layers, self.leak, v),
            self::firsts(&self.layers, &self.parts, v),
        );
        let (parts, share) = (&self.parts, F::one() / F::of(self.points as f64));
        let (stride, layers) = (self.stride, net.layers.len());
        let poison_part = parts.len() - 1;
        let has_poison = self.poison > 0;
        let is_poison = |place: &Place| has_poison && place.part == poison_part;
        let mixed = cut(
            along.mixed,
            self.tasks
                .iter()
                .map(|t| {
                    let rows = t.places.iter().filter(|p| is_poison(p)).map(|p| p.rows);
                    rows.sum::<usize>() * net.layers[0].inputs
                })
                .collect(),
        );
        let mut before = 0;
        let firsts_of_tasks: Vec<usize> = self
            .tasks
            .iter()
            .map(|t| {
                before += t.places.len();
                before - t.places.len()
            })
            .collect();
        self.tasks
            .par_iter_mut()
            .zip(mixed)
            .zip(firsts_of_tasks)
            .for_each(|((task, mut mixed), first_block)| {
                task.begin();
                let mut mixed_at = 0;
                for i in 0..task.places.len() {
                    let place = task.places[i];
                    let points = parts[place.part];
                    let (d, rows) = (points.features, place.start..place.start + place.rows);
                    let labels = &points.labels[rows.clone()];
                    let block = &mut task.block;
                    block.rows = place.rows;
                    match along.trace {
                        Some(trace) => {
                            let at = (first_block + i) * stride;
                            let kept = &trace[at..at + stride];
                            if layers == 1 {
                                block.p.copy_from_slice(kept);
                            } else {
                                block.z[0].copy_from_slice(kept);
                            }
                        }
                        None => first_sums(points, place, &firsts[place.part], &mut block.z[0]),
                    }
                    if along.trace.is_none() || layers > 1 {
                        block.forward(net);
                        block.probabilities();
                    }
                    first_sums(points, place, &firsts_v[place.part], &mut block.rz[0]);
                    let direction = along.poison.filter(|_| is_poison(&place));
                    let direction = direction.map(|p| &p[rows.start * d..rows.end * d]);
                    if let Some(x) = direction {
                        let mut extra = vec![F::zero(); stride];
                        let x = Raw::Reals(x);
                        F::project(x, place.rows, d, net.weights(0), &mut extra, ROWS);
                        for (rz, &extra) in block.rz[0].iter_mut().zip(&extra) {
                            *rz += extra;
                        }
                    }
                    block.forward_along(net, v);
                    // Without hidden layers `delta` matters to the poison's products alone.
                    if layers > 1 || is_poison(&place) {
                        block.backward(net, labels, share);
                    }
                    block.backward_along(net, v, share);
                    block.add_gradient_along(net.layers, &mut task.sums);
                    let raw = points.raw(rows.clone());
                    F::accumulate(raw, place.rows, d, &block.rdelta[0], ROWS, &mut task.raw);
                    if let Some(x) = direction {
                        let x = Raw::Reals(x);
                        F::accumulate(x, place.rows, d, &block.delta[0], ROWS, &mut task.raw);
                    }
                    sum_units(&block.rdelta[0], &mut task.shift);
                    if let Some(mixed) = mixed.as_deref_mut().filter(|_| is_poison(&place)) {
                        let out = &mut mixed[mixed_at..mixed_at + place.rows * d];
                        out.fill(F::zero());
                        spread(&block.rdelta[0], net.weights(0), out);
                        spread(&block.delta[0], v.weights(0), out);
                        mixed_at += place.rows * d;
                    }
                    task.end_of_part(i, points, net.layers);
                }
            });
        self.add(product);
    }

    /// Adds up what the tasks have.
    fn add(&self, out: &mut [F]) {
        out.fill(F::zero());
        for task in &self.tasks {
            for (out, &sum) in out.iter_mut().zip(&task.sums) {
                *out += sum;
            }
        }
    }
}

impl<F: Real> Task<F> {
    fn begin(&mut self) {
        self.sums.fill(F::zero());
        self.raw.fill(F::zero());
        self.shift.fill(F::zero());
    }

    /// After block `i`: if it is the part's last here, puts its raw sums into the sums.
    fn end_of_part(&mut self, i: usize, points: &Points<F>, layers: &[Layer]) {
        let part = |i: usize| self.places.get(i).map(|p| p.part);
        if part(i) == part(i + 1) {
            return;
        }
        let (scale, offset) = points.affine();
        let sums = &mut self.sums[layers[0].weights.clone()];
        let rows = sums.chunks_exact_mut(points.features);
        let raw = self.raw.chunks_exact_mut(points.features);
        for ((sums, raw), shift) in rows.zip(raw).zip(&mut self.shift) {
            let shift = offset * std::mem::replace(shift, F::zero());
            for (sum, raw) in sums.iter_mut().zip(raw) {
                *sum += scale * std::mem::replace(raw, F::zero()) + shift;
            }
        }
    }
}

/// The first layer as raw values meet it: a feature's scale and shift are in it.
struct First<F> {
    weights: Vec<F>,
    bias: Vec<F>,
}

fn net<'b, F: Real>(layers: &'b [Layer], leak: F, w: &'b [F]) -> Net<'b, F> {
    Net { layers, leak, w }
}

/// For each part, the first layer of `w` for its raw values.
fn firsts<F: Real>(layers: &[Layer], parts: &[&Points<F>], w: &[F]) -> Vec<First<F>> {
    let first = &layers[0];
    let (weights, bias) = (&w[first.weights.clone()], &w[first.bias.clone()]);
    let of = |points: &&Points<F>| {
        let (scale, offset) = points.affine();
        let rows = weights.chunks_exact(first.inputs).zip(bias);
        let bias = rows
            .map(|(row, &bias)| match offset == F::zero() {
                true => bias,
                false => bias + offset * row.iter().copied().sum(),
            })
            .collect();
        First {
            weights: weights.iter().map(|&w| scale * w).collect(),
            bias,
        }
    };
    parts.iter().map(of).collect()
}

/// The first layer's sums of a block's rows.
fn first_sums<F: Real>(points: &Points<F>, place: Place, first: &First<F>, out: &mut [F]) {
    let raw = points.raw(place.start..place.start + place.rows);
    F::project(raw, place.rows, points.features, &first.weights, out, ROWS);
    for (unit, &bias) in out.chunks_exact_mut(ROWS).zip(&first.bias) {
        for z in &mut unit[..place.rows] {
            *z += bias;
        }
    }
}

/// `out[r][j] += sum over k of units[k][r] * w[k][j]`.
fn spread<F: Real>(units: &[F], w: &[F], out: &mut [F]) {
    let d = w.len() / (units.len() / ROWS);
    for (unit, w) in units.chunks_exact(ROWS).zip(w.chunks_exact(d)) {
        for (&unit, out) in unit.iter().zip(out.chunks_exact_mut(d)) {
            for (out, &w) in out.iter_mut().zip(w) {
                *out += unit * w;
            }
        }
    }
}

/// Cuts `values` into pieces of these lengths.
fn cut<F>(values: Option<&mut [F]>, lengths: Vec<usize>) -> Vec<Option<&mut [F]>> {
    let mut rest = values;
    let piece = |length| {
        let (now, later) = rest.take()?.split_at_mut(length);
        rest = Some(later);
        Some(now)
    };
    lengths.into_iter().map(piece).collect()
}
