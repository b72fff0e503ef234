//! RC-NAS: reinforced compressive architecture search for versatile adversarial robustness.
//!
//! A [`task`] is a data set, an attack, a teacher and a budget. An [`agent`] sees the teacher stage by
//! stage ([`encoder`]) and decides each stage's new depth and width and whether a robust block is appended
//! ([`policy`]); what that is worth ([`reward`]) an [`environment`] says, real training or a [`table`],
//! behind a [`cache`]. It learns by policy gradient ([`reinforce`]): meta-trained over sampled tasks, then
//! fine-tuned on the target. [`search`] runs it, or one of its controls, at the same number of distinct
//! evaluations; [`observe`] looks at the shape that was found.
//!
//! An episode is one step: the agent sees the teacher and its decisions are the sub-network. The paper
//! does not say otherwise; N2N's several steps are decisions of one episode, layer by layer, which the
//! LSTM over the stages stands for.
//!
//! [`subnetwork`] takes a shape's weights from its teacher and measures how much its layers stretch.
//! [`learner`] is the search as a learner of a study.

pub mod agent;
pub mod cache;
pub mod config;
mod controls;
pub mod encoder;
pub mod environment;
mod error;
mod inputs;
mod layers;
pub mod learner;
mod ledger;
mod meta;
pub mod observe;
pub mod outcome;
pub mod policy;
pub mod reinforce;
pub mod reward;
pub mod search;
pub mod space;
pub mod subnetwork;
pub mod table;
pub mod task;

pub use cache::Cache;
pub use config::{Method, RcnasConfig};
pub use environment::{Cost, Environment, Evaluated, Failure, Measured};
pub use error::RcnasError;
pub use inputs::Inputs;
pub use outcome::{Evaluation, MetaSummary, Outcome};
pub use search::run;
pub use space::Space;
pub use task::{Budget, Buffers, HeldOut, Task, TaskAttack, TaskData, TaskError};
