//! Logistic regression trained until it has converged, as scikit-learn and other solvers do it: the
//! minimum of the mean cross-entropy with its penalty, by L-BFGS, and with an L1 penalty by its
//! orthant-wise form (Andrew and Gao 2007). The loss is convex, so that there is one minimum and the
//! start does not matter.

use crate::config::Penalty;
use crate::inner::Problem;
use crate::pass::Passes;

use crate::kernels::Products;
use std::collections::VecDeque;

/// Pairs of steps and changes of the gradient that are remembered.
const MEMORY: usize = 12;
/// Halvings of a step before the search along a direction is given up.
const HALVINGS: usize = 40;

/// Iterations in a row that lower the loss by no more than its rounding.
const STALE: usize = 40;

/// When to stop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stop {
    /// Largest slope of the penalised loss by any weight, in units in which the weight's feature has a
    /// mean square of 1 (or less). scikit-learn stops at 1e-4.
    pub slope: f64,
    /// Most iterations.
    pub iterations: usize,
}

impl Default for Stop {
    fn default() -> Self {
        Self {
            slope: 1e-5,
            iterations: 3000,
        }
    }
}

/// What the solver found.
#[derive(Clone, Debug, PartialEq)]
pub struct Minimum<F> {
    /// The weights.
    pub weights: Vec<F>,
    /// The penalised loss there.
    pub loss: f64,
    /// The largest slope there, in the units of [`Stop::slope`].
    pub slope: f64,
    /// Iterations taken.
    pub iterations: usize,
    /// Whether `slope` is as small as was asked for.
    pub converged: bool,
}

/// A point on the way.
struct Place {
    w: Vec<f64>,
    /// Gradient of the smooth part.
    gradient: Vec<f64>,
    loss: f64,
}

struct Solver<'a, F> {
    passes: Passes<'a, F>,
    /// exp(lambda) for each parameter; 0 where there is no penalty.
    strength: Vec<f64>,
    penalty: Penalty,
    single: Vec<F>,
    slope: Vec<F>,
}

/// The minimum of `problem`'s penalised training loss; its steps, rate and start are of no use here.
/// `problem.model` must have no hidden layers.
pub fn minimise<F: Products>(problem: &Problem<'_, F>, start: &[F], stop: Stop) -> Minimum<F> {
    minimise_weighed(problem, None, start, stop)
}

/// As [`minimise`], where row `i` of the training set counts for `weights[i]`, part after part.
pub fn minimise_weighed<F: Products>(
    problem: &Problem<'_, F>,
    weights: Option<&[F]>,
    start: &[F],
    stop: Stop,
) -> Minimum<F> {
    let mut strength = vec![0.0; start.len()];
    if let Some(regulariser) = &problem.regulariser {
        regulariser.each(&problem.model.layers(), |group, range| {
            strength[range].fill(regulariser.lambda[group].wide().exp());
        });
    }
    let penalty = problem
        .regulariser
        .as_ref()
        .map_or(Penalty::L2, |r| r.penalty);
    let squares = mean_squares(problem);
    let inverse: Vec<f64> = squares
        .iter()
        .zip(&strength)
        .map(|(&square, &s)| match penalty {
            Penalty::L2 => 1.0 / (0.25 * square + s).max(1e-12),
            Penalty::L1 => 1.0 / (0.25 * square).max(1e-12),
        })
        .collect();
    let units: Vec<f64> = squares
        .iter()
        .map(|&square| square.sqrt().max(1.0))
        .collect();
    let mut solver = Solver {
        passes: problem.passes(),
        strength,
        penalty,
        single: start.to_vec(),
        slope: vec![F::zero(); start.len()],
    };
    if let Some(weights) = weights {
        solver.passes.weigh(weights);
    }
    let mut here = solver.at(start.iter().map(|w| w.wide()).collect());
    let mut memory: VecDeque<(Vec<f64>, Vec<f64>, f64)> = VecDeque::new();
    let (mut iterations, mut fresh, mut stale) = (0, true, 0);
    let slope = loop {
        let down = solver.descent(&here);
        let slope = down
            .iter()
            .zip(&units)
            .fold(0f64, |most, (d, unit)| most.max(d.abs() / unit));
        if slope <= stop.slope || iterations >= stop.iterations || stale >= STALE {
            break slope;
        }
        iterations += 1;
        let mut direction = two_loop(&memory, &down, &inverse);
        if penalty == Penalty::L1 {
            for (d, down) in direction.iter_mut().zip(&down) {
                if *d * down <= 0.0 {
                    *d = 0.0;
                }
            }
        }
        match solver.search(&here, &direction, &down, fresh) {
            Some(next) => {
                let s: Vec<f64> = next.w.iter().zip(&here.w).map(|(a, b)| a - b).collect();
                let changes = next.gradient.iter().zip(&here.gradient);
                let y: Vec<f64> = changes.map(|(a, b)| a - b).collect();
                let sy = dot(&s, &y);
                if sy > 1e-12 * dot(&y, &y) {
                    if memory.len() == MEMORY {
                        memory.pop_front();
                    }
                    memory.push_back((s, y, sy));
                }
                let same = next.loss >= here.loss - rounding::<F>(here.loss);
                stale = if same { stale + 1 } else { 0 };
                here = next;
                fresh = false;
            }
            // Once more from the gradient alone; then this is as far as these numbers go.
            None if !memory.is_empty() => memory.clear(),
            None => break slope,
        }
    };
    Minimum {
        loss: here.loss,
        converged: slope <= stop.slope,
        slope,
        iterations,
        weights: here.w.iter().map(|&w| F::of(w)).collect(),
    }
}

