//! Suspects: confident learning against cleanlab's numbers, every method on flipped digits and on a table, and as
//! a countermeasure.
#![allow(clippy::unwrap_used)]

use serde::Deserialize;
use tox_data::checkpoint::Hooks;
use tox_data::features::{Features, Layout, Values};
use tox_data::spec::Augment;
use tox_data::{Data, Dataset, TableSet};
use tox_nn::Device;
use tox_poison::cleanse::{CleanseError, Cleansed, Countermeasure, Inputs, Known, trusted};
use tox_poison::data::flip;
use tox_poison::suspects::quality::average_precision;
use tox_poison::suspects::{Case, METHODS, Settings, Suspects, doubt, find, named};

#[derive(Deserialize)]
struct Fixture {
    classes: usize,
    labels: Vec<u16>,
    probabilities: Vec<f64>,
    self_confidence: Vec<f64>,
    normalized_margin: Vec<f64>,
    confident_joint: Vec<usize>,
    pruned: Vec<usize>,
}

/// `fixtures/confident.json` is of `benches/peers/make_confident_fixtures.py`.
#[test]
fn confident_learning_is_cleanlabs() {
    let fixture: Fixture = serde_json::from_str(include_str!("fixtures/confident.json")).unwrap();
    let found = doubt(&fixture.probabilities, &fixture.labels, fixture.classes);
    let close = |ours: &[f64], theirs: &[f64]| {
        assert_eq!(ours.len(), theirs.len());
        let pairs = ours.iter().zip(theirs);
        assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-12));
    };
    close(&found.self_confidence, &fixture.self_confidence);
    close(&found.normalized_margin, &fixture.normalized_margin);
    assert_eq!(found.confident_joint, fixture.confident_joint);
    let pruned: Vec<usize> = (0..found.pruned.len())
        .filter(|row| found.pruned[*row])
        .collect();
    assert_eq!(pruned, fixture.pruned);
}

fn digits() -> Dataset {
    tox_testkit::data::digits(None, 300, None)
}

/// The digits with a tenth of flipped labels, and which those are.
fn flipped(clean: &Dataset) -> (Features, Vec<bool>) {
    let mut rows = clean.pool();
    let crafted = flip::random(&rows, 0.1, 6).unwrap();
    crafted.patch.apply(&mut rows).unwrap();
    let mut poisoned = vec![false; rows.rows];
    for &row in crafted.patch.indices() {
        poisoned[row as usize] = true;
    }
    (rows, poisoned)
}

fn found(rows: &Features, trusted: Option<&Features>, names: &[&str]) -> Suspects {
    let settings = Settings::default();
    let case = Case::new(rows, trusted, &settings, 1).unwrap();
    let mut share = 0.0;
    let mut go_on = |done: f64, _: &str| {
        assert!(done >= share && done < 1.0, "{done} after {share}");
        share = done;
        true
    };
    let found = find(&case, &named(names).unwrap(), &mut go_on).unwrap();
    found.unwrap()
}

/// By chance an average precision is a tenth.
#[test]
fn every_method_finds_flipped_digits() {
    let clean = digits();
    let (rows, poisoned) = flipped(&clean);
    let trusted = trusted((&clean).into(), 100, 1).unwrap();
    let suspects = found(&rows, Some(&trusted), &[]);
    assert_eq!(suspects.found.len(), METHODS.len());
    assert!(suspects.left_out.is_empty());
    let least = [
        ("knn", 0.9),
        ("loss", 0.8),
        ("self-confidence", 0.9),
        ("normalized-margin", 0.9),
        ("pruned", 0.6),
        ("hypergradient", 0.9),
        ("influence", 0.4),
        ("weight", 0.4),
        ("combined", 0.9),
    ];
    let scores = suspects.scores();
    assert_eq!(scores.len(), least.len());
    for (score, (name, least)) in scores.iter().zip(least) {
        assert_eq!(score.name, name);
        let found = average_precision(&score.suspicion(), &poisoned).unwrap();
        eprintln!("{name} {found:.3}");
        assert!(found > least, "{name} {found}");
    }
    // What it suggests is mostly what the label was.
    let (first, labels) = (&suspects.order[..poisoned.len() / 10], clean.pool().labels);
    let right = first
        .iter()
        .filter(|row| suspects.suggested[**row] == labels[**row]);
    assert!(10 * right.count() > 9 * first.len());
    let all: Vec<bool> = suspects.order.iter().map(|row| poisoned[*row]).collect();
    assert!(all[..20].iter().all(|poisoned| *poisoned));
    let reason = suspects.reason(suspects.order[0]);
    for words in [
        "nearest are",
        "trusted rows:",
        "other folds:",
        "the trusted loss",
    ] {
        assert!(reason.contains(words), "{reason}");
    }
    // The same rows in floats are the same images.
    let floats = found_in_floats(&rows, &trusted);
    let close = |a: &[f64], b: &[f64]| {
        let near = a.iter().zip(b).filter(|(a, b)| (*a - *b).abs() < 0.02);
        assert!(near.count() as f64 > 0.99 * a.len() as f64);
    };
    for (ours, theirs) in scores.iter().zip(floats.scores()).take(5) {
        close(&ours.values, &theirs.values);
    }
}

