//! Algorithm 2 on the digits 3 and 8: what it does, what zero poison does, how it stops and goes on,
//! and what it refuses.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use tox_bilevel::audit::{AuditError, Finished, Inputs, run};
use tox_bilevel::config::{BilevelAttack, BilevelConfig, Groups, Norm, Victim};
use tox_bilevel::points::Values;
use tox_bilevel::sets::{Sets, SetsError};
use tox_testkit::stops::stopped;

mod digits;

fn config(victim: Victim) -> BilevelConfig {
    let mut config = BilevelConfig {
        victim,
        hyperiterations: 8,
        kuncheva: vec![5, 20],
        ..BilevelConfig::default()
    };
    config.inner.steps = 60;
    config.inner.lr = 0.2;
    config.lambda.max = 1.0;
    config.lambda.large = 0.0;
    config
}

fn attack() -> BilevelAttack {
    BilevelAttack {
        batch: 12,
        batches: 2,
        lr: 0.5,
        norm: Norm::Point,
        target: None,
    }
}

/// Runs to the end, stopping after every `every` steps.
fn audit(
    sets: &Sets,
    config: &BilevelConfig,
    attack: Option<&BilevelAttack>,
    every: usize,
) -> Result<Finished, AuditError> {
    let inputs = Inputs {
        sets,
        config,
        attack,
        seed: 5,
    };
    stopped(every.saturating_add(1), |hooks| run(&inputs, hooks)).0
}

#[test]
fn the_poison_climbs_and_stays_in_its_box() {
    let sets = digits::sets();
    for norm in [Norm::Point, Norm::Batch] {
        let attack = BilevelAttack {
            lr: if norm == Norm::Point { 0.5 } else { 2.0 },
            norm,
            ..attack()
        };
        let found = audit(&sets, &config(Victim::None), Some(&attack), 1000).unwrap();
        let (clean, last) = (&found.outcome.levels[0], &found.outcome.levels[2]);
        assert_eq!(last.points, 24);
        assert!(last.valid_loss > clean.valid_loss);
        for level in &found.outcome.levels[1..] {
            let (first, last) = (&level.trace[0], level.trace.last().unwrap());
            assert!(last.loss > first.loss, "{} then {}", first.loss, last.loss);
            assert!(level.moved > 0.1);
        }
        assert!(found.poison.values.iter().all(|x| (0.0..=1.0).contains(x)));
        let once: BTreeSet<_> = found.poison.indices.iter().collect();
        assert_eq!(once.len(), 24);
        for (&i, &label) in found.poison.indices.iter().zip(&found.poison.labels) {
            assert_eq!(label, 1 - sets.train.labels[i]);
        }
        assert_eq!(found.outcome.examples.len(), 8);
    }
}

#[test]
fn zero_poison_is_the_baseline_bit_for_bit() {
    let sets = digits::sets();
    for victim in [
        Victim::None,
        Victim::Large,
        Victim::CrossValidated,
        Victim::Learned,
    ] {
        let config = config(victim);
        let clean = audit(&sets, &config, None, 1000).unwrap().outcome;
        let zero = BilevelAttack {
            batches: 0,
            ..attack()
        };
        assert_eq!(
            audit(&sets, &config, Some(&zero), 1000).unwrap().outcome,
            clean
        );
        let poisoned = audit(&sets, &config, Some(&attack()), 1000)
            .unwrap()
            .outcome;
        assert_eq!(poisoned.levels[0], clean.levels[0]);
        assert_eq!(poisoned.levels[0].kuncheva, [1.0, 1.0]);
        assert_eq!(poisoned.levels.len(), 3);
    }
}

#[test]
fn stopping_anywhere_changes_nothing() {
    let sets = digits::sets();
    let mut net = config(Victim::Learned);
    net.hidden = vec![6, 4];
    net.lambda.groups = Groups::PerLayer;
    net.hyperiterations = 3;
    let mut folds = config(Victim::CrossValidated);
    folds.hyperiterations = 2;
    folds.lambda.grid = 3;
    for config in [net, folds] {
        let whole = audit(&sets, &config, Some(&attack()), 1000).unwrap();
        let broken = audit(&sets, &config, Some(&attack()), 1).unwrap();
        assert_eq!(whole, broken);
    }
}

#[test]
fn threads_change_nothing() {
    let sets = digits::sets();
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| audit(&sets, &config(Victim::Learned), Some(&attack()), 1000).unwrap())
    };
    let one = with(1);
    assert_eq!(one, with(2));
    assert_eq!(one, with(3));
}

#[test]
fn a_learning_rate_that_diverges_is_reported() {
    let sets = digits::sets();
    let mut config = config(Victim::Large);
    config.inner.lr = 50.0;
    config.lambda.large = 3.0;
    let outcome = audit(&sets, &config, Some(&attack()), 1000)
        .unwrap()
        .outcome;
    let divergence = outcome.divergence.unwrap();
    assert_eq!((divergence.points, outcome.levels.len()), (0, 0));
    assert_eq!(divergence.training, "retraining");
    config.victim = Victim::CrossValidated;
    config.lambda.min = 2.0;
    config.lambda.start = 2.0;
    config.lambda.max = 3.0;
    let error = audit(&sets, &config, None, 1000).unwrap_err();
    assert!(matches!(error, AuditError::NoLambda { .. }), "{error}");
}

#[test]
fn a_learning_rate_that_swings_and_stays_finite_is_reported() {
    let sets = digits::sets();
    let mut config = config(Victim::None);
    config.inner.lr = 1e5;
    config.inner.steps = 7;
    let outcome = audit(&sets, &config, Some(&attack()), 1000)
        .unwrap()
        .outcome;
    let divergence = outcome.divergence.unwrap();
    assert_eq!(
        (divergence.training.as_str(), divergence.step),
        ("retraining", 7)
    );
}

#[test]
fn what_cannot_work_is_refused_with_a_reason() {
    let sets = digits::sets();
    let says = |sets: &Sets, config: &BilevelConfig, attack: &BilevelAttack, words: &str| {
        let error = audit(sets, config, Some(attack), 1000)
            .unwrap_err()
            .to_string();
        assert!(error.contains(words), "{error}");
    };
    let good = config(Victim::Learned);
    let many = BilevelAttack {
        batch: 100,
        batches: 9,
        ..attack()
    };
    says(
        &sets,
        &good,
        &many,
        "900 poison points (100 in each of 9 batches)",
    );
    let mut config = good.clone();
    config.inner.steps = 0;
    says(
        &sets,
        &config,
        &attack(),
        "`inner.steps` = 0 is out of range",
    );
    config = good.clone();
    config.lambda.start = f64::NAN;
    says(
        &sets,
        &config,
        &attack(),
        "`lambda.start` = NaN is out of range",
    );
    config = good.clone();
    config.lambda.max = 40.0;
    says(
        &sets,
        &config,
        &attack(),
        "`lambda.max` = 40 is out of range",
    );
    config = good.clone();
    config.kuncheva = vec![64];
    says(&sets, &config, &attack(), "the top 64 of 64 features");
    let mut one = sets.clone();
    one.train.labels.fill(1);
    says(&one, &good, &attack(), "the training set has");
    let mut nan = sets.clone();
    nan.train = nan.train.real();
    if let Values::Reals(values) = &mut nan.train.values {
        values[70] = f32::NAN;
    }
    let expected = SetsError::NotFinite {
        set: "training",
        point: 1,
        feature: 6,
    };
    assert_eq!(nan.check().unwrap_err(), expected);
    says(&nan, &good, &attack(), "not a finite number");
}
