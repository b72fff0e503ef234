//! Where the numbers of a report come from.

use crate::run::Run;
use serde::Serialize;
use tox_data::spec::SplitKind;
use tox_study::record::Record;

/// A fact about where the numbers come from.
#[derive(Debug, PartialEq, Serialize)]
pub struct Fact {
    /// What.
    pub key: &'static str,
    /// All values that occur.
    pub value: String,
}

impl Fact {
    /// All values that occur, sorted.
    pub fn distinct(key: &'static str, values: impl Iterator<Item = String>) -> Self {
        let mut values: Vec<String> = values.collect();
        values.sort();
        values.dedup();
        Self {
            key,
            value: values.join(", "),
        }
    }
}

/// Versions, hashes, devices, seeds and time of the trials that are done.
pub fn facts(run: &Run) -> Vec<Fact> {
    let records: Vec<_> = run.trials.iter().filter_map(|t| t.record()).collect();
    let distinct =
        |key, of: fn(&Record) -> String| Fact::distinct(key, records.iter().map(|r| of(r)));
    let seconds: f64 = records.iter().map(|r| r.timing.seconds).sum();
    let resumed: u32 = records.iter().map(|r| r.timing.resumed).sum();
    let mut seeds: Vec<u64> = run.trials.iter().map(|t| t.spec.seed).collect();
    seeds.sort_unstable();
    seeds.dedup();
    let seeds: Vec<String> = seeds.iter().map(u64::to_string).collect();
    vec![
        distinct("toxscreen", |r| r.provenance.toxscreen.clone()),
        distinct(
            "Data set and blake3 of its pixels, labels and splits",
            |r| {
                // A random split is another for each seed.
                let split = match r.spec.data.split {
                    SplitKind::Random => format!(" seed {}", r.spec.seed),
                    SplitKind::Official => String::new(),
                };
                format!("{}{split} {}", r.spec.data.dataset, r.provenance.data_hash)
            },
        ),
        distinct("Notes on the data", |r| r.provenance.data_notes.join("; ")),
        distinct("Device", |r| r.provenance.place()),
        distinct("Threads a trial", |r| r.provenance.threads.to_string()),
        distinct("Instruction set", |r| r.provenance.simd.clone()),
        distinct("Platform", |r| r.provenance.platform.clone()),
        Fact {
            key: "Seeds",
            value: seeds.join(", "),
        },
        Fact {
            key: "Time, all trials added up",
            value: duration(seconds),
        },
        Fact {
            key: "Resumed",
            value: format!("{resumed} times"),
        },
    ]
}

/// Seconds for people.
fn duration(seconds: f64) -> String {
    let s = seconds.max(0.0).round() as u64;
    match (s / 3600, s / 60 % 60, s % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn durations_read_well() {
        assert_eq!(super::duration(59.6), "1 min 0 s");
        assert_eq!(super::duration(7_260.0), "2 h 1 min");
        assert_eq!(super::duration(-1.0), "0 s");
    }
}