impl<F: Products> Solver<'_, F> {
    /// Loss and gradient of the smooth part at `w`; the loss has the whole penalty.
    fn at(&mut self, mut w: Vec<f64>) -> Place {
        for (single, w) in self.single.iter_mut().zip(&mut w) {
            *single = F::of(*w);
            *w = single.wide();
        }
        let mut loss = self.passes.loss_and_gradient(&self.single, &mut self.slope);
        let mut gradient: Vec<f64> = self.slope.iter().map(|g| g.wide()).collect();
        for ((w, g), s) in w.iter().zip(&mut gradient).zip(&self.strength) {
            match self.penalty {
                Penalty::L2 => {
                    loss += 0.5 * s * w * w;
                    *g += s * w;
                }
                Penalty::L1 => loss += s * w.abs(),
            }
        }
        Place { w, gradient, loss }
    }

    /// The direction of steepest descent: minus the (sub)gradient that is nearest 0.
    fn descent(&self, here: &Place) -> Vec<f64> {
        if self.penalty == Penalty::L2 {
            return here.gradient.iter().map(|g| -g).collect();
        }
        let each = here.w.iter().zip(&here.gradient).zip(&self.strength);
        each.map(|((&w, &g), &s)| {
            if w > 0.0 {
                -(g + s)
            } else if w < 0.0 {
                -(g - s)
            } else {
                // A weight at 0 leaves it where the loss pulls harder than the penalty.
                -(g - g.clamp(-s, s))
            }
        })
        .collect()
    }

    /// A place along `direction` whose loss is less as it must be; `None` if there is none.
    fn search(
        &mut self,
        here: &Place,
        direction: &[f64],
        down: &[f64],
        fresh: bool,
    ) -> Option<Place> {
        let mut step = 1.0;
        if fresh {
            step = 1.0 / dot(direction, direction).sqrt().max(1.0);
        }
        let rounding = rounding::<F>(here.loss);
        for _ in 0..HALVINGS {
            let moved = here
                .w
                .iter()
                .zip(direction)
                .zip(down.iter().zip(&self.strength));
            let w: Vec<f64> = moved
                .map(|((&w, &d), (&down, &s))| {
                    let to = w + step * d;
                    let side = if w == 0.0 { down } else { w };
                    let crossed = self.penalty == Penalty::L1 && s > 0.0 && to * side < 0.0;
                    if crossed { 0.0 } else { to }
                })
                .collect();
            let next = self.at(w);
            let gain: f64 = next
                .w
                .iter()
                .zip(&here.w)
                .zip(down)
                .map(|((a, b), down)| (a - b) * down)
                .sum();
            if gain > 0.0 && next.loss <= here.loss - 1e-4 * gain + rounding {
                return Some(next);
            }
            step *= 0.5;
        }
        None
    }
}

/// What the sums of a loss cannot tell.
fn rounding<F: Products>(loss: f64) -> f64 {
    4.0 * F::epsilon().wide() * loss.abs()
}

/// The inverse Hessian, as far as the memory knows it, times `down`.
fn two_loop(
    memory: &VecDeque<(Vec<f64>, Vec<f64>, f64)>,
    down: &[f64],
    inverse: &[f64],
) -> Vec<f64> {
    let mut q = down.to_vec();
    let mut shares = Vec::with_capacity(memory.len());
    for (s, y, sy) in memory.iter().rev() {
        let share = dot(s, &q) / sy;
        shares.push(share);
        for (q, y) in q.iter_mut().zip(y) {
            *q -= share * y;
        }
    }
    let scale = memory.back().map_or(1.0, |(_, y, sy)| {
        let size: f64 = y.iter().zip(inverse).map(|(y, h)| y * y * h).sum();
        sy / size
    });
    for (q, h) in q.iter_mut().zip(inverse) {
        *q *= scale * h;
    }
    for ((s, y, sy), share) in memory.iter().zip(shares.iter().rev()) {
        let other = dot(y, &q) / sy;
        for (q, s) in q.iter_mut().zip(s) {
            *q += (share - other) * s;
        }
    }
    q
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Mean square of the feature behind each parameter; 1 for biases.
fn mean_squares<F: Products>(problem: &Problem<'_, F>) -> Vec<f64> {
    let mut squares = vec![0.0; problem.model.features];
    let set = &problem.train;
    for part in set.parts() {
        for i in 0..part.len() {
            for (square, x) in squares.iter_mut().zip(part.row(i)) {
                *square += x.wide().powi(2);
            }
        }
    }
    let mut each = vec![1.0; problem.model.parameters()];
    for layer in problem.model.layers() {
        for row in each[layer.weights].chunks_exact_mut(squares.len()) {
            for (each, square) in row.iter_mut().zip(&squares) {
                *each = square / set.len() as f64;
            }
        }
    }
    each
}
