//! Which regularisation to use when a share of the training data may be poison. Candidates are trained
//! as their users will train them (logistic regression until it has converged, networks as
//! configured) on the clean rows and on every poison that was crafted: against no penalty, the penalty in
//! use, that of cross-validation, the one that Algorithm 2 learns, and in the end against the
//! candidate itself. A candidate is chosen on the trusted rows and judged on test rows that had no
//! say in it; it is recommended only if it is surely better than what is in use.

mod judge;
mod trial;
mod work;

pub use judge::{Gain, Verdict};

use crate::audit::AuditError;
use crate::config::{BilevelAttack, BilevelConfig};
use crate::outcome::Divergence;
use crate::sets::Sets;
use crate::victim::groups;
use serde::{Deserialize, Serialize};
use tox_data::checkpoint::{CheckpointError, Hooks};
use trial::Trial;
use work::Work;

/// Times that the choice is attacked and made anew.
const ROUNDS: usize = 3;

/// A division of the rows, with rows of its own to be poisoned.
#[derive(Clone, Debug)]
pub struct Split {
    /// The data; the validation set is the trusted one.
    pub sets: Sets,
    /// Seed of all that is drawn.
    pub seed: u64,
}

/// What [`advise`] depends on.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// At least two, of as many training rows each.
    pub splits: &'a [Split],
    /// Test rows that differ over all splits.
    pub tested: usize,
    /// The learner, whatever its `victim` says.
    pub config: &'a BilevelConfig,
    /// The poison to be prepared for.
    pub attack: &'a BilevelAttack,
    /// The lambda in use; `None` = no penalty.
    pub current: Option<f64>,
    /// The lambdas that are tried, ascending.
    pub grid: &'a [f64],
}

impl Question<'_> {
    /// Whether the learner is trained until it has converged.
    pub fn converges(&self) -> bool {
        self.config.hidden.is_empty()
    }

    /// `lambda` for each group of weights.
    fn each(&self, lambda: f64) -> Vec<f64> {
        vec![lambda; groups(self.config)]
    }
}

/// Where a way to regularise comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// It is in use.
    Current,
    /// There is no penalty.
    None,
    /// Five-fold cross-validation on the training rows as they are.
    CrossValidated,
    /// Algorithm 2; the median of the splits.
    Learned,
    /// Tried.
    Grid,
}

/// A way to regularise, and what it gets wrong, split by split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Treatment {
    /// Where it comes from.
    pub origin: Origin,
    /// The lambdas in force in each split; none without a penalty.
    pub lambda: Vec<Vec<f64>>,
    /// Test error, percent, trained on the data as they are.
    pub clean: Vec<f64>,
    /// Largest test error, percent, over no poison and all poison that was crafted.
    pub worst: Vec<f64>,
    /// Whether poison was crafted against this very treatment.
    pub attacked: bool,
    /// Whether a training diverged, which counts as an error of 100 %.
    pub diverged: bool,
}

impl Treatment {
    /// Mean test error on the data as they are.
    pub fn clean(&self) -> f64 {
        mean(&self.clean)
    }

    /// Mean of the worst test errors.
    pub fn worst(&self) -> f64 {
        mean(&self.worst)
    }
}

/// The advice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Advice {
    /// All that was tried: what is in use first, then no penalty, cross-validation, what was learned,
    /// and the grid, ascending.
    pub treatments: Vec<Treatment>,
    /// Which of them was chosen on the trusted rows.
    pub chosen: usize,
    /// What came of it on the test rows.
    pub verdict: Verdict,
    /// Of the chosen over what is in use.
    pub over_current: Gain,
    /// Of the chosen over cross-validation.
    pub over_validated: Gain,
    /// Of cross-validation over what is in use.
    pub validated_over_current: Gain,
    /// Mean error of always answering the most frequent class of the test rows, percent.
    pub majority: f64,
    /// Trainings, and how many of them stopped short of convergence.
    pub trainings: [usize; 2],
}

impl Advice {
    /// What is in use.
    pub fn current(&self) -> &Treatment {
        &self.treatments[0]
    }

    /// What was chosen.
    pub fn chosen(&self) -> &Treatment {
        &self.treatments[self.chosen]
    }

    /// Whether the chosen lambda is recommended.
    pub fn recommended(&self) -> bool {
        self.verdict == Verdict::Recommended
    }
}

/// Why there is no advice.
#[derive(Debug, thiserror::Error)]
pub enum AdviceError {
    /// An audit could not be run.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// A victim could not be trained.
    #[error(
        "training diverged ({}, with {} poison points, at {}, after step {} of gradient descent): \
         expected weights that stay finite; lower the learning rate, or scale the features to about \
         [0, 1]", .0, .1.points, .1.training, .1.step
    )]
    Diverged(&'static str, Divergence),
}

impl From<CheckpointError> for AdviceError {
    fn from(error: CheckpointError) -> Self {
        Self::Audit(error.into())
    }
}

/// Tries the grid and chooses. `None` means that it was asked to stop; the same question then goes on with the
/// poison that was crafted.
///
/// # Errors
/// See [`AdviceError`].
pub fn advise(question: Question<'_>, hooks: Hooks<'_>) -> Result<Option<Advice>, AdviceError> {
    let splits = question.splits.len();
    // Cross-validation, four poisons, and rounds of one each, in every split.
    let mut work = Work::new(splits * (5 + ROUNDS), hooks)?;
    let mut trial = Trial::new(question);
    let current = question.current.map_or(Vec::new(), |l| question.each(l));
    trial.add(Origin::Current, vec![current; splits]);
    trial.trained()?;
    trial.add(Origin::None, vec![Vec::new(); splits]);
    for s in 0..splits {
        if !work.tell("cross-validation")? {
            return Ok(None);
        }
        trial.validate(s)?;
    }
    for (name, origin) in [
        ("poison against what is in use", Origin::Current),
        ("poison against no penalty", Origin::None),
        ("poison against cross-validation", Origin::CrossValidated),
        ("poison against a learned penalty", Origin::Learned),
    ] {
        for s in 0..splits {
            if !work.tell(name)? || !trial.attack(s, origin, &mut work)? {
                return Ok(None);
            }
        }
    }
    trial.candidates();
    let mut chosen = trial.choose();
    for _ in 0..ROUNDS {
        if trial.treatments[chosen].attacked {
            break;
        }
        for s in 0..splits {
            if !work.tell("poison against the choice")? || !trial.answer(s, chosen, &mut work)? {
                return Ok(None);
            }
        }
        trial.treatments[chosen].attacked = true;
        chosen = trial.choose();
    }
    Ok(Some(trial.finish(chosen)))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / (values.len() as f64).max(1.0)
}
