//! Confident learning (Northcutt, Jiang and Chuang 2021, "Confident learning: estimating uncertainty in dataset
//! labels"), of probabilities by models that did not see the row.

use super::fit::{fit, folds, likeliest, out_of_fold, percent};
use super::{Case, Found, Judged, Method, Score};

/// Self-confidence, normalised margin and pruning by class, of cross-validated probabilities.
pub struct Confident;

impl Method for Confident {
    fn name(&self) -> &'static str {
        "confident"
    }

    fn about(&self) -> &'static str {
        "confident learning: the probability of the row's label by a logistic regression of the other folds, and \
         pruning by class"
    }

    fn judge(&self, case: &Case<'_>, go_on: &mut dyn FnMut(f64) -> bool) -> Judged {
        let (labels, classes) = (&case.rows.labels, case.classes());
        let folds = folds(labels, classes, case.settings.folds, case.seed);
        let c = case.settings.c;
        let mut train = |rows: &[usize]| fit(&[&case.points.select(rows)], None, classes, c);
        let Some(all) = out_of_fold(&case.points, classes, &folds, &mut train, go_on)? else {
            return Ok(None);
        };
        let found = doubt(&all, labels, classes);
        let suggested: Vec<u16> = (all.chunks_exact(classes))
            .map(|p| likeliest(p) as u16)
            .collect();
        let rows = found.self_confidence.iter().zip(&found.pruned).enumerate();
        let reasons = rows.map(|(row, (own, pruned))| {
            let best = likeliest(&all[row * classes..][..classes]);
            let pruned = if *pruned { ", pruned" } else { "" };
            let own = percent(*own);
            match best == usize::from(labels[row]) {
                true => format!("other folds: its label {own}{pruned}"),
                false => format!(
                    "other folds: {} ({}), its label {own}{pruned}",
                    case.class(best),
                    percent(all[row * classes + best])
                ),
            }
        });
        let reasons = reasons.collect();
        Ok(Some(Found {
            suggested,
            reasons,
            probabilities: Some(all),
            scores: vec![
                Score {
                    name: "self-confidence",
                    values: found.self_confidence,
                    low: true,
                },
                Score {
                    name: "normalized-margin",
                    values: found.normalized_margin,
                    low: true,
                },
                Score {
                    name: "pruned",
                    values: found
                        .pruned
                        .iter()
                        .map(|p| f64::from(u8::from(*p)))
                        .collect(),
                    low: false,
                },
            ],
        }))
    }
}

/// What confident learning says of every row.
#[derive(Clone, Debug, PartialEq)]
pub struct Doubt {
    /// Probability of the row's label.
    pub self_confidence: Vec<f64>,
    /// By how much it is above the largest other one, brought from -1..=1 to 0..=1.
    pub normalized_margin: Vec<f64>,
    /// Rows of label `i` that count as of class `j`: those whose probability of `j` is at least the mean of that
    /// among the rows of label `j`, of several such classes that of the largest. Row-major.
    pub confident_joint: Vec<usize>,
    /// Whether it is pruned by class: of every label so many of its rows, those of the least self-confidence, as
    /// the joint distribution has off its diagonal.
    pub pruned: Vec<bool>,
}

/// Of `probabilities`, `classes` a row, by models that did not see the row.
pub fn doubt(probabilities: &[f64], labels: &[u16], classes: usize) -> Doubt {
    let rows = || probabilities.chunks_exact(classes).zip(labels);
    let own = |(p, label): (&[f64], &u16)| p[usize::from(*label)];
    let margin = |(p, label): (&[f64], &u16)| {
        let label = usize::from(*label);
        let others = p.iter().enumerate().filter(|(class, _)| *class != label);
        let most = others.map(|(_, p)| *p).fold(f64::NEG_INFINITY, f64::max);
        (p[label] - most + 1.0) / 2.0
    };
    let self_confidence: Vec<f64> = rows().map(own).collect();
    let mut counts = vec![0usize; classes];
    let mut thresholds = vec![0.0; classes];
    for (label, own) in labels.iter().zip(&self_confidence) {
        counts[usize::from(*label)] += 1;
        thresholds[usize::from(*label)] += own;
    }
    for (sum, count) in thresholds.iter_mut().zip(&counts) {
        // No row is of a class that no row has.
        *sum = if *count > 0 {
            *sum / *count as f64
        } else {
            f64::INFINITY
        };
    }
    let mut joint = vec![0usize; classes * classes];
    for (p, label) in rows() {
        let sure = (0..classes).filter(|class| p[*class] >= thresholds[*class]);
        let class = sure.reduce(|best, class| if p[class] > p[best] { class } else { best });
        if let Some(class) = class {
            joint[usize::from(*label) * classes + class] += 1;
        }
    }
    let mut pruned = vec![false; labels.len()];
    for label in 0..classes {
        let counted = &joint[label * classes..][..classes];
        let all: usize = counted.iter().sum();
        if all == 0 {
            continue;
        }
        // Rows of the label that are of another class, by the joint scaled to the label's count.
        let off = (all - counted[label]) as f64 / all as f64 * counts[label] as f64;
        let mut of: Vec<usize> = (0..labels.len())
            .filter(|row| usize::from(labels[*row]) == label)
            .collect();
        of.sort_by(|a, b| self_confidence[*a].total_cmp(&self_confidence[*b]));
        of.iter()
            .take(off.round() as usize)
            .for_each(|row| pruned[*row] = true);
    }
    Doubt {
        normalized_margin: rows().map(margin).collect(),
        self_confidence,
        confident_joint: joint,
        pruned,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_rows_by_hand() {
        // Thresholds: class 0 (0.9 + 0.8 + 0.1) / 3 = 0.6, class 1 (0.7 + 0.6 + 0.5) / 3 = 0.6.
        let first = [0.9, 0.8, 0.1, 0.3, 0.4, 0.5];
        let p: Vec<f64> = first.iter().flat_map(|p| [*p, 1.0 - p]).collect();
        let found = doubt(&p, &[0, 0, 0, 1, 1, 1], 2);
        assert_eq!(found.confident_joint, [2, 1, 0, 2]);
        assert_eq!(found.self_confidence[..3], [0.9, 0.8, 0.1]);
        assert!((found.normalized_margin[2] - 0.1).abs() < 1e-12);
        // A third of the three rows of label 0.
        assert_eq!(found.pruned, [false, false, true, false, false, false]);
    }

    #[test]
    fn a_class_without_rows_takes_none() {
        let found = doubt(&[0.1, 0.2, 0.7, 0.1, 0.8, 0.1], &[0, 1], 3);
        assert_eq!(found.confident_joint, [1, 0, 0, 0, 1, 0, 0, 0, 0]);
        assert_eq!(found.pruned, [false, false]);
    }
}
