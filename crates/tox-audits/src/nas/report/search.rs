//! The cells of one search with one set of numbers: what its poisoned trials are compared with.

use super::cells::{Cell, accuracy};
use crate::nas::outcome::NasOutcome;
use crate::report_facts::defences;
use tox_data::spec::DataSpec;
use tox_report::run::Run;
use tox_report::settings::leaves;
use tox_report::stats::{self, Interval, Ratio};
use tox_search::nas::{NasConfig, Reads, TrainOn};

/// How good a random architecture of the space is.
enum Random<'c, 'a> {
    /// The mean of a table, which every record has.
    Table,
    /// The trial of the same seed in a cell of random architectures.
    Trials(&'c Cell<'a>),
    /// Nobody knows.
    Unknown,
}

/// What a poison ate of the gain over a random architecture.
#[derive(Clone, Debug, PartialEq)]
pub enum Eaten {
    /// So much of the clean gain.
    Share(Ratio),
    /// There is no share; why. Empty of the clean cell and where nothing is searched.
    None(&'static str),
}

/// A search, and all cells that run it with the same numbers.
pub struct Search<'c, 'a> {
    /// Its name, with what tells it from the study's others.
    pub title: String,
    /// The numbers.
    pub config: &'a NasConfig,
    /// In plan order; never empty.
    pub cells: Vec<&'c Cell<'a>>,
    /// The data set of the study.
    home: &'c str,
    random: Random<'c, 'a>,
    /// Random searches that evaluate as many architectures in the same way.
    pub own_control: Option<&'c Cell<'a>>,
}

/// The study's data set: what its recipe names, or else what the first trial has.
fn home(run: &Run) -> &str {
    let named = run.head.data.dataset.as_str();
    let first = run.trials.first();
    match named {
        "" => first.map_or("", |t| t.spec.data.dataset.as_str()),
        named => named,
    }
}

/// Whether two configs judge architectures of the same space in the same way.
fn judged_alike(a: &NasConfig, b: &NasConfig) -> bool {
    (a.space, a.evaluate, a.column) == (b.space, b.evaluate, b.column)
        && a.train == b.train
        && a.train_on == b.train_on
        && a.target == b.target
}

/// Whether two configs are of one search with the same numbers, whichever way it goes.
fn same_numbers(a: &NasConfig, b: &NasConfig) -> bool {
    let mut turned = b.clone();
    turned.direction = a.direction;
    *a == turned
}

/// Whether a random search evaluates architectures as a search does: networks of one size, trained alike.
fn evaluates_alike(random: &NasConfig, search: &NasConfig) -> bool {
    let key = |config: &NasConfig, key: &str| {
        let table = config.tables.get(config.search.kind());
        table.and_then(|table| table.get(key).cloned())
    };
    let same = |name| key(search, name).is_some() && key(random, name) == key(search, name);
    random.search.facts().control && ["channels", "cells", "train"].into_iter().all(same)
}

impl<'c, 'a> Search<'c, 'a> {
    /// The searches of a run, in plan order, what is no search last. Cells on other data than the
    /// study's belong to the first search with their numbers.
    pub fn all(run: &'c Run, cells: &'c [Cell<'a>]) -> Vec<Self> {
        let home = home(run);
        let data = |c: &Cell<'a>| -> &'a DataSpec { &c.spec().data };
        let at_home = |c: &&Cell| c.spec().data.dataset == home;
        let mut groups: Vec<(&'a DataSpec, Vec<&'c Cell<'a>>)> = Vec::new();
        for cell in cells.iter().filter(at_home) {
            let fits = |g: &(&DataSpec, Vec<&Cell>)| {
                g.0 == data(cell) && same_numbers(g.1[0].config, cell.config)
            };
            match groups.iter_mut().find(|g| fits(g)) {
                Some(group) => group.1.push(cell),
                None => groups.push((data(cell), vec![cell])),
            }
        }
        for cell in cells.iter().filter(|c| !at_home(c)) {
            match groups
                .iter_mut()
                .find(|g| same_numbers(g.1[0].config, cell.config))
            {
                Some(group) => group.1.push(cell),
                None => groups.push((data(cell), vec![cell])),
            }
        }
        groups.sort_by_key(|g| !g.1[0].kind().facts().searches());
        let mut searches: Vec<Self> = groups
            .iter()
            .map(|(data, members)| {
                let search = members.iter().find(|c| !c.anti());
                let config = search.unwrap_or(&members[0]).config;
                let control = |c: &&Cell| {
                    c.kind().facts().control
                        && c.attack().is_none()
                        && !c.defended()
                        && c.spec().data == **data
                        && c.kind().reads(c.config) == Reads::Nothing
                        && judged_alike(c.config, config)
                };
                let looked_up = members.iter().flat_map(|c| c.records()).any(|r| {
                    let evaluation = r.outcome.evaluation.as_ref();
                    evaluation.is_some_and(|e| e.table.is_some())
                });
                let random = match cells.iter().find(control) {
                    _ if looked_up => Random::Table,
                    Some(cell) => Random::Trials(cell),
                    None => Random::Unknown,
                };
                let cost = members.iter().flat_map(|c| c.records()).next();
                let cost = cost.map(|r| r.outcome.trace.evaluated());
                let own_control = cells.iter().find(|c| {
                    let evaluated = c.records().next().map(|r| r.outcome.trace.evaluated());
                    c.attack().is_none()
                        && !c.defended()
                        && c.spec().data == **data
                        && judged_alike(c.config, config)
                        && evaluates_alike(c.config, config)
                        && evaluated.is_some_and(|n| n > 0 && Some(n) == cost)
                });
                Self {
                    own_control,
                    title: match config.train_on {
                        TrainOn::Clean => config.search.title().to_owned(),
                        TrainOn::Searched => {
                            format!("{}, trained on the search’s rows", config.search.title())
                        }
                    },
                    config,
                    cells: members.clone(),
                    home,
                    random,
                }
            })
            .collect();
        let titles: Vec<String> = searches.iter().map(|s| s.title.clone()).collect();
        for search in &mut searches {
            if titles.iter().filter(|t| **t == search.title).count() > 1 {
                search.title = format!("{}, {}", search.title, search.cells[0].name);
            }
        }
        searches
    }

    /// Whether it is a search, and neither random choice nor an architecture that is given.
    pub fn searches(&self) -> bool {
        self.config.search.facts().searches()
    }

    /// Whether architectures are chosen by scores of untrained networks; `None` where nothing is searched.
    pub fn training_free(&self) -> Option<bool> {
        self.searches()
            .then(|| self.config.search.facts().training_free)
    }

    /// Whether what it found is trained on clean rows, so that a poison takes from the search alone.
    pub fn trains_clean(&self) -> bool {
        self.config.train_on.is_clean()
    }

    /// Whether a cell searched on other data than the study's.
    pub fn elsewhere(&self, cell: &Cell) -> bool {
        cell.spec().data.dataset != self.home
    }

    /// Threat, data and defence of a cell, in a few words.
    pub fn condition(&self, cell: &Cell) -> String {
        let mut parts = Vec::new();
        if self.elsewhere(cell) {
            parts.push(format!("OOD: {}", cell.spec().data.dataset));
        }
        parts.extend(cell.anti().then(|| "anti-search".to_owned()));
        parts.extend(cell.bad_ops());
        if cell.attack().is_some() || parts.is_empty() {
            parts.push(self.threat(cell));
        }
        if cell.defended() {
            parts.push(defences(cell.spec()));
        }
        if let Some(inputs) = &cell.spec().threat.inputs {
            parts.push(format!("under {}", inputs.kind));
        }
        parts.join(", ")
    }

    /// The cell without threat and defence on the study's data; a complete one if there is one.
    pub fn clean(&self) -> Option<&'c Cell<'a>> {
        self.plain(false)
    }

    /// The clean cell of the anti-search.
    pub fn anti(&self) -> Option<&'c Cell<'a>> {
        self.plain(true)
    }

    fn plain(&self, anti: bool) -> Option<&'c Cell<'a>> {
        let plain =
            |c: &&&Cell| !c.touched() && !c.defended() && !self.elsewhere(c) && c.anti() == anti;
        let cells = self.cells.iter().filter(plain).copied();
        cells.max_by_key(|c| c.complete())
    }

    /// Whether a cell is the clean one.
    pub fn is_clean(&self, cell: &Cell) -> bool {
        self.clean().is_some_and(|clean| std::ptr::eq(clean, cell))
    }

    /// Attacked cells on the study's data without a defence.
    pub fn attacked(&self) -> impl Iterator<Item = &'c Cell<'a>> + '_ {
        let plain = |c: &&Cell| c.touched() && !c.defended() && !self.elsewhere(c) && !c.anti();
        self.cells.iter().copied().filter(plain)
    }

    /// Those numbers of a cell's attack that differ from other cells' with the same attack, beside
    /// the budget, as `, radius 0.5`.
    fn numbers(&self, cell: &Cell) -> String {
        let numbers = |c: &Cell| match &c.spec().threat.data {
            Some(threat) if threat.kind != "file" => leaves("", threat),
            Some(_) | None => Vec::new(),
        };
        let alike = self.cells.iter().filter(|c| c.attack() == cell.attack());
        let others: Vec<Vec<(String, String)>> = alike.map(|c| numbers(c)).collect();
        let mut out = String::new();
        for number in numbers(cell) {
            let (key, value) = &number;
            if key == "budget" || others.iter().all(|o| o.contains(&number)) {
                continue;
            }
            out.push_str(", ");
            // A word says what it is, a number does not.
            if !value.starts_with(char::is_alphabetic) || value == "true" || value == "false" {
                let name = key.rsplit('.').next().unwrap_or(key);
                out.push_str(&name.replace('_', " "));
                out.push(' ');
            }
            out.push_str(value);
        }
        out
    }

    /// Name of a cell's attack, with its numbers where the study has several.
    pub fn attack(&self, cell: &Cell) -> Option<String> {
        Some(cell.attack_name()? + &self.numbers(cell))
    }

    /// What is done to a cell's data, such as `GC 50 %`.
    pub fn threat(&self, cell: &Cell) -> String {
        cell.threat() + &self.numbers(cell)
    }

    /// The attacks, in the order in which they come.
    pub fn attacks(&self) -> Vec<String> {
        let mut out = Vec::new();
        for attack in self.attacked().filter_map(|c| self.attack(c)) {
            if !out.contains(&attack) {
                out.push(attack);
            }
        }
        out
    }

    /// The cells of an attack, the least budget first.
    pub fn doses(&self, attack: &str) -> Vec<&'c Cell<'a>> {
        let of = |c: &&Cell| self.attack(c).as_deref() == Some(attack);
        let mut cells: Vec<&Cell> = self.attacked().filter(of).collect();
        cells.sort_by(|a, b| {
            let budget = |c: &Cell| c.budget().unwrap_or(0.0);
            budget(a).total_cmp(&budget(b))
        });
        cells
    }

    /// The cell that a defended one is without its defence.
    pub fn undefended(&self, cell: &Cell) -> Option<&'c Cell<'a>> {
        let (spec, cells) = (cell.spec(), self.cells.iter().copied());
        let same = |c: &&Cell| {
            !c.defended()
                && c.anti() == cell.anti()
                && c.spec().threat == spec.threat
                && c.spec().data == spec.data
        };
        cells.filter(|_| cell.defended()).find(same)
    }

    /// Accuracy of a random architecture, as a trial of a seed is compared with.
    fn random_of(&self, seed: u64, outcome: &NasOutcome) -> Option<f64> {
        match self.random {
            Random::Table => Some(outcome.evaluation.as_ref()?.table.as_ref()?.random.mean),
            Random::Trials(cell) => accuracy(cell.at(seed)?),
            Random::Unknown => None,
        }
    }

    /// Accuracy of a random architecture: of the whole table, or the mean of the trials.
    pub fn random_level(&self) -> Option<f64> {
        match self.random {
            Random::Trials(cell) => Some(cell.accuracy()?.mean),
            Random::Table | Random::Unknown => self.place(|p| p.random.mean),
        }
    }

    /// Architectures that a random search evaluates that evaluates as many, and what it finds.
    pub fn equal_cost(&self) -> Option<(usize, f64)> {
        self.place(|p| (p.draws, p.random_search.mean))
    }

    /// Where random numbers come from, in words.
    pub fn random_is(&self) -> &'static str {
        match self.random {
            Random::Table => {
                "the mean of the whole table, cells that lead nowhere with it, which pull it down"
            }
            Random::Trials(_) => "the random trial of the same seed",
            Random::Unknown => "not known",
        }
    }

