//! What is registered, and what composes with what, as the engine itself answers.

use std::collections::BTreeMap;
use std::fmt::Write;
use tox_audits::HOUSE;
use tox_audits::network::architectures::ARCHITECTURES;
use tox_data::spec::DataSpec;
use tox_robust::attacks::KINDS;
use tox_study::part::Part;
use tox_study::spec::{Defences, Judge, Surface, Threats, TrialSpec, VERSION};

/// A table of the learners and the surfaces that they have.
pub fn learners() -> String {
    let mut out = String::from("| kind | surfaces |\n|---|---|\n");
    for learner in HOUSE.learners {
        let bare = bare(learner.kind());
        let has = |s: &Surface| learner.surface(&bare, *s).is_ok();
        let surfaces: Vec<String> = (Surface::ALL.iter())
            .filter(|s| has(s))
            .map(|s| format!("`{}`", s.key()))
            .collect();
        let surfaces = match surfaces.is_empty() {
            true => "none".to_owned(),
            false => surfaces.join(", "),
        };
        let _ = writeln!(out, "| `{}` | {surfaces} |", learner.kind());
    }
    out
}

/// A table of the threats.
pub fn threats() -> String {
    let threats = HOUSE.threats.iter();
    registered(threats.map(|threat| (threat.kind(), threat.surface())))
}

/// A table of the defences.
pub fn defences() -> String {
    let defences = HOUSE.defences.iter();
    registered(defences.map(|defence| (defence.kind(), defence.surface())))
}

fn registered(all: impl Iterator<Item = (&'static str, Surface)>) -> String {
    let mut out = String::from("| kind | surface |\n|---|---|\n");
    for (kind, surface) in all {
        let _ = writeln!(out, "| `{kind}` | `{}` |", surface.key());
    }
    out
}

/// A table of the evasion attacks and their short names.
pub fn attacks() -> String {
    let mut out = String::from("| kind | short names |\n|---|---|\n");
    for kind in KINDS {
        let names: Vec<String> = kind.names.iter().map(|name| format!("`{name}`")).collect();
        let varies = kind
            .varies
            .map(|what| format!(" ({what})"))
            .unwrap_or_default();
        let _ = writeln!(out, "| `{}` | {}{varies} |", kind.name, names.join(", "));
    }
    out
}

/// A table of the networks whose weights can be brought.
pub fn architectures() -> String {
    let mut out = String::from("| | `arch` | names of weights |\n|---|---|---|\n");
    for known in ARCHITECTURES {
        let notation = known.notation().replace('|', "\\|");
        let (about, tensors) = (known.about(), known.tensors());
        let _ = writeln!(out, "| {about} | `{notation}` | `{tensors}` |");
    }
    out
}

/// A table of learners by threats and defences. A number leads to the reason why not, or to what is needed.
pub fn matrix() -> String {
    let mut reasons = BTreeMap::new();
    let threats = HOUSE.threats.iter().map(|t| (t.kind(), t.surface(), false));
    let defences = HOUSE.defences.iter().map(|d| (d.kind(), d.surface(), true));
    let learners: Vec<&str> = HOUSE.learners.iter().map(|l| l.kind()).collect();
    let mut out = String::new();
    let mut lines = String::new();
    let _ = writeln!(out, "| | {} |", learners.join(" | "));
    let _ = writeln!(out, "|---|{}", "---|".repeat(learners.len()));
    for (kind, surface, defence) in threats.chain(defences) {
        let what = if defence { "defence" } else { "threat" };
        let _ = write!(out, "| {what} `{kind}` ({}) |", surface.key());
        for learner in &learners {
            let answer = match HOUSE.refuses(&spec(learner, kind, surface, defence)) {
                None => "yes".to_owned(),
                Some(refusal) => {
                    let next = reasons.len() + 1;
                    let number = *reasons.entry(refusal.hint.clone()).or_insert(next);
                    if number == next {
                        let _ = writeln!(lines, "{number}. {}", refusal.hint);
                    }
                    format!("no ({number})")
                }
            };
            let _ = write!(out, " {answer} |");
        }
        out.push('\n');
    }
    format!("{out}\n{lines}")
}

fn bare(kind: &str) -> Part {
    Part {
        kind: kind.to_owned(),
        keys: serde_json::Map::new(),
    }
}

/// A trial of a learner with its defaults and one threat or defence.
fn spec(learner: &str, kind: &str, surface: Surface, defence: bool) -> TrialSpec {
    let mut spec = TrialSpec {
        version: VERSION,
        cell: String::new(),
        variant: None,
        data: DataSpec::of("digits", 1),
        threat: Threats::default(),
        learner: bare(learner),
        defence: Defences::default(),
        judge: Judge::default(),
        seed: 0,
    };
    match defence {
        true => spec.defence.push(surface, bare(kind)),
        false => spec.threat.set(surface, bare(kind)),
    }
    spec
}
