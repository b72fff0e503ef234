//! Poison in the training set by projected hypergradient ascent (Carnerero-Cano et al.). It follows the
//! gradient of the learner's own training, so the bilevel learner crafts it.

use crate::target;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use tox_bilevel::config::BilevelAttack;
use tox_study::house::Threat;
use tox_study::part::Part;
use tox_study::recipe::{Keys, RecipeError};
use tox_study::spec::Surface;

/// Its kind.
pub const KIND: &str = "bilevel";

pub struct OptimalPoison;

impl Threat for OptimalPoison {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn surface(&self) -> Surface {
        Surface::Data
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        BilevelAttack::json_schema(generator)
    }

    fn read(&self, keys: &Keys<'_>) -> Result<Part, RecipeError> {
        let mut attack = keys.checked(BilevelAttack::check)?;
        target::named(attack.target.as_mut(), keys)?;
        Ok(Part::new(KIND, &attack))
    }

    fn title(&self, config: &Part) -> String {
        config.titled(|attack: BilevelAttack| {
            let aimed = attack.target.as_ref().map_or("", |_| " at a target set");
            format!("{} points{aimed}", attack.points())
        })
    }
}
