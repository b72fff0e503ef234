//! What lambda stands beside, how it is chosen, and its curve on finished poison.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::Duration;
use tox_bilevel::audit::{AuditError, Finished, Inputs, run};
use tox_bilevel::config::{
    Best, BilevelAttack, BilevelConfig, Groups, Objective, Scale, SyntheticConfig, Victim,
};
use tox_bilevel::outcome::{Level, SyntheticOutcome, Tried};
use tox_bilevel::sets::Sets;
use tox_bilevel::synthetic;
use tox_data::checkpoint::Hooks;

mod digits;

fn config(victim: Victim, objective: Objective) -> BilevelConfig {
    let mut config = BilevelConfig {
        victim,
        hyperiterations: 3,
        ..BilevelConfig::default()
    };
    config.inner.steps = 40;
    config.inner.lr = 0.5;
    config.lambda.objective = objective;
    (config.lambda.min, config.lambda.max, config.lambda.grid) = (-6.0, 0.0, 7);
    config
}

fn hooks<T>(progress: &mut dyn FnMut(f64, &str), with: impl FnOnce(Hooks<'_>) -> T) -> T {
    with(Hooks {
        checkpoint: Path::new("none"),
        key: "",
        save_every: Duration::MAX,
        stop: &mut || false,
        progress,
    })
}

fn audit(sets: &Sets, config: &BilevelConfig) -> Result<Finished, AuditError> {
    watched(sets, config, &mut |_, _| {})
}

fn watched(
    sets: &Sets,
    config: &BilevelConfig,
    progress: &mut dyn FnMut(f64, &str),
) -> Result<Finished, AuditError> {
    let attack = BilevelAttack {
        batch: 24,
        batches: 2,
        ..BilevelAttack::default()
    };
    let inputs = Inputs {
        sets,
        config,
        attack: Some(&attack),
        seed: 4,
    };
    hooks(progress, |hooks| Ok(run(&inputs, hooks)?.unwrap()))
}

fn levels(config: &BilevelConfig) -> Vec<Level> {
    audit(&digits::sets(), config).unwrap().outcome.levels
}

/// The first lambda of least cost.
fn least(curve: &[Tried], of: impl Fn(&Tried) -> Option<f64>) -> f64 {
    let costs = curve.iter().map(|t| (of(t).unwrap(), t.lambda));
    costs.min_by(|a, b| a.0.total_cmp(&b.0)).unwrap().1
}

/// The clean level has no share of the work for hyperiterations that it does not do.
#[test]
fn progress_goes_up_evenly() {
    // Steps: lambdas tried, hyperiterations and the measurement of the clean level, and of two others.
    for (victim, objective, steps) in [
        (Victim::None, Objective::Gradient, 1 + 2 * 4),
        (Victim::CrossValidated, Objective::Gradient, 7 + 1 + 2 * 4),
        (Victim::Learned, Objective::Gradient, 4 + 2 * 4),
        (Victim::Learned, Objective::GridLoss, 2 + 2 * 4),
    ] {
        let mut shares = Vec::new();
        let mut see = |share, _: &str| shares.push(share);
        watched(&digits::sets(), &config(victim, objective), &mut see).unwrap();
        let even: Vec<f64> = (0..steps)
            .map(|i| f64::from(i) / f64::from(steps))
            .collect();
        assert_eq!(shares, even, "{victim:?}, {objective:?}");
    }
}

#[test]
fn a_lambda_beside_the_sum_is_worth_less_by_the_logarithm_of_the_rows() {
    let mut mean = config(Victim::Large, Objective::Gradient);
    mean.lambda.large = -3.0;
    let mut sum = mean.clone();
    sum.lambda.scale = Scale::Sum;
    // Each poison point replaces a row, so the rows stay as many.
    sum.lambda.large += (digits::sets().train.len() as f64).ln();
    for (a, b) in levels(&mean).iter().zip(&levels(&sum)) {
        assert!((a.valid_loss - b.valid_loss).abs() < 1e-5 * a.valid_loss);
        assert_eq!(a.points, b.points);
    }
}

#[test]
fn a_curve_is_the_victim_with_each_lambda() {
    let mut config = config(Victim::Large, Objective::Gradient);
    config.lambda.curve = true;
    config.lambda.large = -2.0;
    for level in levels(&config) {
        assert_eq!(level.curve.len(), 7);
        let same = level.curve.iter().find(|t| t.lambda == -2.0).unwrap();
        assert_eq!(same.test_error, Some(level.test_error));
        assert_eq!(same.valid_error, Some(level.valid_error));
        assert_eq!(same.valid_loss, Some(level.valid_loss));
    }
    config.victim = Victim::None;
    assert!(
        levels(&config)
            .iter()
            .all(|l| l.curve.len() == 7 && l.lambda.is_empty())
    );
}

/// A curve is retrained from what the learner itself starts from: zeros, for logistic regression.
#[test]
fn a_grid_answers_the_finished_poison_with_the_best_of_its_curve() {
    for objective in [Objective::GridLoss, Objective::GridError] {
        let mut config = config(Victim::Learned, objective);
        config.lambda.curve = true;
        let levels = levels(&config);
        assert_eq!(levels.len(), 3);
        for level in &levels {
            let best = match objective {
                Objective::GridError => least(&level.curve, |t| t.valid_error),
                Objective::Gradient | Objective::GridLoss => least(&level.curve, |t| t.valid_loss),
            };
            assert_eq!(
                level.lambda,
                [best],
                "{objective:?}, {} points",
                level.points
            );
        }
        assert_eq!(levels[0].trace.len(), 1);
        assert_eq!(levels[1].trace.len(), 3);
    }
}

#[test]
fn a_grid_has_one_lambda() {
    let mut config = config(Victim::Learned, Objective::GridLoss);
    config.hidden = vec![4];
    config.lambda.groups = Groups::PerLayer;
    let error = audit(&digits::sets(), &config).unwrap_err().to_string();
    assert!(error.contains("lambda.objective"), "{error}");
}

/// Trials keep the ids that they had before there was a choice.
#[test]
fn defaults_are_not_written() {
    let config = serde_json::to_string(&BilevelConfig::default()).unwrap();
    let synthetic = serde_json::to_string(&SyntheticConfig::default()).unwrap();
    for key in ["scale", "objective", "curve", "best"] {
        assert!(!config.contains(key) && !synthetic.contains(key), "{key}");
    }
}

#[test]
fn ties_of_the_error_lie_between_the_smallest_and_the_largest() {
    let maps = |best| -> SyntheticOutcome {
        let config = SyntheticConfig {
            grid: 5,
            lambdas: 8,
            hyperiterations: 2,
            best,
            ..SyntheticConfig::default()
        };
        hooks(&mut |_, _| {}, |hooks| {
            synthetic::run(&config, 64, 64, 1, hooks).unwrap().unwrap()
        })
    };
    let (small, large) = (maps(Best::SmallestByError), maps(Best::LargestByError));
    assert_eq!(small.error_none, large.error_none);
    let pairs = small.best_lambda.iter().zip(&large.best_lambda);
    assert!(pairs.clone().all(|(s, l)| s <= l));
    assert!(pairs.clone().any(|(s, l)| s < l));
    assert_ne!(maps(Best::Loss).best_lambda, large.best_lambda);
}
