//! Hypergradients at a minimum that a solver has found: the implicit system among the weights that are
//! not held at 0 by an L1 penalty, solved as far as a few products go. For an adversary that needs a
//! direction, not digits.

use super::system::{System, dot};
use super::{Hypergradients, Solve};
use crate::config::Penalty;
use crate::inner::Problem;
use crate::kernels::Products;

/// Residual, relative, at which the system counts as solved.
const TOLERANCE: f64 = 1e-3;

/// The hypergradients of `problem` at its minimum `weights`, with at most `most` products with the
/// Hessian.
pub fn at_optimum<F: Products>(
    problem: &Problem<'_, F>,
    weights: Vec<F>,
    most: usize,
) -> Hypergradients<F> {
    let mut system = System::new(problem, weights, 0.0);
    let (loss, b) = problem.outer(&system.w);
    let l1 = problem
        .regulariser
        .as_ref()
        .is_some_and(|r| r.penalty == Penalty::L1);
    // A weight at the kink stays there for any small change of the data.
    let free: Vec<bool> = match l1 {
        true => {
            let penalised = penalised(problem);
            let pairs = system.w.iter().zip(penalised);
            pairs.map(|(w, held)| !held || *w != F::zero()).collect()
        }
        false => vec![true; b.len()],
    };
    let keep = |values: &mut [F]| {
        for (value, free) in values.iter_mut().zip(&free) {
            if !free {
                *value = F::zero();
            }
        }
    };
    let mut residual = b;
    keep(&mut residual);
    let size = dot(&residual, &residual).sqrt();
    let mut v = vec![F::zero(); residual.len()];
    let (mut p, mut hp) = (residual.clone(), v.clone());
    let (mut rr, mut products, mut definite, mut largest) = (size * size, 0, true, 0f64);
    while products < most && rr.sqrt() > TOLERANCE * size {
        system.product(&p, &mut hp);
        keep(&mut hp);
        products += 1;
        let php = dot(&p, &hp);
        let curvature = php / dot(&p, &p);
        largest = largest.max(curvature);
        // Flat as far as the products' rounding tells: what was found so far is the answer.
        if curvature.is_nan() || curvature <= F::epsilon().wide() * largest {
            definite = false;
            break;
        }
        let step = F::of(rr / php);
        for ((v, r), (&p, &hp)) in v.iter_mut().zip(&mut residual).zip(p.iter().zip(&hp)) {
            *v += step * p;
            *r -= step * hp;
        }
        let next = dot(&residual, &residual);
        let keep = F::of(next / rr);
        for (p, &r) in p.iter_mut().zip(&residual) {
            *p = r + keep * *p;
        }
        rr = next;
    }
    let solve = Solve {
        residual: if size == 0.0 { 0.0 } else { rr.sqrt() / size },
        products,
        slope: system.slope,
        definite,
    };
    system.hypergradients(&v, loss, solve)
}

/// Whether the penalty, if there is one, acts on each parameter.
fn penalised<F: Products>(problem: &Problem<'_, F>) -> Vec<bool> {
    let mut penalised = vec![false; problem.model.parameters()];
    if let Some(regulariser) = &problem.regulariser {
        regulariser.each(&problem.model.layers(), |_, range| {
            penalised[range].fill(true);
        });
    }
    penalised
}
