//! `harden` and the scaling of features as users meet them: advice that is sure or none at all, and
//! data that a learner cannot work with.
#![allow(clippy::unwrap_used)]

mod table;

use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use table::{PROGRAM, json, toxscreen};
use tox_data::features::{FeatureSets, Features, Layout, Values};
use tox_testkit::program::{Program, interrupt, records, trials};

/// Numbers in [0, 1) that look random and are the same everywhere.
fn noise(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 24) as f32
    }
}

/// `rows` rows of two classes in `columns` columns of [0, 1], of which the first differ between the
/// classes by `shift`; column `j` is stretched to `unit(j)`.
fn table(
    rows: usize,
    (columns, telling): (usize, usize),
    shift: f32,
    unit: impl Fn(usize) -> f32,
) -> Features {
    let mut draw = noise(7);
    let labels: Vec<u16> = (0..rows).map(|i| u16::from(i % 3 == 0)).collect();
    let mut values = Vec::new();
    for &label in &labels {
        for j in 0..columns {
            let moved = if j < telling {
                shift * f32::from(label)
            } else {
                0.0
            };
            values.push(unit(j) * ((1.0 - shift.abs()) * draw() + moved));
        }
    }
    Features {
        values: Values::Floats(values),
        rows,
        columns,
        shape: None,
        layout: Layout::Columns,
        labels,
        class_names: vec!["0".into(), "1".into()],
    }
}

fn save(dir: &Path, name: &str, train: Features, test: Option<Features>) {
    FeatureSets { train, test }.save(&dir.join(name)).unwrap();
}

/// Whatever the data are: no worst case is below its clean error, the code is the verdict, and nothing
/// is recommended that is worse than what is in use.
fn sound(found: &Value) {
    let treatments = found["treatments"].as_array().unwrap();
    for treatment in treatments {
        let splits = |key: &str| {
            let values = treatment["by_split"][key].as_array().unwrap();
            values
                .iter()
                .map(|v| v.as_f64().unwrap())
                .collect::<Vec<_>>()
        };
        let (clean, worst) = (splits("test_error"), splits("worst_test_error"));
        assert!(clean.iter().zip(&worst).all(|(c, w)| w >= c), "{treatment}");
    }
    let recommended = found["recommended"].as_bool().unwrap();
    assert_eq!(recommended, found["verdict"] == "recommended");
    assert_eq!(recommended, found["advice"].is_object(), "{found}");
    if recommended {
        let chosen = &treatments[found["choice"]["treatment"].as_u64().unwrap() as usize];
        assert_eq!(chosen["poison_against_it"], true);
        for over in ["over_what_you_have", "over_cross_validated"] {
            let gain = &found["gain"][over];
            let number = |key: &str| gain[key].as_f64().unwrap();
            assert!(number("worst") > number("half_width"), "{gain}");
            assert!(number("clean_rise") <= number("worst"), "{gain}");
        }
        let worst = chosen["worst_test_error"].as_f64().unwrap();
        assert!(worst < found["majority_error"].as_f64().unwrap());
    }
}

#[test]
fn a_constant_that_would_win_is_not_recommended() {
    let dir = tempfile::tempdir().unwrap();
    // So much poison that only a constant keeps its error.
    save(
        dir.path(),
        "weak.npz",
        table(300, (6, 3), 0.3, |_| 1.0),
        None,
    );
    let words = "harden --data weak.npz --valid 40 --budget 0.4 --splits 3 --hyperiterations 10";
    let found = json(dir.path(), words, 4);
    sound(&found);
    assert_eq!(found["recommended"], false);
    let kept = found["treatments"][0]["worst_test_error"].as_f64().unwrap();
    assert!(kept > found["majority_error"].as_f64().unwrap(), "{found}");
    let constants = found["treatments"].as_array().unwrap().iter().filter(|t| {
        let error = t["worst_test_error"].as_f64().unwrap();
        (error - found["majority_error"].as_f64().unwrap()).abs() < 1e-9
    });
    assert!(
        constants.count() > 0,
        "no constant among the candidates: {found}"
    );
    let (code, text, _) = toxscreen(dir.path(), words);
    assert_eq!(code, 4);
    assert!(
        text.contains("advice: none: keep what you have (C = 1): "),
        "{text}"
    );
    assert!(!text.contains("LogisticRegression("), "{text}");
}

