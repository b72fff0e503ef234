//! What `toxscreen harden` says of an advice, as text and as JSON.

use crate::cli::{bilevel, table};
use serde_json::{Value, json as object};
use std::cmp::Ordering;
use tox_audits::commands::harden;
use tox_bilevel::advice::{Advice, Gain, Origin, Treatment, Verdict};
use tox_bilevel::config::{BilevelConfig, Penalty};
use tox_bilevel::own::Own;
use tox_bilevel::scale::Scaling;
use tox_data::features::Opened;

/// What is told of an advice.
pub struct Told<'a> {
    pub data: &'a Opened,
    /// The divisions of the rows, at least one.
    pub folds: &'a [Own],
    pub config: &'a BilevelConfig,
    pub advice: &'a Advice,
    pub points: usize,
}

impl Told<'_> {
    fn own(&self) -> &Own {
        &self.folds[0]
    }

    fn rows(&self) -> usize {
        self.own().sets.train.len()
    }

    fn tested(&self) -> usize {
        harden::tested(self.folds, self.data.sets.train.rows)
    }

    /// C of scikit-learn's logistic regression, which weighs the sum of the losses and not the penalty.
    fn c(&self, lambda: &[f64]) -> Option<f64> {
        let lambda = lambda.first()?;
        let c = 1.0 / (self.rows() as f64 * lambda.exp());
        self.config.hidden.is_empty().then_some(c)
    }

    /// What is in use, in the words of its user.
    fn in_use(&self) -> String {
        match self.c(&self.advice.current().lambda[0]) {
            Some(c) => format!("C = {}", short(c)),
            None => "no penalty".to_owned(),
        }
    }

    fn name(&self, treatment: &Treatment) -> &'static str {
        match treatment.origin {
            Origin::Current => "what you have",
            Origin::None => "no penalty",
            Origin::CrossValidated => "cross-validated",
            Origin::Learned => "learned",
            Origin::Grid => "tried",
        }
    }

    /// Whether the choice lies at the edge of what was tried.
    fn at_edge(&self) -> bool {
        let chosen = self.advice.chosen().lambda[0].iter().copied();
        let edge = [self.config.lambda.min, self.config.lambda.max];
        chosen.into_iter().any(|lambda| edge.contains(&lambda))
    }

    /// Why there is no advice, or what speaks for it.
    fn reason(&self) -> String {
        let [now, validated] = [&self.advice.over_current, &self.advice.over_validated];
        let choice = || self.value(self.advice.chosen());
        match self.advice.verdict {
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
                choice(),
                self.advice.majority
            ),
            Verdict::NoGain => format!(
                "the best on the trusted rows, {}, changes the worst case by {}: no sure gain",
                choice(),
                points_of(now)
            ),
            Verdict::NoGainOverValidated => format!(
                "{} has a better worst case than what you have, by {}, but over cross-validation the \
                 gain is {}: not sure",
                choice(),
                points_of(now),
                points_of(validated)
            ),
            Verdict::Cost => format!(
                "{} costs more on the data as they are ({:+.2} points) than it gains in the worst case ({})",
                choice(),
                now.cost.max(validated.cost),
                points_of(if now.cost > now.worst { now } else { validated })
            ),
        }
    }

    /// A treatment's regularisation, in its user's words.
    fn value(&self, treatment: &Treatment) -> String {
        let lambda = &treatment.lambda[0];
        match self.c(lambda) {
            Some(c) => format!("C = {}", short(c)),
            None => format!("lambda = {}", bilevel::lambdas(lambda)),
        }
    }

    /// As JSON.
    pub fn report(&self) -> Value {
        let advice = self.advice;
        let weights = |lambda: &[f64]| {
            object!({
                "lambda": lambda,
                "weight_decay": (self.config.penalty == Penalty::L2)
                    .then(|| lambda.iter().map(|l| l.exp()).collect::<Vec<f64>>()),
                "sklearn_c": self.c(lambda),
            })
        };
        let treatment = |t: &Treatment| {
            let c: Vec<Option<f64>> = t.lambda.iter().map(|lambda| self.c(lambda)).collect();
            object!({
                "name": self.name(t),
                "lambda": t.lambda,
                "sklearn_c": c,
                "test_error": t.clean(),
                "worst_test_error": t.worst(),
                "by_split": {"test_error": t.clean, "worst_test_error": t.worst},
                "poison_against_it": t.attacked,
                "diverged": t.diverged,
            })
        };
        let treatments: Vec<Value> = advice.treatments.iter().map(treatment).collect();
        let gain = |gain: &Gain| {
            object!({
                "worst": gain.worst,
                "half_width": gain.half.is_finite().then_some(gain.half),
                "sure": gain.sure(),
                "clean_rise": gain.cost,
            })
        };
        let chosen = &advice.chosen().lambda[0];
        object!({
            "recommended": advice.recommended(),
            "verdict": advice.verdict.name(),
            "reason": self.reason(),
            "advice": advice.recommended().then(|| weights(chosen)),
            "keep": weights(&advice.current().lambda[0]),
            "choice": {"treatment": advice.chosen, "at_edge": self.at_edge()},
            "gain": {
                "over_what_you_have": gain(&advice.over_current),
                "over_cross_validated": gain(&advice.over_validated),
                "of_cross_validated_over_what_you_have": gain(&advice.validated_over_current),
            },
            "majority_error": advice.majority,
            "penalty": self.config.penalty,
            "treatments": treatments,
            "splits": self.folds.len(),
            "rows_tested": self.tested(),
            "trainings": advice.trainings[0],
            "points": self.points,
            "share": self.points as f64 / self.rows() as f64,
            "rows": bilevel::sizes(self.own(), self.data),
            "scale": self.own().scale,
        })
    }

    /// As text, after the warnings.
    pub fn tell(&self, warnings: &[String]) -> String {
        let advice = self.advice;
        let mut text: String = warnings.iter().map(|w| format!("WARNING: {w}\n")).collect();
        if !text.is_empty() {
            text.push('\n');
        }
        let share = 100.0 * self.points as f64 / self.rows() as f64;
        let worst = format!("worst found, {share:.1} % poison");
        let head = [
            "regularisation",
            "C",
            "lambda",
            "test error, data as they are",
            &worst,
        ];
        let shown = advice
            .treatments
            .iter()
            .enumerate()
            .filter(|(t, treatment)| treatment.origin != Origin::Grid || *t == advice.chosen);
        let rows: Vec<Vec<String>> = shown
            .map(|(t, treatment)| {
                let name = match t == advice.chosen {
                    true => format!("{} (chosen)", self.name(treatment)),
                    false => self.name(treatment).to_owned(),
                };
                // Cross-validation may choose another in each division.
                let mut lambdas: Vec<&Vec<f64>> = treatment.lambda.iter().collect();
                lambdas.sort_by(|a, b| a.partial_cmp(b).unwrap_or(Ordering::Equal));
                lambdas.dedup();
                let all = |each: &dyn Fn(&[f64]) -> String| match lambdas.as_slice() {
                    [] => String::new(),
                    [one] => each(one),
                    [first, .., last] => format!("{} to {}", each(first), each(last)),
                };
                vec![
                    name,
                    all(&|lambda| self.c(lambda).map_or("-".to_owned(), short)),
                    all(&bilevel::lambdas),
                    format!("{:.2} %", treatment.clean()),
                    format!("{:.2} %", treatment.worst()),
                ]
            })
            .collect();
        text.push_str(&table(&head, &rows));
        text.push_str(&format!(
            "\n{} lambdas tried; {} of {} training rows poison; means over {} divisions of the rows, {} \
             test rows in all; the most frequent class errs in {:.2} %\n",
            advice.treatments.len(),
            self.points,
            self.rows(),
            self.folds.len(),
            self.tested(),
            advice.majority
        ));
        if advice.recommended() {
            text.push_str(&format!(
                "advice: {}: {}\n",
                self.value(advice.chosen()),
                self.reason()
            ));
            if self.at_edge() {
                text.push_str("it lies at the edge of what was tried: more may be better\n");
            }
            text.push_str(&self.usage());
        } else {
            text.push_str(&format!(
                "advice: none: keep what you have ({}): {}\n",
                self.in_use(),
                self.reason()
            ));
            let validated = &advice.validated_over_current;
            if validated.sure() && validated.cost <= validated.worst {
                text.push_str(&format!(
                    "cross-validation alone has a better worst case than what you have, by {}\n",
                    points_of(validated)
                ));
            }
        }
        text.push_str(&format!(
            "This holds for this model ({}), these features and this budget; the worst case is what this \
             attack found, not a bound.\n",
            match self.config.hidden.as_slice() {
                [] => "logistic regression, converged".to_owned(),
                widths => format!("a network with hidden layers of {widths:?}"),
            }
        ));
        text
    }

    /// How to use the advice elsewhere.
    fn usage(&self) -> String {
        let lambda = &self.advice.chosen().lambda[0];
        let listed: Vec<String> = lambda.iter().map(|l| format!("{:.3e}", l.exp())).collect();
        let listed = listed.join(", ");
        let each = match lambda.len() {
            1 => "",
            _ => " (one for each layer's weights, input first)",
        };
        let mut text = match self.config.penalty {
            Penalty::L2 => format!(
                "PyTorch       torch.optim.SGD(weights, lr, weight_decay={listed}){each}, on the mean \
                 cross-entropy, with no decay of biases\n"
            ),
            Penalty::L1 => format!(
                "PyTorch       add {listed} * w.abs().sum() of the weights{each} to the mean \
                 cross-entropy\n"
            ),
        };
        if let Some(c) = self.c(lambda) {
            let penalty = match self.config.penalty {
                Penalty::L2 => "",
                Penalty::L1 => ", penalty=\"l1\", solver=\"saga\"",
            };
            let scaler = match self.own().scale.as_ref().map(|scale| scale.kind) {
                None => "",
                Some(Scaling::Minmax) => " after MinMaxScaler()",
                Some(Scaling::Standard) => " after StandardScaler()",
            };
            text.push_str(&format!(
                "scikit-learn  LogisticRegression(C={}{penalty}){scaler}, C = 1 / (n exp(lambda)) for n = \
                 {} training rows\n",
                short(c),
                self.rows()
            ));
        }
        text
    }
}

/// A number with as many digits as tell.
fn short(c: f64) -> String {
    let rounded = format!("{c:.3e}").parse::<f64>().unwrap_or(c);
    match rounded {
        0.001..1e5 => format!("{rounded}"),
        _ => format!("{rounded:e}"),
    }
}

/// A gain with its interval.
fn points_of(gain: &Gain) -> String {
    format!("{:.2} +- {:.2} points", gain.worst, gain.half)
}
