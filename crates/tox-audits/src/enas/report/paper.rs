//! The numbers that a paper prints, kept as data beside the code (`data/*.toml`), and beside which cells
//! they stand.

use super::cells::{Cell, policy_name};
use super::settings::reduced;
use serde::Deserialize;
use tox_poison::space::{PoisonSet, SpacePoison};
use tox_search::space::Space;

/// A printed pair, percent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Printed {
    /// Validation error.
    pub valid: Option<f64>,
    /// Test error.
    pub test: Option<f64>,
}

/// A printed pair and what it is of.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// The paper's name for it.
    label: String,
    /// Key of the data set.
    data: String,
    /// Poison set; none for the clean space.
    poison: Option<PoisonSet>,
    /// How often the set is put in.
    #[serde(default)]
    q: usize,
    valid: Option<f64>,
    test: Option<f64>,
}

impl Entry {
    fn poison(&self) -> Option<SpacePoison> {
        self.poison.map(|set| SpacePoison {
            set: set.into(),
            q: self.q,
        })
    }
}

/// What a paper printed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paper {
    /// Title.
    pub name: String,
    /// Authors.
    pub authors: String,
    /// What its numbers are.
    pub setting: String,
    /// Where its running text gives another number than its tables.
    pub text: Vec<String>,
    entry: Vec<Entry>,
}

/// The paper's side of a cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Beside {
    /// What it printed for that poison, data set and learner, and what the cell has less of.
    Printed(Printed, Vec<String>),
    /// It printed nothing that the cell can be held against; why.
    Not(String),
}

impl Beside {
    /// The numbers, if there are any.
    pub fn printed(&self) -> Printed {
        match self {
            Self::Printed(printed, _) => *printed,
            Self::Not(_) => Printed::default(),
        }
    }

    /// Validation and test error; `none` stands for an absent one, `apart` for a cell with nothing to compare.
    pub fn pair(&self, none: &str, apart: &str) -> String {
        let number = |v: Option<f64>| v.map_or(none.to_owned(), |v| format!("{v:.2}"));
        match self {
            Self::Not(_) => apart.to_owned(),
            Self::Printed(printed, _) => {
                format!("{} / {}", number(printed.valid), number(printed.test))
            }
        }
    }
}

impl Paper {
    /// The paper that a recipe calls `key`; `None` when there are no numbers for it.
    pub fn find(key: &str) -> Option<Self> {
        match key {
            "ssp" => toml::from_str(include_str!("paper.toml")).ok(),
            _ => None,
        }
    }

    /// What it printed for a cell. Not the label says so, which a recipe is free to choose, but the poison,
    /// the data set and the learner.
    pub fn cell(&self, cell: &Cell) -> Beside {
        let (data, poison) = (&cell.spec().data, cell.poison());
        let not = |why: String| Beside::Not(why);
        let other_data = |paper: &Entry| {
            let (ours, paper) = (title(&data.dataset), title(&paper.data));
            not(format!("{ours}, paper {paper}"))
        };
        if let Some(first) = self.entry.first()
            && self.entry.iter().all(|e| e.data != data.dataset)
        {
            return other_data(first);
        }
        if cell.random() {
            return not("random search, paper ENAS".to_owned());
        }
        if cell.config.clean_space() != Space::enas() {
            return not("another clean space than the paper’s".to_owned());
        }
        if cell.screened() {
            return not("screened space, paper unscreened".to_owned());
        }
        // PyTorch's, of whichever version: the paper does not name its own.
        if cell.guarded() {
            let policy = policy_name(cell.policy());
            return not(format!("NaN policy {policy}, paper torch"));
        }
        let like: Vec<&Entry> = self.entry.iter().filter(|e| e.poison() == poison).collect();
        let Some(first) = like.first() else {
            return not(self.other(cell));
        };
        let Some(entry) = like.iter().find(|e| e.data == data.dataset) else {
            return other_data(first);
        };
        if let Some(classes) = &data.classes {
            let all = if data.dataset == "cifar100" { 100 } else { 10 };
            return not(format!("{} classes, paper {all}", classes.len()));
        }
        let printed = Printed {
            valid: entry.valid,
            test: entry.test,
        };
        Beside::Printed(printed, reduced(cell))
    }

