//! The report as a whole, over made-up records.

use super::synthetic::{self, HEAD};
use crate::enas::outcome::EnasOutcome;
use crate::made_up::{self, assert_balanced, read};
use std::path::{Path, PathBuf};
use tox_search::enas::config::{EnasConfig, Strategy};
use tox_study::record::Record;

mod differing;
mod variants;

fn some_missing(i: usize) -> u8 {
    made_up::missing(i, 7, 14..=17)
}

fn folder(head: &str, state: impl Fn(usize) -> u8) -> tempfile::TempDir {
    made_up::folder(head, &synthetic::specs(), synthetic::record, state)
}

fn record_path(dir: &Path, i: usize) -> PathBuf {
    made_up::path(dir, &synthetic::specs()[i])
}

/// What an ENAS record measured.
fn enas(record: &mut Record, edit: impl FnOnce(&mut EnasOutcome)) {
    made_up::edit(&mut record.outcome, edit);
}

#[test]
fn csv_and_headline_are_as_before() {
    let dir = folder(HEAD, some_missing);
    let paths = made_up::report(dir.path());
    insta::assert_snapshot!("results_csv", read(paths.wide.as_ref().unwrap()));
    insta::assert_snapshot!("headline", made_up::headline(dir.path()));
    let run = made_up::run(dir.path());
    let cells = super::cells::all(&run);
    let paper = super::paper::Paper::find("ssp");
    let findings = super::findings::findings(&run, &cells, paper.as_ref());
    insta::assert_snapshot!("findings", findings.join("\n"));
}

#[test]
fn timing_and_device_do_not_reach_the_csv() {
    let dir = folder(HEAD, |_| 0);
    let before = made_up::wide(dir.path());
    let path = record_path(dir.path(), 0);
    made_up::rewrite(&path, |record| {
        record.timing.seconds = 99.25;
        record.provenance.device = "vulkan:0".into();
    });
    assert_eq!(before, made_up::wide(dir.path()));
}

#[test]
fn page_and_figures_are_well_formed_and_offline() {
    let dir = folder(HEAD, some_missing);
    let (paths, _) = made_up::page(
        dir.path(),
        "findings tables figures death retrained networks screen",
    );
    assert!(paths.figures.len() > 25, "{}", paths.figures.len());
    for path in &paths.figures {
        let text = read(path);
        let tree = roxmltree::Document::parse(&text).unwrap();
        assert_eq!(tree.root_element().tag_name().name(), "svg");
        assert!(
            tree.descendants()
                .any(|n| n.has_tag_name(("http://www.w3.org/2000/svg", "title")))
        );
        assert!(
            !text.contains("NaN") && !text.contains("inf,"),
            "{}",
            path.display()
        );
    }
}

#[test]
fn text_from_recipes_and_records_is_escaped() {
    let evil = "<script>alert(1)</script>\"'&\u{1b}[31m../../x";
    let head = format!(
        "name = {0}\ntitle = {0}\ndescription = {0}\npaper = \"ssp\"\n",
        toml::Value::String(evil.into())
    );
    let mut specs = synthetic::specs();
    for spec in &mut specs[..6] {
        spec.cell = evil.into();
        spec.data.dataset = evil.into();
    }
    let dir = made_up::folder(&head, &specs, synthetic::record, |_| 0);
    let path = made_up::path(dir.path(), &specs[3]);
    made_up::rewrite(&path, |record| {
        enas(record, |o| {
            for layer in &mut o.genotype.layers {
                layer.op = evil.into();
            }
        });
        record.provenance.simd = evil.into();
    });

    let paths = made_up::assert_escaped(dir.path());
    for path in &paths.figures {
        assert_eq!(path.parent().unwrap(), dir.path().join("figures"));
    }
}

