//! Tables of numbers as trials use them: read, cut, drawn, named by content, refused.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use tempfile::TempDir;
use tox_data::features::Values;
use tox_data::spec::{Augment, DataSpec, SplitKind};
use tox_data::{Data, DataDir, DataError, TableSet, load, load_any, load_seeded, source_hash};
use tox_testkit::arrays;

fn spec(path: &Path, valid: usize) -> DataSpec {
    DataSpec::of(path.to_str().unwrap(), valid)
}

/// An archive of arrays: name, element type, shape, bytes.
fn npz(path: &Path, arrays: &[(&str, &str, &[usize], &[u8])]) {
    let shape = |sizes: &[usize]| {
        sizes
            .iter()
            .map(|size| format!("{size}, "))
            .collect::<String>()
    };
    let members: Vec<(String, Vec<u8>)> = (arrays.iter())
        .map(|(name, descr, sizes, bytes)| {
            let shape = format!("({})", shape(sizes).trim_end());
            (
                format!("{name}.npy"),
                arrays::npy(descr, "False", &shape, bytes),
            )
        })
        .collect();
    let members: Vec<(&str, Vec<u8>)> = (members.iter())
        .map(|(name, bytes)| (name.as_str(), bytes.clone()))
        .collect();
    fs::write(path, arrays::zip(&members, false)).unwrap();
}

fn nowhere() -> DataDir {
    DataDir::resolve(Some(Path::new("."))).unwrap()
}

fn table(spec: &DataSpec, seed: u64) -> Result<TableSet, DataError> {
    match load_any(spec, &nowhere(), seed)? {
        Data::Table(table) => Ok(table),
        Data::Images(data) => panic!("{} is images", data.name),
    }
}

/// Twenty rows of two columns: the row's number, and a hundred less; classes alternate.
fn csv(dir: &TempDir, name: &str, more: impl Fn(usize) -> String) -> std::path::PathBuf {
    let path = dir.path().join(name);
    let mut text = String::from("kind,size,weight\n");
    for row in 0..20 {
        writeln!(text, "{},{row},{}", more(row), row as f64 - 100.5).unwrap();
    }
    fs::write(&path, text).unwrap();
    path
}

fn letters(row: usize) -> String {
    ["a", "b"][row % 2].to_owned()
}

fn column(rows: &tox_data::features::Features) -> Vec<f32> {
    let Values::Floats(values) = &rows.values else {
        panic!("bytes");
    };
    values.chunks(rows.columns).map(|row| row[0]).collect()
}

#[test]
fn a_csv_is_cut_in_its_order_with_the_last_fifth_for_test() {
    let dir = TempDir::new().unwrap();
    let mut spec = spec(&csv(&dir, "t.csv", letters), 4);
    spec.label = Some("kind".into());
    let found = table(&spec, 0).unwrap();
    assert_eq!(
        (found.train.rows, found.valid.rows, found.test.rows),
        (12, 4, 4)
    );
    assert_eq!(
        column(&found.train),
        (0..12).map(|x| x as f32).collect::<Vec<_>>()
    );
    assert_eq!(column(&found.valid), [12.0, 13.0, 14.0, 15.0]);
    assert_eq!(column(&found.test), [16.0, 17.0, 18.0, 19.0]);
    assert_eq!(found.class_names, ["a", "b"]);
    assert_eq!(found.test.labels, [0, 1, 0, 1]);
    assert_eq!(found.columns.unwrap(), ["size", "weight"]);
    let notes = found.notes.join("; ");
    assert!(
        notes.contains("the last fifth of `x`, 4 rows, is taken for them"),
        "{notes}"
    );
    assert_eq!(found.name, "t.csv");
    // The columns are in the user's own units.
    let Values::Floats(values) = found.train.values else {
        panic!("bytes")
    };
    assert_eq!(values[..4], [0.0, -100.5, 1.0, -99.5]);
}

