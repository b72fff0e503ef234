//! Real processes: kills, resumption, locks, records, verification. The trials do arithmetic
//! (see `fake/main.rs`); everything around them is what the real ones have.
#![allow(clippy::unwrap_used)]

#[path = "../fake/house.rs"]
mod house;

use house::{Outcome, house};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tox_study::executors::{Summary, local};
use tox_study::lock::Lock;
use tox_study::part::Part;
use tox_study::recipe::{Overrides, Study};
use tox_study::record::{Adapter, Record};
use tox_study::runner::{End, News, RunOptions};
use tox_study::status::Status;
use tox_study::store::{Store, StoreError};
use tox_study::verify::{Verdict, verify};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tox-fake-study");

fn recipe(course: &str, steps: usize, seeds: &str) -> String {
    format!(
        "name = \"fake\"\nseeds = {seeds}\n[data]\ndataset = \"gaussians\"\nvalid = 10\n\
         [learner]\nkind = \"fake\"\nsteps = {steps}\ncourse = \"{course}\"\n\
         [[cell]]\nlabel = \"clean\"\n[[cell]]\nlabel = \"1a\"\npoison = \"P1\"\nq = 6\n"
    )
}

fn study(course: &str, steps: usize, seeds: &str) -> Study {
    let recipe = recipe(course, steps, seeds);
    Study::parse(&house(), "fake.toml", &recipe, &Overrides::default()).unwrap()
}

fn options(jobs: usize) -> RunOptions {
    RunOptions {
        program: PathBuf::from(PROGRAM),
        jobs,
        threads: 1,
        devices: vec!["cpu".into()],
        on_each: 1,
        data_dir: None,
        allow_commands: false,
    }
}

fn run(dir: &Path, study: &Study, jobs: usize) -> Summary {
    let (store, _lock) = Store::create(&house(), dir, study).unwrap();
    local::run(
        &house(),
        &store,
        &options(jobs),
        &AtomicUsize::new(0),
        &mut |_| {},
    )
    .unwrap()
}

/// Outcomes by trial: what must not depend on how a study was run.
fn outcomes(dir: &Path) -> BTreeMap<String, String> {
    let store = Store::open(&house(), dir).unwrap();
    let trials = store.study.trials.iter();
    trials
        .map(|t| {
            (
                t.id.clone(),
                store.record(&t.id).unwrap().unwrap().outcome.to_json(),
            )
        })
        .collect()
}

fn spawn_parent(recipe: &Path, dir: &Path) -> Child {
    let mut command = Command::new(PROGRAM);
    command.arg("run").args([recipe, dir]).arg("2");
    command
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Whether some child still works in the folder.
fn any_child(dir: &Path) -> bool {
    fs::read_dir(dir.join("trials")).is_ok_and(|entries| {
        entries
            .flatten()
            .any(|e| Lock::is_held(&e.path().join(".lock")))
    })
}

#[test]
fn two_jobs_give_the_outcomes_of_one() {
    let dir = tempfile::tempdir().unwrap();
    let study = study("quick", 5, "[0, 1, 2]");
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    let summary = run(&one, &study, 1);
    assert_eq!((summary.planned, summary.before, summary.done), (6, 0, 6));
    assert!(run(&two, &study, 2).is_complete());
    assert_eq!(outcomes(&one), outcomes(&two));
    // Nothing is left to do, nothing is left over.
    let again = run(&one, &study, 2);
    assert_eq!((again.before, again.done), (6, 0));
    let trial = one.join("trials").join(&study.trials[0].id);
    assert!(!trial.join("checkpoint.txt").exists());
}

#[test]
fn a_study_whose_parent_is_killed_again_and_again_ends_as_an_undisturbed_one() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("recipe.toml");
    fs::write(&file, recipe("slow", 25, "[0, 1]")).unwrap();
    let (calm, shaken) = (dir.path().join("calm"), dir.path().join("shaken"));
    run(&calm, &study("slow", 25, "[0, 1]"), 4);

    let mut kills = 0;
    for pause in [30, 80, 170, 260, 410, 120, 333] {
        let mut parent = spawn_parent(&file, &shaken);
        std::thread::sleep(Duration::from_millis(pause));
        if parent.try_wait().unwrap().is_none() {
            parent.kill().unwrap(); // SIGKILL
            kills += 1;
        }
        parent.wait().unwrap();
        // The next parent starts at once, while children of the dead one may still be there.
    }
    assert!(kills >= 4, "the study ended before it was disturbed");
    assert!(spawn_parent(&file, &shaken).wait().unwrap().success());
    assert_eq!(outcomes(&calm), outcomes(&shaken));
    let store = Store::open(&house(), &shaken).unwrap();
    let resumed = |id: &String| store.record(id).unwrap().unwrap().timing.resumed;
    assert!(
        store
            .study
            .trials
            .iter()
            .map(|t| resumed(&t.id))
            .sum::<u32>()
            > 0
    );
}

