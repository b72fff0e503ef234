//! What every learner's report can say, from the words that all learners share ([`Measures`]).

use crate::cells::{self, Measured};
use crate::columns::{Field, Table};
use crate::context;
use crate::findings::with_seeds;
use crate::run::{Run, Trial};
use crate::stats::Interval;
use minijinja::Value;
use tox_study::house::{Measure, Measures};
use tox_study::spec::{Surface, TrialSpec};

/// A cell in the words that all learners share.
pub type Cell<'a> = cells::Cell<'a, TrialSpec, Measures>;

/// What each trial of a run says, in plan order; `None` of those that are not done.
pub fn measures(run: &Run) -> Vec<Option<Measures>> {
    let of = |trial: &Trial| {
        let learner = run.house.learner(&trial.spec.learner.kind)?;
        let record = trial.record()?;
        let own = learner.measures(&trial.spec, &record.outcome);
        Some(Measures {
            chance: own.chance.or(record.provenance.chance_error),
            ..own
        })
    };
    run.trials.iter().map(of).collect()
}

/// All that the shared sections show.
pub struct Common<'a> {
    run: &'a Run,
    pub cells: Vec<Cell<'a>>,
    /// Whether the table shows those cells alone that the learner's own report does not.
    foreign: bool,
}

/// Sentences on the cells that the learner's own report knows nothing of.
pub fn foreign_sentences(run: &Run, measures: &[Option<Measures>]) -> Vec<String> {
    if !run.trials.iter().any(|t| t.foreign) {
        return Vec::new();
    }
    let mut common = Common::new(run, measures);
    common.foreign = true;
    common.verdicts()
}

/// The terminal's table of the cells that the learner's own report knows nothing of.
pub fn foreign_lines(run: &Run) -> String {
    if !run.trials.iter().any(|t| t.foreign) {
        return String::new();
    }
    let measures = measures(run);
    let mut common = Common::new(run, &measures);
    common.foreign = true;
    common.table().terminal()
}

/// Lowest accuracy under any attack.
pub(crate) fn worst(measures: &Measures) -> Option<f64> {
    measures.robust.iter().map(|r| r.1).reduce(f64::min)
}

/// How far the truth lies above the claim.
fn overclaim(measures: &Measures) -> Option<f64> {
    Some(measures.clean_error? - measures.claim?)
}

/// Whether the space or the data are poisoned.
pub fn poisoned(spec: &TrialSpec) -> bool {
    spec.threat.space.is_some() || spec.threat.data.is_some()
}

