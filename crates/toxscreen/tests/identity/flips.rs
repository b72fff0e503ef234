//! One flipped bit anywhere in a study's folder is noticed by the next command that reads it, or is
//! without effect.

use super::{copy, finished, toxscreen};
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
        } else if fs::metadata(&path).unwrap().len() > 0 {
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
    let made = finished();
    let scene = tempfile::tempdir().unwrap();
    let at = scene.path();
    let id = super::trials(&made.path().join("s"))[0].clone();
    let trial = id.strip_prefix(made.path()).unwrap().to_owned();
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
        let _ = fs::remove_dir_all(at.join("s"));
        copy(made.path(), at);
        let path = match file.starts_with("s/") {
            true => at.join(file),
            false => at.join(&trial).join(file),
        };
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).unwrap();
        toxscreen(at, words).must(code, &[part]);
    }
}
