//! One flipped bit anywhere in a study's folder is noticed by the next command that reads it, or is
//! without effect.

use super::{Restored, copy, finished, toxscreen};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// All files below a folder that are not empty, sorted.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if fs::metadata(&path).is_ok_and(|file| file.len() > 0) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A fixed stream of numbers.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) as usize % end
    }
}

/// Flips `count` bits of files of a finished study with a failed trial beside it, one at a time, as many
/// in each file; returns those that nobody spoke of.
fn silent(count: usize) -> Vec<String> {
    let made = finished();
    let at = made.path();
    let study = at.join("s");
    // A trial that failed has a file of its own.
    let failed = super::trials(&study)[0].clone();
    fs::remove_file(failed.join("record.json")).unwrap();
    fs::write(failed.join("failure.json"), failure()).unwrap();
    toxscreen(at, "report s").must(0, &[]);
    let before = toxscreen(at, "verify s --no-rerun").all();
    let paths = files(&study);
    let mut numbers = Numbers(1);
    let mut said: BTreeMap<String, usize> = BTreeMap::new();
    let mut silent = Vec::new();
    for i in 0..count {
        let path = &paths[i % paths.len()];
        let sound = fs::read(path).unwrap();
        let mut bytes = sound.clone();
        let bit = numbers.below(8 * bytes.len());
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(path, &bytes).unwrap();
        let verify = toxscreen(at, "verify s --no-rerun");
        let name = path.file_name().unwrap().to_str().unwrap();
        // It ends as before, and says the same, only where nothing was noticed.
        let noticed = verify.all() != before && verify.all().contains(name);
        let known = verify.code == 1 || name == "events.jsonl";
        if noticed && known {
            *said.entry(name.to_owned()).or_default() += 1;
        } else {
            silent.push(format!("bit {bit} of {}: {}", path.display(), verify.all()));
        }
        fs::write(path, sound).unwrap();
    }
    println!("noticed: {said:?}");
    silent
}

fn failure() -> String {
    tox_study::store::Failure {
        trial: "x".into(),
        message: "the disk is full".into(),
        exit_code: Some(1),
        stderr: vec!["error: the disk is full".into()],
    }
    .to_json()
}

#[test]
fn a_flipped_bit_is_noticed() {
    let silent = silent(40);
    assert!(silent.is_empty(), "{}", silent.join("\n"));
}

#[test]
#[ignore = "a minute: 1,000 bits, one at a time"]
fn a_thousand_flipped_bits_are_noticed() {
    let silent = silent(1000);
    assert!(silent.is_empty(), "{}", silent.join("\n"));
}

/// Commands that do not verify read less, and say what is wrong with that.
#[test]
fn each_command_speaks_of_what_it_reads() {
    let made = Restored::finished();
    let trial = super::trials(&made.again().join("s"))[0].clone();
    for (file, words, code, part) in [
        (
            "s/study.toml",
            "run r.toml --out s",
            1,
            "study.toml was changed",
        ),
        ("s/study.toml", "status s", 1, "study.toml was changed"),
        ("s/study.toml", "report s", 1, "study.toml was changed"),
        (
            "s/plan.jsonl",
            "run r.toml --out s",
            0,
            "plan.jsonl was not",
        ),
        ("s/plan.jsonl", "report s", 0, "plan.jsonl was not"),
        ("record.json", "run r.toml --out s", 1, "record.json"),
        ("record.json", "report s", 1, "record.json"),
        ("record.json", "status s", 0, "record.json"),
        ("events.jsonl", "status s", 0, "events.jsonl"),
    ] {
        let at = made.again();
        let path = match file.starts_with("s/") {
            true => at.join(file),
            false => trial.join(file),
        };
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).unwrap();
        toxscreen(at, words).must(code, &[part]);
    }
}

/// Outcomes by trial.
fn outcomes(study: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for trial in super::trials(study) {
        let Ok(text) = fs::read_to_string(trial.join("record.json")) else {
            continue;
        };
        let record: serde_json::Value = serde_json::from_str(&text).unwrap();
        let name = trial.file_name().unwrap().into();
        found.insert(name, record["outcome"].to_string());
    }
    found
}

