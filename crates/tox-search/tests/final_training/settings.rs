//! Numbers as published, and those that are refused.

use crate::{best, config, digits, interrupted, v2};
use tox_data::Dataset;
use tox_nn::Device;
use tox_search::final_training::{FinalConfig, Inputs, Protocol, run};
use tox_search::space::cells::CellGenotype;
use tox_testkit::stops::{countdown, once};

#[test]
fn what_is_absent_is_as_published() {
    let config = FinalConfig::default();
    let of = |protocol| {
        config.check(protocol).unwrap();
        let s = config.resolved(protocol);
        let (f, a) = (s.fit, s.augment);
        (
            s.size,
            (f.epochs, f.batch, f.lr_max, f.lr_min),
            (f.momentum, f.nesterov, f.weight_decay, f.grad_clip),
            (s.auxiliary_weight, s.drop_path, s.dropout),
            (a.crop, a.flip, a.cutout),
        )
    };
    assert_eq!(
        of(Protocol::Darts),
        (
            Some([36, 20]),
            (600, 128, 0.025, 0.0),
            (0.9, false, 3e-4, Some(5.0)),
            (0.4, 0.3, 0.0),
            (4, true, 16)
        )
    );
    assert_eq!(
        of(Protocol::NasBench201),
        (
            Some([16, 5]),
            (200, 256, 0.1, 0.0),
            (0.9, true, 5e-4, None),
            (0.0, 0.0, 0.0),
            (4, true, 0)
        )
    );
    assert_eq!(
        of(Protocol::Elastic),
        (
            None,
            (150, 96, 0.01, 0.0),
            (0.9, false, 4e-5, Some(5.0)),
            (0.0, 0.0, 0.2),
            (4, true, 16)
        )
    );
    let text = r#"{"epochs": 5, "grad_clip": 0, "flip": false, "test_every": 3}"#;
    let config: FinalConfig = serde_json::from_str(text).unwrap();
    let s = config.resolved(Protocol::Darts);
    assert_eq!((s.fit.epochs, s.fit.grad_clip), (5, None));
    assert_eq!(
        (s.augment.flip, s.augment.crop, s.test_every),
        (false, 4, 3)
    );
    let written = serde_json::to_string(&config).unwrap();
    let expected = r#"{"epochs":5,"grad_clip":0.0,"flip":false,"test_every":3}"#;
    assert_eq!(written, expected);
    let unknown = serde_json::from_str::<FinalConfig>(r#"{"epoch": 5}"#);
    assert!(unknown.unwrap_err().to_string().contains("`epochs`"));
}

#[test]
fn what_cannot_be_trained_is_refused() {
    let refused = |protocol, change: fn(&mut FinalConfig)| {
        let mut config = FinalConfig::default();
        change(&mut config);
        config.check(protocol).unwrap_err().to_string()
    };
    use Protocol::{Darts, Elastic, NasBench201};
    for (protocol, change, expected) in [
        (
            Darts,
            (|c| c.epochs = Some(0)) as fn(&mut FinalConfig),
            "`epochs` = 0",
        ),
        (Darts, |c| c.lr_max = Some(f64::NAN), "`lr_max` = NaN"),
        (Darts, |c| c.channels = Some(0), "`channels` = 0"),
        (Darts, |c| c.drop_path = Some(1.0), "`drop_path` = 1"),
        (
            Darts,
            |c| c.auxiliary_weight = Some(-0.4),
            "`auxiliary_weight` = -0.4",
        ),
        (
            Darts,
            |c| c.dropout = Some(0.2),
            "the DARTS space have none",
        ),
        (
            NasBench201,
            |c| c.auxiliary_weight = Some(0.4),
            "networks of NAS-Bench-201 have none",
        ),
        (
            NasBench201,
            |c| c.drop_path = Some(0.2),
            "expected 0, since networks",
        ),
        (Elastic, |c| c.cells = Some(5), "says its size"),
        (Elastic, |c| c.grad_clip = Some(-1.0), "`grad_clip` = -1"),
    ] {
        let message = refused(protocol, change);
        assert!(message.contains(expected), "{message}");
    }
    let data = digits(65, None);
    let refused = |genotype: &CellGenotype, config: &FinalConfig, data: &Dataset| {
        let (made, _) = interrupted(genotype, data, config, usize::MAX);
        made.unwrap_err().to_string()
    };
    let head = FinalConfig {
        cells: Some(6),
        auxiliary_weight: Some(0.4),
        ..config()
    };
    let message = refused(&v2(), &head, &data);
    for part in [
        "8x8 are maps of 2x2 behind cell 4 of 6",
        "32x32",
        "`auxiliary_weight` = 0",
    ] {
        assert!(message.contains(part), "{message}");
    }
    let published = FinalConfig {
        cells: Some(1),
        auxiliary_weight: Some(0.0),
        ..FinalConfig::default()
    };
    let message = refused(&v2(), &published, &data);
    assert!(message.contains("`cutout` = 16"), "{message}");
    assert!(message.contains("less than 8"), "{message}");
    let crop = FinalConfig {
        crop: Some(8),
        ..config()
    };
    assert!(refused(&best(), &crop, &data).contains("`crop` = 8"));
    let mut untested = data.clone();
    untested.test.labels.clear();
    untested.test.images.pixels.clear();
    untested.test.images.shape[0] = 0;
    let message = refused(&best(), &config(), &untested);
    assert!(
        message.contains("at least 1 test images, found 0"),
        "{message}"
    );
    // A checkpoint of something else.
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = folder.path().join("checkpoint.safetensors");
    let go = |key: &str, config: &FinalConfig| {
        let inputs = Inputs {
            data: &data,
            config,
            seed: 3,
            device: Device::flex(),
        };
        once(&checkpoint, key, &mut countdown(3), |hooks| {
            run(&best(), &inputs, hooks)
        })
    };
    assert!(go("one", &config()).unwrap().is_none());
    let error = go("other", &config()).unwrap_err().to_string();
    assert!(error.contains("belongs to one, not to other"), "{error}");
    let wider = FinalConfig {
        channels: Some(5),
        ..config()
    };
    let error = go("one", &wider).unwrap_err().to_string();
    assert!(error.contains("weights is missing"), "{error}");
}
