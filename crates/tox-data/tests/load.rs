//! Whole loads: every format by hand-made files, every way a file can lie, and the real sets.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;
use tox_data::spec::DataSpec;
use tox_data::{DataDir, DataError, Dataset, list, load};

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

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn idx(sizes: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, sizes.len() as u8];
    sizes
        .iter()
        .for_each(|size| bytes.extend(size.to_be_bytes()));
    bytes.extend(data);
    bytes
}

/// Five training and two test images of 2x2 under `mnist/`.
fn idx_set() -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    let folder = dir.path().join("mnist");
    fs::create_dir(&folder).unwrap();
    let pixels: Vec<u8> = (0..20).collect();
    fs::write(
        folder.join("train-images-idx3-ubyte"),
        idx(&[5, 2, 2], &pixels),
    )
    .unwrap();
    fs::write(
        folder.join("train-labels-idx1-ubyte.gz"),
        gz(&idx(&[5], &[0, 1, 2, 3, 9])),
    )
    .unwrap();
    fs::write(
        folder.join("t10k-images-idx3-ubyte.gz"),
        gz(&idx(&[2, 2, 2], &[7; 8])),
    )
    .unwrap();
    fs::write(folder.join("t10k-labels-idx1-ubyte"), idx(&[2], &[4, 4])).unwrap();
    (dir, folder)
}

#[test]
fn idx_files_are_split_resized_and_coloured() {
    let (dir, _) = idx_set();
    let data = load(&spec("mnist", 2), &at(dir.path())).unwrap();
    assert_eq!(data.train.images.shape, [3, 1, 2, 2]);
    assert_eq!(data.valid.labels, [3, 9]);
    assert_eq!(data.valid.images.pixels, [12, 13, 14, 15, 16, 17, 18, 19]);
    assert_eq!((data.chance_error(), data.classes), (0.0, 10));
    let wide = DataSpec {
        rgb: true,
        resize: Some(4),
        train: Some(1),
        ..spec("mnist", 2)
    };
    let wide = load(&wide, &at(dir.path())).unwrap();
    assert_eq!(wide.train.images.shape, [1, 3, 4, 4]);
    assert_eq!(wide.test.images.pixels, [7; 96]);
    assert_eq!(wide.normalise.mean, [0.1307; 3]);
    assert_ne!(wide.hash, data.hash);
}

#[test]
fn idx_files_that_lie_are_refused() {
    let lie = |file: &str, bytes: Vec<u8>| {
        let (dir, folder) = idx_set();
        fs::write(folder.join(file), bytes).unwrap();
        load(&spec("mnist", 1), &at(dir.path())).unwrap_err()
    };
    let images = "train-images-idx3-ubyte";
    assert!(matches!(
        lie(images, idx(&[5], &[0; 5])),
        DataError::Magic { .. }
    ));
    assert!(lie(images, gz(&[0; 9])).to_string().contains("name it .gz"));
    assert!(matches!(
        lie(images, idx(&[5, 2, 2], &[0; 19])),
        DataError::Truncated { .. }
    ));
    assert!(matches!(
        lie(images, vec![0, 0, 8]),
        DataError::Truncated { .. }
    ));
    assert!(matches!(
        lie(images, idx(&[5, 2, 2], &[0; 21])),
        DataError::Trailing { .. }
    ));
    assert!(matches!(
        lie(images, idx(&[u32::MAX; 3], &[0; 9])),
        DataError::TooLarge { .. }
    ));
    assert!(matches!(
        lie(images, idx(&[0, 2, 2], &[])),
        DataError::Empty { .. }
    ));
    assert!(matches!(
        lie(images, idx(&[4, 2, 2], &[0; 16])),
        DataError::Counts { .. }
    ));
    assert!(matches!(
        lie(images, idx(&[5, 1, 2], &[0; 10])),
        DataError::Shape { .. }
    ));
    let labels = "train-labels-idx1-ubyte.gz";
    assert!(matches!(
        lie(labels, gz(&idx(&[5], &[0, 1, 10, 1, 1]))),
        DataError::Label { .. }
    ));
    assert!(matches!(
        lie(labels, b"not gzip".to_vec()),
        DataError::Gzip { .. }
    ));
    let mut cut = gz(&idx(&[5], &[0; 5]));
    cut.truncate(cut.len() - 3);
    assert!(matches!(lie(labels, cut), DataError::Gzip { .. }));
    // A small file that would decompress to 64 MiB is not decompressed beyond its announced size.
    assert!(matches!(
        lie(labels, gz(&idx(&[5], &[0; 64 << 20]))),
        DataError::Trailing { .. }
    ));
    let huge = lie(labels, gz(&idx(&[u32::MAX], &[0; 5])));
    assert!(matches!(huge, DataError::TooLarge { .. }), "{huge}");
    let (dir, folder) = idx_set();
    fs::remove_file(folder.join(labels)).unwrap();
    refused!(
        spec("mnist", 1),
        at(dir.path()),
        Missing,
        "data fetch mnist"
    );
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

fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let order = if descr.ends_with('F') {
        "True"
    } else {
        "False"
    };
    let descr = descr.trim_end_matches('F');
    tox_testkit::arrays::npy(descr, order, shape, data)
}

fn npz(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let named: Vec<String> = arrays
        .iter()
        .map(|(name, _)| format!("{name}.npy"))
        .collect();
    let members = named.iter().zip(arrays);
    let members: Vec<_> = members
        .map(|(name, (_, bytes))| (name.as_str(), bytes.clone()))
        .collect();
    tox_testkit::arrays::zip(&members, true)
}

