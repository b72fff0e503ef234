//! Trials that differ only in their seed, taken together.

use crate::run::Record;
use crate::run::{Run, Trial};
use crate::stats::{self, Interval};
use tox_poison::space::SpacePoison;
use tox_search::enas::config::{EnasConfig, NanPolicy, Strategy};
use tox_search::space::Space;
use tox_study::plan::cell_name;
use tox_study::record::EnasOutcome as Outcome;
use tox_study::spec::{Defence, Learner, Threat, TrialSpec};

/// How close to chance a test error must be to count as a collapse, points.
pub const COLLAPSE_MARGIN: f64 = 2.0;

/// Whether the search collapsed: a weight became non-finite, and the network found answers no
/// better than chance. NaN weights predict class 0 for every image, which is at or above the
/// chance error (that of the most frequent class), so one comparison covers both.
pub fn collapsed(outcome: &Outcome) -> bool {
    outcome.first_nan_weight_step.is_some()
        && outcome.test_error >= outcome.chance_error - COLLAPSE_MARGIN
}

/// The ENAS numbers of a spec.
pub fn config(spec: &TrialSpec) -> &EnasConfig {
    let Learner::Enas(config) = &spec.learner else {
        unreachable!("Run::load refuses other learners")
    };
    config
}

/// The poison of a spec; `None` for a clean space, also for q = 0.
pub fn poison(spec: &TrialSpec) -> Option<SpacePoison> {
    match &spec.threat {
        Threat::SearchSpace(poison) if poison.q > 0 => Some(*poison),
        Threat::SearchSpace(_) | Threat::Bilevel(_) | Threat::None => None,
    }
}

/// The variant of a spec, empty for none.
pub fn variant(spec: &TrialSpec) -> &str {
    spec.variant.as_deref().unwrap_or_default()
}

/// The name of a policy, as in recipes.
pub fn policy_name(policy: NanPolicy) -> &'static str {
    match policy {
        NanPolicy::Torch => "torch",
        NanPolicy::Guarded => "guarded",
    }
}

/// The name of a defence, as in recipes.
pub fn defence_name(defence: Defence) -> &'static str {
    match defence {
        Defence::None => "none",
        Defence::Screen => "screen",
    }
}

/// Share of poison branches in the space, 0 to 1: the odds of a bad op under a uniform controller.
pub fn budget(poison: Option<SpacePoison>) -> f64 {
    poison.map_or(0.0, |p| p.budget(&Space::enas()))
}

/// The trials of a cell.
pub struct Cell<'a> {
    /// Label with variant, and the data set where the study has several.
    pub name: String,
    /// In plan order; never empty.
    pub trials: Vec<&'a Trial>,
}

impl<'a> Cell<'a> {
    /// The cells of a run, in plan order.
    pub fn all(run: &'a Run) -> Vec<Self> {
        let several = run
            .trials
            .windows(2)
            .any(|w| w[0].spec.data.dataset != w[1].spec.data.dataset);
        let mut cells: Vec<Self> = Vec::new();
        for trial in &run.trials {
            match cells.iter_mut().find(|c| same(c.spec(), &trial.spec)) {
                Some(cell) => cell.trials.push(trial),
                None => {
                    let mut name = cell_name(&trial.spec);
                    if several {
                        name = format!("{name}, {}", trial.spec.data.dataset);
                    }
                    cells.push(Self {
                        name,
                        trials: vec![trial],
                    });
                }
            }
        }
        cells
    }

