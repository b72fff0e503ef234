//! Evaluations of an honest network raise no warning; those of networks that only look robust raise
//! the one that says why.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod cnn;

use cnn::{Fixture, SmallCnn};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use tox_data::checkpoint::Hooks;
use tox_robust::attacks::{Attack, AutoAttack, Cw, Evasion, Fgsm, Pgd, Square};
use tox_robust::ball::{Ball, Norm};
use tox_robust::evaluation::{Evaluation, EvaluationError, Gap, Inputs, Kind, Reliable, evaluate};
use tox_robust::model::Model;
use tox_robust::oracle::{Cotangent, Oracle};

/// How a network deceives.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Bend {
    Honest,
    /// Logits times 1e6.
    Scaled,
    /// Logits in steps of 0.5, gradients as if they were not.
    Quantised,
    /// Noise of 0.01 on logits.
    Random,
    /// Zero gradients.
    Flat,
    /// Gradients of the other sign.
    Reversed,
    /// The same but at images as a camera gives them.
    ReversedBehindClean,
    Softmax,
    NotANumber,
    /// The same logits for all images.
    Constant,
    /// Those of classes 1 to 4 are the same.
    Copied,
    /// Gradients as rounding leaves them.
    Rounding,
    /// Logits depend on an image's place in its batch.
    Placed,
}

struct Bent<'a> {
    inner: Model<'a, SmallCnn>,
    bend: Bend,
    draws: Cell<u64>,
}

impl Bent<'_> {
    fn noise(&self, i: u64) -> f32 {
        let hash = (i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
        hash as f32 / (1 << 24) as f32 - 0.5
    }

    fn bend(&self, mut logits: Vec<f32>) -> Vec<f32> {
        for (i, z) in logits.iter_mut().enumerate() {
            match self.bend {
                Bend::Scaled => *z *= 1e6,
                Bend::Quantised => *z = (*z * 2.0).round() / 2.0,
                Bend::Random => {
                    self.draws.set(self.draws.get() + 1);
                    *z += 0.02 * self.noise(self.draws.get());
                }
                Bend::NotANumber => *z = f32::NAN,
                Bend::Constant => *z = (i % 10) as f32,
                Bend::Placed => *z += 4.0 * self.noise(i as u64),
                _ => {}
            }
        }
        if self.bend == Bend::Copied {
            for row in logits.chunks_exact_mut(10) {
                row[1..5].fill(20.0);
            }
        }
        if self.bend == Bend::Softmax {
            for row in logits.chunks_exact_mut(10) {
                let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                row.iter_mut().for_each(|z| *z = (*z - most).exp());
                let sum: f32 = row.iter().sum();
                row.iter_mut().for_each(|z| *z /= sum);
            }
        }
        logits
    }
}

impl Oracle for Bent<'_> {
    fn shape(&self) -> [usize; 3] {
        self.inner.shape()
    }

    fn classes(&self) -> usize {
        self.inner.classes()
    }

    fn logits(&self, pixels: &[f32]) -> Vec<f32> {
        self.bend(self.inner.logits(pixels))
    }

    fn pullback(&self, pixels: &[f32], cotangent: &mut Cotangent<'_>) -> (Vec<f32>, Vec<f32>) {
        let mut bent = Vec::new();
        let (_, mut gradient) = self.inner.pullback(pixels, &mut |logits| {
            bent = self.bend(logits.to_vec());
            let mut c = cotangent(&bent);
            match self.bend {
                Bend::Scaled => c.iter_mut().for_each(|c| *c *= 1e6),
                Bend::Copied => c.chunks_exact_mut(10).for_each(|c| c[1..5].fill(0.0)),
                Bend::Softmax => {
                    for (c, p) in c.chunks_exact_mut(10).zip(bent.chunks_exact(10)) {
                        let mean: f32 = c.iter().zip(p).map(|(c, p)| c * p).sum();
                        c.iter_mut().zip(p).for_each(|(c, p)| *c = p * (*c - mean));
                    }
                }
                _ => {}
            }
            c
        });
        let size = self.size();
        for (gradient, x) in gradient
            .chunks_exact_mut(size)
            .zip(pixels.chunks_exact(size))
        {
            let is_byte = |x: &f32| *x == (*x * 255.0).round() / 255.0;
            let factor = match self.bend {
                Bend::Flat | Bend::Constant => 0.0,
                Bend::Rounding => 1e-6,
                Bend::Reversed => -1.0,
                Bend::ReversedBehindClean if !x.iter().all(is_byte) => -1.0,
                _ => 1.0,
            };
            gradient.iter_mut().for_each(|g| *g *= factor);
        }
        (bent, gradient)
    }
}

