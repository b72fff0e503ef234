//! RoBoT (He et al. 2024): a search by a mixture of training-free metrics.
//!
//! Every architecture of a random pool is scored by the six metrics of [`crate::zero_cost`], each scaled
//! to 0 to 1 over the pool. Weights of the metrics, between -1 and 1, make a ranking of the pool, and
//! the accuracy of its first architecture is what they are worth: [`crate::bayes`] looks for the best
//! weights, and each round evaluates one architecture unless it has been. Then the best weights' ranking
//! is gone down, until as many are evaluated as there are rounds. The result is the most accurate of
//! all these.
//!
//! All as in the published code that the data-poisoning study ran; `benches/peers/nas/README.md` says
//! what that does, and [`Choice::Published`] where its last step goes wrong. Accuracies are those of
//! short trainings, on images that poison can reach, or are looked up in a table of NAS-Bench-201 ([`crate::reward`]).

mod config;
pub mod pool;
pub mod ranking;
pub mod search;

pub use crate::reward::{Accuracy, TrainConfig};
pub use config::{Choice, RobotConfig, RobotError};
pub use search::{Found, Inputs, Query, run};