#[test]
fn a_random_split_is_drawn_from_all_rows_for_each_seed() {
    let dir = TempDir::new().unwrap();
    // In the order of its classes.
    let sorted = |row: usize| ["a", "b"][row / 10].to_owned();
    let path = csv(&dir, "t.csv", sorted);
    let long: String = (0..200)
        .map(|row| format!("{row},{}\n", row / 100))
        .collect();
    let in_order = dir.path().join("long.csv");
    fs::write(&in_order, long).unwrap();
    let refused = table(&spec(&in_order, 40), 0).unwrap_err();
    assert!(matches!(refused, DataError::Order { .. }), "{refused}");
    assert!(
        refused.to_string().contains("split = \"random\""),
        "{refused}"
    );
    let mut spec = spec(&path, 4);
    spec.label = Some("kind".into());
    spec.split = SplitKind::Random;
    let refused = table(&spec, 0).unwrap_err().to_string();
    assert!(
        refused.contains("needs `train`") && refused.contains("all 20"),
        "{refused}"
    );
    spec.train = Some(10);
    let found = table(&spec, 3).unwrap();
    let mut all = [&found.train, &found.valid, &found.test]
        .map(column)
        .concat();
    for (part, each) in [(&found.train, 5), (&found.valid, 2), (&found.test, 3)] {
        let ones = part.labels.iter().filter(|label| **label == 1).count();
        assert_eq!((part.rows, ones), (2 * each, each));
        // The label belongs to its row.
        for (value, label) in column(part).iter().zip(&part.labels) {
            assert_eq!(*label, u16::from(*value >= 10.0));
        }
    }
    all.sort_unstable_by(f32::total_cmp);
    assert_eq!(all, (0..20).map(|x| x as f32).collect::<Vec<_>>());
    assert_eq!(table(&spec, 3).unwrap().hash, found.hash);
    assert_ne!(table(&spec, 4).unwrap().hash, found.hash);
}

#[test]
fn content_names_a_table_and_another_is_refused() {
    let dir = TempDir::new().unwrap();
    let path = csv(&dir, "t.csv", letters);
    let mut spec = spec(&path, 4);
    spec.label = Some("kind".into());
    spec.hash = Some(source_hash(&spec, &nowhere()).unwrap());
    table(&spec, 0).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    // A value, a label, the name of a column.
    for (old, new) in [("a,18,", "a,19,"), ("b,19,", "a,19,"), ("size", "length")] {
        fs::write(&path, text.replacen(old, new, 1)).unwrap();
        let refused = table(&spec, 0).unwrap_err();
        assert!(
            matches!(refused, DataError::Changed { .. }),
            "{old}: {refused}"
        );
    }
    // Another column of labels is another set.
    fs::write(&path, text.replace("a,", "0,").replace("b,", "1,")).unwrap();
    spec.hash = None;
    let by_kind = source_hash(&spec, &nowhere()).unwrap();
    spec.label = Some("size".into());
    assert_ne!(source_hash(&spec, &nowhere()).unwrap(), by_kind);
}

#[test]
fn arrays_of_two_dimensions_are_tables_and_others_images() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("flat.npz");
    let labels: Vec<u8> = (0..10).map(|row| row % 2).collect();
    let bytes: Vec<u8> = (0..40).collect();
    npz(
        &path,
        &[("x", "|u1", &[10, 4], &bytes), ("y", "|u1", &[10], &labels)],
    );
    let flat = table(&spec(&path, 2), 0).unwrap();
    assert_eq!(flat.train.values, Values::Bytes((0..24).collect()));
    assert_eq!(
        (flat.train.columns, flat.train.shape, flat.columns),
        (4, None, None)
    );
    // The same file as images has the same name by content.
    let mut square = spec(&path, 2);
    square.hash = Some(source_hash(&square, &nowhere()).unwrap());
    let images = load_seeded(&square, &nowhere(), 0).unwrap();
    assert_eq!(images.train.images.shape, [6, 1, 2, 2]);
    assert_eq!(
        load_any(&square, &nowhere(), 0).unwrap().as_ref().labels()[0],
        &images.train.labels
    );
    // Floats too, though images of them are rounded.
    let floats = |add: f32| {
        let values: Vec<u8> = (0..40)
            .flat_map(|i| (i as f32 / 40.0 + add).to_le_bytes())
            .collect();
        npz(
            &path,
            &[
                ("x", "<f4", &[10, 4], &values),
                ("y", "|u1", &[10], &labels),
            ],
        );
    };
    floats(0.0);
    square.hash = Some(source_hash(&square, &nowhere()).unwrap());
    load_seeded(&square, &nowhere(), 0).unwrap();
    floats(1e-4);
    assert!(matches!(
        load_seeded(&square, &nowhere(), 0),
        Err(DataError::Changed { .. })
    ));
    let path = dir.path().join("deep.npz");
    npz(
        &path,
        &[
            ("x", "|u1", &[10, 2, 2], &bytes),
            ("y", "|u1", &[10], &labels),
        ],
    );
    let Data::Images(deep) = load_any(&spec(&path, 2), &nowhere(), 0).unwrap() else {
        panic!("a table")
    };
    assert_eq!(deep.hash, load(&spec(&path, 2), &nowhere()).unwrap().hash);
}

