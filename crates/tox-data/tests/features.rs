//! Feature sets and poison patches: hand-made files, round trips, and every way they can lie.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;
use tox_data::features::{FeatureSets, Features, Layout, Values};
use tox_data::patch::{Patch, PatchError};
use tox_data::spec::DataSpec;
use tox_data::{DataDir, DataError};

fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    tox_testkit::arrays::npy(descr, "False", shape, data)
}

fn npz(folder: &Path, arrays: &[(&str, Vec<u8>)]) -> PathBuf {
    let path = folder.join("set.npz");
    let mut writer = zip::ZipWriter::new(fs::File::create(&path).unwrap());
    for (name, bytes) in arrays {
        let options = zip::write::SimpleFileOptions::default();
        writer.start_file(format!("{name}.npy"), options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap();
    path
}

fn le(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

/// Four rows of two floats, two classes.
fn table(folder: &Path) -> FeatureSets {
    let values = [0.25, -1e9, 3.5, 0.0, 7.0, 8.0, 9.0, 10.0];
    let path = npz(
        folder,
        &[
            ("x", npy("<f4", "(4, 2)", &le(&values))),
            ("y", npy("|u1", "(4,)", &[0, 1, 1, 0])),
        ],
    );
    let sets = FeatureSets::load(&path).unwrap();
    assert_eq!(sets.train.values, Values::Floats(values.to_vec()));
    assert_eq!(
        (sets.train.rows, sets.train.columns, sets.train.shape),
        (4, 2, None)
    );
    assert!(sets.test.is_none());
    sets
}

/// Three training and two test images of 2 x 2 x 3, N, H, W, C.
fn coloured(folder: &Path) -> PathBuf {
    let pixels: Vec<u8> = (0..36).collect();
    npz(
        folder,
        &[
            ("x_train", npy("|u1", "(3, 2, 2, 3)", &pixels)),
            ("y_train", npy("|u1", "(3, 1)", &[2, 0, 2])),
            ("x_test", npy("|u1", "(2, 2, 2, 3)", &pixels[..24])),
            ("y_test", npy("|u1", "(2,)", &[1, 0])),
        ],
    )
}

#[test]
fn images_keep_their_bytes_and_their_layout() {
    let dir = TempDir::new().unwrap();
    let sets = FeatureSets::load(&coloured(dir.path())).unwrap();
    let Values::Bytes(values) = &sets.train.values else {
        panic!("bytes stay bytes");
    };
    assert_eq!(values[..6], [0, 3, 6, 9, 1, 4]);
    assert_eq!(
        (sets.train.shape, sets.train.layout),
        (Some([3, 2, 2]), Layout::ChannelsLast)
    );
    assert_eq!(sets.train.class_names, ["0", "1", "2"]);
    let out = dir.path().join("out.npz");
    sets.save(&out).unwrap();
    assert_eq!(FeatureSets::load(&out).unwrap(), sets);
    let first = fs::read(&out).unwrap();
    sets.save(&out).unwrap();
    assert_eq!(
        first,
        fs::read(&out).unwrap(),
        "the same sets, the same bytes"
    );
    // The array in the file is N, H, W, C again, so that the pixels are 0, 1, 2, ...
    let mut archive = zip::ZipArchive::new(fs::File::open(&out).unwrap()).unwrap();
    let mut array = Vec::new();
    std::io::Read::read_to_end(&mut archive.by_name("x_train.npy").unwrap(), &mut array).unwrap();
    assert!(String::from_utf8_lossy(&array).contains("(3, 2, 2, 3)"));
    assert_eq!(array[array.len() - 36..], (0..36).collect::<Vec<u8>>());
}

#[test]
fn classes_are_chosen_by_number() {
    let dir = TempDir::new().unwrap();
    let path = coloured(dir.path());
    let nowhere = DataDir::resolve(Some(Path::new("nowhere"))).unwrap();
    let open = |classes: &[u16]| FeatureSets::open(path.to_str().unwrap(), Some(classes), &nowhere);
    let sets = open(&[2, 0]).unwrap();
    assert_eq!(
        (sets.train.labels, sets.train.class_names),
        (vec![0, 1, 0], vec!["2".to_owned(), "0".to_owned()])
    );
    let test = sets.test.unwrap();
    assert_eq!((test.labels, test.rows), (vec![1], 1));
    assert_eq!(
        test.values,
        Values::Bytes(vec![12, 15, 18, 21, 13, 16, 19, 22, 14, 17, 20, 23])
    );
    assert!(
        open(&[2, 1])
            .unwrap_err()
            .to_string()
            .contains("none of class 1")
    );
    assert!(matches!(
        open(&[2, 3]).unwrap_err(),
        DataError::Classes { .. }
    ));
    let digits = FeatureSets::open("digits", Some(&[3, 8]), &nowhere).unwrap();
    let rows = digits.train.rows + digits.test.as_ref().unwrap().rows;
    assert_eq!(
        (rows, digits.train.columns, digits.train.class_names.len()),
        (357, 64, 2)
    );
}

#[test]
fn files_that_lie_are_refused() {
    let dir = TempDir::new().unwrap();
    let refused = |arrays: &[(&str, Vec<u8>)], parts: &[&str]| {
        let error = FeatureSets::load(&npz(dir.path(), arrays))
            .unwrap_err()
            .to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    };
    let labels = ("y_train", npy("|u1", "(2,)", &[0, 1]));
    for bad in [f32::NAN, f32::INFINITY] {
        let x = npy("<f4", "(2, 3)", &le(&[0., 1., 2., 3., 4., bad]));
        refused(
            &[("x_train", x), labels.clone()],
            &["row 1, column 2", "finite"],
        );
    }
    let flat = npy("<f4", "(2,)", &le(&[0., 1.]));
    refused(
        &[("x_train", flat), labels.clone()],
        &["shape [2]", "(N, D)"],
    );
    let wide = [1.0, 1e300f64].map(f64::to_le_bytes).concat();
    refused(
        &[("x_train", npy("<f8", "(2, 1)", &wide)), labels.clone()],
        &["row 1, column 0"],
    );
    let x = ("x_train", npy("|u1", "(2, 2)", &[1, 2, 3, 4]));
    refused(std::slice::from_ref(&x), &["lacks the array `y_train`"]);
    refused(
        &[x.clone(), ("y_train", npy("|u1", "(2,)", &[1, 1]))],
        &["one class"],
    );
    refused(
        &[x.clone(), ("y_train", npy("|u1", "(3,)", &[0, 1, 1]))],
        &["3 labels"],
    );
    let test = |x: Vec<u8>| {
        [
            x_train(),
            labels.clone(),
            ("x_test", x),
            ("y_test", npy("|u1", "(1,)", &[0])),
        ]
    };
    fn x_train() -> (&'static str, Vec<u8>) {
        ("x_train", npy("|u1", "(2, 2)", &[1, 2, 3, 4]))
    }
    refused(
        &test(npy("<f4", "(1, 2)", &le(&[0., 1.]))),
        &["uint8", "floats"],
    );
    refused(
        &test(npy("|u1", "(1, 3)", &[1, 2, 3])),
        &["expected 2", "shape 3"],
    );
    refused(
        &[x, labels.clone(), ("y_test", npy("|u1", "(1,)", &[0]))],
        &["`x_test`"],
    );
    refused(
        &[("x_train", npy("|u1", "(2, 0)", &[])), labels],
        &["one column"],
    );
}

/// Two points on [`table`]: row 2 with its label flipped, row 0 with its own.
fn patch(train: &Features) -> Patch {
    let settings = serde_json::json!({ "lr": 0.5 });
    let values = vec![1.5, 2.5, -3.0, 4.0];
    Patch::new(train, vec![2, 0], vec![0, 0], values, "bilevel", settings).unwrap()
}

/// [`patch()`] in a file of that name.
fn saved(dir: &Path, name: &str, clean: &Features) -> (PathBuf, Patch) {
    let (path, mut made) = (dir.join(name), patch(clean));
    made.save(&path).unwrap();
    (path, made)
}

#[test]
fn a_patch_goes_round_and_replaces_its_rows_only() {
    let dir = TempDir::new().unwrap();
    let clean = table(dir.path()).train;
    for name in ["p.npz", "p.safetensors"] {
        let (path, mut made) = saved(dir.path(), name, &clean);
        let bytes = fs::read(&path).unwrap();
        made.save(&path).unwrap();
        assert_eq!(bytes, fs::read(&path).unwrap());
        let read = Patch::load(&path).unwrap();
        assert_eq!(read, made);
        let manifest = read.manifest();
        assert_eq!(
            (manifest.points, manifest.flipped, manifest.train_rows),
            (2, 1, 4)
        );
        assert_eq!(
            manifest.patch_hash,
            blake3::hash(&bytes).to_hex().to_string()
        );
        let mut poisoned = clean.clone();
        read.apply(&mut poisoned).unwrap();
        let expected = vec![-3.0, 4.0, 3.5, 0.0, 1.5, 2.5, 9.0, 10.0];
        assert_eq!(poisoned.values, Values::Floats(expected));
        assert_eq!(poisoned.labels, [0, 1, 0, 0]);
        let twice = read.apply(&mut poisoned).unwrap_err();
        assert!(matches!(twice, PatchError::OtherSet { .. }), "{twice}");
        let fewer = read
            .apply(&mut clean.rows(&[0, 1, 2]))
            .unwrap_err()
            .to_string();
        assert!(
            fewer.contains("expected 4 rows of 2") && fewer.contains("found 3"),
            "{fewer}"
        );
    }
    let error = patch(&clean).save(&dir.path().join("p.pkl")).unwrap_err();
    assert!(matches!(error, PatchError::Extension { .. }));
}

#[test]
fn eight_bit_sets_are_rounded_or_made_floats() {
    let dir = TempDir::new().unwrap();
    let clean = FeatureSets::load(&coloured(dir.path())).unwrap().train;
    let mut point = vec![0.0; 12];
    point[..3].copy_from_slice(&[1.0, 0.5, 0.1]);
    let make = |point: Vec<f32>| Patch::new(&clean, vec![1], vec![2], point, "a", true.into());
    let made = make(point.clone()).unwrap();
    let mut rounded = clean.clone();
    made.apply(&mut rounded).unwrap();
    let Values::Bytes(values) = rounded.values else {
        panic!("stays 8-bit");
    };
    assert_eq!(values[11..16], [35 - 24, 255, 128, 26, 0]);
    let exact = made.apply_unrounded(clean.clone()).unwrap();
    let Values::Floats(values) = exact.values else {
        panic!("becomes floats");
    };
    assert_eq!(values[12..24], point);
    assert_eq!(values[1], 3.0 / 255.0);
    assert_eq!(exact.labels, [2, 2, 2]);
    point[7] = 1.5;
    let error = make(point).unwrap_err().to_string();
    assert!(error.contains("value 1.5 of point 0, column 7"), "{error}");
}

/// An attack on labels stores no rows, one on images stores bytes; each changes nothing else.
#[test]
fn labels_and_images_go_round_alone() {
    let dir = TempDir::new().unwrap();
    let clean = FeatureSets::load(&coloured(dir.path())).unwrap().train;
    let of_labels = Patch::of_labels(&clean, vec![2, 0], vec![0, 1], "a", true.into()).unwrap();
    let bytes: Vec<u8> = (100..112).collect();
    let of_images = Patch::of_images(&clean, vec![1], bytes.clone(), "a", true.into()).unwrap();
    for extension in ["npz", "safetensors"] {
        for made in [&of_labels, &of_images] {
            let path = dir.path().join(format!("p.{extension}"));
            let mut made = made.clone();
            made.save(&path).unwrap();
            assert_eq!(Patch::load(&path).unwrap(), made);
        }
    }
    assert_eq!(of_labels.values(), None);
    let mut poisoned = clean.clone();
    of_labels.apply(&mut poisoned).unwrap();
    assert_eq!(poisoned.labels, [1, clean.labels[1], 0]);
    assert_eq!(poisoned.values, clean.values);
    let mut poisoned = clean.clone();
    of_images.apply(&mut poisoned).unwrap();
    assert_eq!(poisoned.labels, clean.labels);
    let (Values::Bytes(before), Values::Bytes(after)) = (&clean.values, &poisoned.values) else {
        panic!("8-bit");
    };
    assert_eq!(after[..12], before[..12]);
    assert_eq!(after[12..24], bytes);
    assert_eq!(after[24..], before[24..]);
    let exact = of_images.apply_unrounded(clean.clone()).unwrap();
    let Values::Floats(values) = exact.values else {
        panic!("becomes floats");
    };
    assert_eq!(values[12], 100.0 / 255.0);
    let refused = |made: Result<Patch, PatchError>, part: &str| {
        let error = made.unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    let images =
        |set: &Features, indices, bytes| Patch::of_images(set, indices, bytes, "a", true.into());
    refused(images(&clean, vec![3], bytes.clone()), "index 3");
    refused(
        images(&clean, vec![1], vec![0; 11]),
        "11 values, expected 1 x 12",
    );
    let floats = table(dir.path()).train;
    refused(images(&floats, vec![1], vec![0; 2]), "expected floats");
    let labels = Patch::of_labels(&clean, vec![1], vec![3], "a", true.into());
    refused(labels, "label 3");
}

/// Rows of a search's patch are its training images, then its validation images.
#[test]
fn a_patch_reaches_both_halves_of_a_search() {
    let spec = DataSpec {
        train: Some(5),
        test: Some(4),
        ..DataSpec::of("digits", 3)
    };
    let folder = DataDir::resolve(Some(Path::new("."))).unwrap();
    let clean = tox_data::load(&spec, &folder).unwrap();
    let pool = clean.pool();
    assert_eq!((pool.rows, pool.columns), (8, 64));
    assert_eq!(
        pool.labels,
        [&clean.train.labels[..], &clean.valid.labels].concat()
    );
    let other = |row: usize| (pool.labels[row] + 1) % 10;
    let patch = Patch::of_labels(
        &pool,
        vec![6, 0],
        vec![other(6), other(0)],
        "a",
        true.into(),
    );
    let images = Patch::of_images(&pool, vec![4, 5], vec![7; 128], "a", true.into());
    let mut poisoned = clean.clone();
    patch.unwrap().apply_to(&mut poisoned).unwrap();
    let mut labels = clean.clone();
    (labels.train.labels[0], labels.valid.labels[1]) = (other(0), other(6));
    assert_eq!(poisoned.content_hash(), labels.content_hash());
    let images = images.unwrap();
    let error = images.apply_to(&mut poisoned).unwrap_err();
    assert!(
        error.to_string().contains("another training set"),
        "{error}"
    );
    assert_eq!(
        poisoned.content_hash(),
        labels.content_hash(),
        "left as it was"
    );
    let mut poisoned = clean.clone();
    images.apply_to(&mut poisoned).unwrap();
    let mut expected = clean.clone();
    expected.train.images.pixels[4 * 64..].fill(7);
    expected.valid.images.pixels[..64].fill(7);
    assert_eq!(poisoned.content_hash(), expected.content_hash());
    assert_eq!(poisoned.hash, clean.hash, "what was loaded");
    let spec = DataSpec {
        train: Some(6),
        ..spec
    };
    let mut other = tox_data::load(&spec, &folder).unwrap();
    let error = images.apply_to(&mut other).unwrap_err().to_string();
    assert!(
        error.contains("expected 8 rows") && error.contains("found 9"),
        "{error}"
    );
}

#[test]
fn points_that_do_not_fit_the_set_are_refused() {
    let dir = TempDir::new().unwrap();
    let clean = table(dir.path()).train;
    let refused = |indices: &[u64], labels: &[u16], values: &[f32], part: &str| {
        let (indices, labels) = (indices.to_vec(), labels.to_vec());
        let made = Patch::new(&clean, indices, labels, values.to_vec(), "a", true.into());
        let error = made.unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    refused(&[], &[], &[], "0 points");
    refused(&[4], &[0], &[1., 2.], "index 4");
    refused(&[1, 1], &[0, 0], &[1.; 4], "index 1 more than once");
    refused(&[1], &[2], &[1., 2.], "label 2");
    refused(&[1], &[0, 1], &[1., 2.], "2 labels");
    refused(&[1], &[0], &[1.], "expected 1 x 2");
    refused(&[1], &[0], &[1., f32::NAN], "NaN of point 0, column 1");
}

#[test]
fn a_manifest_that_lies_is_refused() {
    let dir = TempDir::new().unwrap();
    let clean = table(dir.path()).train;
    let path = dir.path().join("p.npz");
    patch(&clean).save(&path).unwrap();
    let manifest = Patch::manifest_path(&path);
    assert_eq!(manifest, dir.path().join("p.npz.json"));
    let good = fs::read_to_string(&manifest).unwrap();
    let lie = |key: &str, value: serde_json::Value| {
        let mut json: serde_json::Value = serde_json::from_str(&good).unwrap();
        assert_ne!(json[key], value);
        json[key] = value;
        fs::write(&manifest, json.to_string()).unwrap();
        let error = Patch::load(&path).and_then(|patch| patch.apply(&mut clean.clone()));
        error.unwrap_err().to_string()
    };
    assert!(lie("points", 3.into()).contains("expected 3 of each"));
    assert!(lie("columns", 4.into()).contains("2 columns, expected 4"));
    assert!(lie("train_rows", 2.into()).contains("index 2"));
    assert!(lie("train_rows", 5.into()).contains("expected 5 rows"));
    assert!(lie("classes", 0.into()).contains("below the 0 classes"));
    assert!(lie("classes", 9.into()).contains("in 9 classes"));
    assert!(lie("units", "unit".into()).contains("expected 0 to 1"));
    assert!(lie("values", "none".into()).contains("kind float32, expected none"));
    assert!(lie("values", "uint8".into()).contains("kind float32, expected uint8"));
    assert!(lie("shape", vec![1, 2, 2].into()).contains("shape [1, 2, 2] with 2 columns"));
    assert!(lie("shape", vec![1, 2, 1].into()).contains("(1 x 2 x 1)"));
    assert!(lie("flipped", 2.into()).contains("counts 2 flipped labels"));
    assert!(lie("train_hash", "0".into()).contains("another training set"));
    assert!(lie("patch_hash", "0".into()).contains("BLAKE3"));
    assert!(lie("format", "2".into()).contains("expected the format"));
    assert!(lie("extra", 1.into()).contains("extra"));
    // As it was before patches could have other values than floats.
    let old = good.replace("  \"values\": \"float32\",\n", "");
    assert_ne!(old, good);
    fs::write(&manifest, old).unwrap();
    assert!(Patch::load(&path).is_ok());
    fs::remove_file(&manifest).unwrap();
    assert!(
        Patch::load(&path)
            .unwrap_err()
            .to_string()
            .contains("p.npz.json")
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    /// The manifest is made to agree with the damaged file's hash, so that the reader meets it.
    #[test]
    fn damaged_patches_never_panic(cut in 0usize..1200, at in 0usize..1200, value: u8, noise: Vec<u8>) {
        let dir = TempDir::new().unwrap();
        let clean = table(dir.path()).train;
        for name in ["p.npz", "p.safetensors"] {
            let (path, made) = saved(dir.path(), name, &clean);
            let good = fs::read(&path).unwrap();
            let mut bytes = good[..cut.min(good.len())].to_vec();
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
            bytes.extend(&noise);
            fs::write(&path, &bytes).unwrap();
            let beside = Patch::manifest_path(&path);
            if bytes != good {
                prop_assert!(Patch::load(&path).is_err(), "the hash tells");
            }
            let hash = blake3::hash(&bytes).to_hex().to_string();
            let text = fs::read_to_string(&beside).unwrap();
            fs::write(&beside, text.replace(&made.manifest().patch_hash, &hash)).unwrap();
            if let Ok(read) = Patch::load(&path) {
                let _ = read.apply(&mut clean.clone());
            }
            fs::write(&beside, &bytes).unwrap();
            prop_assert!(Patch::load(&path).is_err());
        }
        let mut bytes = fs::read(coloured(dir.path())).unwrap();
        bytes.truncate(cut);
        if let Some(byte) = bytes.get_mut(at) {
            *byte = value;
        }
        let path = dir.path().join("set.npz");
        fs::write(&path, bytes).unwrap();
        let _ = FeatureSets::load(&path);
    }
}
