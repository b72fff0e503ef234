//! The screen against an adversary that knows it: ops that its thresholds were not set by, bad and good. What it
//! says of them is `benches/results/screen_held_out.csv`, on which docs/results/ssp.md stands.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::fmt::Write;
use std::path::{Path, PathBuf};
use tox_data::spec::DataSpec;
use tox_data::{DataDir, load};
use tox_nn::Device;
use tox_poison::screen::{OpReport, ScreenConfig, screen, screened};
use tox_poison::space_file;
use tox_search::space::Space;

const SEEDS: std::ops::Range<u64> = 0..5;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn space(name: &str) -> Space {
    space_file::read(&root().join("recipes/ssp").join(name)).unwrap()
}

/// The reports of a space on digits, for each seed.
fn reports(space: &Space) -> Vec<Vec<OpReport>> {
    let dir = DataDir::resolve(Some(Path::new("unused"))).unwrap();
    let data = load(&DataSpec::of("digits", 100), &dir).unwrap();
    let of = |seed| {
        screen(
            space,
            &data,
            &ScreenConfig::default(),
            seed,
            &Device::flex(),
        )
        .unwrap()
    };
    SEEDS.map(of).collect()
}

#[test]
fn what_the_screen_says_of_held_out_ops_is_what_the_rows_say() {
    let mut rows = String::from("seed,ops,op,count,found,verdicts\n");
    for ops in ["bad", "good"] {
        let all = reports(&space(&format!("space-held-out-{ops}.toml")));
        for (seed, reports) in SEEDS.zip(&all) {
            for r in reports {
                let verdicts = r.verdict_names().replace(", ", " ");
                let (found, op, n) = (u8::from(r.flagged()), r.op, r.count);
                writeln!(rows, "{seed},{ops},\"{op}\",{n},{found},{verdicts}").unwrap();
            }
        }
    }
    let file = root().join("benches/results/screen_held_out.csv");
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(kept, rows, "{} should be\n{rows}", file.display());
}

#[test]
fn no_good_op_is_accused_and_the_defence_keeps_one_branch_of_what_passes() {
    for reports in reports(&space("space-held-out-good.toml")) {
        assert!(reports.iter().all(|r| !r.flagged()));
    }
    let bad = space("space-held-out-bad.toml");
    for reports in reports(&bad) {
        let left = screened(&bad, &reports);
        assert!(left.ops.iter().all(|op| op.count == 1));
        let passed = reports.iter().filter(|r| !r.poisonous()).count();
        assert_eq!(left.ops.len(), passed);
    }
}
