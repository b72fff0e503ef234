//! Choices between equals, which the order of a list decided and no data did.

use super::search::Search;
use crate::nas::outcome::NasOutcome;
use tox_report::findings::few;
use tox_search::nas::Ties;

/// The choices of a trial between equals; `None` where there was none.
fn of(outcome: &NasOutcome) -> Option<Ties> {
    let ties = outcome.trace.course().ties(&outcome.genotype);
    (ties.decided > 0).then_some(ties)
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
                cell.kind().facts().choices,
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
    use tox_search::genes::Architecture;
    use tox_search::pdarts::found::StageEnd;

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
        assert_eq!(end.ties(), Ties { decided: 1, of: 3 });
        let genotype = |i: usize| super::super::synthetic::genotype(i);
        let found = Architecture::Cell(genotype(1));
        let decided = |accuracies: [f64; 3]| {
            let all = accuracies.iter().enumerate();
            let all: Vec<_> = all.map(|(i, a)| (genotype(i), *a)).collect();
            Ties::best(&found, &all).decided
        };
        assert_eq!(decided([40.0, 50.0, 50.0]), 1);
        assert_eq!(decided([40.0, 50.0, 49.0]), 0);
        assert_eq!(Ties::best(&found, &[]).decided, 0);
    }
}