#[test]
fn children_end_soon_after_their_parent_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("recipe.toml");
    fs::write(&file, recipe("slow", 100_000, "[0]")).unwrap();
    let out = dir.path().join("out");
    let mut parent = spawn_parent(&file, &out);
    let start = Instant::now();
    while !any_child(&out) {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "no child started"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    parent.kill().unwrap();
    parent.wait().unwrap();
    let start = Instant::now();
    while any_child(&out) {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "a child lives on"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    // The lock of the dead parent does not stand in the way.
    assert!(Store::create(&house(), &out, &study("slow", 100_000, "[0]")).is_ok());
}

#[test]
fn a_killed_child_is_a_failure_and_the_rerun_resumes_it() {
    let dir = tempfile::tempdir().unwrap();
    let study = study("slow", 20, "[0]");
    let calm = dir.path().join("calm");
    run(&calm, &study, 2);
    let out = dir.path().join("out");
    let (store, lock) = Store::create(&house(), &out, &study).unwrap();
    let victim = store.trial_dir(&study.trials[0].id);
    // A program in between ends the trial in the hard way once it is half done.
    let script = dir.path().join("murder.sh");
    let text = format!(
        "#!/bin/sh\ncase \"$2\" in *{}*) ;; *) exec {PROGRAM} \"$@\";; esac\n\
         exec 3<&0; {PROGRAM} \"$@\" <&3 & child=$!\n\
         while [ ! -f '{}' ]; do sleep 0.02; done\nsleep 0.1\nkill -9 $child\nkill -9 $$\n",
        study.trials[0].id,
        victim.join("checkpoint.txt").display()
    );
    fs::write(&script, text).unwrap();
    Command::new("chmod")
        .arg("+x")
        .arg(&script)
        .status()
        .unwrap();
    let program = RunOptions {
        program: script,
        ..options(2)
    };
    let summary = local::run(
        &house(),
        &store,
        &program,
        &AtomicUsize::new(0),
        &mut |_| {},
    )
    .unwrap();
    assert_eq!((summary.done, summary.failed.len()), (1, 1));
    assert!(
        summary.failed[0].message.contains("signal: 9"),
        "{:?}",
        summary.failed
    );
    assert!(victim.join("failure.json").is_file() && victim.join("checkpoint.txt").is_file());
    let status = Status::of(&store).unwrap();
    assert_eq!((status.cells[0].failed, status.cells[1].done), (1, 1));
    drop(lock);
    assert!(run(&out, &study, 2).is_complete());
    assert!(!victim.join("failure.json").exists());
    assert_eq!(outcomes(&calm), outcomes(&out));
}

#[test]
fn a_wish_to_stop_leaves_checkpoints_and_a_second_one_kills() {
    let dir = tempfile::tempdir().unwrap();
    let study = study("slow", 1_000, "[0]");
    for wishes in [1, 2] {
        let out = dir.path().join(wishes.to_string());
        let (store, _lock) = Store::create(&house(), &out, &study).unwrap();
        let stop = AtomicUsize::new(0);
        let mut stopped = 0;
        let start = Instant::now();
        let summary = local::run(
            &house(),
            &store,
            &options(1),
            &stop,
            &mut |notice| match notice.news {
                News::Progress { .. } => stop.store(wishes, Ordering::SeqCst),
                News::Ended(End::Stopped) => stopped += 1,
                _ => {}
            },
        );
        assert!(start.elapsed() < Duration::from_secs(10));
        // The second trial was not begun.
        assert_eq!((summary.unwrap().done, stopped), (0, 1));
        assert!(
            store
                .trial_dir(&study.trials[0].id)
                .join("checkpoint.txt")
                .is_file()
        );
        assert!(store.failure(&study.trials[0].id).is_none());
    }
}

#[test]
fn a_failing_trial_tells_why_and_the_study_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let summary = run(dir.path(), &study("broken", 1, "[0, 1]"), 2);
    assert_eq!(summary.failed.len(), 4);
    let store = Store::open(&house(), dir.path()).unwrap();
    let failure = store.failure(&store.study.trials[0].id).unwrap();
    assert_eq!(failure.message, "nothing works here");
    assert_eq!(failure.exit_code, Some(1));
    assert_eq!(failure.stderr, ["some words", "error: nothing works here"]);

    // A number that JSON cannot hold is a failure with a reason, not a broken record.
    let other = dir.path().join("nan");
    let summary = run(&other, &study("nan", 1, "[0]"), 1);
    assert!(
        summary.failed[0].message.contains("not finite"),
        "{:?}",
        summary.failed
    );

    // A program that is not there.
    let (store, _lock) = Store::create(
        &house(),
        &dir.path().join("none"),
        &study("quick", 1, "[0]"),
    )
    .unwrap();
    let none = RunOptions {
        program: "/no/such/program".into(),
        ..options(1)
    };
    let summary = local::run(&house(), &store, &none, &AtomicUsize::new(0), &mut |_| {}).unwrap();
    assert!(
        summary.failed[0]
            .message
            .starts_with("cannot start /no/such/program")
    );
}

