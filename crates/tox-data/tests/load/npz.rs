//! Archives of NumPy.

use super::{at, spec};
use std::fs;
use tempfile::TempDir;
use tox_data::{DataError, Dataset, load};
use tox_testkit::arrays;

pub fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    arrays::npy(descr, "False", shape, data)
}

pub fn npz(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let named: Vec<String> = arrays
        .iter()
        .map(|(name, _)| format!("{name}.npy"))
        .collect();
    let members = named.iter().zip(arrays);
    let members: Vec<_> = members
        .map(|(name, (_, bytes))| (name.as_str(), bytes.clone()))
        .collect();
    arrays::zip(&members, true)
}

pub fn load_npz(bytes: &[u8], valid: usize) -> Result<Dataset, DataError> {
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