    fn place<T>(&self, of: impl Fn(&crate::nas::outcome::Place) -> T) -> Option<T> {
        let mut records = self.cells.iter().flat_map(|c| c.records());
        records.find_map(|r| r.outcome.evaluation.as_ref()?.table.as_ref().map(&of))
    }

    /// How far a cell's architectures are above a random one, by seed.
    pub fn gain(&self, cell: &Cell) -> Option<Interval> {
        let of = |seed, o: &NasOutcome| Some(accuracy(o)? - self.random_of(seed, o)?);
        let gains: Vec<f64> = cell
            .records()
            .filter_map(|r| of(r.spec.seed, r.outcome))
            .collect();
        stats::mean(&gains)
    }

    /// How far they are above what a random search of as many architectures finds.
    pub fn above_equal_cost(&self, cell: &Cell) -> Option<Interval> {
        cell.mean(|o| {
            let evaluation = o.evaluation.as_ref()?;
            Some(evaluation.accuracy - evaluation.table.as_ref()?.random_search.mean)
        })
    }

    /// Accuracy that a cell lost to the clean one, by seed; `None` of the clean cell itself.
    pub fn drop(&self, cell: &Cell<'a>) -> Option<Interval> {
        self.lost(cell, accuracy)
    }

    /// What a cell lost of `value` to the clean one, by seed; `None` of the clean cell itself.
    pub fn lost(
        &self,
        cell: &Cell<'a>,
        value: impl Fn(&NasOutcome) -> Option<f64>,
    ) -> Option<Interval> {
        let clean = self.clean().filter(|_| !self.is_clean(cell))?;
        clean.above(cell, value)
    }