/// Flips `count` bits of `files` of an unfinished study, one at a time, and goes on with it; returns those
/// that were neither spoken of nor without effect on the outcomes, which are to be `right`.
fn silent_when_resumed(
    at: &Path,
    files: &[PathBuf],
    right: &BTreeMap<PathBuf, String>,
    count: usize,
) -> Vec<String> {
    let mut numbers = Numbers(2);
    let mut silent = Vec::new();
    assert!(!files.is_empty());
    for i in 0..count {
        let path = &files[i % files.len()];
        let _ = fs::remove_dir_all(at.join("again"));
        copy(&at.join("s"), &at.join("again"));
        let path = at.join("again").join(path);
        let mut bytes = fs::read(&path).unwrap();
        let bit = numbers.below(8 * bytes.len());
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, bytes).unwrap();
        let said = toxscreen(at, "run r.toml --out again");
        let name = path.file_name().unwrap().to_str().unwrap();
        let noticed = said.code != 0 && said.all().contains(name);
        if !noticed && outcomes(&at.join("again")) != *right {
            silent.push(format!("bit {bit} of {}: {}", path.display(), said.all()));
        }
    }
    silent
}

/// Files below `s` whose names hold `part`, relative to it.
fn below(at: &Path, part: &str) -> Vec<PathBuf> {
    let s = at.join("s");
    let all = files(&s).into_iter();
    let all = all.map(|path| path.strip_prefix(&s).unwrap().to_owned());
    all.filter(|path| path.to_str().unwrap().contains(part))
        .collect()
}

/// A trial that is stopped with a checkpoint.
fn resumed(count: usize) -> Vec<String> {
    let recipe = super::RECIPE
        .replace("hyperiterations = 2", "hyperiterations = 3000")
        .replace("seeds = [0, 1]", "seeds = [0]");
    let dir = super::scene(&recipe);
    let at = dir.path();
    toxscreen(at, "run r.toml --out calm").must(0, &[]);
    let mut run = std::process::Command::new(super::PROGRAM)
        .args(["run", "r.toml", "--out", "s", "--jobs", "1"])
        .env("TOXSCREEN_CHECKPOINT_SECONDS", "0")
        .current_dir(at)
        .stderr(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while !at.join("s/trials").is_dir() || below(at, "/checkpoint").is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(5));
        assert!(
            run.try_wait().unwrap().is_none(),
            "it ended before it was stopped"
        );
    }
    run.kill().unwrap();
    run.wait().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(500));
    let right = outcomes(&at.join("calm"));
    assert_eq!(right.len(), 2);
    silent_when_resumed(at, &below(at, "/checkpoint"), &right, count)
}

/// A trial that needs what others made in `shared/`.
fn shared(count: usize) -> Vec<String> {
    let dir = super::scene(GC);
    let at = dir.path();
    toxscreen(at, "run r.toml --out s").must(0, &["1 of 1 trials done"]);
    let right = outcomes(&at.join("s"));
    fs::remove_dir_all(&super::trials(&at.join("s"))[0]).unwrap();
    let files: Vec<_> = below(at, "shared/");
    silent_when_resumed(at, &files, &right, count)
}

#[test]
fn a_flipped_bit_of_what_is_resumed_is_noticed() {
    let mut silent = resumed(6);
    silent.extend(shared(6));
    assert!(silent.is_empty(), "{}", silent.join("\n"));
}

#[test]
#[ignore = "minutes: 300 bits of checkpoints and of what trials share"]
fn three_hundred_flipped_bits_of_what_is_resumed_are_noticed() {
    let mut silent = resumed(150);
    silent.extend(shared(150));
    assert!(silent.is_empty(), "{}", silent.join("\n"));
}

const GC: &str = r#"
name = "gc"
seeds = [3]
[data]
dataset = "digits"
valid = 700
test = 100
[learner]
kind = "nas"
search = "te-nas"
evaluate = "none"
te-nas = { batch = 6, repeats = 1, region_batches = 1, region_crops = 50 }
[[cell]]
label = "gc"
[cell.threat]
kind = "gc"
budget = 0.1
radius = 0.1
cancelling = { iterations = 2 }
victim = { channels = 2, cells = 1, fit = { epochs = 1 } }
"#;
