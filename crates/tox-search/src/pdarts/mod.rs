//! P-DARTS (Chen et al. 2019), progressive differentiable architecture search.
//!
//! A search has stages. Each trains a supernet from new weights and new architecture weights (alphas)
//! with fewer ops on every edge than the stage before and more cells, so that what is searched comes
//! near what is used. In a step the alphas take one of Adam on a batch of their half of the training
//! images, at the present weights (first order), then the weights one of SGD on a batch of the other
//! half; in the first epochs of a stage the alphas are frozen.
//!
//! - [`config`]: every number; [`learner`]: a stage's supernet and its two kinds of steps;
//!   [`search`]: the machine that goes through the stages; [`found`]: what it is run on and gives.
//! - [`discretise`]: which ops survive a stage, how the last stage's probabilities become a genotype,
//!   how skip-connects are dropped out and restricted.
//!
//! # On NAS-Bench-201
//!
//! P-DARTS was made for the DARTS space; this is how the same steps run on NAS-Bench-201
//! ([`config::PdartsConfig::nasbench201`]), and every choice is a number of the config:
//!
//! - A stage's `cells` are those of each of the network's three parts: 1, 3 and 5 of them make, with
//!   both residual blocks, supernets of 5, 11 and 17 blocks, the depths of P-DARTS' own stages. The
//!   last is the depth of the benchmark itself.
//! - An edge has 5 ops, too few to be halved twice: by default one goes after each of the first two
//!   stages (5, 4, 3). A single stage with 5 ops is first-order DARTS with P-DARTS' schedules.
//! - All edges stay, so each takes its likeliest op, and `none` may be that op, as in the benchmark's
//!   own DARTS baseline: here it is the only way not to have an edge.
//! - The limit of skip-connects holds for the cell. The benchmark has none; `max_skips = 6` turns it
//!   off.

pub mod config;
pub mod discretise;
pub mod found;
pub mod learner;
pub mod search;

use crate::genes::Architecture;
use crate::nas::diagnostics::Diagnostics;
use crate::nas::{
    self, Course, Facts, Leftover, NasConfig, NasError, NasSpace, Numbers, Reach, Ties, Trace,
    TypesOf,
};
use config::PdartsConfig;
use found::{Epoch, StageEnd};
use learner::{Learner, cosine};
use serde::{Deserialize, Serialize};
use tox_data::Dataset;
use tox_data::checkpoint::Hooks;
use tox_data::ranges::OutOfRange;
use tox_nn::layers::Mode;

/// P-DARTS.
pub struct PDarts;

/// How a search went.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PdartsTrace {
    /// One entry an epoch, stage after stage.
    pub epochs: Vec<Epoch>,
    /// One entry a stage.
    pub stages: Vec<StageEnd>,
}

impl Course for PdartsTrace {
    fn ties(&self, _found: &Architecture) -> Ties {
        self.stages.last().map_or(Ties::default(), StageEnd::ties)
    }

    fn errors(&self) -> Vec<Option<f64>> {
        self.epochs.iter().map(|e| e.alpha_error).collect()
    }
}

impl Numbers for PdartsConfig {
    fn in_space(self, space: NasSpace) -> Self {
        match space.cells() {
            Some(cells) => self.resolved(cells),
            None => self,
        }
    }

    fn check_in(&self, space: NasSpace) -> Result<(), OutOfRange> {
        space.cells().map_or(Ok(()), |cells| self.check(cells))
    }
}

/// Most batches whose gradients of the alphas are added up.
const BATCHES: usize = 16;

const FACTS: Facts = Facts {
    repetitions: Some(4),
    choices: "edges",
    ..Facts::of(
        "p-darts",
        "P-DARTS",
        "P-DARTS: gradient descent on the weights of ops in a supernet.",
        TypesOf::<PdartsConfig, PdartsTrace>::NEW,
    )
};

