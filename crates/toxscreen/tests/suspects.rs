//! `suspects` and `clean` as users meet them: on poisoned digits, on a table of text, and what they refuse.
#![allow(clippy::unwrap_used)]

mod table;

use serde_json::Value;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use table::{json, toxscreen};
use tox_data::features::FeatureSets;
use tox_testkit::program::trials;

/// Digits 3 and 8 with a tenth of flipped labels in `p.npz`, their patch, and trusted digits in `t.npz`.
fn poisoned(dir: &Path) {
    let (code, out, err) = toxscreen(
        dir,
        "poison --attack rlf --budget 0.1 --data digits --classes 3,8 --seed 1 --out p.npz",
    );
    assert_eq!(code, 0, "{out}{err}");
    let clean = FeatureSets::open(
        "digits",
        Some(&[3, 8]),
        &tox_data::DataDir::resolve(Some(Path::new("."))).unwrap(),
    )
    .unwrap();
    let first: Vec<usize> = (0..40).collect();
    let trusted = FeatureSets {
        train: clean.train.rows(&first),
        test: None,
    };
    trusted.save(&dir.join("t.npz")).unwrap();
}

fn rows(path: &Path) -> usize {
    FeatureSets::load(path).unwrap().train.rows
}

#[test]
fn poisoned_digits_are_found_shown_and_cleaned() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    poisoned(dir);
    let args = "suspects --data p.npz --trusted t.npz --known p.patch.npz --out found";
    let (code, out, err) = toxscreen(dir, args);
    assert_eq!(code, 0, "{out}{err}");
    for words in [
        "self-confidence",
        "hypergradient",
        "nearest are",
        "rows are known to be poisoned",
    ] {
        assert!(out.contains(words), "{words}: {out}");
    }
    let report = json(dir, args, 0);
    let budget = report["known"]["budget"].as_u64().unwrap() as usize;
    for score in report["known"]["scores"].as_array().unwrap() {
        let average = score["average_precision"].as_f64().unwrap();
        let least = match score["score"].as_str().unwrap() {
            "influence" | "weight" | "pruned" => 0.2,
            _ => 0.7,
        };
        assert!(average > least, "{score}");
    }
    assert_eq!(report["suspects"].as_array().unwrap().len(), 20);
    assert_eq!(report["suspects"][0]["rank"], 1);
    assert_eq!(report["left_out"], serde_json::json!([]));
    // The files are what was printed, and the same command gives the same bytes.
    let kept: Value =
        serde_json::from_str(&fs::read_to_string(dir.join("found/suspects.json")).unwrap())
            .unwrap();
    assert_eq!(kept, report);
    let csv = fs::read_to_string(dir.join("found/suspects.csv")).unwrap();
    assert_eq!(csv.lines().count(), 1 + rows(&dir.join("p.npz")));
    assert!(
        csv.starts_with("rank,row,label,suggested,knn,loss,self-confidence,"),
        "{csv:.99}"
    );
    let page = fs::read_to_string(dir.join("found/report.html")).unwrap();
    assert_eq!(page.matches("data:image/png;base64,").count(), 100);
    assert!(page.contains("average precision") && page.contains("nearest are"));
    let p = fs::read_to_string(dir.join("found/probabilities.csv")).unwrap();
    assert!(p.starts_with("row,label,0,1\n0,"), "{p:.60}");
    toxscreen(dir, args);
    assert_eq!(
        csv,
        fs::read_to_string(dir.join("found/suspects.csv")).unwrap()
    );

    // A study like any other: another question is refused in its folder, a changed table is found out.
    let (code, _, err) = toxscreen(dir, &format!("{args} --k 9"));
    assert!(code == 2 && err.contains("settings.k"), "{err}");
    let (code, out, err) = toxscreen(dir, "verify found");
    assert_eq!(code, 0, "{out}{err}");
    let kept = trials(&dir.join("found")).remove(0).join("suspects.csv");
    fs::write(&kept, csv.replacen("0.", "0.1", 1)).unwrap();
    let (code, out, _) = toxscreen(dir, "verify found");
    assert!(code == 1 && out.contains("suspects.csv"), "{out}");
    fs::write(&kept, &csv).unwrap();

    // The first tenth goes, by the table or anew.
    let all = rows(&dir.join("p.npz"));
    let by_table = "clean --data p.npz --suspects found/suspects.csv --share 0.1 --out c.npz";
    let (code, out, err) = toxscreen(dir, by_table);
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(rows(&dir.join("c.npz")), all - all / 10);
    let manifest = |name: &str| -> Value {
        serde_json::from_str(&fs::read_to_string(dir.join(name)).unwrap()).unwrap()
    };
    let first: Vec<&str> = csv
        .lines()
        .skip(1)
        .map(|l| l.split(',').nth(1).unwrap())
        .collect();
    let cleaned = manifest("c.npz.json")["cleaned"]
        .as_array()
        .unwrap()
        .clone();
    assert_eq!(cleaned.len(), all / 10);
    for (line, row) in cleaned.iter().zip(&first) {
        assert_eq!(line["row"].to_string(), *row);
    }
    let anew = json(
        dir,
        "clean --data p.npz --trusted t.npz --share 0.1 --out d.npz",
        0,
    );
    assert_eq!(anew["cleaned"], manifest("c.npz.json")["cleaned"]);
    assert_eq!(
        fs::read(dir.join("c.npz")).unwrap(),
        fs::read(dir.join("d.npz")).unwrap()
    );

    // A table from which a user took all lines but some: those rows get their label.
    let few: Vec<&str> = csv.lines().take(1 + budget / 2).collect();
    fs::write(dir.join("few.csv"), few.join("\n")).unwrap();
    let told = json(
        dir,
        "clean --data p.npz --suspects few.csv --relabel --out r.npz",
        0,
    );
    assert_eq!(
        (told["dropped"].as_u64(), rows(&dir.join("r.npz"))),
        (Some(0), all)
    );
    let before = FeatureSets::load(&dir.join("p.npz")).unwrap().train;
    let after = FeatureSets::load(&dir.join("r.npz")).unwrap().train;
    let changed = before
        .labels
        .iter()
        .zip(&after.labels)
        .filter(|(a, b)| a != b)
        .count();
    assert_eq!(told["relabelled"].as_u64().unwrap() as usize, changed);
    assert!(changed > budget / 3, "{changed} of {budget}");
    assert_eq!(before.values, after.values);

    // The table is not of these rows, though there are as many.
    let other = "clean --data r.npz --suspects found/suspects.csv --share 0.1 --out o.npz";
    let (code, out, err) = toxscreen(dir, other);
    assert_eq!(code, 3, "{out}{err}");
    assert!(
        err.contains("of other rows") && err.contains("hint: "),
        "{err}"
    );
    assert!(!dir.join("o.npz").exists());
    // Nor is it if it lies alone: labels differ.
    let (code, out, err) = toxscreen(dir, "clean --data r.npz --suspects few.csv --out o.npz");
    assert_eq!(code, 3, "{out}{err}");
    assert!(err.contains("the table is of other data"), "{err}");
}

