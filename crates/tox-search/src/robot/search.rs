//! The search: score the pool, optimise the metrics' weights, then go greedily down the ranking.

use super::config::{RobotConfig, RobotError};
use super::pool;
use super::ranking::{Normalised, choose};
use crate::bayes::Bayes;
use crate::cell::GenotypeNetwork;
use crate::reward::{self, Begun, Reward, ShortTraining};
use crate::space::cells::CellGenotype;
use crate::zero_cost::{NAMES, metrics};
use serde::{Deserialize, Serialize};
use tox_data::checkpoint::{self, Buffers, CheckpointError, Hooks, Machine, Slot};
use tox_data::rng::stream;
use tox_data::{Batch, shuffled};
use tox_nn::fit::Kept;

/// What is searched, and on what.
pub type Inputs<'a> = reward::Inputs<'a, RobotConfig>;

/// A round of Bayesian optimisation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// Weights of the metrics, in the order of [`NAMES`].
    pub weights: Vec<f64>,
    /// Place in the pool of the architecture that scores highest by them.
    pub place: usize,
    /// Its accuracy, in percent.
    pub accuracy: f64,
}

/// What a search found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Found {
    pub genotype: CellGenotype,
    /// Its place in the pool, and its accuracy in percent if it was evaluated.
    pub place: usize,
    /// See `place`.
    pub accuracy: Option<f64>,
    /// Number of different architectures in the pool.
    pub pool: usize,
    pub queries: Vec<Query>,
    /// The architectures evaluated, in order, with their accuracies.
    pub evaluated: Vec<(CellGenotype, f64)>,
    /// The metrics of the result, in the order of [`NAMES`]; `None` where not finite.
    pub metrics: Vec<Option<f64>>,
}

/// Searches, or goes on from a checkpoint. `None` means that it was asked to stop and has saved itself.
///
/// # Errors
/// When a number is out of range, data, table or networks will not do, or the checkpoint fails.
pub fn run(inputs: &Inputs<'_>, mut hooks: Hooks<'_>) -> Result<Option<Found>, RobotError> {
    let config = inputs.config;
    config.check()?;
    inputs.space.check()?;
    let size = [config.channels, config.cells];
    let reward = inputs.reward(&config.train, size);
    reward.check()?;
    let images = inputs.train.len();
    if images < config.batch {
        let batch = config.batch;
        return Err(RobotError::Images { batch, images });
    }
    let bayes = Bayes::new(
        vec![(-1.0, 1.0); NAMES.len()],
        config.bayes.clone(),
        inputs.seed,
    );
    let bayes = bayes.map_err(|source| RobotError::Bayes { round: 0, source })?;
    let pool = pool::draw(inputs.space, config.pool, config.all_ops, inputs.seed);
    if let Some(first) = pool.first() {
        GenotypeNetwork::new(first, reward.shape, (inputs.seed, "robot"))?;
    }
    let mut indices = shuffled(images, &mut stream(inputs.seed, "robot/batch", &[]));
    indices.truncate(config.batch);
    let mut search = Search {
        inputs,
        reward,
        batch: inputs.train.batch(&indices, inputs.normalise, None),
        pool,
        metrics: Vec::new(),
        normalised: None,
        training: None,
        failed: None,
        at: At {
            bayes,
            asked: None,
            queries: Vec::new(),
            evaluated: Vec::new(),
            training: None,
        },
    };
    let done = checkpoint::drive(&mut search, &mut hooks)?;
    match search.failed.take() {
        Some(failed) => Err(failed),
        None => Ok(done.then(|| search.found())),
    }
}

/// Where a search stands, beside the metrics and the training.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct At {
    bayes: Bayes,
    /// The weights whose best architecture is being evaluated.
    asked: Option<Vec<f64>>,
    queries: Vec<Query>,
    evaluated: Vec<(usize, f64)>,
    /// The place of what is being trained.
    training: Option<(usize, Kept)>,
}

/// Of the training of the architecture at a place in the pool, for its random streams.
fn name(place: usize) -> String {
    format!("robot/train/{place}")
}