#[test]
fn a_data_set_named_like_a_formula_is_none_in_the_table() {
    let mut specs = synthetic::specs();
    specs.truncate(2);
    specs[0].data.dataset = "/a/b/=cmd|'x'!A0.npz".into();
    specs[1].data.dataset = "/a/c/a\u{1b}[31m\r\nb.npz".into();
    let dir = made_up::folder(HEAD, &specs, synthetic::record, |_| 0);
    let csv = made_up::wide(dir.path());
    assert!(csv.contains(",'=cmd|'x'!A0.npz,"), "{csv}");
    assert!(csv.contains(r",a\u{1b}[31m\u{d}\nb.npz,"), "{csv}");
    assert_eq!(csv.lines().count(), 3);
}

#[test]
fn a_study_of_no_paper_says_nothing_of_one() {
    let dir = folder(&HEAD.replace("paper = \"ssp\"\n", ""), some_missing);
    let html = made_up::html(dir.path());
    let text = html.to_lowercase().replace("all 23 cells of the paper", "");
    assert!(
        !text.contains("paper\u{2019}s") && !text.contains("the paper"),
        "{html}"
    );
    assert!(!text.contains(">paper<"));
    let headline = made_up::headline(dir.path());
    assert!(
        !headline.contains("paper") && !headline.contains("n/c"),
        "{headline}"
    );
}

#[test]
fn a_data_set_that_is_not_the_papers_has_no_column_of_it() {
    let mut specs = synthetic::specs();
    specs.truncate(6);
    for spec in &mut specs {
        spec.data.dataset = "digits".into();
    }
    let dir = made_up::folder(HEAD, &specs, synthetic::record, |_| 0);
    let headline = made_up::headline(dir.path());
    let note = "No number of the paper is comparable: digits, paper CIFAR-10\n";
    assert!(
        headline.contains(note) && !headline.contains("paper v/t"),
        "{headline}"
    );
    let html = made_up::html(dir.path());
    assert!(
        html.contains(note.trim_end()) && !html.contains("25.33"),
        "{html}"
    );
    assert!(!html.contains("(tick: paper)"));
}

#[test]
fn a_run_without_records_or_poison_still_has_a_report() {
    for keep in [0, 3, 81] {
        let dir = folder(HEAD, |i| if i < keep { 0 } else { 2 });
        let paths = made_up::report(dir.path());
        assert_balanced(&read(&paths.html));
        assert_eq!(read(paths.wide.as_ref().unwrap()).lines().count(), keep + 1);
    }
    let dir = made_up::folder("", &[], synthetic::record, |_| 0);
    assert_balanced(&made_up::html(dir.path()));
}

#[test]
fn a_broken_folder_is_an_error_that_names_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let error = made_up::refusal(dir.path());
    assert!(error.contains("study.toml"), "{error}");
    // A trial that counts twice, or under other settings, is in no report.
    let dir = folder(HEAD, |_| 0);
    let path = dir.path().join("plan.jsonl");
    let plan = read(&path);
    let first = plan.lines().next().unwrap();
    let twice = format!("{plan}{first}\n");
    let other = plan.replacen("\"seed\":0", "\"seed\":9", 1);
    for (text, found) in [(twice, "there twice"), (other, "not that of its spec")] {
        assert_ne!(text, plan);
        std::fs::write(&path, text).unwrap();
        let error = made_up::refusal(dir.path());
        assert!(
            error.contains("plan.jsonl") && error.contains(found),
            "{error}"
        );
    }
}

#[test]
fn a_record_that_cannot_be_believed_is_a_trial_that_failed() {
    let dir = folder(HEAD, |_| 0);
    let rows = |dir: &std::path::Path| made_up::wide(dir).lines().count();
    let all = rows(dir.path());
    let path = record_path(dir.path(), 2);
    let whole = read(&path);
    let seconds = whole.replace("61.5", "61.6");
    assert_ne!(whole, seconds);
    for text in [&whole[..40], &seconds, ""] {
        std::fs::write(&path, text).unwrap();
        assert_eq!(rows(dir.path()), all - 1);
        let page = read(&dir.path().join("report.html"));
        assert!(page.contains("failed: its record "), "{text:.20}");
    }
    // Sealed, but of another toxscreen.
    std::fs::write(&path, &whole).unwrap();
    made_up::rewrite(&path, |record| {
        record.outcome.keys.remove("steps");
    });
    assert_eq!(rows(dir.path()), all - 1);
    let page = read(&dir.path().join("report.html"));
    assert!(page.contains("failed: its record cannot be read"));
}

