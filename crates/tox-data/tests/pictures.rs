//! Folders of pictures: every mode and format held against Pillow, what is left out, damaged files.
//!
//! The pictures of `fixtures/pictures` are 8 x 8, red 30x, green 30y, blue 15(x + y), saved by Pillow 12 in every mode
//! that people have; `pillow.json` is what `numpy.array(Image.open(FILE).convert("RGB"))` gives for each, C, H, W, in
//! hexadecimal (of `deep.png` the 16-bit values over 257).
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tox_data::features::{Ask, Opened, Values};
use tox_data::spec::DataSpec;
use tox_data::{DataDir, DataError, Dataset, load};

fn nowhere() -> DataDir {
    DataDir::resolve(Some(Path::new("nowhere"))).unwrap()
}

fn images(path: &Path) -> Result<Dataset, DataError> {
    load(&DataSpec::of(path.to_str().unwrap(), 0), &nowhere())
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pictures")
}

/// Copies a fixture to `place` in `dir`.
fn put(dir: &TempDir, fixture: &str, place: &str) {
    let path = dir.path().join(place);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::copy(fixtures().join(fixture), path).unwrap();
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap();
    (0..hex.len() / 2).map(digits).collect()
}

/// Pixels of the one picture, as three channels.
fn one(dir: &TempDir, fixture: &str) -> (Vec<u8>, String) {
    put(dir, fixture, &format!("train/a/{fixture}"));
    put(dir, "rgb.png", "train/b/rgb.png");
    put(dir, "rgb.png", "test/b/rgb.png");
    let data = images(dir.path()).unwrap();
    let row = data
        .train
        .labels
        .iter()
        .position(|label| *label == 0)
        .unwrap();
    let image = &data.train.images.pixels[row * 192..][..192];
    (image.to_vec(), data.notes.join("; "))
}

#[test]
fn pictures_of_every_mode_and_format_are_what_pillow_says() {
    let text = fs::read_to_string(fixtures().join("pillow.json")).unwrap();
    let expected: BTreeMap<String, String> = serde_json::from_str(&text).unwrap();
    assert_eq!(expected.len(), 19);
    for (name, expected) in expected {
        let dir = TempDir::new().unwrap();
        let (found, notes) = one(&dir, &name);
        let pairs = found.iter().zip(bytes(&expected));
        let apart: Vec<u8> = pairs.map(|(a, b)| a.abs_diff(b)).collect();
        let mean = apart.iter().map(|&d| f64::from(d)).sum::<f64>() / apart.len() as f64;
        assert!(mean <= 0.6, "{name}: {mean}");
        let worst = apart.into_iter().max();
        let most = match &name[name.len() - 4..] {
            // Chroma is enlarged by another rule.
            ".jpg" => 4,
            "webp" if name == "lossy.webp" => 3,
            _ => 0,
        };
        assert!(worst <= Some(most), "{name}: {worst:?}");
        let said = match &name[..] {
            "rgba.png" | "la.png" => "transparent pixels",
            "deep.png" => "16 bits a channel",
            "exif.jpg" => "are to be turned",
            _ => "",
        };
        assert!(notes.contains(said), "{name}: {notes}");
    }
    // The type is told by the first bytes.
    let dir = TempDir::new().unwrap();
    put(&dir, "plain.jpg", "train/a/liar.png");
    put(&dir, "rgb.bmp", "test/a/liar.gif");
    assert_eq!(images(dir.path()).unwrap().train.len(), 1);
}

/// What is no picture of a class is left out, counted and said, by every door; deeper folders are read.
#[test]
fn what_is_left_out_is_said() {
    let dir = TempDir::new().unwrap();
    for number in 0..10 {
        put(&dir, "rgb.png", &format!("a/{number}.png"));
        put(&dir, "plain.jpg", &format!("b/deeper/and/{number}.JPG"));
    }
    put(&dir, "rgb.webp", "a/w.webp");
    for empty in ["__MACOSX", ".git", "c", "b/.ipynb_checkpoints"] {
        fs::create_dir_all(dir.path().join(empty)).unwrap();
    }
    put(&dir, "rgb.png", "b/.ipynb_checkpoints/x-checkpoint.png");
    put(&dir, "rgb.png", "__MACOSX/._0.png");
    for file in [
        "a/Thumbs.db",
        "a/.DS_Store",
        "labels.csv",
        "b/x.svg",
        "b/README",
    ] {
        fs::write(dir.path().join(file), "x").unwrap();
    }
    let data = images(dir.path()).unwrap();
    assert_eq!(data.class_names, ["a", "b"]);
    assert_eq!(data.train.len() + data.test.len(), 21);
    let notes = data.notes.join("; ");
    for part in [
        "no classes and are left out: __MACOSX, c",
        "1 .csv, 1 .db, 1 .svg, 1 without an extension",
        "4 hidden names",
    ] {
        assert!(notes.contains(part), "{part}: {notes}");
    }
    let opened = Opened::of(&Ask::of(dir.path().to_str().unwrap()), &nowhere()).unwrap();
    assert_eq!(opened.notes, data.notes);
    assert_eq!(opened.sets.train.class_names, ["a", "b"]);
}