/// Noise leaves the labels, so that only the values say whether a patch is in the rows.
#[test]
fn a_patch_whose_values_are_not_in_the_rows_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    for (seed, name) in [(1, "a"), (2, "b")] {
        let args = format!(
            "poison --attack noise --budget 0.1 --data digits --classes 3,8 --seed {seed} --out {name}.npz"
        );
        let (code, out, err) = toxscreen(dir, &args);
        assert_eq!(code, 0, "{out}{err}");
    }
    let known = |name: &str| {
        let args = format!("suspects --data a.npz --method knn --known {name}.patch.npz");
        toxscreen(dir, &args)
    };
    let (code, out, err) = known("a");
    assert_eq!(code, 0, "{out}{err}");
    let (code, out, err) = known("b");
    assert_eq!(code, 3, "{out}{err}");
    assert!(err.contains("other values than the row has"), "{err}");
}

/// 200 rows in two clouds, of which every tenth has the other's name.
#[test]
fn a_table_of_text_is_judged_without_trusted_rows() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let mut text = String::from("a,b,kind\n");
    for i in 0..200u32 {
        let (side, wrong) = (i % 2, i % 20 < 2);
        let near = |j: u32| f64::from((i * 37 + j * 11) % 50) / 50.0;
        let name = ["ham", "=spam"][((side + u32::from(wrong)) % 2) as usize];
        let a = 100.0 * (near(0) + 2.0 * f64::from(side));
        writeln!(text, "{a},{},{name}", near(1)).unwrap();
    }
    fs::write(dir.join("mail.csv"), text).unwrap();
    let args = "suspects --data mail.csv --label kind --out found";
    let (code, out, err) = toxscreen(dir, args);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("loss and hypergradient left out"), "{out}");
    let csv = fs::read_to_string(dir.join("found/suspects.csv")).unwrap();
    let first: Vec<u32> = (csv.lines().skip(1).take(20))
        .map(|line| line.split(',').nth(1).unwrap().parse().unwrap())
        .collect();
    assert!(first.iter().all(|row| row % 20 < 2), "{first:?}");
    let page = fs::read_to_string(dir.join("found/report.html")).unwrap();
    assert!(!page.contains("data:image/png"));
    // No cell is a formula, and is read as the class that it names.
    assert!(csv.contains(",'=spam,"));
    let told = json(
        dir,
        "clean --data mail.csv --label kind --suspects found/suspects.csv --share 0.1 --relabel --out c.npz",
        0,
    );
    assert_eq!(told["relabelled"], 20);
    let after = FeatureSets::load(&dir.join("c.npz")).unwrap().train;
    for (row, label) in after.labels.iter().enumerate() {
        let name = &after.class_names[usize::from(*label)];
        assert_eq!(name, ["ham", "=spam"][row % 2], "{row}");
    }

    // A table of text comes back as one, rows that stay to the byte.
    let before = fs::read_to_string(dir.join("mail.csv")).unwrap();
    let suspects = "clean --data mail.csv --label kind --suspects found/suspects.csv --share 0.1";
    json(dir, &format!("{suspects} --out c.csv"), 0);
    let kept: Vec<&str> = (before.lines().enumerate())
        .filter(|(line, _)| *line == 0 || (line - 1) % 20 >= 2)
        .map(|(_, text)| text)
        .collect();
    let found = fs::read_to_string(dir.join("c.csv")).unwrap();
    assert_eq!(found, kept.join("\n") + "\n");
    json(dir, &format!("{suspects} --relabel --out r.csv"), 0);
    let found = fs::read_to_string(dir.join("r.csv")).unwrap();
    for (row, (line, old)) in found.lines().zip(before.lines()).skip(1).enumerate() {
        let name = ["ham", "=spam"][row % 2];
        assert!(line.ends_with(&format!(",{name}")), "{row}: {line}");
        assert_eq!(row % 20 >= 2, line == old, "{row}: {line}");
    }
    assert!(dir.join("r.csv.json").is_file());
    // Rows of chosen classes are found in the file too.
    fs::write(dir.join("three.csv"), before + "1,2,eggs\n1,2.5,eggs\n").unwrap();
    let args = "clean --data three.csv --label kind --classes 0,2 --share 0.1 --out two.csv";
    let told = json(dir, args, 0);
    let found = fs::read_to_string(dir.join("two.csv")).unwrap();
    assert!(
        !found.contains("eggs") && found.lines().count() == 1 + 200 - 20,
        "{told}"
    );

    // Findings stand at the lines of the file.
    let args = "suspects --data mail.csv --label kind --sarif found.sarif";
    assert_eq!(toxscreen(dir, args).0, 0);
    let log: Value =
        serde_json::from_str(&fs::read_to_string(dir.join("found.sarif")).unwrap()).unwrap();
    let results = log["runs"][0]["results"].as_array().unwrap();
    assert_eq!(results.len(), 20);
    for (result, row) in results.iter().zip(&first) {
        assert_eq!(result["ruleId"], "suspect-row");
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "mail.csv");
        assert_eq!(place["region"]["startLine"], row + 2);
        let text = result["message"]["text"].as_str().unwrap();
        assert!(
            text.starts_with(&format!("row {row} (from 0), labelled ")),
            "{text}"
        );
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    poisoned(dir);
    fs::write(dir.join("other.csv"), "row,suggested\n999999,3\n").unwrap();
    fs::write(dir.join("none.csv"), "row,suggested\n").unwrap();
    for (args, code, words) in [
        ("suspects --data p.npz --method nose", 2, "hypergradient"),
        ("suspects --data p.npz --method loss", 3, "--trusted"),
        ("suspects --data p.npz --folds 1", 2, "change --folds"),
        ("suspects --data p.npz --k 400", 3, "lower --k"),
        (
            "suspects --data digits --known p.patch.npz",
            3,
            "is not in these rows",
        ),
        ("suspects --data nowhere.npz", 3, "nowhere"),
        (
            "suspects --data p.npz --device vulkan:0",
            2,
            "leave --device out",
        ),
        ("clean --data p.npz --out c.npz", 2, "--suspects"),
        (
            "clean --data p.npz --share 1.5 --out c.npz",
            2,
            "above 0 and below 1",
        ),
        (
            "clean --data p.npz --share 0.1 --out p.npz",
            2,
            "another name",
        ),
        (
            "clean --data p.npz --share 0.1 --out c.txt",
            2,
            "ends in .npz",
        ),
        (
            "clean --data p.npz --share 0.1 --out c.csv",
            2,
            "is no table of text",
        ),
        (
            "clean --data p.npz --suspects other.csv --out c.npz",
            3,
            "of other data",
        ),
        (
            "clean --data p.npz --suspects none.csv --out c.npz",
            2,
            "expected some",
        ),
        (
            "clean --data p.npz --share 0.0001 --out c.npz",
            2,
            "expected some",
        ),
    ] {
        let (found, out, err) = toxscreen(dir, args);
        assert_eq!(found, code, "{args}: {out}{err}");
        assert!(err.contains(words), "{args}: {err}");
        assert!(!dir.join("c.npz").exists(), "{args}");
    }
}
