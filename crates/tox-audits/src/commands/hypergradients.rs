//! What each way to a hypergradient costs, for flipped labels that have not moved yet.

use super::rows::Model;
use tox_bilevel::config::{BilevelConfig, Victim};
use tox_bilevel::hypergradient::compare::{self, Comparison, Progress, Settings};
use tox_bilevel::inner::Problem;
use tox_bilevel::own::Own;
use tox_bilevel::points::TrainingSet;
use tox_bilevel::victim::{self, Poison};
use tox_data::ranges::OutOfRange;
use tox_data::rng::stream;

/// What is asked for.
pub struct Ask<'a> {
    pub own: &'a Own,
    pub hidden: &'a [usize],
    /// Where derivatives are taken.
    pub lambda: f64,
    /// Lengths of the inner training.
    pub steps: &'a [usize],
    pub lr: Option<f64>,
    /// Each way is timed so often.
    pub repeats: usize,
    pub seed: u64,
}

impl Ask<'_> {
    /// The learner.
    ///
    /// # Errors
    /// A number out of its range.
    pub fn config(&self) -> Result<BilevelConfig, OutOfRange> {
        let model = Model {
            hidden: self.hidden.to_vec(),
            steps: self.steps.first().copied().or(Some(1)),
            lr: self.lr,
            ..Model::default()
        };
        let mut config = model.config(self.own, 0, 1);
        config.victim = Victim::Large;
        config.lambda.large = self.lambda;
        config.check()?;
        Ok(config)
    }
}

/// Compares the ways on `points` points.
///
/// # Errors
/// A number out of its range.
pub fn compare(
    ask: &Ask<'_>,
    config: &BilevelConfig,
    points: usize,
    tell: &mut dyn FnMut(Progress),
) -> Result<Comparison, OutOfRange> {
    let sets = &ask.own.sets;
    let poison = Poison::flipped(sets, points, ask.seed);
    let clean = poison.leaves(&sets.train);
    let poison = poison.points(sets.train.features);
    let model = victim::model(config, sets);
    let start = model.start(config.bias_start, &mut stream(ask.seed, "start", &[0, 0]));
    let problem = Problem {
        model: &model,
        train: TrainingSet::of(&clean, &poison),
        valid: &sets.valid,
        regulariser: victim::regulariser(config, &[ask.lambda], sets.train.len()),
        start: &start,
        steps: config.inner.steps,
        lr: config.inner.lr as f32,
    };
    let settings = Settings {
        steps: ask.steps.to_vec(),
        repeats: ask.repeats,
        ..Settings::default()
    };
    compare::run(&problem, &settings, tell)
}
