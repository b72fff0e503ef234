//! Outcomes as records hold them: read as they were written, and refused with a number that JSON cannot hold.

#![allow(clippy::unwrap_used)]

use serde::Serialize;
use serde::de::DeserializeOwned;
use tox_audits::enas::outcome::{EnasOutcome, Epoch, ScreenedOp};
use tox_bilevel::outcome::{
    BilevelOutcome, CrossValidated, Divergence, Example, Hyperiteration, Level, Path,
    SyntheticOutcome, Tried,
};
use tox_search::genotype::{Genotype, Layer};
use tox_study::part::Part;

fn enas() -> EnasOutcome {
    EnasOutcome {
        poison: None,
        cleansed: Vec::new(),
        attacked: None,
        valid_error: 10.0 / 3.0,
        test_error: 4.0,
        retrained_test_error: None,
        chance_error: 90.0,
        first_nonfinite_step: Some(3),
        first_nan_weight_step: None,
        nonfinite_steps: 1,
        retrain_first_nonfinite_step: None,
        steps: 7,
        epochs: vec![Epoch {
            epoch: 0,
            lr: 0.1,
            train_loss: None,
            train_error: 0.3,
            valid_error: 0.7,
            test_error: None,
            reward: Some(0.1),
            baseline: None,
            entropy: None,
            poison_share: 0.0,
            nonfinite_steps: 0,
        }],
        genotype: Genotype {
            layers: vec![Layer {
                op: "conv".into(),
                poison: false,
                skips: vec![true],
            }],
        },
        bad_ops: vec![1, 2],
        parameters: 9,
        screened: vec![ScreenedOp {
            op: "o".into(),
            verdict: "v".into(),
            reason: "r".into(),
            poison: true,
        }],
    }
}

fn bilevel() -> BilevelOutcome {
    BilevelOutcome {
        parameters: 785,
        features: 784,
        chance_error: 50.0,
        cross_validation: vec![CrossValidated {
            lambda: -1.0 / 3.0,
            loss: None,
        }],
        levels: vec![Level {
            points: 35,
            fraction: 0.035,
            lambda: vec![-6.1],
            test_error: 2.0 / 3.0,
            valid_error: 1.0,
            train_error: 0.0,
            valid_loss: 1e-17,
            flipped_test_error: Some(0.1),
            rounded_test_error: None,
            norms: vec![0.1 + 0.2],
            kuncheva: vec![-0.1],
            moved: 3.0,
            trace: vec![Hyperiteration {
                loss: 0.7,
                lambda: vec![-6.0],
                gradient: 1e-300,
                objective: None,
            }],
            curve: vec![Tried {
                lambda: -2.0,
                valid_loss: Some(0.3),
                valid_error: None,
                test_error: Some(0.1),
            }],
            target: None,
        }],
        examples: vec![Example {
            shape: [1, 1, 2],
            class: "0".into(),
            label: "8".into(),
            clean: "00ff".into(),
            poison: "10ef".into(),
        }],
        divergence: Some(Divergence {
            points: 70,
            training: "hyperiteration 3".into(),
            step: 12,
        }),
        target: None,
    }
}

fn synthetic() -> SyntheticOutcome {
    let path = Path {
        positions: vec![(0.1, -9.5), (1.0, 2.0)],
        label: 1,
        clean_error: 0.0,
        error: 6.25,
        weights: [0.1, 0.2, 0.30000000000000004],
    };
    SyntheticOutcome {
        grid: 2,
        half_side: 9.5,
        error_none: vec![0.0, 1.5625],
        error_fixed: vec![0.0; 2],
        best_lambda: vec![-8.0, 500f64.ln()],
        train: vec![(1.0 / 7.0, -3.0, 0)],
        clean_none: [1.0, 2.0, 3.0],
        clean_fixed: [0.1; 3],
        attack_none: path.clone(),
        attack_fixed: path,
    }
}

fn is_read_as_it_was_written<T>(kind: &str, outcome: &T)
where
    T: Serialize + DeserializeOwned + PartialEq,
{
    let part = Part::finite(kind, outcome).unwrap();
    let text = part.to_json();
    assert!(
        text.starts_with(&format!("{{\n  \"kind\": \"{kind}\",")),
        "{text}"
    );
    let again: Part = serde_json::from_str(&text).unwrap();
    assert_eq!(again, part);
    assert!(again.read::<T>().unwrap() == *outcome);
}

#[test]
fn each_outcome_is_read_as_it_was_written() {
    is_read_as_it_was_written("enas", &enas());
    is_read_as_it_was_written("bilevel", &bilevel());
    is_read_as_it_was_written("synthetic", &synthetic());
}

#[test]
fn a_number_that_is_not_finite_is_refused_in_every_outcome() {
    let mut wrong = [bilevel(), bilevel(), bilevel()];
    wrong[0].levels[0].test_error = f64::NAN;
    wrong[1].levels[0].norms[0] = f64::INFINITY;
    wrong[2].levels[0].trace[0].gradient = f64::NAN;
    for outcome in wrong {
        assert_eq!(Part::finite("bilevel", &outcome), None);
    }
    let mut map = synthetic();
    map.best_lambda[1] = f64::NAN;
    assert_eq!(Part::finite("synthetic", &map), None);
}
