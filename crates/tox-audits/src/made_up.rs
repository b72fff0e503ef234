//! Run folders of made-up records, for tests of every kind of study.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;
use tox_study::part::Part;
use tox_study::record::{Provenance, Record, Timing};
use tox_study::spec::TrialSpec;
use tox_study::store::Failure;

pub use crate::REPORTS;

/// A part with every key of `T` resolved.
pub fn part<T: Serialize + DeserializeOwned>(written: serde_json::Value) -> Part {
    let part: Part = serde_json::from_value(written).unwrap();
    Part::new(&part.kind, &part.read::<T>().unwrap())
}

/// Changes a part as the structure that it is.
pub fn edit<T: Serialize + DeserializeOwned>(part: &mut Part, how: impl FnOnce(&mut T)) {
    let mut typed: T = part.read().unwrap();
    how(&mut typed);
    *part = Part::new(&part.kind, &typed);
}

/// A fixed pseudo-random number in [0, 1) for a key.
pub fn noise(key: u64) -> f64 {
    let mut x = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d;
    for _ in 0..3 {
        x ^= x >> 33;
        x = x.wrapping_mul(0xff51_afd7_ed55_8ccd);
    }
    (x >> 11) as f64 / (1u64 << 53) as f64
}

/// A record of a trial that measured `outcome`.
pub fn seal(spec: &TrialSpec, outcome: Part) -> Record {
    let provenance = Provenance {
        toxscreen: "0.1.0".into(),
        data_hash: "5f1d".repeat(16),
        data_notes: vec!["this copy of cifar10 is synthetic".into()],
        device: "cpu".into(),
        threads: 1,
        platform: "linux x86_64".into(),
        simd: "avx512".into(),
    };
    let timing = Timing {
        started_unix: 1_700_000_000,
        seconds: 61.5,
        resumed: 0,
    };
    Record::seal(spec.clone(), outcome, provenance, timing).unwrap()
}

/// Writes a record with a fresh digest.
pub fn reseal(path: &Path, r: Record) {
    let record = Record::seal(r.spec, r.outcome, r.provenance, r.timing).unwrap();
    std::fs::write(path, record.to_json()).unwrap();
}

/// Writes a run folder; `state` says of a trial (by its place in the plan) whether it is done
/// (0), failed (1) or missing (2).
pub fn write(
    dir: &Path,
    head: &str,
    specs: &[TrialSpec],
    record: impl Fn(&TrialSpec) -> Record,
    state: impl Fn(usize) -> u8,
) {
    std::fs::create_dir_all(dir).unwrap();
    std::fs::write(dir.join("study.toml"), head).unwrap();
    let mut plan = String::new();
    for (i, spec) in specs.iter().enumerate() {
        let id = tox_study::plan::trial_id(spec);
        plan += &serde_json::json!({"trial": id, "spec": spec}).to_string();
        plan.push('\n');
        let trial = dir.join("trials").join(&id);
        std::fs::create_dir_all(&trial).unwrap();
        let (name, text) = match state(i) {
            0 => ("record.json", record(spec).to_json()),
            1 => {
                let failure = Failure {
                    trial: id,
                    message: "killed <b>".into(),
                    exit_code: Some(137),
                    stderr: Vec::new(),
                };
                ("failure.json", failure.to_json())
            }
            _ => continue,
        };
        std::fs::write(trial.join(name), text).unwrap();
    }
    std::fs::write(dir.join("plan.jsonl"), plan).unwrap();
}

/// A file's text.
pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// Tags that HTML never closes.
const VOID: [&str; 3] = ["meta", "br", "!DOCTYPE"];

/// Panics unless every tag is closed in order.
pub fn assert_balanced(html: &str) {
    let mut open: Vec<String> = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        let end = at + rest[at..].find('>').unwrap();
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        let name = tag
            .trim_start_matches('/')
            .split([' ', '\n', '/'])
            .next()
            .unwrap();
        if VOID.contains(&name) || tag.ends_with('/') {
            continue;
        }
        if tag.starts_with('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "before {:.80}", rest);
        } else {
            open.push(name.to_owned());
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
}

/// Panics if the page would load something.
pub fn assert_offline(html: &str) {
    for outside in [
        "http://", "https://", "src=", "<link", "url(", "@import", "<script",
    ] {
        assert!(!html.contains(outside), "{outside} in the page");
    }
}
