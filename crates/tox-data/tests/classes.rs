//! Chosen classes and random splits, and that official specifications stay what they were.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use tempfile::TempDir;
use tox_data::spec::{DataSpec, SplitKind};
use tox_data::{DataDir, DataError, Dataset, Split, load, load_seeded};

fn at(path: &Path) -> DataDir {
    DataDir::resolve(Some(path)).unwrap()
}

fn random(dataset: &str, classes: &[u16], sizes: (usize, usize, Option<usize>)) -> DataSpec {
    DataSpec {
        classes: Some(classes.to_vec()),
        split: SplitKind::Random,
        train: Some(sizes.0),
        test: sizes.2,
        ..DataSpec::of(dataset, sizes.1)
    }
}

fn digits(spec: &DataSpec, seed: u64) -> Result<Dataset, DataError> {
    load_seeded(spec, &at(Path::new("nowhere")), seed)
}

fn count(split: &Split, label: u16) -> usize {
    split.labels.iter().filter(|&&found| found == label).count()
}

/// Pixels and label of each image.
fn images(split: &Split) -> Vec<(Vec<u8>, u16)> {
    let images = split.images.pixels.chunks(split.images.stride());
    images
        .map(<[u8]>::to_vec)
        .zip(split.labels.clone())
        .collect()
}