#[test]
fn a_study_may_grow_but_not_lose_finished_trials() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), &study("quick", 3, "[0, 1]"), 2);
    let grown = run(dir.path(), &study("quick", 3, "[0, 1, 2]"), 2);
    assert_eq!((grown.before, grown.done), (4, 2));
    let refused = Store::create(&house(), dir.path(), &study("quick", 4, "[0, 1]")).unwrap_err();
    let StoreError::Changed {
        lost, differences, ..
    } = &refused
    else {
        panic!("{refused}");
    };
    assert_eq!(*lost, 6);
    assert_eq!(
        differences,
        &["  learner.steps: 3 -> 4", "  seeds: [0, 1, 2] -> [0, 1]"]
    );
    assert!(refused.hint().unwrap().contains("--out"));
    // The refusal changed nothing.
    assert_eq!(
        Store::open(&house(), dir.path()).unwrap().study,
        study("quick", 3, "[0, 1, 2]")
    );
}

#[test]
fn two_runners_do_not_work_in_one_folder() {
    let dir = tempfile::tempdir().unwrap();
    let study = study("quick", 1, "[0]");
    let _held = Store::create(&house(), dir.path(), &study).unwrap();
    let second = Store::create(&house(), dir.path(), &study).unwrap_err();
    assert!(matches!(second, StoreError::Busy { .. }), "{second}");
}

#[test]
fn any_changed_byte_of_a_record_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), &study("quick", 2, "[0]"), 1);
    let store = Store::open(&house(), dir.path()).unwrap();
    let path = store.record_path(&store.study.trials[0].id);
    let sound = fs::read(&path).unwrap();
    assert!(Record::read(&path).is_ok());
    for at in 0..sound.len() {
        let mut bytes = sound.clone();
        bytes[at] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert!(Record::read(&path).is_err(), "byte {at}");
    }
    fs::write(&path, &sound[..sound.len() - 1]).unwrap();
    assert!(Record::read(&path).is_err(), "cut");
}

