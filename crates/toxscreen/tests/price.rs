//! What `plan` says of the cost of a study, and from what.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::{Duration, Instant};
use tox_testkit::program::{Program, Said, interrupt, silent};
use tox_testkit::recipes;

const TOXSCREEN: Program = Program(env!("CARGO_BIN_EXE_toxscreen"));

/// Two cells with two seeds, of trials that take no time, and of trials that take some seconds.
fn recipe() -> tempfile::TempDir {
    let learner = "classes = [3, 8]\n[learner]\nkind = \"bilevel\"\nhyperiterations = 10\ninner = { steps = 100 }\n";
    let text = recipes::head("price", &[0, 1])
        + &recipes::data("digits", [160, 50, 60])
        + learner
        + &recipes::cell("quick", "")
        + &recipes::cell("slow", "learner.hyperiterations = 20_000\n");
    tox_testkit::program::folder("price.toml", &text)
}

fn plan(dir: &Path, words: &str) -> Said {
    let mut command = TOXSCREEN.command(dir, format!("plan price.toml{words}").split(' '));
    command.env("XDG_CONFIG_HOME", dir.join("config"));
    let said = Said::of(command.output().unwrap());
    assert_eq!(said.code, 0, "{}", said.all());
    said
}

#[test]
fn a_study_is_priced_by_what_is_known_and_says_by_what() {
    let dir = recipe();
    let dir = dir.path();
    plan(dir, "").must(0, &["cannot be told", "--probe 10"]);
    // Here, for some seconds.
    let probed = plan(dir, " --probe 6");
    probed.must(
        0,
        &[
            "measuring 2 cells",
            "a trial here",
            "% of a trial here",
            "4 trials are left",
            "at a time: about",
        ],
    );
    assert!(!dir.join("runs").exists());
    // By records; the other cell cannot be told.
    TOXSCREEN
        .words(dir, "run price.toml --cells quick --seeds 0")
        .must(0, &["1 of 1"]);
    TOXSCREEN
        .words(dir, "plan price.toml --out runs/price")
        .must(0, &["3 of 4", "1 record", "2 trials that cannot be told"]);
    // By trials under way.
    let mut command = TOXSCREEN.saving(dir, "run price.toml --jobs 1".split(' '));
    let mut run = silent(&mut command).spawn().unwrap();
    let begun = Instant::now();
    loop {
        let status = TOXSCREEN.json(dir, "status runs/price", 0);
        if status["begun"]
            .as_array()
            .unwrap()
            .iter()
            .any(|t| t["cell"] == "slow" && t["done"].as_f64() > Some(0.02))
        {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{status}");
        std::thread::sleep(Duration::from_millis(50));
    }
    interrupt(&run);
    run.wait().unwrap();
    let told = plan(dir, "");
    told.must(0, &["1 trial under way"]);
    assert!(
        !told.all().contains("quick  0"),
        "a cell that is done has no price: {}",
        told.all()
    );
    // For the engine that is asked for.
    plan(dir, " --engine slurm").must(0, &["is the cluster's to tell"]);
    plan(dir, " --engine slurm --slurm parallel=100")
        .must(0, &["on the engine slurm, 100 at a time: about"]);
    let json = TOXSCREEN.json(dir, "plan price.toml --engine slurm --slurm parallel=2", 0);
    let price = &json["price"];
    let (hours, wall) = (
        price["core_hours"].as_f64().unwrap(),
        price["wall_seconds"].as_f64().unwrap(),
    );
    // Two trials at once, on a thread each.
    assert!((wall - 1800.0 * hours).abs() < 1e-6 * wall, "{price}");
    assert_eq!(
        (
            price["unknown_trials"].as_u64(),
            price["at_a_time"].as_u64()
        ),
        (Some(0), Some(2))
    );
}
