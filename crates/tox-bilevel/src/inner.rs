//! The inner problem: full-batch gradient descent on the penalised training loss.

use crate::config::{Groups, Penalty};
use crate::kernels::Products;
use crate::model::{Layer, Model};
use crate::pass::Passes;
use crate::points::{Points, TrainingSet};

/// Training stopped being finite, or did not descend.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error(
    "training diverged: after step {step} of gradient descent {what}; lower the learning rate or \
     lambda"
)]
pub struct Diverged {
    /// Steps taken, from 1.
    pub step: usize,
    /// What is wrong then.
    pub what: &'static str,
}

/// Weights of this size say nothing any more.
const TOO_LARGE: f64 = 1e10;

/// A penalty with its lambdas.
#[derive(Clone, Debug, PartialEq)]
pub struct Regulariser<F> {
    /// L2 or L1.
    pub penalty: Penalty,
    /// Whether there is one lambda or one for each layer.
    pub groups: Groups,
    /// Whether biases are penalised too.
    pub bias: bool,
    /// As many as there are groups.
    pub lambda: Vec<F>,
}

impl<F> Regulariser<F> {
    /// One lambda for all weights; biases are free.
    pub fn one(penalty: Penalty, lambda: F) -> Self {
        Self {
            penalty,
            groups: Groups::One,
            bias: false,
            lambda: vec![lambda],
        }
    }
}

/// A bilevel problem: what is trained, on what, and what judges it.
#[derive(Clone, Debug)]
pub struct Problem<'a, F> {
    /// The model.
    pub model: &'a Model,
    /// What it is trained on.
    pub train: TrainingSet<'a, F>,
    /// The trusted points whose mean cross-entropy is the outer objective A.
    pub valid: &'a Points<F>,
    /// The penalty; `None` = none.
    pub regulariser: Option<Regulariser<F>>,
    /// Weights at step 0.
    pub start: &'a [F],
    /// T.
    pub steps: usize,
    /// eta.
    pub lr: F,
}

impl<F: Products> Regulariser<F> {
    /// Calls `f(lambda's index, range of parameters)` for each penalised run of parameters.
    pub(crate) fn each(&self, layers: &[Layer], mut f: impl FnMut(usize, std::ops::Range<usize>)) {
        for (l, layer) in layers.iter().enumerate() {
            let group = match self.groups {
                Groups::One => 0,
                Groups::PerLayer => l,
            };
            let end = if self.bias {
                layer.bias.end
            } else {
                layer.weights.end
            };
            f(group, layer.weights.start..end);
        }
    }

    /// The penalty at `w`.
    pub fn value(&self, layers: &[Layer], w: &[F]) -> f64 {
        let mut sum = 0.0;
        self.each(layers, |group, range| {
            let sizes = w[range].iter().map(|w| match self.penalty {
                Penalty::L2 => w.wide().powi(2) / 2.0,
                Penalty::L1 => w.wide().abs(),
            });
            sum += self.lambda[group].wide().exp() * sizes.sum::<f64>();
        });
        sum
    }

    /// Adds the penalty's gradient at `w`.
    pub fn add_gradient(&self, layers: &[Layer], w: &[F], gradient: &mut [F]) {
        self.each(layers, |group, range| {
            let strength = self.lambda[group].exp();
            for (g, &w) in gradient[range.clone()].iter_mut().zip(&w[range]) {
                *g += strength * self.slope(w);
            }
        });
    }

    /// Adds the product of the penalty's Hessian with `v`; that of L1 is 0.
    pub fn add_along(&self, layers: &[Layer], v: &[F], product: &mut [F]) {
        if self.penalty == Penalty::L1 {
            return;
        }
        self.each(layers, |group, range| {
            let strength = self.lambda[group].exp();
            for (p, &v) in product[range.clone()].iter_mut().zip(&v[range]) {
                *p += strength * v;
            }
        });
    }

    /// Derivative of `v . gradient` by each lambda.
    pub fn mixed(&self, layers: &[Layer], w: &[F], v: &[F]) -> Vec<F> {
        let mut mixed = vec![F::zero(); self.lambda.len()];
        self.each(layers, |group, range| {
            let terms = w[range.clone()].iter().zip(&v[range]);
            let sum: F = terms.map(|(&w, &v)| self.slope(w) * v).sum();
            mixed[group] += self.lambda[group].exp() * sum;
        });
        mixed
    }

