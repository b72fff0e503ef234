//! What `toxscreen harden` says of an advice, as text and as JSON.

use crate::cli::table;
use serde_json::{Value, json as object};
use std::cmp::Ordering;
use tox_audits::bilevel::lambdas;
use tox_audits::harden::outcome::{HardenOutcome, name, points_of, short};
use tox_bilevel::advice::{Gain, Treatment};
use tox_bilevel::config::Penalty;
use tox_bilevel::scale::Scaling;

/// As JSON.
pub fn report(found: &HardenOutcome) -> Value {
    let advice = &found.advice;
    let weights = |lambda: &[f64]| {
        object!({
            "lambda": lambda,
            "weight_decay": (found.penalty == Penalty::L2)
                .then(|| lambda.iter().map(|l| l.exp()).collect::<Vec<f64>>()),
            "sklearn_c": found.c(lambda),
        })
    };
    let treatment = |t: &Treatment| {
        let c: Vec<Option<f64>> = t.lambda.iter().map(|lambda| found.c(lambda)).collect();
        object!({
            "name": name(t),
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
        "reason": found.reason(),
        "advice": advice.recommended().then(|| weights(chosen)),
        "keep": weights(&advice.current().lambda[0]),
        "choice": {"treatment": advice.chosen, "at_edge": found.at_edge()},
        "gain": {
            "over_what_you_have": gain(&advice.over_current),
            "over_cross_validated": gain(&advice.over_validated),
            "of_cross_validated_over_what_you_have": gain(&advice.validated_over_current),
        },
        "majority_error": advice.majority,
        "penalty": found.penalty,
        "treatments": treatments,
        "splits": advice.current().clean.len(),
        "rows_tested": found.tested,
        "trainings": advice.trainings[0],
        "points": found.points,
        "share": found.share(),
        "rows": found.rows,
        "scale": found.scale,
        "no_better_than_majority": found.no_better_than_majority,
    })
}

/// As text, after the warnings; `hidden` are the widths of a network.
pub fn tell(found: &HardenOutcome, hidden: &[usize], warnings: &[String]) -> String {
    let advice = &found.advice;
    let mut text: String = warnings.iter().map(|w| format!("WARNING: {w}\n")).collect();
    if !text.is_empty() {
        text.push('\n');
    }
    let worst = format!("worst found, {:.1} % poison", 100.0 * found.share());
    let head = [
        "regularisation",
        "C",
        "lambda",
        "test error, data as they are",
        &worst,
    ];
    let rows = found.shown().map(|(treatment, name)| {
        // Cross-validation may choose another in each division.
        let mut all: Vec<&Vec<f64>> = treatment.lambda.iter().collect();
        all.sort_by(|a, b| a.partial_cmp(b).unwrap_or(Ordering::Equal));
        all.dedup();
        let all = |each: &dyn Fn(&[f64]) -> String| match all.as_slice() {
            [] => String::new(),
            [one] => each(one),
            [first, .., last] => format!("{} to {}", each(first), each(last)),
        };
        vec![
            name,
            all(&|lambda| found.c(lambda).map_or("-".to_owned(), short)),
            all(&lambdas),
            format!("{:.2} %", treatment.clean()),
            format!("{:.2} %", treatment.worst()),
        ]
    });
    text.push_str(&table(&head, &rows.collect::<Vec<_>>()));
    text.push_str(&format!(
        "\n{} lambdas tried; {} of {} training rows poison; means over {} divisions of the rows, {} \
         test rows in all; the most frequent class errs in {:.2} %\n",
        advice.treatments.len(),
        found.points,
        found.rows.train,
        advice.current().clean.len(),
        found.tested,
        advice.majority
    ));
    text.push_str(&format!("advice: {}\n", found.advised()));
    if advice.recommended() {
        if found.at_edge() {
            text.push_str("it lies at the edge of what was tried: more may be better\n");
        }
        text.push_str(&usage(found));
    } else {
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
        match hidden {
            [] => "logistic regression, converged".to_owned(),
            widths => format!("a network with hidden layers of {widths:?}"),
        }
    ));
    text
}

/// How to use the advice elsewhere.
fn usage(found: &HardenOutcome) -> String {
    let lambda = &found.advice.chosen().lambda[0];
    let listed: Vec<String> = lambda.iter().map(|l| format!("{:.3e}", l.exp())).collect();
    let listed = listed.join(", ");
    let each = match lambda.len() {
        1 => "",
        _ => " (one for each layer's weights, input first)",
    };
    let mut text = match found.penalty {
        Penalty::L2 => format!(
            "PyTorch       torch.optim.SGD(weights, lr, weight_decay={listed}){each}, on the mean \
             cross-entropy, with no decay of biases\n"
        ),
        Penalty::L1 => format!(
            "PyTorch       add {listed} * w.abs().sum() of the weights{each} to the mean \
             cross-entropy\n"
        ),
    };
    if let Some(c) = found.c(lambda) {
        let penalty = match found.penalty {
            Penalty::L2 => "",
            Penalty::L1 => ", penalty=\"l1\", solver=\"saga\"",
        };
        let scaler = match found.scale.as_ref().map(|scale| scale.kind) {
            None => "",
            Some(Scaling::Minmax) => " after MinMaxScaler()",
            Some(Scaling::Standard) => " after StandardScaler()",
        };
        text.push_str(&format!(
            "scikit-learn  LogisticRegression(C={}{penalty}){scaler}, C = 1 / (n exp(lambda)) for n = \
             {} training rows\n",
            short(c),
            found.rows.train
        ));
    }
    text
}