const BALL: Ball = Ball {
    norm: Norm::Linf,
    epsilon: 0.06,
};

struct Run<'a> {
    fixture: &'a Fixture,
    bend: Bend,
    rows: Vec<u32>,
    attacks: Vec<Attack>,
}

impl Run<'_> {
    /// Stops after `stop` steps.
    fn until(&self, checkpoint: &Path, stop: usize) -> Result<Option<Evaluation>, EvaluationError> {
        let oracle = Bent {
            inner: self.fixture.model(),
            bend: self.bend,
            draws: Cell::new(0),
        };
        let inputs = Inputs {
            oracle: &oracle,
            split: (&self.fixture.images).into(),
            rows: &self.rows,
            ball: BALL,
            attacks: &self.attacks,
            seed: 3,
        };
        let (steps, mut last) = (Cell::new(0), 0.0);
        let hooks = Hooks {
            checkpoint,
            key: "test",
            save_every: Duration::from_secs(3600),
            stop: &mut || steps.get() >= stop,
            progress: &mut |share, message| {
                assert!(share >= last && share <= 1.0, "{message}: {share}");
                last = share;
                steps.set(steps.get() + 1);
            },
        };
        evaluate(&inputs, hooks)
    }

    fn finished(&self) -> Evaluation {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint");
        self.until(&path, usize::MAX).unwrap().unwrap()
    }
}

fn square(queries: usize) -> Square {
    Square {
        queries,
        ..Default::default()
    }
}

fn gaps(evaluation: &Evaluation) -> Vec<Gap> {
    evaluation.untested.iter().map(|u| u.gap).collect()
}

fn short_autoattack() -> AutoAttack {
    let mut config = AutoAttack::default();
    (
        config.apgd_ce.steps,
        config.apgd_dlr.steps,
        config.fab.steps,
    ) = (20, 20, 20);
    (config.apgd_dlr.targets, config.fab.targets) = (3, 3);
    config.square = square(100);
    config
}

#[test]
fn an_honest_network_raises_no_warning_and_stops_anywhere() {
    let fixture = Fixture::load();
    let autoattack = short_autoattack();
    let mut attacks = vec![
        Fgsm {}.into(),
        Pgd::new(20).into(),
        Cw::new(20).into(),
        autoattack.into(),
    ];
    attacks.extend(autoattack.members(10));
    let run = Run {
        fixture: &fixture,
        bend: Bend::Honest,
        rows: (100..300).collect(),
        attacks,
    };
    let whole = run.finished();
    assert_eq!(whole.warnings, []);
    // With its few steps AutoAttack is none.
    assert_eq!(whole.reliable, Reliable::NotTested);
    assert_eq!(gaps(&whole), [Gap::WeakAttacks]);
    // A record holds it; the bits are in memory only.
    let json = serde_json::to_string(&whole).unwrap();
    let mut read: Evaluation = serde_json::from_str(&json).unwrap();
    for (read, whole) in read.attacks.iter_mut().zip(&whole.attacks) {
        assert!(read.robust.is_empty());
        read.robust = whole.robust.clone();
    }
    assert_eq!(read, whole);
    // AutoAttack's shares add up, and its first part is the attack that stands alone.
    let share = |bits: &[bool]| bits.iter().filter(|b| **b).count() as f64 / 2.0;
    let [.., together, first, _, _, _] = &whole.attacks[..] else {
        panic!()
    };
    let parts: f64 = together.parts.iter().map(|part| part.fooled).sum();
    assert!((whole.clean - parts - together.accuracy).abs() < 1e-9);
    assert!((whole.clean - together.parts[0].fooled - first.accuracy).abs() < 1e-9);
    for attacked in &whole.attacks {
        assert_eq!(share(&attacked.robust), attacked.accuracy);
        assert!(whole.worst_case <= attacked.accuracy && attacked.accuracy <= whole.clean);
    }
    // Stopped and gone on with again and again, it comes to the same.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    let mut stops = 0;
    let pieces = loop {
        match run.until(&path, 3).unwrap() {
            Some(evaluation) => break evaluation,
            None => stops += 1,
        }
    };
    assert!(stops >= 5);
    assert_eq!(pieces, whole);
    // What happens to an image does not depend on the others.
    let few = Run {
        rows: vec![250, 130, 131],
        attacks: whole.attacks.iter().map(|a| a.attack.clone()).collect(),
        ..run
    };
    let few = few.finished();
    for (few, whole) in few.attacks.iter().zip(&whole.attacks) {
        assert_eq!(few.robust, [150, 30, 31].map(|i| whole.robust[i]));
    }
}