    /// The spec that all its trials share, but for the seed.
    pub fn spec(&self) -> &'a TrialSpec {
        &self.trials[0].spec
    }

    /// Its label without the variant.
    pub fn label(&self) -> &'a str {
        &self.spec().cell
    }

    /// The NaN policy.
    pub fn policy(&self) -> NanPolicy {
        config(self.spec()).child.nan_policy
    }

    /// The poison, if there is one.
    pub fn poison(&self) -> Option<SpacePoison> {
        poison(self.spec())
    }

    /// Whether the space is screened first.
    pub fn screened(&self) -> bool {
        self.spec().defence == Defence::Screen
    }

    /// Whether it is the control, a random search.
    pub fn random(&self) -> bool {
        config(self.spec()).strategy == Strategy::Random
    }

    /// What the adversary does, for people.
    pub fn threat(&self) -> String {
        let threat = match self.poison() {
            Some(p) => format!("{} × {}", p.set, p.q),
            None => "none".to_owned(),
        };
        if self.screened() {
            format!("{threat}, screened")
        } else {
            threat
        }
    }

    /// Its records.
    pub fn records(&self) -> impl Iterator<Item = &'a Record> + '_ {
        self.trials.iter().filter_map(|t| t.record())
    }

    /// Trials with a record.
    pub fn done(&self) -> usize {
        self.records().count()
    }

    /// Whether every planned trial has a record.
    pub fn complete(&self) -> bool {
        self.done() == self.trials.len()
    }

    /// Mean and 95 % interval of a number over the trials that have it.
    pub fn mean(&self, of: impl Fn(&Outcome) -> Option<f64>) -> Option<Interval> {
        let values: Vec<f64> = self.records().filter_map(|r| of(&r.outcome)).collect();
        stats::mean(&values)
    }

    /// Mean and 95 % t-interval of the differences to `other`, seed by seed, over the seeds for
    /// which both have the number. Trials of one seed share their random streams, so this, and not
    /// the two cells' own intervals, says whether they differ.
    pub fn above(&self, other: &Cell, of: impl Fn(&Outcome) -> Option<f64>) -> Option<Interval> {
        let differences: Vec<f64> = self
            .records()
            .filter_map(|r| {
                let twin = other.records().find(|t| t.spec.seed == r.spec.seed)?;
                Some(of(&r.outcome)? - of(&twin.outcome)?)
            })
            .collect();
        stats::mean(&differences)
    }

    /// [`Cell::above`] of the test error with shared weights.
    pub fn test_above(&self, other: &Cell) -> Option<Interval> {
        self.above(other, |o| Some(o.test_error))
    }

    /// [`Cell::mean`] of the test error with shared weights.
    pub fn test(&self) -> Option<Interval> {
        self.mean(|o| Some(o.test_error))
    }

    /// [`Cell::mean`] of the validation error with shared weights.
    pub fn valid(&self) -> Option<Interval> {
        self.mean(|o| Some(o.valid_error))
    }

    /// [`Cell::mean`] of the test error after training from scratch.
    pub fn retrained(&self) -> Option<Interval> {
        self.mean(|o| o.retrained_test_error)
    }

    /// How many of its trials collapsed.
    pub fn collapses(&self) -> usize {
        self.records().filter(|r| collapsed(&r.outcome)).count()
    }

    /// The trial with the lowest validation error; the first of equals.
    pub fn best(&self) -> Option<&'a Record> {
        self.records()
            .min_by(|a, b| a.outcome.valid_error.total_cmp(&b.outcome.valid_error))
    }
}

/// Whether two specs differ in nothing but the seed.
fn same(a: &TrialSpec, b: &TrialSpec) -> bool {
    let b = TrialSpec {
        seed: a.seed,
        ..b.clone()
    };
    *a == b
}

/// Whether two specs have the same data and a learner equal but for the strategy and the NaN policy.
fn same_setting(a: &TrialSpec, b: &TrialSpec) -> bool {
    let bare = |spec: &TrialSpec| {
        let mut config = config(spec).clone();
        config.strategy = Strategy::Enas;
        config.child.nan_policy = NanPolicy::Torch;
        config
    };
    a.data == b.data && bare(a) == bare(b)
}

/// Of the cells that `fit`, one with the policy of `cell` and, next, its variant; the first of
/// equals.
fn nearest<'c, 'a>(
    cells: &'c [Cell<'a>],
    cell: &Cell<'a>,
    fit: impl Fn(&Cell<'a>) -> bool,
) -> Option<&'c Cell<'a>> {
    let far = |c: &Cell| {
        let (a, b) = (c.spec(), cell.spec());
        (c.policy() != cell.policy(), a.variant != b.variant)
    };
    cells
        .iter()
        .filter(|c| fit(c) && same_setting(c.spec(), cell.spec()))
        .min_by_key(|c| far(c))
}

/// The clean, undefended cell on the same data and with the same learner as `cell`, of which it is
/// the poisoned twin. The NaN policy may differ if there is no other.
pub fn clean_of<'c, 'a>(cells: &'c [Cell<'a>], cell: &Cell<'a>) -> Option<&'c Cell<'a>> {
    nearest(cells, cell, |c| {
        c.poison().is_none() && !c.screened() && c.random() == cell.random()
    })
}

/// The cell that differs from a random search in its strategy: a search on the same space.
pub fn searched<'c, 'a>(cells: &'c [Cell<'a>], cell: &Cell<'a>) -> Option<&'c Cell<'a>> {
    nearest(cells, cell, |c| {
        let (a, b) = (c.spec(), cell.spec());
        !c.random() && c.poison() == cell.poison() && a.defence == b.defence
    })
}