fn load_npz(bytes: &[u8], valid: usize) -> Result<Dataset, DataError> {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("set.npz");
    fs::write(&path, bytes).unwrap();
    load(&spec(path, valid), &at(dir.path()))
}

#[test]
fn npz_archives_in_both_forms_and_layouts() {
    let nhwc: Vec<u8> = (0..24).collect();
    let ones: Vec<u8> = [1f32, 0.5, 0.0]
        .repeat(4)
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    let data = load_npz(
        &npz(&[
            ("x_train", npy("|u1", "(2, 2, 2, 3)", &nhwc)),
            (
                "y_train",
                npy("<i8", "(2, 1)", &[0u64, 2].map(u64::to_le_bytes).concat()),
            ),
            ("x_test", npy("<f4", "(1, 3, 2, 2)", &ones)),
            ("y_test", npy(">u2", "(1,)", &[0, 1])),
        ]),
        0,
    )
    .unwrap();
    assert_eq!(data.train.images.shape, [2, 3, 2, 2]);
    assert_eq!(data.train.images.pixels[..6], [0, 3, 6, 9, 1, 4]);
    assert_eq!(data.test.images.pixels[..4], [255, 128, 0, 255]);
    assert_eq!(
        (data.train.labels.clone(), data.test.labels.clone()),
        (vec![0, 2], vec![1])
    );
    assert_eq!((data.classes, data.valid.is_empty()), (3, true));
    let all = [
        ("images", npy("|u1", "(10, 1, 2)", &nhwc[..20])),
        (
            "labels",
            npy("|u1", "(10,)", &[0, 1, 0, 1, 0, 1, 0, 1, 0, 1]),
        ),
    ];
    let data = load_npz(&npz(&all), 3).unwrap();
    assert_eq!(
        (data.train.len(), data.valid.len(), data.test.len()),
        (5, 3, 2)
    );
    assert_eq!(data.test.images.pixels, [16, 17, 18, 19]);
    // 0..=9 over 255: mean 4.5, variance (100 - 1) / 12.
    assert!((data.normalise.mean[0] - 4.5 / 255.0).abs() < 1e-7);
    assert!((data.normalise.std[0] - (99f32 / 12.0).sqrt() / 255.0).abs() < 1e-7);
}

#[test]
fn npz_archives_that_lie_are_refused() {
    let labels = npy("|u1", "(5,)", &[0; 5]);
    let lie = |images: Vec<u8>| {
        load_npz(&npz(&[("images", images), ("labels", labels.clone())]), 1).unwrap_err()
    };
    let good = npy("|u1", "(5, 2, 2)", &[0; 20]);
    assert!(matches!(
        load_npz(b"no zip", 0).unwrap_err(),
        DataError::Npz { .. }
    ));
    let error = load_npz(&npz(&[("images", good.clone())]), 0).unwrap_err();
    assert!(
        matches!(&error, DataError::NpzKey { key, .. } if key == "labels"),
        "{error}"
    );
    assert!(matches!(
        lie(b"\x93NUMPX\x01\x00".to_vec()),
        DataError::NpyHeader { .. }
    ));
    assert!(matches!(
        lie(b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec()),
        DataError::NpyHeader { .. }
    ));
    assert!(matches!(
        lie(npy("|O", "(5, 2, 2)", &[0; 20])),
        DataError::NpyType { .. }
    ));
    assert!(matches!(
        lie(npy("<i2", "(5, 2, 1)", &[1; 20])),
        DataError::NpyRange { .. }
    ));
    assert!(matches!(
        lie(npy("<c8", "(5, 2, 2)", &[0; 160])),
        DataError::NpyType { .. }
    ));
    assert!(matches!(
        lie(npy("|u1", "(5,)", &[0; 5])),
        DataError::NpyShape { .. }
    ));
    assert!(matches!(
        lie(npy("|u1", "(5, 1, 4, 1)", &[0; 20])),
        DataError::NpyShape { .. }
    ));
    assert!(matches!(
        lie(npy("|u1", "(5, 2, 2)", &[0; 19])),
        DataError::Truncated { .. }
    ));
    assert!(matches!(
        lie(npy("|u1", "(5, 2, 2)", &[0; 21])),
        DataError::Trailing { .. }
    ));
    let absurd = "(9999999999999, 9999999999999, 9999999999999)";
    assert!(matches!(
        lie(npy("|u1", absurd, &[0; 9])),
        DataError::TooLarge { .. }
    ));
    assert!(matches!(
        lie(npy("|u1", "(0, 2, 2)", &[])),
        DataError::Counts { .. }
    ));
    assert!(matches!(
        lie(npy("|u1", "(4, 2, 2)", &[0; 16])),
        DataError::Counts { .. }
    ));
    let two: Vec<u8> = [2f32; 5].iter().flat_map(|v| v.to_le_bytes()).collect();
    assert!(matches!(
        lie(npy("<f4", "(5, 1, 1)", &two)),
        DataError::NpyRange { .. }
    ));
    let beyond = npz(&[("images", good), ("labels", npy("<u8", "(5,)", &[255; 40]))]);
    assert!(matches!(
        load_npz(&beyond, 0).unwrap_err(),
        DataError::LabelValue { index: 0, .. }
    ));
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
    assert!(
        list(&dir)
            .iter()
            .all(|info| info.found && info.problem.is_none())
    );
}