impl<'a> Common<'a> {
    /// From a run and its [`measures`].
    pub fn new(run: &'a Run, measures: &'a [Option<Measures>]) -> Self {
        let of = |at: usize, trial: &'a Trial| {
            let measured: Option<&Measures> = measures.get(at)?.as_ref();
            Some((&trial.spec, measured))
        };
        let cells = Cell::grouped(run, of);
        Self {
            run,
            cells,
            foreign: false,
        }
    }

    fn shown(&self) -> impl Iterator<Item = &Cell<'a>> {
        let cells = self.cells.iter();
        cells.filter(|c| !self.foreign || c.trials[0].foreign)
    }

    /// What the adversary does in a cell; empty for nothing.
    fn threat(&self, cell: &Cell) -> String {
        match cell.spec().threat.is_none() {
            true => String::new(),
            false => self.run.house.threats_of(cell.spec()),
        }
    }

    fn defence(&self, cell: &Cell) -> String {
        self.run.house.defences_of(cell.spec())
    }

    /// What is audited in a cell.
    pub fn learner(&self, cell: &Cell) -> String {
        let part = &cell.spec().learner;
        let learner = self.run.house.learner(&part.kind);
        learner.map_or_else(|| part.kind.clone(), |l| l.title(part))
    }

    pub(crate) fn error(cell: &Cell) -> Option<Interval> {
        cell.mean(|m| m.clean_error)
    }

    /// The cell that differs from `cell` in nothing but that nobody poisons and nobody defends; one that
    /// is attacked on the same inputs before others.
    pub(crate) fn clean(&self, cell: &Cell) -> Option<&Cell<'a>> {
        let spec = cell.spec();
        let clean = |c: &&Cell| {
            let c = c.spec();
            !poisoned(c) && c.defence.is_none() && c.data == spec.data && c.learner == spec.learner
        };
        let other_inputs = |c: &&Cell| c.spec().threat.inputs != spec.threat.inputs;
        self.cells.iter().filter(clean).min_by_key(other_inputs)
    }

    /// The cell that differs from `cell` in that nobody defends.
    fn undefended(&self, cell: &Cell) -> Option<&Cell<'a>> {
        let spec = cell.spec();
        self.cells.iter().find(|c| {
            let c = c.spec();
            c.defence.is_none()
                && (&c.data, &c.learner, &c.threat) == (&spec.data, &spec.learner, &spec.threat)
        })
    }

    /// How far the error of a cell lies above that of its clean cell, seed by seed; `None` of that cell.
    pub fn damage(&self, cell: &Cell) -> Option<Interval> {
        let clean = self.clean(cell).filter(|c| !std::ptr::eq(*c, cell))?;
        cell.above(clean, |m| m.clean_error)
    }

    /// Seeds that both a cell and its clean cell are planned with.
    pub fn pairs(&self, cell: &Cell) -> usize {
        let planned = |clean: &Cell, seed: u64| clean.trials.iter().any(|t| t.spec.seed == seed);
        let clean = self.clean(cell);
        let seeds = cell.trials.iter().map(|t| t.spec.seed);
        seeds
            .filter(|seed| clean.is_some_and(|clean| planned(clean, *seed)))
            .count()
    }

    /// A sentence on every cell whose seeds are one observation or whose learner guesses without poison, and on every
    /// threat or defence that did nothing.
    pub fn cautions(&self) -> Vec<String> {
        let mut found = Vec::new();
        for cell in &self.cells {
            let repeated = cell.repeats();
            found.extend(repeated.map(|n| format!("{}: the {n} seeds {SAME}.", cell.name)));
            let clean = !poisoned(cell.spec()) && cell.spec().defence.is_none();
            let unlearned = unlearned(cell).filter(|_| clean);
            found.extend(unlearned.map(|what| format!("Warning: {what}.")));
            let mut idle: Vec<(&str, usize)> = Vec::new();
            for what in cell.records().flat_map(|r| &r.outcome.idle) {
                match idle.iter_mut().find(|(other, _)| other == what) {
                    Some((_, count)) => *count += 1,
                    None => idle.push((what, 1)),
                }
            }
            let done = cell.done();
            let sentence = |(what, n)| format!("{}: {what} in {n} of {done} trials.", cell.name);
            found.extend(idle.into_iter().map(sentence));
        }
        found
    }

    /// A sentence on every cell that has a trial done.
    pub fn verdicts(&self) -> Vec<String> {
        self.shown().filter_map(|c| self.verdict(c)).collect()
    }

    fn verdict(&self, cell: &Cell) -> Option<String> {
        let error = Self::error(cell);
        let robust = cell.mean(worst);
        if error.is_none() && robust.is_none() {
            return None;
        }
        let named = [self.threat(cell), self.defence(cell)];
        let named: Vec<String> = named.into_iter().filter(|n| !n.is_empty()).collect();
        let subject = match named.is_empty() {
            true => cell.name.clone(),
            false => format!("{} ({})", cell.name, named.join(", behind ")),
        };
        let mut parts = Vec::new();
        if let Some(error) = error {
            parts.push(match self.damage(cell) {
                Some(damage) => effect(error, damage),
                None => format!("test error {}", with_seeds(error)),
            });
        }
        if let Some(robust) = robust {
            parts.push(format!(
                "under attack {} of answers stay right",
                with_seeds(robust)
            ));
        }
        let doubts = cell
            .records()
            .filter(|r| !r.outcome.doubts.is_empty())
            .count();
        if doubts > 0 {
            parts.push(format!("{doubts} of {} trials are doubtful", cell.done()));
        }
        Some(format!("{subject}: {}.", parts.join("; ")))
    }

    /// Error, damage, claim beside truth, robustness: a row a cell.
    pub fn table(&self) -> Table {
        let rows: Vec<&Cell> = self.shown().collect();
        let mut titles: Vec<String> = rows.iter().map(|c| self.learner(c)).collect();
        titles.dedup();
        let several = titles.len() > 1;
        let learner = |c: &Cell| {
            if several {
                self.learner(c)
            } else {
                String::new()
            }
        };
        Table::of("Every cell", &rows)
            .column("Cell", |c| Field::text(&c.name))
            .short("cell")
            .column("Learner", |c| Field::text(learner(c)))
            .column("Threat", |c| Field::text(self.threat(c)))
            .short("threat")
            .column("Defence", |c| Field::text(self.defence(c)))
            .short("defence")
            .column("Seeds", |c| Field::seeds(c))
            .short("seeds")
            .column("Test\nerror, %", |c| Field::mean(Self::error(c)))
            .short("test error %")
            .column("Damage,\npoints", |c| Field::difference(self.damage(c)))
            .short("damage")
            .column("Claimed\nerror, %", |c| Field::mean(c.mean(|m| m.claim)))
            .short("claimed %")
            .column("Truth above\nclaim, points", |c| {
                Field::difference(c.mean(overclaim))
            })
            .short("above claim")
            .column("Accuracy under the\nworst attack, %", |c| {
                Field::mean(c.mean(worst))
            })
            .short("robust %")
            .column("Candidates\nevaluated", |c| {
                Field::mean(c.mean(|m| m.evaluations.map(|n| n as f64)))
            })
            .table()
    }

    /// A row a cell and attack.
    fn robust(&self) -> Table {
        let mut rows: Vec<(&Cell, &str)> = Vec::new();
        for cell in &self.cells {
            for (name, _) in cell.records().flat_map(|r| &r.outcome.robust) {
                if !rows.iter().any(|r| std::ptr::eq(r.0, cell) && r.1 == name) {
                    rows.push((cell, name));
                }
            }
        }
        let under = |m: &Measures, name: &str| {
            let mut attacks = m.robust.iter();
            attacks.find(|r| r.0 == name).map(|r| r.1)
        };
        Table::of("Accuracy under every attack", &rows)
            .column("Cell", |r| Field::text(&r.0.name))
            .column("Attack", |r| Field::text(r.1))
            .column("As it is, %", |r| {
                Field::mean(r.0.mean(|m| m.clean_error.map(|e| 100.0 - e)))
            })
            .column("Under attack, %", |r| {
                Field::mean(r.0.mean(|m| under(m, r.1)))
            })
            .table()
    }

    /// A row a defended cell.
    fn defended(&self) -> Table {
        let rows = self.cells.iter().filter(|c| !c.spec().defence.is_none());
        let rows: Vec<&Cell> = rows.collect();
        Table::of("Test error before and behind defences", &rows)
            .column("Cell", |c| Field::text(&c.name))
            .column("Threat", |c| Field::text(self.threat(c)))
            .column("Defence", |c| Field::text(self.defence(c)))
            .column("Clean, %", |c| {
                Field::mean(self.clean(c).and_then(Self::error))
            })
            .column("Undefended, %", |c| {
                Field::mean(self.undefended(c).and_then(Self::error))
            })
            .column("Defended, %", |c| Field::mean(Self::error(c)))
            .column("Defended above\nundefended, points", |c| {
                let without = self.undefended(c);
                Field::difference(without.and_then(|without| c.above(without, |m| m.clean_error)))
            })
            .table()
    }

    fn each(&self) -> Vec<(&Cell<'a>, Measured<'a, Measures>)> {
        let cells = self.cells.iter();
        cells
            .flat_map(|c| c.records().map(move |r| (c, r)))
            .collect()
    }

    /// A row a trial that found something.
    fn found(&self) -> Table {
        let mut rows = self.each();
        rows.retain(|(_, r)| r.outcome.found.is_some());
        Table::of("", &rows)
            .column("Cell", |r| Field::text(&r.0.name))
            .column("Seed", |r| Field::of(Some(r.1.spec.seed)))
            .column("Found", |r| {
                Field::long(r.1.outcome.found.clone().unwrap_or_default())
            })
            .table()
    }

    /// A row a reason not to trust a trial's numbers.
    fn doubts(&self) -> Table {
        let mut rows: Vec<(&Cell, u64, &str)> = Vec::new();
        for (cell, record) in self.each() {
            let why = record.outcome.doubts.iter();
            rows.extend(why.map(|why| (cell, record.spec.seed, why.as_str())));
        }
        Table::of("", &rows)
            .column("Cell", |r| Field::text(&r.0.name))
            .column("Seed", |r| Field::of(Some(r.1)))
            .column("Why its numbers are not to be trusted", |r| {
                Field::long(r.2)
            })
            .table()
    }

    /// A row a cell and level of what a learner measures beside the shared words, a column a metric.
    fn others(&self) -> Table {
        let mut rows: Vec<(&Cell, &str)> = Vec::new();
        let mut metrics: Vec<(&str, &str)> = Vec::new();
        for (cell, record) in self.each() {
            for m in &record.outcome.others {
                if !rows
                    .iter()
                    .any(|r| std::ptr::eq(r.0, cell) && r.1 == m.level)
                {
                    rows.push((cell, &m.level));
                }
                if !metrics.contains(&(m.metric, m.unit)) {
                    metrics.push((m.metric, m.unit));
                }
            }
        }
        let mean = |cell: &Cell, level: &str, metric: &str| {
            let at = |m: &&Measure| m.metric == metric && m.level == level;
            cell.mean(|m| m.others.iter().find(at).map(|m| m.value))
        };
        let mut table = Table::of("", &rows)
            .column("Cell", |r| Field::text(&r.0.name))
            .column("At", |r| Field::text(r.1));
        for (metric, unit) in metrics {
            let words = metric.replace('_', " ");
            let head = match unit {
                "" => words,
                unit => format!("{words}, {unit}"),
            };
            table = table.column(head, |r| Field::mean(mean(r.0, r.1, metric)));
        }
        table.table()
    }

    /// A row a planned trial.
    fn trials(&self) -> Table {
        let mut rows: Vec<(&Cell, &Trial, Option<&Measures>)> = Vec::new();
        for cell in &self.cells {
            for trial in &cell.trials {
                let own = cell.records().find(|r| r.spec.seed == trial.spec.seed);
                rows.push((cell, trial, own.map(|r| r.outcome)));
            }
        }
        Table::of("", &rows)
            .column("Cell", |r| Field::text(&r.0.name))
            .column("Seed", |r| Field::of(Some(r.1.spec.seed)))
            .column("Trial", |r| Field::text(r.1.short_id()).code())
            .column("Test error, %", |r| {
                Field::value(r.2.and_then(|m| m.clean_error))
            })
            .column("Claimed error, %", |r| {
                Field::value(r.2.and_then(|m| m.claim))
            })
            .column("State", |r| Field::state(&r.1.state))
            .table()
    }

    /// What the macros of `common.html` draw.
    pub fn value(&self) -> Value {
        let attacked = |c: &Cell| c.spec().threat.get(Surface::Inputs).is_some();
        context! {
            table => self.table().value(),
            robust => self.robust().value(),
            foreign => self.run.trials.iter().any(|t| t.foreign),
            attacked => self.cells.iter().any(attacked),
            defended => self.defended().value(),
            found => self.found().value(),
            doubts => self.doubts().value(),
            others => self.others().value(),
            trials => self.trials().value(),
        }
    }
}