    /// Why a poison that the paper does not have cannot be compared.
    fn other(&self, cell: &Cell) -> String {
        let Some(poison) = cell.poison() else {
            return "the paper has no clean cell".to_owned();
        };
        let named = self.entry.iter().find(|e| e.label == cell.label());
        match named.map(Entry::poison) {
            Some(Some(paper)) if paper.set == poison.set => {
                format!("q {}, paper {}", poison.q, paper.q)
            }
            Some(Some(paper)) => {
                let ours = format!("{} × {}", poison.set, poison.q);
                format!("{ours}, paper {} × {}", paper.set, paper.q)
            }
            Some(None) => format!("{} × {}, paper clean", poison.set, poison.q),
            None => {
                let of_set = self.entry.iter().filter_map(Entry::poison);
                let of_set = of_set.filter(|paper| paper.set == poison.set);
                let mut qs: Vec<usize> = of_set.map(|paper| paper.q).collect();
                if qs.is_empty() {
                    return format!("{} × {}, no set of the paper’s", poison.set, poison.q);
                }
                qs.sort_unstable();
                qs.dedup();
                let qs: Vec<String> = qs.iter().map(usize::to_string).collect();
                format!("{} × {}, paper q {}", poison.set, poison.q, qs.join(", "))
            }
        }
    }
}

/// What is said once of all the cells for which the paper printed nothing, and of those that are smaller
/// than the paper's.
pub fn notes(paper: &Paper, cells: &[Cell]) -> Vec<String> {
    let mut apart: Vec<(String, Vec<&str>)> = Vec::new();
    let mut smaller: Vec<(String, Vec<&str>)> = Vec::new();
    for cell in cells {
        let (list, what) = match paper.cell(cell) {
            Beside::Not(why) => (&mut apart, why),
            Beside::Printed(_, reduced) if reduced.is_empty() => continue,
            Beside::Printed(_, reduced) => (&mut smaller, reduced.join(", ")),
        };
        match list.iter_mut().find(|(known, _)| *known == what) {
            Some((_, names)) => names.push(&cell.name),
            None => list.push((what, vec![&cell.name])),
        }
    }
    let said = |list: Vec<(String, Vec<&str>)>| -> String {
        let parts = list.into_iter().map(|(what, names)| match names.len() {
            n if n == cells.len() => what,
            n if n > NAMES => format!("{what} ({n} cells)"),
            _ => format!("{what} ({})", names.join(", ")),
        });
        parts.collect::<Vec<_>>().join("; ")
    };
    let mut out = Vec::new();
    if !apart.is_empty() {
        let all = apart.iter().map(|(_, names)| names.len()).sum::<usize>() == cells.len();
        let head = match all {
            true => "No number of the paper is comparable",
            false => "Not comparable with the paper (n/c)",
        };
        out.push(format!("{head}: {}", said(apart)));
    }
    if !smaller.is_empty() {
        let head = "The paper’s numbers are of its full size; these cells are reduced";
        out.push(format!("{head}: {}", said(smaller)));
    }
    out
}

/// Cells that a note names; more are counted.
const NAMES: usize = 4;

