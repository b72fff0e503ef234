//! What is written back.

use super::*;

/// A patch of labels alone changes the labels of its rows, in the form that the file has them in, and not one
/// other bit, name or place.
#[test]
fn what_comes_back_is_what_went_in() {
    let dir = TempDir::new().unwrap();
    let zero_one: Vec<u8> = [0u64, 1, 0, 1, 1, 0]
        .iter()
        .flat_map(|l| l.to_le_bytes())
        .collect();
    let flipped: Vec<u8> = [0u64, 0, 0, 1, 1, 1]
        .iter()
        .flat_map(|l| l.to_le_bytes())
        .collect();
    let signed = |labels: &[i32]| {
        labels
            .iter()
            .flat_map(|l| l.to_be_bytes())
            .collect::<Vec<u8>>()
    };
    let hot = |labels: &[u8]| labels.iter().flat_map(|&l| [1 - l, l]).collect::<Vec<u8>>();
    let forms = [
        ("<i8", "False", "(6,)", zero_one.clone(), flipped.clone()),
        ("<i8", "False", "(6, 1)", zero_one.clone(), flipped.clone()),
        ("<i8", "True", "(6, 1)", zero_one, flipped),
        (
            "|u1",
            "False",
            "(6,)",
            vec![0, 1, 0, 1, 1, 0],
            vec![0, 0, 0, 1, 1, 1],
        ),
        (
            "|b1",
            "False",
            "(6,)",
            vec![0, 1, 0, 1, 1, 0],
            vec![0, 0, 0, 1, 1, 1],
        ),
        (
            "<f8",
            "False",
            "(6,)",
            le64(&[0., 1., 0., 1., 1., 0.]),
            le64(&[0., 0., 0., 1., 1., 1.]),
        ),
        (
            ">i4",
            "False",
            "(6,)",
            signed(&[-1, 1, -1, 1, 1, -1]),
            signed(&[-1, -1, -1, 1, 1, 1]),
        ),
        (
            "<U3",
            "False",
            "(6,)",
            text(&["cat", "dog", "cat", "dog", "dog", "cat"], 3),
            text(&["cat", "cat", "cat", "dog", "dog", "dog"], 3),
        ),
        (
            "|u1",
            "False",
            "(6, 2)",
            hot(&[0, 1, 0, 1, 1, 0]),
            hot(&[0, 0, 0, 1, 1, 1]),
        ),
    ];
    let mut hashes = Vec::new();
    for (descr, order, shape, before, after) in forms {
        // Labels -1 and 1, and False and True, are no one's but their own: without the test set.
        let bytes = table(npy(descr, order, shape, &before));
        let path = put(&dir, "set.npz", &bytes);
        let opened = match open(&path) {
            Ok(opened) => opened,
            Err(error) => {
                assert_eq!(descr, ">i4", "{descr} {shape}: {error}");
                continue;
            }
        };
        let train = &opened.sets.train;
        assert_eq!(train.labels, [0, 1, 0, 1, 1, 0], "{descr}");
        hashes.push(train.hash());
        let mut patch = Patch::of_labels(train, vec![1, 5], vec![0, 1], "a", true.into()).unwrap();
        patch.save(&dir.path().join("set.patch.npz")).unwrap();
        let out = dir.path().join("out.npz");
        assert!(opened.save(&patch, &out).unwrap().is_empty());
        for ((name, old), (found, new)) in members(&path).into_iter().zip(members(&out)) {
            assert_eq!(name, found);
            match &name[..] {
                "y_train.npy" => {
                    let (_, elements) = new.split_at(new.len() - after.len());
                    assert_eq!(elements, after, "{descr} {shape}");
                    let header = String::from_utf8_lossy(&new);
                    assert!(header.contains(descr) && header.contains(shape), "{header}");
                }
                // Written anew, with NumPy's own blanks in its header.
                "X_train.npy" => assert_eq!(new[new.len() - 96..], old[old.len() - 96..]),
                _ => assert_eq!(old, new, "{name}"),
            }
        }
        // It is read again, and a patch of the file is one of any file of the same content.
        let again = open(&out).unwrap().sets.train;
        assert_eq!(again.labels, [0, 0, 0, 1, 1, 1]);
        let mut other = train.clone();
        Patch::load(&dir.path().join("set.patch.npz"))
            .unwrap()
            .apply(&mut other)
            .unwrap();
        assert_eq!(other.labels, again.labels);
    }
    assert_eq!(hashes.len(), 9);
    assert!(
        hashes.iter().all(|hash| *hash == hashes[0]),
        "the same content"
    );
}