/// What is said of seeds that are one observation.
pub(crate) const SAME: &str = "gave the same results: neither the data nor the learner depend on the seed, so they are \
                               one observation and have no interval";

/// Error of a cell, and that of guessing, over the trials that have both.
fn guess(cell: &Cell) -> Option<(Interval, f64)> {
    let error = cell.mean(|m| m.chance.and(m.clean_error))?;
    let chance = cell.mean(|m| m.clean_error.and(m.chance))?;
    Some((error, chance.mean))
}

/// What there is to say of a cell whose learner does no better than guessing.
pub(crate) fn unlearned(cell: &Cell) -> Option<String> {
    let (error, chance) = guess(cell)?;
    (!learned(cell)?).then(|| {
        format!(
            "in the cell {} the learner is not known to have learned anything: its error of {error} % does not lie below the \
             {chance:.2} % of always answering the most frequent class, so poison has nothing to take from it",
            cell.name
        )
    })
}

/// Whether a cell's error lies below that of guessing, by its whole interval; `None` where the error of guessing is not
/// known.
pub(crate) fn learned(cell: &Cell) -> Option<bool> {
    let below = cell.mean(|m| Some(m.chance? - m.clean_error?))?;
    Some(below.mean > 1e-9 && below.half.is_none_or(|half| below.mean > half))
}

/// [`Common::cautions`] for a terminal.
pub fn caution_lines(run: &Run) -> String {
    let measures = measures(run);
    let cautions = Common::new(run, &measures).cautions();
    cautions.iter().map(|line| format!("{line}\n")).collect()
}

/// The error of a cell, and whether it differs from that of the clean cell.
fn effect(error: Interval, damage: Interval) -> String {
    let to = with_seeds(error);
    let size = Interval {
        mean: damage.mean.abs(),
        ..damage
    };
    match damage.excludes_zero() {
        None => {
            let of = damage.lone();
            format!("test error {to}, {damage:+} points above clean, which {of} cannot judge")
        }
        Some(true) if damage.mean > 0.0 => format!("test error rises by {size} points, to {to}"),
        Some(true) => format!("test error falls by {size} points, to {to}"),
        Some(false) if damage.mean == 0.0 => format!("test error {to}, as in the clean cell"),
        Some(false) => format!("test error {to}, not told from clean by {damage:+} points"),
    }
}