#[test]
fn what_helps_is_recommended_with_how_to_use_it() {
    let dir = tempfile::tempdir().unwrap();
    save(
        dir.path(),
        "wide.npz",
        table(300, (60, 6), 0.45, |_| 1.0),
        None,
    );
    let words =
        "harden --data wide.npz --valid 40 --budget 0.1 --current 10000 --hyperiterations 8";
    let found = json(dir.path(), words, 0);
    sound(&found);
    let number = |key: &str| found["advice"][key].as_f64();
    let lambda = found["advice"]["lambda"][0].as_f64().unwrap();
    let decay = found["advice"]["weight_decay"][0].as_f64().unwrap();
    let (c, rows) = (
        number("sklearn_c").unwrap(),
        found["rows"]["train"].as_f64().unwrap(),
    );
    assert!((decay - lambda.exp()).abs() < 1e-12 && (c * rows * decay - 1.0).abs() < 1e-9);
    assert!(
        c < 10_000.0 && (found["keep"]["sklearn_c"].as_f64().unwrap() / 1e4 - 1.0).abs() < 1e-9
    );
    let (code, text, _) = toxscreen(dir.path(), words);
    assert_eq!(code, 0);
    for part in [
        "advice: C = ",
        "weight_decay=",
        "LogisticRegression(C=",
        "not a bound",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // The same again, to the byte, but for the time that it took.
    let mut again = json(dir.path(), words, 0);
    again["seconds"] = found["seconds"].clone();
    assert_eq!(again, found);
}

#[test]
fn images_networks_and_l1_get_an_answer_too() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let few = "--splits 2 --hyperiterations 4";
    let words = format!("harden --data digits --classes 3,8 --valid 60 {few}");
    for more in ["", " --penalty l1", " --current inf"] {
        let (code, text, stderr) = toxscreen(at, &format!("{words}{more} --json"));
        assert!(code == 0 || code == 4, "{stderr}");
        let found: Value = serde_json::from_str(&text).unwrap();
        sound(&found);
        assert_eq!(code == 0, found["recommended"] == true);
        if more.contains("inf") {
            assert_eq!(found["keep"]["lambda"].as_array().unwrap().len(), 0);
        }
    }
    let words = format!("{words} --hidden 4 --per-layer --steps 60");
    let (code, text, stderr) = toxscreen(at, &format!("{words} --json"));
    assert!(code == 0 || code == 4, "{stderr}");
    let found: Value = serde_json::from_str(&text).unwrap();
    sound(&found);
    assert_eq!(
        found["treatments"][3]["lambda"][0]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert!(found["treatments"][0]["sklearn_c"][0].is_null());
    for (wrong, message) in [
        ("--splits 1", "--splits 1"),
        ("--current 0", "--current 0"),
        ("--current nan", "--current NaN"),
        ("--current 1 --hidden 4", "of no use to a network"),
    ] {
        let words = format!("harden --data digits --classes 3,8 --valid 60 {wrong}");
        let (code, _, stderr) = toxscreen(at, &words);
        assert!(code == 2 && stderr.contains(message), "{wrong}: {stderr}");
    }
}

/// Case 06: columns in units of their own.
#[test]
fn columns_far_apart_are_said_with_the_remedy_which_works() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let unit = |j: usize| if j == 0 { 5000.0 } else { 0.5 };
    let raw = table(400, (5, 5), 0.3, unit);
    let rows = |from: usize, to: usize| raw.rows(&(from..to).collect::<Vec<_>>());
    save(at, "raw.npz", rows(0, 300), Some(rows(300, 400)));
    let words = "poison --data raw.npz --budget 0.05 --hyperiterations 2 --out";
    let (_, text, stderr) = toxscreen(at, &format!("{words} p.npz"));
    for said in [&text, &stderr] {
        assert!(
            said.contains("spreads over")
                && said.contains("column 0")
                && said.contains("--scale minmax"),
            "{said}"
        );
    }
    let before = text.find("WARNING").unwrap();
    assert!(before < text.find("trained on").unwrap(), "{text}");
    let (_, stdout, stderr) = toxscreen(at, &format!("{words} p.npz --json"));
    let found: Value = serde_json::from_str(&stdout).unwrap();
    assert!(
        found["warnings"][0].as_str().unwrap().contains("spread")
            || found["warnings"].as_array().unwrap().len() > 1
    );
    assert!(stderr.contains("warning: "), "{stderr}");
    let error = |found: &Value| found["trained"]["clean"]["test_error"].as_f64().unwrap();
    let raw_error = error(&found);

    for scale in ["minmax", "standard"] {
        let (_, stdout, stderr) = toxscreen(at, &format!("{words} s.npz --scale {scale} --json"));
        let found: Value = serde_json::from_str(&stdout).unwrap();
        assert!(!stderr.contains("spreads over"), "{stderr}");
        assert!(
            error(&found) < raw_error - 5.0,
            "{} {raw_error}",
            error(&found)
        );
        assert!(found["no_better_than_majority"].is_null());
        // Kept in the manifest, a number a column, and the file stays in the user's own units.
        let manifest = fs::read_to_string(at.join("s.patch.npz.json")).unwrap();
        let manifest: Value = serde_json::from_str(&manifest).unwrap();
        let kept = &manifest["settings"]["scale"];
        assert_eq!(kept["kind"], scale);
        assert_eq!(kept["offset"].as_array().unwrap().len(), 5);
        assert_eq!(kept["factor"].as_array().unwrap().len(), 5);
        let clean = FeatureSets::load(&at.join("raw.npz")).unwrap();
        let bad = FeatureSets::load(&at.join("s.npz")).unwrap();
        assert_eq!(clean.test, bad.test);
        let patch = tox_data::patch::Patch::load(&at.join("s.patch.npz")).unwrap();
        let (Values::Floats(old), Values::Floats(new)) = (&clean.train.values, &bad.train.values)
        else {
            panic!("floats");
        };
        let largest = old.iter().copied().fold(0.0, f32::max);
        let mut moved = 0;
        for (row, (old, new)) in old.chunks(5).zip(new.chunks(5)).enumerate() {
            match patch.indices().contains(&(row as u64)) {
                true => moved += usize::from(old != new),
                false => assert_eq!(old, new, "row {row}"),
            }
            assert!(new.iter().all(|x| (0.0..=largest).contains(x)));
        }
        assert!(moved > 0);
    }

    // `harden` converges on raw columns too, and a worst case is never better than no attack.
    let words = "harden --data raw.npz --valid 60 --splits 2 --hyperiterations 3";
    let (code, stdout, stderr) = toxscreen(at, &format!("{words} --json"));
    assert!(code == 0 || code == 4, "{stderr}");
    sound(&serde_json::from_str(&stdout).unwrap());
    assert!(stderr.contains("--scale minmax"), "{stderr}");
}