#[test]
fn parts_of_an_archive_are_the_splits() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("parts.npz");
    let floats = |from: u8, rows: u8| -> Vec<u8> {
        (from..from + rows)
            .flat_map(|i| [f32::from(i), -1.0].map(f32::to_le_bytes).concat())
            .collect()
    };
    let labels = [0u8, 1, 0, 1, 0, 1];
    npz(
        &path,
        &[
            ("x_train", "<f4", &[6, 2], &floats(0, 6)),
            ("y_train", "|u1", &[6], &labels),
            ("x_val", "<f4", &[2, 2], &floats(10, 2)),
            ("y_val", "|u1", &[2], &labels[..2]),
            ("x_test", "<f4", &[4, 2], &floats(20, 4)),
            ("y_test", "|u1", &[4], &labels[..4]),
        ],
    );
    let found = table(&spec(&path, 2), 0).unwrap();
    assert_eq!(column(&found.train), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(column(&found.valid), [10.0, 11.0]);
    assert_eq!(column(&found.test), [20.0, 21.0, 22.0, 23.0]);
    assert!(
        found.notes[0].contains("`valid` = 2 takes just them"),
        "{:?}",
        found.notes
    );
}

#[test]
fn what_is_for_images_is_refused_with_its_key() {
    let dir = TempDir::new().unwrap();
    let path = csv(&dir, "t.csv", letters);
    let plain = DataSpec {
        label: Some("kind".into()),
        ..spec(&path, 4)
    };
    let keys = [
        (
            "resize",
            DataSpec {
                resize: Some(8),
                ..plain.clone()
            },
        ),
        (
            "rgb",
            DataSpec {
                rgb: true,
                ..plain.clone()
            },
        ),
        (
            "augment",
            DataSpec {
                augment: Augment {
                    flip: true,
                    ..Augment::default()
                },
                ..plain.clone()
            },
        ),
    ];
    for (key, spec) in keys {
        let refused = table(&spec, 0).unwrap_err().to_string();
        assert!(refused.contains(&format!("leave `{key}` out")), "{refused}");
    }
    // A column of labels is a table's.
    let digits = DataSpec {
        label: Some("kind".into()),
        ..DataSpec::of("digits", 300)
    };
    let refused = load_any(&digits, &nowhere(), 0).unwrap_err();
    assert!(
        matches!(refused, DataError::LabelColumn { .. }),
        "{refused}"
    );
    // Who wants images says what to do, and does not read the table for it.
    assert!(matches!(
        load(&plain, &nowhere()),
        Err(DataError::TableImages { .. })
    ));
    let missing = spec(&dir.path().join("none.csv"), 1);
    assert!(matches!(
        load_any(&missing, &nowhere(), 0),
        Err(DataError::Unknown { .. })
    ));
}

#[test]
fn classes_are_chosen_by_number_before_the_cut() {
    let dir = TempDir::new().unwrap();
    let three = |row: usize| ["a", "b", "c"][row % 3].to_owned();
    let spec = DataSpec {
        label: Some("kind".into()),
        classes: Some(vec![2, 0]),
        ..spec(&csv(&dir, "t.csv", three), 2)
    };
    let found = table(&spec, 0).unwrap();
    assert_eq!(found.class_names, ["c", "a"]);
    assert_eq!(column(&found.train)[..4], [0.0, 2.0, 3.0, 5.0]);
    assert_eq!(found.train.labels[..4], [1, 0, 1, 0]);
}
