//! Countermeasures that clean the data before a learner sees them.

use crate::error::TrialError;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tox_data::Data;
use tox_data::checkpoint::Hooks;
use tox_poison::cleanse::{Cleansed, Countermeasure, Denoise, Inputs, Knn, LossFilter, Suspects};
use tox_study::house::Defence;
use tox_study::part::Part;
use tox_study::recipe::{Keys, RecipeError};
use tox_study::spec::Surface;

/// A defence that changes or drops rows.
pub trait DataDefence: Defence {
    /// Rows that the defender must vouch for.
    ///
    /// # Errors
    /// Keys of another defence.
    fn trusted(&self, config: &Part) -> Result<Option<usize>, TrialError>;

    /// The data as they are after it, and what it did.
    ///
    /// # Errors
    /// Why they cannot be cleaned.
    fn clean(
        &self,
        config: &Part,
        inputs: &Inputs<'_>,
        hooks: Hooks<'_>,
    ) -> Result<Option<(Data, Cleansed)>, TrialError>;
}

/// One of the countermeasures, whose keys are a `T`.
pub struct Cleaning<T: 'static> {
    kind: &'static str,
    of: fn(T) -> Countermeasure,
}

impl<T> Cleaning<T> {
    const fn new(kind: &'static str, of: fn(T) -> Countermeasure) -> Self {
        Self { kind, of }
    }
}

pub const KNN: Cleaning<Knn> = Cleaning::new("knn", Countermeasure::Knn);
pub const LOSS_FILTER: Cleaning<LossFilter> =
    Cleaning::new("loss-filter", Countermeasure::LossFilter);
pub const SUSPECTS: Cleaning<Suspects> = Cleaning::new("suspects", Countermeasure::Suspects);
pub const DENOISE: Cleaning<Denoise> = Cleaning::new("denoise", Countermeasure::Denoise);

const CLEANINGS: &[&dyn DataDefence] = &[&KNN, &LOSS_FILTER, &SUSPECTS, &DENOISE];

/// The cleaning of a kind.
pub fn cleaning(kind: &str) -> Option<&'static dyn DataDefence> {
    CLEANINGS.iter().copied().find(|d| d.kind() == kind)
}

impl<T: DeserializeOwned + Serialize + JsonSchema + Clone> Defence for Cleaning<T> {
    fn kind(&self) -> &'static str {
        self.kind
    }

    fn surface(&self) -> Surface {
        Surface::Data
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }

    fn read(&self, keys: &Keys<'_>) -> Result<Part, RecipeError> {
        let config = keys.checked(|config: &T| (self.of)(config.clone()).check())?;
        Ok(Part::new(self.kind, &config))
    }

    fn takes_table(&self, config: &Part) -> Result<(), String> {
        let config: T = config.read().map_err(|e| e.to_string())?;
        (self.of)(config).tables().map_err(str::to_owned)
    }
}

impl<T: DeserializeOwned + Serialize + JsonSchema + Clone> DataDefence for Cleaning<T> {
    fn trusted(&self, config: &Part) -> Result<Option<usize>, TrialError> {
        Ok((self.of)(config.read()?).trusted())
    }

    fn clean(
        &self,
        config: &Part,
        inputs: &Inputs<'_>,
        hooks: Hooks<'_>,
    ) -> Result<Option<(Data, Cleansed)>, TrialError> {
        Ok((self.of)(config.read()?).apply(inputs, hooks)?)
    }
}
