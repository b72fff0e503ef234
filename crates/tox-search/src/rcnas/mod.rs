//! RC-NAS: reinforced compressive architecture search for versatile adversarial robustness.
//!
//! A [`task`] is a data set, an attack, a teacher and a budget. An agent sees the teacher stage by stage
//! and decides each stage's new depth and width and whether a robust block is appended; what it is worth
//! says an [`environment`]. It is meta-trained over sampled tasks, then fine-tuned on the target.

pub mod cache;
pub mod config;
pub mod environment;
pub mod observe;
pub mod outcome;
pub mod reward;
pub mod space;
pub mod task;

pub use config::{Method, RcnasConfig};
pub use environment::{Cost, Environment, Evaluated, Failure, Measured};
pub use outcome::{Evaluation, MetaSummary, Outcome};
pub use task::{Budget, Buffers, HeldOut, Task, TaskAttack, TaskData, TaskError};
