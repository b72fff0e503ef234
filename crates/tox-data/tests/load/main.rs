//! Whole loads: every format by hand-made files, every way a file can lie, and the real sets.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use idx::idx_set;
use npz::{load_npz, npy, npz};
use proptest::prelude::*;
use tempfile::TempDir;
use tox_data::spec::DataSpec;
use tox_data::{DataDir, DataError, list, load};

fn spec(dataset: impl AsRef<Path>, valid: usize) -> DataSpec {
    DataSpec::of(dataset.as_ref().to_str().unwrap(), valid)
}

fn at(path: &Path) -> DataDir {
    DataDir::resolve(Some(path)).unwrap()
}

/// The error of loading `spec`; its message must name `part`.
macro_rules! refused {
    ($spec:expr, $dir:expr, $variant:ident, $part:expr) => {{
        let error = load(&$spec, &$dir).unwrap_err();
        assert!(matches!(error, DataError::$variant { .. }), "{error:?}");
        assert!(error.to_string().contains($part), "{error}");
    }};
}

mod idx;
mod npz;
mod svhn;

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_specification_that_does_not_fit_is_refused() {
    let (dir, _) = idx_set();
    let dir = at(dir.path());
    let base = spec("mnist", 2);
    refused!(spec("mnits", 1), dir, Unknown, "did you mean `mnist`");
    refused!(spec("mnist", 5), dir, Spec, "`valid` = 5");
    refused!(
        DataSpec {
            train: Some(4),
            ..base.clone()
        },
        dir,
        Spec,
        "1..=3"
    );
    refused!(
        DataSpec {
            train: Some(0),
            ..base.clone()
        },
        dir,
        Spec,
        "`train` = 0"
    );
    refused!(
        DataSpec {
            test: Some(3),
            ..base.clone()
        },
        dir,
        Spec,
        "1..=2 test images"
    );
    refused!(
        DataSpec {
            resize: Some(0),
            ..base.clone()
        },
        dir,
        Spec,
        "`resize` = 0"
    );
    let mut crop = base.clone();
    crop.augment.crop = 2;
    refused!(crop, dir, Spec, "augment.crop");
    let mut cutout = base;
    cutout.augment.cutout = 3;
    refused!(cutout, dir, Spec, "augment.cutout");
}

#[test]
fn cifar_records_are_read_and_checked() {
    let dir = TempDir::new().unwrap();
    let folder = dir.path().join("cifar-100-binary");
    fs::create_dir(&folder).unwrap();
    let record = |fine: u8| {
        [
            vec![19, fine],
            (0..3072).map(|at| (at / 1024) as u8).collect(),
        ]
        .concat()
    };
    fs::write(
        folder.join("train.bin"),
        [record(5), record(99), record(0)].concat(),
    )
    .unwrap();
    fs::write(folder.join("test.bin"), record(42)).unwrap();
    let data = load(&spec("cifar100", 1), &at(dir.path())).unwrap();
    assert_eq!(data.train.labels, [5, 99]);
    assert_eq!(data.test.images.pixels[1023..1025], [0, 1]);
    assert!(
        data.notes[0].contains("3 training images"),
        "{:?}",
        data.notes
    );
    assert_eq!(list(&at(dir.path()))[4].train, 3);
    fs::write(folder.join("train.bin"), record(100)).unwrap();
    refused!(
        spec("cifar100", 0),
        at(dir.path()),
        Label,
        "is 100, expected 0..=99"
    );
    fs::write(folder.join("train.bin"), &record(1)[1..]).unwrap();
    refused!(spec("cifar100", 0), at(dir.path()), Records, "3073 bytes");
    fs::write(folder.join("train.bin"), b"").unwrap();
    refused!(spec("cifar100", 0), at(dir.path()), Empty, "train.bin");
    refused!(
        spec("cifar10", 0),
        at(dir.path()),
        Missing,
        "data_batch_1.bin"
    );
}

fn picture(path: &Path, side: u32, value: u8) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    image::RgbImage::from_pixel(side, side, image::Rgb([value, 0, 9]))
        .save(path)
        .unwrap();
}

