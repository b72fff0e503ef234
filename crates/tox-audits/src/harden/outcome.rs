//! What a hardening found, and how it is said. Errors are in percent, gains in points.

use super::plan::Plan;
use crate::bilevel::lambdas;
use crate::rows::Sizes;
use serde::{Deserialize, Serialize};
use tox_bilevel::advice::{Advice, Gain, Origin, Treatment, Verdict};
use tox_bilevel::config::Penalty;
use tox_bilevel::own::Own;
use tox_bilevel::scale::Scale;
use tox_data::features::Opened;
use tox_data::majority::{NoBetter, no_better_than};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HardenOutcome {
    pub advice: Advice,
    /// Of the first division; all have as many.
    pub rows: Sizes,
    /// Test rows over all divisions, each counted once.
    pub tested: usize,
    /// Poison points.
    pub points: usize,
    pub penalty: Penalty,
    /// Whether the learner is logistic regression, whose lambda scikit-learn says as C.
    pub logistic: bool,
    /// Least and largest lambda that could be chosen.
    pub limits: [f64; 2],
    /// Of the first division.
    pub scale: Option<Scale>,
    /// What of the features makes it doubtful.
    pub concerns: Vec<String>,
    /// Of what is in use, on the data as they are.
    pub no_better_than_majority: Option<NoBetter>,
}

impl HardenOutcome {
    /// Of an advice on the rows of `data`, `own` being their first division.
    pub fn of(plan: &Plan, (own, data): (&Own, &Opened), tested: usize, advice: Advice) -> Self {
        let clean = advice.current().clean();
        Self {
            rows: Sizes::of(own, data),
            tested,
            points: plan.attack.points(),
            penalty: plan.config.penalty,
            logistic: plan.config.hidden.is_empty(),
            limits: [plan.config.lambda.min, plan.config.lambda.max],
            scale: own.scale.clone(),
            concerns: own.concerns().iter().map(ToString::to_string).collect(),
            no_better_than_majority: no_better_than(clean, advice.majority, tested),
            advice,
        }
    }

    /// Share of the training rows that is poison.
    pub fn share(&self) -> f64 {
        self.points as f64 / self.rows.train as f64
    }

    /// C of scikit-learn's logistic regression, which weighs the sum of the losses and not the penalty.
    pub fn c(&self, lambda: &[f64]) -> Option<f64> {
        let lambda = lambda.first()?;
        let c = 1.0 / (self.rows.train as f64 * lambda.exp());
        self.logistic.then_some(c)
    }

    /// A regularisation, in its user's words.
    pub fn words(&self, lambda: &[f64]) -> String {
        match (lambda, self.c(lambda)) {
            (_, Some(c)) => format!("C = {}", short(c)),
            ([], None) => "no penalty".to_owned(),
            (some, None) => format!("lambda = {}", lambdas(some)),
        }
    }

    fn choice(&self) -> String {
        self.words(&self.advice.chosen().lambda[0])
    }

    /// All that were tried for a reason, and the choice, with their names.
    pub fn shown(&self) -> impl Iterator<Item = (&Treatment, String)> {
        let all = self.advice.treatments.iter().enumerate();
        let named = all.map(|(t, treatment)| (treatment, t == self.advice.chosen));
        let shown = named.filter(|(treatment, chosen)| *chosen || treatment.origin != Origin::Grid);
        shown.map(|(treatment, chosen)| match chosen {
            true => (treatment, format!("{} (chosen)", name(treatment))),
            false => (treatment, name(treatment).to_owned()),
        })
    }

    /// Whether the choice lies at the edge of what was tried.
    pub fn at_edge(&self) -> bool {
        let chosen = &self.advice.chosen().lambda[0];
        chosen.iter().any(|lambda| self.limits.contains(lambda))
    }

    /// What to do, and why, in a sentence without its end.
    pub fn advised(&self) -> String {
        match self.advice.recommended() {
            true => format!("{}: {}", self.choice(), self.reason()),
            false => format!(
                "none: keep what you have ({}): {}",
                self.words(&self.advice.current().lambda[0]),
                self.reason()
            ),
        }
    }

    /// Why there is no advice, or what speaks for it.
    pub fn reason(&self) -> String {
        let advice = &self.advice;
        let [now, validated] = [&advice.over_current, &advice.over_validated];
        match advice.verdict {
            Verdict::Recommended => format!(
                "its worst case is better by {} than that of what you have, and by {} than that of \
                 cross-validation",
                points_of(now),
                points_of(validated)
            ),
            Verdict::InUse => {
                "nothing that was tried has a better worst case on the trusted rows".into()
            }
            Verdict::Majority => format!(
                "the worst case of {} is no better than always answering the most frequent class \
                 ({:.2} %)",
                self.choice(),
                advice.majority
            ),
            Verdict::NoGain => format!(
                "the best on the trusted rows, {}, changes the worst case by {}: no sure gain",
                self.choice(),
                points_of(now)
            ),
            Verdict::NoGainOverValidated => format!(
                "{} has a better worst case than what you have, by {}, but over cross-validation the \
                 gain is {}: not sure",
                self.choice(),
                points_of(now),
                points_of(validated)
            ),
            Verdict::Cost => format!(
                "{} costs more on the data as they are ({:+.2} points) than it gains in the worst case ({})",
                self.choice(),
                now.cost.max(validated.cost),
                points_of(if now.cost > now.worst { now } else { validated })
            ),
        }
    }

    /// That trainings stopped short of convergence, if any did.
    pub fn short_of_convergence(&self) -> Option<String> {
        let [all, short] = self.advice.trainings;
        (short > 0).then(|| format!("{short} of {all} trainings stopped short of convergence"))
    }
}

pub fn name(treatment: &Treatment) -> &'static str {
    match treatment.origin {
        Origin::Current => "what you have",
        Origin::None => "no penalty",
        Origin::CrossValidated => "cross-validated",
        Origin::Learned => "learned",
        Origin::Grid => "tried",
    }
}

/// A number with as many digits as tell.
pub fn short(c: f64) -> String {
    let rounded = format!("{c:.3e}").parse::<f64>().unwrap_or(c);
    match rounded {
        0.001..1e5 => format!("{rounded}"),
        _ => format!("{rounded:e}"),
    }
}

/// A gain with its interval.
pub fn points_of(gain: &Gain) -> String {
    format!("{:.2} +- {:.2} points", gain.worst, gain.half)
}
