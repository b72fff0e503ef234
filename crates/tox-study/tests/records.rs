//! Records of every learner, written and read.

#![allow(clippy::unwrap_used)]

use tox_bilevel::outcome::{
    BilevelOutcome, CrossValidated, Divergence, Example, Hyperiteration, Level, Path,
    SyntheticOutcome,
};
use tox_search::genotype::{Genotype, Layer};
use tox_study::recipe::{Overrides, Study};
use tox_study::record::{
    EnasOutcome, Epoch, Outcome, Provenance, Record, RecordError, ScreenedOp, Timing,
};

fn seal(outcome: Outcome) -> Result<Record, RecordError> {
    let (kind, dataset) = match &outcome {
        Outcome::Enas(_) => ("enas", "digits"),
        Outcome::Bilevel(_) => ("bilevel", "digits"),
        Outcome::Synthetic(_) => ("synthetic", "gaussians"),
        Outcome::Nas(_) => ("nas", "digits"),
        Outcome::RcNas(_) => ("rc-nas", "digits"),
        Outcome::SubNetworks(_) => ("sub-networks", "digits"),
    };
    let recipe = format!(
        "name = \"r\"\nseeds = [3]\n[data]\ndataset = \"{dataset}\"\ntrain = 64\nvalid = 64\n\
         [learner]\nkind = \"{kind}\"\n[[cell]]\nlabel = \"clean\"\n"
    );
    let study = Study::parse("r.toml", &recipe, &Overrides::default()).unwrap();
    let provenance = Provenance {
        toxscreen: "0.1.0".into(),
        data_hash: "ab".into(),
        data_notes: Vec::new(),
        device: "cpu".into(),
        threads: 1,
        platform: "linux-x86_64".into(),
        simd: "avx2".into(),
    };
    let timing = Timing {
        started_unix: 1,
        seconds: 0.1,
        resumed: 0,
    };
    Record::seal(study.trials[0].spec.clone(), outcome, provenance, timing)
}

fn enas() -> EnasOutcome {
    EnasOutcome {
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
            }],
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

#[test]
fn each_outcome_is_read_as_it_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("record.json");
    for (kind, outcome) in [
        ("enas", Outcome::Enas(enas())),
        ("bilevel", Outcome::Bilevel(bilevel())),
        ("synthetic", Outcome::Synthetic(synthetic())),
    ] {
        let record = seal(outcome.clone()).unwrap();
        let text = record.to_json();
        let said = format!("\"outcome\": {{\n    \"kind\": \"{kind}\",");
        assert!(text.contains(&said), "{text}");
        std::fs::write(&path, &text).unwrap();
        let again = Record::read(&path).unwrap();
        assert_eq!(again.outcome, outcome);
        assert_eq!((again.version, again.to_json()), (2, text));
    }
}

#[test]
fn a_number_that_is_not_finite_is_refused_in_every_outcome() {
    let mut wrong = [bilevel(), bilevel(), bilevel()];
    wrong[0].levels[0].test_error = f64::NAN;
    wrong[1].levels[0].norms[0] = f64::INFINITY;
    wrong[2].levels[0].trace[0].gradient = f64::NAN;
    let mut map = synthetic();
    map.best_lambda[1] = f64::NAN;
    let outcomes = wrong.map(Outcome::Bilevel);
    for outcome in outcomes.into_iter().chain([Outcome::Synthetic(map)]) {
        let error = seal(outcome).unwrap_err();
        assert!(matches!(error, RecordError::NotFinite { .. }), "{error}");
    }
}

#[test]
fn a_record_of_another_version_is_refused_with_a_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("record.json");
    let text = seal(Outcome::Enas(enas())).unwrap().to_json();
    // Version 1 had no kind.
    let old = text.replace("\"version\": 2", "\"version\": 1").replace(
        "    \"kind\": \"enas\",\n    \"valid_error\"",
        "    \"valid_error\"",
    );
    assert!(!old.contains("version\": 2"), "{old}");
    for (text, found) in [(old, 1), (text.replacen("2", "3", 1), 3)] {
        std::fs::write(&path, text).unwrap();
        let error = Record::read(&path).unwrap_err();
        assert!(matches!(error, RecordError::Version { found: f, .. } if f == found));
        let said = error.to_string();
        assert!(
            said.contains(&format!("version {found}, expected version 2")),
            "{said}"
        );
        assert!(said.contains("delete the trial's folder and run the study again"));
    }
}