impl nas::Search for PDarts {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    /// Skip-connects beyond the limit are struck; `none` may win an edge.
    fn reach(&self, config: &NasConfig) -> Result<Reach, OutOfRange> {
        Ok(Reach {
            skips: config.numbers::<PdartsConfig>()?.max_skips,
            ..Reach::ALL
        })
    }

    fn run(&self, inputs: &nas::Inputs<'_>, hooks: Hooks<'_>) -> nas::Ended {
        let space = inputs.cells()?;
        let own = found::Inputs {
            data: inputs.data,
            augment: inputs.augment,
            space: space.space,
            direction: inputs.config.direction,
            config: &inputs.config.numbers()?,
            seed: inputs.seed,
            device: inputs.device.clone(),
        };
        let ended = search::run_poisoned(&own, &space.bad, hooks).map_err(NasError::of)?;
        Ok(ended.map(|found| {
            let (epochs, stages) = (found.epochs, found.stages);
            nas::Found {
                genotype: Architecture::Cell(found.genotype),
                trace: Trace::of(&Self, &PdartsTrace { epochs, stages }),
                left: Leftover::Supernet(Box::new(found.learner)),
            }
        }))
    }

    /// The cosine of the sums of the alphas' gradients over the first batches of both validation splits.
    fn diagnose(
        &self,
        inputs: &nas::Inputs<'_>,
        found: &nas::Found,
        poisoned: &Dataset,
    ) -> Result<Diagnostics, NasError> {
        let Leftover::Supernet(learner) = &found.left else {
            return Ok(Diagnostics::default());
        };
        let size = inputs.config.numbers::<PdartsConfig>()?.batch;
        let rows: Vec<u32> = (0..inputs.data.valid.len() as u32).collect();
        let [clean, poisoned] = [inputs.data, poisoned].map(|data| {
            let batches = rows
                .chunks(size)
                .take(BATCHES)
                .filter(|rows| rows.len() > 1);
            let mut sum = Vec::new();
            for rows in batches {
                let batch = data.valid.batch(rows, &data.normalise, None);
                let (gradient, _) = learner.alpha_gradient(&batch, Mode::Probe, 0.0);
                sum.resize(gradient.len(), 0.0f32);
                sum.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g);
            }
            sum
        });
        Ok(Diagnostics {
            alpha_cosine: cosine(&clean, &poisoned),
            ..Diagnostics::default()
        })
    }

    /// As the last stage's alphas are read at its end.
    fn found_at(
        &self,
        inputs: &nas::Inputs<'_>,
        trace: &Trace,
        values: &[f32],
    ) -> Result<Option<Architecture>, NasError> {
        let config: PdartsConfig = inputs.config.numbers()?;
        let trace: PdartsTrace = trace.read().map_err(NasError::of)?;
        let Some(end) = trace.stages.last() else {
            return Ok(None);
        };
        let space = inputs.cells()?;
        let candidates = end.candidates(&space.ops());
        let found = found::genotype_at(space, &candidates, values, config.max_skips);
        Ok(Some(Architecture::Cell(found.map_err(NasError::of)?)))
    }

    /// The last stage's supernet.
    fn left(
        &self,
        inputs: &nas::Inputs<'_>,
        _found: &Architecture,
        trace: &Trace,
    ) -> Result<Leftover, NasError> {
        let config: PdartsConfig = inputs.config.numbers()?;
        let (space, trace) = (
            inputs.cells()?,
            trace.read::<PdartsTrace>().map_err(NasError::of)?,
        );
        let Some((stage, end)) = config.stages.last().zip(trace.stages.last()) else {
            return Ok(Leftover::None);
        };
        let candidates = end.candidates(&space.ops());
        let shape = inputs.shape(config.channels, stage.cells);
        let key = (inputs.seed, "gc/supernet");
        let learner = Learner::new(
            space,
            &candidates,
            shape,
            &config,
            key,
            inputs.device.clone(),
        )?;
        Ok(Leftover::Supernet(Box::new(learner)))
    }
}
