//! Whether a choice is surely better than what is in use.

use super::{Origin, Treatment, mean};
use serde::{Deserialize, Serialize};
use tox_data::majority;
use tox_data::student::t_quantile;

/// How much less a treatment gets wrong than another, in percentage points of test error.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gain {
    /// Of the worst test error: mean over the splits.
    pub worst: f64,
    /// Half of its 95 % interval: Student's t on the sum of the variance between the splits and that
    /// of the test rows.
    pub half: f64,
    /// Rise of the test error on the data as they are, mean over the splits.
    pub cost: f64,
}

impl Gain {
    /// Whether the interval lies above 0.
    pub fn sure(&self) -> bool {
        self.worst - self.half > 0.0
    }
}

/// What became of a choice, by the first rule that it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It is surely better than what is in use and than cross-validation in the worst case, costs no
    /// more on the data as they are than it gains, and its worst case is better than the most frequent
    /// class.
    Recommended,
    /// The choice is what is in use.
    InUse,
    /// Its worst case is no better than always answering the most frequent class.
    Majority,
    /// Its gain over what is in use is within its uncertainty.
    NoGain,
    /// Its gain over cross-validation is within its uncertainty.
    NoGainOverValidated,
    /// It costs more on the data as they are than it gains in the worst case.
    Cost,
}

impl Verdict {
    /// One word, for a table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Recommended => "recommended",
            Self::InUse => "in-use",
            Self::Majority => "majority",
            Self::NoGain => "no-gain",
            Self::NoGainOverValidated => "no-gain-over-cross-validation",
            Self::Cost => "cost",
        }
    }
}

/// What the test rows are.
#[derive(Clone, Copy, Debug)]
pub struct Counts {
    /// Error of their most frequent class, percent.
    pub majority: f64,
    /// How many differ over all splits.
    pub tested: usize,
}

impl Counts {
    /// Of one treatment over another, whose mistakes on a test row differ with a variance of `rows`.
    pub fn gain(&self, of: &Treatment, over: &Treatment, rows: f64) -> Gain {
        let pairs = over.worst.iter().zip(&of.worst);
        let gains: Vec<f64> = pairs.map(|(over, of)| over - of).collect();
        let (n, worst) = (gains.len() as f64, mean(&gains));
        let squares: f64 = gains.iter().map(|g| (g - worst).powi(2)).sum();
        let between = squares / (n - 1.0).max(1.0) / n;
        let within = rows / (self.tested as f64).max(1.0);
        let t = match gains.len() {
            0 | 1 => f64::INFINITY,
            many => t_quantile(0.975, many as u64 - 1),
        };
        Gain {
            worst,
            half: t * (between + within).sqrt(),
            cost: of.clean() - over.clean(),
        }
    }
}

/// The verdict on `chosen`.
pub fn judge(
    chosen: &Treatment,
    current: &Treatment,
    over_current: &Gain,
    over_validated: &Gain,
    counts: Counts,
) -> Verdict {
    let constant = majority::no_better_than(chosen.worst(), counts.majority, counts.tested);
    if chosen.origin == Origin::Current || chosen.lambda == current.lambda {
        Verdict::InUse
    } else if !over_current.sure() {
        Verdict::NoGain
    } else if constant.is_some() || !chosen.attacked {
        Verdict::Majority
    } else if over_current.cost > over_current.worst || over_validated.cost > over_validated.worst {
        Verdict::Cost
    } else if !over_validated.sure() {
        Verdict::NoGainOverValidated
    } else {
        Verdict::Recommended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn treatment(origin: Origin, lambda: f64, clean: f64, worst: &[f64]) -> Treatment {
        Treatment {
            origin,
            lambda: vec![vec![lambda]; worst.len()],
            clean: vec![clean; worst.len()],
            worst: worst.to_vec(),
            attacked: true,
            diverged: false,
        }
    }

    const COUNTS: Counts = Counts {
        majority: 50.0,
        tested: 1000,
    };

    #[test]
    fn a_gain_and_its_interval_by_hand() {
        let now = treatment(Origin::Current, 0.0, 4.0, &[20.0, 22.0, 24.0]);
        let new = treatment(Origin::Grid, 1.0, 5.0, &[10.0, 10.0, 10.0]);
        // Gains 10, 12, 14: mean 12, variance of the mean 4 / 3; of the rows 1000 / 1000.
        let gain = COUNTS.gain(&new, &now, 1000.0);
        assert_eq!((gain.worst, gain.cost), (12.0, 1.0));
        assert!((gain.half - 4.3027 * (7.0f64 / 3.0).sqrt()).abs() < 1e-3);
        assert!(gain.sure());
        assert!(!COUNTS.gain(&now, &new, 0.0).sure());
        let one = COUNTS.gain(
            &treatment(Origin::Grid, 1.0, 5.0, &[1.0]),
            &treatment(Origin::Current, 0.0, 4.0, &[20.0]),
            0.0,
        );
        assert!(!one.sure(), "one split says nothing");
    }

    #[test]
    fn each_rule_has_its_verdict() {
        let now = treatment(Origin::Current, 0.0, 4.0, &[20.0, 22.0, 24.0]);
        let verdict = |new: &Treatment, validated: &Treatment| {
            let over = |other: &Treatment| COUNTS.gain(new, other, 100.0);
            judge(new, &now, &over(&now), &over(validated), COUNTS)
        };
        let good = treatment(Origin::Grid, 1.0, 5.0, &[10.0, 11.0, 12.0]);
        assert_eq!(verdict(&good, &now), Verdict::Recommended);
        assert_eq!(verdict(&now, &now), Verdict::InUse);
        let same = treatment(Origin::Grid, 0.0, 4.0, &[20.0, 22.0, 24.0]);
        assert_eq!(verdict(&same, &now), Verdict::InUse);
        let little = treatment(Origin::Grid, 1.0, 4.0, &[19.0, 23.0, 23.0]);
        assert_eq!(verdict(&little, &now), Verdict::NoGain);
        let dear = treatment(Origin::Grid, 1.0, 16.0, &[10.0, 11.0, 12.0]);
        assert_eq!(verdict(&dear, &now), Verdict::Cost);
        let validated = treatment(Origin::CrossValidated, 1.0, 5.0, &[10.0, 12.0, 11.0]);
        assert_eq!(verdict(&good, &validated), Verdict::NoGainOverValidated);
        // A constant that withstands more than what is in use, which the poison takes below it.
        let broken = treatment(Origin::Current, 0.0, 4.0, &[60.0, 62.0, 64.0]);
        let constant = treatment(Origin::Grid, 9.0, 50.0, &[50.0, 50.0, 50.0]);
        let gain = COUNTS.gain(&constant, &broken, 0.0);
        let found = judge(&constant, &broken, &gain, &gain, COUNTS);
        assert_eq!(found, Verdict::Majority);
        let unseen = Treatment {
            attacked: false,
            ..good
        };
        assert_ne!(verdict(&unseen, &now), Verdict::Recommended);
    }
}
