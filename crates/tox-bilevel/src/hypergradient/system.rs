//! The implicit system: products with the Hessian of a training loss at some weights, and the way
//! from its solution back to the outer variables.

use super::{Hypergradients, Solve};
use crate::inner::Problem;
use crate::kernels::Products;
use crate::model::Layer;
use crate::pass::{Along, Passes};
use nalgebra::DMatrix;

/// The Hessian of a problem's training loss at some weights.
pub(super) struct System<'p, 'a, F> {
    problem: &'p Problem<'a, F>,
    passes: Passes<'a, F>,
    layers: Vec<Layer>,
    trace: Vec<F>,
    damping: F,
    /// The weights.
    pub(super) w: Vec<F>,
    /// Gradient of the training loss there.
    pub(super) gradient: Vec<F>,
    /// Its norm.
    pub(super) slope: f64,
}

impl<'p, 'a, F: Products> System<'p, 'a, F> {
    pub(super) fn new(problem: &'p Problem<'a, F>, w: Vec<F>, damping: f64) -> Self {
        let (mut passes, layers) = (problem.passes(), problem.model.layers());
        let mut trace = vec![F::zero(); passes.trace_len()];
        let mut gradient = vec![F::zero(); w.len()];
        passes.gradient(&w, &mut gradient, Some(&mut trace));
        if let Some(regulariser) = &problem.regulariser {
            regulariser.add_gradient(&layers, &w, &mut gradient);
        }
        Self {
            problem,
            passes,
            layers,
            trace,
            damping: F::of(damping),
            slope: dot(&gradient, &gradient).sqrt(),
            gradient,
            w,
        }
    }

    /// Values held by it and by what becomes of a solution.
    pub(super) fn values(problem: &Problem<'_, F>) -> usize {
        let poison = problem.train.poison.len() * problem.model.features;
        // w, the gradients of both objectives, and the last product
        4 * problem.model.parameters() + problem.passes().trace_len() + poison
    }

    /// The (damped) Hessian's product with `v`.
    pub(super) fn product(&mut self, v: &[F], out: &mut [F]) {
        let along = Along {
            v,
            poison: None,
            trace: Some(&self.trace),
            mixed: None,
            rows: None,
        };
        self.passes.along(&self.w, along, out);
        if let Some(regulariser) = &self.problem.regulariser {
            regulariser.add_along(&self.layers, v, out);
        }
        for (out, &v) in out.iter_mut().zip(v) {
            *out += self.damping * v;
        }
    }

    /// The whole matrix, made symmetric to the last digit.
    pub(super) fn hessian(&mut self) -> DMatrix<f64> {
        let m = self.w.len();
        let (mut unit, mut column) = (vec![F::zero(); m], vec![F::zero(); m]);
        let mut hessian = DMatrix::zeros(m, m);
        for i in 0..m {
            unit[i] = F::one();
            self.product(&unit, &mut column);
            unit[i] = F::zero();
            for (h, c) in hessian.column_mut(i).iter_mut().zip(&column) {
                *h = c.wide();
            }
        }
        for i in 0..m {
            for j in 0..i {
                let mean = 0.5 * (hessian[(i, j)] + hessian[(j, i)]);
                (hessian[(i, j)], hessian[(j, i)]) = (mean, mean);
            }
        }
        hessian
    }

    /// From the solution `v`, the way back to the outer variables.
    pub(super) fn hypergradients(mut self, v: &[F], loss: f64, solve: Solve) -> Hypergradients<F> {
        let features = self.problem.train.poison.len() * self.problem.model.features;
        let mut poison = vec![F::zero(); features];
        let along = Along {
            v,
            poison: None,
            trace: Some(&self.trace),
            mixed: (features > 0).then_some((-F::one(), &mut poison[..])),
            rows: None,
        };
        let mut product = vec![F::zero(); v.len()];
        self.passes.along(&self.w, along, &mut product);
        let lambda = match &self.problem.regulariser {
            Some(regulariser) => regulariser.mixed(&self.layers, &self.w, v),
            None => Vec::new(),
        };
        Hypergradients {
            poison,
            lambda: lambda.into_iter().map(|mixed| -mixed).collect(),
            weights: self.w,
            loss,
            solve: Some(solve),
        }
    }
}

/// Summed in f64.
pub(super) fn dot<F: Products>(a: &[F], b: &[F]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a.wide() * b.wide()).sum()
}
