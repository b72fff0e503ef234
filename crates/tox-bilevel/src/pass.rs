//! Passes over a set of points: the mean loss, its gradient, products with its Hessian, and the
//! mixed product with the poison. Each row is read once a pass: while its block is in cache the
//! first layer's sums, everything behind them, and the products back into the weights are made.
//!
//! Rows are cut into the same tasks whatever the number of threads, and sums are added in their
//! order, so that threads do not change a result.

use crate::block::{Block, Net, add_units};
use crate::kernels::bytes::tile::{Line, Tile};
use crate::kernels::bytes::{Digits, integers};
use crate::kernels::{Coefficients, Products, ROWS, fast};
use crate::model::{Layer, Model};
use crate::points::{Points, Rows, TrainingSet, Values};
use rayon::prelude::*;

/// Tasks of a pass.
const TASKS: usize = 8;

/// Rows `start..start + rows` of a part.
#[derive(Clone, Copy)]
struct Place {
    part: usize,
    start: usize,
    rows: usize,
    /// The first of them among the rows of all parts.
    first: usize,
}

impl Place {
    /// The rows in their part.
    fn range(&self) -> std::ops::Range<usize> {
        self.start..self.start + self.rows
    }

    /// The weights of its rows, if rows have weights.
    fn weights<'b, F>(&self, weights: &'b Option<Vec<F>>) -> Option<&'b [F]> {
        weights
            .as_ref()
            .map(|all| &all[self.first..self.first + self.rows])
    }
}

/// A task's blocks and the room it works in.
struct Task<'a, F> {
    places: Vec<Place>,
    /// Of each place; `None` of rows that are not multiplied as integers.
    tiles: Vec<Option<&'a Tile>>,
    block: Block<F>,
    /// A sum over its rows for each parameter.
    sums: Vec<F>,
    room: Room<F>,
    loss: f64,
    /// Whether each of its rows gets the wrong class.
    wrong: Vec<bool>,
}

/// Room for rows made real, for digits, for a direction's share, and for the poison's derivatives.
#[derive(Default)]
struct Room<F> {
    rows: Vec<F>,
    digits: Vec<Line>,
    extra: Vec<F>,
    mixed: Vec<F>,
}

/// Passes over one set with one model. It owns the room that they need.
pub struct Passes<'a, F> {
    layers: Vec<Layer>,
    leak: F,
    parts: Vec<&'a Points<F>>,
    points: usize,
    poison: usize,
    /// One a row, part after part; without them each row counts for 1.
    weights: Option<Vec<F>>,
    tasks: Vec<Task<'a, F>>,
    /// The first layer of the weights and of their direction, for parts of 8-bit rows.
    digits: [Digits; 2],
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
    /// What the derivative of `v . gradient` by the poison is added to, one row a point, times this.
    pub mixed: Option<(F, &'b mut [F])>,
    /// Gets the derivative of `v . gradient` by the weight of each row, part after part.
    pub rows: Option<&'b mut [F]>,
}

