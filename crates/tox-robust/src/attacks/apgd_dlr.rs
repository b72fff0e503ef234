//! APGD-DLR: Auto-PGD on the DLR loss, towards one target class after the other (AutoAttack's order: all
//! restarts of a target, then the next), with one forward pass to order the targets; or on the untargeted loss.

use super::apgd::{self, APGD_STEPS};
use super::batch::targets;
use super::losses::{self, Loss};
use super::pgd::beats_one_step;
use super::{ApgdCe, Batch, Evasion, Facts, Found, Gradient, Registered};
use crate::ball::Ball;
use crate::oracle::{Oracle, Points};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The name with `targets` 0.
const UNTARGETED: &str = "apgd-dlr-untargeted";
/// Classes that the untargeted loss needs; the targeted one needs one more.
pub(super) const UNTARGETED_CLASSES: usize = 3;

/// Auto-PGD on the difference-of-logits-ratio loss, towards each of several target classes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ApgdDlr {
    /// Steps of a restart.
    #[schemars(range(min = 1))]
    pub steps: usize,
    /// Runs from random starts a target.
    #[schemars(range(min = 1))]
    pub restarts: usize,
    /// Target classes, those of the largest logits on the clean image first; more than there are
    /// wrong classes means all of these. 0: the untargeted DLR loss.
    pub targets: usize,
    /// As in APGD-CE.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub rho: f64,
}

impl Default for ApgdDlr {
    fn default() -> Self {
        let ApgdCe {
            steps,
            restarts,
            rho,
        } = ApgdCe::default();
        Self {
            steps,
            restarts,
            targets: 9,
            rho,
        }
    }
}

impl ApgdDlr {
    /// The settings of one target's runs.
    fn runs(&self) -> ApgdCe {
        ApgdCe {
            steps: self.steps,
            restarts: self.restarts,
            rho: self.rho,
        }
    }
}

impl Registered for ApgdDlr {
    const KIND: &'static str = "apgd-dlr";
    const NAMES: &'static [&'static str] = &[Self::KIND, UNTARGETED];

    fn parse(name: &str) -> Option<Self> {
        let targeted = Self::default();
        match name {
            Self::KIND | "apgd-t" => Some(targeted),
            UNTARGETED => Some(Self {
                targets: 0,
                ..targeted
            }),
            _ => None,
        }
    }
}

impl Evasion for ApgdDlr {
    fn facts(&self) -> Facts {
        Facts {
            kind: Self::KIND,
            title: "APGD-DLR",
            gradient: Some(Gradient::Margin),
            steps: self.steps,
            passes: self.runs().facts().passes * self.targets.max(1) as f64,
            least_classes: UNTARGETED_CLASSES + usize::from(self.targets > 0),
            thorough: self.steps >= APGD_STEPS,
        }
    }

    fn name(&self) -> String {
        let name = match self.targets {
            0 => UNTARGETED,
            _ => Self::KIND,
        };
        name.to_owned()
    }

    fn shorten(&mut self, tries: usize) {
        (self.steps, self.restarts) = (tries, 1);
        self.targets = self.targets.min(1);
    }

    fn dominates(&self, other: &dyn Evasion) -> bool {
        beats_one_step(self.steps, other)
    }

    fn run(&self, oracle: &dyn Oracle, points: Points<'_>, ball: Ball, seed: u64) -> Found {
        let mut batch = Batch::new(oracle, points, ball);
        let label = |i: usize| usize::from(points.labels[i]);
        if self.targets == 0 {
            let loss: Loss<'_> = &|i, logits, d| losses::dlr(logits, label(i), d);
            for restart in 0..self.restarts {
                let key = (Self::KIND, seed, &[restart as u64][..]);
                apgd::run(&mut batch, &self.runs(), key, loss);
            }
            return batch.finish();
        }
        let images: Vec<_> = batch
            .open()
            .into_iter()
            .map(|i| (i, batch.clean(i)))
            .collect();
        let logits = batch.logits(images.into_iter());
        let rows = logits.chunks(oracle.classes()).enumerate();
        let order: Vec<Vec<usize>> = rows.map(|(i, logits)| targets(logits, label(i))).collect();
        let ranks = self.targets.min(oracle.classes().saturating_sub(1));
        let ranked = (0..ranks).map(|rank| order.iter().map(|classes| classes[rank]).collect());
        for (rank, target) in ranked.enumerate() {
            let target: Vec<usize> = target;
            let loss: Loss<'_> =
                &|i, logits, d| losses::targeted_dlr(logits, label(i), target[i], d);
            for restart in 0..self.restarts {
                let key = (Self::KIND, seed, &[rank as u64, restart as u64][..]);
                apgd::run(&mut batch, &self.runs(), key, loss);
            }
        }
        batch.finish()
    }
}