    /// Of each seed that both have: the drop of a cell and the clean trial's gain over random.
    fn pairs(&self, cell: &Cell) -> Vec<(f64, f64)> {
        let Some(clean) = self.clean() else {
            return Vec::new();
        };
        let pair = |seed, outcome: &NasOutcome| {
            let twin = clean.at(seed)?;
            let before = accuracy(twin)?;
            Some((
                before - accuracy(outcome)?,
                before - self.random_of(seed, twin)?,
            ))
        };
        cell.records()
            .filter_map(|r| pair(r.spec.seed, r.outcome))
            .collect()
    }

    /// How much of the clean gain over a random architecture is gone in a cell.
    pub fn eaten(&self, cell: &Cell) -> Eaten {
        let pairs = self.pairs(cell);
        match (pairs.len(), stats::ratio(&pairs)) {
            _ if self.is_clean(cell) || !self.searches() => Eaten::None(""),
            (0, _) => Eaten::None("nothing to compare with"),
            (1, _) => Eaten::None("one seed"),
            (_, Some(share)) => Eaten::Share(share),
            (_, None) => Eaten::None("clean gain not above 0"),
        }
    }

    /// The drop of a cell as a share of what anti-search loses, over the seeds that have both; `None` of the clean and
    /// the anti-search itself, and where anti-search is not known to lose.
    pub fn of_anti(&self, cell: &Cell) -> Option<Ratio> {
        let (clean, anti) = (self.clean()?, self.anti()?);
        if cell.anti() || self.is_clean(cell) {
            return None;
        }
        let pair = |seed, outcome: &NasOutcome| {
            let before = accuracy(clean.at(seed)?)?;
            let least = accuracy(anti.at(seed)?)?;
            Some((before - accuracy(outcome)?, before - least))
        };
        let pairs = cell.records();
        let pairs: Vec<_> = pairs.filter_map(|r| pair(r.spec.seed, r.outcome)).collect();
        stats::ratio(&pairs)
    }

    /// The drop less half of the clean gain, by seed: above 0 if more than half is gone.
    pub fn beyond_half(&self, cell: &Cell) -> Option<Interval> {
        let pairs = self.pairs(cell);
        let rests: Vec<f64> = pairs.iter().map(|(lost, gain)| lost - gain / 2.0).collect();
        stats::mean(&rests)
    }

    /// How much more a cell lost than one of another search, by seed.
    pub fn loses_more(&self, cell: &Cell, other: &Search, twin: &Cell) -> Option<Interval> {
        let lost = |search: &Search, cell: &Cell, seed: u64| {
            let clean = search.clean()?.at(seed)?;
            Some(accuracy(clean)? - accuracy(cell.at(seed)?)?)
        };
        let differences: Vec<f64> = cell
            .records()
            .filter_map(|r| {
                let seed = r.spec.seed;
                Some(lost(self, cell, seed)? - lost(other, twin, seed)?)
            })
            .collect();
        stats::mean(&differences)
    }
}