impl<'a, F: Products> Passes<'a, F> {
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
        let (mut places, mut first) = (Vec::new(), 0);
        for (part, points) in parts.iter().enumerate() {
            for start in (0..points.len()).step_by(ROWS) {
                let rows = ROWS.min(points.len() - start);
                places.push(Place {
                    part,
                    start,
                    rows,
                    first,
                });
                first += rows;
            }
        }
        // Tasks of about the same work; real rows take about three times as long as bytes.
        let works = places.iter().map(|place| match parts[place.part].values {
            Values::Bytes { .. } => place.rows,
            Values::Reals(_) => 3 * place.rows,
        });
        let all: usize = works.clone().sum();
        let mut shares = vec![Vec::new(); TASKS];
        let mut before = 0;
        for (place, work) in places.iter().zip(works) {
            shares[(2 * before + work) * TASKS / (2 * all)].push(*place);
            before += work;
        }
        let tile = |place: &Place| parts[place.part].tiles().get(place.start / ROWS);
        let task = |places: Vec<Place>| Task {
            tiles: places.iter().map(tile).collect(),
            places,
            block: Block::new(&layers),
            sums: vec![F::zero(); model.parameters()],
            room: Room::default(),
            loss: 0.0,
            wrong: Vec::new(),
        };
        Self {
            tasks: shares.into_iter().map(task).collect(),
            stride: layers[0].outputs * ROWS,
            leak: F::of(model.leak),
            points: parts.iter().map(|p| p.len()).sum(),
            digits: Default::default(),
            weights: None,
            layers,
            parts,
            poison,
        }
    }

    /// Weighs the rows, part after part: loss, gradient and products are of the sum of `weight *
    /// cross-entropy` over the number of rows. Errors stay those of all rows alike.
    ///
    /// # Panics
    /// In a pass, if there are fewer weights than rows.
    pub fn weigh(&mut self, weights: &[F]) {
        self.weights = Some(weights.to_vec());
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
        let wrong = |t: &Task<'_, F>| t.wrong.iter().filter(|&&wrong| wrong).count();
        100.0 * self.tasks.iter().map(wrong).sum::<usize>() as f64 / self.points as f64
    }

    /// Forward only.
    fn look(&mut self, w: &[F]) {
        self.ready(0, w);
        let (net, digits) = (net(&self.layers, self.leak, w), &self.digits[0]);
        let (parts, weights) = (&self.parts, &self.weights);
        self.tasks.par_iter_mut().for_each(|task| {
            task.loss = 0.0;
            task.wrong.clear();
            for (&place, tile) in task.places.iter().zip(&task.tiles) {
                let points = parts[place.part];
                let rows = Rows::of(points, place.range(), *tile, &mut task.room.rows);
                let (block, labels) = (&mut task.block, &points.labels[place.range()]);
                block.rows = place.rows;
                first_sums(rows, net, digits, block.rows, &mut block.z[0]);
                fast(
                    #[inline(always)]
                    || block.forward(net),
                );
                task.loss += block.loss(labels, place.weights(weights));
                task.wrong.extend(block.wrong(labels));
            }
        });
    }

    /// Which rows get the wrong class at `w`, part after part in their order.
    pub fn mistakes(&mut self, w: &[F]) -> Vec<bool> {
        self.look(w);
        self.tasks
            .iter()
            .flat_map(|t| t.wrong.iter().copied())
            .collect()
    }

    /// Gradient of the mean cross-entropy at `w` into `gradient`; `trace` is kept for
    /// [`Passes::along`].
    pub fn gradient(&mut self, w: &[F], gradient: &mut [F], trace: Option<&mut [F]>) {
        self.backward(w, gradient, trace, false);
    }

    /// The mean cross-entropy at `w`, and its gradient into `gradient`, in one pass.
    pub fn loss_and_gradient(&mut self, w: &[F], gradient: &mut [F]) -> f64 {
        self.backward(w, gradient, None, true);
        self.tasks.iter().map(|t| t.loss).sum::<f64>() / self.points as f64
    }

    fn backward(&mut self, w: &[F], gradient: &mut [F], trace: Option<&mut [F]>, loss: bool) {
        self.ready(0, w);
        let (net, digits) = (net(&self.layers, self.leak, w), &self.digits[0]);
        let (parts, share) = (&self.parts, F::one() / F::of(self.points as f64));
        let (stride, weights) = (self.stride, &self.weights);
        let lengths = self.tasks.iter().map(|t| t.places.len() * stride);
        let traces = cut(trace, lengths.collect());
        let tasks = self.tasks.par_iter_mut().zip(traces);
        tasks.for_each(|(task, mut trace)| {
            task.sums.fill(F::zero());
            task.loss = 0.0;
            for (i, (&place, tile)) in task.places.iter().zip(&task.tiles).enumerate() {
                let points = parts[place.part];
                let rows = Rows::of(points, place.range(), *tile, &mut task.room.rows);
                let (block, labels) = (&mut task.block, &points.labels[place.range()]);
                block.rows = place.rows;
                block.weigh(share, place.weights(weights));
                first_sums(rows, net, digits, block.rows, &mut block.z[0]);
                let sums = &mut task.sums;
                fast(
                    #[inline(always)]
                    || {
                        block.forward(net);
                        block.probabilities();
                        block.backward(net, labels);
                        block.add_gradient(net.layers, sums);
                    },
                );
                if loss {
                    task.loss += block.loss(labels, place.weights(weights));
                }
                if let Some(trace) = &mut trace {
                    let kept = if net.layers.len() == 1 {
                        &block.p
                    } else {
                        &block.z[0]
                    };
                    trace[i * stride..(i + 1) * stride].copy_from_slice(kept);
                }
                let g = &mut sums[net.layers[0].weights.clone()];
                let d = points.features;
                rows.accumulate(d, &block.delta[0], ROWS, &mut task.room.digits, g);
            }
        });
        self.add(gradient);
    }

    /// Gradient of `v . gradient(w)` by the weights, the Hessian's product with `v` (plus the change
    /// of the gradient along `along.poison`), into `product`; by the poison into `along.mixed`.
    pub fn along(&mut self, w: &[F], along: Along<'_, F>, product: &mut [F]) {
        if along.trace.is_none() {
            self.ready(0, w);
        }
        self.ready(1, along.v);
        let net = net(&self.layers, self.leak, w);
        let v = self::net(&self.layers, self.leak, along.v);
        let [digits, digits_v] = &self.digits;
        let (parts, share) = (&self.parts, F::one() / F::of(self.points as f64));
        let (stride, layers, weights) = (self.stride, net.layers.len(), &self.weights);
        let (has_poison, last) = (self.poison > 0, parts.len() - 1);
        let is_poison = |place: &Place| has_poison && place.part == last;
        let features = net.layers[0].inputs;
        let poison_values = |task: &Task<'_, F>| {
            let places = task.places.iter().filter(|place| is_poison(place));
            places.map(|place| place.rows * features).sum()
        };
        let (times, mixed) = along.mixed.map_or((F::one(), None), |(t, m)| (t, Some(m)));
        let mixed = cut(mixed, self.tasks.iter().map(poison_values).collect());
        let rows_of = |task: &Task<'_, F>| task.places.iter().map(|place| place.rows).sum();
        let by_row = cut(along.rows, self.tasks.iter().map(rows_of).collect());
        let mut blocks = 0;
        let traces = self.tasks.iter().map(|task| {
            let from = blocks * stride;
            blocks += task.places.len();
            along.trace.map(|trace| &trace[from..blocks * stride])
        });
        let traces: Vec<_> = traces.collect();
        let tasks = self.tasks.par_iter_mut().zip(mixed).zip(by_row).zip(traces);
        tasks.for_each(|(((task, mut mixed), mut by_row), trace)| {
            task.sums.fill(F::zero());
            let (mut mixed_at, mut row_at) = (0, 0);
            for (i, (&place, tile)) in task.places.iter().zip(&task.tiles).enumerate() {
                let (points, range) = (parts[place.part], place.range());
                let room = &mut task.room;
                let rows = Rows::of(points, range.clone(), *tile, &mut room.rows);
                let (block, labels) = (&mut task.block, &points.labels[range.clone()]);
                let (d, is_poison) = (features, is_poison(&place));
                block.rows = place.rows;
                block.weigh(share, place.weights(weights));
                match trace {
                    Some(trace) => {
                        let kept = if layers == 1 {
                            &mut block.p
                        } else {
                            &mut block.z[0]
                        };
                        kept.copy_from_slice(&trace[i * stride..(i + 1) * stride]);
                    }
                    None => first_sums(rows, net, digits, block.rows, &mut block.z[0]),
                }
                first_sums(rows, v, digits_v, block.rows, &mut block.rz[0]);
                let direction = along.poison.filter(|_| is_poison);
                let direction = direction.map(|p| &p[range.start * d..range.end * d]);
                if let Some(x) = direction {
                    room.extra.resize(stride, F::zero());
                    F::project(x, d, net.weights(0), &mut room.extra, ROWS);
                    for (rz, &extra) in block.rz[0].iter_mut().zip(&room.extra) {
                        *rz += extra;
                    }
                }
                let sums = &mut task.sums;
                fast(
                    #[inline(always)]
                    || {
                        if trace.is_none() || layers > 1 {
                            block.forward(net);
                            block.probabilities();
                        }
                        block.forward_along(net, v);
                        // Without hidden layers `delta` matters to the poison's products alone.
                        if layers > 1 || is_poison {
                            block.backward(net, labels);
                        }
                        block.backward_along(net, v);
                        block.add_gradient_along(net.layers, sums);
                    },
                );
                if let Some(by_row) = by_row.as_deref_mut() {
                    block.slopes(labels, share, &mut by_row[row_at..row_at + place.rows]);
                    row_at += place.rows;
                }
                let g = &mut sums[net.layers[0].weights.clone()];
                rows.accumulate(d, &block.rdelta[0], ROWS, &mut room.digits, g);
                if let Some(x) = direction {
                    let delta = Coefficients::by_unit(&block.delta[0], ROWS);
                    F::combine(delta, x, d, g);
                }
                if let Some(mixed) = mixed.as_deref_mut().filter(|_| is_poison) {
                    let out = &mut mixed[mixed_at..mixed_at + place.rows * d];
                    block.add_mixed(net, v, times, &mut room.mixed, out);
                    mixed_at += place.rows * d;
                }
            }
        });
        self.add(product);
    }

    /// Makes the digits of the first layer of `w`, where 8-bit rows want them.
    fn ready(&mut self, which: usize, w: &[F]) {
        let first = &self.layers[0];
        let bytes = |points: &&Points<F>| matches!(points.values, Values::Bytes { .. });
        if integers::<F>(first.inputs)
            && self.parts.iter().any(bytes)
            && let Some(w) = F::singles(&w[first.weights.clone()])
        {
            self.digits[which].set(w, first.inputs);
        }
    }

    /// Adds up what the tasks have.
    fn add(&self, out: &mut [F]) {
        fast(
            #[inline(always)]
            || {
                out.fill(F::zero());
                for task in &self.tasks {
                    for (out, &sum) in out.iter_mut().zip(&task.sums) {
                        *out += sum;
                    }
                }
            },
        );
    }
}

fn net<'b, F: Products>(layers: &'b [Layer], leak: F, w: &'b [F]) -> Net<'b, F> {
    Net { layers, leak, w }
}

/// The first layer's sums of a block's rows.
fn first_sums<F: Products>(
    rows: Rows<'_, F>,
    net: Net<'_, F>,
    digits: &Digits,
    count: usize,
    out: &mut [F],
) {
    let d = net.layers[0].inputs;
    rows.project(d, net.weights(0), digits, out, ROWS);
    add_units(out, count, net.bias(0));
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
