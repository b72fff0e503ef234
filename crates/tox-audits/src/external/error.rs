//! Why a learner that somebody brings gave no result.

use std::path::PathBuf;
use std::time::Duration;
use tox_data::DataError;
use tox_study::trial::Exit;

/// Last lines of a program, in one.
#[derive(Clone, Debug, Default)]
pub struct Words(pub Vec<String>);

impl std::fmt::Display for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.is_empty() {
            true => f.write_str("it said nothing"),
            false => write!(f, "its last words: {}", self.0.join(" | ")),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ExternalError {
    /// The program is not there, or not one.
    #[error(
        "cannot start the learner's `{program}`: {source}; check `command` of the recipe's learner (argv, \
         no shell), and that the program is installed and may be executed"
    )]
    Start {
        program: String,
        source: std::io::Error,
    },
    /// A table has no PNG files.
    #[error(
        "`layout` = \"folder\" hands over images, and the data are a table; leave `layout` out"
    )]
    NoImages,
    #[error("cannot wait for the learner: {0}")]
    Wait(std::io::Error),
    /// It ended by itself, without an answer.
    #[error("the learner ended with {how} in the phase `{phase}`; {words}")]
    Ended {
        how: String,
        phase: &'static str,
        words: Words,
    },
    /// It says that it cannot use the data.
    #[error("the learner says that the data are unfit (exit code 3); {words}")]
    Unfit { words: Words },
    /// It stopped for later, though nobody asked it to.
    #[error(
        "the learner ended with exit code 75, which says that it was asked to stop, and it was not; a \
         learner that is done ends with 0; {words}"
    )]
    Unasked { words: Words },
    #[error(
        "the learner was ended after {} s, its `timeout`; raise `timeout`, or have it heed `seconds` of \
         its request; {words}", limit.as_secs()
    )]
    Timeout { limit: Duration, words: Words },
    /// It ended well, and left no answer.
    #[error(
        "the learner ended with exit code 0 and wrote no out/result.json in its folder; it is to write its \
         predictions, and then result.json as the last file; {words}"
    )]
    NoAnswer { words: Words },
    #[error("the learner's out/result.json is not an answer: {what}; expected {EXAMPLE}")]
    Answer { what: String },
    /// A path that leads elsewhere.
    #[error(
        "the learner's out/result.json names the file {name:?}: expected a file in its own folder `out`, \
         without `..`, not absolute and no symbolic link"
    )]
    Path { name: String },
    #[error("the learner's file out/{name}: {what}; expected {expected}")]
    Predictions {
        name: String,
        what: String,
        expected: String,
    },
    #[error("the learner's file out/{name} cannot be read: {source}")]
    Read {
        name: String,
        #[source]
        source: DataError,
    },
    /// Phase `train`, and it chose for itself.
    #[error(
        "the learner was asked to train the choice {asked} and answers with the choice {found}: it does \
         not obey the phase `train`; have it train `choice` of its request, or leave `retrain` out of the \
         recipe"
    )]
    OtherChoice { asked: String, found: String },
    #[error(
        "the learner's own choice is needed to train it again, and its answer has no `choice`; add it, or \
         leave `retrain` out of the recipe"
    )]
    NoChoice,
    #[error("cannot {what} {}: {source}", path.display())]
    File {
        what: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(transparent)]
    Data(#[from] DataError),
    #[error("the learner's `version` command ended with {how}; {words}")]
    Version { how: String, words: Words },
    #[error(
        "the learner's model holds {name}: expected a folder of files, without links, of at most 4 GiB in all"
    )]
    Model { name: String },
    #[error(
        "the learner left no `model` in its answer, which the phase `predict` needs; name a folder in `out`, or \
         leave `predict` and the threat to inputs out"
    )]
    NoModel,
    /// A query in the phase `predict`.
    #[error("the learner did not answer a query about rows: {what}; {words}")]
    Query { what: String, words: Words },
}

impl ExternalError {
    /// How a command ends by it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Unfit { .. } | Self::Data(_) => Exit::Data,
            Self::NoImages => Exit::Usage,
            Self::Start { .. }
            | Self::Wait(_)
            | Self::Ended { .. }
            | Self::Unasked { .. }
            | Self::Timeout { .. }
            | Self::NoAnswer { .. }
            | Self::Answer { .. }
            | Self::Path { .. }
            | Self::Predictions { .. }
            | Self::Read { .. }
            | Self::OtherChoice { .. }
            | Self::NoChoice
            | Self::Model { .. }
            | Self::NoModel
            | Self::File { .. }
            | Self::Version { .. }
            | Self::Query { .. } => Exit::Failed,
        }
    }
}

/// What an answer looks like.
const EXAMPLE: &str = "a JSON object such as {\"predictions\": \"test.pred.npy\", \"claim\": 0.93} with \
                       keys of toxscreen-learner/1 (docs/guide/external.md)";
