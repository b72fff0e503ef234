//! SVHN's MATLAB files, made by SciPy (`benches/peers/make_svhn_fixtures.py`).

use super::*;

const FILES: [&str; 2] = ["train_32x32.mat", "test_32x32.mat"];

fn fixture(file: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/svhn");
    fs::read(folder.join(file)).unwrap()
}

/// A data folder with the fixtures.
fn set() -> TempDir {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("svhn")).unwrap();
    for file in FILES {
        fs::write(dir.path().join("svhn").join(file), fixture(file)).unwrap();
    }
    dir
}

#[test]
fn images_stand_in_rows_and_the_label_10_is_the_digit_0() {
    let dir = set();
    let data = load(&spec("svhn", 1), &at(dir.path())).unwrap();
    assert_eq!(data.train.labels, [0, 1, 2, 9]);
    assert_eq!((data.valid.labels[0], data.test.labels[0]), (3, 0));
    let pixel =
        |n: usize, c: usize, h: usize, w: usize| ((7 * h + 3 * w + 50 * c + 11 * n) % 251) as u8;
    for (split, first) in [(&data.train, 0), (&data.valid, 4), (&data.test, 0)] {
        let images = &split.images;
        assert_eq!(images.shape, [split.len(), 3, 32, 32]);
        for (at, &found) in images.pixels.iter().enumerate() {
            let (n, c, h, w) = (first + at / 3072, at / 1024 % 3, at / 32 % 32, at % 32);
            assert_eq!(found, pixel(n, c, h, w), "{n} {c} {h} {w}");
        }
    }
    assert_eq!(
        data.notes[..2],
        [
            "this copy of svhn has 5 training images, the official one 73257",
            "this copy of svhn has 1 test images, the official one 26032"
        ]
    );
    let sets = list(&at(dir.path()));
    let listed = sets.iter().find(|info| info.name == "svhn").unwrap();
    assert_eq!((listed.found, listed.train, listed.test), (true, 5, 1));
}

#[test]
fn other_files_are_refused_with_what_was_found() {
    let dir = set();
    let path = dir.path().join("svhn").join(FILES[1]);
    let whole = fixture(FILES[1]);
    // Where the label and the first dimension of the images stand.
    let label = 10f64.to_le_bytes();
    let label = whole.windows(8).position(|bytes| bytes == label).unwrap();
    let sizes = [[32u8, 0, 0, 0], [32, 0, 0, 0], [3, 0, 0, 0]].concat();
    let sizes = whole.windows(12).position(|bytes| bytes == sizes).unwrap();
    let with = |at: usize, bytes: &[u8]| {
        let mut file = whole.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    };
    for (file, reason) in [
        (
            with(label, &11f64.to_le_bytes()),
            "label 0 (counted from 0) is 11, not 1 to 10",
        ),
        (
            with(label, &1.5f64.to_le_bytes()),
            "`y` has other numbers than 0 to 255",
        ),
        (with(124, &[0, 2]), "MATLAB 7.3 (HDF5)"),
        (with(0, b"HDF"), "no header of such a file"),
        (whole[..100].to_vec(), "no header of 128 bytes"),
        (whole[..whole.len() - 1].to_vec(), "announced"),
        (with(128, &[3, 0, 0, 0]), "an element of kind 3"),
        (
            with(sizes, &[31]),
            "`X` has 3072 values, its dimensions 2976",
        ),
        (whole[..label + 8].to_vec(), "no array `X`"),
    ] {
        fs::write(&path, file).unwrap();
        refused!(spec("svhn", 1), at(dir.path()), Matlab, reason);
    }
    fs::write(&path, with(sizes, &[16, 0, 0, 0, 64])).unwrap();
    refused!(spec("svhn", 1), at(dir.path()), Shape, "16 x 64 x 3");
    fs::remove_file(&path).unwrap();
    refused!(spec("svhn", 1), at(dir.path()), Missing, "data fetch svhn");
}
