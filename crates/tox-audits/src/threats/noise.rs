//! Gaussian noise on images (Coalson et al.).

use super::{ShareOfRows, plain};
use crate::scene::{Crafting, Scene};
use tox_data::features::Features;
use tox_poison::data::noise;
use tox_poison::data::threat::NoiseThreat;
use tox_study::steps::Steps;

impl ShareOfRows for NoiseThreat {
    const KIND: &str = "noise";
    const NAME: &str = "noise";

    fn craft(&self, scene: &Scene<'_>, pool: &Features, _steps: &mut Steps<'_>) -> Crafting {
        let crafted = noise::gaussian(pool, self.noise, self.budget, scene.spec.seed)?;
        Ok(plain(crafted))
    }
}
