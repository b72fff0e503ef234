//! Targeted attacks (Eq. 2) on the digits 3 and 8: the adversary aims at rows that the learner does not learn lambda on.
#![allow(clippy::unwrap_used)]

use tox_bilevel::audit::{AuditError, Finished, Inputs, run};
use tox_bilevel::config::{BilevelAttack, BilevelConfig, Penalty, TargetLabels, Victim};
use tox_bilevel::sets::{Sets, SetsError, Target};
use tox_testkit::stops::stopped;

mod digits;

fn config(victim: Victim, hidden: &[usize], penalty: Penalty) -> BilevelConfig {
    let mut config = BilevelConfig {
        victim,
        hidden: hidden.to_vec(),
        penalty,
        hyperiterations: 6,
        ..BilevelConfig::default()
    };
    (config.inner.steps, config.inner.lr) = (60, 0.2);
    config.lambda.max = 0.0;
    config
}

fn audit(sets: &Sets, config: &BilevelConfig, every: usize) -> Result<Finished, AuditError> {
    let attack = BilevelAttack {
        batch: 12,
        batches: 2,
        ..BilevelAttack::default()
    };
    let inputs = Inputs {
        sets,
        config,
        attack: Some(&attack),
        seed: 5,
    };
    stopped(every.saturating_add(1), |hooks| run(&inputs, hooks)).0
}

/// With the test points as the target, all of them wanted as `label`.
fn wanted(label: u16) -> Sets {
    let mut sets = digits::sets();
    let of_other = |i: &usize| sets.test.labels[*i] != label;
    let rows: Vec<usize> = (0..sets.test.len()).filter(of_other).take(10).collect();
    let mut points = sets.test.select(&rows);
    points.labels.fill(label);
    sets.target = Some(Target {
        points,
        labels: TargetLabels::Wanted,
    });
    sets
}

#[test]
fn trusted_rows_as_the_target_are_the_indiscriminate_attack_bit_for_bit() {
    let plain = digits::sets();
    let mut aimed = plain.clone();
    aimed.target = Some(Target {
        points: plain.valid.clone(),
        labels: TargetLabels::True,
    });
    for hidden in [&[][..], &[5, 3]] {
        for penalty in [Penalty::L2, Penalty::L1] {
            let config = config(Victim::Learned, hidden, penalty);
            let (one, two) = (
                audit(&plain, &config, 1000).unwrap(),
                audit(&aimed, &config, 1000).unwrap(),
            );
            assert_eq!(one.poison, two.poison);
            for (one, two) in one.outcome.levels.iter().zip(&two.outcome.levels) {
                let on = two.target.unwrap();
                assert_eq!(
                    (on.objective, on.success),
                    (two.valid_loss, two.valid_error)
                );
                let mut two = two.clone();
                two.target = None;
                for step in &mut two.trace {
                    assert!(step.objective.is_none_or(|o| o == step.loss));
                    step.objective = None;
                }
                assert_eq!(*one, two);
            }
            let rows = two.outcome.target.unwrap();
            assert_eq!(
                (rows.rows, rows.also[1]),
                (plain.valid.len() as u64, plain.valid.len() as u64)
            );
            assert!(one.outcome.target.is_none());
        }
    }
}

#[test]
fn wanted_labels_are_got_at_less_cost_than_by_the_attack_on_all_rows() {
    let (mut aimed, mut all) = (wanted(0), digits::sets());
    // Of few rows, so that two batches are a fifth of them.
    let few: Vec<usize> = (0..120).collect();
    for sets in [&mut aimed, &mut all] {
        sets.train = sets.train.select(&few);
    }
    let mut config = config(Victim::None, &[], Penalty::L2);
    (config.hyperiterations, config.inner.steps) = (20, 140);
    let (found, other) = (
        audit(&aimed, &config, 1000).unwrap().outcome,
        audit(&all, &config, 1000).unwrap().outcome,
    );
    let on = |level: usize| found.levels[level].target.unwrap();
    assert!(on(2).objective > on(1).objective && on(1).objective > on(0).objective);
    assert!(
        on(2).success > on(0).success + 10.0,
        "{} to {}",
        on(0).success,
        on(2).success
    );
    assert_eq!(on(0).flipped_success, None);
    assert!(on(2).flipped_success.unwrap() <= on(2).success);
    for level in &found.levels[1..] {
        let (first, last) = (&level.trace[0], level.trace.last().unwrap());
        assert!(last.aim() > first.aim() && first.objective.is_some());
    }
    // The same start, another goal: what it does to the rows that it does not aim at is not what it was made for.
    assert_eq!(found.levels[0].test_error, other.levels[0].test_error);
    assert!(found.levels[2].valid_loss < other.levels[2].valid_loss);
    assert_eq!(found.target.unwrap().also, [0, 0, 10]);
}

#[test]
fn stopping_anywhere_changes_nothing() {
    let sets = wanted(0);
    let config = config(Victim::Learned, &[4], Penalty::L2);
    let whole = audit(&sets, &config, 1000).unwrap();
    for every in [1, 4] {
        assert_eq!(audit(&sets, &config, every).unwrap(), whole);
    }
}

#[test]
fn targets_that_do_not_fit_are_refused() {
    let mut sets = wanted(0);
    let config = config(Victim::None, &[], Penalty::L2);
    let points = sets.target.clone().unwrap().points;
    let mut with = |points| {
        let labels = TargetLabels::Wanted;
        sets.target = Some(Target { points, labels });
        audit(&sets, &config, 1000).unwrap_err()
    };
    let error = with(points.select(&[]));
    assert!(
        matches!(error, AuditError::Sets(SetsError::Empty { set: "target" })),
        "{error}"
    );
    let mut other = points.clone();
    other.labels[0] = 2;
    let error = with(other);
    assert!(
        error.to_string().contains("the target set has the label 2"),
        "{error}"
    );
    let mut narrow = points.real();
    narrow.features = 32;
    let error = with(narrow);
    assert!(error.to_string().contains("have 32 features"), "{error}");
}
