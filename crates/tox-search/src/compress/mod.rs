//! The compression of a teacher, as a learner of a study: [`crate::rcnas`] searches, this says for which
//! task, and how candidates are trained, attacked and judged.

mod config;
pub mod task;

pub use config::{
    CandidateConfig, CompressConfig, HashedFile, JudgeConfig, MetaTasks, Normalisation, Part,
    TableConfig, attacks,
};
