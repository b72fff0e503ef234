//! Cells that search the same task in different ways.

use super::cells::{Cell, MARKS, after, result};
use crate::rcnas::outcome::CompressOutcome;
use crate::rcnas::outcome::Looked;
use crate::report_facts::{defences, evasion, kind};
use serde_json::{Value, json};
use tox_rcnas::learner::task::attack;
use tox_rcnas::{Budget, Method, TaskAttack};
use tox_report::cells::variant;
use tox_report::stats::Interval;

/// A task: data set, attack, teacher and budget, with all that must be the same for methods to be
/// compared on it.
pub struct Task<'c, 'a> {
    /// What it is, as short as the run's other tasks allow.
    pub title: String,
    /// Its cells, in plan order; never empty.
    pub cells: Vec<&'c Cell<'a>>,
}

/// When a number was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// After so many evaluations: the best that the search had seen.
    After(usize),
    /// In the end: the result.
    End,
}

impl When {
    /// The robust accuracy then, percent.
    pub fn of(self, outcome: &CompressOutcome) -> Option<f64> {
        match self {
            Self::After(n) => after(outcome, n),
            Self::End => result(outcome),
        }
    }
}

/// All that makes two cells' tasks the same.
fn key(cell: &Cell) -> Value {
    let (spec, config) = (cell.spec(), cell.config);
    json!([
        spec.data,
        spec.threat,
        spec.defence,
        config.teacher,
        config.weights,
        config.budget,
        config.table,
        // What meta-training looks up the search does not.
        config.meta.trainings,
        config.candidate,
        config.search.space,
        config.search.select,
        config.search.evaluations,
    ])
}

/// The attack of a cell as records name it; `none` without one.
pub fn attack_of(cell: &Cell) -> Option<TaskAttack> {
    evasion(cell.spec()).map(|threat| attack(&threat))
}

/// A budget, such as `40 % of wrn-16-2`.
pub fn budget(cell: &Cell) -> String {
    match cell.config.budget {
        Budget::Share(share) => format!("{} of", tox_report::numbers::percent(share)),
        Budget::Macs(macs) => format!("{}MACs of", tox_report::numbers::count(macs)),
    }
}

/// Data set, attack, teacher and budget, where candidates come from, and the first cell's label.
fn parts(cell: &Cell) -> [String; 4] {
    let spec = cell.spec();
    let data = spec.threat.data.is_some() || !spec.defence.is_none();
    let data = match data {
        true => format!(
            "{} ({}, {})",
            spec.data.dataset,
            kind(spec.threat.data.as_ref()),
            defences(spec)
        ),
        false => spec.data.dataset.clone(),
    };
    [
        data,
        attack_of(cell).map_or("clean".to_owned(), |a| a.name),
        format!("{} {}", budget(cell), cell.config.teacher),
        match (&cell.config.table, &cell.config.meta.trainings[..]) {
            (None, _) => "trained".to_owned(),
            (Some(_), []) => "looked up".to_owned(),
            (Some(_), [..]) => "looked up in trainings that meta-training has not seen".to_owned(),
        },
    ]
}

impl<'c, 'a> Task<'c, 'a> {
    /// The tasks of a run, in plan order.
    pub fn all(cells: &'c [Cell<'a>]) -> Vec<Self> {
        let mut groups: Vec<(Value, Vec<&'c Cell<'a>>)> = Vec::new();
        for cell in cells {
            let key = key(cell);
            match groups.iter_mut().find(|g| g.0 == key) {
                Some(group) => group.1.push(cell),
                None => groups.push((key, vec![cell])),
            }
        }
        let all: Vec<[String; 4]> = groups.iter().map(|g| parts(g.1[0])).collect();
        // Data and attack always; the rest where it tells tasks apart.
        let tells = |i: usize| i < 2 || all.iter().any(|p| p[i] != all[0][i]);
        let title = |p: &[String; 4]| {
            let said = (0..4).filter(|i| tells(*i)).map(|i| p[i].clone());
            said.collect::<Vec<_>>().join(", ")
        };
        let titles: Vec<String> = all.iter().map(title).collect();
        let alone = |t: &String| titles.iter().filter(|u| *u == t).count() == 1;
        let named = groups.into_iter().zip(&titles).map(|((_, cells), title)| {
            let title = match alone(title) {
                true => title.clone(),
                false => format!("{title} ({})", cells[0].label()),
            };
            Self { title, cells }
        });
        named.collect()
    }

    /// Its cells of a method.
    pub fn of(&self, method: Method) -> impl Iterator<Item = &'c Cell<'a>> + '_ {
        let cells = self.cells.iter().copied();
        cells.filter(move |c| c.method() == method)
    }

    /// What a cell is called among the others: its method, and what else it takes to tell them apart.
    pub fn label(&self, cell: &Cell) -> String {
        let title = cell.method().title();
        let twins: Vec<&Cell> = self.of(cell.method()).collect();
        if twins.len() == 1 {
            return title.to_owned();
        }
        let tells = |of: &dyn Fn(&Cell) -> String| {
            let own = of(cell);
            let same = twins.iter().filter(|t| of(t) == own).count();
            (same == 1 && !own.is_empty()).then(|| format!("{title}, {own}"))
        };
        let unseen = |c: &Cell| match c.unseen().as_slice() {
            [] => "all met".to_owned(),
            parts => format!("unseen {}", parts.join(" + ")),
        };
        tells(&unseen)
            .or_else(|| tells(&|c| variant(c.spec()).to_owned()))
            .or_else(|| tells(&|c| c.label().to_owned()))
            .unwrap_or_else(|| format!("{title}, {}", cell.name))
    }

    /// Evaluations that were planned; the same for all its cells.
    pub fn evaluations(&self) -> usize {
        self.cells[0].config.search.evaluations
    }

    /// When methods are compared: after some evaluations, and in the end.
    pub fn times(&self) -> Vec<When> {
        let marks = MARKS.into_iter().filter(|m| *m < self.evaluations());
        let all = marks.chain([self.evaluations()]).map(When::After);
        match self.looked_up().is_some() {
            // What the search saw is one seed of the table.
            true => all.chain([When::End]).collect(),
            false => all.collect(),
        }
    }

    /// What the table knows of the task, if there is one.
    pub fn looked_up(&self) -> Option<&'a Looked> {
        let mut records = self.cells.iter().flat_map(|c| c.records());
        records.find_map(|r| r.outcome.table.as_ref())
    }

    /// Robust accuracy of a cell less that of another, by seed.
    pub fn gain(&self, cell: &Cell, other: &Cell, when: When) -> Option<Interval> {
        cell.above(other, |o| when.of(o))
    }

    /// What evaluations are counted up to: the mean of what random search has seen in the end, or the
    /// agent from scratch.
    pub fn level(&self) -> Option<(&'static str, f64)> {
        [Method::Random, Method::FromScratch]
            .into_iter()
            .find_map(|method| {
                let cell = self.of(method).next()?;
                let last = cell.mean(|o| after(o, self.evaluations()))?;
                Some((method.title(), last.mean))
            })
    }
}
