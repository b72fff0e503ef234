//! What an audit is made of, and its steps: a lambda tried, a hyperiteration, a level's measurement.

#[cfg(test)]
mod tests;

use super::{AuditError, Finished, Inputs};
use crate::ascent::{climb, descend, norm};
use crate::config::{Objective, TargetLabels, Victim};
use crate::hypergradient::{Hypergradient, ReverseMode};
use crate::inner::Diverged;
use crate::measures;
use crate::outcome::{
    Aimed, BilevelOutcome, CrossValidated, Divergence, Example, Hyperiteration, Level, TargetRows,
};
use crate::points::{Points, TrainingSet};
use crate::victim::{self, Poison, cross_validate, groups, model, retrain};
use serde::{Deserialize, Serialize};
use tox_data::checkpoint::{Buffers, CheckpointError, Machine, Slot, restore};
use tox_data::rng::stream;

/// Poison points shown in a report.
const EXAMPLES: usize = 8;

/// What a checkpoint says, beside the poison's values and the clean weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    cross_validation: Vec<CrossValidated>,
    lambda: Vec<f64>,
    levels: Vec<Level>,
    /// Of the level that is worked on.
    trace: Vec<Hyperiteration>,
    divergence: Option<Divergence>,
}

/// An audit on its way.
pub struct Audit<'a> {
    inputs: &'a Inputs<'a>,
    state: State,
    /// All batches up to the present one.
    poison: Poison,
    /// All points in the order in which they are replaced.
    order: Vec<usize>,
    /// Of the clean level, for Kuncheva's index.
    clean_weights: Vec<f32>,
    /// Clean points that the present level leaves.
    clean: Points<f32>,
    /// What makes it impossible to go on.
    pub failed: Option<AuditError>,
}

impl Machine for Audit<'_> {
    type Header = State;

    fn done(&self) -> bool {
        let ended = self.state.divergence.is_some() || self.failed.is_some();
        ended || self.state.levels.len() > self.batches()
    }

    fn advance(&mut self, progress: &mut dyn FnMut(f64, &str)) {
        progress(self.share(), &self.message());
        self.failed = self.step().err();
    }

    fn save(&mut self, slot: Slot<'_>) -> Result<(), CheckpointError> {
        let buffers: [(&str, &[f32]); 2] = [
            ("poison", &self.poison.values),
            ("clean_weights", &self.clean_weights),
        ];
        slot.write(&self.state, &buffers)
    }

    fn resume(&mut self, state: State, mut buffers: Buffers) -> Result<(), String> {
        let fits = state.levels.len() <= self.batches() + 1
            && state.lambda.len() == self.state.lambda.len();
        if !fits {
            return Err("it has more levels or lambdas than the trial".into());
        }
        // Labels and indices are drawn again: they depend on the seed alone.
        for level in &state.levels {
            self.state.levels.push(level.clone());
            self.begin_batch();
        }
        self.state = state;
        let weights = buffers.remove("clean_weights");
        self.clean_weights = weights.ok_or("it has no clean weights")?;
        restore(&mut buffers, "poison", &mut self.poison.values)
    }
}

impl<'a> Audit<'a> {
    pub fn new(inputs: &'a Inputs<'a>, fixed: &[f64]) -> Self {
        let lambda = &inputs.config.lambda;
        let start = match inputs.config.victim {
            Victim::None => Vec::new(),
            Victim::Large => fixed.to_vec(),
            Victim::CrossValidated | Victim::Learned => vec![lambda.start; groups(inputs.config)],
        };
        Self {
            state: State {
                cross_validation: Vec::new(),
                lambda: start,
                levels: Vec::new(),
                trace: Vec::new(),
                divergence: None,
            },
            poison: Poison::default(),
            order: victim::order(inputs.sets, inputs.seed),
            clean_weights: Vec::new(),
            clean: inputs.sets.train.clone(),
            failed: None,
            inputs,
        }
    }

