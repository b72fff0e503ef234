//! Files of IDX.

use super::*;

pub fn idx(sizes: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, sizes.len() as u8];
    sizes
        .iter()
        .for_each(|size| bytes.extend(size.to_be_bytes()));
    bytes.extend(data);
    bytes
}

/// Five training and two test images of 2x2 under `mnist/`.
pub fn idx_set() -> (TempDir, PathBuf) {
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