    /// Adds the derivative of the gradient by lambda along the direction `by` of lambda.
    pub fn add_along_lambda(&self, layers: &[Layer], w: &[F], by: &[F], product: &mut [F]) {
        self.each(layers, |group, range| {
            let strength = self.lambda[group].exp() * by[group];
            for (p, &w) in product[range.clone()].iter_mut().zip(&w[range]) {
                *p += strength * self.slope(w);
            }
        });
    }

    /// The penalty's slope at a weight, for a strength of 1; 0 at the kink of L1.
    fn slope(&self, w: F) -> F {
        match self.penalty {
            Penalty::L2 => w,
            Penalty::L1 if w > F::zero() => F::one(),
            Penalty::L1 if w < F::zero() => -F::one(),
            Penalty::L1 => F::zero(),
        }
    }
}

impl<'a, F: Products> Problem<'a, F> {
    /// Passes over the training set.
    pub fn passes(&self) -> Passes<'a, F> {
        Passes::over(self.model, &self.train)
    }

    /// Trains from the start and returns the last weights.
    ///
    /// # Errors
    /// When a weight becomes useless.
    pub fn train(&self) -> Result<Vec<F>, Diverged> {
        let mut inner = Descent::new(self);
        let mut w = self.start.to_vec();
        for step in 1..=self.steps {
            inner.step(&mut w, step, None)?;
        }
        Ok(w)
    }

    /// The training loss at `w`: mean cross-entropy and penalty.
    pub fn loss(&self, w: &[F]) -> f64 {
        let penalty = self.regulariser.as_ref();
        let penalty = penalty.map_or(0.0, |r| r.value(&self.model.layers(), w));
        self.passes().loss(w) + penalty
    }

    /// As [`Problem::train`], and refuses weights whose training loss is above that of the start:
    /// a learning rate too large may swing for ever and stay finite.
    ///
    /// # Errors
    /// When a weight becomes useless, or nothing was learned.
    pub fn descend(&self) -> Result<Vec<F>, Diverged> {
        let w = self.train()?;
        // Rounding apart: at a strong penalty both may be the same.
        if self.loss(&w) <= 1.001 * self.loss(self.start) {
            return Ok(w);
        }
        Err(Diverged {
            step: self.steps,
            what: "the training loss is above that of the start",
        })
    }

    /// Value and gradient of the outer objective at `w`.
    pub fn outer(&self, w: &[F]) -> (f64, Vec<F>) {
        self.outer_on(self.valid, w)
    }

    /// Mean cross-entropy of `points` at `w`, and its gradient.
    pub fn outer_on(&self, points: &Points<F>, w: &[F]) -> (f64, Vec<F>) {
        let mut passes = Passes::of(self.model, points);
        let mut gradient = vec![F::zero(); w.len()];
        passes.gradient(w, &mut gradient, None);
        (passes.loss(w), gradient)
    }
}

/// Gradient descent on a problem's training loss, step by step.
pub struct Descent<'p, 'a, F> {
    problem: &'p Problem<'a, F>,
    /// Passes over the training set.
    pub passes: Passes<'a, F>,
    /// The model's layers.
    pub layers: Vec<Layer>,
    gradient: Vec<F>,
}

impl<'p, 'a, F: Products> Descent<'p, 'a, F> {
    /// At no step yet.
    pub fn new(problem: &'p Problem<'a, F>) -> Self {
        Self {
            passes: problem.passes(),
            layers: problem.model.layers(),
            gradient: vec![F::zero(); problem.model.parameters()],
            problem,
        }
    }

    /// Step `step`, from 1: `w -= eta * gradient`. A trace is kept in `trace`.
    ///
    /// # Errors
    /// When a weight becomes useless.
    pub fn step(
        &mut self,
        w: &mut [F],
        step: usize,
        trace: Option<&mut [F]>,
    ) -> Result<(), Diverged> {
        self.passes.gradient(w, &mut self.gradient, trace);
        if let Some(regulariser) = &self.problem.regulariser {
            regulariser.add_gradient(&self.layers, w, &mut self.gradient);
        }
        for (w, &g) in w.iter_mut().zip(&self.gradient) {
            *w -= self.problem.lr * g;
        }
        let limit = F::of(TOO_LARGE);
        if w.iter().all(|w| w.abs() <= limit) {
            return Ok(());
        }
        let what = match w.iter().any(|w| !w.is_finite()) {
            true => "a weight is not a number",
            false => "a weight is beyond 1e10",
        };
        Err(Diverged { step, what })
    }
}
