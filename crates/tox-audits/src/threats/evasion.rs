//! Perturbed inputs of the finished model.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use tox_rcnas::learner::task;
use tox_robust::threat::EvasionThreat;
use tox_study::house::Threat;
use tox_study::part::Part;
use tox_study::recipe::{Keys, RecipeError};
use tox_study::spec::Surface;

/// Its kind.
pub const KIND: &str = "evasion";

pub struct Evasion;

impl Threat for Evasion {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn surface(&self) -> Surface {
        Surface::Inputs
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        EvasionThreat::json_schema(generator)
    }

    /// How many classes there are is not known yet.
    fn read(&self, keys: &Keys<'_>) -> Result<Part, RecipeError> {
        let threat = keys.checked(EvasionThreat::in_range)?;
        Ok(Part::new(KIND, &threat))
    }

    fn takes_table(&self, _config: &Part) -> Result<(), String> {
        Err("it moves the pixels of images within their range, and the columns of a table have none".to_owned())
    }

    fn title(&self, config: &Part) -> String {
        config.titled(|threat: EvasionThreat| task::attack(&threat).name)
    }

    fn budget(&self, config: &Part) -> Option<f64> {
        config.get("epsilon")?.as_f64()
    }
}
