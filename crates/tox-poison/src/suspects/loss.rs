//! Loss under a model of the trusted rows.

use super::fit::{cross_entropy, fit, likeliest, percent};
use super::{Case, Found, Judged, Method, Score};
use crate::cleanse::covers;

/// The cross-entropy of each row under a logistic regression that was trained on the trusted rows alone.
pub struct Loss;

impl Method for Loss {
    fn name(&self) -> &'static str {
        "loss"
    }

    fn about(&self) -> &'static str {
        "loss of the row under a logistic regression that was trained on the trusted rows alone"
    }

    fn needs_trusted(&self) -> bool {
        true
    }

    fn judge(&self, case: &Case<'_>, _go_on: &mut dyn FnMut(f64) -> bool) -> Judged {
        let classes = case.classes();
        let trusted = case.trusted_points()?;
        covers(&trusted.labels, &case.rows.labels, classes)?;
        let fitted = fit(&[trusted], None, classes, case.settings.c)?;
        let all = fitted.probabilities(&case.points);
        let rows = all.chunks_exact(classes).zip(&case.rows.labels);
        let (mut losses, mut suggested, mut reasons) = (Vec::new(), Vec::new(), Vec::new());
        for (p, label) in rows {
            let (best, loss) = (likeliest(p), cross_entropy(p, *label));
            losses.push(loss);
            suggested.push(best as u16);
            reasons.push(format!(
                "trusted rows: {} ({}), loss {loss:.2}",
                case.class(best),
                percent(p[best])
            ));
        }
        Ok(Some(Found {
            scores: vec![Score {
                name: "loss",
                values: losses,
                low: false,
            }],
            suggested,
            reasons,
            probabilities: None,
        }))
    }
}
