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
