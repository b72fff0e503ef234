//! Bad ops in the search space: `S + q(P)` (Wu, Saxena, Jain).

use schemars::{JsonSchema, Schema, SchemaGenerator};
use tox_poison::space::SpacePoison;
use tox_search::space::Space;
use tox_study::house::Threat;
use tox_study::part::Part;
use tox_study::recipe::{Keys, RecipeError};
use tox_study::spec::Surface;

/// Its kind.
pub const KIND: &str = "bad-ops";

pub struct BadOps;

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
        let poison: SpacePoison = keys.read()?;
        match poison.set.poison(&Space::enas(), poison.q) {
            Ok(_) => Ok(Part::new(KIND, &poison)),
            Err(e) => Err(keys.refuse("q", e.to_string(), None)),
        }
    }

    fn title(&self, config: &Part) -> String {
        match config.read::<SpacePoison>() {
            Ok(poison) => format!("{} x {}", poison.set, poison.q),
            Err(_) => KIND.to_owned(),
        }
    }

    fn budget(&self, config: &Part) -> Option<f64> {
        config.get("q")?.as_f64()
    }
}