#[test]
fn official_specifications_serialise_as_before() {
    let spec: DataSpec = serde_json::from_str(r#"{"dataset":"cifar10","valid":5000}"#).unwrap();
    assert_eq!(spec, DataSpec::of("cifar10", 5000));
    assert_eq!(
        serde_json::to_string(&spec).unwrap(),
        r#"{"dataset":"cifar10","valid":5000,"rgb":false,"augment":{"crop":0,"flip":false,"cutout":0,"valid":false}}"#
    );
    let text = r#"{"dataset":"mnist","classes":[0,8],"split":"random","train":4,"valid":2}"#;
    let spec: DataSpec = serde_json::from_str(text).unwrap();
    assert_eq!(spec, random("mnist", &[0, 8], (4, 2, None)));
    let text = serde_json::to_string(&spec).unwrap();
    assert!(
        text.contains(r#""classes":[0,8],"split":"random","train":4"#),
        "{text}"
    );
}

#[test]
fn classes_are_kept_in_file_order_and_relabelled() {
    let whole = digits(&DataSpec::of("digits", 0), 0).unwrap();
    let spec = DataSpec {
        classes: Some(vec![8, 3]),
        ..DataSpec::of("digits", 20)
    };
    let pair = digits(&spec, 0).unwrap();
    assert_eq!(
        (pair.classes, &pair.class_names[..]),
        (2, &["8".to_owned(), "3".to_owned()][..])
    );
    let kept = |split: &Split| {
        let all = images(split).into_iter();
        all.filter_map(|(pixels, label)| match label {
            8 => Some((pixels, 0)),
            3 => Some((pixels, 1)),
            _ => None,
        })
        .collect::<Vec<_>>()
    };
    assert_eq!(
        [images(&pair.train), images(&pair.valid)].concat(),
        kept(&whole.train)
    );
    assert_eq!(images(&pair.test), kept(&whole.test));
    assert_eq!(pair.valid.len(), 20);
    assert_eq!(pair.hash, digits(&spec, 7).unwrap().hash);
}

#[test]
fn random_splits_are_balanced_disjoint_and_of_the_joint_pool() {
    let spec = random("digits", &[3, 8], (100, 30, None));
    let one = digits(&spec, 1).unwrap();
    assert_eq!((count(&one.train, 0), count(&one.train, 1)), (50, 50));
    assert_eq!((count(&one.valid, 0), count(&one.valid, 1)), (15, 15));
    let all = [images(&one.train), images(&one.valid), images(&one.test)].concat();
    let unique: BTreeSet<_> = all.iter().collect();
    assert_eq!(unique.len(), all.len(), "digits has no image twice");
    let whole = digits(&DataSpec::of("digits", 0), 0).unwrap();
    let pool = [images(&whole.train), images(&whole.test)].concat();
    let pool = pool.iter().filter(|(_, label)| [3, 8].contains(label));
    assert_eq!(pool.count(), all.len());
    let official: BTreeSet<_> = images(&whole.test).into_iter().map(|i| i.0).collect();
    let mixed = images(&one.train)
        .iter()
        .filter(|i| official.contains(&i.0))
        .count();
    assert!(
        (1..100).contains(&mixed),
        "{mixed} training images from the test file"
    );

    assert_eq!(one.hash, digits(&spec, 1).unwrap().hash);
    assert_ne!(one.hash, digits(&spec, 2).unwrap().hash);
    assert_eq!(
        digits(&spec, 0).unwrap().hash,
        load(&spec, &at(Path::new("nowhere"))).unwrap().hash
    );
    let few = digits(&random("digits", &[3, 8], (100, 30, Some(40))), 1).unwrap();
    assert_eq!((count(&few.test, 0), count(&few.test, 1)), (20, 20));
    assert_eq!(few.train, one.train);
}

#[test]
fn what_the_set_cannot_give_is_refused() {
    let refused = |spec: DataSpec, parts: &[&str]| {
        let error = digits(&spec, 0).unwrap_err().to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    };
    let sizes = (100, 30, None);
    refused(
        random("digits", &[3], sizes),
        &["[3]", "at least 2 classes"],
    );
    refused(random("digits", &[], sizes), &["at least 2 classes"]);
    refused(random("digits", &[3, 10], sizes), &["0..=9", "not 10"]);
    refused(random("digits", &[3, 8, 3], sizes), &["not 3 twice"]);
    // 183 threes, 174 eights.
    refused(
        random("digits", &[3, 8], (300, 60, None)),
        &[
            "class 1 of digits has 174",
            "at least 180",
            "150 for training",
        ],
    );
    let mut spec = random("digits", &[3, 8], sizes);
    spec.train = None;
    refused(spec, &["needs `train`", "357"]);
    refused(
        DataSpec::of("gaussians", 10),
        &["`gaussians` is no image set", "synthetic"],
    );
}

#[test]
fn cifar_records_of_other_classes_are_checked_but_not_kept() {
    let dir = TempDir::new().unwrap();
    let folder = dir.path().join("cifar-100-binary");
    fs::create_dir(&folder).unwrap();
    let record = |fine: u8| [vec![0, fine], vec![fine; 3072]].concat();
    let records = |classes: &[u8]| classes.iter().flat_map(|&c| record(c)).collect::<Vec<_>>();
    fs::write(folder.join("train.bin"), records(&[5, 7, 9, 5, 7])).unwrap();
    fs::write(folder.join("test.bin"), records(&[7, 9])).unwrap();
    let spec = |classes: &[u16]| DataSpec {
        classes: Some(classes.to_vec()),
        ..DataSpec::of("cifar100", 1)
    };
    let data = load(&spec(&[7, 5]), &at(dir.path())).unwrap();
    assert_eq!(
        (data.train.labels, data.valid.labels, data.test.labels),
        (vec![1, 0, 1], vec![0], vec![0])
    );
    assert_eq!(data.train.images.pixels[3071..3073], [5, 7]);
    assert!(
        data.notes[0].contains("5 training images"),
        "{:?}",
        data.notes
    );
    let none = load(&spec(&[7, 42]), &at(dir.path())).unwrap_err();
    assert!(none.to_string().contains("none of class 42"), "{none}");
    fs::write(folder.join("test.bin"), records(&[7, 100])).unwrap();
    let lie = load(&spec(&[7, 5]), &at(dir.path())).unwrap_err();
    assert!(matches!(lie, DataError::Label { found: 100, .. }), "{lie}");
}

#[test]
fn folders_decode_only_the_classes_kept() {
    let dir = TempDir::new().unwrap();
    for (class, value) in [("a", 1u8), ("b", 2), ("c", 3)] {
        for part in ["train", "test"] {
            let folder = dir.path().join(part).join(class);
            fs::create_dir_all(&folder).unwrap();
            let image = image::GrayImage::from_pixel(2, 2, image::Luma([value]));
            image.save(folder.join("x.png")).unwrap();
        }
    }
    fs::write(dir.path().join("train/b/broken.png"), b"no image").unwrap();
    let spec = DataSpec {
        classes: Some(vec![2, 0]),
        ..DataSpec::of(dir.path().to_str().unwrap(), 0)
    };
    let data = load(&spec, &at(dir.path())).unwrap();
    assert_eq!(data.class_names, ["c", "a"]);
    for (pixels, label) in images(&data.train) {
        assert_eq!(pixels, if label == 0 { [3; 4] } else { [1; 4] });
    }
    assert_eq!((data.train.len(), data.test.len()), (2, 2));
}

/// Sizes of the paper's pools: 13,728, 14,000 and 12,000 images.
#[test]
#[ignore = "needs ../shared/data"]
fn real_the_papers_pools_are_as_large_as_it_says() {
    let unpack = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/unpack");
    let dir = TempDir::new().unwrap();
    let done = std::process::Command::new(unpack).arg(dir.path()).status();
    assert!(done.unwrap().success());
    for (name, classes, pool, names) in [
        ("mnist", [0, 8], 13_728, ["0", "8"]),
        ("fashion-mnist", [1, 2], 14_000, ["Trouser", "Pullover"]),
        ("cifar10", [0, 6], 12_000, ["airplane", "frog"]),
    ] {
        let start = std::time::Instant::now();
        let data = load_seeded(
            &random(name, &classes, (9_000, 900, None)),
            &at(dir.path()),
            3,
        );
        let data = data.unwrap();
        eprintln!("{name}: {:.2} s", start.elapsed().as_secs_f64());
        assert_eq!(data.test.len(), pool - 9_900, "{name}");
        assert_eq!((count(&data.train, 0), count(&data.valid, 1)), (4_500, 450));
        assert_eq!(data.class_names, names);
    }
}
