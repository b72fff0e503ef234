//! The implicit function theorem: at weights where the training loss L is flat, `dA/dtheta` is
//! `-(d/dtheta grad L) v` with `H v = grad A`, H the Hessian of L. Two ways to solve the system.
//!
//! It holds at a minimum alone. Neither way checks that training got there; [`Solve::slope`] says how
//! flat L is. Nets seldom get there however long they train: with Leaky ReLU the minimum of a
//! penalised loss mostly puts some rows right on the kink, where L is not flat.
//!
//! The Hessian of an L1 penalty is 0: its system has no penalty term, may be singular where training
//! alone does not fix the weights (logistic regression with a feature that is always 0), and takes
//! every weight's sign as fixed, which is wrong for weights that the penalty holds at 0. With L1, or
//! without a penalty, `damping` makes the system solvable and biases its answer; prefer
//! [`super::ReverseMode`] there.

use super::system::{System, dot};
use super::{Hypergradient, Hypergradients, Solve};
use crate::inner::{Diverged, Problem};
use crate::kernels::Products;
use nalgebra::{Cholesky, DMatrix, DVector, Dyn, LU};

/// Why the implicit system gives no hypergradients.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ImplicitError {
    /// There are no trained weights.
    #[error(transparent)]
    Diverged(#[from] Diverged),
    /// The Hessian would not fit.
    #[error(
        "the exact inverse needs a matrix of {parameters} x {parameters}: the model has more than \
         {most} parameters; use conjugate gradient or reverse mode"
    )]
    TooLarge {
        /// Of the model.
        parameters: usize,
        /// That are accepted.
        most: usize,
    },
    /// The Hessian has no useful inverse.
    #[error(
        "the Hessian of the training loss is singular: its condition number is about \
         {condition:.0e}, at most {most:.0e} is solvable; raise lambda, use an L2 penalty on all \
         parameters or damping, or use reverse mode"
    )]
    Singular {
        /// Estimated.
        condition: f64,
        /// That leaves two digits.
        most: f64,
    },
    /// Conjugate gradient met a direction that is flat or bends down.
    #[error(
        "conjugate gradient met a curvature of {curvature:.1e} after {products} products with the \
         Hessian of the training loss, which must be positive: the weights are not at a minimum, \
         or the Hessian is singular; train longer, raise lambda or damping, or use reverse mode"
    )]
    NotPositive {
        /// Products taken.
        products: usize,
        /// `p H p / p p`.
        curvature: f64,
    },
    /// Conjugate gradient stopped short.
    #[error(
        "conjugate gradient reached a relative residual of {residual:.1e} after {products} products \
         with the Hessian, expected at most {tolerance:.1e}; allow more iterations, raise the \
         tolerance, lambda or damping, or use reverse mode"
    )]
    NotConverged {
        /// Reached.
        residual: f64,
        /// Asked for.
        tolerance: f64,
        /// Products taken.
        products: usize,
    },
}

/// Solves the system by conjugate gradient: one product with the Hessian an iteration, a few vectors
/// of memory. Never returns a solution whose residual, taken anew at the end, is above `tolerance`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConjugateGradient {
    /// Largest `||H v - grad A|| / ||grad A||`.
    pub tolerance: f64,
    /// Most products with the Hessian.
    pub iterations: usize,
    /// Added to the Hessian's diagonal; 0 = the system as it is.
    pub damping: f64,
}

impl Default for ConjugateGradient {
    fn default() -> Self {
        Self {
            tolerance: 1e-4,
            iterations: 1000,
            damping: 0.0,
        }
    }
}

/// Builds the Hessian by products with unit vectors and solves the system directly, in f64. If the
/// Hessian is not positive definite it still solves, says so in [`Solve::definite`], and refuses a
/// system of which less than two digits would be right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exact {
    /// Most parameters; the matrix and a copy take 16 bytes for each pair of them.
    pub parameters: usize,
    /// Added to the Hessian's diagonal; 0 = the system as it is.
    pub damping: f64,
}

impl Default for Exact {
    fn default() -> Self {
        Self {
            parameters: 5000,
            damping: 0.0,
        }
    }
}

impl<F: Products> Hypergradient<F> for ConjugateGradient {
    type Error = ImplicitError;

    fn of(&self, problem: &Problem<'_, F>) -> Result<Hypergradients<F>, ImplicitError> {
        self.at(problem, problem.train()?)
    }

    fn bytes(&self, problem: &Problem<'_, F>) -> usize {
        // v, residual, direction and product
        size_of::<F>() * (4 * problem.model.parameters() + System::values(problem))
    }
}

impl ConjugateGradient {
    /// The hypergradients at weights that were found in some other way.
    ///
    /// # Errors
    /// When the Hessian is not positive definite or the solution not good enough.
    pub fn at<F: Products>(
        &self,
        problem: &Problem<'_, F>,
        weights: Vec<F>,
    ) -> Result<Hypergradients<F>, ImplicitError> {
        let mut system = System::new(problem, weights, self.damping);
        let (loss, b) = problem.outer(&system.w);
        let (v, residual, products) = self.solve(|v, out| system.product(v, out), &b)?;
        let solve = Solve {
            residual,
            products,
            slope: system.slope,
            definite: true,
        };
        Ok(system.hypergradients(&v, loss, solve))
    }

