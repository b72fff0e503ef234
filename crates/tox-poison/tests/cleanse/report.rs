//! Settings and data that are refused, and what a report counts.

use super::support::{applied, by_hand, inputs, recipe};
use tox_data::spec::Augment;
use tox_poison::cleanse::{Against, CleanseError, Countermeasure, Inputs, Known};

#[test]
fn settings_out_of_range_are_refused_by_name() {
    let refused = |text: &str| recipe(text).check().unwrap_err().to_string();
    for (text, part) in [
        (r#"{ kind = "knn", k = 0 }"#, "`k` = 0"),
        (r#"{ kind = "knn", eta = 0.0 }"#, "`eta` = 0"),
        (r#"{ kind = "knn", eta = nan }"#, "`eta` = NaN"),
        (r#"{ kind = "knn", eta = 1.1 }"#, "expected 1e-9 to 1"),
        (
            r#"{ kind = "knn", space = { kind = "pixels", side = 0 } }"#,
            "`space.side` = 0",
        ),
        (
            r#"{ kind = "knn", space = { kind = "features", width = 0 } }"#,
            "`space.width` = 0",
        ),
        (
            r#"{ kind = "knn", space = { kind = "features", steps = 0 } }"#,
            "`space.steps` = 0",
        ),
        (r#"{ kind = "loss-filter", drop = 1.0 }"#, "`drop` = 1"),
        (
            r#"{ kind = "loss-filter", drop = -0.1 }"#,
            "expected 0 to 0.999999999",
        ),
        (
            r#"{ kind = "loss-filter", quantile = 0 }"#,
            "`quantile` = 0",
        ),
        (
            r#"{ kind = "loss-filter", drop = 0.1, quantile = 0.9 }"#,
            "it alone, without `quantile`",
        ),
        (r#"{ kind = "loss-filter", trusted = 1 }"#, "`trusted` = 1"),
        (
            r#"{ kind = "loss-filter", held_out = 1.0 }"#,
            "`held_out` = 1",
        ),
        (
            r#"{ kind = "loss-filter", network = { lr_max = 0 } }"#,
            "`network.lr_max` = 0",
        ),
        (
            r#"{ kind = "denoise", method = "median", size = 16 }"#,
            "`size` = 16",
        ),
        (
            r#"{ kind = "denoise", method = "tv-chambolle", weight = 0 }"#,
            "`weight` = 0",
        ),
        (
            r#"{ kind = "denoise", method = "bit-depth", bits = 9 }"#,
            "`bits` = 9",
        ),
    ] {
        let message = refused(text);
        assert!(message.contains(part), "{text}: {message}");
    }
    for text in [
        r#"{ kind = "knn", neighbours = 3 }"#,
        r#"{ kind = "knn", space = { kind = "features", fit = 3 } }"#,
        r#"{ kind = "loss-filter", drop = 0.1, size = 3 }"#,
        r#"{ kind = "denoise", method = "median", bits = 3 }"#,
        r#"{ kind = "denoise", method = "diffusion" }"#,
        r#"{ kind = "screen" }"#,
    ] {
        let read: Result<Countermeasure, _> = toml::from_str::<toml::Table>(&format!("d = {text}"))
            .unwrap()
            .remove("d")
            .unwrap()
            .try_into();
        assert!(read.is_err(), "{text}");
    }
}

#[test]
fn settings_are_written_as_they_are_read() {
    for text in [
        r#"{ kind = "knn" }"#,
        r#"{ kind = "knn", action = "drop", space = { kind = "features", width = 4 } }"#,
        r#"{ kind = "loss-filter", quantile = 0.9 }"#,
        r#"{ kind = "denoise", method = "tv-chambolle" }"#,
    ] {
        let read = recipe(text);
        assert!(read.check().is_ok());
        let json = serde_json::to_string(&read).unwrap();
        assert_eq!(serde_json::from_str::<Countermeasure>(&json).unwrap(), read);
    }
    assert_eq!(recipe(r#"{ kind = "knn" }"#).trusted(), None);
    assert_eq!(recipe(r#"{ kind = "loss-filter" }"#).trusted(), Some(1_000));
}

/// Rows on a line. With one neighbour each row gets (or is dropped for) the label of the nearest.
#[test]
fn a_report_counts_what_happened_to_known_poison() {
    let rows: [(&[u8], u16); 8] = [
        (&[10], 0),
        (&[11], 1),
        (&[20], 0),
        (&[21], 0),
        (&[30], 1),
        (&[31], 1),
        (&[50], 1),
        (&[52], 1),
    ];
    let data = by_hand(1, 6, &rows);
    // Rows 0 and 1 disagree, each takes the other's label; 4 was flipped and is not found.
    let clean = [0, 0, 0, 0, 0, 1, 1, 1];
    let augment = Augment::default();
    let with = |action: &str, rows: &[u64]| {
        let inputs = Inputs {
            known: Some(Known {
                rows,
                labels: &clean,
            }),
            ..inputs(&data, &augment)
        };
        applied(
            &recipe(&format!(
                r#"{{ kind = "knn", k = 1, action = "{action}" }}"#
            )),
            &inputs,
        )
    };
    // Row 6 was poisoned without a flip.
    let (cleaned, report) = with("relabel", &[1, 4, 6]).unwrap();
    assert_eq!(cleaned.train.labels, [1, 0, 0, 0, 1, 1]);
    let expected = Against {
        poisoned: 3,
        caught: 1,
        clean_touched: 1,
        flipped: 2,
        restored: 1,
    };
    assert_eq!(report.against, Some(expected));
    assert_eq!(expected.recall(), Some(1.0 / 3.0));
    assert_eq!(expected.precision(), Some(0.5));
    let (_, report) = with("drop", &[1, 4, 6]).unwrap();
    assert_eq!(
        (report.dropped, report.train_left, report.valid_left),
        (2, 4, 2)
    );
    assert_eq!(report.against.unwrap().restored, 0);
    assert_eq!(report.against.unwrap().caught, 1);
    let none = with("drop", &[]).unwrap().1.against.unwrap();
    assert_eq!((none.recall(), none.precision()), (None, Some(0.0)));
    for (rows, part) in [
        (&[8][..], "row 8, expected one below 8"),
        (&[1, 1], "row 1 more than once"),
    ] {
        let error = with("drop", rows).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    let inputs = Inputs {
        known: Some(Known {
            rows: &[],
            labels: &clean[..7],
        }),
        ..inputs(&data, &augment)
    };
    let error = applied(&recipe(r#"{ kind = "knn", k = 1 }"#), &inputs).unwrap_err();
    assert!(
        error.to_string().contains("7 clean labels, expected 8"),
        "{error}"
    );
}

#[test]
fn a_half_or_a_class_must_be_left() {
    let augment = Augment::default();
    let drop = recipe(r#"{ kind = "knn", k = 1, action = "drop" }"#);
    // The two validation images are each other's nearest and disagree.
    let rows: [(&[u8], u16); 6] = [
        (&[10], 0),
        (&[11], 0),
        (&[20], 1),
        (&[21], 1),
        (&[50], 0),
        (&[51], 1),
    ];
    let data = by_hand(1, 4, &rows);
    let error = applied(&drop, &inputs(&data, &augment)).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("leave 0 of the 2 validation rows") && message.contains("`action"),
        "{message}"
    );
    // The only two images of class 1 are near one of class 0 each: dropped or relabelled, it is gone.
    let rows: [(&[u8], u16); 8] = [
        (&[10], 0),
        (&[13], 1),
        (&[11], 0),
        (&[200], 0),
        (&[203], 1),
        (&[201], 0),
        (&[50], 0),
        (&[51], 0),
    ];
    let data = by_hand(1, 6, &rows);
    for text in [
        r#"{ kind = "knn", k = 1, action = "drop" }"#,
        r#"{ kind = "knn", k = 1 }"#,
    ] {
        let error = applied(&recipe(text), &inputs(&data, &augment)).unwrap_err();
        assert!(
            matches!(&error, CleanseError::ClassGone { class, before: 2 } if class == "1 (class 1)"),
            "{error}"
        );
    }
}
