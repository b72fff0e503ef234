//! What a study did differently from the paper.

use super::cells::Cell;
use crate::report_facts::evasion;
use tox_report::settings::{Difference, Differences, data, leaves};
use tox_robust::threat::EvasionThreat;
use tox_robust::training::TrainingConfig;

/// Settings in which some planned trial differs. What the paper leaves open is not among them.
pub fn differences(cells: &[Cell]) -> Vec<Difference> {
    let mut out = Differences::default();
    for cell in cells {
        for (key, ours, paper) in of(cell) {
            out.add(key, ours, paper, &cell.name);
        }
    }
    out.finish(cells.len())
}

/// Key, our value and the paper's.
fn of(cell: &Cell) -> Vec<(String, String, String)> {
    let (spec, config) = (cell.spec(), cell.config);
    let mut out = Vec::new();
    let mut add = |key: &str, ours: String, paper: &str| {
        out.push((key.to_owned(), ours, paper.to_owned()));
    };
    for (key, ours) in data(&spec.data) {
        match key.as_str() {
            "data.train" => add(&key, ours, "all"),
            "data.resize" => add(&key, ours, "as it is"),
            "data.dataset" if !["cifar10", "cifar100"].contains(&ours.as_str()) => {
                add(&key, ours, "cifar10, cifar100, tiny-imagenet");
            }
            _ => {}
        }
    }
    if config.teacher.base != 16 {
        add(
            "channels of the teacher’s stem",
            config.teacher.base.to_string(),
            "16",
        );
    }
    if let Some(threat) = &evasion(spec) {
        let usual = EvasionThreat::new(threat.attack.clone());
        for key in ["epsilon", "norm"] {
            let of = |t: &EvasionThreat| {
                let all = leaves("", t).into_iter();
                let mut found = all.filter(|(k, _)| k == key);
                found.next().map_or(String::new(), |(_, value)| value)
            };
            let ours = match (key, threat.epsilon) {
                ("epsilon", epsilon) => pixels(epsilon),
                _ => of(threat),
            };
            let paper = match key {
                "epsilon" => pixels(usual.epsilon),
                _ => of(&usual),
            };
            add(&format!("threat.{key}"), ours, &paper);
        }
    }
    match &config.table {
        Some(_) => add(
            "learner.table",
            "candidates are looked up".to_owned(),
            "candidates are trained",
        ),
        None => {
            let published = leaves("", &TrainingConfig::default());
            for (key, ours) in leaves("", &config.candidate.training) {
                let paper = published.iter().find(|(k, _)| *k == key);
                let paper = paper.map_or("not set", |(_, value)| value);
                add(&format!("learner.candidate.training.{key}"), ours, paper);
            }
            if config.candidate.warm {
                add(
                    "learner.candidate.warm",
                    "begins with weights of the teacher".to_owned(),
                    "trained anew",
                );
            }
        }
    }
    out
}

/// A radius in 255ths.
fn pixels(epsilon: f64) -> String {
    let pixels = (epsilon * 255.0 * 1e4).round() / 1e4;
    format!("{pixels}/255")
}
