//! What a sub-network is worth to the agent (from N2N, Ashok et al. 2018).

use super::config::{Compression, OverBudget, RewardConfig};

/// The reward of a network that could not be measured, and of one over the budget under the full
/// penalty.
pub const DEGENERATE: f64 = -1.0;

/// What the reward of a sub-network depends on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Worth {
    /// Robust accuracy over the teacher's.
    pub robust: f64,
    /// Multiply-accumulates over the teacher's. Above 1 where robust blocks outweigh what was removed:
    /// its compression, and so its reward, is below 0.
    pub macs: f64,
}

/// `R = robust * C (2 - C)`, `C = 1 - macs`; without the second factor for [`Compression::Budget`].
pub fn reward(worth: Worth, compression: Compression) -> f64 {
    let c = 1.0 - worth.macs;
    match compression {
        Compression::N2n => worth.robust * c * (2.0 - c),
        Compression::Budget => worth.robust,
    }
}

/// The share `e` of its reward that a sub-network over the budget keeps in a round (from 0):
/// `min(1, max(0, (1 - round / rounds)^4))`, from 1 to 0, and 0 from then on; 0 always for
/// [`OverBudget::Skip`] and [`OverBudget::Redraw`]. At 0 nothing has to be evaluated.
pub fn kept(config: &RewardConfig, round: usize) -> f64 {
    match config.over_budget {
        OverBudget::Skip | OverBudget::Redraw => 0.0,
        // The power is even: past the last round it would rise again.
        OverBudget::Anneal if round >= config.anneal_rounds => 0.0,
        OverBudget::Anneal => (1.0 - round as f64 / config.anneal_rounds as f64).powi(4),
    }
}

/// The reward `(e - 1) + e R` of a sub-network over the budget.
pub fn over_budget(reward: f64, kept: f64) -> f64 {
    (kept - 1.0) + kept * reward
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "{found} {expected}");
    }

    #[test]
    fn compression_by_hand() {
        let n2n = |robust, macs| reward(Worth { robust, macs }, Compression::N2n);
        // C = 0.75: 0.75 * 1.25 = 0.9375
        close(n2n(0.8, 0.25), 0.75);
        // The teacher itself is no compression.
        close(n2n(1.0, 1.0), 0.0);
        // Nothing left would be all of it.
        close(n2n(1.0, 0.0), 1.0);
        // More than the teacher's cost: C = -0.5, -0.5 * 2.5
        close(n2n(1.2, 1.5), -1.5);
        // A sub-network may be more robust than its teacher.
        close(n2n(1.2, 0.5), 0.9);
        close(
            reward(
                Worth {
                    robust: 0.8,
                    macs: 0.25,
                },
                Compression::Budget,
            ),
            0.8,
        );
    }

    #[test]
    fn the_annealed_constraint_by_hand() {
        let config = RewardConfig {
            over_budget: OverBudget::Anneal,
            ..RewardConfig::default()
        };
        close(kept(&config, 0), 1.0);
        // (1 - 5/15)^4 = 16/81
        close(kept(&config, 5), 16.0 / 81.0);
        close(kept(&config, 15), 0.0);
        close(kept(&config, 31), 0.0);
        close(over_budget(0.6, 1.0), 0.6);
        close(over_budget(0.6, 16.0 / 81.0), -65.0 / 81.0 + 9.6 / 81.0);
        close(over_budget(0.6, 0.0), DEGENERATE);
        close(kept(&RewardConfig::default(), 0), 0.0);
    }
}
