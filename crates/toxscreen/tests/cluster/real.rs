//! The same on a real Slurm (docs/guide/long-tests.md).

use super::cluster::Cluster;
use super::queue::ten_points;
use super::{local, on, same_results};
use std::process::Command;

/// A folder that all nodes see: where the variable says, else the system's own for temporary files.
fn folder() -> tempfile::TempDir {
    let place = std::env::var_os("TOXSCREEN_SLURM_DIR");
    let place = place.map_or_else(std::env::temp_dir, std::path::PathBuf::from);
    tempfile::tempdir_in(place).unwrap()
}

#[test]
#[ignore = "needs a Slurm"]
fn slurm_whatever_happens_the_table_is_that_of_a_local_run() {
    let dir = folder();
    local(dir.path(), super::SLOW);
    let words = "run digits.toml --out out --engine slurm --slurm poll=1,retries=20";
    ten_points(&Cluster::real(), dir.path(), words, &mut || {
        // Such as `kill $(cat slurmctld.pid); sleep 2; slurmctld`.
        let restart = std::env::var("TOXSCREEN_SLURM_RESTART").unwrap();
        assert!(
            Command::new("sh")
                .args(["-c", &restart])
                .status()
                .unwrap()
                .success()
        );
    });
    same_results(dir.path(), "out");
}

/// A trial of minutes under the least limit that Slurm has, a minute.
#[test]
#[ignore = "needs a Slurm"]
fn slurm_a_trial_longer_than_the_limit_goes_on() {
    let dir = folder();
    super::recipe(dir.path(), 10_000);
    let cluster = Cluster::real();
    let words = "run digits.toml --out out --engine slurm --slurm poll=1,time=1,signal=30 --seeds 0 --cells clean \
                 --set learner.inner.steps=1500";
    let mut driver = cluster.spawn(dir.path(), words);
    cluster.wait("the end", || {
        cluster.at_once();
        driver.try_wait().unwrap()
    });
    let said = tox_testkit::program::Said::of(driver.wait_with_output().unwrap());
    println!("{}", said.all());
    said.must(0, &["1 of 1 trials done"]);
    let records = tox_testkit::program::records(&dir.path().join("out"));
    println!("{}", records[0]["timing"]);
    assert!(records[0]["timing"]["resumed"].as_u64() > Some(0));
    on(&cluster, dir.path(), "verify out", 0, &["same"]);
}
