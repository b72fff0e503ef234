//! What a finished poison does to its victim, part by part: the flipped labels, the movement of the
//! points, and what 8-bit rounding leaves of it.

use crate::config::BilevelConfig;
use crate::inner::Diverged;
use crate::sets::Sets;
use crate::victim::{Evaluation, Poison, retrain};

/// The victim, retrained from one and the same start on four training sets.
#[derive(Clone, Debug, PartialEq)]
pub struct Effect {
    /// On the clean set.
    pub clean: Evaluation,
    /// With the poison's labels on the clean points.
    pub flipped: Evaluation,
    /// With the poison.
    pub poisoned: Evaluation,
    /// With the poison rounded to 8 bits; `None` where features are floats.
    pub rounded: Option<Evaluation>,
    /// Poison points whose label differs from that of the point they replace.
    pub flips: usize,
    /// Mean over the points of the L2 distance from the point they replace.
    pub l2: f64,
    /// Largest distance of a feature, over all points.
    pub linf: f64,
}

impl Effect {
    /// Retrains the victim with the lambdas that it has without poison and with it. `seed` and
    /// `level` key the start, as in [`retrain`].
    ///
    /// # Errors
    /// When a training diverges.
    pub fn of(
        sets: &Sets,
        config: &BilevelConfig,
        (clean_lambda, lambda): (&[f64], &[f64]),
        poison: &Poison,
        (seed, level): (u64, usize),
    ) -> Result<Self, Diverged> {
        let with =
            |lambda: &[f64], poison: &Poison| retrain(sets, config, lambda, poison, seed, level);
        let train = &sets.train;
        let (flipped, rounded) = (poison.begun(sets, 0), poison.rounded(sets));
        let (mut l2, mut linf) = (0.0, 0f64);
        let rows = poison.values.chunks_exact(train.features);
        for (row, origin) in rows.zip(flipped.values.chunks_exact(train.features)) {
            let moved = row.iter().zip(origin).map(|(&a, &b)| f64::from(a - b));
            linf = moved.clone().fold(linf, |most, by| most.max(by.abs()));
            l2 += moved.map(|by| by * by).sum::<f64>().sqrt();
        }
        let labels = poison.indices.iter().zip(&poison.labels);
        Ok(Self {
            clean: with(clean_lambda, &Poison::default())?,
            flipped: with(lambda, &flipped)?,
            poisoned: with(lambda, poison)?,
            rounded: rounded.map(|rounded| with(lambda, &rounded)).transpose()?,
            flips: labels
                .filter(|(i, label)| train.labels[**i] != **label)
                .count(),
            l2: l2 / (poison.indices.len() as f64).max(1.0),
            linf,
        })
    }

    /// Whether the adversary's objective rose above both the clean set's and that of flipped labels
    /// alone. If not, moving the points was in vain.
    pub fn attacked(&self) -> bool {
        let reached = self.poisoned.objective();
        reached > self.clean.objective() && reached > self.flipped.objective()
    }

    /// Percent of the whole rise in test error, from the clean set on, that rounding leaves. `None`
    /// where nothing is rounded or the error did not rise.
    pub fn survives(&self) -> Option<f64> {
        self.share_left(self.clean.test_error)
    }

    /// As [`Effect::survives`], of the part of the rise that moving the points adds to flipped
    /// labels, which no rounding touches.
    pub fn movement_survives(&self) -> Option<f64> {
        self.share_left(self.flipped.test_error)
    }

    fn share_left(&self, from: f64) -> Option<f64> {
        let rise = self.poisoned.test_error - from;
        let left = self.rounded.as_ref()?.test_error - from;
        (rise > 0.0).then_some(100.0 * left / rise)
    }
}
