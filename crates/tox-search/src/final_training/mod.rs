//! The final training: what a found architecture is worth.
//!
//! As in the data-poisoning study, whatever the search saw: the architecture gets new weights, is
//! trained on clean images, those of the search's training and validation halves together, and is
//! tested on clean test images. The published trainings log the test accuracy after the last epoch
//! and the best of all epochs; both are reported here, and the first is the one to use, since the
//! second chooses by the test images.
//!
//! The loop is [`tox_nn::fit`]'s. Drop path and the auxiliary head belong to the network
//! ([`crate::cell::darts::Regularisation`]), so that [`train`] takes any [`Network`]; [`run`] makes that
//! of a genotype. Random streams do not depend on the architecture: all that are trained with one seed
//! see the same batches.

mod config;
mod machine;

pub use config::{FinalConfig, Protocol, Settings};

use crate::cell::darts::Regularisation;
use crate::cell::{GenotypeNetwork, SupernetShape};
use crate::count::{self, Counts};
use crate::elastic::{ElasticNet, Naming};
use crate::space::SpaceError;
use crate::space::cells::CellGenotype;
use crate::space::elastic::{Arch, ElasticSpace};
use machine::Machine;
use serde::{Deserialize, Serialize};
use tox_data::checkpoint::{self, CheckpointError, Hooks};
use tox_data::ranges::OutOfRange;
use tox_data::{Dataset, Split};
use tox_nn::Device;
use tox_nn::fit::{self, Epoch};
use tox_nn::layers::{Fan, Init, Network, State};

/// Last part of the keys of all random streams.
pub const NAME: &str = "final";

/// What an architecture is trained on.
pub struct Inputs<'a> {
    /// The clean data: the network learns from the training and the validation images, and is tested
    /// on the test images.
    pub data: &'a Dataset,
    pub config: &'a FinalConfig,
    pub seed: u64,
    pub device: Device,
}

/// A trained network.
#[derive(Clone, Debug)]
pub struct Trained {
    /// Its numbers after the last epoch.
    pub state: State,
    pub evaluation: Evaluation,
}

/// What a final training measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// Test accuracy after the last epoch, in percent.
    pub accuracy: f64,
    /// The highest test accuracy of the epochs that were tested, in percent.
    pub best_accuracy: f64,
    /// The first epoch that had it, from 0.
    pub best_epoch: usize,
    /// Parameters, without those of an auxiliary head, and multiply-adds of one image.
    pub counts: Counts,
    /// Steps whose gradient norm was not finite; if there are any, the training has most likely
    /// diverged.
    pub nonfinite_steps: u64,
    pub epochs: Vec<Epoch>,
}

