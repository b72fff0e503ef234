//! Figures of accuracy against the share of poison.

use super::cells::{Cell, MARK};
use super::search::{Eaten, Search};
use tox_report::figure::{Figure, short};
use tox_report::lines::{Line, Point, Rule, around, panel};
use tox_report::plot::Axis;
use tox_report::svg::Ink;

/// Ink and dash of the line of one of a search's attacks. Further ones of a name have other inks.
pub fn attack_look(attack: &str, all: &[String]) -> (Ink, &'static str) {
    let name = |attack: &str| attack.split(", ").next().unwrap_or_default().to_owned();
    let before = all.iter().take_while(|a| *a != attack);
    let again = before.filter(|a| name(a) == name(attack)).count();
    let ink = match (name(attack).as_str(), again) {
        ("RLF", 0) => Ink::Dose(0),
        ("CLF", 0) => Ink::Dose(1),
        ("noise", 0) => Ink::Clean,
        ("GC", 0) => Ink::Dose(3),
        (_, 0 | 1) => Ink::Dose(2),
        (_, 2) => Ink::Text,
        _ => Ink::Muted,
    };
    (ink, "")
}

/// The budgets that occur, percent, with 0 for clean.
fn budgets<'a>(cells: impl Iterator<Item = &'a Cell<'a>>) -> Vec<f64> {
    let mut all: Vec<f64> = cells.filter_map(|c| Some(100.0 * c.budget()?)).collect();
    all.push(0.0);
    all.sort_by(f64::total_cmp);
    all.dedup();
    all
}

/// An axis on which 1, 10 and 50 % stand apart, and clean has a place.
fn axis(budgets: &[f64]) -> Axis {
    let most = budgets.last().copied().unwrap_or(1.0);
    let axis = Axis::log(most * 1.06, budgets.to_vec(), "poison, % of the rows");
    // Room for the dots of clean beside the numbers of the other axis.
    Axis {
        range: (-0.12, axis.range.1),
        ..axis
    }
}

fn point(cell: &Cell, mean: f64, ends: Option<(f64, f64)>) -> (f64, Point) {
    let point = Point {
        mean,
        ends,
        doubtful: cell.doubtful(),
    };
    (100.0 * cell.budget().unwrap_or(0.0), point)
}

/// Name of a line, marked if one of its cells is doubtful.
fn label(name: &str, cells: &[&Cell]) -> String {
    match cells.iter().any(|c| c.doubtful()) {
        true => format!("{name} {MARK}"),
        false => name.to_owned(),
    }
}

/// Final accuracy of each search, a line an attack.
pub fn accuracy(searches: &[Search]) -> Figure {
    let panel = |s: &Search| {
        let clean = s.clean();
        let mut lines: Vec<Line> = s
            .attacks()
            .iter()
            .map(|attack| {
                let doses = s.doses(attack);
                // The clean interval is drawn once, below.
                let start = clean.and_then(|c| Some(point(c, c.accuracy()?.mean, None)));
                let points = doses.iter().filter_map(|c| {
                    let p = Point::from(c.accuracy()?);
                    Some(point(c, p.mean, p.ends))
                });
                let points: Vec<(f64, Point)> = start.into_iter().chain(points).collect();
                Line {
                    label: label(&short(attack), &doses),
                    look: attack_look(attack, &s.attacks()),
                    points,
                }
            })
            // What has not been attacked yet is no line.
            .filter(|line| line.points.iter().any(|(x, _)| *x > 0.0))
            .collect();
        let mut rules = Vec::new();
        if let (Some(level), false) = (clean.and_then(Cell::accuracy), lines.is_empty()) {
            rules.push(Rule {
                at: level.mean,
                label: String::new(),
                look: (Ink::GoodLine, "2 3"),
            });
            lines.push(Line {
                label: "clean".to_owned(),
                look: (Ink::GoodLine, ""),
                points: vec![(0.0, level.into())],
            });
        }
        if let Some(level) = s.random_level() {
            rules.push(Rule {
                at: level,
                label: "random".to_owned(),
                look: (Ink::Muted, "5 4"),
            });
        }
        if let Some((draws, level)) = s.equal_cost().filter(|(draws, _)| *draws > 1) {
            rules.push(Rule {
                at: level,
                label: format!("best of {draws}"),
                look: (Ink::Muted, "1 3"),
            });
        }
        let levels: Vec<f64> = rules.iter().map(|r| r.at).collect();
        let range = |low: f64, high: f64| {
            let low = levels.iter().copied().fold(low, f64::min);
            let high = levels.iter().copied().fold(high, f64::max);
            let (low, high) = around(low, high);
            (low.max(0.0), high.min(100.0))
        };
        let x = axis(&budgets(s.attacked()));
        panel(&s.title, x, ("final accuracy, %", &rules), range, &lines)
    };
    let judged = match searches.iter().all(Search::trains_clean) {
        true => "trained and tested on clean data",
        false => {
            "trained on clean data or on those of the search, as its title says, and tested on clean data"
        }
    };
    let searches = searches.iter().filter(|s| s.searches());
    Figure {
        name: "accuracy-against-poison",
        title: "Final accuracy against the share of poison",
        caption: format!(
            "Accuracy of the found architecture, {judged}. Dots: mean over \
             seeds; bars: its 95 % t-interval, cut at the panel's edge. Green: the clean \
             search; dashed grey: a random architecture; best of n: a random search of as many. \
             The axis is that of ln(1 + percent). {MARK} and a hollow dot: the attack failed its own \
             check."
        ),
        panels: searches.filter_map(panel).collect(),
    }
}

/// Share of the clean gain over a random architecture that is left, a line an attack.
pub fn left(searches: &[Search]) -> Figure {
    let panel = |s: &Search| {
        let mut places = vec![0.0];
        let mut lines = Vec::new();
        for attack in &s.attacks() {
            let doses = s.doses(attack);
            let share = |cell: &&Cell| match s.eaten(cell) {
                Eaten::None(_) => None,
                Eaten::Share(r) => {
                    let kept = |eaten: f64| 100.0 * (1.0 - eaten);
                    let ends = (kept(r.ends.1), kept(r.ends.0));
                    Some(point(cell, kept(r.value), Some(ends)))
                }
            };
            let found: Vec<(f64, Point)> = doses.iter().filter_map(share).collect();
            if found.is_empty() {
                continue;
            }
            places.extend(found.iter().map(|p| p.0));
            let clean = Point {
                mean: 100.0,
                ends: None,
                doubtful: false,
            };
            lines.push(Line {
                label: label(&short(attack), &doses),
                look: attack_look(attack, &s.attacks()),
                points: [(0.0, clean)].into_iter().chain(found).collect(),
            });
        }
        places.sort_by(f64::total_cmp);
        places.dedup();
        let range = |low: f64, high: f64| around(low.clamp(-100.0, 0.0), high.clamp(100.0, 200.0));
        let rules = [Rule::zero()];
        let y = ("gain over random left, %", &rules[..]);
        panel(&s.title, axis(&places), y, range, &lines)
    };
    Figure {
        name: "gain-left",
        title: "What is left of the gain over a random architecture",
        caption: format!(
            "100 %: the poisoned search gains as much over a random architecture as the clean one; \
             0: nothing is left. Bars: Fieller's 95 % interval, cut at the panel's edge. Searches \
             whose clean gain is not above 0 by more than its interval are left out. {MARK} and a \
             hollow dot: the attack failed its own check."
        ),
        panels: searches.iter().filter_map(panel).collect(),
    }
}
