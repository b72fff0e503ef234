//! Why a search fails.

use super::environment::Failure;
use super::task::TaskError;
use tox_data::ranges::OutOfRange;
use tox_nn::nets::wrn::Shape;

/// Why a search could not begin or go on.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum RcnasError {
    /// A number out of range.
    #[error(transparent)]
    Config(#[from] OutOfRange),
    /// A task that cannot be.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// Nothing to meta-train on.
    #[error(
        "there is no task to meta-train on; list data sets, attacks, teachers and budgets that are not \
         held out, or search with method = \"from-scratch\""
    )]
    NoTasks,
    /// A budget that no sub-network meets.
    #[error(
        "no sub-network of {teacher} meets the budget of {budget} MACs on {data}: the cheapest, \
         {cheapest}, has {least}, the teacher {most}; give a budget of at least {least} MACs"
    )]
    Budget {
        teacher: Box<Shape>,
        data: String,
        budget: u64,
        cheapest: Box<Shape>,
        least: u64,
        most: u64,
    },
    /// A teacher with which nothing can be compared.
    #[error(
        "the teacher {teacher} cannot be compressed for {attack} on {data}: {reason}; rewards are \
         relative to the teacher's robust accuracy, give one that is above 0"
    )]
    Teacher {
        teacher: Box<Shape>,
        data: String,
        attack: String,
        reason: String,
    },
    /// The environment cannot go on.
    #[error("{shape} could not be evaluated under {attack} on {data}: {source}")]
    Environment {
        shape: Box<Shape>,
        data: String,
        attack: String,
        source: Failure,
    },
}
