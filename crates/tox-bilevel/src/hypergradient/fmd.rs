//! Forward-mode differentiation through the inner training: the same derivative as reverse mode's,
//! accumulated from the first step on.

use super::{Hypergradient, Hypergradients};
use crate::inner::{Descent, Diverged, Problem};
use crate::kernels::Products;
use crate::pass::Along;

/// Carries `dw/dtheta` along the training for each outer variable theta. Nothing is kept of the
/// steps, but each variable costs a product with the Hessian at every step and a vector as long as
/// the weights: right for lambda, and for poison a check.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ForwardMode {
    /// Which of the poison's features are variables, as indices into its rows laid end to end, each
    /// below `points * features`; `None` = all of them. The result's `poison` has one value for each,
    /// in this order.
    pub poison: Option<Vec<usize>>,
}

impl ForwardMode {
    /// The hypergradient by lambda alone.
    pub fn lambda() -> Self {
        Self {
            poison: Some(Vec::new()),
        }
    }

    fn chosen<F: Products>(&self, problem: &Problem<'_, F>) -> Vec<usize> {
        let all = problem.train.poison.len() * problem.model.features;
        self.poison.clone().unwrap_or_else(|| (0..all).collect())
    }
}

impl<F: Products> Hypergradient<F> for ForwardMode {
    type Error = Diverged;

    fn of(&self, problem: &Problem<'_, F>) -> Result<Hypergradients<F>, Diverged> {
        let chosen = self.chosen(problem);
        let lambdas = problem.regulariser.as_ref().map_or(0, |r| r.lambda.len());
        let mut descent = Descent::new(problem);
        let mut w = problem.start.to_vec();
        let mut before = w.clone();
        let mut trace = vec![F::zero(); descent.passes.trace_len()];
        let mut product = vec![F::zero(); w.len()];
        let features = problem.train.poison.len() * problem.model.features;
        let mut direction = vec![F::zero(); features];
        let mut by = vec![F::zero(); lambdas];
        let mut tangents = vec![vec![F::zero(); w.len()]; lambdas + chosen.len()];
        for step in 1..=problem.steps {
            before.copy_from_slice(&w);
            descent.step(&mut w, step, Some(&mut trace))?;
            for (i, tangent) in tangents.iter_mut().enumerate() {
                let feature = i.checked_sub(lambdas).map(|i| chosen[i]);
                if let Some(feature) = feature {
                    direction[feature] = F::one();
                }
                let along = Along {
                    v: tangent,
                    poison: feature.map(|_| &direction[..]),
                    trace: Some(&trace),
                    mixed: None,
                    rows: None,
                };
                descent.passes.along(&before, along, &mut product);
                if let Some(regulariser) = &problem.regulariser {
                    regulariser.add_along(&descent.layers, tangent, &mut product);
                    if feature.is_none() {
                        by[i] = F::one();
                        regulariser.add_along_lambda(&descent.layers, &before, &by, &mut product);
                        by[i] = F::zero();
                    }
                }
                if let Some(feature) = feature {
                    direction[feature] = F::zero();
                }
                for (z, &product) in tangent.iter_mut().zip(&product) {
                    *z -= problem.lr * product;
                }
            }
        }
        let (loss, gradient) = problem.outer(&w);
        let slope = |z: &Vec<F>| z.iter().zip(&gradient).map(|(&z, &g)| z * g).sum();
        let mut slopes = tangents.iter().map(slope);
        Ok(Hypergradients {
            lambda: slopes.by_ref().take(lambdas).collect(),
            poison: slopes.collect(),
            weights: w,
            loss,
            solve: None,
        })
    }

    fn bytes(&self, problem: &Problem<'_, F>) -> usize {
        let poison = problem.train.poison.len() * problem.model.features;
        let chosen = self.poison.as_ref().map_or(poison, Vec::len);
        let lambdas = problem.regulariser.as_ref().map_or(0, |r| r.lambda.len());
        // w, the one before, its gradient and a product
        let vectors = chosen + lambdas + 4;
        let values = vectors * problem.model.parameters() + problem.passes().trace_len() + poison;
        size_of::<F>() * values + size_of::<usize>() * chosen
    }
}
