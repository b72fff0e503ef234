//! The victims: what lambda each uses, how it is trained on a poisoned set, what it then gets wrong.

use crate::config::{BilevelConfig, Groups, Objective, Scale, Victim};
use crate::inner::{Diverged, Problem, Regulariser};
use crate::model::Model;
use crate::outcome::{CrossValidated, Tried};
use crate::pass::Passes;
use crate::points::{Points, TrainingSet, Values};
use crate::sets::Sets;
use rand::RngExt;
use rand::seq::SliceRandom;
use std::collections::BTreeSet;
use tox_data::rng::stream;

/// Poison points: which clean points they replace, with which labels and features.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Poison {
    /// Indices of the clean points, each once.
    pub indices: Vec<usize>,
    /// The flipped labels.
    pub labels: Vec<u16>,
    /// One row a point.
    pub values: Vec<f32>,
}

/// A trained victim's errors, percent.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    pub weights: Vec<f32>,
    /// On the test set.
    pub test_error: f64,
    /// On the validation set.
    pub valid_error: f64,
    /// On the set it was trained on.
    pub train_error: f64,
    /// Mean cross-entropy on the validation set.
    pub valid_loss: f64,
    /// On the target set, if there is one.
    pub target: Option<OnTarget>,
}

/// A trained victim on the adversary's target set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OnTarget {
    /// The adversary's objective, which it raises: the mean cross-entropy, or less that of wanted labels.
    pub objective: f64,
    /// Percent of the points that are as the adversary wants them.
    pub success: f64,
}

impl Evaluation {
    /// What the adversary raises.
    pub fn objective(&self) -> f64 {
        self.target.map_or(self.valid_loss, |t| t.objective)
    }
}

impl Poison {
    /// The first `points` points that the adversary of `seed` replaces, as they begin: clones with
    /// flipped labels.
    pub fn flipped(sets: &Sets, points: usize, seed: u64) -> Self {
        let mut poison = Self::default();
        for &i in order(sets, seed).iter().take(points) {
            poison.clone_flipped(sets, i, seed);
        }
        poison
    }

    /// Line 1 of Algorithm 2, for training point `i`: adds its clone with another label; of two
    /// classes it is the other one.
    pub fn clone_flipped(&mut self, sets: &Sets, i: usize, seed: u64) {
        let classes = sets.classes() as u16;
        let mut rng = stream(seed, "flip", &[i as u64]);
        let label = (sets.train.labels[i] + rng.random_range(1..classes)) % classes;
        self.indices.push(i);
        self.labels.push(label);
        self.values.extend(sets.train.row(i));
    }

    /// With the points from the `first` on as they began: clones of what they replace, labels flipped.
    pub fn begun(&self, sets: &Sets, first: usize) -> Self {
        let mut begun = self.clone();
        let rows = begun.values.chunks_exact_mut(sets.train.features);
        for (row, &i) in rows.zip(&self.indices).skip(first) {
            row.copy_from_slice(&sets.train.row(i));
        }
        begun
    }

    /// Rounded to 8 bits; `None` where features are no pixels.
    pub fn rounded(&self, sets: &Sets) -> Option<Self> {
        sets.shape.map(|_| Self {
            values: sets.features(&sets.pixels(&self.values)),
            ..self.clone()
        })
    }

    /// As points of `features` features.
    pub fn points(&self, features: usize) -> Points<f32> {
        Points {
            features,
            values: Values::Reals(self.values.clone()),
            labels: self.labels.clone(),
        }
    }

    /// Points `range` of them.
    pub fn range(&self, range: std::ops::Range<usize>, features: usize) -> Self {
        Self {
            indices: self.indices[range.clone()].to_vec(),
            labels: self.labels[range.clone()].to_vec(),
            values: self.values[range.start * features..range.end * features].to_vec(),
        }
    }

    /// The clean points that it leaves.
    pub fn leaves(&self, train: &Points<f32>) -> Points<f32> {
        let gone: BTreeSet<usize> = self.indices.iter().copied().collect();
        let kept: Vec<usize> = (0..train.len()).filter(|i| !gone.contains(i)).collect();
        train.select(&kept)
    }
}