    fn batches(&self) -> usize {
        self.inputs.attack.map_or(0, |a| a.batches)
    }

    /// Outer steps of a level: none where there is nothing to optimise.
    fn hyperiterations(&self, level: usize) -> usize {
        let config = self.inputs.config;
        match (level, config.victim, config.lambda.objective) {
            (1.., _, _) | (0, Victim::Learned, Objective::Gradient) => config.hyperiterations,
            // Without poison the answer is always the same.
            (0, Victim::Learned, Objective::GridLoss | Objective::GridError) => 1,
            (0, Victim::None | Victim::Large | Victim::CrossValidated, _) => 0,
        }
    }

    /// Values that cross-validation has still to try.
    fn to_try(&self) -> Option<f64> {
        if self.inputs.config.victim != Victim::CrossValidated {
            return None;
        }
        let grid = victim::grid(self.inputs.config);
        grid.get(self.state.cross_validation.len()).copied()
    }

    /// One training: of a lambda tried, a hyperiteration, or a level's measurement.
    fn step(&mut self) -> Result<(), AuditError> {
        if let Some(lambda) = self.to_try() {
            let Inputs {
                sets, config, seed, ..
            } = *self.inputs;
            let tried = cross_validate(sets, config, lambda, seed);
            self.state.cross_validation.push(tried);
            if self.to_try().is_none() {
                let best = victim::best(&self.state.cross_validation);
                let best = best.ok_or(AuditError::NoLambda {
                    min: config.lambda.min,
                    max: config.lambda.max,
                    lr: config.inner.lr,
                })?;
                self.state.lambda = vec![best; groups(config)];
            }
            return Ok(());
        }
        let level = self.state.levels.len();
        let step = self.state.trace.len();
        let (result, training) = if step < self.hyperiterations(level) {
            (
                self.hyperiteration(),
                format!("hyperiteration {}", step + 1),
            )
        } else {
            (self.measure(), "retraining".to_owned())
        };
        if let Err(diverged) = result {
            let batch = self.inputs.attack.map_or(0, |a| a.batch);
            self.state.divergence = Some(Divergence {
                points: (level * batch) as u64,
                training,
                step: diverged.step as u64,
            });
        }
        Ok(())
    }

    /// Lines 5 to 9 of Algorithm 2. Both updates use the hypergradients at the old point.
    fn hyperiteration(&mut self) -> Result<(), Diverged> {
        let Inputs {
            sets, config, seed, ..
        } = *self.inputs;
        let model = model(config, sets);
        let features = model.features;
        let batch = self.batch_range();
        let frozen = self.poison.range(0..batch.start, features).points(features);
        let poison = self.poison.range(batch.clone(), features).points(features);
        let (level, step) = (
            self.state.levels.len() as u64,
            self.state.trace.len() as u64,
        );
        let start = model.start(
            config.bias_start,
            &mut stream(seed, "start", &[level, step]),
        );
        let train = TrainingSet {
            fixed: vec![&self.clean, &frozen],
            poison: &poison,
        };
        let lambda = &self.state.lambda;
        let problem = victim::problem((&model, config), (train, &sets.valid), lambda, &start);
        let reverse = ReverseMode {
            keep: config.inner.keep,
        };
        let target = sets.target.as_ref().filter(|_| !batch.is_empty());
        let (hyper, objective) = match target {
            Some(target) => {
                let (mut hyper, loss) = reverse.of_two(&problem, &target.points)?;
                if target.labels == TargetLabels::Wanted {
                    hyper.poison.iter_mut().for_each(|g| *g = -*g);
                }
                (hyper, Some(target.objective(loss)))
            }
            None => (reverse.of(&problem)?, None),
        };
        let size = norm(&hyper.poison);
        if !(hyper.loss.is_finite() && size.is_finite() && objective.is_none_or(f64::is_finite)) {
            return Err(Diverged {
                step: config.inner.steps,
                what: "the loss or a gradient is not a number",
            });
        }
        self.state.trace.push(Hyperiteration {
            loss: hyper.loss,
            lambda: self.state.lambda.clone(),
            gradient: size,
            objective,
        });
        if let Some(attack) = self.inputs.attack.filter(|_| !batch.is_empty()) {
            let values = &mut self.poison.values[batch.start * features..batch.end * features];
            climb(sets, attack, &hyper.poison, values);
        }
        match (config.victim, config.lambda.objective) {
            (Victim::Learned, Objective::Gradient) => {
                descend(&config.lambda, &hyper.lambda, &mut self.state.lambda);
            }
            (Victim::Learned, Objective::GridLoss | Objective::GridError) => {
                let best = victim::answer((sets, config), &self.poison, &start)?;
                self.state.lambda = vec![best];
            }
            (Victim::None | Victim::Large | Victim::CrossValidated, _) => {}
        }
        Ok(())
    }

