//! How well an order of rows finds those that are known to be poisoned.

/// Ranks from 1, the largest number first; equal numbers share the mean of their ranks.
pub fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*b].total_cmp(&values[*a]));
    let mut ranks = vec![0.0; values.len()];
    let mut at = 0;
    while at < order.len() {
        let value = values[order[at]];
        let equal = order[at..].iter().take_while(|row| values[**row] == value);
        // A NaN equals nothing, not even itself.
        let count = equal.count().max(1);
        let rank = at as f64 + (count + 1) as f64 / 2.0;
        order[at..at + count]
            .iter()
            .for_each(|row| ranks[*row] = rank);
        at += count;
    }
    ranks
}

/// Average precision of `suspicion`, of which the larger is the more suspicious, for the rows that are
/// `poisoned`: the mean over them of the share of poisoned rows among all that are at least as suspicious. As
/// scikit-learn's `average_precision_score`. None if no row is poisoned.
pub fn average_precision(suspicion: &[f64], poisoned: &[bool]) -> Option<f64> {
    let all = poisoned.iter().filter(|poisoned| **poisoned).count();
    let mut order: Vec<usize> = (0..suspicion.len()).collect();
    order.sort_by(|a, b| suspicion[*b].total_cmp(&suspicion[*a]));
    let (mut sum, mut caught, mut at) = (0.0, 0, 0);
    while at < order.len() {
        let value = suspicion[order[at]];
        let equal = order[at..]
            .iter()
            .take_while(|row| suspicion[**row] == value);
        let count = equal.count().max(1);
        let new = order[at..at + count].iter().filter(|row| poisoned[**row]);
        let new = new.count();
        at += count;
        caught += new;
        sum += new as f64 * caught as f64 / at as f64;
    }
    (all > 0).then(|| sum / all as f64)
}

/// Share of poisoned rows among the `budget` most suspicious, of equally suspicious ones the first. None of a
/// budget of 0.
pub fn precision_at(suspicion: &[f64], poisoned: &[bool], budget: usize) -> Option<f64> {
    let mut order: Vec<usize> = (0..suspicion.len()).collect();
    order.sort_by(|a, b| suspicion[*b].total_cmp(&suspicion[*a]));
    order.truncate(budget);
    let caught = order.iter().filter(|row| poisoned[**row]).count();
    (budget > 0).then(|| caught as f64 / budget as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_of_equal_numbers_are_their_mean() {
        assert_eq!(
            ranks(&[1.0, 5.0, 3.0, 5.0, 1.0, 1.0]),
            [5.0, 1.5, 3.0, 1.5, 5.0, 5.0]
        );
    }

    #[test]
    fn precisions_by_hand() {
        // In order: poisoned, clean, poisoned, clean.
        let (suspicion, poisoned) = ([4.0, 1.0, 3.0, 2.0], [true, false, false, true]);
        let average = average_precision(&suspicion, &poisoned).unwrap();
        assert_eq!(average, (1.0 + 2.0 / 3.0) / 2.0);
        assert_eq!(precision_at(&suspicion, &poisoned, 2), Some(0.5));
        // All equal: as good as chance, and no order of the rows decides.
        assert_eq!(average_precision(&[1.0; 4], &poisoned), Some(0.5));
        // scikit-learn: average_precision_score([0, 1, 1, 0, 1], [.5, .5, .9, .1, .4]).
        let found = average_precision(
            &[0.5, 0.5, 0.9, 0.1, 0.4],
            &[false, true, true, false, true],
        );
        assert!((found.unwrap() - (1.0 + 2.0 / 3.0 + 3.0 / 4.0) / 3.0).abs() < 1e-12);
        assert_eq!(average_precision(&[1.0], &[false]), None);
        assert_eq!(precision_at(&[1.0], &[true], 0), None);
    }
}