#[test]
fn networks_that_only_look_robust_are_found_out() {
    use Kind::*;
    let fixture = Fixture::load();
    let usual = vec![Fgsm {}.into(), Cw::new(20).into(), square(300).into()];
    let cases: [(Bend, &[Kind]); 11] = [
        (Bend::Honest, &[]),
        (Bend::Scaled, &[CrossEntropyUnderflow]),
        (Bend::Quantised, &[Quantised]),
        (Bend::Random, &[Randomised]),
        (Bend::Flat, &[ZeroGradient, SquareBeatsGradients]),
        (Bend::Reversed, &[Unbounded, SquareBeatsGradients]),
        (Bend::Softmax, &[Probabilities]),
        (Bend::NotANumber, &[NotFinite]),
        (Bend::Placed, &[EpsilonZero, Unconfirmed]),
        (Bend::Constant, &[Constant]),
        (Bend::Rounding, &[ZeroGradient]),
    ];
    let check = |bend, attacks: &[Attack], expected: &[Kind]| {
        let run = Run {
            fixture: &fixture,
            bend,
            rows: (0..200).collect(),
            attacks: attacks.to_vec(),
        };
        let found = run.finished();
        let kinds: BTreeSet<Kind> = found.warnings.iter().map(|w| w.kind).collect();
        for warning in &found.warnings {
            println!("{bend:?}: {warning:?}");
        }
        let accuracies: Vec<f64> = found.attacks.iter().map(|a| a.accuracy).collect();
        println!("{bend:?}: {} clean, {accuracies:?}", found.clean);
        let expected: BTreeSet<Kind> = expected.iter().copied().collect();
        let verdict = match expected.is_empty() {
            true => Reliable::NotTested,
            false => Reliable::No,
        };
        assert_eq!(found.reliable, verdict, "{bend:?}");
        (kinds != expected).then(|| format!("{bend:?}: {kinds:?}, expected {expected:?}"))
    };
    let mut wrong: Vec<String> = cases
        .into_iter()
        .filter_map(|(bend, expected)| check(bend, &usual, expected))
        .collect();
    let pgd = [Fgsm {}.into(), Pgd::new(20).into()];
    let expected = [StrongerIsWeaker, Unbounded];
    wrong.extend(check(Bend::ReversedBehindClean, &pgd, &expected));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_cannot_be_evaluated_is_refused() {
    let fixture = Fixture::load();
    let run = |rows: Vec<u32>, attacks: Vec<Attack>| {
        let run = Run {
            fixture: &fixture,
            bend: Bend::Honest,
            rows,
            attacks,
        };
        let folder = tempfile::tempdir().unwrap();
        run.until(&folder.path().join("checkpoint"), usize::MAX)
            .unwrap_err()
            .to_string()
    };
    assert!(run(vec![], vec![]).contains("no image"));
    let message = run(vec![3, 600], vec![]);
    assert!(
        message.contains("row 600") && message.contains("rows 0 to 599"),
        "{message}"
    );
    let message = run(vec![0], vec![square(0).into()]);
    assert!(
        message.contains("square") && message.contains("queries"),
        "{message}"
    );
}