/// Labels -1 and 1 are renumbered here and stay what they are in the file.
#[test]
fn renumbered_labels_are_said_and_stay() {
    let dir = TempDir::new().unwrap();
    let labels: Vec<u8> = [-1i32, 1, -1, 1]
        .iter()
        .flat_map(|l| l.to_be_bytes())
        .collect();
    let path = put(
        &dir,
        "set.npz",
        &zip(&[
            ("x.npy", npy("<f4", "False", "(4, 1)", &[0; 16])),
            ("y.npy", npy(">i4", "False", "(4,)", &labels)),
        ]),
    );
    let opened = open(&path).unwrap();
    assert!(
        opened.notes[0].contains("-1 is class 0, 1 is class 1"),
        "{:?}",
        opened.notes
    );
    let patch = Patch::of_labels(&opened.sets.train, vec![0], vec![1], "a", true.into()).unwrap();
    let out = dir.path().join("out.npz");
    opened.save(&patch, &out).unwrap();
    let (name, bytes) = &members(&out)[1];
    assert_eq!(name, "y.npy");
    assert_eq!(
        bytes[bytes.len() - 16..],
        [0, 0, 0, 1, 0, 0, 0, 1, 255, 255, 255, 255, 0, 0, 0, 1]
    );
}

/// Images of other types than `uint8` are 8-bit pixels here and keep their type and order in the file.
#[test]
fn images_keep_type_order_and_transparency() {
    let dir = TempDir::new().unwrap();
    let pixels: Vec<u8> = (0..4 * 2 * 3 * 4).collect();
    let wide: Vec<u8> = pixels
        .iter()
        .flat_map(|&p| u16::from(p).to_le_bytes())
        .collect();
    let path = put(
        &dir,
        "set.npz",
        &zip(&[
            ("images.npy", npy("<u2", "False", "(4, 2, 3, 4)", &wide)),
            ("labels.npy", npy("|u1", "False", "(4,)", &[0, 1, 0, 1])),
        ]),
    );
    let opened = open(&path).unwrap();
    let notes = opened.notes.join("; ");
    assert!(
        notes.contains("transparency") && notes.contains("uint16 in 0..=255"),
        "{notes}"
    );
    let train = &opened.sets.train;
    assert_eq!(
        (train.shape, train.layout),
        (Some([3, 2, 3]), Layout::ChannelsLast)
    );
    let Values::Bytes(values) = &train.values else {
        panic!("8-bit");
    };
    assert_eq!(values[..7], [0, 4, 8, 12, 16, 20, 1]);
    let new: Vec<u8> = (100..118).collect();
    let patch = Patch::of_images(train, vec![2], new, "a", true.into()).unwrap();
    let out = dir.path().join("out.npz");
    opened.save(&patch, &out).unwrap();
    let (_, bytes) = &members(&out)[0];
    assert!(String::from_utf8_lossy(bytes).contains("'<u2'"));
    let found: Vec<u16> = bytes[bytes.len() - 192..]
        .chunks(2)
        .map(|b| u16::from_le_bytes([b[0], b[1]]))
        .collect();
    let old = |at: usize| at as u16;
    for (at, &value) in found.iter().enumerate() {
        let (row, place, channel) = (at / 24, at % 24 / 4, at % 4);
        let expected = match (row, channel) {
            (2, 0..=2) => (100 + channel * 6 + place) as u16,
            _ => old(at),
        };
        assert_eq!(value, expected, "{at}");
    }
    // The same images, column by column.
    let mut fortran = vec![0; 16];
    for (at, value) in (0..16u8).enumerate() {
        // Shape (4, 2, 2): element (i, j, k) is 4i + 2j + k.
        let (i, j, k) = (at / 4, at / 2 % 2, at % 2);
        fortran[i + 4 * (j + 2 * k)] = value;
    }
    let path = put(
        &dir,
        "fortran.npz",
        &zip(&[
            ("images.npy", npy("|u1", "True", "(4, 2, 2)", &fortran)),
            ("labels.npy", npy("|u1", "False", "(4,)", &[0, 1, 0, 1])),
        ]),
    );
    let opened = open(&path).unwrap();
    assert_eq!(opened.sets.train.values, Values::Bytes((0..16).collect()));
    let patch =
        Patch::of_images(&opened.sets.train, vec![1], vec![9; 4], "a", true.into()).unwrap();
    opened.save(&patch, &out).unwrap();
    let (_, bytes) = &members(&out)[0];
    assert!(String::from_utf8_lossy(bytes).contains("'fortran_order': True"));
    let changed = bytes[bytes.len() - 16..]
        .iter()
        .zip(&fortran)
        .filter(|(a, b)| a != b);
    assert_eq!(changed.count(), 4);
    assert_eq!(images(&out).unwrap().train.images.pixels[4..8], [9; 4]);
}