/// What a report says follows from the records alone: it is the same in a folder of another name.
#[test]
fn a_report_is_made_again_to_the_byte() {
    let dir = folder(HEAD, |i| (i % 3) as u8);
    made_up::report(dir.path());
    assert_eq!(
        tox_report::check(&made_up::REPORTS, dir.path()).unwrap(),
        []
    );
    let moved = tempfile::tempdir().unwrap();
    let moved = moved.path().join("other");
    std::fs::rename(dir.path(), &moved).unwrap();
    assert_eq!(tox_report::check(&made_up::REPORTS, &moved).unwrap(), []);
    let csv = moved.join("results.csv");
    std::fs::write(&csv, read(&csv).replacen('1', "2", 1)).unwrap();
    std::fs::remove_file(moved.join("report.html")).unwrap();
    let stale = tox_report::check(&made_up::REPORTS, &moved).unwrap();
    let stale: Vec<_> = stale.iter().map(|s| (s.name.as_str(), s.there)).collect();
    assert_eq!(stale, [("results.csv", true), ("report.html", false)]);
}

#[test]
fn collapse_needs_a_broken_weight_and_an_error_at_chance() {
    let spec = &synthetic::specs()[0];
    let mut outcome: EnasOutcome = synthetic::record(spec).outcome.read().unwrap();
    outcome.chance_error = 89.6;
    for (weight, error, expected) in [
        (Some(5), 90.2, true),
        (Some(5), 87.7, true),
        (Some(5), 87.5, false),
        (None, 90.0, false),
    ] {
        outcome.first_nan_weight_step = weight;
        outcome.test_error = error;
        assert_eq!(super::cells::collapsed(&outcome), expected);
    }
}

/// A folder with `clean` and `5d`, each searched and at random.
fn with_control() -> tempfile::TempDir {
    let mut specs = Vec::new();
    for spec in synthetic::specs() {
        if spec.cell != "clean" && spec.cell != "5d" {
            continue;
        }
        let mut random = spec.clone();
        random.variant = Some("random".into());
        made_up::edit(&mut random.learner, |config: &mut EnasConfig| {
            config.strategy = Strategy::Random;
        });
        // The random cells come first: the twin must not be the first clean cell.
        specs.insert(0, random);
        specs.push(spec);
    }
    let dir = made_up::folder(HEAD, &specs, synthetic::record, |_| 0);
    // One point worse at random, and one more for each seed.
    for spec in specs.iter().filter(|s| s.variant.is_some()) {
        let path = made_up::path(dir.path(), spec);
        made_up::rewrite(&path, |record| {
            enas(record, |o| o.test_error += 1.0 + spec.seed as f64);
        });
    }
    dir
}

#[test]
fn a_cell_is_compared_with_the_clean_cell_of_its_own_learner() {
    let dir = with_control();
    let run = made_up::run(dir.path());
    let cells = super::cells::all(&run);
    let find = |name: &str| cells.iter().find(|c| c.name == name).unwrap();
    let clean = |name| super::cells::clean_of(&cells, find(name)).unwrap();
    assert_eq!(clean("5d").name, "clean");
    assert_eq!(clean("5d (random)").name, "clean (random)");
    let searched = super::cells::searched(&cells, find("5d (random)")).unwrap();
    assert_eq!(searched.name, "5d");
    let alone: Vec<_> = super::cells::all(&run)
        .into_iter()
        .filter(|c| c.name != "clean")
        .collect();
    let cell = alone.iter().find(|c| c.name == "5d").unwrap();
    assert!(super::cells::clean_of(&alone, cell).is_none());
    // Differences -1, -2, -3: mean -2, half 4.3027 / sqrt(3).
    let html = made_up::html(dir.path());
    assert_balanced(&html);
    assert_eq!(html.matches("<td>−2.00\u{a0}±\u{a0}2.48</td>").count(), 2);
    assert!(html.contains("<caption>Control: random search."));
    let none = folder(HEAD, |_| 0);
    assert!(!made_up::html(none.path()).contains("Control: random"));
}

