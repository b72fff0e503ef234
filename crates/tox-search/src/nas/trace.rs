//! How a search went.

use super::numbers::to_value;
use super::{Search, SearchKind};
use crate::genes::Architecture;
use crate::space::cells::CellGenotype;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// How a search went, in its own keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub struct Trace {
    pub search: SearchKind,
    #[serde(flatten)]
    keys: Map<String, Value>,
}

/// What others ask of how a search went.
pub trait Course {
    /// Architectures that it evaluated, each by a short training or with weights that it inherits.
    fn evaluated(&self) -> Vec<Evaluated> {
        Vec::new()
    }

    /// Its choices between equals.
    fn ties(&self, found: &Architecture) -> Ties {
        let _ = found;
        Ties::default()
    }

    /// Error in percent on what its choices are learned from, epoch after epoch.
    fn errors(&self) -> Vec<Option<f64>> {
        Vec::new()
    }
}

/// An architecture that a search evaluated.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluated {
    pub architecture: Architecture,
    /// The accuracy that the search saw, in percent.
    pub accuracy: f64,
    /// Whether it was drawn at random, before the search had learned anything.
    pub blind: bool,
}

impl Evaluated {
    /// All of a search that evaluates cells.
    pub(crate) fn all(evaluated: &[(CellGenotype, f64)], blind: bool) -> Vec<Self> {
        let of = |(genotype, accuracy): &(CellGenotype, f64)| Self {
            architecture: Architecture::Cell(*genotype),
            accuracy: *accuracy,
            blind,
        };
        evaluated.iter().map(of).collect()
    }
}

/// Choices of a search between equals, which the order of a list decided and no data did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ties {
    pub decided: usize,
    /// All choices, of equals or not.
    pub of: usize,
}

impl Ties {
    /// One choice: that of the best of those evaluated, if another was as good.
    pub fn best(found: &Architecture, evaluated: &[(CellGenotype, f64)]) -> Self {
        let is = |genotype: &CellGenotype| *found == Architecture::Cell(*genotype);
        let own = evaluated.iter().find(|(genotype, _)| is(genotype));
        let equal = own.is_some_and(|(_, own)| {
            let mut others = evaluated.iter();
            others.any(|(genotype, accuracy)| accuracy == own && !is(genotype))
        });
        Self {
            decided: usize::from(equal),
            of: 1,
        }
    }
}

impl Trace {
    /// Of a search, with its keys as a structure.
    pub fn of(search: &'static dyn Search, keys: &impl Serialize) -> Self {
        let keys = match to_value(keys) {
            Value::Object(keys) => keys,
            _ => Map::new(),
        };
        let search = SearchKind(search);
        Self { search, keys }
    }

    /// As the structure of its search.
    pub fn read<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        T::deserialize(&Value::Object(self.keys.clone()))
    }

    /// What its search says of it.
    pub fn course(&self) -> Box<dyn Course> {
        // It could be read when it was made.
        let course = self.search.facts().types.course(self);
        course.unwrap_or_else(|_| Box::new(Unknown))
    }

    /// How many [`Course::evaluated`] are.
    pub fn evaluated(&self) -> usize {
        self.course().evaluated().len()
    }
}

struct Unknown;

impl Course for Unknown {}

impl TryFrom<Map<String, Value>> for Trace {
    type Error = serde_json::Error;

    fn try_from(mut keys: Map<String, Value>) -> Result<Self, Self::Error> {
        let search = SearchKind::deserialize(keys.shift_remove("search").unwrap_or_default())?;
        let trace = Self { search, keys };
        search.facts().types.course(&trace)?;
        Ok(trace)
    }
}
