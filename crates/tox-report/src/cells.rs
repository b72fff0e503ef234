//! Trials that differ only in their seed, taken together.

use crate::run::{Run, Trial};
use crate::stats::{self, Interval};
use tox_study::plan::cell_name;
use tox_study::spec::TrialSpec;

/// The trials of a cell, all of one kind of learner: `C` is its numbers, `O` what it measures.
pub struct Cell<'a, C, O> {
    /// Label with variant, and the data set where the study has several.
    pub name: String,
    /// In plan order; never empty.
    pub trials: Vec<&'a Trial>,
    /// The learner's numbers, the same for all its trials.
    pub config: &'a C,
    /// What each trial measured, in the order of `trials`.
    outcomes: Vec<Option<&'a O>>,
}

/// Makes `Cell`, the cells of a learner with these structures, to which it can give methods of its own,
/// and `all`, which groups a run's trials into them.
#[macro_export]
macro_rules! cells_of {
    ($config:ty, $outcome:ty) => {
        /// A cell of this learner's trials.
        pub struct Cell<'a>($crate::cells::Cell<'a, $config, $outcome>);

        impl<'a> std::ops::Deref for Cell<'a> {
            type Target = $crate::cells::Cell<'a, $config, $outcome>;

            fn deref(&self) -> &Self::Target {
                &self.0
            }
        }

        /// The cells of a run, in plan order.
        pub fn all(run: &$crate::run::Run) -> Vec<Cell<'_>> {
            let cells = $crate::cells::Cell::group(run).into_iter();
            cells.map(Cell).collect()
        }
    };
}

/// A trial that is done.
pub struct Measured<'a, O> {
    /// Its spec.
    pub spec: &'a TrialSpec,
    /// What it measured.
    pub outcome: &'a O,
}

impl<'a, C: 'static, O: 'static> Cell<'a, C, O> {
    /// The cells of a run, in plan order, but for those of foreign trials.
    pub fn group(run: &'a Run) -> Vec<Self> {
        Self::grouped(run, |_, trial| {
            let own = (!trial.foreign).then_some(trial)?;
            Some((own.config()?, own.outcome()))
        })
    }
}

impl<'a, C, O> Cell<'a, C, O> {
    /// As [`Cell::group`], of what `of` reads from a trial and its place in the plan.
    pub fn grouped(
        run: &'a Run,
        of: impl Fn(usize, &'a Trial) -> Option<(&'a C, Option<&'a O>)>,
    ) -> Vec<Self> {
        let several = run
            .trials
            .windows(2)
            .any(|w| w[0].spec.data.dataset != w[1].spec.data.dataset);
        let mut cells: Vec<Self> = Vec::new();
        for (at, trial) in run.trials.iter().enumerate() {
            let Some((config, measured)) = of(at, trial) else {
                continue;
            };
            match cells.iter_mut().find(|c| same(c.spec(), &trial.spec)) {
                Some(cell) => {
                    cell.trials.push(trial);
                    cell.outcomes.push(measured);
                }
                None => {
                    let mut name = cell_name(&trial.spec.cell, trial.spec.variant.as_deref());
                    // A variant often says it already.
                    if several && !name.contains(&trial.spec.data.dataset) {
                        name = format!("{name}, {}", trial.spec.data.dataset);
                    }
                    cells.push(Self {
                        name,
                        trials: vec![trial],
                        config,
                        outcomes: vec![measured],
                    });
                }
            }
        }
        cells
    }
}

impl<'a, C, O> Cell<'a, C, O> {
    /// The spec that all its trials share, but for the seed.
    pub fn spec(&self) -> &'a TrialSpec {
        &self.trials[0].spec
    }

    /// Its label without the variant.
    pub fn label(&self) -> &'a str {
        &self.spec().cell
    }

    /// Its trials that are done.
    pub fn records(&self) -> impl Iterator<Item = Measured<'a, O>> + '_ {
        let both = self.trials.iter().zip(&self.outcomes);
        both.filter_map(|(trial, outcome)| {
            let record = trial.record()?;
            Some(Measured {
                spec: &record.spec,
                outcome: (*outcome)?,
            })
        })
    }

    /// Trials with a record.
    pub fn done(&self) -> usize {
        self.records().count()
    }

    /// Whether every planned trial has a record.
    pub fn complete(&self) -> bool {
        self.done() == self.trials.len()
    }

    /// Trials done of those planned.
    pub fn seeds(&self) -> String {
        format!("{}/{}", self.done(), self.trials.len())
    }

    /// How many of its trials are done, if these are several and all gave the same results on the same data: neither
    /// data nor learner depend on the seed then, and the trials are one observation. Numbers that are equal though the
    /// data or anything else that was measured differ are as many observations as there are seeds.
    pub fn repeats(&self) -> Option<usize> {
        let done: Vec<_> = self.trials.iter().filter_map(|t| t.record()).collect();
        let same = |w: &[&tox_study::record::Record]| {
            w[0].outcome == w[1].outcome && w[0].provenance.data_hash == w[1].provenance.data_hash
        };
        (done.len() > 1 && done.windows(2).all(same)).then_some(done.len())
    }

    /// Mean and 95 % interval of a number over the trials that have it.
    pub fn mean(&self, of: impl Fn(&O) -> Option<f64>) -> Option<Interval> {
        let values: Vec<f64> = self.records().filter_map(|r| of(r.outcome)).collect();
        Some(stats::mean(&values)?.once(self.repeats().is_some()))
    }

    /// Mean and 95 % t-interval of the differences to `other`, seed by seed, over the seeds for
    /// which both have the number. Trials of one seed share their random streams, so this, and not
    /// the two cells' own intervals, says whether they differ.
    pub fn above(&self, other: &Self, of: impl Fn(&O) -> Option<f64>) -> Option<Interval> {
        let differences: Vec<f64> = self
            .records()
            .filter_map(|r| {
                let twin = other.records().find(|t| t.spec.seed == r.spec.seed)?;
                Some(of(r.outcome)? - of(twin.outcome)?)
            })
            .collect();
        let one = self.repeats().is_some() && other.repeats().is_some();
        Some(stats::mean(&differences)?.once(one))
    }
}

/// The variant of a spec, empty for none.
pub fn variant(spec: &TrialSpec) -> &str {
    spec.variant.as_deref().unwrap_or_default()
}

/// Whether two specs differ in nothing but the seed.
fn same(a: &TrialSpec, b: &TrialSpec) -> bool {
    // Cheapest first; named one by one, so that no new field is forgotten.
    let TrialSpec {
        cell,
        variant,
        version,
        judge,
        data,
        threat,
        defence,
        learner,
        seed: _,
    } = a;
    *cell == b.cell
        && *variant == b.variant
        && *version == b.version
        && *judge == b.judge
        && *data == b.data
        && *threat == b.threat
        && *defence == b.defence
        && *learner == b.learner
}
