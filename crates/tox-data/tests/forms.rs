//! A user's own data in every form that people save them in: read, said what was made of them, and written back
//! as they were.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tox_data::features::{Ask, FeatureSets, Layout, Opened, Values};
use tox_data::patch::{Patch, PatchError};
use tox_data::spec::{DataSpec, SplitKind};
use tox_data::{DataDir, DataError, Dataset, load};
use tox_testkit::arrays::{self, npy};

fn zip(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    arrays::zip(members, false)
}

/// The arrays of an archive, as bytes, in their order.
fn members(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut archive = zip::ZipArchive::new(fs::File::open(path).unwrap()).unwrap();
    let names: Vec<String> = archive
        .file_names()
        .map(|name| name.unwrap().into_owned())
        .collect();
    let mut all = Vec::new();
    for name in names {
        let mut bytes = Vec::new();
        archive
            .by_name(&name)
            .unwrap()
            .read_to_end(&mut bytes)
            .unwrap();
        all.push((name, bytes));
    }
    all
}

fn nowhere() -> DataDir {
    DataDir::resolve(Some(Path::new("nowhere"))).unwrap()
}

fn open(path: &Path) -> Result<Opened, DataError> {
    Opened::of(&Ask::of(path.to_str().unwrap()), &nowhere())
}

fn images(path: &Path) -> Result<Dataset, DataError> {
    load(&DataSpec::of(path.to_str().unwrap(), 0), &nowhere())
}

