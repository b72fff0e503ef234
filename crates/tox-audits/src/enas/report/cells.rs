//! What is asked of ENAS cells, and which cells belong beside each other.

use crate::enas::outcome::EnasOutcome;
use crate::report_facts;
use tox_poison::space::{BadSet, PoisonSet, SpacePoison};
use tox_report::cells::Measured;
use tox_report::stats::Interval;
use tox_search::enas::config::{EnasConfig, NanPolicy, Strategy};
use tox_study::spec::{Surface, TrialSpec};

/// How close to chance a test error must be to count as a collapse, points.
pub const COLLAPSE_MARGIN: f64 = 2.0;

/// Whether the search collapsed: a weight became non-finite, and the network found answers no
/// better than chance. NaN weights predict class 0 for every image, which is at or above the
/// chance error (that of the most frequent class), so one comparison covers both.
pub fn collapsed(outcome: &EnasOutcome) -> bool {
    outcome.first_nan_weight_step.is_some()
        && outcome.test_error >= outcome.chance_error - COLLAPSE_MARGIN
}

/// The poison of a spec; `None` for a clean space, also for q = 0.
pub fn poison(spec: &TrialSpec) -> Option<SpacePoison> {
    let poison: Option<SpacePoison> = report_facts::threat(spec, Surface::Space, "bad-ops");
    poison.filter(|p| p.q > 0)
}

/// All policies, in the order of pages.
pub const POLICIES: [NanPolicy; 3] = [NanPolicy::Torch, NanPolicy::Torch19, NanPolicy::Guarded];

/// The name of a policy, as in recipes.
pub fn policy_name(policy: NanPolicy) -> &'static str {
    match policy {
        NanPolicy::Torch => "torch",
        NanPolicy::Torch19 => "torch-1.9",
        NanPolicy::Guarded => "guarded",
    }
}

/// Share of poison branches in the space, 0 to 1: the odds of a bad op under a uniform controller.
pub fn budget(poison: Option<&SpacePoison>, config: &EnasConfig) -> f64 {
    poison.map_or(0.0, |p| p.budget(&config.clean_space()))
}

/// The sets that cells are poisoned with: the paper's in their order, then those of one's own.
pub fn sets(cells: &[Cell]) -> Vec<BadSet> {
    use PoisonSet::{P1, P2, P3, P3Plus, P4, P5};
    let mut all: Vec<BadSet> = [P1, P2, P3, P4, P5, P3Plus].map(BadSet::from).to_vec();
    for poison in cells.iter().filter_map(Cell::poison) {
        if !all.contains(&poison.set) {
            all.push(poison.set);
        }
    }
    all
}

tox_report::cells_of!(EnasConfig, EnasOutcome);

impl<'a> Cell<'a> {
    /// The NaN policy.
    pub fn policy(&self) -> NanPolicy {
        self.config.child.nan_policy
    }

    /// Whether steps whose gradient norm is not finite are skipped.
    pub fn guarded(&self) -> bool {
        self.policy() == NanPolicy::Guarded
    }

    /// The poison, if there is one.
    pub fn poison(&self) -> Option<SpacePoison> {
        poison(self.spec())
    }

    /// Whether neither space nor data are poisoned.
    pub fn unpoisoned(&self) -> bool {
        self.poison().is_none() && self.spec().threat.data.is_none()
    }

    /// Its label, with the variant where others of `all` have the same label.
    pub fn told(&self, all: &[&Cell]) -> String {
        let others = all.iter().filter(|c| c.label() == self.label()).count();
        match others > 1 {
            true => self.name.clone(),
            false => self.label().to_owned(),
        }
    }

    /// Whether its poison is this set.
    pub fn of_set(&self, set: impl Into<BadSet>) -> bool {
        let set = set.into();
        self.poison().is_some_and(|p| p.set == set)
    }

    /// Whether the space is screened first.
    pub fn screened(&self) -> bool {
        !self.spec().defence.space.is_empty()
    }

    /// Whether it is the control, a random search.
    pub fn random(&self) -> bool {
        self.config.strategy == Strategy::Random
    }

    /// What the adversary does, for people.
    pub fn threat(&self) -> String {
        let space = self.poison().map(|p| format!("{} × {}", p.set, p.q));
        let data = self.spec().threat.data.as_ref();
        let data = data.map(|threat| format!("{} in the data", threat.kind));
        let all: Vec<String> = space.into_iter().chain(data).collect();
        let threat = match all.is_empty() {
            true => "none".to_owned(),
            false => all.join(" + "),
        };
        if self.screened() {
            format!("{threat}, screened")
        } else {
            threat
        }
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
        self.records().filter(|r| collapsed(r.outcome)).count()
    }

    /// The trial with the lowest validation error; the first of equals.
    pub fn best(&self) -> Option<Measured<'a, EnasOutcome>> {
        self.records()
            .min_by(|a, b| a.outcome.valid_error.total_cmp(&b.outcome.valid_error))
    }
}

/// Whether two cells have the same data and a learner equal but for the strategy and the NaN policy.
pub fn same_setting(a: &Cell, b: &Cell) -> bool {
    let bare = |cell: &Cell| {
        let mut config = cell.config.clone();
        config.strategy = Strategy::Enas;
        config.child.nan_policy = NanPolicy::Torch;
        config
    };
    a.spec().data == b.spec().data && bare(a) == bare(b)
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
        .filter(|c| fit(c) && same_setting(c, cell))
        .min_by_key(|c| far(c))
}

/// The clean, undefended cell on the same data and with the same learner as `cell`, of which it is
/// the poisoned twin. The NaN policy may differ if there is no other.
pub fn clean_of<'c, 'a>(cells: &'c [Cell<'a>], cell: &Cell<'a>) -> Option<&'c Cell<'a>> {
    nearest(cells, cell, |c| {
        c.unpoisoned() && c.spec().defence.is_none() && c.random() == cell.random()
    })
}

/// The cell that differs from a random search in its strategy: a search on the same space.
pub fn searched<'c, 'a>(cells: &'c [Cell<'a>], cell: &Cell<'a>) -> Option<&'c Cell<'a>> {
    nearest(cells, cell, |c| {
        let (a, b) = (c.spec(), cell.spec());
        !c.random() && c.poison() == cell.poison() && a.defence == b.defence
    })
}
