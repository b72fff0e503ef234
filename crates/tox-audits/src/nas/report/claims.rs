//! The paper's claims, put to the numbers. Only cells count whose trials are all done, and whose clean
//! twin's are, that train what they found on clean rows; nothing is said of searches that are not known to search.

use super::cells::{Cell, MARK};
use super::search::{Eaten, Search};
use tox_report::verdict::{Case, Claim, Expect, Verdict, judge};

/// All claims for which the study has cells, in the paper's order.
pub fn all(searches: &[Search]) -> Vec<Claim> {
    let claim = |number, words, cases| Claim {
        number,
        words,
        cases,
    };
    let based: Vec<&Search> = of_kind(searches, false);
    let free: Vec<&Search> = of_kind(searches, true);
    let mut claims = vec![
        claim(
            "1a",
            "training-based searches: the drop at the most poison looks marginal (less than 1 point)",
            drops(&based, Expect::Little),
        ),
        claim(
            "1b",
            "but more than half of their clean gain over a random architecture is gone",
            halves(&based),
        ),
        claim(
            "2",
            "training-based searches suffer more than training-free ones (drop of one less that of \
             the other)",
            pairs(&based, &free),
        ),
        claim(
            "3a",
            "training-free searches: they hardly suffer (drop at the most poison, within 1 point)",
            drops(&free, Expect::Near),
        ),
        claim(
            "3b",
            "but are near random (clean gain over a random architecture, within 1 point)",
            near_random(&free),
        ),
        claim(
            "3c",
            "out-of-distribution data still helps (gain over a random architecture)",
            elsewhere(searches),
        ),
    ];
    claims.retain(|c| !c.cases.is_empty());
    claims
}

fn of_kind<'s, 'c, 'a>(searches: &'s [Search<'c, 'a>], free: bool) -> Vec<&'s Search<'c, 'a>> {
    let kind = |s: &&Search| s.training_free() == Some(free) && s.trains_clean();
    searches.iter().filter(kind).collect()
}

/// For each attack its cell with the most poison, if that and the clean cell are complete.
fn worst<'c, 'a>(search: &Search<'c, 'a>) -> Vec<&'c Cell<'a>> {
    if !search.clean().is_some_and(|c| c.complete()) {
        return Vec::new();
    }
    let most = |attack: &String| search.doses(attack).pop();
    let cells = search.attacks();
    cells
        .iter()
        .filter_map(most)
        .filter(|c| c.complete())
        .collect()
}

/// A case of searches that may be idle: then nothing is judged, and the reason stands in the place of numbers.
fn case(searches: &[&Search], setting: String, found: impl FnOnce(&str) -> Case) -> Case {
    let idle = searches.iter().find_map(|s| Some((s, s.idle()?)));
    match idle {
        None => found(&setting),
        Some((search, why)) => Case {
            verdict: Verdict::CannotTell,
            evidence: match searches.len() {
                1 => format!("withheld: {why}"),
                _ => format!("withheld: {} {why}", search.title),
            },
            seeds: 0,
            setting,
        },
    }
}

fn title(search: &Search, cell: &Cell) -> String {
    cell.marked(&format!("{}, {}", search.title, search.condition(cell)))
}

fn drops(searches: &[&Search], expect: Expect) -> Vec<Case> {
    let mut cases = Vec::new();
    for s in searches {
        for cell in worst(s) {
            cases.push(case(&[s], title(s, cell), |title| {
                Case::of(title, s.drop(cell), expect, " points")
            }));
        }
    }
    cases
}

/// Whether more than half is gone is asked of drop less half of the gain, so that nothing is divided.
fn halves(searches: &[&Search]) -> Vec<Case> {
    let mut cases = Vec::new();
    for s in searches {
        for cell in worst(s) {
            let found = match s.eaten(cell) {
                Eaten::Share(_) => s.beyond_half(cell),
                Eaten::None(_) => None,
            };
            let evidence = match s.eaten(cell) {
                Eaten::Share(r) => format!(
                    "{:.0} % ({:.0} to {:.0} %) of the gain, {} seeds",
                    100.0 * r.value,
                    100.0 * r.ends.0,
                    100.0 * r.ends.1,
                    r.n
                ),
                Eaten::None(why) => {
                    let gain = s.clean().and_then(|clean| s.gain(clean));
                    gain.map_or(why.to_owned(), |gain| format!("{why} ({gain:+})"))
                }
            };
            cases.push(case(&[s], title(s, cell), |title| Case {
                setting: title.to_owned(),
                verdict: judge(found, Expect::Up),
                evidence,
                seeds: s.drop(cell).map_or(0, |d| d.n),
            }));
        }
    }
    cases
}

/// Every training-based search beside every training-free one, at the largest budget of an attack
/// that both have.
fn pairs(based: &[&Search], free: &[&Search]) -> Vec<Case> {
    let mut cases = Vec::new();
    for a in based {
        for b in free {
            for attack in &a.attacks() {
                let others = b.doses(attack);
                let twin = |cell: &Cell| {
                    let mut others = others.iter().copied();
                    others.find(|c| c.budget() == cell.budget())
                };
                let mut own = a.doses(attack).into_iter().rev();
                let Some((cell, twin)) = own.find_map(|c| Some((c, twin(c)?))) else {
                    continue;
                };
                let clean = [a.clean(), b.clean()].into_iter().flatten();
                if !clean.chain([cell, twin]).all(|c| c.complete()) {
                    continue;
                }
                let mark = match cell.doubtful() || twin.doubtful() {
                    true => format!(" {MARK}"),
                    false => String::new(),
                };
                let title = format!("{} beside {}, {}{mark}", a.title, b.title, a.threat(cell));
                let found = a.loses_more(cell, b, twin);
                cases.push(case(&[a, b], title, |title| {
                    Case::of(title, found, Expect::Up, " points")
                }));
            }
        }
    }
    cases
}

fn near_random(searches: &[&Search]) -> Vec<Case> {
    let clean = searches.iter().filter_map(|s| Some((s, s.clean()?)));
    clean
        .filter(|(_, cell)| cell.complete())
        .map(|(s, cell)| {
            case(&[s], title(s, cell), |title| {
                Case::of(title, s.gain(cell), Expect::Near, " points")
            })
        })
        .collect()
}

fn elsewhere(searches: &[Search]) -> Vec<Case> {
    let mut cases = Vec::new();
    for s in searches.iter().filter(|s| s.searches() && s.trains_clean()) {
        let plain =
            |c: &&&Cell| s.elsewhere(c) && c.attack().is_none() && !c.defended() && !c.anti();
        for cell in s.cells.iter().filter(plain).filter(|c| c.complete()) {
            cases.push(case(&[s], title(s, cell), |title| {
                Case::of(title, s.gain(cell), Expect::Up, " points")
            }));
        }
    }
    cases
}