/// Case 06: a learner that learned nothing.
#[test]
fn no_better_than_the_most_frequent_class_is_said_before_any_conclusion() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    // Nothing tells the classes apart.
    save(at, "noise.npz", table(300, (5, 0), 0.0, |_| 1.0), None);
    let (_, text, stderr) = toxscreen(
        at,
        "poison --data noise.npz --out p.npz --hyperiterations 2",
    );
    for said in [&text, &stderr] {
        assert!(
            said.contains("has learned nothing on the clean data"),
            "{said}"
        );
        assert!(said.contains("most frequent class"), "{said}");
    }
    assert!(
        text.starts_with("WARNING: the learner has learned nothing"),
        "{text}"
    );
    let words = "harden --data noise.npz --valid 40 --splits 2 --hyperiterations 2";
    let found = json(at, words, 4);
    sound(&found);
    assert!(
        found["no_better_than_majority"]["majority"].is_number(),
        "{found}"
    );
    let (_, text, stderr) = toxscreen(at, words);
    assert!(
        text.starts_with("WARNING: the learner has learned nothing"),
        "{text}"
    );
    assert!(stderr.contains("has learned nothing"), "{stderr}");
}

/// Case 21.
#[test]
fn rows_that_are_all_alike_are_said_to_be() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let mut same = table(100, (4, 0), 0.0, |_| 1.0);
    same.values = Values::Floats(vec![2.0; 400]);
    save(at, "same.npz", same, None);
    for words in [
        "poison --data same.npz --hyperiterations 2 --steps 60 --out p.npz",
        "harden --data same.npz --valid 20",
    ] {
        let (code, stdout, stderr) = toxscreen(at, words);
        assert_eq!((code, stdout.as_str()), (3, ""), "{stderr}");
        assert!(stderr.contains("training rows are alike"), "{stderr}");
        assert!(
            !stderr.contains("lr") && !stderr.contains("--poison-lr"),
            "{stderr}"
        );
    }
}

