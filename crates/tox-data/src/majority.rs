//! The error of always answering the most frequent class, and whether a learner does better.

/// Quantile of the normal distribution that leaves 5 % above it.
const ONE_SIDED: f64 = 1.645;

/// A learner that does no better than a constant answer, as far as these rows can tell.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct NoBetter {
    /// Its error, percent.
    pub error: f64,
    /// That of always answering the most frequent class, percent.
    pub majority: f64,
    /// How far below it an error must be to tell the two apart: 1.645 standard deviations of the
    /// error that a constant answer has on so many rows, in percentage points.
    pub margin: f64,
    /// Rows that it was measured on.
    pub rows: usize,
}

impl std::fmt::Display for NoBetter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let relation = match self.error < self.majority {
            true => "cannot be told from that of",
            false => "is no better than",
        };
        let told = match self.majority - self.margin {
            least if least > 0.0 => format!("an error below {least:.2} % could be told from it"),
            _ => "on so few rows no error could be".to_owned(),
        };
        write!(
            f,
            "an error of {:.2} % on {} rows {relation} always answering the most frequent class, which errs in \
             {:.2} % ({told})",
            self.error, self.rows, self.majority,
        )
    }
}

/// Error in percent of always answering the most frequent of `labels`; 100 for no labels.
pub fn error(labels: &[u16]) -> f64 {
    let largest = labels.iter().copied().max().unwrap_or(0);
    let mut counts = vec![0usize; usize::from(largest) + 1];
    for &label in labels {
        counts[usize::from(label)] += 1;
    }
    let most = counts.into_iter().max().unwrap_or(0);
    100.0 - 100.0 * most as f64 / (labels.len() as f64).max(1.0)
}

/// Whether a learner with an error of `found` percent on rows with these labels is no better than
/// the most frequent class. `None` if it is better, or if there is nothing to be better at: no
/// rows, or rows of one class.
pub fn no_better(found: f64, labels: &[u16]) -> Option<NoBetter> {
    no_better_than(found, error(labels), labels.len())
}

/// As [`no_better`], with the `majority` error that is known already.
pub fn no_better_than(found: f64, majority: f64, rows: usize) -> Option<NoBetter> {
    if rows == 0 || majority <= 0.0 {
        return None;
    }
    let margin = ONE_SIDED * (majority * (100.0 - majority) / rows as f64).sqrt();
    // Not a number is no better either.
    let better = found < majority - margin;
    (!better).then_some(NoBetter {
        error: found,
        majority,
        margin,
        rows,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_class_by_hand() {
        assert_eq!(error(&[0, 0, 0, 1]), 25.0);
        assert_eq!(error(&[2, 2, 5, 1, 2]), 40.0);
        assert_eq!((error(&[]), error(&[3, 3])), (100.0, 0.0));
    }

    #[test]
    fn a_margin_of_the_binomial_decides() {
        // 100 rows, half of each class: one deviation is 5 points.
        let labels: Vec<u16> = (0..100).map(|i| i % 2).collect();
        let found = no_better(45.0, &labels).unwrap();
        assert_eq!((found.majority, found.rows), (50.0, 100));
        assert!((found.margin - 8.225).abs() < 1e-9);
        assert!(no_better(41.0, &labels).is_none());
        assert!(no_better(42.0, &labels).is_some() && no_better(f64::NAN, &labels).is_some());
        assert!(found.to_string().contains("below 41.77 %"), "{found}");
        // On few rows nothing can be told; on one class there is nothing to tell.
        assert!(no_better(20.0, &[0, 1, 0, 1]).is_some());
        assert!(no_better(0.0, &[1, 1]).is_none() && no_better(0.0, &[]).is_none());
    }
}
