//! Parquet files of pandas', pyarrow's and Hugging Face's making (`benches/peers/make_parquet_fixtures.py`), and
//! damaged ones.
#![cfg(feature = "parquet")]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tox_data::features::{Ask, Opened, Values};
use tox_data::spec::DataSpec;
use tox_data::{Data, DataDir, DataError, Dataset, TableSet, load, load_any, source_hash};

fn fixture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parquet");
    folder.join(name)
}

fn nowhere() -> DataDir {
    DataDir::resolve(Some(Path::new("nowhere"))).unwrap()
}

fn spec(path: &Path, label: Option<&str>) -> DataSpec {
    DataSpec {
        label: label.map(str::to_owned),
        ..DataSpec::of(path.to_str().unwrap(), 4)
    }
}

fn read(path: &Path, label: Option<&str>) -> Result<Data, DataError> {
    load_any(&spec(path, label), &nowhere(), 0)
}

fn table(name: &str) -> TableSet {
    match read(&fixture(name), Some("kind")).unwrap() {
        Data::Table(table) => table,
        Data::Images(data) => panic!("{} is images", data.name),
    }
}

/// Numbers and classes as pandas has them.
fn expected() -> (Vec<Vec<f32>>, Vec<String>) {
    let text = fs::read_to_string(fixture("table.json")).unwrap();
    let all: serde_json::Value = serde_json::from_str(&text).unwrap();
    let row = |row: &serde_json::Value| -> Vec<f32> {
        let cells = row.as_array().unwrap().iter();
        cells.map(|cell| cell.as_f64().unwrap() as f32).collect()
    };
    let rows = all["x"].as_array().unwrap().iter().map(row).collect();
    let kinds = all["y"].as_array().unwrap().iter();
    (
        rows,
        kinds
            .map(|kind| kind.as_str().unwrap().to_owned())
            .collect(),
    )
}

/// The rows of the three parts and their classes, in the order of the file.
fn all(table: &TableSet) -> (Vec<Vec<f32>>, Vec<String>) {
    let (mut rows, mut kinds) = (Vec::new(), Vec::new());
    for part in [&table.train, &table.valid, &table.test] {
        let Values::Floats(values) = &part.values else {
            panic!("bytes");
        };
        rows.extend(values.chunks(part.columns).map(<[f32]>::to_vec));
        let class = |label: &u16| table.class_names[usize::from(*label)].clone();
        kinds.extend(part.labels.iter().map(class));
    }
    (rows, kinds)
}

#[test]
fn tables_are_what_pandas_wrote_whatever_their_types_and_compression() {
    let found = table("table.parquet");
    assert_eq!(all(&found), expected());
    assert_eq!(
        (found.train.rows, found.valid.rows, found.test.rows),
        (12, 4, 4)
    );
    assert_eq!(
        found.columns.as_deref().unwrap(),
        ["small", "wide", "half", "real", "flag"]
    );
    assert_eq!(all(&table("lz4.parquet")), expected());
    // Without the row whose index is 5, and the index is no column.
    let (mut rows, mut kinds) = expected();
    rows.remove(2);
    kinds.remove(2);
    let indexed = table("indexed.parquet");
    assert_eq!(all(&indexed), (rows, kinds));
    assert!(
        indexed
            .notes
            .contains(&"the index of pandas is left out".to_owned())
    );
    // The same content has the same name, however it is written.
    let hash = |name: &str| source_hash(&spec(&fixture(name), Some("kind")), &nowhere()).unwrap();
    assert_eq!(hash("table.parquet"), hash("lz4.parquet"));
    // `poison` and `harden` see the same.
    let path = fixture("table.parquet");
    let ask = Ask {
        label: Some("kind"),
        ..Ask::of(path.to_str().unwrap())
    };
    let opened = Opened::of(&ask, &nowhere()).unwrap();
    assert_eq!(opened.sets.train.rows, 20);
}

#[test]
fn what_is_missing_or_no_number_is_told_by_row_and_column() {
    for (name, label, place, what) in [
        (
            "null",
            "kind",
            "row 7 (counted from 0), column `wide`",
            "null",
        ),
        (
            "nan",
            "kind",
            "row 3 (counted from 0), column `real`",
            "NaN",
        ),
        ("date", "kind", "column `when`", "Timestamp"),
        ("table", "flag", "column `kind`", "pd.get_dummies"),
        (
            "table",
            "species",
            "`species`",
            "small, wide, half, real, flag, kind",
        ),
    ] {
        let refused = read(&fixture(&format!("{name}.parquet")), Some(label));
        let said = refused.unwrap_err().to_string();
        assert!(said.contains(place) && said.contains(what), "{said}");
    }
    let missing = read(Path::new("nowhere.parquet"), None).unwrap_err();
    assert!(matches!(missing, DataError::Unknown { .. }), "{missing}");
    // Who wants images says why there are none.
    let table = load(&spec(&fixture("table.parquet"), Some("kind")), &nowhere()).unwrap_err();
    assert!(matches!(table, DataError::TableImages { .. }), "{table}");
}

fn pictures(resize: Option<usize>) -> Dataset {
    let spec = DataSpec {
        resize,
        ..spec(&fixture("images.parquet"), None)
    };
    load(&spec, &nowhere()).unwrap()
}

#[test]
fn images_of_hugging_face_have_their_classes_by_name() {
    let data = pictures(None);
    assert_eq!(data.class_names, ["cat", "dog"]);
    assert_eq!(data.train.images.shape, [12, 3, 3, 4]);
    assert_eq!(data.test.labels, [0, 1, 0, 1]);
    // Red 20 x, green 20 y, blue the row.
    let last = &data.test.images.pixels[3 * 36..];
    assert_eq!(last[..4], [0, 20, 40, 60]);
    assert_eq!(last[12..24], [0, 0, 0, 0, 20, 20, 20, 20, 40, 40, 40, 40]);
    assert_eq!(last[24..], [19; 12]);
    let notes = data.notes.join("; ");
    assert!(
        notes.contains("column `label`") && notes.contains("last fifth of the rows, 4 images"),
        "{notes}"
    );
    assert_eq!(pictures(Some(8)).train.images.shape, [12, 3, 8, 8]);
    // Learners that take tables get them as images too.
    let Data::Images(same) = read(&fixture("images.parquet"), None).unwrap() else {
        panic!("a table");
    };
    assert_eq!(same.hash, data.hash);
    let path = fixture("images.parquet");
    let opened = Opened::of(&Ask::of(path.to_str().unwrap()), &nowhere()).unwrap();
    assert_eq!(opened.sets.train.shape, Some([3, 3, 4]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn damaged_bytes_never_panic(
        which in 0usize..3,
        at in any::<prop::sample::Index>(),
        bytes in prop::collection::vec(any::<u8>(), 0..6),
        cut in any::<prop::sample::Index>(),
        short in any::<bool>(),
    ) {
        let name = ["table.parquet", "lz4.parquet", "images.parquet"][which];
        let mut all = fs::read(fixture(name)).unwrap();
        let start = at.index(all.len());
        for (old, new) in all[start..].iter_mut().zip(bytes) {
            *old = new;
        }
        if short {
            all.truncate(cut.index(all.len()));
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        fs::write(&path, all).unwrap();
        let _ = read(&path, None);
    }
}
