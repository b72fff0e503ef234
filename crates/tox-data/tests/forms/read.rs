//! What is read, and what is said or refused.

use super::*;

/// With some classes chosen, rows, labels, ids and names are those of these classes.
#[test]
fn chosen_classes_leave_with_all_that_is_theirs() {
    let dir = TempDir::new().unwrap();
    let path = put(&dir, "set.npz", &zip(&four_rows()));
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
    let other = put(&dir, "a.feather", b"FEA1");
    for found in [open(&other).map(|_| ()), images(&other).map(|_| ())] {
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
    let notes = data.notes.join("; ");
    assert!(notes.contains("`valid` = 2"), "{notes}");
    // What is almost black is so with the same white in all parts.
    assert_eq!(notes.matches("almost black").count(), 1);
    assert!(notes.contains("(255 / 3)"), "{notes}");
    let opened = open(&path).unwrap();
    assert_eq!(opened.sets.train.rows, 6);
    assert!(
        opened.notes.join("; ").contains("2 rows of `val_images`"),
        "{:?}",
        opened.notes
    );
}

/// Tables whose columns are in another order are the same table; other names are another.
#[test]
fn trusted_columns_are_matched_by_their_names() {
    let dir = TempDir::new().unwrap();
    let main = put(
        &dir,
        "main.csv",
        b"a,b,label\n1,10,0\n2,20,1\n3,30,0\n4,40,1\n",
    );
    let main = open(&main).unwrap();
    let trusted = |text: &str| {
        let path = put(&dir, "trusted.csv", text.as_bytes());
        main.trusted(&Ask::of(path.to_str().unwrap()), &nowhere())
    };
    let (rows, notes) = trusted("label,b,a\n0,50,5\n1,60,6\n").unwrap();
    assert_eq!(rows.values, Values::Floats(vec![5.0, 50.0, 6.0, 60.0]));
    assert!(
        notes.join("; ").contains("matched by their names"),
        "{notes:?}"
    );
    let error = trusted("label,c,a\n0,50,5\n1,60,6\n")
        .unwrap_err()
        .to_string();
    assert!(error.contains("it lacks b, and has c"), "{error}");
    let (_, notes) = trusted("a,b,label\n5000,50,0\n6000,60,1\n").unwrap();
    assert!(notes.join("; ").contains("in the same units?"), "{notes:?}");
}

/// Training rows of one range and test rows of the other are each fine alone.
#[test]
fn parts_in_two_ranges_are_refused_and_classes_of_one_part_told() {
    let dir = TempDir::new().unwrap();
    let image = |most: f64| {
        let values: Vec<f64> = (0..36).map(|at| most * f64::from(at) / 35.0).collect();
        npy("<f8", "False", "(4, 3, 3)", &le64(&values))
    };
    let labels = |labels: &[u8; 4]| npy("|u1", "False", "(4,)", labels);
    let mixed = |most: f64, test: &[u8; 4]| {
        put(
            &dir,
            "set.npz",
            &zip(&[
                ("x_train.npy", image(1.0)),
                ("y_train.npy", labels(&[0, 1, 2, 1])),
                ("x_test.npy", image(most)),
                ("y_test.npy", labels(test)),
            ]),
        )
    };
    let path = mixed(255.0, &[0, 1, 2, 1]);
    for error in [
        open(&path).unwrap_err().to_string(),
        images(&path).unwrap_err().to_string(),
    ] {
        assert!(
            error.contains("`x_train` has values of 0 to 1, and `x_test` has"),
            "{error}"
        );
    }
    let path = mixed(0.9, &[1, 2, 3, 3]);
    for notes in [open(&path).unwrap().notes, images(&path).unwrap().notes] {
        let notes = notes.join("; ");
        assert!(
            notes.contains("2 of the 4 test rows are of classes"),
            "{notes}"
        );
        assert!(notes.contains("errors say nothing: 0"), "{notes}");
    }
    let path = mixed(0.9, &[3, 3, 3, 3]);
    let notes = images(&path).unwrap().notes.join("; ");
    assert!(notes.contains("4 of the 4 test rows"), "{notes}");
}
