//! Labels of the nearest rows.

use super::{Case, Found, Judged, Method, Score};
use crate::cleanse::{Points, majority, neighbours};
use tox_bilevel::Values;
use tox_data::Normalise;

/// The share of the nearest other rows that have another label.
pub struct Knn;

impl Method for Knn {
    fn name(&self) -> &'static str {
        "knn"
    }

    fn about(&self) -> &'static str {
        "share of the nearest other rows that have another label; of a table columns are standardised"
    }

    fn judge(&self, case: &Case<'_>, go_on: &mut dyn FnMut(f64) -> bool) -> Judged {
        let (rows, k) = (case.rows, case.settings.k);
        let points = match rows.images() {
            Some(split) => {
                let normalise = Normalise::measured(&split.images);
                Points::pixels(split.images, &normalise)
            }
            None => match case.points.real().values {
                Values::Reals(values) => Points::floats(values, rows.columns),
                Values::Bytes { .. } => unreachable!("real points are real"),
            },
        };
        let Some(nearest) = neighbours(&points, k, go_on) else {
            return Ok(None);
        };
        let mut found = Found {
            scores: Vec::new(),
            suggested: Vec::with_capacity(rows.rows),
            reasons: Vec::with_capacity(rows.rows),
            probabilities: None,
        };
        let mut shares = Vec::with_capacity(rows.rows);
        for (own, nearest) in rows.labels.iter().zip(nearest.chunks_exact(k)) {
            let around: Vec<u16> = nearest.iter().map(|&i| rows.labels[i as usize]).collect();
            let count = |label: u16| around.iter().filter(|l| **l == label).count();
            let label = majority(*own, &around, 0.0);
            shares.push((k - count(*own)) as f64 / k as f64);
            found.reasons.push(match label == *own {
                true => format!("{} of {k} nearest share its label", count(*own)),
                false => format!(
                    "{} of {k} nearest are {}",
                    count(label),
                    case.class(label.into())
                ),
            });
            found.suggested.push(label);
        }
        found.scores.push(Score {
            name: "knn",
            values: shares,
            low: false,
        });
        Ok(Some(found))
    }
}