    /// `v` with `product(v) = b`, its relative residual, and the number of products.
    pub(super) fn solve<F: Products>(
        &self,
        mut product: impl FnMut(&[F], &mut [F]),
        b: &[F],
    ) -> Result<(Vec<F>, f64, usize), ImplicitError> {
        let size = dot(b, b).sqrt();
        let mut v = vec![F::zero(); b.len()];
        if size == 0.0 {
            return Ok((v, 0.0, 0));
        }
        let (mut residual, mut hp) = (b.to_vec(), v.clone());
        let (mut products, mut before, mut largest) = (0, f64::INFINITY, 0.0_f64);
        loop {
            // The residual that iterations carry along drifts: the next round begins with the true one.
            let (mut p, mut rr) = (residual.clone(), dot(&residual, &residual));
            while products < self.iterations {
                product(&p, &mut hp);
                products += 1;
                let php = dot(&p, &hp);
                let curvature = php / dot(&p, &p);
                largest = largest.max(curvature);
                let rounding = F::epsilon().wide() * largest;
                if curvature.is_nan() || curvature <= rounding {
                    return Err(ImplicitError::NotPositive {
                        products,
                        curvature,
                    });
                }
                let step = F::of(rr / php);
                for ((v, r), (&p, &hp)) in v.iter_mut().zip(&mut residual).zip(p.iter().zip(&hp)) {
                    *v += step * p;
                    *r -= step * hp;
                }
                let next = dot(&residual, &residual);
                if next.sqrt() <= 0.5 * self.tolerance * size {
                    break;
                }
                let keep = F::of(next / rr);
                for (p, &r) in p.iter_mut().zip(&residual) {
                    *p = r + keep * *p;
                }
                rr = next;
            }
            product(&v, &mut hp);
            products += 1;
            for ((r, &b), &hp) in residual.iter_mut().zip(b).zip(&hp) {
                *r = b - hp;
            }
            let left = dot(&residual, &residual).sqrt() / size;
            if left <= self.tolerance {
                return Ok((v, left, products));
            }
            // A round that does not halve it has reached the rounding of the products.
            if products >= self.iterations || left.is_nan() || left > 0.5 * before {
                return Err(ImplicitError::NotConverged {
                    residual: left,
                    tolerance: self.tolerance,
                    products,
                });
            }
            before = left;
        }
    }
}

impl<F: Products> Hypergradient<F> for Exact {
    type Error = ImplicitError;

    fn of(&self, problem: &Problem<'_, F>) -> Result<Hypergradients<F>, ImplicitError> {
        // Not after an hour of training.
        self.accept(problem)?;
        self.at(problem, problem.train()?)
    }

    fn bytes(&self, problem: &Problem<'_, F>) -> usize {
        let m = problem.model.parameters();
        // the matrix and its factors; three vectors in f64, two in F
        let solve = size_of::<f64>() * (2 * m * m + 3 * m);
        solve + size_of::<F>() * (2 * m + System::values(problem))
    }
}

impl Exact {
    /// The hypergradients at weights that were found in some other way.
    ///
    /// # Errors
    /// When the Hessian is too large or singular.
    pub fn at<F: Products>(
        &self,
        problem: &Problem<'_, F>,
        weights: Vec<F>,
    ) -> Result<Hypergradients<F>, ImplicitError> {
        self.accept(problem)?;
        let mut system = System::new(problem, weights, self.damping);
        let hessian = system.hessian();
        let (loss, b) = problem.outer(&system.w);
        let b = DVector::from_iterator(b.len(), b.iter().map(|b| b.wide()));
        let factors = Factors::of(&hessian);
        let most = 0.01 / F::epsilon().wide();
        let condition = factors.condition(&hessian);
        let v = factors.solve(&b).filter(|_| condition <= most);
        let Some(v) = v else {
            return Err(ImplicitError::Singular { condition, most });
        };
        let off = (&hessian * &v - &b).norm();
        let solve = Solve {
            residual: if off == 0.0 { 0.0 } else { off / b.norm() },
            products: b.len(),
            slope: system.slope,
            definite: matches!(factors, Factors::Definite(_)),
        };
        let v: Vec<F> = v.iter().map(|&v| F::of(v)).collect();
        Ok(system.hypergradients(&v, loss, solve))
    }

    fn accept<F: Products>(&self, problem: &Problem<'_, F>) -> Result<(), ImplicitError> {
        let (parameters, most) = (problem.model.parameters(), self.parameters);
        if parameters > most {
            return Err(ImplicitError::TooLarge { parameters, most });
        }
        Ok(())
    }
}

/// A factorised Hessian.
enum Factors {
    /// It is positive definite.
    Definite(Cholesky<f64, Dyn>),
    /// It is not.
    Other(LU<f64, Dyn, Dyn>),
}

impl Factors {
    fn of(hessian: &DMatrix<f64>) -> Self {
        match Cholesky::new(hessian.clone()) {
            Some(factors) => Self::Definite(factors),
            None => Self::Other(hessian.clone().lu()),
        }
    }

    /// `None` if it is exactly singular.
    fn solve(&self, b: &DVector<f64>) -> Option<DVector<f64>> {
        match self {
            Self::Definite(factors) => Some(factors.solve(b)),
            Self::Other(factors) => factors.solve(b),
        }
    }

    /// The largest row sum over the eigenvalue nearest 0, which inverse iteration finds.
    fn condition(&self, hessian: &DMatrix<f64>) -> f64 {
        let size = (0..hessian.ncols()).map(|i| hessian.column(i).lp_norm(1));
        let size = size.fold(0.0, f64::max);
        // In no eigenvector's way.
        let mut v = DVector::from_fn(hessian.ncols(), |i, _| (1.0 + i as f64).sin());
        let mut growth = 0.0;
        for _ in 0..8 {
            let unit = v.normalize();
            let Some(next) = self.solve(&unit) else {
                return f64::INFINITY;
            };
            growth = next.norm();
            v = next;
        }
        match growth.is_nan() || size.is_nan() {
            true => f64::INFINITY,
            false => size * growth,
        }
    }
}
