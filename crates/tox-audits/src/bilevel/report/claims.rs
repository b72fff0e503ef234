//! The paper's claims, put to the numbers.

use super::cells::{Cell, Setting, average, beside, error, growth, level};
use tox_bilevel::config::{Groups, Penalty, Victim};
use tox_bilevel::outcome::{BilevelOutcome, Level};
use tox_report::stats::Interval;
use tox_report::verdict::{Case, Claim, Expect};

/// The outer `Option`: whether the setting has the cells; the inner: whether they have the numbers.
type Measure = fn(&Setting) -> Option<Option<Interval>>;

/// Claims that one setting can answer: number, words, where the difference lies, unit, measure.
const TESTS: [(&str, &str, Expect, &str, Measure); 15] = [
    (
        "1a",
        "without regularisation the test error rises with the poison",
        Expect::Up,
        " points",
        |s| Some(s.victim(Victim::None)?.rise()),
    ),
    (
        "1b",
        "with lambda from cross-validation on clean data it rises too",
        Expect::Up,
        " points",
        |s| Some(s.victim(Victim::CrossValidated)?.rise()),
    ),
    (
        "1c",
        "with a large lambda it rises less than without regularisation",
        Expect::Down,
        " points",
        |s| rise_beside(s.victim(Victim::Large)?, s.victim(Victim::None)?),
    ),
    (
        "1d",
        "a large lambda costs clean accuracy (clean error above that without regularisation)",
        Expect::Up,
        " points",
        |s| {
            Some(beside(
                s.victim(Victim::Large)?,
                s.victim(Victim::None)?,
                0,
                error,
            ))
        },
    ),
    (
        "1e",
        "a learned lambda has the clean error of no regularisation (within 1 point)",
        Expect::Near,
        " points",
        |s| {
            Some(beside(
                s.victim(Victim::Learned)?,
                s.victim(Victim::None)?,
                0,
                error,
            ))
        },
    ),
    (
        "1f",
        "with a learned lambda the error rises less than without regularisation",
        Expect::Down,
        " points",
        |s| rise_beside(s.victim(Victim::Learned)?, s.victim(Victim::None)?),
    ),
    (
        "1g",
        "at the most poison a learned lambda is close to the large one (within 1 point)",
        Expect::Near,
        " points",
        |s| {
            let (learned, large) = (s.victim(Victim::Learned)?, s.victim(Victim::Large)?);
            Some(beside(learned, large, learned.most(), error))
        },
    ),
    (
        "2a",
        "the learned lambda grows with the poison (clean to most)",
        Expect::Up,
        "",
        |s| {
            let cell = s.victim(Victim::Learned)?;
            Some(cell.growth(0, cell.most(), lambda))
        },
    ),
    (
        "2b",
        "and then saturates (growth by percent of poison, later half less earlier half)",
        Expect::Down,
        "",
        |s| {
            let cell = s.victim(Victim::Learned)?;
            let middle = cell.half_way()?;
            Some(cell.mean(|o| bend(o, middle, cell.most())))
        },
    ),
    (
        "2c",
        "without regularisation ‖w‖²/d grows (mean over layers)",
        Expect::Up,
        "",
        |s| {
            let cell = s.victim(Victim::None)?;
            Some(cell.growth(0, cell.most(), |l| average(&l.norms)))
        },
    ),
    (
        "3b",
        "Kuncheva's index falls with the poison without regularisation (first batch to last, mean over k)",
        Expect::Down,
        "",
        |s| {
            let cell = stable(s.victim(Victim::None)?)?;
            let first = *cell.planned().get(1)?;
            Some(cell.growth(first, cell.most(), |l| average(&l.kuncheva)))
        },
    ),
    (
        "3c",
        "features are more stable with a learned lambda than without regularisation (index at the most poison)",
        Expect::Up,
        "",
        |s| {
            let cell = stable(s.victim(Victim::Learned)?)?;
            let none = s.victim(Victim::None)?;
            Some(beside(cell, none, cell.most(), |l| average(&l.kuncheva)))
        },
    ),
    (
        "4a",
        "one lambda and one for each layer give similar error (within 1 point at the most poison)",
        Expect::Near,
        " points",
        |s| {
            let (each, one) = (s.learned(Groups::PerLayer)?, s.learned(Groups::One)?);
            Some(beside(each, one, each.most(), error))
        },
    ),
    (
        "4b",
        "lambdas of later layers grow faster than the first's (growth up to half the poison)",
        Expect::Up,
        "",
        |s| {
            let cell = s.learned(Groups::PerLayer)?;
            let middle = cell.half_way()?;
            Some(cell.growth(0, middle, ahead))
        },
    ),
    (
        "4c",
        "and become uniform at high ratios (their range, half the poison to most)",
        Expect::Down,
        "",
        |s| {
            let cell = s.learned(Groups::PerLayer)?;
            let middle = cell.half_way()?;
            Some(cell.growth(middle, cell.most(), range))
        },
    ),
];