struct Search<'a> {
    inputs: &'a Inputs<'a>,
    reward: Reward<'a>,
    /// What metrics are taken of.
    batch: Batch,
    pool: Vec<CellGenotype>,
    /// Of the first architectures of the pool, six each. In f32, which is what a checkpoint holds and
    /// what networks compute in.
    metrics: Vec<f32>,
    /// All of them, once they are there.
    normalised: Option<Normalised>,
    training: Option<(usize, ShortTraining)>,
    /// What ended the search early.
    failed: Option<RobotError>,
    at: At,
}

impl Search<'_> {
    fn scored(&self) -> usize {
        self.metrics.len() / NAMES.len()
    }

    fn normalised(&mut self) -> &Normalised {
        let metrics = &self.metrics;
        self.normalised.get_or_insert_with(|| {
            let rows = metrics.chunks_exact(6);
            let row = |row: &[f32]| std::array::from_fn(|m| f64::from(row[m]));
            Normalised::new(&rows.map(row).collect::<Vec<_>>())
        })
    }

    fn score(&mut self) -> Result<(), RobotError> {
        let (inputs, i) = (self.inputs, self.scored());
        let name = format!("robot/metrics/{i}");
        let key = (inputs.seed, name.as_str());
        let (network, state) = GenotypeNetwork::new(&self.pool[i], self.reward.shape, key)?;
        let step = inputs.config.grasp_step;
        let found = metrics(&network, &state, &self.batch, &inputs.device, step);
        self.metrics.extend(found.values().map(|v| v as f32));
        Ok(())
    }

    fn known(&self, place: usize) -> Option<f64> {
        let found = self.at.evaluated.iter().find(|(p, _)| *p == place);
        found.map(|(_, accuracy)| *accuracy)
    }

    /// Looks an accuracy up, or begins to train.
    fn evaluate(&mut self, place: usize) -> Result<(), RobotError> {
        match self.reward.begin(&self.pool[place], name(place))? {
            Begun::Known(accuracy) => self.at.evaluated.push((place, accuracy)),
            Begun::Training(training) => self.training = Some((place, *training)),
        }
        Ok(())
    }

    /// A round: what weights to try, whose best architecture then is evaluated unless it was; then its
    /// accuracy is told, in an anti-search as a loss.
    fn query(&mut self) -> Result<(), RobotError> {
        let round = self.at.queries.len();
        let failed = |source| RobotError::Bayes { round, source };
        let weights = match self.at.asked.take() {
            Some(weights) => weights,
            None => self.at.bayes.ask().map_err(failed)?,
        };
        let place = self.normalised().ranking(&weights).first().copied();
        let place = place.unwrap_or_else(|| unreachable!("a pool is never empty"));
        let Some(accuracy) = self.known(place) else {
            self.at.asked = Some(weights);
            return self.evaluate(place);
        };
        let sign = self.inputs.direction.sign();
        self.at
            .bayes
            .tell(weights.clone(), sign * accuracy)
            .map_err(failed)?;
        self.at.queries.push(Query {
            weights,
            place,
            accuracy,
        });
        Ok(())
    }

    /// The next architecture down the best ranking.
    fn greedy(&mut self) -> Result<(), RobotError> {
        let weights = self.at.bayes.best().map(|(weights, _)| weights.to_vec());
        let ranking = self.normalised().ranking(&weights.unwrap_or_default());
        let next = ranking
            .into_iter()
            .find(|place| self.known(*place).is_none());
        next.map_or(Ok(()), |place| self.evaluate(place))
    }

    /// The next small step, and what it was.
    fn step(&mut self) -> Result<String, RobotError> {
        let config = self.inputs.config;
        if self.scored() < self.pool.len() {
            self.score()?;
            let (scored, all) = (self.scored(), self.pool.len());
            return Ok(format!("robot, metrics of architecture {scored}/{all}"));
        }
        if let Some((place, training)) = &mut self.training {
            let accuracy = training.advance(&self.reward);
            let message = format!(
                "robot, training architecture {}, {:.0} % done",
                self.at.evaluated.len() + 1,
                100.0 * training.share()
            );
            if let Some(accuracy) = accuracy {
                self.at.evaluated.push((*place, accuracy));
                self.training = None;
            }
            return Ok(message);
        }
        if self.at.queries.len() < config.rounds {
            self.query()?;
            return Ok(format!("robot, {} rounds done", self.at.queries.len()));
        }
        self.greedy()?;
        Ok(format!("robot, {} evaluated", self.at.evaluated.len()))
    }

    /// The share of the work done: metrics first, then trainings, half each if both are long.
    fn share(&self) -> f64 {
        let scored = self.scored() as f64 / self.pool.len() as f64;
        let config = self.inputs.config;
        let now = self.training.as_ref().map_or(0.0, |(_, t)| t.share());
        let evaluated = (self.at.evaluated.len() as f64 + now) / config.evaluated as f64;
        let rounds = self.at.queries.len() as f64 / config.rounds as f64;
        0.5 * scored + 0.25 * rounds + 0.25 * evaluated.min(1.0)
    }

    fn found(self) -> Found {
        let (choice, sign) = (self.inputs.config.choice, self.inputs.direction.sign());
        let evaluated = self.at.evaluated.iter();
        let worth: Vec<_> = evaluated.map(|(place, a)| (*place, sign * a)).collect();
        let place = choose(choice, &worth);
        let number = |v: &f32| Some(f64::from(*v)).filter(|v| v.is_finite());
        let evaluated = self.at.evaluated.iter();
        Found {
            genotype: self.pool[place],
            place,
            accuracy: self.known(place),
            pool: self.pool.len(),
            metrics: self.metrics[place * 6..][..6].iter().map(number).collect(),
            evaluated: evaluated
                .map(|(place, a)| (self.pool[*place], *a))
                .collect(),
            queries: self.at.queries,
        }
    }
}

