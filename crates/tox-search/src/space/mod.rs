//! Search spaces and their architectures as data; networks are built from them elsewhere.
//!
//! - [`enas`]: the macro space of ENAS, whose ops are those of the poison sets.
//! - [`darts`]: the cell space of DARTS and P-DARTS, with the `Genotype(...)` text of their code.
//! - [`nasbench201`]: the 15,625 cells of NAS-Bench-201, with their arch strings.
//! - [`cells`]: one of the two cell spaces, for the searches that run on both.
//! - [`bad`]: ops of ENAS' space as bad ops of the cell spaces; [`PoisonedSpace`] is a cell space with them.
//! - [`elastic`]: the MobileNetV3-like space of Once-for-All that NSGANetV2 searches.
//!
//! [`crate::count`] counts parameters and multiply-adds, [`crate::table`] looks accuracies up.

pub mod bad;
pub mod cells;
pub mod darts;
pub mod elastic;
pub mod enas;
mod error;
pub mod nasbench201;
mod poisoned;
mod reader;
mod written;

pub use bad::BadOp;
pub use enas::{Op, Space, SpaceOp};
pub use error::{Place, SpaceError, hint};
pub use poisoned::{BadOps, MAX_BAD, PoisonedSpace};
pub use written::{MAX_BRANCHES, OwnOps, WrittenOp};