#[test]
fn folders_flat_and_split() {
    let dir = TempDir::new().unwrap();
    for number in 0..10u8 {
        picture(
            &dir.path().join(format!("flat/{}/{number}.png", number % 2)),
            2,
            number,
        );
    }
    let flat = spec(dir.path().join("flat"), 2);
    let data = load(&flat, &at(dir.path())).unwrap();
    assert_eq!(
        (data.train.len(), data.valid.len(), data.test.len()),
        (6, 2, 2)
    );
    assert_eq!(data.hash, load(&flat, &at(dir.path())).unwrap().hash);
    for (image, label) in data.train.images.pixels.chunks(12).zip(&data.train.labels) {
        assert_eq!(u16::from(image[0]) % 2, *label);
        assert_eq!(image[4..], [0, 0, 0, 0, 9, 9, 9, 9]);
    }
    picture(&dir.path().join("split/train/cat/a.png"), 2, 1);
    picture(&dir.path().join("split/train/dog/b.PNG"), 2, 2);
    picture(&dir.path().join("split/test/dog/c.png"), 2, 3);
    let split = spec(dir.path().join("split"), 0);
    let data = load(&split, &at(dir.path())).unwrap();
    assert_eq!(
        (data.class_names.join(" "), data.test.labels.clone()),
        ("cat dog".to_owned(), vec![1])
    );
    picture(&dir.path().join("split/test/cat/d.png"), 3, 3);
    refused!(split, at(dir.path()), MixedSizes, "--resize SIDE");
    let resized = DataSpec {
        resize: Some(2),
        ..split.clone()
    };
    assert_eq!(
        load(&resized, &at(dir.path())).unwrap().test.images.shape,
        [2, 3, 2, 2]
    );
    fs::write(
        dir.path().join("split/train/cat/a.png"),
        b"\x89PNG\r\n\x1a\nrubbish",
    )
    .unwrap();
    refused!(split, at(dir.path()), Image, "a.png");
    picture(&dir.path().join("split/test/cow/d.png"), 2, 3);
    refused!(split, at(dir.path()), FolderClass, "cow");
    fs::create_dir(dir.path().join("none")).unwrap();
    refused!(
        spec(dir.path().join("none"), 0),
        at(dir.path()),
        Folder,
        "class folders"
    );
    fs::create_dir(dir.path().join("none/a")).unwrap();
    refused!(
        spec(dir.path().join("none"), 0),
        at(dir.path()),
        Folder,
        "no images"
    );
}

#[test]
fn digits_need_no_folder_and_one_pixel_changes_the_hash() {
    let mut data = load(&spec("digits", 200), &at(Path::new("nowhere"))).unwrap();
    assert_eq!(
        (data.train.len(), data.valid.len(), data.test.len()),
        (1237, 200, 360)
    );
    assert!(data.chance_error() > 85.0 && data.chance_error() < 90.0);
    assert_eq!(data.hash, data.content_hash());
    data.valid.images.pixels[5] ^= 1;
    assert_ne!(data.hash, data.content_hash());
    data.valid.images.pixels[5] ^= 1;
    data.test.labels[0] ^= 1;
    assert_ne!(data.hash, data.content_hash());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn damaged_bytes_never_panic(cut in 0usize..400, at_byte in 0usize..400, value: u8, noise: Vec<u8>) {
        let good = npz(&[
            ("images", npy("|u1", "(5, 2, 2)", &[0; 20])),
            ("labels", npy("|u1", "(5,)", &[0; 5])),
        ]);
        let damage = |good: &[u8]| {
            let mut bytes = good[..cut.min(good.len())].to_vec();
            if let Some(byte) = bytes.get_mut(at_byte) {
                *byte = value;
            }
            bytes.extend(&noise);
            bytes
        };
        let _ = load_npz(&damage(&good), 1);
        let _ = load_npz(&npz(&[("images", damage(&npy("|u1", "(5, 2, 2)", &[0; 20])))]), 1);
        for file in ["train-images-idx3-ubyte", "train-labels-idx1-ubyte.gz"] {
            let (dir, folder) = idx_set();
            let bytes = damage(&fs::read(folder.join(file)).unwrap());
            fs::write(folder.join(file), bytes).unwrap();
            let _ = load(&spec("mnist", 1), &at(dir.path()));
            let _ = list(&at(dir.path()));
        }
        let dir = TempDir::new().unwrap();
        picture(&dir.path().join("a/a.png"), 2, 1);
        let bytes = damage(&fs::read(dir.path().join("a/a.png")).unwrap());
        fs::write(dir.path().join("a/b.png"), bytes).unwrap();
        let _ = load(&spec(dir.path(), 0), &at(dir.path()));
    }
}

/// The real sets, laid out by `../shared/data/unpack`.
fn real() -> TempDir {
    let unpack = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/unpack");
    let dir = TempDir::new().unwrap();
    let done = std::process::Command::new(unpack)
        .arg(dir.path())
        .status()
        .unwrap();
    assert!(done.success());
    dir
}

#[test]
#[ignore = "needs ../shared/data"]
fn real_sets_load() {
    let dir = real();
    let dir = at(dir.path());
    for (name, shape, chance) in [
        ("mnist", [55_000, 1, 28, 28], 88.65),
        ("fashion-mnist", [55_000, 1, 28, 28], 90.0),
        ("cifar10", [45_000, 3, 32, 32], 90.0),
        ("cifar100", [5_000, 3, 32, 32], 99.0),
    ] {
        let data = load(&spec(name, 5000), &dir).unwrap();
        assert_eq!(data.train.images.shape, shape, "{name}");
        assert_eq!(
            (data.valid.len(), data.test.len()),
            (5000, 10_000),
            "{name}"
        );
        assert!(
            (data.chance_error() - chance).abs() < 1e-9,
            "{name} {}",
            data.chance_error()
        );
        assert_eq!(
            data.notes.is_empty(),
            name != "cifar100",
            "{:?}",
            data.notes
        );
    }
    // The shared copies have no SVHN.
    let sets = list(&dir);
    let mut sets = sets.iter().filter(|info| info.name != "svhn");
    assert!(sets.all(|info| info.found && info.problem.is_none()));
}