#[test]
fn folders_of_validation_images_are_understood() {
    let dir = TempDir::new().unwrap();
    let parts = [
        ("train", "rgb.png"),
        ("Validation", "l.png"),
        ("test", "plain.jpg"),
    ];
    for (part, fixture) in parts {
        put(&dir, fixture, &format!("{part}/a/0.png"));
        put(&dir, fixture, &format!("{part}/b/1.png"));
    }
    put(&dir, "rgb.png", "extra/a/0.png");
    let spec = DataSpec::of(dir.path().to_str().unwrap(), 2);
    let data = load(&spec, &nowhere()).unwrap();
    assert_eq!(
        (data.train.len(), data.valid.len(), data.test.len()),
        (2, 2, 2)
    );
    // A grey picture, in three channels.
    let grey = &data.valid.images.pixels[..192];
    assert_eq!((&grey[..64], &grey[..64]), (&grey[64..128], &grey[128..]));
    let notes = data.notes.join("; ");
    for part in [
        "`valid` = 2",
        "beside train/ are left out: extra",
        "2 of 6 images are grey",
    ] {
        assert!(notes.contains(part), "{part}: {notes}");
    }
    // Without test/ the validation images are the test set.
    fs::remove_dir_all(dir.path().join("test")).unwrap();
    let data = images(dir.path()).unwrap();
    assert_eq!((data.train.len(), data.test.len()), (2, 2));
    assert!(
        data.notes.join("; ").contains("there is no test/"),
        "{:?}",
        data.notes
    );
}

/// A picture that was cut off in a download is refused by name, whatever its format is.
#[test]
fn damaged_pictures_are_named() {
    for fixture in [
        "plain.jpg",
        "progressive.jpg",
        "rgb.png",
        "rgb.bmp",
        "rgb.webp",
        "lossy.webp",
        "lzw.tiff",
        "rgb.gif",
        "rgb.ppm",
    ] {
        let dir = TempDir::new().unwrap();
        put(&dir, "rgb.png", "a/0.png");
        put(&dir, fixture, "b/cut.any");
        put(&dir, fixture, &format!("b/{fixture}"));
        let path = dir.path().join("b").join(fixture);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() * 7 / 10]).unwrap();
        let error = images(dir.path()).unwrap_err();
        assert!(
            matches!(error, DataError::Image { .. }),
            "{fixture}: {error}"
        );
        assert!(error.to_string().contains(fixture), "{error}");
    }
}

#[test]
fn pictures_of_two_sizes_are_resized_or_refused_with_the_option() {
    let dir = TempDir::new().unwrap();
    put(&dir, "rgb.png", "a/0.png");
    put(&dir, "rgb.png", "a/1.png");
    fs::create_dir_all(dir.path().join("b")).unwrap();
    for name in ["0.png", "1.png"] {
        image::GrayImage::new(5, 9)
            .save(dir.path().join("b").join(name))
            .unwrap();
    }
    let data = dir.path().to_str().unwrap();
    let error = Opened::of(&Ask::of(data), &nowhere())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("--resize SIDE") && error.contains("resize them"),
        "{error}"
    );
    let ask = Ask {
        resize: Some(8),
        ..Ask::of(data)
    };
    let opened = Opened::of(&ask, &nowhere()).unwrap();
    assert_eq!(opened.sets.train.shape, Some([3, 8, 8]));
    assert!(matches!(opened.sets.train.values, Values::Bytes(_)));
}

#[test]
fn parts_that_are_not_known_are_no_classes() {
    let dir = TempDir::new().unwrap();
    for place in ["train/a/1.png", "train/b/1.png", "holdout/a/1.png"] {
        put(&dir, "rgb.png", place);
    }
    let error = images(dir.path()).unwrap_err().to_string();
    assert!(error.contains("neither test/ nor val/"), "{error}");
    // Trains are a class.
    let dir = TempDir::new().unwrap();
    for place in ["train/1.png", "car/1.png", "car/2.png"] {
        put(&dir, "rgb.png", place);
    }
    assert_eq!(images(dir.path()).unwrap().class_names, ["car", "train"]);
}

#[test]
fn class_folders_that_differ_in_case_are_told() {
    let dir = TempDir::new().unwrap();
    for place in ["Cat/1.png", "cat/1.png", "dog/1.png", "dog/2.png"] {
        put(&dir, "rgb.png", place);
    }
    let notes = images(dir.path()).unwrap().notes;
    assert!(
        notes
            .iter()
            .any(|note| note.starts_with("\"Cat\" (1 rows), \"cat\" (1 rows) differ")),
        "{notes:?}"
    );
}
