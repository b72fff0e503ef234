//! Tables of numbers in recipes: poisoned, defended, learned from, and refused where something needs images.

#![allow(clippy::unwrap_used)]

use rand::RngExt;
use serde_json::Value;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use tox_audits::HOUSE;
use tox_data::DataDir;
use tox_data::features::Opened;
use tox_data::patch::Patch;
use tox_data::rng::stream;
use tox_study::plan::Trial;
use tox_study::recipe::{Overrides, Study};
use tox_study::trial::TrialContext;

/// 300 rows in two clouds: columns of very different size, one of them without meaning, one of one value.
fn csv(folder: &Path) {
    let mut rng = stream(1, "test", &[]);
    let mut text = String::from("small,large,noise,constant,kind\n");
    for _ in 0..300 {
        let kind = u8::from(rng.random_bool(0.5));
        let mut near = |centre: f64| centre + rng.random_range(-1.0..1.0);
        let (small, large) = (
            0.01 * near(2.0 * f64::from(kind)),
            1e4 * near(f64::from(kind)),
        );
        let noise = near(0.0);
        writeln!(
            text,
            "{small},{large},{noise},7,{}",
            ["ham", "spam"][usize::from(kind)]
        )
        .unwrap();
    }
    fs::write(folder.join("mail.csv"), text).unwrap();
}

fn recipe(folder: &Path, more: &str) -> String {
    format!(
        "name = \"tables\"\nseeds = [0]\n[data]\ndataset = {:?}\nlabel = \"kind\"\nvalid = 40\n\
         [learner]\nkind = \"bilevel\"\ninner = {{ steps = 60, lr = 1.0 }}\n{more}",
        folder.join("mail.csv")
    )
}

fn parsed(text: &str) -> Result<Study, String> {
    Study::parse(&HOUSE, "r.toml", text, &Overrides::default()).map_err(|error| {
        let hint = error.hint().unwrap_or_default();
        format!("{error} | {hint}")
    })
}

fn nowhere() -> DataDir {
    DataDir::resolve(Some(Path::new("."))).unwrap()
}

fn trials(text: &str) -> Vec<Trial> {
    let (study, faults) = parsed(text).unwrap().resolved(&HOUSE, &nowhere()).unwrap();
    assert!(faults.is_empty(), "{faults:?}");
    study.trials
}

fn run(trial: &Trial) -> (Value, f64) {
    let folder = tempfile::tempdir().unwrap();
    let stop = AtomicBool::new(false);
    let context = TrialContext {
        dir: folder.path(),
        data_dir: Some(Path::new(".")),
        shared: None,
        shared_only: false,
        device: "cpu",
        threads: 1,
        stop: &stop,
        progress: &mut |_| {},
    };
    let finished = HOUSE.execute(&trial.spec, context).unwrap();
    let learner = HOUSE.of(&trial.spec).unwrap();
    let measures = learner.measures(&trial.spec, &finished.outcome);
    let keys = Value::Object(finished.outcome.keys.clone());
    (keys, measures.clean_error.unwrap())
}

/// A cell for each poison and countermeasure of tables.
const CELLS: &str = r#"
[[cell]]
label = "clean"
[[cell]]
label = "none"
threat = { kind = "rlf", budget = 0.0 }
[[cell]]
label = "rlf"
threat = { kind = "rlf", budget = 0.3 }
[[cell]]
label = "rlf"
variant = "knn"
threat = { kind = "rlf", budget = 0.3 }
defence = "knn"
[[cell]]
label = "rlf"
variant = "filter"
threat = { kind = "rlf", budget = 0.3 }
defence = { kind = "loss-filter", trusted = 40, drop = 0.3 }
[[cell]]
label = "clf"
threat = { kind = "clf", budget = 0.3 }
[[cell]]
label = "noise"
threat = { kind = "noise", budget = 0.5, noise = { bound = 64, std = 64 } }
[[cell]]
label = "own"
threat = { kind = "bilevel", batch = 20, batches = 2 }
"#;

