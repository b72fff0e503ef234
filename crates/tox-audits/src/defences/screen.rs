//! The search space is screened, and the ops found poisonous are dropped before the search.

use schemars::{Schema, SchemaGenerator, json_schema};
use tox_study::house::Defence;
use tox_study::part::Part;
use tox_study::recipe::{Keys, RecipeError};
use tox_study::spec::Surface;

/// Its kind.
pub const KIND: &str = "screen";

pub struct Screen;

/// It has no keys.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct NoKeys {}

impl Defence for Screen {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn surface(&self) -> Surface {
        Surface::Space
    }

    fn schema(&self, _generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "additionalProperties": false })
    }

    fn read(&self, keys: &Keys<'_>) -> Result<Part, RecipeError> {
        Ok(Part::new(KIND, &keys.read::<NoKeys>()?))
    }

    fn title(&self, _config: &Part) -> String {
        "screened space".to_owned()
    }
}
