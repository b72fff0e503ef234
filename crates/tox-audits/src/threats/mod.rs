//! What adversaries do: a file here and a line in `threats!`.

pub mod bad_ops;
pub mod bilevel;
mod clf;
pub mod evasion;
mod file;
pub mod gc;
mod noise;
mod rlf;
mod transfer;

use crate::scene::{Crafting, Poison, Scene};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::marker::PhantomData;
use tox_data::DataRef;
use tox_data::features::Features;
use tox_data::patch::Patch;
use tox_data::ranges::{self, OutOfRange};
use tox_poison::data::threat::{ClfThreat, GcThreat, NoiseThreat, RlfThreat};
use tox_poison::data::{Crafted, points};
use tox_study::house::Threat;
use tox_study::part::Part;
use tox_study::recipe::{Keys, RecipeError};
use tox_study::spec::Surface;
use tox_study::steps::Steps;

/// A poison of data that is crafted from the clean rows alone, whoever learns from them.
pub trait DataPoison: Threat {
    /// Short name in tables and figures, such as `RLF`.
    fn name(&self) -> &'static str;

    /// Names of its long steps, and what each costs where a search costs 1.
    fn steps(&self) -> &'static [(&'static str, f64)] {
        &[]
    }

    /// Whether its keys have a `budget`, the share of the rows.
    fn of_share(&self) -> bool {
        true
    }

    /// Whether it changes labels alone, which a learner that reads none cannot notice.
    fn labels_alone(&self) -> bool {
        false
    }

    /// Crafts it on the clean rows that it may reach.
    ///
    /// # Errors
    /// Why there is none.
    fn craft(&self, scene: &Scene<'_>, pool: &Features, steps: &mut Steps<'_>) -> Crafting;
}

/// Makes the lists of threats: one line each.
macro_rules! threats {
    (data [$($poison:expr,)*] others [$($threat:expr,)*]) => {
        /// All poisons of data that are crafted from the clean rows alone.
        pub const POISONS: &[&dyn DataPoison] = &[$(&$poison),*];

        /// All threats.
        pub const THREATS: &[&dyn Threat] = &[$(&$poison,)* $(&$threat),*];
    };
}

threats! {
    data [
        Rows::<RlfThreat>::NEW,
        Rows::<ClfThreat>::NEW,
        Rows::<NoiseThreat>::NEW,
        Rows::<GcThreat>::NEW,
        Rows::<transfer::TransferThreat>::NEW,
        file::PatchFile,
    ]
    others [
        bilevel::OptimalPoison,
        bad_ops::BadOps,
        evasion::Evasion,
    ]
}

/// The poison of a kind.
pub fn poison(kind: &str) -> Option<&'static dyn DataPoison> {
    POISONS.iter().copied().find(|p| p.kind() == kind)
}

/// A poison with nothing more to say of it.
fn plain(crafted: Crafted) -> (Patch, Poison) {
    (crafted.patch, Poison::of(crafted.check))
}

/// A poison of a share of the rows: its keys as a structure, and how it is crafted.
pub trait ShareOfRows: Serialize + DeserializeOwned + JsonSchema + 'static {
    /// Its kind, as a recipe names it.
    const KIND: &'static str;
    /// See [`DataPoison::name`].
    const NAME: &'static str;
    /// See [`DataPoison::steps`].
    const STEPS: &'static [(&'static str, f64)] = &[];
    /// See [`DataPoison::labels_alone`].
    const LABELS_ALONE: bool = false;

    /// Whether every number is in the range that an attribute of its field says; one that relates keys to each
    /// other says that too.
    ///
    /// # Errors
    /// The first that is not.
    fn check(&self) -> Result<(), OutOfRange> {
        ranges::check(self)
    }

    /// See [`Threat::takes_table`].
    ///
    /// # Errors
    /// Why it cannot be done to a table.
    fn takes_table(&self) -> Result<(), String> {
        Ok(())
    }

    /// See [`Threat::shares`].
    fn shares(&self, _learner: &Part) -> Option<Value> {
        None
    }

    /// See [`DataPoison::craft`].
    ///
    /// # Errors
    /// Why there is none.
    fn craft(&self, scene: &Scene<'_>, pool: &Features, steps: &mut Steps<'_>) -> Crafting;
}

/// The threat whose keys are a `T`.
pub struct Rows<T>(PhantomData<fn() -> T>);

impl<T> Rows<T> {
    pub const NEW: Self = Self(PhantomData);
}

impl<T: ShareOfRows> Threat for Rows<T> {
    fn kind(&self) -> &'static str {
        T::KIND
    }

    fn surface(&self) -> Surface {
        Surface::Data
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }

    fn read(&self, keys: &Keys<'_>) -> Result<Part, RecipeError> {
        Ok(Part::new(T::KIND, &keys.checked(T::check)?))
    }

    fn takes_table(&self, config: &Part) -> Result<(), String> {
        let config = config.read::<T>().map_err(|e| e.to_string())?;
        config.takes_table()
    }

    /// Of the rows that any learner lets an adversary reach.
    fn fits(&self, config: &Part, data: DataRef<'_>) -> Result<(), String> {
        match self.budget(config).filter(|share| *share > 0.0) {
            Some(budget) => {
                match points(budget, data.labels()[..2].iter().map(|l| l.len()).sum()) {
                    Ok(_) => Ok(()),
                    Err(e) => Err(e.to_string()),
                }
            }
            None => Ok(()),
        }
    }

    fn shares(&self, config: &Part, learner: &Part) -> Option<Value> {
        // Without a share nothing is made.
        self.budget(config).filter(|share| *share > 0.0)?;
        config.read::<T>().ok()?.shares(learner)
    }

    fn title(&self, config: &Part) -> String {
        let budget = self.budget(config).unwrap_or_default();
        let text = format!("{:.2}", 100.0 * budget);
        let text = text.trim_end_matches('0').trim_end_matches('.');
        format!("{} {text} %", T::NAME)
    }

    fn budget(&self, config: &Part) -> Option<f64> {
        config.get("budget")?.as_f64()
    }
}

impl<T: ShareOfRows> DataPoison for Rows<T> {
    fn name(&self) -> &'static str {
        T::NAME
    }

    fn steps(&self) -> &'static [(&'static str, f64)] {
        T::STEPS
    }

    fn labels_alone(&self) -> bool {
        T::LABELS_ALONE
    }

    fn craft(&self, scene: &Scene<'_>, pool: &Features, steps: &mut Steps<'_>) -> Crafting {
        scene.threat::<T>()?.craft(scene, pool, steps)
    }
}
