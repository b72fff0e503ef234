//! What the data show, in sentences: warnings, what every search lost, and how the paper's claims
//! fared.

use super::baselines;
use super::cells::{Cell, MARK};
use super::checks::invariance;
use super::search::{Eaten, Search};
use super::ties;
use crate::nas::outcome::NasOutcome;
use tox_report::findings::{NAMES, elsewhere, few, missing, mixed, with_seeds};
use tox_report::run::Run;
use tox_report::stats::Ratio;
use tox_report::verdict::{Claim, tally};
use tox_search::nas::{NasSpace, Reads};

/// Sentences, most important first.
pub fn findings(run: &Run, cells: &[Cell], searches: &[Search], claims: &[Claim]) -> Vec<String> {
    let mut out = Vec::new();
    out.extend(mixed(run));
    out.extend(missing(run, cells));
    out.extend(violated(searches));
    out.extend(ties::sentences(searches));
    out.extend(constant(cells));
    out.extend(unreliable(cells));
    out.extend(baselines::sentences(searches));
    out.extend(poisoned_training(searches));
    out.extend(searches.iter().filter_map(searched));
    let tallies: Vec<String> = claims.iter().filter_map(|c| tally(c, MARK)).collect();
    if !tallies.is_empty() {
        let spaces = searches.iter().map(|s| s.config.space);
        let spaces = spaces
            .filter(|s| *s == NasSpace::NasBench201)
            .map(NasSpace::title);
        let spaces: Vec<&str> = spaces.take(1).collect();
        out.extend(elsewhere(cells, &["cifar10", "mnist", "svhn"], &spaces));
    }
    out.extend(tallies);
    out.extend(unchanged(searches));
    out
}

/// Cells whose networks answer no better than one class does.
fn constant(cells: &[Cell]) -> Option<String> {
    let guess = |o: &NasOutcome| o.evaluation.as_ref()?.majority;
    let mut names: Vec<String> = Vec::new();
    for cell in cells {
        let all: Vec<f64> = cell.records().filter_map(|r| guess(r.outcome)).collect();
        if let (Some(guess), Some(accuracy)) = (all.first(), cell.accuracy()) {
            names.push(format!(
                "{} ({} of {} trials; mean accuracy {:.1} %, that class {guess:.1} %)",
                cell.name,
                all.len(),
                cell.done(),
                accuracy.mean
            ));
        }
    }
    few(&names, " cells").map(|names| {
        format!(
            "Warning: what was found answers no better than always naming the most frequent class, as far \
             as the test images tell, so drops from it say nothing of poison: {names}."
        )
    })
}

