//! The retrained network as an oracle of attacks.
//!
//! ENAS normalises every batch by its own statistics, even in evaluation, so that an answer depends on
//! the images beside it. An attack needs a function of one image: here the statistics are those of the
//! first training images, as those of a network in use would be.

use tox_data::Dataset;
use tox_nn::Device;
use tox_nn::fit::evaluate::images;
use tox_nn::params::Leaves;
use tox_robust::model::Function;
use tox_robust::oracle::Oracle;
use tox_search::enas::child::{Architecture, Child};

/// Images whose statistics are used.
const IMAGES: usize = 1024;

/// Calls `attack` with the network.
pub fn with_network<T>(
    (child, architecture): &(Child, Architecture),
    data: &Dataset,
    device: Device,
    attack: impl FnOnce(&dyn Oracle) -> T,
) -> T {
    let rows: Vec<u32> = (0..data.train.len().min(IMAGES) as u32).collect();
    let batch = data.train.batch(&rows, &data.normalise, None);
    let leaves = Leaves::new(&child.params, &device);
    let statistics = child.statistics(&leaves, images(&batch, &device), architecture);
    let [_, c, h, w] = data.test.images.shape;
    attack(&Function {
        of: |x, device: &Device| {
            let leaves = Leaves::new(&child.params, device);
            child.forward_fixed(&leaves, x, architecture, &statistics)
        },
        normalise: &data.normalise,
        shape: [c, h, w],
        classes: data.classes,
        device,
    })
}
