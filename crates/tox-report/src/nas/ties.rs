//! Choices between equals, which the order of a list decided and no data did.

use super::cells::Cell;
use super::search::Search;
use crate::findings::few;
use tox_search::genes::Architecture;
use tox_search::nas::Trace;
use tox_search::pdarts::found::StageEnd;
use tox_search::space::cells::CellGenotype;
use tox_study::record::NasOutcome;

/// Choices of a search.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Ties {
    /// Those between equals.
    decided: usize,
    /// All of them.
    of: usize,
}

/// The choices of a trial between equals; `None` where there was none.
fn of(outcome: &NasOutcome) -> Option<Ties> {
    let found = match &outcome.trace {
        Trace::TeNas { rounds, ties } => Ties {
            decided: *ties,
            of: rounds.iter().map(Vec::len).sum(),
        },
        Trace::PDarts { stages, .. } => likeliest(stages.last()?),
        Trace::Robot { evaluated, .. } | Trace::Random { evaluated } => {
            best(&outcome.genotype, evaluated)
        }
        // Its choice is of a front, not of a list.
        Trace::NsganetV2 { .. } => Ties::default(),
    };
    (found.decided > 0).then_some(found)
}

/// Edges whose likeliest op, `none` apart, is as likely as another at the end of the search.
fn likeliest(end: &StageEnd) -> Ties {
    let edges = end.ops.iter().flatten();
    let edges = edges.zip(end.probabilities.iter().flatten());
    let tied = |(ops, probabilities): &(&Vec<String>, &Vec<f64>)| {
        let ops = ops.iter().zip(probabilities.iter());
        let real: Vec<f64> = ops
            .filter(|(op, _)| *op != "none")
            .map(|(_, p)| *p)
            .collect();
        let most = real.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        real.iter().filter(|p| **p == most).count() > 1
    };
    Ties {
        decided: edges.clone().filter(tied).count(),
        of: edges.count(),
    }
}

/// One choice: that of the best of those evaluated, if another was as good.
fn best(found: &Architecture, evaluated: &[(CellGenotype, f64)]) -> Ties {
    let is = |genotype: &CellGenotype| *found == Architecture::Cell(*genotype);
    let own = evaluated.iter().find(|(genotype, _)| is(genotype));
    let equal = own.is_some_and(|(_, own)| {
        let mut others = evaluated.iter();
        others.any(|(genotype, accuracy)| accuracy == own && !is(genotype))
    });
    Ties {
        decided: usize::from(equal),
        of: 1,
    }
}

/// What a search chose between, in the plural.
fn choices(cell: &Cell) -> &'static str {
    use tox_search::nas::SearchKind::{NsganetV2, PDarts, Random, Robot, TeNas};
    match cell.kind() {
        TeNas => "removals of ops",
        PDarts => "edges",
        Robot | NsganetV2 | Random => "choices of the best architecture",
    }
}

/// A sentence on the cells whose every choice was between equals, and one on those where some were.
pub fn sentences(searches: &[Search]) -> Vec<String> {
    let (mut all, mut some) = (Vec::new(), Vec::new());
    for search in searches {
        for cell in &search.cells {
            let ties: Vec<Ties> = cell.records().filter_map(|r| of(r.outcome)).collect();
            if ties.is_empty() {
                continue;
            }
            let decided: usize = ties.iter().map(|t| t.decided).sum();
            let choices_of: usize = ties.iter().map(|t| t.of).sum();
            let text = format!(
                "{}, {}: {decided} of {choices_of} {} in {} of {} trials",
                search.title,
                search.condition(cell),
                choices(cell),
                ties.len(),
                cell.done()
            );
            match decided == choices_of && choices_of > 1 {
                true => all.push(text),
                false => some.push(text),
            }
        }
    }
    let said = |head: &str, list: Vec<String>| {
        few(&list, " cells").map(|cells| format!("{head}: {cells}."))
    };
    let all = said(
        "Warning: all scores tie, so the order of a list of ops chose the architecture and no data did",
        all,
    );
    let some = said(
        "Choices between equal scores, which the order of a list decided",
        some,
    );
    all.into_iter().chain(some).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_probabilities_and_accuracies_are_ties() {
        let ops = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let end = StageEnd {
            ops: vec![vec![
                ops(&["none", "skip", "conv"]),
                ops(&["none", "skip", "conv"]),
                ops(&["none", "skip", "conv"]),
            ]],
            probabilities: vec![vec![
                vec![0.2, 0.4, 0.4],
                vec![0.4, 0.4, 0.2],
                vec![0.2, 0.3, 0.5],
            ]],
        };
        assert_eq!(likeliest(&end), Ties { decided: 1, of: 3 });
        let genotype = |i: usize| super::super::synthetic::genotype(i);
        let found = Architecture::Cell(genotype(1));
        let decided = |accuracies: [f64; 3]| {
            let all = accuracies.iter().enumerate();
            let all: Vec<_> = all.map(|(i, a)| (genotype(i), *a)).collect();
            best(&found, &all).decided
        };
        assert_eq!(decided([40.0, 50.0, 50.0]), 1);
        assert_eq!(decided([40.0, 50.0, 49.0]), 0);
        assert_eq!(best(&found, &[]).decided, 0);
    }
}
