//! AutoAttack, standard version (Croce and Hein, "Reliable evaluation of adversarial robustness with
//! an ensemble of diverse parameter-free attacks", ICML 2020): APGD-CE, targeted APGD-DLR, targeted
//! FAB, Square, each on what the ones before it left correct.

use super::apgd_dlr::UNTARGETED_CLASSES;
use super::{ApgdCe, ApgdDlr, Attack, Evasion, Fab, Facts, Found, Gradient, Registered, Square};
use crate::ball::Ball;
use crate::oracle::{Oracle, Points};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// AutoAttack standard: APGD-CE, targeted APGD-DLR (on three classes the untargeted one, on two
/// none), targeted FAB, Square, each on what the ones before it left correct.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AutoAttack {
    /// APGD-CE: 100 steps, 1 restart.
    pub apgd_ce: ApgdCe,
    /// Targeted APGD-DLR: 100 steps, 9 targets. On three classes it is the untargeted one, on two it
    /// is left out.
    pub apgd_dlr: ApgdDlr,
    /// Targeted FAB: 100 steps, 9 targets.
    pub fab: Fab,
    /// Square: 5000 queries, not rescaled.
    pub square: Square,
}

impl Default for AutoAttack {
    fn default() -> Self {
        let square = Square {
            rescale: false,
            ..Square::default()
        };
        Self {
            apgd_ce: ApgdCe::default(),
            apgd_dlr: ApgdDlr::default(),
            fab: Fab::default(),
            square,
        }
    }
}

impl Registered for AutoAttack {
    const KIND: &'static str = "autoattack";

    fn parse(name: &str) -> Option<Self> {
        matches!(name, Self::KIND | "aa").then(Self::default)
    }
}

impl Evasion for AutoAttack {
    fn facts(&self) -> Facts {
        let members = self.members(usize::MAX);
        Facts {
            kind: Self::KIND,
            title: "AutoAttack",
            gradient: Some(Gradient::Other),
            steps: self.apgd_ce.steps,
            passes: members.iter().map(|attack| attack.facts().passes).sum(),
            ..Facts::default()
        }
    }

    fn shorten(&mut self, tries: usize) {
        self.apgd_ce.shorten(tries);
        self.apgd_dlr.shorten(tries);
        self.fab.shorten(tries);
        self.square.shorten(tries);
    }

    /// Every other attack.
    fn dominates(&self, other: &dyn Evasion) -> bool {
        other.downcast_ref::<Self>().is_none()
    }

    /// The targeted DLR loss needs four classes: with three the untargeted one is in its place, with two
    /// there is none, and what is left to attack the margin is FAB.
    fn members(&self, classes: usize) -> Vec<Attack> {
        let dlr = match classes {
            0..UNTARGETED_CLASSES => None,
            UNTARGETED_CLASSES => Some(ApgdDlr {
                targets: 0,
                ..self.apgd_dlr
            }),
            _ => Some(self.apgd_dlr),
        };
        let mut members = vec![Attack::new(self.apgd_ce)];
        members.extend(dlr.map(Attack::new));
        members.extend([self.fab.into(), self.square.into()]);
        members
    }

    fn note(&self, classes: usize) -> Option<&'static str> {
        match classes {
            2 => Some(
                "autoattack on two classes is without APGD-DLR, a loss that needs three: it is \
                 APGD-CE, FAB and Square",
            ),
            3 if self.apgd_dlr.targets > 0 => Some(
                "autoattack on three classes has the untargeted DLR loss in place of the targeted \
                 one, which needs four",
            ),
            _ => None,
        }
    }

    /// Where nothing fools, the pixels are those of Square.
    fn run(&self, oracle: &dyn Oracle, points: Points<'_>, ball: Ball, seed: u64) -> Found {
        let (n, size) = (points.len(), oracle.size());
        let mut found = Found::of(points);
        for attack in self.members(oracle.classes()) {
            let left: Vec<usize> = (0..n).filter(|&i| !found.fooled[i]).collect();
            if left.is_empty() {
                break;
            }
            let rows = left
                .iter()
                .flat_map(|&i| &points.pixels[i * size..][..size]);
            let pixels: Vec<f32> = rows.copied().collect();
            let labels: Vec<u16> = left.iter().map(|&i| points.labels[i]).collect();
            let rows: Vec<u32> = left.iter().map(|&i| points.row(i)).collect();
            let points = Points {
                pixels: &pixels,
                labels: &labels,
                rows: &rows,
            };
            let more = attack.run(oracle, points, ball, seed);
            for (row, &i) in left.iter().enumerate() {
                let pixels = &more.pixels[row * size..][..size];
                found.pixels[i * size..][..size].copy_from_slice(pixels);
                found.fooled[i] = more.fooled[row];
                found.forward[i] += more.forward[row];
                found.backward[i] += more.backward[row];
            }
        }
        found
    }
}
