//! The compression of a teacher, as a learner of a study: the search's settings, its task, and how
//! candidates are trained, attacked and judged.

mod config;
mod normalise;
pub mod task;

pub use config::{
    CandidateConfig, CompressConfig, JudgeConfig, MetaTasks, Part, TableConfig, attacks,
};
pub use normalise::{Constants, Normalisation, NormaliseError};