/// A data set as papers write it.
fn title(key: &str) -> &str {
    match key {
        "cifar100" => "CIFAR-100",
        other => crate::bilevel::report::dataset(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enas::report::{cells, synthetic};
    use crate::made_up;
    use tox_poison::space::BadSet;
    use tox_search::enas::config::{EnasConfig, NanPolicy, Strategy};
    use tox_search::space::{Op, OwnOps, SpaceOp};
    use tox_study::part::Part;
    use tox_study::spec::{Threats, TrialSpec};

    fn beside(change: impl Fn(&mut TrialSpec)) -> Beside {
        let poison = SpacePoison {
            set: PoisonSet::P1.into(),
            q: 6,
        };
        let mut spec = synthetic::spec("1a", Some(poison), NanPolicy::Torch, false, 0);
        change(&mut spec);
        let dir = tempfile::tempdir().unwrap();
        made_up::write(dir.path(), "", &[spec], synthetic::record, |_| 2);
        let run = made_up::run(dir.path());
        Paper::find("ssp").unwrap().cell(&cells::all(&run)[0])
    }

    fn poison(spec: &mut TrialSpec, set: impl Into<BadSet>, q: usize) {
        let set = set.into();
        spec.threat.space = Some(Part::new("bad-ops", &SpacePoison { set, q }));
    }

    #[test]
    fn the_data_file_parses_and_has_all_cells() {
        let paper = Paper::find("ssp").unwrap();
        let of = |data: &str| paper.entry.iter().filter(|e| e.data == data).count();
        assert_eq!((of("cifar10"), of("cifar100")), (23, 1));
        assert!(Paper::find("none").is_none());
    }

    fn own(op: &str) -> BadSet {
        let op = SpaceOp {
            op: Op::named(op).unwrap(),
            count: 1,
            poison: false,
        };
        BadSet::Own(OwnOps::Ops(vec![op]))
    }

    #[test]
    fn a_number_stands_beside_what_it_is_of_and_nothing_else() {
        let number = |found: Beside| found.printed().test;
        // By poison, data set and learner; the label is the user's.
        assert_eq!(number(beside(|_| {})), Some(30.93));
        assert_eq!(number(beside(|s| s.cell = "mine".into())), Some(30.93));
        assert_eq!(number(beside(|s| poison(s, PoisonSet::P2, 6))), Some(46.73));
        let clean = beside(|s| s.threat = Threats::default());
        assert_eq!(number(clean), Some(25.33));
        let hundred = beside(|s| {
            s.data.dataset = "cifar100".into();
            poison(s, PoisonSet::P3Plus, 1);
        });
        assert_eq!(number(hundred), Some(99.0));
        let not = |change: fn(&mut TrialSpec)| match beside(change) {
            Beside::Not(why) => why,
            Beside::Printed(printed, _) => panic!("{printed:?}"),
        };
        assert_eq!(not(|s| poison(s, PoisonSet::P1, 12)), "q 12, paper 6");
        assert_eq!(
            not(|s| poison(s, PoisonSet::P2, 12)),
            "P2 × 12, paper P1 × 6"
        );
        assert_eq!(
            not(|s| {
                s.cell = "mine".into();
                poison(s, PoisonSet::P5, 7);
            }),
            "P5 × 7, paper q 1, 6, 20, 50"
        );
        assert_eq!(
            not(|s| s.data.dataset = "digits".into()),
            "digits, paper CIFAR-10"
        );
        assert_eq!(
            not(|s| {
                s.data.dataset = "cifar100".into();
                s.threat = Threats::default();
            }),
            "CIFAR-100, paper CIFAR-10"
        );
        assert_eq!(
            not(|s| s.data.classes = Some(vec![0, 1])),
            "2 classes, paper 10"
        );
        assert_eq!(
            not(|s| s.defence.space.push(synthetic::screen())),
            "screened space, paper unscreened"
        );
        assert_eq!(
            not(|s| poison(s, own("identity"), 6)),
            "identity × 6, paper P1 × 6"
        );
        assert_eq!(
            not(|s| {
                s.cell = "mine".into();
                poison(s, own("conv1"), 6);
            }),
            "conv1 × 6, no set of the paper’s"
        );
        assert_eq!(
            not(
                |s| made_up::edit(&mut s.learner, |config: &mut EnasConfig| {
                    config.space = Some(OwnOps::Ops(Space::enas().ops[1..].to_vec()));
                })
            ),
            "another clean space than the paper’s"
        );
        let old = beside(|s| {
            made_up::edit(&mut s.learner, |config: &mut EnasConfig| {
                config.child.nan_policy = NanPolicy::Torch19;
            });
        });
        assert_eq!(number(old), Some(30.93));
        assert_eq!(
            not(
                |s| made_up::edit(&mut s.learner, |config: &mut EnasConfig| {
                    config.strategy = Strategy::Random;
                })
            ),
            "random search, paper ENAS"
        );
        assert_eq!(
            not(
                |s| made_up::edit(&mut s.learner, |config: &mut EnasConfig| {
                    config.child.nan_policy = NanPolicy::Guarded;
                })
            ),
            "NaN policy guarded, paper torch"
        );
    }

    /// The ENAS report, and with it the paper, knows nothing of them.
    #[test]
    fn poisoned_or_cleansed_data_are_in_no_cell_of_the_paper() {
        let of = |change: fn(&mut TrialSpec)| {
            let mut spec = synthetic::spec("1a", None, NanPolicy::Torch, false, 0);
            change(&mut spec);
            let dir = tempfile::tempdir().unwrap();
            made_up::write(dir.path(), "", &[spec], synthetic::record, |_| 2);
            cells::all(&made_up::run(dir.path())).len()
        };
        fn part(kind: &str) -> Part {
            Part::new(kind, &serde_json::json!({ "budget": 0.1 }))
        }
        assert_eq!(of(|_| ()), 1);
        assert_eq!(of(|s| s.threat.data = Some(part("rlf"))), 0);
        assert_eq!(of(|s| s.defence.data.push(part("knn"))), 0);
    }

    #[test]
    fn what_is_smaller_than_in_the_paper_is_said() {
        let Beside::Printed(_, reduced) = beside(|_| {}) else {
            panic!("not comparable");
        };
        assert_eq!(
            reduced,
            [
                "16x16 pixels of 32x32",
                "4000 training images of 45000",
                "1000 validation images of 5000",
                "2000 test images of 10000",
                "30 epochs of 300",
                "12 channels of 36"
            ]
        );
    }
}
