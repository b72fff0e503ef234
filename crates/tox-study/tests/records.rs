//! Records, written and read.

#![allow(clippy::unwrap_used)]

#[path = "../fake/house.rs"]
mod house;

use house::{Outcome, house};
use tox_study::part::Part;
use tox_study::recipe::{Overrides, Study};
use tox_study::record::{Provenance, Record, RecordError, Timing};

fn seal(error: f64, seconds: f64) -> Result<Record, RecordError> {
    let recipe = "name = \"r\"\nseeds = [3]\n[data]\ndataset = \"gaussians\"\nvalid = 64\n\
                  [learner]\nkind = \"fake\"\n[[cell]]\nlabel = \"clean\"\n";
    let study = Study::parse(&house(), "r.toml", recipe, &Overrides::default()).unwrap();
    let provenance = Provenance {
        toxscreen: "0.1.0".into(),
        data_hash: "ab".into(),
        chance_error: None,
        data_notes: Vec::new(),
        device: "cpu".into(),
        adapter: None,
        threads: 1,
        platform: "linux-x86_64".into(),
        simd: "avx2".into(),
    };
    let timing = Timing {
        started_unix: 1,
        seconds,
        resumed: 0,
        parts: Default::default(),
    };
    let outcome = Outcome {
        error,
        third: 10.0 / 3.0,
        steps: 5,
        state: "ab".into(),
    };
    let outcome = Part::new("fake", &outcome);
    Record::seal(study.trials[0].spec.clone(), outcome, provenance, timing)
}

#[test]
fn a_record_is_read_as_it_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("record.json");
    for error in [0.1 + 0.2, 1e-300, 2.0 / 3.0, 0.0, 100.0] {
        let record = seal(error, 0.1).unwrap();
        let text = record.to_json();
        assert!(
            text.contains("\"outcome\": {\n    \"kind\": \"fake\","),
            "{text}"
        );
        std::fs::write(&path, &text).unwrap();
        let again = Record::read(&path).unwrap();
        assert_eq!(again.outcome.read::<Outcome>().unwrap().error, error);
        assert_eq!((again.version, again.to_json()), (2, text));
    }
}

#[test]
fn a_number_that_is_not_finite_is_refused() {
    let error = seal(0.1, f64::NAN).unwrap_err();
    assert!(matches!(error, RecordError::NotFinite { .. }), "{error}");
}

#[test]
fn a_record_of_another_version_is_refused_with_a_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("record.json");
    let text = seal(0.1, 0.1).unwrap().to_json();
    // Version 1 had no kind.
    let old = text
        .replacen("\"version\": 2", "\"version\": 1", 1)
        .replace("    \"kind\": \"fake\",\n    \"error\"", "    \"error\"");
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
