//! Reverse-mode differentiation through the inner training (the paper's Algorithm 1).

use super::{Hypergradient, Hypergradients};
use crate::config::Keep;
use crate::inner::{Descent, Diverged, Problem};
use crate::kernels::Products;
use crate::pass::{Along, Passes};
use crate::points::Points;

/// Trains forward and differentiates the steps in reverse. Time O(T n m), twice that of training;
/// memory as `keep` says.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReverseMode {
    /// What is kept of the training.
    pub keep: Keep,
}

impl ReverseMode {
    /// Steps of a segment: weights are kept at each start of one, and its own are made again.
    fn segment(self, steps: usize) -> usize {
        match self.keep {
            Keep::Everything | Keep::States => steps,
            Keep::Checkpoints => (steps as f64).sqrt().ceil() as usize,
        }
        .max(1)
    }

    /// Values of a trace, if traces are kept.
    fn trace_len<F: Products>(self, passes: &Passes<'_, F>) -> usize {
        match self.keep {
            Keep::Everything | Keep::Checkpoints => passes.trace_len(),
            Keep::States => 0,
        }
    }
}

impl<F: Products> Hypergradient<F> for ReverseMode {
    type Error = Diverged;

    fn bytes(&self, problem: &Problem<'_, F>) -> usize {
        let segment = self.segment(problem.steps);
        let m = problem.model.parameters();
        let states = problem.steps.div_ceil(segment) + segment;
        let traces = segment * self.trace_len(&problem.passes());
        let poison = problem.train.poison.len() * problem.model.features;
        // w, its gradient, dw and its product
        size_of::<F>() * ((states + 4) * m + traces + poison)
    }

    fn of(&self, problem: &Problem<'_, F>) -> Result<Hypergradients<F>, Diverged> {
        // Inside the pool, so that a pass does not have to enter it.
        rayon::scope(|_| Ok(self.run(problem, None, None)?.0))
    }
}

impl ReverseMode {
    /// As [`Hypergradient::of`], of two outer objectives (the paper's Eq. 2): that of lambda stays the cross-entropy
    /// of the trusted points, that of the poison is the cross-entropy of `target`, whose value comes with it. One
    /// training is followed back twice, step by step.
    ///
    /// # Errors
    /// When the inner training diverges.
    pub fn of_two<F: Products>(
        &self,
        problem: &Problem<'_, F>,
        target: &Points<F>,
    ) -> Result<(Hypergradients<F>, f64), Diverged> {
        rayon::scope(|_| {
            let (found, _, aimed) = self.run(problem, None, Some(target))?;
            Ok((found, aimed))
        })
    }

    /// As [`Hypergradient::of`], of a training in which row `i` counts for `weights[i]`, part after part; and
    /// the derivative of the outer objective by each of these weights. It is one number a row and a step, of
    /// the pass that is made anyway.
    ///
    /// # Errors
    /// When the inner training diverges.
    ///
    /// # Panics
    /// If there are fewer weights than rows.
    pub fn by_weights<F: Products>(
        &self,
        problem: &Problem<'_, F>,
        weights: &[F],
    ) -> Result<(Hypergradients<F>, Vec<F>), Diverged> {
        rayon::scope(|_| {
            let (found, rows, _) = self.run(problem, Some(weights), None)?;
            Ok((found, rows))
        })
    }