    /// Retrains the victim, writes the level down and begins the next one.
    fn measure(&mut self) -> Result<(), Diverged> {
        let Inputs {
            sets, config, seed, ..
        } = *self.inputs;
        let features = sets.train.features;
        let level = self.state.levels.len();
        let batch = self.batch_range();
        let lambda = self.state.lambda.clone();
        let with = |poison: &Poison| retrain(sets, config, &lambda, poison, seed, level);
        let found = with(&self.poison)?;
        let (mut flipped, mut rounded, mut moved) = (None, None, 0.0);
        let mut successes = [None, None];
        if level > 0 {
            let start = self.poison.begun(sets, batch.start);
            let pairs = self
                .poison
                .values
                .chunks_exact(features)
                .zip(start.values.chunks_exact(features));
            let distance = |(a, b): (&[f32], &[f32])| {
                let squares = a.iter().zip(b).map(|(&a, &b)| f64::from(a - b).powi(2));
                squares.sum::<f64>().sqrt()
            };
            moved = pairs.skip(batch.start).map(distance).sum::<f64>() / batch.len() as f64;
            let begun = with(&start)?;
            let whole = self.poison.rounded(sets).map(|whole| with(&whole));
            let whole = whole.transpose()?;
            flipped = Some(begun.test_error);
            rounded = whole.as_ref().map(|found| found.test_error);
            successes = [Some(begun), whole].map(|found| Some(found?.target?.success));
        }
        let model = model(config, sets);
        if level == 0 {
            self.clean_weights.clone_from(&found.weights);
        }
        let kuncheva = if config.hidden.is_empty() && model.classes == 2 {
            let weights = |w: &[f32]| w[..features].to_vec();
            let (clean, now) = (weights(&self.clean_weights), weights(&found.weights));
            let index = |&k: &usize| measures::kuncheva(&clean, &now, k);
            config.kuncheva.iter().map(index).collect()
        } else {
            Vec::new()
        };
        self.state.levels.push(Level {
            points: self.poison.indices.len() as u64,
            fraction: self.poison.indices.len() as f64 / sets.train.len() as f64,
            lambda: lambda.clone(),
            test_error: found.test_error,
            valid_error: found.valid_error,
            train_error: found.train_error,
            valid_loss: found.valid_loss,
            flipped_test_error: flipped,
            rounded_test_error: rounded,
            norms: measures::norms(&model.layers(), &found.weights),
            kuncheva,
            moved,
            trace: std::mem::take(&mut self.state.trace),
            curve: match config.lambda.curve {
                true => victim::curve(sets, config, &self.poison, (seed, level)),
                false => Vec::new(),
            },
            target: found.target.map(|on| Aimed {
                objective: on.objective,
                success: on.success,
                flipped_success: successes[0],
                rounded_success: successes[1],
            }),
        });
        if config.victim == Victim::Learned {
            self.state.lambda.fill(config.lambda.start);
        }
        self.begin_batch();
        Ok(())
    }

