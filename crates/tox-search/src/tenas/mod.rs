//! TE-NAS (Chen, Gong, Wang 2021): architecture search without training and without labels.
//!
//! A supernet begins with all ops on all edges. Every op is scored by what its absence does to two
//! numbers of the supernet at random weights: the condition number of the neural tangent kernel
//! ([`kernel`]) and the number of linear regions ([`regions`]). The ops by whose absence the one falls
//! most and the other least go ([`rank`]), some from every edge at once, until each has one op; in
//! the DARTS space edges go then in the same way, until two lead into each node ([`search`]).
//!
//! All as in the published code that the data-poisoning study ran; `benches/peers/nas/README.md` says
//! what that does. `none` is pruned before the search begins, so no result has it.
//!
//! Nothing here sees a label ([`Scene`] has none): label noise leaves a search as it is, bit for bit.

pub mod config;
pub mod kernel;
mod left;
pub mod network;
pub mod rank;
pub mod regions;
mod score;
pub mod search;

pub use config::{Normalisation, TenasConfig, TenasError};
pub use left::{Left, ops};
pub use score::{Scene, Scorer};
pub use search::{Found, run};

use crate::genes::Architecture;
use crate::nas::diagnostics::Diagnostics;
use crate::nas::{
    self, Course, Facts, Leftover, NasConfig, NasError, Numbers, Reach, Reads, Ties, Trace, TypesOf,
};
use crate::space::PoisonedSpace;
use serde::{Deserialize, Serialize};
use tox_data::checkpoint::Hooks;
use tox_data::ranges::OutOfRange;
use tox_data::{Dataset, Normalise};

/// TE-NAS.
pub struct TeNas;

/// How a search went.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenasTrace {
    /// What every round removed: kind of cell, edge, op.
    pub rounds: Vec<Vec<rank::Candidate>>,
    /// Of these, those in whose place a candidate with equal scores could have gone: the order of
    /// the list decided.
    #[serde(default, skip_serializing_if = "tox_data::is_default")]
    pub ties: usize,
}

impl Course for TenasTrace {
    fn ties(&self, _found: &Architecture) -> Ties {
        Ties {
            decided: self.ties,
            of: self.rounds.iter().map(Vec::len).sum(),
        }
    }
}

impl Numbers for TenasConfig {}

/// Draws of batch and weights for the scores of a diagnosis.
const DRAWS: u64 = 3;

/// The scores.
const SCORES: [&str; 2] = ["condition number", "linear regions"];

const FACTS: Facts = Facts {
    training_free: true,
    repetitions: Some(4),
    signals: &SCORES,
    choices: "removals of ops",
    ..Facts::of(
        "te-nas",
        "TE-NAS",
        "TE-NAS: pruning by two scores of untrained supernets; no labels.",
        TypesOf::<TenasConfig, TenasTrace>::NEW,
    )
};

impl nas::Search for TeNas {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn reads(&self, _config: &NasConfig) -> Reads {
        Reads::Images
    }

    /// `none` is pruned before it begins.
    fn reach(&self, _config: &NasConfig) -> Result<Reach, OutOfRange> {
        Ok(Reach {
            none: false,
            ..Reach::ALL
        })
    }

    fn run(&self, inputs: &nas::Inputs<'_>, hooks: Hooks<'_>) -> nas::Ended {
        let (space, config) = (inputs.cells()?, inputs.config.numbers()?);
        let normalise = normalise(&config, inputs.data);
        let scene = scene(inputs, inputs.data, (&space, &config, &normalise));
        let ended = run(scene, inputs.device.clone(), hooks).map_err(NasError::of)?;
        Ok(ended.map(|found| {
            let (rounds, ties) = (found.rounds, found.ties);
            nas::Found {
                genotype: Architecture::Cell(found.genotype),
                trace: Trace::of(&Self, &TenasTrace { rounds, ties }),
                left: Leftover::None,
            }
        }))
    }

    /// Both scores of the unpruned supernet.
    fn diagnose(
        &self,
        inputs: &nas::Inputs<'_>,
        _found: &nas::Found,
        poisoned: &Dataset,
    ) -> Result<Diagnostics, NasError> {
        let (space, config) = (inputs.cells()?, inputs.config.numbers()?);
        let [clean, poisoned] = [inputs.data, poisoned].map(|data| {
            let normalise = normalise(&config, data);
            let scene = scene(inputs, data, (&space, &config, &normalise));
            let (scorer, all) = (
                Scorer::new(scene, inputs.device.clone()),
                Left::fresh(&space),
            );
            let mean = |score: &dyn Fn(u64) -> Vec<f64>| {
                (0..DRAWS).flat_map(score).sum::<f64>() / DRAWS as f64
            };
            let kernel = mean(&|draw| scorer.kernel(&[&all], &[u64::MAX, draw]));
            let regions = mean(&|draw| scorer.regions(&[&all], &[u64::MAX, draw]));
            [kernel, regions]
        });
        Ok(Diagnostics::changed(&SCORES, &clean, &poisoned))
    }
}

fn normalise(config: &TenasConfig, data: &Dataset) -> Normalise {
    config.normalise.of(&data.name, &data.normalise)
}

fn scene<'a>(
    inputs: &nas::Inputs<'a>,
    data: &'a Dataset,
    (space, config, normalise): (&'a PoisonedSpace, &'a TenasConfig, &'a Normalise),
) -> Scene<'a> {
    Scene {
        space,
        images: &data.train.images,
        normalise,
        augment: inputs.augment,
        classes: data.classes,
        config,
        direction: inputs.config.direction,
        seed: inputs.seed,
    }
}
