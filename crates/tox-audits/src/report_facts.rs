//! What reports ask of threats and defences.

use serde::de::DeserializeOwned;
use tox_robust::evaluation::Evaluation;
use tox_robust::threat::EvasionThreat;
use tox_study::part::Part;
use tox_study::spec::{Surface, TrialSpec};

/// The threat on a surface, if it is of a kind.
pub fn threat<T: DeserializeOwned>(spec: &TrialSpec, surface: Surface, kind: &str) -> Option<T> {
    let threat = spec.threat.get(surface).filter(|t| t.kind == kind)?;
    threat.read().ok()
}

/// The attack on the inputs of the finished model.
pub fn evasion(spec: &TrialSpec) -> Option<EvasionThreat> {
    threat(spec, Surface::Inputs, "evasion")
}

/// Accuracy under the worst attack of an evaluation.
pub fn worst(attacked: Option<&Evaluation>) -> Option<f64> {
    let all = attacked?.attacks.iter().map(|attack| attack.accuracy);
    all.reduce(f64::min)
}

/// The kind of a part as a table has it.
pub fn kind(part: Option<&Part>) -> String {
    part.map_or("none", |p| &p.kind).to_owned()
}

/// The kinds of all defences, as a table has them.
pub fn defences(spec: &TrialSpec) -> String {
    let kinds: Vec<&str> = spec.defence.all().map(|d| d.kind.as_str()).collect();
    match kinds.is_empty() {
        true => "none".to_owned(),
        false => kinds.join("+"),
    }
}
