//! NSGANetV2 (Lu et al. 2020): multi-objective search with a weight-sharing supernet and accuracy
//! predictors.
//!
//! Some architectures are evaluated first: their weights are inherited from the supernet and fine-tuned,
//! their accuracy is measured on images that they were not trained on. Then every round chooses an
//! accuracy predictor by cross-validation ([`crate::surrogate`]), lets NSGA-II minimise predicted error
//! and multiply-adds ([`crate::nsga`]) and evaluates a few of what it found.
//!
//! - [`config`]: every number; [`found`]: what a search is run on and gives; [`search`]: the machine.
//! - [`supernet`]: the shared weights, and the networks that inherit them; [`inherit`]: which ones.
//! - [`candidate`]: evaluation of one architecture; [`archive`]: all that were evaluated, what to evaluate
//!   next, the choice.
//!
//! # The supernet
//!
//! The published search is over the elastic space, with Once-for-All's weights for ImageNet
//! ([`inputs::Accuracy::Inherited`]). Without them a supernet is trained on the search's own images
//! ([`inputs::Accuracy::Trained`]), in one phase and not in Once-for-All's five: by the sandwich rule of
//! universally slimmable networks, with the distillation of BigNAS (Yu et al. 2020). In a step the
//! gradients of the largest, the smallest and some random subnets are added up; all but the largest
//! learn the answers of the largest. Channels are not sorted by importance, since none are cut off from
//! a trained network.
//!
//! # On the cell spaces
//!
//! The published code does not search them. Here the same search runs on their integer encodings
//! ([`crate::genes`]) over a single-path supernet. It has no smallest and no largest subnet, so a step
//! adds up the gradients of random paths alone, each drawn uniformly, and nothing is distilled. Objectives
//! are the same; multiply-adds are those of the networks that are evaluated.

pub mod archive;
pub mod candidate;
pub mod config;
pub mod found;
pub mod inherit;
pub mod inputs;
pub mod search;
pub mod supernet;
mod training;

pub use config::{Choice, NsganetConfig, SupernetConfig, TuneConfig};
pub use found::Found;
pub use inputs::{Accuracy, Inputs, NsganetError};
pub use search::run;
pub use supernet::{Subnet, Supernet};

use crate::cell::SupernetShape;
use crate::genes::Architecture;
use crate::nas::{
    self, Course, Evaluated, Facts, Leftover, NasError, NasSpace, Numbers, SupernetFile, Trace,
    TypesOf,
};
use archive::{Entry, Round};
use serde::{Deserialize, Serialize};
use std::path::Path;
use tox_data::checkpoint::Hooks;
use tox_data::hashed::unchanged;
use tox_data::ranges::OutOfRange;
use tox_nn::fit::Epoch;

/// NSGANetV2.
pub struct NsganetV2;

/// How a search went.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NsganetTrace {
    /// All architectures that were evaluated, in order.
    pub archive: Vec<Entry>,
    pub rounds: Vec<Round>,
    /// Epochs of the supernet's training.
    pub epochs: Vec<Epoch>,
    /// Steps of that training whose gradient norm was not finite.
    pub nonfinite_steps: u64,
}

/// Its choice is of a front, not of a list: it has no ties.
impl Course for NsganetTrace {
    fn evaluated(&self) -> Vec<Evaluated> {
        let of = |entry: &Entry| Evaluated {
            architecture: entry.architecture.clone(),
            accuracy: entry.accuracy,
            blind: entry.round == 0,
        };
        self.archive.iter().map(of).collect()
    }
}

impl Numbers for NsganetConfig {
    fn check_in(&self, _space: NasSpace) -> Result<(), OutOfRange> {
        self.check()
    }
}

const FACTS: Facts = Facts {
    elastic: true,
    takes_supernet: true,
    repetitions: Some(10),
    ..Facts::of(
        "nsganetv2",
        "NSGANetV2",
        "NSGANetV2: evolution by predicted accuracy over a supernet's subnets.",
        TypesOf::<NsganetConfig, NsganetTrace>::NEW,
    )
};

impl nas::Search for NsganetV2 {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn run(&self, inputs: &nas::Inputs<'_>, hooks: Hooks<'_>) -> nas::Ended {
        let supernet = inputs.config.supernet.as_ref();
        let supernet = supernet.map(|file| from_file(inputs, file)).transpose()?;
        let own = Inputs {
            data: inputs.data,
            augment: inputs.augment,
            space: &inputs.config.genes(),
            accuracy: match &supernet {
                Some(supernet) => Accuracy::Inherited(supernet),
                None => Accuracy::Trained,
            },
            direction: inputs.config.direction,
            config: &inputs.config.numbers()?,
            seed: inputs.seed,
            device: inputs.device.clone(),
        };
        let Some(found) = run(&own, hooks).map_err(NasError::of)? else {
            return Ok(None);
        };
        let subnet = found.subnet(&own).map_err(NasError::of)?;
        let trace = NsganetTrace {
            archive: found.archive,
            rounds: found.rounds,
            epochs: found.epochs,
            nonfinite_steps: found.nonfinite_steps,
        };
        Ok(Some(nas::Found {
            genotype: found.architecture,
            trace: Trace::of(&Self, &trace),
            left: subnet.map_or(Leftover::None, |subnet| Leftover::Subnet(Box::new(subnet))),
        }))
    }

    fn left(
        &self,
        inputs: &nas::Inputs<'_>,
        found: &Architecture,
        _trace: &Trace,
    ) -> Result<Leftover, NasError> {
        let supernet = supernet(inputs, inputs.data.classes, "gc/victim")?;
        let (network, state, _) = supernet.subnet(found)?;
        Ok(Leftover::Subnet(Box::new((network, state))))
    }
}

fn supernet(inputs: &nas::Inputs<'_>, classes: usize, key: &str) -> Result<Supernet, NasError> {
    let config: NsganetConfig = inputs.config.numbers()?;
    let shape = SupernetShape {
        classes,
        ..inputs.shape(config.channels, config.cells)
    };
    let key = (inputs.seed, key);
    Ok(Supernet::new(
        &inputs.config.genes(),
        shape,
        config.kernel_matrices,
        key,
    )?)
}

/// A supernet with the weights of a file.
fn from_file(inputs: &nas::Inputs<'_>, file: &SupernetFile) -> Result<Supernet, NasError> {
    unchanged(&file.path, file.hash.as_ref())?;
    let classes = file.classes.unwrap_or(inputs.data.classes);
    let mut supernet = supernet(inputs, classes, "nsganet/file")?;
    supernet.load(Path::new(&file.path))?;
    Ok(supernet)
}
