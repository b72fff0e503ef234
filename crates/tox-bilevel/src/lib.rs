//! Hyper-parameter learning under data poisoning, as a multiobjective bilevel problem.
//!
//! Follows Carnerero-Cano, Munoz-Gonzalez, Spencer and Lupu, "Hyperparameter Learning under Data
//! Poisoning" (`min over lambda, max over the poison of A(D_val, w*)`, with `w*` trained on the poisoned
//! set). [`config`] says what a learner and an adversary are, [`outcome`] what is measured.
//!
//! A [`Problem`] is a model, the points that it is trained on, the trusted points that judge it, and a
//! penalty. A [`Hypergradient`] differentiates the judgement by the poison's features and by lambda, through
//! the whole training. Here against finite differences:
//!
//! ```
//! use tox_bilevel::{
//!     Hypergradient, Model, Penalty, Points, Problem, Regulariser, ReverseMode, TrainingSet, Values,
//! };
//!
//! let points = |values: &[f64], labels: &[u16]| Points {
//!     features: 1,
//!     values: Values::Reals(values.to_vec()),
//!     labels: labels.to_vec(),
//! };
//! // Logistic regression on four clean points; the adversary owns a fifth, at 0.3, labelled 1.
//! let model = Model { features: 1, hidden: vec![], classes: 2, leak: 0.01 };
//! let clean = points(&[0.0, 0.1, 0.9, 1.0], &[0, 0, 1, 1]);
//! let valid = points(&[0.2, 0.4, 0.7], &[0, 0, 1]);
//! let start = vec![0.0; model.parameters()];
//!
//! // The hypergradients with the poison at `x` and the penalty's strength at exp(lambda).
//! let at = |x: f64, lambda: f64| {
//!     let poison = points(&[x], &[1]);
//!     let problem = Problem {
//!         model: &model,
//!         train: TrainingSet::of(&clean, &poison),
//!         valid: &valid,
//!         regulariser: Some(Regulariser::one(Penalty::L2, lambda)),
//!         start: &start,
//!         steps: 50,
//!         lr: 0.5,
//!     };
//!     ReverseMode::default().of(&problem)
//! };
//!
//! let (x, lambda, h) = (0.3, -2.0, 1e-5);
//! let exact = at(x, lambda)?;
//! let by_poison = (at(x + h, lambda)?.loss - at(x - h, lambda)?.loss) / (2.0 * h);
//! let by_lambda = (at(x, lambda + h)?.loss - at(x, lambda - h)?.loss) / (2.0 * h);
//! assert!((exact.poison[0] - by_poison).abs() < 1e-8);
//! assert!((exact.lambda[0] - by_lambda).abs() < 1e-8);
//! # Ok::<(), tox_bilevel::Diverged>(())
//! ```
//!
//! `examples/hypergradient.rs` climbs with it. [`audit`] is Algorithm 2 of the paper.

pub mod advice;
mod ascent;
pub mod audit;
mod block;
pub mod config;
pub mod converge;
pub mod craft;
pub mod effect;
pub mod hypergradient;
pub mod inner;
mod kernels;
pub mod measures;
pub mod model;
pub mod outcome;
pub mod own;
pub mod pass;
pub mod points;
pub mod real;
pub mod scale;
pub mod sets;
pub mod steady;
pub mod synthetic;
pub mod victim;

pub use audit::AuditError;
pub use config::{BilevelAttack, BilevelConfig, Groups, Keep, Penalty, Victim};
pub use hypergradient::{
    ConjugateGradient, Exact, ForwardMode, Hypergradient, Hypergradients, ImplicitError,
    ReverseMode,
};
pub use inner::{Diverged, Problem, Regulariser};
pub use kernels::Products;
pub use model::Model;
pub use outcome::{BilevelOutcome, Level};
pub use points::{Bytes, Points, TrainingSet, Values};
pub use real::Real;
pub use sets::Sets;
