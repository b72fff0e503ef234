//! What the size of the validation set changes (Fig. 4 and 9, claim 5).

use super::cells::{Cell, Setting, beside, error, level};
use tox_bilevel::config::Victim;
use tox_report::figure::Figure;
use tox_report::lines::{self, Line, Point, Rule};
use tox_report::plot::Axis;
use tox_report::stats::{self, Interval};
use tox_report::svg::Ink;
use tox_report::verdict::{Case, Claim, Expect, Verdict};

/// Settings that differ in the validation size alone, the smallest first.
pub fn families<'s, 'c, 'a>(settings: &'s [Setting<'c, 'a>]) -> Vec<Vec<&'s Setting<'c, 'a>>> {
    let mut families: Vec<Vec<&Setting>> = Vec::new();
    for setting in settings {
        let same = |s: &Setting| s.twin(setting, |spec| spec.data.valid = 0);
        match families.iter_mut().find(|f| same(f[0])) {
            Some(family) => family.push(setting),
            None => families.push(vec![setting]),
        }
    }
    families.retain(|f| f.len() > 1);
    for family in &mut families {
        family.sort_by_key(|s| size(s));
    }
    families
}

fn size(setting: &Setting) -> usize {
    setting.cells[0].spec().data.valid
}

/// `(e_none - e_learned) / e_none` at a level, percent, by seed; seeds without an error to decrease
/// are left out.
pub fn decrease(none: &Cell, learned: &Cell, points: u64) -> Option<Interval> {
    let values: Vec<f64> = none
        .records()
        .filter_map(|r| {
            let twin = learned.records().find(|t| t.spec.seed == r.spec.seed)?;
            let before = level(r.outcome, points)?.test_error;
            let after = level(twin.outcome, points)?.test_error;
            (before > 0.0).then(|| 100.0 * (before - after) / before)
        })
        .collect();
    stats::mean(&values)
}

/// Claim 5, largest validation set beside smallest at the most poison.
pub fn claims(settings: &[Setting]) -> Vec<Claim> {
    let (mut none, mut learned) = (Vec::new(), Vec::new());
    for family in families(settings) {
        let (small, large) = (family[0], family[family.len() - 1]);
        let name = &small.cells[0].spec().data.dataset;
        let (stronger, better) = match name.as_str() {
            "mnist" => (Some(Expect::Up), Some(Expect::Up)),
            "fashion-mnist" => (None, Some(Expect::Up)),
            "cifar10" => (Some(Expect::Up), Some(Expect::Down)),
            _ => (None, None),
        };
        let case = |victim, expect: Option<Expect>, to: &mut Vec<Case>| {
            let (Some(a), Some(b)) = (large.victim(victim), small.victim(victim)) else {
                return;
            };
            let found = beside(a, b, a.most(), error);
            let title = format!("{} against {}", large.title, size(small));
            let mut case = Case::of(&title, found, expect.unwrap_or(Expect::Up), " points");
            if expect.is_none() {
                case.verdict = Verdict::CannotTell;
                case.evidence += "; the paper says nothing of this data set";
            }
            to.push(case);
        };
        case(Victim::None, stronger, &mut none);
        case(Victim::Learned, better, &mut learned);
    }
    vec![
        Claim {
            number: "5a",
            words: "without regularisation a larger validation set makes the attack stronger \
                    (MNIST, CIFAR-10; error of the largest less that of the smallest)",
            cases: none,
        },
        Claim {
            number: "5b",
            words: "with a learned lambda a smaller validation set is better on MNIST and \
                    Fashion-MNIST, a larger one on CIFAR-10 (error of the largest less that of the \
                    smallest)",
            cases: learned,
        },
    ]
}

/// Relative decrease of the test error against the size of the validation set.
pub fn figure(settings: &[Setting]) -> Figure {
    let panels = families(settings)
        .into_iter()
        .filter_map(|family| panel(&family))
        .collect();
    Figure {
        name: "validation-size",
        title: "Relative decrease of the test error against the validation size",
        caption: "Fig. 4 (L2) and 9 (L1) of the paper. (error without regularisation \u{2212} error with \
                  a learned lambda) / error without regularisation, percent, mean over seeds with \
                  the 95 % t-interval, cut at the panel's edge; one line for each share of poison, \
                  written at its end."
            .to_owned(),
        panels,
    }
}

fn panel(family: &[&Setting]) -> Option<tox_report::svg::Svg> {
    let first = family[0].cells[0];
    let planned = first.planned();
    let mut lines = Vec::new();
    for (place, points) in planned.iter().enumerate() {
        let found: Vec<(f64, Point)> = family
            .iter()
            .filter_map(|s| {
                let (none, learned) = (s.victim(Victim::None)?, s.victim(Victim::Learned)?);
                Some((size(s) as f64, decrease(none, learned, *points)?.into()))
            })
            .collect();
        if !found.is_empty() {
            lines.push(Line {
                label: format!("{:.1} %", first.percent(*points).unwrap_or(0.0)),
                look: look(place, planned.len() - 1),
                points: found,
            });
        }
    }
    let title = format!(
        "{}, {}",
        super::cells::dataset(&first.spec().data.dataset),
        super::cells::penalty(family[0].penalty())
    );
    let sizes: Vec<f64> = family.iter().map(|s| size(s) as f64).collect();
    let widest = sizes[sizes.len() - 1];
    let mut x = Axis::linear(widest * 1.04, 4, "validation points");
    // Sizes that stand too close for their numbers keep round ticks.
    if sizes.windows(2).all(|w| w[1] - w[0] >= 0.1 * widest) {
        x.ticks = sizes;
    }
    let range = |low: f64, high: f64| (low.clamp(-100.0, 0.0), high.clamp(10.0, 100.0));
    lines::panel(&title, x, ("decrease, %", &[Rule::zero()]), range, &lines)
}

/// Ink and dash of a level: darker with more poison.
fn look(place: usize, last: usize) -> (Ink, &'static str) {
    const INKS: [Ink; 5] = [
        Ink::Dose(0),
        Ink::Dose(1),
        Ink::Dose(2),
        Ink::Dose(3),
        Ink::Text,
    ];
    match place {
        0 => (Ink::Clean, "2 4"),
        n => (
            INKS[(n * INKS.len()).div_ceil(last.max(1)).clamp(1, INKS.len()) - 1],
            "",
        ),
    }
}
