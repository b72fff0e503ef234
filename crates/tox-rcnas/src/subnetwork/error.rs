//! Why weights cannot be inherited.

use tox_nn::nets::wrn::ShapeError;

/// Why weights cannot be inherited.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum InheritError {
    /// No network.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// More than the teacher has.
    #[error(
        "a sub-network cannot inherit: its stage {stage} has {what} {student}, the teacher's {teacher}; \
         take at most that"
    )]
    Larger {
        what: &'static str,
        /// From 1.
        stage: usize,
        student: usize,
        teacher: usize,
    },
    /// Another family.
    #[error(
        "a sub-network cannot inherit: its {what} is {student}, the teacher's {teacher}; take the \
         teacher's, or begin without inherited weights"
    )]
    Other {
        what: &'static str,
        student: String,
        teacher: String,
    },
    /// Weights of another network.
    #[error(
        "the weights to inherit are not those of the teacher {teacher}: {found} tensors, expected \
         {expected}{}; load the teacher's weights",
        .example.as_ref().map_or(String::new(), |name| format!(" (`{name}` differs)"))
    )]
    Weights {
        teacher: String,
        found: usize,
        expected: usize,
        example: Option<String>,
    },
}
