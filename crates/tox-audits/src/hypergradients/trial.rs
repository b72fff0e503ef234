//! A trial: the ways are measured at one length of the training after another.

use super::{HypergradientsConfig, KIND};
use crate::error::TrialError;
use crate::rows::Source;
use serde_json::json;
use tox_bilevel::hypergradient::compare::{
    Method, MethodRow, Seconds, Settings, comparison, measure, reference,
};
use tox_bilevel::points::TrainingSet;
use tox_bilevel::victim::{self, Poison};
use tox_data::rng::stream;
use tox_study::spec::TrialSpec;
use tox_study::steps::{StepError, Steps};
use tox_study::trial::{Finished, Parts, Progress, TrialContext};

/// Name of a length among the steps of a trial.
const LENGTH: &str = "T";

/// Names of the seconds of a way and of the training alone, at a length, among the parts of a trial's time.
pub fn part(method: Method, steps: usize) -> [String; 2] {
    let name = method.name();
    [
        format!("{name}, T = {steps}"),
        format!("training of {name}, T = {steps}"),
    ]
}

/// Runs the trial.
pub fn run(
    spec: &TrialSpec,
    config: &HypergradientsConfig,
    context: TrialContext<'_>,
) -> Result<Finished, TrialError> {
    let source = Source::of(spec, None, context.data_dir)?;
    let own = source.divide(spec, None, 0)?;
    let (learner, points) = config
        .plan(&own)
        .map_err(|e| TrialError::Unfit(e.to_string()))?;
    let sets = &own.sets;
    let poison = Poison::flipped(sets, points, spec.seed);
    let clean = poison.leaves(&sets.train);
    let poison = poison.points(sets.train.features);
    let model = victim::model(&learner, sets);
    let start = model.start(learner.bias_start, &mut stream(spec.seed, "start", &[0, 0]));
    let points = (TrainingSet::of(&clean, &poison), &sets.valid);
    let problem = victim::problem((&model, &learner), points, &[config.lambda], &start);
    let settings = Settings {
        steps: config.steps.clone(),
        repeats: config.repeats,
        ..Settings::default()
    };
    (context.progress)(Progress {
        done: 0.0,
        message: "the reference".to_owned(),
    });
    let exact = reference(&problem, &settings)?;
    let hash = source.data.hash();
    let shares = vec![(LENGTH.to_owned(), 1.0 / config.steps.len() as f64)];
    let mut steps = Steps::new(context, json!(hash), spec.seed, shares);
    let mut all: Vec<(MethodRow, Seconds)> = Vec::new();
    for &length in &config.steps {
        let key = json!({ "learner": spec.learner });
        let name = format!("{LENGTH}-{length}");
        let made: Vec<_> = steps.step(&name, key, |_, hooks| -> Result<_, StepError> {
            let mut begin = |done: f64, method: Method| {
                (hooks.progress)(done, method.name());
                !(hooks.stop)()
            };
            Ok(measure(&problem, &settings, (length, &exact), &mut begin))
        })?;
        all.extend(made);
    }
    let mut parts = Parts::new();
    for (row, took) in &all {
        let [whole, training] = part(row.method, row.steps);
        parts.extend(took.whole.map(|seconds| (whole, seconds)));
        parts.insert(training, took.training);
    }
    let rows = all.into_iter().map(|(row, _)| row).collect();
    let outcome = comparison(&problem, exact, rows);
    Ok(Finished {
        parts,
        ..source.finished(KIND, &outcome, hash)?
    })
}