/// Why a final training could not begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum FinalError {
    #[error(transparent)]
    Config(#[from] OutOfRange),
    #[error(
        "the auxiliary head is made for maps of 8x8 to 10x10 behind cell 2n/3, but images of \
         {height}x{width} are maps of {}x{} behind cell {cell} of {cells}; resize the images to 32x32, or \
         do without the head: `auxiliary_weight` = 0", maps[0], maps[1]
    )]
    Head {
        height: usize,
        width: usize,
        cell: usize,
        cells: usize,
        maps: [usize; 2],
    },
    #[error(
        "`{key}` = {found} can leave nothing of images of {height}x{width}; expected less than {}",
        height.min(width)
    )]
    Augment {
        key: &'static str,
        found: usize,
        height: usize,
        width: usize,
    },
    #[error(
        "a final training takes at least {least} {split} images, found {found}; give the data set more"
    )]
    Images {
        split: &'static str,
        found: usize,
        least: usize,
    },
    #[error(transparent)]
    Space(#[from] SpaceError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// Trains the network of a genotype, or goes on from a checkpoint. `None` means that it was asked to
/// stop and has saved itself.
///
/// # Errors
/// When a number is out of range, data or network will not do, or the checkpoint fails.
pub fn run(
    genotype: &CellGenotype,
    inputs: &Inputs<'_>,
    hooks: Hooks<'_>,
) -> Result<Option<Trained>, FinalError> {
    let protocol = Protocol::from(genotype.space());
    let (network, state, counts) = network(genotype, inputs)?;
    train((network, state), (protocol, counts), inputs, hooks)
}

/// The network of a genotype with its new weights and its size, as [`run`] trains it.
///
/// # Errors
/// When a number is out of range, or the network will not do.
pub fn network(
    genotype: &CellGenotype,
    inputs: &Inputs<'_>,
) -> Result<(GenotypeNetwork, State, Counts), FinalError> {
    let protocol = Protocol::from(genotype.space());
    inputs.config.check(protocol)?;
    let settings = inputs.config.resolved(protocol);
    let [_, c, h, w] = inputs.data.train.images.shape;
    let [channels, cells] = settings.size.unwrap_or_default();
    let shape = SupernetShape {
        channels,
        cells,
        classes: inputs.data.classes,
        input: [c, h, w],
    };
    let counts = match genotype {
        CellGenotype::Darts(genotype) => {
            let counts = count::darts(genotype, &shape.darts(false))?;
            check_head(shape, settings.auxiliary_weight)?;
            counts
        }
        CellGenotype::NasBench201(cell) => count::nasbench201(cell, &shape.nasbench201())?,
    };
    let regularisation = Regularisation {
        drop_path: settings.drop_path,
        auxiliary_weight: settings.auxiliary_weight,
    };
    let key = (inputs.seed, NAME);
    let (network, state) = GenotypeNetwork::regularised(genotype, shape, regularisation, key)?;
    Ok((network, state, counts))
}

/// Trains the network of an elastic architecture from new weights (Kaiming normal by fan-out, as
/// Once-for-All begins), or goes on from a checkpoint. As [`run`] beside that.
///
/// # Errors
/// As [`run`].
pub fn elastic(
    space: &ElasticSpace,
    arch: &Arch,
    inputs: &Inputs<'_>,
    hooks: Hooks<'_>,
) -> Result<Option<Trained>, FinalError> {
    let (network, state, counts) = elastic_network(space, arch, inputs)?;
    let protocol = (Protocol::Elastic, counts);
    train((network, state), protocol, inputs, hooks)
}

/// The network of an elastic architecture with its new weights and its size, as [`elastic`] trains it.
pub fn elastic_network(
    space: &ElasticSpace,
    arch: &Arch,
    inputs: &Inputs<'_>,
) -> Result<(ElasticNet, State, Counts), FinalError> {
    let settings = inputs.config.resolved(Protocol::Elastic);
    let sizes = (inputs.data.train.images.shape[1], inputs.data.classes);
    let counts = count::elastic(space, arch, inputs.data.classes)?;
    let numbers = (Naming::Plain, Init::KaimingNormal(Fan::Out));
    let key = (inputs.seed, NAME);
    let (mut network, state) = ElasticNet::new(space, arch, sizes, numbers, key)?;
    network.dropout = settings.dropout as f32;
    Ok((network, state, counts))
}

/// Refuses what [`run`] would refuse of any architecture of the space on these data: so a search need
/// not be over to know.
///
/// # Errors
/// Numbers out of range, augmentation or auxiliary head that do not fit the images.
pub fn fits(config: &FinalConfig, protocol: Protocol, data: &Dataset) -> Result<(), FinalError> {
    config.check(protocol)?;
    let settings = config.resolved(protocol);
    whole(&settings, data)?;
    let [_, c, h, w] = data.train.images.shape;
    let [channels, cells] = settings.size.unwrap_or([1, 1]);
    let shape = SupernetShape {
        channels,
        cells,
        classes: data.classes,
        input: [c, h, w],
    };
    match protocol {
        Protocol::Darts => check_head(shape, settings.auxiliary_weight),
        Protocol::NasBench201 => Ok(shape.nasbench201().check()?),
        Protocol::Elastic => Ok(()),
    }
}

/// Refuses augmentation that can leave nothing of an image.
fn whole(settings: &Settings, data: &Dataset) -> Result<(), FinalError> {
    let [_, _, height, width] = data.train.images.shape;
    for (key, found) in [
        ("crop", settings.augment.crop),
        ("cutout", settings.augment.cutout),
    ] {
        if found >= height.min(width) {
            return Err(FinalError::Augment {
                key,
                found,
                height,
                width,
            });
        }
    }
    Ok(())
}

fn check_head(shape: SupernetShape, weight: f64) -> Result<(), FinalError> {
    let network = shape.darts(weight != 0.0);
    let cell = network.auxiliary_cell();
    let maps = network.cells()[cell].output_size;
    match network.auxiliary && network.check().is_err() {
        true => Err(FinalError::Head {
            height: shape.input[1],
            width: shape.input[2],
            cell,
            cells: shape.cells,
            maps,
        }),
        false => Ok(()),
    }
}

/// Trains any network from any state, or goes on from a checkpoint, by the settings of `protocol`;
/// drop path, dropout and auxiliary head are the network's own. `counts` goes to the result. `None`
/// means that it was asked to stop and has saved itself.
///
/// # Errors
/// When a number is out of range, the data will not do, or the checkpoint fails.
pub fn train<N: Network>(
    (network, state): (N, State),
    (protocol, counts): (Protocol, Counts),
    inputs: &Inputs<'_>,
    mut hooks: Hooks<'_>,
) -> Result<Option<Trained>, FinalError> {
    inputs.config.check(protocol)?;
    let settings = inputs.config.resolved(protocol);
    let data = inputs.data;
    whole(&settings, data)?;
    let train = clean(data);
    for (split, found, least) in [("training", train.len(), 2), ("test", data.test.len(), 1)] {
        if found < least {
            return Err(FinalError::Images {
                split,
                found,
                least,
            });
        }
    }
    let on = fit::Inputs {
        train: &train,
        normalise: &data.normalise,
        augment: &settings.augment,
        config: &settings.fit,
        seed: inputs.seed,
        name: NAME,
        device: inputs.device.clone(),
    };
    let training = fit::Training::new(network, state, &on);
    let mut machine = Machine::new(&on, &data.test, settings.test_every, training);
    let done = checkpoint::drive(&mut machine, &mut hooks)?;
    Ok(done.then(|| machine.trained(counts)))
}

/// All images that a search may learn from, in one split.
fn clean(data: &Dataset) -> Split {
    let images = data.pool().images();
    images.unwrap_or_else(|| unreachable!("a data set's rows are images"))
}