    /// Points of the present level's batch among all poison; empty at the clean level.
    fn batch_range(&self) -> std::ops::Range<usize> {
        let batch = self.inputs.attack.map_or(0, |a| a.batch);
        let level = self.state.levels.len();
        batch * level.saturating_sub(1)..batch * level
    }

    /// Line 1 of Algorithm 2: clones the next points with flipped labels, if a level is left.
    fn begin_batch(&mut self) {
        let batch = self.batch_range();
        if self.state.levels.len() > self.batches() {
            return;
        }
        let Inputs { sets, seed, .. } = *self.inputs;
        for at in batch {
            self.poison.clone_flipped(sets, self.order[at], seed);
        }
        self.clean = self.poison.leaves(&sets.train);
    }

    /// Share of the steps done: lambdas tried, hyperiterations, and of each level its measurement.
    fn share(&self) -> f64 {
        let tried = match self.inputs.config.victim {
            Victim::CrossValidated => self.inputs.config.lambda.grid,
            Victim::None | Victim::Large | Victim::Learned => 0,
        };
        let steps = |levels: usize| -> usize {
            (0..levels)
                .map(|level| self.hyperiterations(level) + 1)
                .sum()
        };
        let done = self.state.cross_validation.len()
            + steps(self.state.levels.len())
            + self.state.trace.len();
        done as f64 / (tried + steps(self.batches() + 1)) as f64
    }

    fn message(&self) -> String {
        let tried = self.state.cross_validation.len();
        if let Some(lambda) = self.to_try() {
            let of = self.inputs.config.lambda.grid;
            return format!("cross-validation {}/{of}, lambda {lambda:.2}", tried + 1);
        }
        let (level, levels) = (self.state.levels.len(), self.batches());
        let loss = self.state.trace.last().map_or(String::new(), |t| {
            let lambda: Vec<String> = t.lambda.iter().map(|l| format!("{l:.2}")).collect();
            let lambda = match lambda.is_empty() {
                true => String::new(),
                false => format!(", lambda {}", lambda.join(" ")),
            };
            format!(", validation loss {:.4}{lambda}", t.loss)
        });
        format!(
            "batch {level}/{levels}, hyperiteration {}/{}{loss}",
            self.state.trace.len(),
            self.hyperiterations(level)
        )
    }

    pub fn finish(self) -> Finished {
        let Inputs { sets, config, .. } = *self.inputs;
        Finished {
            outcome: BilevelOutcome {
                parameters: model(config, sets).parameters() as u64,
                features: sets.train.features as u64,
                chance_error: sets.chance_error(),
                cross_validation: self.state.cross_validation.clone(),
                examples: self.examples(),
                levels: self.state.levels,
                divergence: self.state.divergence,
                target: TargetRows::of(sets),
            },
            poison: self.poison,
        }
    }

    /// The first points of the last batch.
    fn examples(&self) -> Vec<Example> {
        let sets = self.inputs.sets;
        let Some(shape) = sets.shape else {
            return Vec::new();
        };
        let features = sets.train.features;
        let hex = |pixels: &[u8]| {
            pixels
                .iter()
                .map(|p| format!("{p:02x}"))
                .collect::<String>()
        };
        let name = |label: u16| sets.class_names[usize::from(label)].clone();
        let batch = self.inputs.attack.map_or(0, |a| a.batch);
        let last = self.poison.indices.len().saturating_sub(batch);
        let example = |at: usize| {
            let i = self.poison.indices[at];
            Example {
                shape,
                class: name(sets.train.labels[i]),
                label: name(self.poison.labels[at]),
                clean: hex(&sets.pixels(&sets.train.row(i))),
                poison: hex(&sets.pixels(&self.poison.values[at * features..(at + 1) * features])),
            }
        };
        (last..self.poison.indices.len())
            .take(EXAMPLES)
            .map(example)
            .collect()
    }
}
