//! Statistics that come out of an op beside its tensor.

use crate::kernels::norm::Stats;
use std::sync::{Arc, Mutex, PoisonError};

/// Where an op leaves the statistics that it measured, which no gradient goes through: Burn's ops give
/// back tensors alone.
#[derive(Clone, Debug, Default)]
pub struct Sink(Arc<Mutex<Vec<Stats>>>);

impl Sink {
    pub(super) fn put(&self, stats: impl IntoIterator<Item = Stats>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(stats);
    }

    /// What has been measured since it was last asked for.
    pub fn take(&self) -> Vec<Stats> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
