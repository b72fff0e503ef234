//! Random architectures of the cell spaces, and random search.
//!
//! One architecture, drawn and not looked at, is the data-poisoning study's control: what a search is
//! worth beside it is what the search gains, and what poison can take. The most accurate of several is
//! random search: with as many short trainings as a search has, it costs the same. Where accuracies are
//! looked up, [`crate::table::Table::random_search`] gives what it finds on average, exactly.

mod config;
mod search;

pub use config::{RandomConfig, RandomError};
pub use search::{Found, Inputs, draw, run};

use crate::genes::Architecture;
use crate::nas::{
    self, Course, Evaluated, Facts, Leftover, NasConfig, NasError, NasSpace, Numbers, Reads, Ties,
    Trace, TypesOf,
};
use crate::space::cells::CellGenotype;
use serde::{Deserialize, Serialize};
use tox_data::checkpoint::Hooks;
use tox_data::ranges::OutOfRange;
use tox_data::rng::stream;

/// The control.
pub struct Random;

/// How a random search went.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomTrace {
    /// The architectures evaluated, with the accuracies that the search saw, in percent; none of
    /// a single draw.
    pub evaluated: Vec<(CellGenotype, f64)>,
}

impl Course for RandomTrace {
    fn evaluated(&self) -> Vec<Evaluated> {
        Evaluated::all(&self.evaluated, true)
    }

    fn ties(&self, found: &Architecture) -> Ties {
        Ties::best(found, &self.evaluated)
    }
}

impl Numbers for RandomConfig {
    fn check_in(&self, space: NasSpace) -> Result<(), OutOfRange> {
        match space.cells() {
            Some(cells) => self.check(cells),
            None => OutOfRange::unless(self.draws == 1, "draws", self.draws, "1"),
        }
    }
}

const FACTS: Facts = Facts {
    control: true,
    elastic: true,
    ..Facts::of(
        "random",
        "random",
        "A random architecture of the space: the control.",
        TypesOf::<RandomConfig, RandomTrace>::NEW,
    )
};

impl nas::Search for Random {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn reads(&self, config: &NasConfig) -> Reads {
        let numbers = config.numbers::<RandomConfig>();
        match numbers.is_ok_and(|numbers| numbers.draws == 1) {
            true => Reads::Nothing,
            false => Reads::All,
        }
    }

    fn run(&self, inputs: &nas::Inputs<'_>, hooks: Hooks<'_>) -> nas::Ended {
        let found = |genotype, evaluated| nas::Found {
            genotype,
            trace: Trace::of(&Self, &RandomTrace { evaluated }),
            left: Leftover::None,
        };
        let Some(space) = inputs.config.cells() else {
            let mut rng = stream(inputs.seed, "random/elastic", &[]);
            let genotype = inputs.config.genes().random(&mut rng);
            return Ok(Some(found(genotype, Vec::new())));
        };
        let config = inputs.config.numbers()?;
        let own = inputs.evaluating(&space, &config);
        let ended = run(&own, hooks).map_err(NasError::of)?;
        Ok(ended.map(|f| found(Architecture::Cell(f.genotype), f.evaluated)))
    }
}