impl Machine for Search<'_> {
    type Header = At;

    fn done(&self) -> bool {
        let (at, config) = (&self.at, self.inputs.config);
        let enough = config.evaluated.min(self.pool.len());
        let searched = at.queries.len() >= config.rounds && at.evaluated.len() >= enough;
        self.failed.is_some() || (searched && self.training.is_none())
    }

    fn advance(&mut self, progress: &mut dyn FnMut(f64, &str)) {
        match self.step() {
            Ok(message) => progress(self.share(), &message),
            Err(failed) => self.failed = Some(failed),
        }
    }

    fn save(&mut self, slot: Slot<'_>) -> Result<(), CheckpointError> {
        let training = self.training.as_ref();
        self.at.training = training.map(|(place, training)| (*place, training.kept()));
        let mut buffers: Vec<(&str, &[f32])> = vec![("metrics", &self.metrics)];
        buffers.extend(training.iter().flat_map(|(_, training)| training.buffers()));
        slot.write(&self.at, &buffers)
    }

    fn resume(&mut self, mut at: At, mut buffers: Buffers) -> Result<(), String> {
        let metrics = buffers.remove("metrics").unwrap_or_default();
        let (count, pool) = (metrics.len(), self.pool.len());
        let within = |place: usize| place < pool;
        let places = at.evaluated.iter().map(|(place, _)| *place);
        let places = places.chain(at.training.as_ref().map(|(place, _)| *place));
        if count > 6 * pool || !count.is_multiple_of(6) || !places.clone().all(within) {
            return Err(format!(
                "{count} metrics for a pool of {pool}, or places beyond it"
            ));
        }
        self.metrics = metrics;
        if let Some((place, kept)) = at.training.take() {
            let reward = &self.reward;
            let training = ShortTraining::new(reward, &self.pool[place], name(place));
            let mut training = training.map_err(|e| e.to_string())?;
            training.resume(kept, &mut buffers)?;
            self.training = Some((place, training));
        }
        self.at = at;
        Ok(())
    }
}