fn found_in_floats(rows: &Features, trusted: &Features) -> Suspects {
    let (rows, trusted) = (rows.clone().into_floats(), trusted.clone().into_floats());
    found(&rows, Some(&trusted), &[])
}

#[test]
fn without_trusted_rows_methods_are_left_out_or_refused() {
    let (rows, poisoned) = flipped(&digits());
    let suspects = found(&rows, None, &[]);
    assert_eq!(suspects.left_out, ["loss", "hypergradient"]);
    let score = suspects.scores().pop().unwrap();
    assert!(average_precision(&score.suspicion(), &poisoned).unwrap() > 0.9);
    let settings = Settings::default();
    let case = Case::new(&rows, None, &settings, 1).unwrap();
    let error = find(&case, &named(&["loss"]).unwrap(), &mut |_, _| true).unwrap_err();
    assert!(
        error.to_string().contains("loss learns from them"),
        "{error}"
    );
}

#[test]
fn seeds_draw_folds_and_stopping_ends_it() {
    let clean = digits();
    let (rows, _) = flipped(&clean);
    let trusted = trusted((&clean).into(), 40, 1).unwrap();
    let settings = Settings {
        iterations: 2,
        ..Settings::default()
    };
    let of = |seed| {
        let case = Case::new(&rows, Some(&trusted), &settings, seed).unwrap();
        let methods = named(&["confident", "hypergradient"]).unwrap();
        find(&case, &methods, &mut |_, _| true)
            .unwrap()
            .unwrap()
            .combined
    };
    assert_eq!(of(1), of(1));
    assert_ne!(of(1), of(2));
    // At every question.
    let case = Case::new(&rows, Some(&trusted), &settings, 1).unwrap();
    let all = named(&[] as &[&str]).unwrap();
    let mut asked = 0;
    find(&case, &all, &mut |_, _| {
        asked += 1;
        true
    })
    .unwrap()
    .unwrap();
    assert!(asked > 15, "{asked}");
    for stop in 1..=asked {
        let mut left = stop;
        let found = find(&case, &all, &mut |_, _| {
            left -= 1;
            left > 0
        });
        assert!(found.unwrap().is_none(), "{stop} of {asked}");
    }
}

