//! A learner of one's own in a study: the nearest class mean, under every surface that it has.
//!
//!     cargo run --release -p tox-audits --example own_learner
//!
//! A learner says which surfaces it has, and runs. Poison and defences of data are not its business: `prepare_first`
//! puts both before it, so each that is registered works with it, and each of the future.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::sync::atomic::AtomicBool;
use tox_audits::HOUSE;
use tox_audits::error::TrialError;
use tox_audits::poison::prepare_first;
use tox_audits::scene::Scene;
use tox_data::Split;
use tox_data::ranges;
use tox_study::house::{House, Learner, Measures};
use tox_study::part::Part;
use tox_study::recipe::{Keys, Overrides, RecipeError, Study};
use tox_study::spec::{Surface, TrialSpec};
use tox_study::trial::{Failure, Finished, Machine, TrialContext, load};

/// Its keys in a recipe. The schema, the defaults and the guide's table come from here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// Share of the rows of a class, the nearest to its mean, that the mean is taken of again.
    #[schemars(range(min = 0.1, max = 1.0))]
    trim: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { trim: 1.0 }
    }
}

/// What a record keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Outcome {
    test_error: f64,
    valid_error: f64,
}

struct NearestMean;

impl Learner for NearestMean {
    fn kind(&self) -> &'static str {
        "nearest-mean"
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Config::json_schema(generator)
    }

    fn read(&self, keys: &Keys<'_>) -> Result<Part, RecipeError> {
        let config = keys.checked(ranges::check::<Config>)?;
        Ok(Part::new(self.kind(), &config))
    }

    fn surface(&self, _config: &Part, surface: Surface) -> Result<(), String> {
        match surface {
            Surface::Data => Ok(()),
            Surface::Space => Err("it searches no space".into()),
            Surface::Inputs => Err("it hands over no network".into()),
        }
    }

    fn title(&self, _config: &Part) -> String {
        "nearest class mean".into()
    }

    fn on_device(&self) -> bool {
        false
    }

    fn run(&self, trial: &TrialSpec, context: TrialContext<'_>) -> Result<Finished, Failure> {
        Ok(run(trial, context)?)
    }

    /// Tidy results, paired damage, tables and figures follow from these.
    fn measures(&self, _trial: &TrialSpec, outcome: &Part) -> Measures {
        let Ok(outcome) = outcome.read::<Outcome>() else {
            return Measures::default();
        };
        Measures {
            clean_error: Some(outcome.test_error),
            claim: Some(outcome.valid_error),
            ..Measures::default()
        }
    }
}

fn run(trial: &TrialSpec, context: TrialContext<'_>) -> Result<Finished, TrialError> {
    let config: Config = trial.learner.read()?;
    let clean = load(trial, &context)?;
    let device = tox_nn::device::parse(context.device)?;
    let scene = Scene::of(trial, &clean, device);
    let data = prepare_first(&scene, context)?.data;
    let means = means(&data.train, data.classes, config.trim);
    let outcome = Outcome {
        test_error: error(&means, &data.test),
        valid_error: error(&means, &data.valid),
    };
    tox_audits::finished(
        "nearest-mean",
        &outcome,
        (clean.hash, clean.notes),
        Machine::cpu("plain".into()),
    )
}

fn rows(split: &Split) -> impl Iterator<Item = (&[u8], usize)> {
    let rows = split.images.pixels.chunks_exact(split.images.stride());
    rows.zip(split.labels.iter().map(|label| usize::from(*label)))
}

fn distance(row: &[u8], mean: &[f64]) -> f64 {
    row.iter()
        .zip(mean)
        .map(|(x, m)| (f64::from(*x) - m).powi(2))
        .sum()
}

fn means(split: &Split, classes: usize, trim: f64) -> Vec<Vec<f64>> {
    let of = |rows: &[&[u8]]| {
        let mut mean = vec![0.0; split.images.stride()];
        for row in rows {
            mean.iter_mut()
                .zip(*row)
                .for_each(|(m, x)| *m += f64::from(*x) / rows.len() as f64);
        }
        mean
    };
    let class = |class| {
        let mut own: Vec<&[u8]> = rows(split)
            .filter(|(_, c)| *c == class)
            .map(|(row, _)| row)
            .collect();
        let first = of(&own);
        own.sort_by(|a, b| distance(a, &first).total_cmp(&distance(b, &first)));
        own.truncate(((own.len() as f64 * trim).ceil() as usize).max(1));
        of(&own)
    };
    (0..classes).map(class).collect()
}

/// In percent.
fn error(means: &[Vec<f64>], split: &Split) -> f64 {
    let nearest = |row: &[u8]| {
        let all = means.iter().map(|mean| distance(row, mean));
        let best = all.enumerate().min_by(|a, b| a.1.total_cmp(&b.1));
        best.map_or(0, |(class, _)| class)
    };
    let wrong = rows(split)
        .filter(|(row, class)| nearest(row) != *class)
        .count();
    100.0 * wrong as f64 / split.len() as f64
}

/// Three poisons and a defence, none of which the learner knows.
const RECIPE: &str = r#"
name = "nearest-mean"
seeds = [0, 1, 2]
cell = [
    { label = "clean" },
    { label = "rlf", threat = { kind = "rlf", budget = 0.4 } },
    { label = "rlf", variant = "knn", threat = { kind = "rlf", budget = 0.4 }, defence = "knn" },
    { label = "noise", threat = { kind = "noise", budget = 1.0, noise = { bound = 128, std = 128 } } },
]

[data]
dataset = "digits"
valid = 300
hash = "HASH"

[learner]
kind = "nearest-mean"
trim = 0.8
"#;

fn main() -> Result<(), Box<dyn Error>> {
    // In `tox-audits` itself the lists have one line more. In a program of one's own it is this:
    let house = House {
        learners: &[&NearestMean],
        ..HOUSE
    };
    // `toxscreen run` fills the hash of the data in; a trial refuses data that it does not name.
    let place = tox_data::DataDir::resolve(None)?;
    let hash = tox_data::source_hash(&tox_data::spec::DataSpec::of("digits", 300), &place)?;
    let recipe = RECIPE.replace("HASH", &hash);
    let study = Study::parse(
        &house,
        "the example's recipe",
        &recipe,
        &Overrides::default(),
    )?;

    let stop = AtomicBool::new(false);
    println!("cell         seed  claimed  clean test error");
    for trial in &study.trials {
        let folder = tempfile::tempdir()?;
        let mut silent = |_| {};
        let context = TrialContext::alone(folder.path(), &stop, &mut silent);
        let finished = house.execute(&trial.spec, context)?;
        let measures = NearestMean.measures(&trial.spec, &finished.outcome);
        let name = tox_study::plan::cell_name(&trial.spec.cell, trial.spec.variant.as_deref());
        let [claim, error] = [measures.claim, measures.clean_error].map(Option::unwrap_or_default);
        println!(
            "{name:<12} {:>4}  {claim:>5.1} %  {error:>5.1} %",
            trial.spec.seed
        );
    }

    // What it does not have is refused, with the place and the reason.
    let wrong = recipe.replace("defence = \"knn\"", "defence = \"screen\"");
    if let Err(refused) = Study::parse(
        &house,
        "the example's recipe",
        &wrong,
        &Overrides::default(),
    ) {
        println!("\n{refused}");
    }
    Ok(())
}
