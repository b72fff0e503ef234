//! What may happen to jobs and to who waits for them.

use super::cluster::{Cluster, signal, trials};
use super::{SLOW, local, on, recipe, same_results};
use std::fs;
use std::path::Path;
use std::process::Child;
use std::time::Duration;
use tox_study::lock::Lock;
use tox_testkit::program::{Said, interrupt};

const RUN: &str = "run digits.toml --out out --engine slurm --slurm poll=0.2,retries=20";

/// Ten times: a task is cancelled, killed, put back into the queue or asked to stop, or the driver is killed and
/// started again; between them the controller goes away and comes back.
pub fn ten_points(cluster: &Cluster, dir: &Path, words: &str, controller: &mut dyn FnMut()) {
    let study = dir.join("out");
    let mut driver = cluster.spawn(dir, words);
    for point in 0..10 {
        let (task, process) = cluster.wait("a running trial", || {
            assert!(
                driver.try_wait().unwrap().is_none(),
                "over after {point} points"
            );
            cluster.at_once();
            let running = cluster.queue().into_iter().filter(|task| task.running);
            let running: Vec<_> = running.collect();
            let processes = trials(&study);
            let task = running.into_iter().nth(point % 2)?;
            Some((task.id, *processes.first()?))
        });
        match point % 5 {
            0 => drop(cluster.call("scancel", &[&task])),
            1 => signal("-KILL", process),
            2 => cluster.requeue(&task),
            3 => signal("-TERM", process),
            _ => {
                driver.kill().unwrap();
                driver.wait().unwrap();
                driver = cluster.spawn(dir, words);
            }
        }
        let what = [
            "cancelled",
            "killed",
            "requeued",
            "stopped",
            "driver killed",
        ];
        println!("point {point}: {} {task}", what[point % 5]);
        if point == 5 {
            controller();
            println!("controller restarted");
        }
        std::thread::sleep(Duration::from_millis(300));
    }
    let said = ended(cluster, driver);
    println!("{}", said.all());
    said.must(0, &["24 of 24 trials done"]);
}

fn ended(cluster: &Cluster, mut driver: Child) -> Said {
    cluster.wait("the driver", || {
        cluster.at_once();
        driver.try_wait().unwrap()
    });
    Said::of(driver.wait_with_output().unwrap())
}

#[test]
fn whatever_happens_the_table_is_that_of_a_local_run() {
    let dir = tempfile::tempdir().unwrap();
    local(dir.path(), SLOW);
    let cluster = Cluster::fake();
    let down = cluster.state().join("down");
    ten_points(&cluster, dir.path(), RUN, &mut || {
        fs::write(&down, "").unwrap();
        std::thread::sleep(Duration::from_secs(1));
        fs::remove_file(&down).unwrap();
    });
    same_results(dir.path(), "out");
    assert!(cluster.queue().is_empty());
}

#[test]
fn the_driver_leaves_and_finds_its_jobs_again() {
    let dir = tempfile::tempdir().unwrap();
    local(dir.path(), SLOW / 2);
    let cluster = Cluster::fake();
    let jobs = || {
        let names = fs::read_dir(cluster.state()).unwrap().flatten();
        names.filter(|e| e.path().is_dir()).count()
    };
    let left = on(
        &cluster,
        dir.path(),
        &format!("{RUN} --detach"),
        0,
        &["trials are with the cluster"],
    );
    assert!(!left.all().contains("--detach\n"), "{}", left.all());
    assert_eq!(jobs(), 1);
    // Two drivers refuse each other; Ctrl-C leaves the jobs.
    let lock = dir.path().join("out/.lock");
    cluster.wait("the lock", || (!Lock::is_held(&lock)).then_some(()));
    let driver = cluster.spawn(dir.path(), RUN);
    cluster.wait("the lock", || Lock::is_held(&lock).then_some(()));
    on(
        &cluster,
        dir.path(),
        RUN,
        1,
        &["another toxscreen runs the study"],
    );
    interrupt(&driver);
    let said = Said::of(driver.wait_with_output().unwrap());
    said.must(
        130,
        &[
            "the jobs go on, and the same command",
            "scancel 1",
            "find them again with",
        ],
    );
    assert!(!cluster.queue().is_empty());
    on(&cluster, dir.path(), RUN, 0, &["24 of 24 trials done"]);
    assert_eq!(jobs(), 1, "nothing was submitted twice");
    same_results(dir.path(), "out");
}

#[test]
fn a_trial_longer_than_the_limit_goes_on_from_its_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    // Of some seconds, under a limit of three.
    recipe(dir.path(), 10_000);
    let cluster = Cluster::fake();
    let words = format!("{RUN},time=3,signal=2 --cells clean --seeds 0");
    on(&cluster, dir.path(), &words, 0, &["1 of 1 trials done"]);
    let records = tox_testkit::program::records(&dir.path().join("out"));
    assert!(
        records[0]["timing"]["resumed"].as_u64() > Some(0),
        "{}",
        records[0]["timing"]
    );
    super::TOXSCREEN
        .words(dir.path(), "verify out")
        .must(0, &["same"]);
}

#[test]
fn a_job_that_ends_without_a_word_is_submitted_again_a_few_times() {
    let dir = tempfile::tempdir().unwrap();
    recipe(dir.path(), 10_000);
    let cluster = Cluster::fake();
    let words = "run digits.toml --out out --engine slurm --slurm poll=0.1,retries=1 --cells clean --seeds 0";
    let mut driver = cluster.spawn(dir.path(), words);
    cluster.wait("the end", || {
        trials(&dir.path().join("out"))
            .iter()
            .for_each(|id| signal("-KILL", *id));
        driver.try_wait().unwrap()
    });
    let said = Said::of(driver.wait_with_output().unwrap());
    said.must(1, &["ended 2 times without a record", "logs"]);
    on(&cluster, dir.path(), words, 0, &["1 of 1 trials done"]);
}
