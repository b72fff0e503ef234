//! Bad ops in the search space: `S + q(P)` (Wu, Saxena, Jain).

use schemars::{JsonSchema, Schema, SchemaGenerator};
use tox_poison::space::{BadSet, QError, SpacePoison};
use tox_poison::space_file;
use tox_search::space::{OwnOps, Space};
use tox_study::house::{Refusal, Threat};
use tox_study::part::Part;
use tox_study::recipe::{Keys, RecipeError};
use tox_study::spec::Surface;

/// What to do about a file of ops that does not hold.
pub const SPACE_HINT: &str = "write a [[op]] table for each op, as in recipes/ssp/space-clean.toml; a relative path is \
                              taken from the folder of the recipe";

/// Its kind.
pub const KIND: &str = "bad-ops";

pub struct BadOps;

/// Why a set does not fit a space.
pub(crate) fn unfit(error: &QError) -> Refusal {
    Refusal {
        surface: Surface::Space,
        kind: KIND.to_owned(),
        defence: false,
        hint: error.to_string(),
    }
}

/// The ops of a set of one's own.
fn own_set(own: OwnOps, keys: &Keys<'_>) -> Result<OwnOps, RecipeError> {
    if let OwnOps::File(name) = &own
        && !name.ends_with(".toml")
    {
        let message = format!("there is no poison set \"{name}\"");
        let hint = "write P1, P2, P3, P4, P5 or P3+, or FILE.toml with ops of your own".to_owned();
        return Err(keys.refuse("set", message, Some(hint)));
    }
    space_file::read_own(own, keys.folder())
        .map_err(|e| keys.refuse("set", e.to_string(), Some(SPACE_HINT.to_owned())))
}

impl Threat for BadOps {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn surface(&self) -> Surface {
        Surface::Space
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        SpacePoison::json_schema(generator)
    }

    fn read(&self, keys: &Keys<'_>) -> Result<Part, RecipeError> {
        let mut poison: SpacePoison = keys.read()?;
        if let BadSet::Own(own) = poison.set {
            poison.set = BadSet::Own(own_set(own, keys)?);
        }
        match poison.set.poison(&Space::enas(), poison.q) {
            Ok(_) => Ok(Part::new(KIND, &poison)),
            Err(e) => Err(keys.refuse("q", e.to_string(), None)),
        }
    }

    fn title(&self, config: &Part) -> String {
        config.titled(|poison: SpacePoison| format!("{} x {}", poison.set, poison.q))
    }

    fn budget(&self, config: &Part) -> Option<f64> {
        config.get("q")?.as_f64()
    }
}