/// All training points in the order in which poison replaces them.
pub fn order(sets: &Sets, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..sets.train.len()).collect();
    order.shuffle(&mut stream(seed, "poison points", &[]));
    order
}

/// The model that a config describes, on these sets.
pub fn model(config: &BilevelConfig, sets: &Sets) -> Model {
    Model {
        features: sets.train.features,
        hidden: config.hidden.clone(),
        classes: sets.classes(),
        leak: config.leak,
    }
}

/// Number of lambdas.
pub fn groups(config: &BilevelConfig) -> usize {
    match config.lambda.groups {
        Groups::One => 1,
        Groups::PerLayer => config.hidden.len() + 1,
    }
}

/// The penalty with these lambdas on so many training rows; none for the victim without regularisation.
pub fn regulariser(
    config: &BilevelConfig,
    lambda: &[f64],
    rows: usize,
) -> Option<Regulariser<f32>> {
    let divided = match config.lambda.scale {
        Scale::Mean => 0.0,
        Scale::Sum => (rows as f64).ln(),
    };
    (config.victim != Victim::None).then(|| Regulariser {
        penalty: config.penalty,
        groups: config.lambda.groups,
        bias: config.lambda.bias,
        lambda: lambda.iter().map(|&l| (l - divided) as f32).collect(),
    })
}

/// The inner training of the model on `train` from `start` with these lambdas, judged by `valid`.
pub fn problem<'a>(
    (model, config): (&'a Model, &BilevelConfig),
    (train, valid): (TrainingSet<'a, f32>, &'a Points<f32>),
    lambda: &[f64],
    start: &'a [f32],
) -> Problem<'a, f32> {
    Problem {
        model,
        regulariser: regulariser(config, lambda, train.len()),
        train,
        valid,
        start,
        steps: config.inner.steps,
        lr: config.inner.lr as f32,
    }
}

/// Trains on the training set with `poison` in it, from a fresh start keyed by `level`, and
/// measures the errors. The settings are those of `config.retrain`.
///
/// # Errors
/// When training diverges.
pub fn retrain(
    sets: &Sets,
    config: &BilevelConfig,
    lambda: &[f64],
    poison: &Poison,
    seed: u64,
    level: usize,
) -> Result<Evaluation, Diverged> {
    let model = model(config, sets);
    let clean = poison.leaves(&sets.train);
    let poison = poison.points(model.features);
    let start = model.start(
        config.bias_start,
        &mut stream(seed, "retrain", &[level as u64]),
    );
    let points = (TrainingSet::of(&clean, &poison), &sets.valid);
    let problem = Problem {
        steps: config.retrain.epochs.unwrap_or(config.inner.steps),
        lr: config.retrain.lr.unwrap_or(config.inner.lr) as f32,
        ..problem((&model, config), points, lambda, &start)
    };
    let weights = problem.descend()?;
    Ok(Evaluation {
        test_error: Passes::of(&model, &sets.test).error(&weights),
        valid_error: Passes::of(&model, &sets.valid).error(&weights),
        train_error: problem.passes().error(&weights),
        valid_loss: Passes::of(&model, &sets.valid).loss(&weights),
        target: sets.target.as_ref().map(|target| {
            let mut passes = Passes::of(&model, &target.points);
            OnTarget {
                objective: target.objective(passes.loss(&weights)),
                success: target.success(passes.error(&weights)),
            }
        }),
        weights,
    })
}

/// The learner's answer to a poison by its grid: each lambda is trained as the inner problem is, from `start`.
///
/// # Errors
/// When training diverges with every lambda.
pub fn answer(
    (sets, config): (&Sets, &BilevelConfig),
    poison: &Poison,
    start: &[f32],
) -> Result<f64, Diverged> {
    let model = model(config, sets);
    let clean = poison.leaves(&sets.train);
    let poison = poison.points(model.features);
    let mut last = None;
    let mut best: Option<(f64, f64)> = None;
    for lambda in grid(config) {
        let points = (TrainingSet::of(&clean, &poison), &sets.valid);
        let weights = match problem((&model, config), points, &[lambda], start).train() {
            Ok(weights) => weights,
            Err(diverged) => {
                last = Some(diverged);
                continue;
            }
        };
        let mut valid = Passes::of(&model, &sets.valid);
        let cost = match config.lambda.objective {
            Objective::Gradient | Objective::GridLoss => valid.loss(&weights),
            Objective::GridError => valid.error(&weights),
        };
        if cost.is_finite() && best.is_none_or(|(least, _)| cost < least) {
            best = Some((cost, lambda));
        }
    }
    best.map(|(_, lambda)| lambda)
        .ok_or(last.unwrap_or(Diverged {
            step: config.inner.steps,
            what: "the validation loss is not a number, with every lambda of the grid",
        }))
}

