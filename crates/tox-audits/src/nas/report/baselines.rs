//! Whether a search searches: what it finds on clean data beside what random choice finds.

use super::cells::{Cell, accuracy};
use super::search::Search;
use crate::nas::outcome::{NasOutcome, Place};
use minijinja::Value;
use tox_report::columns::{Field, Table};
use tox_report::stats::Interval;
use tox_report::verdict::{Expect, Verdict, judge};

/// The place in the table of what a trial found.
fn place(outcome: &NasOutcome) -> Option<&Place> {
    outcome.evaluation.as_ref()?.table.as_ref()
}

/// How far a cell's architectures are above a baseline of their records.
fn above(cell: &Cell, of: impl Fn(&Place) -> Option<f64>) -> Option<Interval> {
    cell.mean(|o| Some(accuracy(o)? - of(place(o)?)?))
}

impl Search<'_, '_> {
    /// How far clean runs are above what they have to find more than, see [`Place::bar`].
    pub fn above_bar(&self) -> Option<Interval> {
        above(self.clean()?, |p| Some(p.bar()))
    }

    /// Why nothing is said of what a poison does to it: it is not known to search. `None` of one that does, and where
    /// no table says what random choice finds.
    pub fn idle(&self) -> Option<&'static str> {
        let above = self.above_bar().filter(|_| self.searches());
        match judge(Some(above?), Expect::Up) {
            Verdict::Held => None,
            Verdict::NotHeld => Some("does not search here"),
            Verdict::CannotTell => Some("cannot tell whether it searches here"),
        }
    }

    /// How far clean runs are above a random search of equal cost by the search's own evaluations: as its records
    /// estimate it, or else as the random trial of the same seed that evaluated as many in the same way.
    pub fn above_own(&self) -> Option<Interval> {
        let clean = self.clean()?;
        let estimated = above(clean, |p| Some(p.own?.random_search?.mean));
        estimated.or_else(|| clean.above(self.own_control?, accuracy))
    }

    /// The random search that a search has to beat, in words.
    fn of_equal_cost(&self) -> String {
        let draws = self.equal_cost().map_or(1, |(draws, _)| draws);
        match draws {
            1 => "a random one of its own cells".to_owned(),
            draws => format!("a random search of {draws}"),
        }
    }
}

/// A row for each search that the table judges.
pub fn table(searches: &[Search]) -> Value {
    let rows: Vec<(&Search, &Cell)> = searches
        .iter()
        .filter(|s| s.searches() && s.above_bar().is_some())
        .filter_map(|s| Some((s, s.clean()?)))
        .collect();
    let over = |c: &Cell, of: fn(&Place) -> Option<f64>| Field::difference(above(c, of));
    let words = |s: &Search| {
        let reach = s.config.search.reach(s.config);
        reach.map_or(String::new(), |reach| reach.to_string())
    };
    Table::of("Clean searches beside random choice", &rows)
        .column("Search", |(s, _)| Field::text(&s.title))
        .column("Accuracy, %", |(_, c)| Field::mean(c.accuracy()))
        .column("Over a random\nconnected cell", |(_, c)| {
            over(c, |p| Some(p.connected?.mean))
        })
        .column("Over a random one\nof its own cells", |(s, c)| {
            over(c, |p| Some(p.reachable?.mean)).small(words(s))
        })
        .column("Over a random search\nby the table", |(s, c)| {
            let draws = s.equal_cost().map_or(1, |(draws, _)| draws);
            over(c, |p| Some(p.random_search.mean)).small(format!("of {draws}"))
        })
        .column("Over a random search\nby its own evaluations", |(s, _)| {
            Field::difference(s.above_own())
        })
        .column(
            "Kendall’s tau of its\nevaluations and the table",
            |(_, c)| Field::mean(c.mean(|o| place(o)?.own?.tau)),
        )
        .column("Verdict", |(s, _)| match s.idle() {
            None => Field::text("searches"),
            Some(why) => Field::text(why),
        })
        .table()
        .value()
}

/// A sentence on each search that is not known to search.
pub fn sentences(searches: &[Search]) -> Vec<String> {
    let sentence = |s: &Search| {
        let (why, found) = (s.idle()?, s.above_bar()?);
        let seeds = match found.half {
            Some(_) => format!("{} seeds", found.n),
            None => format!("{}, no interval", found.lone()),
        };
        Some(format!(
            "{}: {why}: {found:+} points against {} on clean data ({seeds}).",
            s.title,
            s.of_equal_cost()
        ))
    };
    searches.iter().filter_map(sentence).collect()
}