/// Of float64 rows only what the poison moved differs; half floats say what they rounded.
#[test]
fn floats_are_kept_to_the_bit_and_rounding_is_said() {
    let dir = TempDir::new().unwrap();
    let labels = npy("|u1", "False", "(2,)", &[0, 1]);
    let wide = le64(&[0.1, 0.2, 0.3, 0.4]);
    let path = put(
        &dir,
        "set.npz",
        &zip(&[
            ("x.npy", npy("<f8", "False", "(2, 2)", &wide)),
            ("y.npy", labels.clone()),
        ]),
    );
    let opened = open(&path).unwrap();
    assert!(
        opened.notes[0].contains("computed with as float32"),
        "{:?}",
        opened.notes
    );
    let patch = |opened: &Opened, row| {
        Patch::new(&opened.sets.train, vec![1], vec![1], row, "a", true.into()).unwrap()
    };
    let out = dir.path().join("out.npz");
    // The first value is what it was, as float32.
    let said = opened.save(&patch(&opened, vec![0.3, 2.5]), &out).unwrap();
    assert!(said.is_empty(), "{said:?}");
    let bytes = &members(&out)[0].1;
    assert_eq!(bytes[bytes.len() - 32..], le64(&[0.1, 0.2, 0.3, 2.5]));
    let half: Vec<u8> = [0x3c00u16, 0, 0, 0x3c00]
        .iter()
        .flat_map(|h| h.to_le_bytes())
        .collect();
    let path = put(
        &dir,
        "half.npz",
        &zip(&[
            ("x.npy", npy("<f2", "False", "(2, 2)", &half)),
            ("y.npy", labels),
        ]),
    );
    let opened = open(&path).unwrap();
    assert_eq!(
        opened.sets.train.values,
        Values::Floats(vec![1.0, 0.0, 0.0, 1.0])
    );
    let said = opened.save(&patch(&opened, vec![0.5, 0.1]), &out).unwrap();
    assert!(
        said[0].contains("1 of the 2 values") && said[0].contains("float16"),
        "{said:?}"
    );
    // Another file in its place is not what the patch was made for.
    fs::write(&path, fs::read(dir.path().join("set.npz")).unwrap()).unwrap();
    let error = opened
        .save(&patch(&opened, vec![0.5, 0.1]), &out)
        .unwrap_err();
    assert!(matches!(error, PatchError::OtherSet { .. }), "{error}");
}

/// Rows that leave take their ids along; a new label is in the file's own form; and the rest stays, to the bit.
#[test]
fn rows_leave_with_all_that_is_theirs() {
    let dir = TempDir::new().unwrap();
    let whole = four_rows();
    let path = put(&dir, "set.npz", &zip(&whole));
    let out = dir.path().join("out.npz");
    let written = |ask: &Ask, kept: &[usize], labels: &[(usize, u16)], expected: [&[u8]; 5]| {
        let opened = Opened::of(ask, &nowhere()).unwrap();
        opened.save_rows(kept, labels, &out).unwrap();
        for ((bytes, end), (name, _)) in members(&out).iter().zip(expected).zip(&whole) {
            let (found, bytes) = bytes;
            assert_eq!(name, found);
            assert!(bytes.ends_with(end), "{name}");
            let count = format!("({},", end.len());
            assert!(String::from_utf8_lossy(bytes).contains(&count), "{name}");
        }
    };
    let data = path.to_str().unwrap();
    written(
        &Ask::of(data),
        &[0, 2, 3],
        &[(3, 0)],
        [&[10, 12, 13], &[2, 1, 0], &[20, 21], &[1, 2], &[90, 92, 93]],
    );
    // Of the classes c and a there are three rows, of which the first goes.
    let ask = Ask {
        classes: Some(&[2, 0]),
        ..Ask::of(data)
    };
    written(
        &ask,
        &[1, 2],
        &[(2, 1)],
        [&[11, 13], &[1, 1], &[21], &[0], &[91, 93]],
    );
    // All rows, as they are: the same arrays again. NumPy pads headers, and this file's were not.
    Opened::of(&Ask::of(data), &nowhere())
        .unwrap()
        .save_rows(&[0, 1, 2, 3], &[], &out)
        .unwrap();
    let elements = |path: &Path| -> Vec<(String, Vec<u8>)> {
        let after = |(name, bytes): (String, Vec<u8>)| {
            let header = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
            (name, bytes[10 + header..].to_vec())
        };
        members(path).into_iter().map(after).collect()
    };
    assert_eq!(elements(&out), elements(&path));
}
