//! The retrained network, as attacks ask it.
//!
//! ENAS normalises every batch by its own statistics, even in evaluation, so that an answer depends on
//! the images beside it. An attack needs a function of one image: here the statistics are those of the
//! first training images, as those of a network in use would be.

use tox_data::Dataset;
use tox_nn::Device;
use tox_nn::fit::evaluate::images;
use tox_search::enas::child::{Architecture, Child};
use tox_search::enas::network::ChildNetwork;

/// Images whose statistics are used.
const IMAGES: usize = 1024;

/// The network in use.
pub fn network(
    (child, architecture): &(Child, Architecture),
    data: &Dataset,
    device: &Device,
) -> ChildNetwork {
    let rows: Vec<u32> = (0..data.train.len().min(IMAGES) as u32).collect();
    let batch = data.train.batch(&rows, &data.normalise, None);
    ChildNetwork::measured(child, architecture, images(&batch, device), device)
}