/// Searches that changed although they cannot have seen the poison.
fn violated(searches: &[Search]) -> Option<String> {
    let mut all: Vec<String> = searches
        .iter()
        .flat_map(|s| invariance(s).violated)
        .collect();
    let more = all.len().saturating_sub(NAMES);
    all.truncate(NAMES);
    let more = match more {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    (!all.is_empty()).then(|| {
        format!(
            "Warning: violated: trials of a search that reads nothing of what their poison changed \
             differ from the clean trial of their seed: {}{more}. That is a bug in toxscreen or a \
             mixture of programs; trust none of this run's differences.",
            all.join("; ")
        )
    })
}

/// The same check, passed.
fn unchanged(searches: &[Search]) -> Option<String> {
    let words = |s: &Search| {
        let search = s.config.search;
        let name = match search.facts().control {
            true => "random architectures",
            false => search.title(),
        };
        match search.reads(s.config) {
            Reads::Images => format!("{name}, which reads no labels, under poisons of labels"),
            Reads::All | Reads::Nothing => {
                format!("{name}, which no data can change, under any poison")
            }
        }
    };
    let parts: Vec<String> = searches
        .iter()
        .filter_map(|s| {
            let found = invariance(s);
            let fine = found.same > 0 && found.violated.is_empty();
            fine.then(|| format!("{} ({} of {})", words(s), found.same, found.same))
        })
        .collect();
    (!parts.is_empty()).then(|| {
        format!(
            "Check passed: the trials that cannot have seen their poison have the architecture and \
             trace of the clean trial of their seed, number by number: {}.",
            parts.join("; ")
        )
    })
}

/// What is trained on rows that may be poisoned.
fn poisoned_training(searches: &[Search]) -> Option<String> {
    let those = searches.iter().filter(|s| !s.trains_clean());
    let names: Vec<String> = those.map(|s| s.title.clone()).collect();
    few(&names, "").map(|names| {
        format!(
            "Trained on the rows as they came to the search, with what poison they had: {names}. What is lost there is \
             lost by search and training together, of an architecture that is given by training alone; claims about \
             searches whose results are trained on clean rows are not judged by it."
        )
    })
}

/// Poisons that are not to be trusted.
fn unreliable(cells: &[Cell]) -> Option<String> {
    // Cells with the same reason stand together.
    let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
    for cell in cells {
        let doubts = cell.doubts();
        let Some((_, why)) = doubts.first() else {
            continue;
        };
        let name = format!("{}, {} of {} trials", cell.name, doubts.len(), cell.done());
        match reasons.iter_mut().find(|r| r.0 == *why) {
            Some(reason) => reason.1.push(name),
            None => reasons.push((why, vec![name])),
        }
    }
    let more = reasons.len().saturating_sub(NAMES);
    let shown = reasons.iter().take(NAMES);
    let mut parts: Vec<String> = shown
        .map(|(why, names)| format!("{} ({why})", names.join("; ")))
        .collect();
    if more > 0 {
        parts.push(format!("and for {more} more reasons elsewhere"));
    }
    (!parts.is_empty()).then(|| {
        format!(
            "Warning: the attack failed its own check in {}. Wherever their numbers stand they are \
             marked {MARK}; they say little of what the attack could do.",
            parts.join("; ")
        )
    })
}

/// What a search finds on clean data, and what the most poison of each attack costs.
fn searched(search: &Search) -> Option<String> {
    if !search.searches() {
        return None;
    }
    let clean = search.clean()?;
    let accuracy = clean.accuracy()?;
    let mut text = format!(
        "{} on clean data: {} final accuracy",
        search.title,
        with_seeds(accuracy)
    );
    if let Some(gain) = search.gain(clean) {
        let sure = match gain.excludes_zero() {
            Some(true) => String::new(),
            Some(false) => ", which may be chance".to_owned(),
            None => format!(", with {}", gain.lone()),
        };
        text = format!("{text}, {gain:+} points above a random architecture{sure}");
    }
    let mut parts = Vec::new();
    for attack in &search.attacks() {
        let done = |c: &&Cell| c.done() > 0;
        let Some(cell) = search.doses(attack).into_iter().rfind(done) else {
            continue;
        };
        let Some(drop) = search.drop(cell) else {
            continue;
        };
        let share = match search.eaten(cell) {
            Eaten::Share(share) => format!(", {} of the gain", eaten(share)),
            Eaten::None(_) => String::new(),
        };
        parts.push(format!(
            "{}: {drop:+}{share}",
            cell.marked(&search.threat(cell))
        ));
    }
    if let Some((anti, lost)) = search.anti().and_then(|c| Some((c, search.drop(c)?))) {
        let shown = search.attacked().any(|c| search.of_anti(c).is_some());
        let taken = match shown {
            true => "",
            false => ", which may be chance, so that no share of it is taken",
        };
        text = format!(
            "{text}. {} loses {lost:+} points to it{taken}",
            anti.marked("Anti-search, which turns the objective round,")
        );
    }
    Some(match parts.len() {
        0 => format!("{text}."),
        _ => format!(
            "{text}. Points lost to the most poison of each attack: {}.",
            parts.join("; ")
        ),
    })
}

/// A share with its interval.
pub fn eaten(share: Ratio) -> String {
    format!(
        "{:.0} % ({:.0} to {:.0})",
        100.0 * share.value,
        100.0 * share.ends.0,
        100.0 * share.ends.1
    )
}
