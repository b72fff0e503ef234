//! What a study did differently from the paper, and where its numbers come from.

use crate::cells::{Cell, config, policy_name};
use crate::run::Run;
use serde::Serialize;
use serde_json::Value;
use std::f64::consts::PI;
use tox_search::enas::config::{
    ChildConfig, ControllerConfig, EnasConfig, Pointwise, RewardGradient, SecondStep,
};
use tox_study::spec::TrialSpec;

/// A setting that differs.
#[derive(Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Dotted key, as in a recipe.
    pub key: String,
    /// The paper's value.
    pub paper: String,
    /// Ours, all that occur.
    pub ours: String,
    /// The cells concerned; empty for all.
    pub cells: String,
}

/// What the paper ran. Its code has one group a channel in the 1x1 conv of separable convs, drops
/// the LSTM state after a layer's second step, and differentiates the entropy in the reward. On
/// CIFAR-100 it searched for 150 epochs.
fn paper_config(dataset: &str) -> EnasConfig {
    let epochs = if dataset == "cifar100" { 150 } else { 300 };
    EnasConfig {
        child: ChildConfig {
            epochs,
            pointwise: Pointwise::Reference,
            ..ChildConfig::default()
        },
        controller: ControllerConfig {
            second_step: SecondStep::Dropped,
            reward_gradient: RewardGradient::Entropy,
            ..ControllerConfig::default()
        },
        ..EnasConfig::default()
    }
}

/// Leaves of a JSON tree with dotted keys.
fn leaves(prefix: &str, value: &Value, out: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let dot = if prefix.is_empty() { "" } else { "." };
                leaves(&format!("{prefix}{dot}{key}"), value, out);
            }
        }
        Value::String(text) => out.push((prefix.to_owned(), text.clone())),
        other => out.push((prefix.to_owned(), other.to_string())),
    }
}

fn learner(config: &EnasConfig) -> Vec<(String, String)> {
    let mut out = Vec::new();
    if let Ok(value) = serde_json::to_value(config) {
        leaves("learner", &value, &mut out);
    }
    out
}

fn data(spec: &TrialSpec) -> Vec<(String, String)> {
    let d = &spec.data;
    let all = |n: Option<usize>| n.map_or("all".to_owned(), |n| n.to_string());
    let side = d.resize.map_or("as it is".to_owned(), |s| s.to_string());
    let mut out = [
        ("dataset", d.dataset.clone()),
        ("train", all(d.train)),
        ("valid", d.valid.to_string()),
        ("test", all(d.test)),
        ("resize", side),
        ("augment.crop", d.augment.crop.to_string()),
        ("augment.flip", d.augment.flip.to_string()),
        ("augment.cutout", d.augment.cutout.to_string()),
        ("augment.valid", d.augment.valid.to_string()),
    ]
    .map(|(key, value)| (format!("data.{key}"), value))
    .to_vec();
    if d.rgb {
        out.push(("data.rgb".to_owned(), "true".to_owned()));
    }
    out
}

/// The learning rate of the last epoch in which a cell's search trained, from its first record; and
/// the paper's. The schedule has no restart, so the end of a search may lie near the maximum.
fn last_lr(cell: &Cell, paper: &ChildConfig) -> Option<(String, String, String)> {
    let ours = cell.records().find_map(|r| r.outcome.epochs.last())?.lr;
    let turn = (paper.epochs - 1) as f64 / paper.lr_period as f64;
    let above = (1.0 + (PI * turn).cos()) / 2.0;
    let paper = paper.lr_min + (paper.lr_max - paper.lr_min) * above;
    let show = |lr: f64| format!("{lr:.4}");
    Some((
        "learning rate of the last epoch".to_owned(),
        show(ours),
        show(paper),
    ))
}

