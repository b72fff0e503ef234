//! RLF, random label flipping (Coalson et al.).

use super::{ShareOfRows, plain};
use crate::scene::{Crafting, Scene};
use tox_data::features::Features;
use tox_poison::data::flip;
use tox_poison::data::threat::RlfThreat;
use tox_study::steps::Steps;

impl ShareOfRows for RlfThreat {
    const KIND: &str = "rlf";
    const NAME: &str = "RLF";
    const LABELS_ALONE: bool = true;

    fn craft(&self, scene: &Scene<'_>, pool: &Features, _steps: &mut Steps<'_>) -> Crafting {
        Ok(plain(flip::random(pool, self.budget, scene.spec.seed)?))
    }
}
