//! What a study did differently from the paper.

use super::cells::{Cell, budget};

use super::search::Search;
use super::table::word;
use serde_json::json;
use tox_poison::data::threat::{ClfThreat, GcThreat, NoiseThreat, RlfThreat};
use tox_report::settings::{Difference, Differences, data, leaves};
use tox_search::nas::{NasConfig, NasSpace};
use tox_study::part::Part;

/// What the paper ran: the published numbers of every search, in the DARTS space, on the two halves
/// of a training file of 50,000 images, and a training of what was found.
fn said(key: &str) -> Option<&'static str> {
    Some(match key {
        "data.train" | "data.valid" => "25000",
        "data.resize" => "as it is",
        "learner.space" => "darts",
        "learner.evaluate" => "train",
        _ => return None,
    })
}

/// Whether a key is of a table of its own, and so a search's number.
fn own(key: &str) -> bool {
    key.matches('.').count() > 1
}

/// Settings in which some planned trial differs: those of searches, then those of data and attacks.
pub fn differences(searches: &[Search]) -> Vec<Difference> {
    let mut numbers = Differences::default();
    let mut others = Differences::default();
    let mut cells = 0;
    for search in searches {
        for (key, ours, paper) in learner(search.config) {
            numbers.add(key, ours, paper, &search.title);
        }
        for &cell in &search.cells {
            cells += 1;
            for (key, ours, paper) in trial(search, cell) {
                others.add(key, ours, paper, &cell.name);
            }
        }
    }
    let mut out = numbers.finish(searches.len());
    out.extend(others.finish(cells));
    out
}

/// Keys with our value and the paper's, of a search.
fn learner(config: &NasConfig) -> Vec<(String, String, String)> {
    let judged = [
        ("learner.space", word(&config.space)),
        ("learner.evaluate", word(&config.evaluate)),
    ];
    let mut out: Vec<(String, String, String)> = judged
        .into_iter()
        .filter_map(|(key, ours)| Some((key.to_owned(), ours, said(key)?.to_owned())))
        .collect();
    let published = leaves("learner", &NasConfig::of(config.search.0, config.space));
    for (key, ours) in leaves("learner", config) {
        let paper = published.iter().find(|(k, _)| *k == key);
        if let Some((_, paper)) = paper.filter(|_| own(&key)) {
            out.push((key, ours, paper.clone()));
        }
    }
    out
}

/// Keys with our value and the paper's, of a cell's data, attack and seeds.
fn trial(search: &Search, cell: &Cell) -> Vec<(String, String, String)> {
    let mut out = Vec::new();
    if !search.elsewhere(cell) {
        for (key, ours) in data(&cell.spec().data) {
            if let Some(paper) = said(&key) {
                out.push((key, ours, paper.to_owned()));
            }
        }
    }
    out.extend(cell.spec().threat.data.iter().flat_map(threats));
    if let Some(published) = cell.kind().facts().repetitions {
        let seeds = cell.trials.len().to_string();
        out.push(("repetitions".to_owned(), seeds, published.to_string()));
    }
    out
}

/// The attack of the paper with as many rows.
fn published(threat: &Part) -> Option<Part> {
    let bare = Part::new(&threat.kind, &json!({ "budget": budget(Some(threat))? }));
    let kind = &threat.kind;
    Some(match kind.as_str() {
        "rlf" => Part::new(kind, &bare.read::<RlfThreat>().ok()?),
        "clf" => Part::new(kind, &bare.read::<ClfThreat>().ok()?),
        "noise" => Part::new(kind, &bare.read::<NoiseThreat>().ok()?),
        "gc" => Part::new(kind, &bare.read::<GcThreat>().ok()?),
        _ => return None,
    })
}

/// Key, our value and the paper's of an attack's numbers.
fn threats(threat: &Part) -> Vec<(String, String, String)> {
    let Some(published) = published(threat) else {
        return Vec::new();
    };
    let mut out = Vec::new();
    let (ours, paper) = (leaves("threat", threat), leaves("threat", &published));
    for (key, ours) in ours {
        let value = paper.iter().find(|(k, _)| *k == key);
        let paper = match value {
            Some((_, value)) => value.clone(),
            None if key == "threat.radius" => "1 for alphas, 0.5 for networks".to_owned(),
            None => "not set".to_owned(),
        };
        if ours != paper {
            out.push((key, ours, paper));
        }
    }
    out
}

/// Whether a study has the paper's space somewhere.
pub fn in_papers_space(searches: &[Search]) -> bool {
    searches.iter().any(|s| s.config.space == NasSpace::Darts)
}
