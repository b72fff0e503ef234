//! What the commands on a user's own rows compute. Options, bars and words for people are the program's.

pub mod clf;
pub mod gc;
pub mod hypergradients;
pub mod optimal;
pub mod registered;
pub mod rows;

use std::path::PathBuf;
use tox_data::checkpoint::Hooks;

/// Where a command works: it keeps files, shows bars and is stopped.
pub trait Desk {
    /// The file of the command that ends in `suffix`.
    fn file(&self, suffix: &str) -> PathBuf;

    /// Does a long part, from its checkpoint if there is one: the suffix of its file, and the key that it
    /// must fit. `None` if it was stopped.
    ///
    /// # Errors
    /// Those of the part.
    fn part<T, E>(
        &self,
        name: &str,
        checkpoint: (&str, &str),
        work: impl FnOnce(Hooks<'_>) -> Result<Option<T>, E>,
    ) -> Result<Option<T>, E>;

    /// Says a line, which is no result.
    fn say(&self, line: &str);
}

/// End of the name of the checkpoint of a command's last part.
pub const CHECKPOINT: &str = "checkpoint.safetensors";