#[test]
fn every_poison_and_countermeasure_of_tables_does_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    csv(folder.path());
    let trials = trials(&recipe(folder.path(), CELLS));
    let found: Vec<(Value, f64)> = trials.iter().map(run).collect();
    let of = |label: &str, variant: Option<&str>| {
        let cell = |t: &Trial| t.spec.cell == label && t.spec.variant.as_deref() == variant;
        &found[trials.iter().position(cell).unwrap()]
    };
    let (clean, error) = of("clean", None);
    // The clouds overlap a little: a learner that reads the columns beats the half of chance by far.
    assert!(*error < 15.0, "{error}");
    // Nothing poisoned is clean, bit for bit.
    assert_eq!(&of("none", None).0["levels"], &clean["levels"]);
    // Of the 200 training rows, which alone are reached.
    for (label, points) in [("rlf", 60), ("clf", 60), ("noise", 100)] {
        let check = &of(label, None).0["poison"]["check"];
        assert_eq!(
            (&check["rows"], &check["points"]),
            (&200.into(), &points.into()),
            "{label}"
        );
        assert_eq!(check["unreliable"], Value::Null, "{label}: {check}");
        let flipped = if label == "noise" { 0 } else { points };
        assert_eq!(check["flipped"], flipped, "{label}");
        assert_eq!(check["moved"], points - flipped, "{label}");
    }
    let accuracy = of("clf", None).0["poison"]["classifier_accuracy"]
        .as_f64()
        .unwrap();
    assert!(accuracy > 0.85, "{accuracy}");
    // Confident flips hurt more than random ones.
    assert!(of("clf", None).1 > of("rlf", None).1.max(error + 5.0));
    let knn = &of("rlf", Some("knn")).0["cleansed"];
    assert_eq!(
        (&knn["rows"], &knn["dropped"], &knn["images_changed"]),
        (&200.into(), &0.into(), &0.into())
    );
    let against = |told: &Value, key: &str| told["against"][key].as_u64().unwrap();
    assert!(
        against(knn, "restored") > 40 && against(knn, "clean_touched") < 30,
        "{knn}"
    );
    let filter = &of("rlf", Some("filter")).0["cleansed"];
    assert_eq!(filter["dropped"], 60);
    assert!(against(filter, "caught") > 45, "{filter}");
    let own = of("own", None).0["levels"].as_array().unwrap();
    assert_eq!(own.len(), 3);
    assert_eq!(own[2]["points"], 40);
}

#[test]
fn a_patch_of_the_same_rows_is_applied() {
    let folder = tempfile::tempdir().unwrap();
    csv(folder.path());
    // The rows that the learner's adversary reaches: those of the trial's training part.
    let [trial] = &trials(&recipe(folder.path(), "[[cell]]\nlabel = \"clean\"\n"))[..] else {
        panic!("one trial")
    };
    let data = tox_data::load_any(&trial.spec.data, &nowhere(), 0).unwrap();
    let train = data.as_ref().train();
    let columns = train.columns;
    let mut patch = Patch::new(
        &train,
        vec![3, 5],
        vec![1 - train.labels[3], train.labels[5]],
        vec![0.5; 2 * columns],
        "by hand",
        Value::Null,
    )
    .unwrap();
    patch.save(&folder.path().join("patch.npz")).unwrap();
    let path = folder.path().join("patch.npz");
    let cell =
        format!("[[cell]]\nlabel = \"file\"\nthreat = {{ kind = \"file\", path = {path:?} }}\n");
    let [trial] = &trials(&recipe(folder.path(), &cell))[..] else {
        panic!("one trial")
    };
    let check = &run(trial).0["poison"]["check"];
    assert_eq!(
        (&check["points"], &check["flipped"], &check["moved"]),
        (&2.into(), &1.into(), &2.into())
    );
    assert_eq!(check["unreliable"], Value::Null);
    // The rows of the file that `poison` opens are in the order of the trial's.
    let path = folder.path().join("mail.csv");
    let ask = tox_data::features::Ask {
        label: Some("kind"),
        ..tox_data::features::Ask::of(path.to_str().unwrap())
    };
    let opened = Opened::of(&ask, &nowhere()).unwrap().sets.train;
    assert_eq!(
        opened.rows(&(0..200).collect::<Vec<_>>()).values,
        train.values
    );
}

#[test]
fn what_needs_images_is_refused_when_the_recipe_is_read() {
    let folder = tempfile::tempdir().unwrap();
    csv(folder.path());
    let refused = |more: &str| parsed(&recipe(folder.path(), more)).unwrap_err();
    let cell = |keys: &str| format!("[[cell]]\nlabel = \"a\"\n{keys}\n");
    for (keys, part) in [
        (
            "threat = { kind = \"gc\", budget = 0.1 }",
            "gradient of a network of images",
        ),
        (
            "threat = { kind = \"evasion\", epsilon = 0.1, attack = \"fgsm\" }",
            "pixels of images",
        ),
        (
            "defence = { kind = \"denoise\", method = \"median\" }",
            "\"knn\" and \"loss-filter\" clean tables",
        ),
        (
            "defence = { kind = \"knn\", space = { kind = \"pixels\", side = 6 } }",
            "standardised columns",
        ),
        (
            "defence = { kind = \"knn\", space = { kind = \"features\" } }",
            "standardised columns",
        ),
        (
            "defence = { kind = \"loss-filter\", network = { width = 4 } }",
            "logistic regression",
        ),
        (
            "threat = { kind = \"clf\", budget = 0.1, classifier = { width = 4 } }",
            "leave them out",
        ),
        (
            "data = { resize = 8 }",
            "`cell[0].data.resize` is for images",
        ),
        ("data = { rgb = true }", "rows have no sides"),
        ("data = { augment = { flip = true } }", "is for images"),
    ] {
        let message = refused(&cell(keys));
        assert!(
            message.contains(part) && message.contains("r.toml:"),
            "{keys}: {message}"
        );
    }
    let enas = recipe(folder.path(), &cell("")).replace(
        "kind = \"bilevel\"\ninner = { steps = 60, lr = 1.0 }",
        "kind = \"enas\"",
    );
    let message = parsed(&enas).unwrap_err();
    assert!(
        message.contains("`data.dataset` is a table of numbers") && message.contains("\"bilevel\""),
        "{message}"
    );
}