fn put(dir: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

fn le64(values: &[f64]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

fn text(values: &[&str], width: usize) -> Vec<u8> {
    let wide = |value: &&str| {
        let mut codes: Vec<u32> = value.chars().map(u32::from).collect();
        codes.resize(width, 0);
        codes
            .into_iter()
            .flat_map(u32::to_le_bytes)
            .collect::<Vec<u8>>()
    };
    values.iter().flat_map(wide).collect()
}

/// Six rows of two float64 features with labels as `labels`, an array of ids, and a test set.
fn table(labels: Vec<u8>) -> Vec<u8> {
    let values: Vec<f64> = (0..12).map(|v| f64::from(v) / 10.0 + 1e-12).collect();
    zip(&[
        ("ids.npy", npy("<i8", "False", "(6,)", &[7; 48])),
        ("X_train.npy", npy("<f8", "False", "(6, 2)", &le64(&values))),
        ("y_train.npy", labels),
        ("notes.txt", b"mine".to_vec()),
        (
            "X_test.npy",
            npy("<f8", "False", "(1, 2)", &le64(&[0.5, 0.25])),
        ),
        ("y_test.npy", npy("|b1", "False", "(1,)", &[1])),
    ])
}

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

/// With some classes chosen, rows, labels, ids and names are those of these classes.
#[test]
fn chosen_classes_leave_with_all_that_is_theirs() {
    let dir = TempDir::new().unwrap();
    let path = put(
        &dir,
        "set.npz",
        &zip(&[
            (
                "x_train.npy",
                npy("|u1", "False", "(4, 1)", &[10, 11, 12, 13]),
            ),
            ("y_train.npy", npy("|u1", "False", "(4,)", &[2, 0, 1, 2])),
            ("x_test.npy", npy("|u1", "False", "(2, 1)", &[20, 21])),
            ("y_test.npy", npy("|u1", "False", "(2,)", &[1, 2])),
            ("ids.npy", npy("|u1", "False", "(4,)", &[90, 91, 92, 93])),
            (
                "class_names.npy",
                npy("<U1", "False", "(3,)", &text(&["a", "b", "c"], 1)),
            ),
        ]),
    );
    let data = path.to_str().unwrap();
    let ask = Ask {
        classes: Some(&[2, 0]),
        ..Ask::of(data)
    };
    let opened = Opened::of(&ask, &nowhere()).unwrap();
    assert_eq!(opened.sets.train.class_names, ["c", "a"]);
    let patch = Patch::of_labels(&opened.sets.train, vec![2], vec![1], "a", true.into()).unwrap();
    let out = dir.path().join("out.npz");
    opened.save(&patch, &out).unwrap();
    let expected: [(&str, &[u8]); 5] = [
        ("x_train.npy", &[10, 11, 13]),
        ("y_train.npy", &[0, 1, 1]),
        ("x_test.npy", &[21]),
        ("y_test.npy", &[0]),
        ("ids.npy", &[90, 91, 93]),
    ];
    let found = members(&out);
    for ((name, end), (found, bytes)) in expected.iter().zip(&found) {
        assert_eq!(name, found);
        assert!(bytes.ends_with(end), "{name}");
        assert!(
            String::from_utf8_lossy(bytes).contains(&format!("({},", end.len())),
            "{name}"
        );
    }
    assert!(found[5].1.ends_with(&text(&["c", "a"], 1)));
    assert_eq!(
        FeatureSets::load(&out).unwrap().train.class_names,
        ["c", "a"]
    );
}

/// A trusted set's classes are those of the training set by name, not by their places in its own file.
#[test]
fn a_trusted_set_is_told_by_the_names_of_its_classes() {
    let dir = TempDir::new().unwrap();
    let set = |name: &str, rows: &[u8], labels: &[&str]| {
        let shape = format!("({}, 1)", rows.len());
        let count = format!("({},)", rows.len());
        put(
            &dir,
            name,
            &zip(&[
                ("x.npy", npy("|u1", "False", &shape, rows)),
                ("y.npy", npy("<U1", "False", &count, &text(labels, 1))),
            ]),
        )
    };
    let main = open(&set("main.npz", &[1, 2, 3], &["a", "b", "c"])).unwrap();
    let trusted = set("trusted.npz", &[9, 3], &["c", "b"]);
    let ask = Ask::of(trusted.to_str().unwrap());
    let (found, notes) = main.trusted(&ask, &nowhere()).unwrap();
    assert_eq!((found.labels, found.class_names.len()), (vec![2, 1], 3));
    let notes = notes.join("; ");
    assert!(
        notes.contains("1 of the 2 trusted rows are training rows too"),
        "{notes}"
    );
    let other = set("other.npz", &[9, 3], &["c", "z"]);
    let error = main
        .trusted(&Ask::of(other.to_str().unwrap()), &nowhere())
        .unwrap_err();
    assert!(error.to_string().contains("the class `z`"), "{error}");
}

#[test]
fn arrays_of_two_files_and_tables_are_read_and_become_archives() {
    let dir = TempDir::new().unwrap();
    put(&dir, "X.npy", &npy("<f4", "False", "(2, 1)", &[0; 8]));
    put(&dir, "y.npy", &npy("|b1", "False", "(2,)", &[0, 1]));
    // The second name is looked for beside the first.
    let data = format!("{},y.npy", dir.path().join("X.npy").display());
    let pair = open(Path::new(&data)).unwrap();
    assert_eq!(pair.sets.train.labels, [0, 1]);
    let error = open(&dir.path().join("X.npy")).unwrap_err().to_string();
    assert!(error.contains("X.npy,y.npy"), "{error}");
    let csv = put(&dir, "a.csv", b"height,kind\n1.5,cat\n2.5,dog\n0.1,dog\n");
    let opened = open(&csv).unwrap();
    assert_eq!(opened.sets.train.class_names, ["cat", "dog"]);
    let error = images(&csv).unwrap_err().to_string();
    assert!(error.contains("reshape(-1, HEIGHT, WIDTH)"), "{error}");
    let patch = Patch::of_labels(&opened.sets.train, vec![1], vec![0], "a", true.into()).unwrap();
    let out = dir.path().join("out.npz");
    opened.save(&patch, &out).unwrap();
    let names: Vec<String> = members(&out).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["x.npy", "y.npy", "feature_names.npy"]);
    let again = FeatureSets::load(&out).unwrap().train;
    assert_eq!(again.values, opened.sets.train.values);
    assert_eq!(again.labels, [0, 0, 1]);
    assert_eq!(again.class_names, ["cat", "dog"]);
}

#[test]
fn doors_say_where_the_door_is() {
    let dir = TempDir::new().unwrap();
    let parquet = put(&dir, "a.parquet", b"PAR1");
    for found in [open(&parquet).map(|_| ()), images(&parquet).map(|_| ())] {
        let error = found.unwrap_err().to_string();
        assert!(
            error.contains("numpy.savez(\"data.npz\", x=X, y=y)"),
            "{error}"
        );
    }
    for missing in ["nothing.npz", "nothing.csv", "nothing"] {
        let error = open(&dir.path().join(missing)).unwrap_err().to_string();
        assert!(error.contains("no such file"), "{error}");
    }
}

/// Archives that two readers would take for two data sets are refused.
#[test]
fn archives_with_two_faces_are_refused() {
    let dir = TempDir::new().unwrap();
    let rows = npy("|u1", "False", "(2, 1)", &[0, 1]);
    let labels = npy("|u1", "False", "(2,)", &[0, 1]);
    let whole = zip(&[
        ("x.npy", rows.clone()),
        ("y.npy", labels.clone()),
        ("z.npy", labels.clone()),
    ]);
    let renamed = |at: usize, to: u8| {
        let mut bytes = whole.clone();
        let mut places = (0..bytes.len() - 5).filter(|&i| &whole[i..i + 5] == b"z.npy");
        bytes[places.nth(at).unwrap()] = to;
        bytes
    };
    let refused = |bytes: &[u8], part: &str| {
        let error = open(&put(&dir, "a.npz", bytes)).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    // The local header comes first, then the directory's.
    refused(&renamed(0, b'q'), "calls itself \"q.npy\"");
    refused(&renamed(1, b'q'), "calls itself \"z.npy\"");
    let mut twice = renamed(0, b'y');
    twice = {
        let at = (0..twice.len() - 5)
            .rfind(|&i| &twice[i..i + 5] == b"z.npy")
            .unwrap();
        twice[at] = b'y';
        twice
    };
    refused(&twice, "two members called \"y.npy\"");
    refused(
        &zip(&[("x.npy", rows), ("y.npy", labels.clone()), ("y", labels)]),
        "\"y\" twice",
    );
    assert!(open(&put(&dir, "a.npz", &whole)).is_ok());
}

/// 40 images of 2 x 2 in four classes, in this order of labels, as MedMNIST or as one file.
fn set(labels: &[u8], keys: [&str; 2]) -> Vec<u8> {
    let count = labels.len();
    let pixels: Vec<u8> = (0..4 * count).map(|at| (at % 251) as u8).collect();
    zip(&[
        (
            keys[0],
            npy("|u1", "False", &format!("({count}, 2, 2)"), &pixels),
        ),
        (
            keys[1],
            npy("|u1", "False", &format!("({count}, 1)"), labels),
        ),
    ])
}

#[test]
fn rows_in_the_order_of_their_classes_are_refused_with_the_remedy() {
    let dir = TempDir::new().unwrap();
    let sorted: Vec<u8> = (0..400u16).map(|row| (row / 100) as u8).collect();
    let path = put(
        &dir,
        "sorted.npz",
        &set(&sorted, ["images.npy", "labels.npy"]),
    );
    let error = images(&path).unwrap_err();
    assert!(matches!(error, DataError::Order { .. }), "{error}");
    let error = error.to_string();
    for part in [
        "sorted.npz",
        "for test, lack the classes 0, 1, 2",
        "permutation",
        "split = \"random\"",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let spec = DataSpec {
        split: SplitKind::Random,
        train: Some(200),
        ..DataSpec::of(path.to_str().unwrap(), 40)
    };
    let data = load(&spec, &nowhere()).unwrap();
    assert!((0..4).all(|class| data.test.labels.contains(&class)));
    // Learners of rows draw what they hold out class by class.
    assert!(open(&path).is_ok());
    let mixed: Vec<u8> = (0..400u16).map(|row| (row % 4) as u8).collect();
    let path = put(
        &dir,
        "mixed.npz",
        &set(&mixed, ["images.npy", "labels.npy"]),
    );
    let data = images(&path).unwrap();
    assert!(
        data.notes.iter().any(|note| note.contains("last fifth")),
        "{:?}",
        data.notes
    );
    // 251 values over 400 images of four: some repeat.
    assert!(
        data.notes
            .iter()
            .any(|note| note.contains("pixel by pixel")),
        "{:?}",
        data.notes
    );
    // A training part that is cut too short, and one that is too small for all classes.
    let of = |labels: &[u8], train| {
        let path = put(&dir, "cut.npz", &set(labels, ["images.npy", "labels.npy"]));
        let spec = DataSpec {
            train: Some(train),
            ..DataSpec::of(path.to_str().unwrap(), 100)
        };
        load(&spec, &nowhere())
    };
    let blocks: Vec<u8> = (0..400u16).map(|row| (row / 50 % 4) as u8).collect();
    let error = of(&blocks, 100).unwrap_err().to_string();
    assert!(
        error.contains("for training, lack the classes 2, 3"),
        "{error}"
    );
    let few = of(&mixed, 3).unwrap().notes.join("; ");
    assert!(
        few.contains("the first 3 images, for training, lack the class 3"),
        "{few}"
    );
}

/// MedMNIST's names: validation images follow the training images, so that `valid` can take just them.
#[test]
fn validation_arrays_are_the_last_training_images() {
    let dir = TempDir::new().unwrap();
    let part = |value: u8, count: usize| {
        npy(
            "|u1",
            "False",
            &format!("({count}, 2, 2)"),
            &vec![value; 4 * count],
        )
    };
    let labels = |count: usize| {
        let labels: Vec<u8> = (0..count).map(|row| (row % 2) as u8).collect();
        npy("|u1", "False", &format!("({count}, 1)"), &labels)
    };
    let path = put(
        &dir,
        "medmnist.npz",
        &zip(&[
            ("train_images.npy", part(1, 6)),
            ("val_images.npy", part(2, 2)),
            ("test_images.npy", part(3, 4)),
            ("train_labels.npy", labels(6)),
            ("val_labels.npy", labels(2)),
            ("test_labels.npy", labels(4)),
        ]),
    );
    let data = load(&DataSpec::of(path.to_str().unwrap(), 2), &nowhere()).unwrap();
    assert_eq!(
        (data.train.len(), data.valid.len(), data.test.len()),
        (6, 2, 4)
    );
    assert_eq!(data.valid.images.pixels, [2; 8]);
    assert!(data.notes[0].contains("`valid` = 2"), "{:?}", data.notes);
    let opened = open(&path).unwrap();
    assert_eq!(opened.sets.train.rows, 6);
    assert!(
        opened.notes.join("; ").contains("2 rows of `val_images`"),
        "{:?}",
        opened.notes
    );
}
