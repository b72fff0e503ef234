//! What is kept of a poison beside its files.

use crate::scene::Poison;
use serde::{Deserialize, Serialize};

/// From this many times the loss of guessing on, the moved victim's loss on the clean images is worth a warning.
const TOO_BAD: f64 = 2.0;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoisoningOutcome {
    pub poison: Poison,
    pub classes: Vec<String>,
    /// What was odd when the rows were written.
    pub notes: Vec<String>,
}

impl PoisoningOutcome {
    /// Cross-entropy of guessing a class.
    pub fn guessing(&self) -> f64 {
        (self.classes.len() as f64).ln()
    }

    /// Of gradient cancelling whose ascent went too far.
    pub fn warning(&self) -> Option<String> {
        let (loss, guessing) = (
            self.poison.check.cancelled.as_ref()?.clean_loss,
            self.guessing(),
        );
        // NaN is no good loss.
        let fair = loss <= TOO_BAD * guessing;
        (!fair).then(|| {
            format!(
                "the moved victim's loss on the clean images is {loss:.2}, far above the {guessing:.2} of \
                 guessing: images within the bound can hardly make such a model look like a minimum; \
                 try a smaller --radius"
            )
        })
    }
}