#[test]
fn verification_runs_trials_again_and_finds_what_was_changed() {
    let dir = tempfile::tempdir().unwrap();
    let study = study("quick", 3, "[0, 1]");
    run(dir.path(), &study, 2);
    let store = Store::open(&house(), dir.path()).unwrap();
    let verdicts = |sample| -> Vec<Verdict> {
        let checks = verify(
            &house(),
            &store,
            sample,
            &options(2),
            &|_| Ok(()),
            &AtomicUsize::new(0),
            &mut |_| {},
        );
        checks.unwrap().trials.iter().map(|c| c.verdict).collect()
    };
    assert_eq!(verdicts(usize::MAX), [Verdict::Same; 4]);
    assert_eq!(verdicts(0), [Verdict::Intact; 4]);
    assert_eq!(
        verdicts(1).iter().filter(|v| **v == Verdict::Same).count(),
        1
    );

    // A forger who seals the record anew passes the digest, not the second run.
    let path = store.record_path(&study.trials[1].id);
    let mut forged = Record::read(&path).unwrap();
    let mut outcome: Outcome = forged.outcome.read().unwrap();
    outcome.error = 0.05;
    forged.outcome = Part::new("fake", &outcome);
    let forged = Record::seal(
        forged.spec,
        forged.outcome,
        forged.provenance,
        forged.timing,
    );
    fs::write(&path, forged.unwrap().to_json()).unwrap();
    // And one trial's record does not pass for another's.
    let other = store.record_path(&study.trials[3].id);
    fs::copy(store.record_path(&study.trials[2].id), &other).unwrap();
    let expected = [
        Verdict::Same,
        Verdict::Differs,
        Verdict::Same,
        Verdict::Damaged,
    ];
    assert_eq!(verdicts(usize::MAX), expected);
    fs::remove_file(&other).unwrap();
    assert_eq!(verdicts(0)[3], Verdict::Missing);
}

/// The fake learner runs on the CPU and knows no adapters: run again, its record names none.
#[test]
fn what_another_adapter_made_is_told_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let study = study("quick", 3, "[0]");
    run(dir.path(), &study, 1);
    let store = Store::open(&house(), dir.path()).unwrap();
    let made = |device: &str, error: f64| {
        let path = store.record_path(&study.trials[0].id);
        let mut record = Record::read(&path).unwrap();
        record.provenance.device = device.into();
        record.provenance.adapter = Some(Adapter {
            name: "Card".into(),
            driver: "driver 1.2".into(),
            compiler: "WGSL".into(),
        });
        let mut outcome: Outcome = record.outcome.read().unwrap();
        outcome.error += error;
        record.outcome = Part::new("fake", &outcome);
        let Record {
            spec,
            outcome,
            provenance,
            timing,
            ..
        } = record;
        let sealed = Record::seal(spec, outcome, provenance, timing).unwrap();
        fs::write(&path, sealed.to_json()).unwrap();
    };
    let verdict = |usable: &dyn Fn(&str) -> Result<(), String>| {
        let (options, stop) = (options(2), AtomicUsize::new(0));
        let found = verify(&house(), &store, 9, &options, usable, &stop, &mut |_| {});
        let check = found.unwrap().trials.remove(0);
        (check.verdict, check.note)
    };
    let there = |device| format!("made on {device} (Card, driver driver 1.2, WGSL), here");
    made("vulkan:0", 0.0);
    let absent = |device: &str| Err(format!("there is no device {device}"));
    let (found, note) = verdict(&absent);
    assert_eq!(found, Verdict::CannotTell);
    let expected = format!("{}: there is no device vulkan:0", there("vulkan:0"));
    assert_eq!(note, expected);
    made("cpu", 0.0);
    let (found, note) = verdict(&|_| Ok(()));
    let unlike = format!("{} cpu", there("cpu"));
    assert_eq!((found, &note), (Verdict::Same, &unlike));
    made("cpu", 0.5);
    let (found, note) = verdict(&|_| Ok(()));
    assert!(note.starts_with(&format!("{unlike}: ")), "{note}");
    assert_eq!(found, Verdict::Close);
    made("cpu", 5.0);
    assert_eq!(verdict(&|_| Ok(())).0, Verdict::CannotTell);
}