/// The paper's side of [`data`].
fn paper_data(key: &str, dataset: &str) -> &'static str {
    match key {
        "data.dataset" if dataset == "cifar100" => "cifar100",
        "data.rgb" => "false",
        "data.dataset" => "cifar10",
        "data.train" => "45000",
        "data.valid" => "5000",
        "data.test" => "all",
        "data.resize" => "as it is",
        "data.augment.crop" => "4",
        "data.augment.cutout" => "0",
        _ => "true",
    }
}

/// All settings in which some planned trial differs from the paper.
pub fn differences(cells: &[Cell]) -> Vec<Difference> {
    let mut rows: Vec<(String, String, Vec<String>, Vec<&str>)> = Vec::new();
    for cell in cells {
        let dataset = &cell.spec().data.dataset;
        let config_then = paper_config(dataset);
        let lr = last_lr(cell, &config_then.child);
        let ours = learner(config(cell.spec()));
        let learner = ours.into_iter().zip(learner(&config_then));
        let learner = learner.map(|((key, ours), (_, paper))| (key, ours, paper));
        let data = data(cell.spec()).into_iter().map(|(key, ours)| {
            let mut paper = paper_data(&key, dataset);
            // "all that `valid` leaves" of CIFAR is what the paper has.
            if key == "data.train" && ours == "all" && cell.spec().data.valid == 5000 {
                paper = "all";
            }
            (key, ours, paper.to_owned())
        });
        for (key, ours, paper) in data.chain(learner).chain(lr) {
            if ours == paper {
                continue;
            }
            let at = match rows.iter().position(|r| r.0 == key && r.1 == paper) {
                Some(at) => at,
                None => {
                    rows.push((key, paper, Vec::new(), Vec::new()));
                    rows.len() - 1
                }
            };
            if !rows[at].2.contains(&ours) {
                rows[at].2.push(ours);
            }
            rows[at].3.push(&cell.name);
        }
    }
    rows.into_iter()
        .map(|(key, paper, ours, names)| Difference {
            key,
            paper,
            ours: ours.join(", "),
            cells: if names.len() == cells.len() {
                String::new()
            } else {
                names.join(", ")
            },
        })
        .collect()
}

/// A fact about where the numbers come from.
#[derive(Debug, PartialEq, Serialize)]
pub struct Fact {
    /// What.
    pub key: &'static str,
    /// All values that occur.
    pub value: String,
}

/// Versions, hashes, devices, seeds and time of the trials that are done.
pub fn provenance(run: &Run) -> Vec<Fact> {
    let records: Vec<_> = run.trials.iter().filter_map(|t| t.record()).collect();
    let distinct = |key: &'static str, of: &dyn Fn(&crate::run::Record) -> String| {
        let mut values: Vec<String> = records.iter().map(|r| of(r)).collect();
        values.sort();
        values.dedup();
        Fact {
            key,
            value: values.join(", "),
        }
    };
    let seconds: f64 = records.iter().map(|r| r.timing.seconds).sum();
    let resumed: u32 = records.iter().map(|r| r.timing.resumed).sum();
    let mut seeds: Vec<u64> = run.trials.iter().map(|t| t.spec.seed).collect();
    seeds.sort_unstable();
    seeds.dedup();
    let seeds: Vec<String> = seeds.iter().map(u64::to_string).collect();
    vec![
        distinct("toxscreen", &|r| r.provenance.toxscreen.clone()),
        distinct(
            "Data set and blake3 of its pixels, labels and splits",
            &|r| format!("{} {}", r.spec.data.dataset, r.provenance.data_hash),
        ),
        distinct("Notes on the data", &|r| r.provenance.data_notes.join("; ")),
        distinct("Device", &|r| r.provenance.device.clone()),
        distinct("Threads a trial", &|r| r.provenance.threads.to_string()),
        distinct("Instruction set", &|r| r.provenance.simd.clone()),
        distinct("Platform", &|r| r.provenance.platform.clone()),
        distinct("NaN policies", &|r| {
            policy_name(config(&r.spec).child.nan_policy).to_owned()
        }),
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