/// Sparse rows in [0, 1] are short beside the box in which poison lies.
#[test]
fn defaults_do_not_diverge_on_sparse_rows() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let mut sparse = table(400, (50, 10), 0.2, |_| 1.0);
    if let Values::Floats(values) = &mut sparse.values {
        values.iter_mut().for_each(|x| *x = x.powi(9));
    }
    save(at, "sparse.npz", sparse, None);
    let words = "poison --data sparse.npz --out p.npz --hyperiterations 8";
    let (code, stdout, stderr) = toxscreen(at, &format!("{words} --json"));
    assert!(code == 0 || code == 1, "{stderr}");
    let found: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(found["points"], 28, "a tenth of 288 rows, rounded down");
    assert!(found["training"]["steps"].as_u64().unwrap() > 300);
    let (_, _, stderr) = toxscreen(at, words);
    assert!(
        stderr.contains("28 of them are poison; the learner takes"),
        "{stderr}"
    );
    // A rate that one asks for is taken as it is.
    let (code, _, stderr) = toxscreen(at, &format!("{words} --lr 1e6"));
    assert!(code == 1 && stderr.contains("diverged"), "{stderr}");
}

#[cfg(unix)]
#[test]
fn a_study_is_kept_gone_on_with_and_verified() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let trusted = table(40, (6, 3), 0.3, |_| 1.0);
    save(at, "trusted.npz", trusted.clone(), None);
    let mut all = table(340, (6, 3), 0.3, |_| 1.0);
    all = all.rows(&(40..340).collect::<Vec<_>>());
    save(at, "my.npz", all.clone(), None);
    let words = "harden --data my.npz --trusted trusted.npz --splits 3 --hyperiterations 60";
    let ask = |out: &str| {
        let (code, text, stderr) = toxscreen(at, &format!("{words} --out {out} --json"));
        assert!(code == 0 || code == 4, "{stderr}");
        let mut found: Value = serde_json::from_str(&text).unwrap();
        found["seconds"].take();
        found
    };
    let whole = ask("whole");
    sound(&whole);
    // Stopped at once, it says how to go on; then it ends as the other did.
    let mut child = Program(PROGRAM)
        .saving(at, format!("{words} --out runs/it").split(' '))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    stderr.read_line(&mut String::new()).unwrap();
    let kept = || {
        trials(&at.join("runs/it"))
            .iter()
            .any(|t| t.join("checkpoint.safetensors").exists())
    };
    while !at.join("runs/it/trials").exists() || !kept() {
        assert!(
            child.try_wait().unwrap().is_none(),
            "it was over before it was stopped"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    interrupt(&child);
    let mut said = String::new();
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{said}");
    assert!(
        said.contains("go on with: ") && said.contains("--out runs/it"),
        "{said}"
    );
    assert_eq!(ask("runs/it"), whole);
    let [mine, other] = ["runs/it", "whole"].map(|out| records(&at.join(out)).remove(0));
    assert_eq!(mine["outcome"], other["outcome"]);
    assert_eq!(mine["timing"]["resumed"], 1);

    // The page shows what was tried; the table of measures has it too.
    let page = fs::read_to_string(at.join("whole/report.html")).unwrap();
    for words in ["what you have", "cross-validated", "worst test error, %"] {
        assert!(page.contains(words), "{words}");
    }
    let (code, text, stderr) = toxscreen(at, "verify whole");
    assert_eq!(code, 0, "{text}{stderr}");
    // Another question does not go into its folder, and other rows are no longer those of the study.
    let (code, _, stderr) = toxscreen(at, &format!("{words} --budget 0.2 --out whole"));
    assert!(code == 2 && stderr.contains("budget"), "{stderr}");
    save(
        at,
        "trusted.npz",
        trusted.rows(&(0..39).collect::<Vec<_>>()),
        None,
    );
    let (code, text, stderr) = toxscreen(at, "verify whole");
    assert_eq!(code, 1, "{text}{stderr}");
    assert!(text.contains("trusted.npz"), "{text}");
    let (code, _, stderr) = toxscreen(at, &format!("{words} --out whole"));
    assert!(code == 3 && stderr.contains("trusted.npz"), "{stderr}");
}

/// Float images out of [0, 1], which no learner of images takes, and a recipe in place of the options.
#[test]
fn a_recipe_asks_the_same_of_rows_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let mut images = table(200, (16, 6), 0.3, |_| -3.0);
    (images.shape, images.layout) = (Some([1, 4, 4]), Layout::Grey);
    save(at, "my.npz", images, None);
    let few = "--splits 2 --hyperiterations 4 --current inf";
    let words = format!("harden --data my.npz --valid 30 {few} --out options");
    let (code, _, stderr) = toxscreen(at, &words);
    assert!(code == 0 || code == 4, "{stderr}");
    let recipe = "name = \"own\"\nseeds = [0]\ndata = { dataset = \"my.npz\", valid = 30 }\n\
                  learner = { kind = \"harden\", splits = 2, hyperiterations = 4, current = \"none\" }\n\
                  [[cell]]\nlabel = \"harden\"\n";
    let run = |recipe: &str| {
        fs::write(at.join("own.toml"), recipe).unwrap();
        toxscreen(at, "run own.toml --out own")
    };
    let (code, _, stderr) = run(recipe);
    assert_eq!(code, 0, "{stderr}");
    let [own, options] = ["own", "options"].map(|out| records(&at.join(out)).remove(0));
    assert_eq!(
        (&own["trial"], &own["outcome"]),
        (&options["trial"], &options["outcome"])
    );
    for (from, to, words) in [
        ("valid = 30", "valid = 0", "`data.valid` = 0"),
        (
            "valid = 30",
            "valid = 30, train = 100",
            "`data.train` is of no use",
        ),
        ("splits = 2", "splits = 1", "`learner.splits` = 1"),
        ("\"none\"", "-1.0", "`learner.current` = -1"),
        ("splits = 2", "threat = 1", "unknown key `threat`"),
        (
            "[[cell]]",
            "threat = { kind = \"rlf\", budget = 0.1 }\n[[cell]]",
            "poisons the rows itself",
        ),
    ] {
        let (code, _, stderr) = run(&recipe.replace(from, to));
        assert!(code == 2 && stderr.contains(words), "{words}: {stderr}");
    }
}
