//! `toxscreen run` as a new user meets it.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::process::Command;

/// The rows of a results table as (column, value) look-ups.
fn rows(table: &str) -> Vec<std::collections::BTreeMap<&str, &str>> {
    let mut lines = table.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    lines
        .map(|line| header.iter().copied().zip(line.split(',')).collect())
        .collect()
}

#[test]
fn the_quickstart_shows_a_search_being_poisoned() {
    let dir = tempfile::tempdir().unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_toxscreen"))
        .arg("run")
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(
        run.status.success(),
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
    let out = dir.path().join("runs/quickstart");
    let table = fs::read_to_string(out.join("results.csv")).unwrap();
    let rows = rows(&table);
    let row = |cell: &str, variant: &str| {
        let found = rows
            .iter()
            .find(|r| r["cell"] == cell && r["variant"] == variant);
        found.unwrap_or_else(|| panic!("no row {cell} {variant} in\n{table}"))
    };
    let error =
        |cell: &str, variant: &str| row(cell, variant)["test_error"].parse::<f64>().unwrap();

    assert!(error("clean", "") < 25.0, "{table}");
    let chance: f64 = row("clean", "")["chance_error"].parse().unwrap();

    // One-shot poison: NaN weights and an error at chance under `torch`, survival under `guarded`.
    // The seed was chosen with AVX-512; other instruction sets round otherwise (the recipe says so).
    if tox_nn::kernels::instruction_set() == "avx512" {
        let died = row("oneshot-2", "torch");
        assert_eq!(died["collapsed"], "true", "{table}");
        assert!(
            died["first_nan_weight_step"].parse::<u64>().is_ok(),
            "{table}"
        );
        assert!(
            (error("oneshot-2", "torch") - chance).abs() < 2.0,
            "{table}"
        );
    } else {
        eprintln!("skipped: the seed's collapse is known for AVX-512 only");
    }
    let survived = row("oneshot-2", "guarded");
    assert_eq!(
        (survived["collapsed"], survived["first_nan_weight_step"]),
        ("false", "")
    );
    assert!(error("oneshot-2", "guarded") < chance - 20.0, "{table}");
    // Behind the screen the space is the clean one, so the search is too.
    assert_eq!(error("oneshot-2", "screened"), error("clean", ""));

    let page = fs::read_to_string(out.join("report.html")).unwrap();
    // The page says that the seed was chosen, and which share of seeds collapses.
    let share = include_str!("../../../docs/results/ssp.md");
    let quoted = "8 of 24 seeds";
    assert!(share.contains(quoted) && page.contains(quoted), "{quoted}");
    assert!(fs::read_dir(out.join("figures")).unwrap().count() > 3);
}