/// What the victim would be worth with each lambda of the grid, on one and the same poison.
pub fn curve(
    sets: &Sets,
    config: &BilevelConfig,
    poison: &Poison,
    (seed, level): (u64, usize),
) -> Vec<Tried> {
    // The victim without a penalty has a curve too.
    let config = BilevelConfig {
        victim: Victim::Large,
        ..config.clone()
    };
    let tried = |lambda: f64| {
        let each = vec![lambda; groups(&config)];
        let found = retrain(sets, &config, &each, poison, seed, level).ok();
        Tried {
            lambda,
            valid_loss: found.as_ref().map(|f| f.valid_loss),
            valid_error: found.as_ref().map(|f| f.valid_error),
            test_error: found.as_ref().map(|f| f.test_error),
        }
    };
    grid(&config).into_iter().map(tried).collect()
}

/// The lambdas that a grid has, ascending.
pub fn grid(config: &BilevelConfig) -> Vec<f64> {
    let l = &config.lambda;
    let step = (l.max - l.min) / (l.grid - 1) as f64;
    (0..l.grid).map(|i| l.min + step * i as f64).collect()
}

/// The clean training set cut into folds.
pub struct Folds {
    order: Vec<usize>,
    /// How many.
    pub count: usize,
}

impl Folds {
    /// Drawn with `seed`.
    pub fn new(sets: &Sets, count: usize, seed: u64) -> Self {
        let mut order: Vec<usize> = (0..sets.train.len()).collect();
        order.shuffle(&mut stream(seed, "folds", &[]));
        Self { order, count }
    }

    /// What is trained on while fold `f` is held out, and that fold.
    pub fn cut(&self, sets: &Sets, f: usize) -> (Points<f32>, Points<f32>) {
        let border = |f: usize| f * self.order.len() / self.count;
        let out = border(f)..border(f + 1);
        let held = sets.train.select(&self.order[out.clone()]);
        let rest = [&self.order[..out.start], &self.order[out.end..]].concat();
        (sets.train.select(&rest), held)
    }
}

/// Mean cross-entropy of `lambda` on the held-out folds of the clean training set, each fold
/// weighing the same (Sect. V-B: 5-fold cross-validation gives lambda_CLEAN).
pub fn cross_validate(
    sets: &Sets,
    config: &BilevelConfig,
    lambda: f64,
    seed: u64,
) -> CrossValidated {
    let model = model(config, sets);
    let none = Points::none(model.features);
    let folds = Folds::new(sets, config.lambda.folds, seed);
    let fold = |f: usize| -> Option<f64> {
        let (rest, held) = folds.cut(sets, f);
        let start = model.start(config.bias_start, &mut stream(seed, "fold", &[f as u64]));
        let points = (TrainingSet::of(&rest, &none), &held);
        let each = vec![lambda; groups(config)];
        let weights = problem((&model, config), points, &each, &start).train();
        let weights = weights.ok()?;
        let loss = Passes::of(&model, &held).loss(&weights);
        loss.is_finite().then_some(loss)
    };
    let sum: Option<f64> = (0..folds.count).map(fold).sum();
    CrossValidated {
        lambda,
        loss: sum.map(|sum| sum / folds.count as f64),
    }
}

/// The lambda of least loss; the smallest of equals.
pub fn best(tried: &[CrossValidated]) -> Option<f64> {
    let finite = tried.iter().filter_map(|t| Some((t.lambda, t.loss?)));
    finite
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(lambda, _)| lambda)
}
