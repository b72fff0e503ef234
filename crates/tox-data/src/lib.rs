//! Data sets, file formats, splits, augmentation.
//!
//! Floor 1 of the house: no tensors here, only 8-bit images, tables of numbers, labels, and the batches made
//! of them. [`load`] turns a [`spec::DataSpec`] into a [`Dataset`], [`load_any`] into that or a [`TableSet`]; [`fetch()`] downloads what is missing and
//! [`list`] says what is there. [`features`] holds users' own tables of numbers, [`patch`] the
//! poison that replaces some of their rows. Every loader checks magic, sizes, counts and label ranges before it
//! believes a file, because users bring files of every origin.

pub mod arrays;
pub mod atomic;
mod batch;
pub mod checkpoint;
mod classes;
mod cut;
mod data;
mod data_dir;
mod dataset;
mod doubt;
mod error;
pub mod features;
mod fetch;
mod files;
mod format;
pub mod functions;
pub mod hashed;
mod input;
pub mod isa;
mod load;
pub mod majority;
mod order;
pub mod patch;
mod pool;
mod published;
pub mod ranges;
pub mod repeats;
mod resize;
pub mod rng;
mod row_set;
pub mod seal;
pub mod share;
pub mod spec;
pub mod split;
mod status;
pub mod student;
pub mod text;

/// Whether a key is as by default, and so need not be written.
pub fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

pub use batch::{Batch, shuffled};
pub use data::{Data, DataRef, TableSet};
pub use data_dir::DataDir;
pub use dataset::{Dataset, Images, Normalise, Split};
pub use doubt::Doubt;
pub use error::DataError;
pub use fetch::{FetchError, fetch, fetch_from};
pub use load::{load, load_any, load_seeded, source_hash};
pub use published::{Checksum, Remote, Source, is_known, official};
pub use resize::{resize, to_rgb};
pub use status::{DatasetInfo, list};