#[test]
fn rows_and_settings_of_no_use_are_refused() {
    let clean = digits();
    let rows = clean.pool();
    let refused = |rows: &Features, trusted: Option<&Features>, settings: Settings| {
        let error = Case::new(rows, trusted, &settings, 1).err().unwrap();
        error.to_string()
    };
    let with = |change: fn(&mut Settings)| {
        let mut settings = Settings::default();
        change(&mut settings);
        settings
    };
    let error = refused(&rows, None, with(|s| s.folds = 1));
    assert!(
        error.contains("`folds` = 1") && error.contains("2 to 100"),
        "{error}"
    );
    assert!(refused(&rows, None, with(|s| s.rate = f64::NAN)).contains("`rate` = NaN"));
    assert!(refused(&rows, None, with(|s| s.c = 0.0)).contains("1e-6 to 1e6"));
    let few = rows.rows(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    let error = refused(&few, None, Settings::default());
    assert!(error.contains("among 10 rows"), "{error}");
    let floats = rows.clone().into_floats();
    let error = refused(&rows, Some(&floats), Settings::default());
    assert!(
        error.contains("float images of 1 x 8 x 8, expected 8-bit"),
        "{error}"
    );
    let error = refused(&rows, Some(&rows.rows(&[0])), Settings::default());
    assert!(error.contains("expected at least 2"), "{error}");
    // A class that no trusted row has would all look wrong.
    let zeros: Vec<usize> = (0..rows.rows).filter(|row| rows.labels[*row] < 9).collect();
    let trusted = rows.rows(&zeros[..50]);
    let settings = Settings::default();
    let case = Case::new(&rows, Some(&trusted), &settings, 1).unwrap();
    let error = find(&case, &named(&["loss"]).unwrap(), &mut |_, _| true).unwrap_err();
    assert!(matches!(error, CleanseError::Trusted { .. }), "{error}");
}

fn applied(clean: &Dataset, text: &str) -> Result<(Dataset, Cleansed), CleanseError> {
    #[derive(Deserialize)]
    struct Cell {
        defence: Countermeasure,
    }
    let cell: Cell = toml::from_str(&format!("defence = {text}")).unwrap();
    let crafted = flip::random(&clean.pool(), 0.1, 6).unwrap();
    let mut data = clean.clone();
    crafted.patch.apply_to(&mut data).unwrap();
    let trusted = trusted(clean.into(), 100, 1).unwrap();
    let (labels, augment) = (clean.pool().labels, Augment::default());
    let inputs = Inputs {
        data: (&data).into(),
        trusted: cell.defence.trusted().map(|_| &trusted),
        augment: &augment,
        known: Some(Known {
            rows: crafted.patch.indices(),
            labels: &labels,
        }),
        seed: 4,
        device: Device::flex(),
    };
    let (data, report) = cell.defence.apply(&inputs, Hooks::none())?.unwrap();
    match data {
        Data::Images(data) => Ok((data, report)),
        Data::Table(table) => panic!("{} is a table", table.name),
    }
}

#[test]
fn as_a_countermeasure_suspects_go_or_get_their_label_back() {
    let clean = digits();
    let (data, report) = applied(&clean, r#"{ kind = "suspects", trusted = 100 }"#).unwrap();
    let against = report.against.unwrap();
    eprintln!("{against:?}");
    assert_eq!((report.dropped, report.relabelled), (143, 0));
    assert_eq!(data.train.len() + data.valid.len(), 1_437 - 143);
    assert!(against.recall().unwrap() > 0.85, "{against:?}");
    let text = r#"{ kind = "suspects", method = "confident", relabel = true }"#;
    let (data, report) = applied(&clean, text).unwrap();
    let against = report.against.unwrap();
    eprintln!("{against:?}");
    assert_eq!(data.train.len() + data.valid.len(), 1_437);
    assert!(report.dropped == 0 && report.relabelled <= 143);
    assert!(against.restored > 110, "{against:?}");
    let (_, nothing) = applied(&clean, r#"{ kind = "suspects", share = 0 }"#).unwrap();
    assert_eq!(nothing.dropped, 0);
}

#[test]
fn a_defence_says_what_it_cannot_do() {
    let clean = digits();
    let refused = |text: &str| applied(&clean, text).unwrap_err().to_string();
    let error = refused(r#"{ kind = "suspects", method = "loss" }"#);
    assert!(error.contains("`trusted` = none"), "{error}");
    let error = refused(r#"{ kind = "suspects", method = "nose" }"#);
    assert!(
        error.contains("knn, loss, confident, hypergradient, combined"),
        "{error}"
    );
    assert!(refused(r#"{ kind = "suspects", share = 1.0 }"#).contains("0 to 0.999999999"));
    assert!(refused(r#"{ kind = "suspects", settings = { k = 0 } }"#).contains("settings.k"));
    let error = refused(r#"{ kind = "suspects", share = 0.999 }"#);
    assert!(error.contains("lower `share`"), "{error}");
}

/// 120 rows in two clouds of columns of very different size, every tenth with the other's label.
#[test]
fn rows_of_a_table_go_too() {
    let columns = |i: usize| {
        let near = |j: usize| ((i * 37 + j * 11) % 50) as f32 / 50.0;
        [1e4 * (near(0) + 2.0 * (i % 2) as f32), 1e-3 * near(1)]
    };
    let wrong = |i: usize| i % 20 < 2;
    let rows = |range: std::ops::Range<usize>, flip: bool| Features {
        rows: range.len(),
        values: Values::Floats(range.clone().flat_map(columns).collect()),
        columns: 2,
        shape: None,
        layout: Layout::Columns,
        labels: range
            .map(|i| ((i + usize::from(flip && wrong(i))) % 2) as u16)
            .collect(),
        class_names: vec!["a".into(), "b".into()],
    };
    let table = TableSet {
        name: "by hand".into(),
        train: rows(0..100, true),
        valid: rows(100..120, true),
        test: rows(120..130, false),
        class_names: vec!["a".into(), "b".into()],
        columns: None,
        hash: "hash".into(),
        notes: Vec::new(),
    };
    let defence = Countermeasure::Suspects(tox_poison::cleanse::Suspects {
        share: 0.1,
        trusted: Some(20),
        ..Default::default()
    });
    defence.tables().unwrap();
    let (trusted, augment) = (rows(130..150, false), Augment::default());
    let inputs = Inputs {
        data: (&table).into(),
        trusted: Some(&trusted),
        augment: &augment,
        known: None,
        seed: 4,
        device: Device::flex(),
    };
    let (data, report) = defence.apply(&inputs, Hooks::none()).unwrap().unwrap();
    assert_eq!(
        (report.dropped, report.train_left, report.valid_left),
        (12, 90, 18)
    );
    let Data::Table(left) = data else {
        panic!("images")
    };
    let right: Vec<u16> = (0..100)
        .filter(|i| !wrong(*i))
        .map(|i| (i % 2) as u16)
        .collect();
    assert_eq!(left.train.labels, right);
    assert_eq!(left.test, table.test);
}
