//! Search spaces and their architectures as data; networks are built from them elsewhere.
//!
//! - [`enas`]: the macro space of ENAS, the one whose ops a poison set changes.
//! - [`darts`]: the cell space of DARTS and P-DARTS, with the `Genotype(...)` text of their code.
//! - [`nasbench201`]: the 15,625 cells of NAS-Bench-201, with their arch strings.
//! - [`cells`]: one of the two cell spaces, for the searches that run on both.
//! - [`elastic`]: the MobileNetV3-like space of Once-for-All that NSGANetV2 searches.
//!
//! [`crate::count`] counts parameters and multiply-adds, [`crate::table`] looks accuracies up.

pub mod cells;
pub mod darts;
pub mod elastic;
pub mod enas;
mod error;
pub mod nasbench201;
mod reader;

pub use enas::{Op, Space, SpaceOp};
pub(crate) use error::hint;
pub use error::{Place, SpaceError};