    fn run<F: Products>(
        &self,
        problem: &Problem<'_, F>,
        row_weights: Option<&[F]>,
        target: Option<&Points<F>>,
    ) -> Result<(Hypergradients<F>, Vec<F>, f64), Diverged> {
        let steps = problem.steps;
        let segment = self.segment(steps);
        let mut descent = Descent::new(problem);
        if let Some(weights) = row_weights {
            descent.passes.weigh(weights);
        }
        let trace_len = self.trace_len(&descent.passes);
        let mut starts = Vec::new();
        let mut w = problem.start.to_vec();
        let mut last = Segment::new(segment, w.len(), trace_len);
        for from in (0..steps).step_by(segment) {
            let to = (from + segment).min(steps);
            starts.push(w.clone());
            if to == steps {
                last.train(&mut descent, &mut w, from, to)?;
            } else {
                for step in from..to {
                    descent.step(&mut w, step + 1, None)?;
                }
            }
        }

        let (loss, mut dw) = problem.outer(&w);
        let rows = row_weights.map_or(0, |_| problem.train.len());
        let lambdas = problem.regulariser.as_ref().map_or(0, |r| r.lambda.len());
        let poison = problem.train.poison.len() * problem.model.features;
        let room = |poison, lambdas| Reverse {
            poison: vec![F::zero(); poison],
            lambda: vec![F::zero(); lambdas],
            product: vec![F::zero(); w.len()],
            rows: vec![F::zero(); rows],
            by_row: vec![F::zero(); rows],
        };
        let mut reverse = room(if target.is_some() { 0 } else { poison }, lambdas);
        let mut aimed = target.map(|target| {
            let (loss, dw) = problem.outer_on(target, &w);
            (room(poison, 0), loss, dw)
        });
        let weights = w;
        for (i, start) in starts.iter().enumerate().rev() {
            let (from, to) = (i * segment, ((i + 1) * segment).min(steps));
            if to < steps {
                last.train(&mut descent, &mut start.clone(), from, to)?;
            }
            for step in (0..to - from).rev() {
                let (w, trace) = last.at(step);
                reverse.step(problem, &mut descent, w, trace, &mut dw);
                if let Some((reverse, _, dw)) = &mut aimed {
                    reverse.step(problem, &mut descent, w, trace, dw);
                }
            }
        }
        let (poison, aimed) = match aimed {
            Some((aimed, loss, _)) => (aimed.poison, loss),
            None => (reverse.poison, loss),
        };
        let found = Hypergradients {
            poison,
            lambda: reverse.lambda,
            weights,
            loss,
            solve: None,
        };
        Ok((found, reverse.rows, aimed))
    }
}

/// The states of consecutive steps, with their traces where these are kept.
struct Segment<F> {
    states: Vec<F>,
    traces: Vec<F>,
    parameters: usize,
    trace_len: usize,
}

impl<F: Products> Segment<F> {
    fn new(steps: usize, parameters: usize, trace_len: usize) -> Self {
        Self {
            states: vec![F::zero(); steps * parameters],
            traces: vec![F::zero(); steps * trace_len],
            parameters,
            trace_len,
        }
    }

    /// Trains from step `from` to `to` and keeps what each step began with.
    fn train(
        &mut self,
        descent: &mut Descent<'_, '_, F>,
        w: &mut [F],
        from: usize,
        to: usize,
    ) -> Result<(), Diverged> {
        for step in from..to {
            let at = step - from;
            self.states[at * self.parameters..(at + 1) * self.parameters].copy_from_slice(w);
            let trace = &mut self.traces[at * self.trace_len..(at + 1) * self.trace_len];
            let trace = (self.trace_len > 0).then_some(trace);
            descent.step(w, step + 1, trace)?;
        }
        Ok(())
    }

    /// Weights and trace of a step, counted from the segment's start.
    fn at(&self, step: usize) -> (&[F], Option<&[F]>) {
        let trace = &self.traces[step * self.trace_len..(step + 1) * self.trace_len];
        (
            &self.states[step * self.parameters..(step + 1) * self.parameters],
            (self.trace_len > 0).then_some(trace),
        )
    }
}

/// The sums of the reverse pass and its room.
struct Reverse<F> {
    poison: Vec<F>,
    lambda: Vec<F>,
    product: Vec<F>,
    /// By the rows' weights; both empty without them.
    rows: Vec<F>,
    by_row: Vec<F>,
}

impl<F: Products> Reverse<F> {
    /// One step of Algorithm 1, lines 7 to 13: all three products are taken with the old `dw`.
    fn step(
        &mut self,
        problem: &Problem<'_, F>,
        descent: &mut Descent<'_, '_, F>,
        w: &[F],
        trace: Option<&[F]>,
        dw: &mut [F],
    ) {
        let along = Along {
            v: dw,
            poison: None,
            trace,
            mixed: (!self.poison.is_empty()).then_some((-problem.lr, &mut self.poison[..])),
            rows: (!self.by_row.is_empty()).then_some(&mut self.by_row[..]),
        };
        descent.passes.along(w, along, &mut self.product);
        for (sum, &by_row) in self.rows.iter_mut().zip(&self.by_row) {
            *sum -= problem.lr * by_row;
        }
        if let Some(regulariser) = &problem.regulariser {
            let mixed = regulariser.mixed(&descent.layers, w, dw);
            for (sum, mixed) in self.lambda.iter_mut().zip(mixed) {
                *sum -= problem.lr * mixed;
            }
            regulariser.add_along(&descent.layers, dw, &mut self.product);
        }
        for (dw, &product) in dw.iter_mut().zip(&self.product) {
            *dw -= problem.lr * product;
        }
    }
}
