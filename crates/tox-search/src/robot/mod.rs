//! RoBoT (He et al. 2024): a search by a mixture of training-free metrics.
//!
//! Every architecture of a random pool is scored by the six metrics of [`crate::zero_cost`], each scaled
//! to 0 to 1 over the pool. Weights of the metrics, between -1 and 1, make a ranking of the pool, and
//! the accuracy of its first architecture is what they are worth: [`crate::bayes`] looks for the best
//! weights, and each round evaluates one architecture unless it has been. Then the best weights' ranking
//! is gone down, until as many are evaluated as there are rounds. The result is the most accurate of
//! all these.
//!
//! All as in the published code that the data-poisoning study ran; `benches/peers/nas/README.md` says
//! what that does, and [`Choice::Published`] where its last step goes wrong. Accuracies are those of
//! short trainings, on images that poison can reach, or are looked up in a table of NAS-Bench-201 ([`crate::reward`]).

mod config;
pub mod pool;
pub mod ranking;
pub mod search;

pub use crate::reward::{Accuracy, TrainConfig};
pub use config::{Choice, RobotConfig, RobotError};
pub use search::{Found, Inputs, Query, run};

use crate::cell::GenotypeNetwork;
use crate::genes::Architecture;
use crate::nas::diagnostics::Diagnostics;
use crate::nas::{
    self, Course, Evaluated, Facts, Leftover, NasError, NasSpace, Numbers, Ties, Trace, TypesOf,
};
use crate::space::cells::CellGenotype;
use crate::zero_cost::{NAMES, metrics};
use serde::{Deserialize, Serialize};
use tox_data::checkpoint::Hooks;
use tox_data::ranges::OutOfRange;
use tox_data::rng::stream;
use tox_data::{Dataset, shuffled};

/// RoBoT.
pub struct Robot;

/// How a search went.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RobotTrace {
    /// Different architectures in the pool.
    pub pool: usize,
    /// The rounds of Bayesian optimisation.
    pub queries: Vec<Query>,
    /// The architectures evaluated, with the accuracies that the search saw, in percent.
    pub evaluated: Vec<(CellGenotype, f64)>,
}

impl Course for RobotTrace {
    /// Even the first was ranked by metrics of the data.
    fn evaluated(&self) -> Vec<Evaluated> {
        Evaluated::all(&self.evaluated, false)
    }

    fn ties(&self, found: &Architecture) -> Ties {
        Ties::best(found, &self.evaluated)
    }
}

impl Numbers for RobotConfig {
    fn check_in(&self, _space: NasSpace) -> Result<(), OutOfRange> {
        self.check()
    }
}

const FACTS: Facts = Facts {
    training_free: true,
    repetitions: Some(4),
    signals: &NAMES,
    ..Facts::of(
        "robot",
        "RoBoT",
        "RoBoT: a learned mixture of six training-free metrics, and short trainings.",
        TypesOf::<RobotConfig, RobotTrace>::NEW,
    )
};

impl nas::Search for Robot {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn run(&self, inputs: &nas::Inputs<'_>, hooks: Hooks<'_>) -> nas::Ended {
        let (space, config) = (inputs.cells()?, inputs.config.numbers()?);
        let own = inputs.evaluating(&space, &config);
        let ended = run(&own, hooks).map_err(NasError::of)?;
        Ok(ended.map(|found| {
            let trace = RobotTrace {
                pool: found.pool,
                queries: found.queries,
                evaluated: found.evaluated,
            };
            nas::Found {
                genotype: Architecture::Cell(found.genotype),
                trace: Trace::of(&Self, &trace),
                left: Leftover::None,
            }
        }))
    }

    /// The metrics of what was found, with the batch of the search.
    fn diagnose(
        &self,
        inputs: &nas::Inputs<'_>,
        found: &nas::Found,
        poisoned: &Dataset,
    ) -> Result<Diagnostics, NasError> {
        let Architecture::Cell(genotype) = &found.genotype else {
            return Ok(Diagnostics::default());
        };
        let (data, seed) = (inputs.data, inputs.seed);
        let config: RobotConfig = inputs.config.numbers()?;
        let shape = inputs.shape(config.channels, config.cells);
        let (network, state) = GenotypeNetwork::new(genotype, shape, (seed, "robot/diagnostics"))?;
        let mut rows = shuffled(data.train.len(), &mut stream(seed, "robot/batch", &[]));
        rows.truncate(config.batch);
        let [clean, poisoned] = [data, poisoned].map(|data| {
            let batch = data.train.batch(&rows, &data.normalise, None);
            metrics(&network, &state, &batch, &inputs.device, config.grasp_step).values()
        });
        Ok(Diagnostics::changed(&NAMES, &clean, &poisoned))
    }
}
