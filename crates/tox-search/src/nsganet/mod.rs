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
//! ([`found::Accuracy::Inherited`]). Without them a supernet is trained on the search's own images
//! ([`found::Accuracy::Trained`]), in one phase and not in Once-for-All's five: by the sandwich rule of
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
pub mod search;
pub mod supernet;
mod training;

pub use config::{Choice, NsganetConfig, SupernetConfig, TuneConfig};
pub use found::{Accuracy, Found, Inputs, NsganetError};
pub use search::run;
pub use supernet::{Subnet, Supernet};
