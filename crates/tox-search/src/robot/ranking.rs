//! From metrics to a ranking.

use super::config::Choice;

/// The metrics of all architectures, each scaled so that its least value is 0 and its largest 1. One
/// that is constant stays as it is, and what is not finite adds nothing to a score.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalised(Vec<[f64; 6]>);

impl Normalised {
    /// Scales every metric by the finite values that it has.
    pub fn new(metrics: &[[f64; 6]]) -> Self {
        let mut all = metrics.to_vec();
        for m in 0..6 {
            let finite = metrics.iter().map(|row| row[m]).filter(|v| v.is_finite());
            let low = finite.clone().fold(f64::INFINITY, f64::min);
            let high = finite.fold(f64::NEG_INFINITY, f64::max);
            for row in &mut all {
                let value = row[m];
                row[m] = match (value.is_finite(), high > low) {
                    (false, _) => 0.0,
                    (true, false) => value,
                    (true, true) => (value - low) / (high - low),
                };
            }
        }
        Self(all)
    }

    /// Number of architectures.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The architectures from the highest score to the lowest, a score being the sum of the metrics,
    /// each times its weight; of equals the first in the pool comes first.
    pub fn ranking(&self, weights: &[f64]) -> Vec<usize> {
        let score = |row: &[f64; 6]| row.iter().zip(weights).map(|(m, w)| m * w).sum::<f64>();
        let scores: Vec<f64> = self.0.iter().map(score).collect();
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        order
    }
}

/// The place in the pool of the architecture that a search ends with; `evaluated` are places and
/// accuracies in percent, in the order of training.
pub fn choose(choice: Choice, evaluated: &[(usize, f64)]) -> usize {
    let least = evaluated.iter().map(|(place, _)| *place).min().unwrap_or(0);
    let mut best = match choice {
        Choice::Best => (f64::NEG_INFINITY, 0),
        Choice::Published => (least as f64 - 1.0, 0),
    };
    for &(place, accuracy) in evaluated {
        if accuracy > best.0 {
            best = (accuracy, place);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_scaled_and_ranked_by_hand() {
        let nan = f64::NAN;
        let rows = [
            [1.0, -5.0, 3.0, nan, 0.0, 0.0],
            [2.0, -10.0, 3.0, 7.0, 0.0, f64::INFINITY],
            [5.0, 0.0, 3.0, 9.0, 0.0, 1.0],
        ];
        let normalised = Normalised::new(&rows);
        let expected = [
            [0.0, 0.5, 3.0, 0.0, 0.0, 0.0],
            [0.25, 0.0, 3.0, 0.0, 0.0, 0.0],
            [1.0, 1.0, 3.0, 1.0, 0.0, 1.0],
        ];
        assert_eq!(normalised.0, expected);
        assert_eq!(
            normalised.ranking(&[1.0, 0.0, 0.0, 0.0, 0.0, 0.0]),
            [2, 1, 0]
        );
        assert_eq!(
            normalised.ranking(&[0.0, -1.0, 0.5, 0.0, 0.0, 0.0]),
            [1, 0, 2]
        );
        assert_eq!(normalised.ranking(&[0.0; 6]), [0, 1, 2]);
    }

    #[test]
    fn the_published_choice_compares_accuracies_with_places() {
        let evaluated = [(300, 91.0), (7, 90.0), (4000, 92.0), (41, 92.0)];
        assert_eq!(choose(Choice::Best, &evaluated), 4000);
        // Above 7 - 1: the highest.
        assert_eq!(choose(Choice::Published, &evaluated), 4000);
        // None is above 300 - 1 percent.
        assert_eq!(choose(Choice::Published, &[(300, 91.0), (4000, 92.0)]), 0);
        assert_eq!(choose(Choice::Best, &[(300, 91.0), (4000, 92.0)]), 4000);
    }
}