/// Those that are about the cell without regularisation alone.
const OF_NONE: [&str; 3] = ["1a", "2c", "3b"];

/// All claims for which the study has cells, in the paper's order.
pub fn all(settings: &[Setting]) -> Vec<Claim> {
    let mut claims: Vec<Claim> = TESTS
        .iter()
        .map(|&(number, words, expect, unit, measure)| Claim {
            number,
            words,
            cases: match OF_NONE.contains(&number) {
                true => unregularised(settings, measure, expect, unit),
                false => settings
                    .iter()
                    .filter_map(|s| Some(Case::of(&s.title, measure(s)?, expect, unit)))
                    .collect(),
            },
        })
        .collect();
    claims.push(penalties(settings));
    claims.extend(super::valid::claims(settings));
    claims.retain(|c| !c.cases.is_empty());
    claims.sort_by_key(|c| c.number);
    claims
}

/// The cases of a claim that is about the cell without regularisation alone, which settings of both
/// penalties share: each cell once, under the names that its settings have in common.
fn unregularised(settings: &[Setting], measure: Measure, expect: Expect, unit: &str) -> Vec<Case> {
    let mut seen: Vec<&Cell> = Vec::new();
    let mut cases = Vec::new();
    for setting in settings {
        let Some(none) = setting.victim(Victim::None) else {
            continue;
        };
        if seen.iter().any(|cell| std::ptr::eq(*cell, none)) {
            continue;
        }
        seen.push(none);
        if let Some(found) = measure(setting) {
            cases.push(Case::of(&setting.without_penalty(), found, expect, unit));
        }
    }
    cases
}

/// Claim 3a: the two penalties beside each other.
fn penalties(settings: &[Setting]) -> Claim {
    let mut cases = Vec::new();
    for l1 in settings {
        if l1.penalty() != Penalty::L1 {
            continue;
        }
        let same = |s: &&Setting| s.penalty() == Penalty::L2 && s.twin_but_penalty(l1);
        let Some(l2) = settings.iter().find(same) else {
            continue;
        };
        let pair = (l1.victim(Victim::Learned), l2.victim(Victim::Learned));
        if let (Some(a), Some(b)) = pair {
            let found = beside(a, b, a.most(), error);
            let title = format!("{} beside {}", l1.title, l2.title);
            cases.push(Case::of(&title, found, Expect::Near, " points"));
        }
    }
    Claim {
        number: "3a",
        words: "L1 and L2 mitigate alike (learned lambda, within 1 point at the most poison)",
        cases,
    }
}

/// Mean lambda over layers.
fn lambda(level: &Level) -> Option<f64> {
    average(&level.lambda)
}

/// How far the later layers' lambdas are ahead of the first's.
fn ahead(level: &Level) -> Option<f64> {
    let (first, later) = level.lambda.split_first()?;
    Some(average(later)? - first)
}

/// Distance of the largest and the least of the layers' lambdas.
fn range(level: &Level) -> Option<f64> {
    let high = level.lambda.iter().copied().reduce(f64::max)?;
    let low = level.lambda.iter().copied().reduce(f64::min)?;
    (level.lambda.len() > 1).then_some(high - low)
}

/// Growth of lambda by percent of poison after `middle` less that before.
fn bend(outcome: &BilevelOutcome, middle: u64, most: u64) -> Option<f64> {
    let percent = |points| Some(100.0 * level(outcome, points)?.fraction);
    let slope = |from, to| {
        let grown = growth(outcome, from, to, lambda)?;
        Some(grown / (percent(to)? - percent(from)?))
    };
    Some(slope(middle, most)? - slope(0, middle)?)
}

/// A cell at whose levels Kuncheva's index was measured.
fn stable<'c, 'a>(cell: &'c Cell<'a>) -> Option<&'c Cell<'a>> {
    (!cell.config.kuncheva.is_empty() && cell.config.hidden.is_empty()).then_some(cell)
}

/// How much more the error of a cell rises than that of another, by seed.
fn rise_beside(cell: &Cell, other: &Cell) -> Option<Option<Interval>> {
    let most = cell.most();
    Some(cell.above(other, |o| growth(o, 0, most, error)))
}
