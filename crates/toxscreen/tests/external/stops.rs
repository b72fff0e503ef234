//! Stops and kills at any moment: the runner, the trial, the learner. The same command goes on, and ends
//! with the same table.

use super::*;
use std::process::Child;
use std::time::{Duration, Instant};

const TWO_JOBS: [&str; 7] = [
    "run",
    "own.toml",
    "--out",
    "out",
    "--allow-commands",
    "--jobs",
    "2",
];

fn setting() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let cells = "[[cell]]\nlabel = \"clean\"\n\
        [[cell]]\nlabel = \"rlf\"\nthreat = { kind = \"rlf\", budget = 0.4 }\n";
    recipe(dir.path(), &own(&["slow"]), cells);
    dir
}

fn table(dir: &Path) -> String {
    fs::read_to_string(dir.join("out/results.csv")).unwrap()
}

fn start(dir: &Path) -> Child {
    let mut command = command(dir, &TWO_JOBS);
    command
        .env("TMPDIR", dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().unwrap()
}

/// Processes below one, itself first.
fn family(of: u32) -> Vec<u32> {
    let mut all = vec![of];
    let mut at = 0;
    while at < all.len() {
        let path = format!("/proc/{0}/task/{0}/children", all[at]);
        // The learner is started by the trial's main thread.
        let below = fs::read_to_string(path).unwrap_or_default();
        all.extend(
            below
                .split_whitespace()
                .filter_map(|pid| pid.parse::<u32>().ok()),
        );
        let threads = fs::read_dir(format!("/proc/{}/task", all[at]));
        for thread in threads.into_iter().flatten().flatten() {
            let below = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            for pid in below
                .split_whitespace()
                .filter_map(|pid| pid.parse::<u32>().ok())
            {
                if !all.contains(&pid) {
                    all.push(pid);
                }
            }
        }
        at += 1;
    }
    all
}

fn signal(pid: u32, name: &str) {
    let _ = Command::new("kill")
        .args([name, &pid.to_string()])
        .stderr(Stdio::null())
        .status();
}

/// Kills `whom` (0 the runner, 1 a trial, 2 a learner) after `wait`, until the study ends by itself.
fn killed(dir: &Path, kills: usize, name: &str) {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut draw = |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    for i in 0..kills {
        let mut child = start(dir);
        std::thread::sleep(Duration::from_millis(50 + draw(450)));
        let family = family(child.id());
        let whom = match i % 3 {
            0 => 0,
            1 => 1.min(family.len() - 1),
            _ => family.len() - 1,
        };
        signal(family[whom], name);
        if whom != 0 {
            // The runner goes on with the other trials, or ends.
            std::thread::sleep(Duration::from_millis(draw(300)));
            signal(child.id(), "-INT");
        }
        let begun = Instant::now();
        while child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < Duration::from_secs(60), "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
        // Nobody outlives their parents for long.
        for pid in family {
            let begun = Instant::now();
            while Path::new(&format!("/proc/{pid}/exe")).exists() {
                assert!(begun.elapsed() < Duration::from_secs(45), "{pid} lives on");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
    let ran = command(dir, &TWO_JOBS).env("TMPDIR", dir).output().unwrap();
    assert!(ran.status.success(), "{}", text(&ran.stderr));
}

fn ends_as_undisturbed(kills: usize, name: &str) {
    let undisturbed = setting();
    done(undisturbed.path(), &TWO_JOBS);
    let disturbed = setting();
    killed(disturbed.path(), kills, name);
    assert_eq!(table(undisturbed.path()), table(disturbed.path()));
    // Their folders are gone, whoever died.
    let left = fs::read_dir(disturbed.path()).unwrap().flatten();
    let left: Vec<_> = left
        .filter(|entry| {
            entry
                .file_name()
                .to_string_lossy()
                .starts_with("toxscreen-")
        })
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn kills_change_nothing() {
    ends_as_undisturbed(6, "-KILL");
}

#[test]
fn stops_change_nothing() {
    ends_as_undisturbed(3, "-TERM");
}

#[test]
#[ignore = "half a minute: fifty kills of runner, trial and learner"]
fn fifty_kills_change_nothing() {
    ends_as_undisturbed(50, "-KILL");
}