#[test]
fn differences_are_taken_by_seed() {
    // Clean errors far apart, each 1, 2 and 3 points lower than the poisoned one of its seed.
    let specs: Vec<_> = synthetic::specs()
        .into_iter()
        .filter(|s| s.cell == "clean" || s.cell == "5d")
        .collect();
    let dir = made_up::folder(HEAD, &specs, synthetic::record, |_| 0);
    let set = |rise: [f64; 3]| {
        for spec in &specs {
            let path = made_up::path(dir.path(), spec);
            made_up::rewrite(&path, |record| {
                let seed = spec.seed as usize;
                let clean = [20.0, 40.0, 60.0][seed];
                let rise = if spec.cell == "5d" { rise[seed] } else { 0.0 };
                enas(record, |o| o.test_error = clean + rise);
            });
        }
        let run = made_up::run(dir.path());
        let cells = super::cells::all(&run);
        super::findings::findings(&run, &cells, None).join("\n")
    };
    // The cells' own intervals, 40 ± 49.7 and 42 ± 52, overlap; the differences, 2 ± 0.4969, do not
    // hold 0.
    let found = set([1.8, 2.2, 2.0]);
    assert!(
        found.contains("2.0 points above clean. The 95 % interval of the differences by seed, 1.5 to 2.5 points (3 seeds), excludes 0."),
        "{found}"
    );
    let html = made_up::html(dir.path());
    assert!(html.contains("<td>+2.00\u{a0}±\u{a0}0.50</td>"));
    let found = set([1.0, 2.0, 3.0]);
    assert!(
        found.contains("-0.5 to 4.5 points (3 seeds), holds 0, so"),
        "{found}"
    );
}

#[test]
fn a_screened_cell_that_differs_from_clean_in_one_seed_is_a_result() {
    let same = "identical to clean, seed by seed: the screen gave the clean space back";
    let dir = folder(HEAD, |_| 0);
    let said = || {
        let run = made_up::run(dir.path());
        let cells = super::cells::all(&run);
        let found = super::findings::findings(&run, &cells, None).join("\n");
        let html = made_up::html(dir.path());
        (found.contains(same), html.matches(same).count())
    };
    assert_eq!(said(), (true, 2));
    let path = record_path(dir.path(), synthetic::specs().len() - 1);
    made_up::rewrite(&path, |record| {
        enas(record, |o| o.epochs[3].train_error += 0.5);
    });
    assert_eq!(said(), (false, 0));
}

#[test]
fn records_of_several_setups_are_a_warning_that_comes_first() {
    let dir = folder(HEAD, some_missing);
    let first = || {
        let run = made_up::run(dir.path());
        let cells = super::cells::all(&run);
        super::findings::findings(&run, &cells, None).remove(0)
    };
    assert!(first().starts_with("Incomplete"), "{}", first());
    let path = record_path(dir.path(), 0);
    made_up::rewrite(&path, |record| {
        record.provenance.device = "vulkan:0".into();
        record.provenance.data_hash = "ab".repeat(32);
    });
    let first = first();
    for part in [
        "Warning: ",
        "data hash of cifar10 abababababab (1), 5f1d5f1d5f1d (75)",
        "device vulkan:0 (1), cpu (75)",
    ] {
        assert!(first.contains(part), "{first}");
    }
    assert!(!first.contains("version") && !first.contains("instruction set"));
}

/// Writes a report to look at: `TOXSCREEN_REPORT_SAMPLE=DIR cargo test -p tox-report -- --ignored`.
#[test]
#[ignore = "writes where TOXSCREEN_REPORT_SAMPLE says"]
fn sample() {
    made_up::sample(
        "",
        HEAD,
        &synthetic::specs(),
        synthetic::record,
        some_missing,
    );
}
