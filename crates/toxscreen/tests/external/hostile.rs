//! Learners that break every rule: each gives one clear message, and leaves the study usable.

use super::*;
use std::time::Instant;

/// What a learner does, and what its message says.
const HOSTILE: [(&str, &[&str]); 21] = [
    (
        "sh:echo '{rubbish' > out/result.json",
        &["is not an answer", "predictions"],
    ),
    (
        "sh:echo '{}' > out/result.json",
        &["missing field `predictions`"],
    ),
    ("sh:echo done", &["wrote no out/result.json", "done"]),
    (
        "sh:sleep 600",
        &["after 2 s, its `timeout`", "raise `timeout`"],
    ),
    (
        "sh:trap '' TERM; echo deaf >&2; while :; do sleep 0.1; done",
        &["its `timeout`", "deaf"],
    ),
    (
        "sh:echo first >&2; echo the reason >&2; exit 7",
        &["exit code 7", "the reason"],
    ),
    ("sh:kill -9 $$", &["signal 9"]),
    (
        "sh:echo too few rows >&2; exit 3",
        &["the data are unfit", "too few rows"],
    ),
    ("sh:exit 75", &["exit code 75", "was not"]),
    (
        "sh:echo '{\"predictions\": \"../train.y.npy\"}' > out/result.json",
        &["../train.y.npy", "without `..`"],
    ),
    (
        "sh:echo '{\"predictions\": \"/etc/passwd\"}' > out/result.json",
        &["/etc/passwd", "not absolute"],
    ),
    (
        "sh:ln -s /etc/passwd out/p.npy; echo '{\"predictions\": \"p.npy\"}' > out/result.json",
        &["no symbolic link"],
    ),
    (
        "sh:ln -s /dev/zero out/result.json",
        &["is not an answer", "it is no file"],
    ),
    ("sh:rm -rf ../work/* *", &["wrote no out/result.json"]),
    ("sh:truncate -s 1T out/result.json", &["bytes, at most"]),
    ("nan", &["its value 0 is NaN", "finite scores"]),
    ("shape", &["its shape is (99)", "100 classes from 0 to 9"]),
    ("class", &["it has 10, which is no class"]),
    ("half", &["it has 0.5, which is no class"]),
    ("huge", &["bytes, at most"]),
    ("claim", &["97.3 is no accuracy: expected 0 to 1"]),
];

fn command_line(what: &str) -> String {
    match what.strip_prefix("sh:") {
        Some(script) => command_of(&["/bin/sh", "-c", script]),
        None => own(&[what]),
    }
}

#[test]
fn hostile_learners_fail_their_trial_and_nothing_else() {
    for (what, says) in HOSTILE {
        let dir = tempfile::tempdir().unwrap();
        let keys = format!("{}\ntimeout = \"2s\"\ncontrol = false", command_line(what));
        recipe(dir.path(), &keys, CLEAN);
        let begun = Instant::now();
        let ran = command(dir.path(), &RUN)
            .env("TMPDIR", dir.path())
            .output()
            .unwrap();
        let said = text(&ran.stderr);
        let code = if what.ends_with("exit 3") { 3 } else { 1 };
        assert_eq!(ran.status.code(), Some(code), "{what}: {said}");
        let error: Vec<&str> = said.lines().filter(|l| l.starts_with("error:")).collect();
        assert_eq!(error.len(), 1, "{what}: {said}");
        for word in says {
            assert!(
                error[0].contains(word),
                "{what}: expected {word:?} in {said}"
            );
        }
        assert!(begun.elapsed().as_secs() < 20, "{what} took long");
        // The study is whole: its failure is told, and a learner that behaves would go on with it.
        let status = toxscreen(dir.path(), &["status", "out"]);
        assert!(
            text(&status.stdout).contains("failed"),
            "{what}: {}",
            text(&status.stdout)
        );
        assert!(
            toxscreen(dir.path(), &["verify", "out", "--no-rerun"])
                .status
                .code()
                != Some(70)
        );
    }
}

/// A version that cannot be told is told before the search, within the learner's own limit of time.
#[test]
fn a_version_that_hangs_costs_no_search() {
    let dir = tempfile::tempdir().unwrap();
    let searched = dir.path().join("searched");
    let script = format!("touch {}", searched.display());
    let command = command_of(&["/bin/sh", "-c", &script]);
    let keys = format!("{command}\ntimeout = \"2s\"\nversion = [\"sleep\", \"600\"]");
    recipe(dir.path(), &keys, CLEAN);
    let ran = toxscreen(dir.path(), &RUN);
    let said = text(&ran.stderr);
    assert_eq!(ran.status.code(), Some(1), "{said}");
    assert!(said.contains("after 2 s, its `timeout`"), "{said}");
    assert!(!searched.exists(), "it was searched first");
}

/// Output without end fills no memory and holds up nothing.
#[test]
fn a_flood_is_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    recipe(dir.path(), &own(&["flood"]), CLEAN);
    done(dir.path(), &RUN);
}

/// A learner that claims another choice than the one that it was asked to train.
#[test]
fn a_choice_that_is_not_obeyed_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let keys = format!("{}\nretrain = true", own(&["choice"]));
    recipe(
        dir.path(),
        &keys,
        "[[cell]]\nlabel = \"rlf\"\nthreat = { kind = \"rlf\", budget = 0.1 }\n",
    );
    // What it answers in the search is what it is asked to train, so that the default is needed.
    let keys = format!("{keys}\ndefault = {{ shrink = 0.0 }}");
    recipe(dir.path(), &keys, CLEAN);
    let ran = toxscreen(dir.path(), &RUN);
    let said = text(&ran.stderr);
    assert_eq!(ran.status.code(), Some(1));
    assert!(said.contains("does not obey the phase `train`"), "{said}");
}

/// What a learner leaves running is ended with it.
#[test]
fn what_it_started_ends_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let pid = dir.path().join("pid");
    let keys = behind(&format!("sleep 397 & echo $! > {}", pid.display()));
    recipe(dir.path(), &keys, CLEAN);
    done(dir.path(), &RUN);
    let pid = fs::read_to_string(pid).unwrap();
    let gone = || {
        let state = fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
        state.map_or(true, |state| state.contains(") Z"))
    };
    for _ in 0..50 {
        if gone() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("the sleeper {pid} still runs");
}
