//! The hypergradients that a training without end would have: what finite trainings are measured
//! against.

use super::system::System;
use super::{ConjugateGradient, Exact, Hypergradients, ImplicitError};
use crate::config::Penalty;
use crate::inner::{Problem, Regulariser};
use crate::kernels::Products;
use crate::points::{Points, TrainingSet, Values};

/// Newton's method stops where the training loss is as flat as this.
const FLAT: f64 = 1e-11;
/// Steepest place that still counts as a minimum.
const STEEPEST: f64 = 1e-8;
/// Most steps of Newton's method.
const NEWTON: usize = 100;

/// The exact hypergradients, in f64, at the minimum that Newton's method reaches from the weights of
/// `steps` steps of gradient descent; by conjugate gradient if there are more parameters than
/// `exact` takes. Otherwise why there are none.
pub fn converged<F: Products>(
    problem: &Problem<'_, F>,
    steps: usize,
    exact: Exact,
) -> Result<Hypergradients<f64>, String> {
    let penalty = problem.regulariser.as_ref().map(|r| r.penalty);
    if penalty == Some(Penalty::L1) {
        return Err("an L1 penalty has no Hessian".into());
    }
    let fixed: Vec<Points<f64>> = problem.train.fixed.iter().map(|p| wide(p)).collect();
    let (poison, valid) = (wide(problem.train.poison), wide(problem.valid));
    let start: Vec<f64> = problem.start.iter().map(|w| w.wide()).collect();
    let problem = Problem {
        model: problem.model,
        train: TrainingSet {
            fixed: fixed.iter().collect(),
            poison: &poison,
        },
        valid: &valid,
        regulariser: problem.regulariser.as_ref().map(|r| Regulariser {
            penalty: r.penalty,
            groups: r.groups,
            bias: r.bias,
            lambda: r.lambda.iter().map(|l| l.wide()).collect(),
        }),
        start: &start,
        steps,
        lr: problem.lr.wide(),
    };
    let trained = problem.train().map_err(|e| e.to_string())?;
    let (w, slope) = minimum(&problem, trained);
    if slope > STEEPEST {
        return Err(format!(
            "no minimum of the training loss was found: its gradient stays at a norm of \
             {slope:.0e}, expected at most {STEEPEST:.0e}"
        ));
    }
    let sharp = ConjugateGradient {
        tolerance: 1e-10,
        iterations: 20_000,
        damping: exact.damping,
    };
    let found = match exact.at(&problem, w.clone()) {
        Err(ImplicitError::TooLarge { .. }) => sharp.at(&problem, w),
        found => found,
    };
    let found = found.map_err(|e| e.to_string())?;
    match found.solve {
        Some(solve) if !solve.definite => Err("training leads to no minimum but a saddle".into()),
        _ => Ok(found),
    }
}

/// Newton's method on the gradient: each system solved by conjugate gradient, each step halved until
/// the gradient's norm falls. Returns the norm it reached.
fn minimum(problem: &Problem<'_, f64>, mut w: Vec<f64>) -> (Vec<f64>, f64) {
    let solver = ConjugateGradient {
        tolerance: 1e-3,
        iterations: 5000,
        damping: 0.0,
    };
    let mut system = System::new(problem, w.clone(), 0.0);
    for _ in 0..NEWTON {
        if system.slope <= FLAT {
            break;
        }
        let gradient = system.gradient.clone();
        let Ok((v, ..)) = solver.solve(|v, out| system.product(v, out), &gradient) else {
            break;
        };
        let step = |by: f64| {
            let next = w.iter().zip(&v).map(|(w, v)| w - by * v).collect();
            System::new(problem, next, 0.0)
        };
        let tries = (0..20).map(|i| 0.5_f64.powi(i));
        let falls = |by: f64| {
            let next = step(by);
            (next.slope < (1.0 - 0.1 * by) * system.slope).then_some(next)
        };
        match tries.into_iter().find_map(falls) {
            Some(next) => system = next,
            None => break,
        }
        w.copy_from_slice(&system.w);
    }
    (w, system.slope)
}

fn wide<F: Products>(points: &Points<F>) -> Points<f64> {
    Points {
        features: points.features,
        values: match &points.values {
            Values::Bytes {
                bytes,
                scale,
                offset,
            } => Values::Bytes {
                bytes: bytes.clone(),
                scale: scale.wide(),
                offset: offset.wide(),
            },
            Values::Reals(reals) => Values::Reals(reals.iter().map(|x| x.wide()).collect()),
        },
        labels: points.labels.clone(),
    }
}
