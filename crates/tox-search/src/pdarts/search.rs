//! The search: stages of epochs of steps, then the genotype. A machine of small steps, so that it can
//! stop and go on anywhere.

use super::config::Stage;
use super::discretise::{Branches, DiscretiseError};
use super::found::{Epoch, Found, Inputs, PdartsError, StageEnd, genotype};
use super::learner::Learner;
use crate::cell::SupernetShape;
use crate::space::cells::CellGenotype;
use crate::space::{BadOps, PoisonedSpace, SpaceError};
use serde::{Deserialize, Serialize};
use tox_data::checkpoint::{self, Buffers, CheckpointError, Hooks, Machine, Slot};
use tox_data::rng::stream;
use tox_data::{Batch, Split, shuffled};
use tox_nn::fit::Step;
use tox_nn::layers::Draws;

/// Runs or resumes a search. `None` means that it was asked to stop and has saved itself.
///
/// # Errors
/// A config or images that cannot be used, a checkpoint that cannot be read or written, alphas that
/// are not finite.
pub fn run(inputs: &Inputs<'_>, hooks: Hooks<'_>) -> Result<Option<Found>, PdartsError> {
    run_poisoned(inputs, &[], hooks)
}

/// As [`run`], with bad ops on all edges. The first stage has them beside all published ops; each of
/// their branches has an alpha of its own and is dropped, or stays, by itself. Later stages have as
/// many ops as in the clean space.
///
/// # Errors
/// As [`run`]; more bad ops than an edge can have.
pub fn run_poisoned(
    inputs: &Inputs<'_>,
    bad: &[BadOps],
    mut hooks: Hooks<'_>,
) -> Result<Option<Found>, PdartsError> {
    let space = PoisonedSpace {
        space: inputs.space,
        bad: bad.to_vec(),
    };
    inputs.config.check(inputs.space)?;
    space.check()?;
    let mut search = Search::new(inputs, space)?;
    if !checkpoint::drive(&mut search, &mut hooks)? {
        return Ok(None);
    }
    search.found().map(Some)
}

/// Sums over the current epoch, of the weights' batches or of the alphas'. f64 as bits, because JSON
/// knows no NaN.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Sums {
    loss: u64,
    wrong: usize,
    images: usize,
}

impl Sums {
    fn add(&mut self, step: &Step, images: usize) {
        let loss = f64::from_bits(self.loss) + f64::from(step.loss) * images as f64;
        self.loss = loss.to_bits();
        self.wrong += step.wrong;
        self.images += images;
    }

    fn loss(&self) -> Option<f64> {
        let mean = f64::from_bits(self.loss) / self.images as f64;
        mean.is_finite().then_some(mean)
    }

    fn error(&self) -> f64 {
        100.0 * self.wrong as f64 / self.images.max(1) as f64
    }
}

/// Where a search stands, beside its buffers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Header {
    stage: usize,
    epoch: usize,
    /// Next step of the epoch.
    step: usize,
    /// Steps of the search so far.
    steps: u64,
    weights: Sums,
    alphas: Sums,
    nonfinite_before: u64,
    nonfinite_steps: u64,
    adam_steps: u32,
    touched: Vec<bool>,
    /// The ops of the stage: by kind of cell and edge.
    candidates: Vec<Vec<Vec<usize>>>,
    epochs: Vec<Epoch>,
    stages: Vec<StageEnd>,
}

struct Search<'a> {
    inputs: &'a Inputs<'a>,
    space: PoisonedSpace,
    learner: Learner,
    header: Header,
    /// What the last stage gave, or why a stage gave nothing.
    result: Option<Result<CellGenotype, (usize, DiscretiseError)>>,
    /// Shuffled images of the weights' half and of the alphas', and which epoch or pass they are of.
    orders: [Option<([u64; 2], Vec<u32>)>; 2],
}

impl<'a> Search<'a> {
    fn new(inputs: &'a Inputs<'a>, space: PoisonedSpace) -> Result<Self, PdartsError> {
        let ops: Vec<usize> = (0..space.ops().len()).collect();
        let kinds = inputs.space.kinds().len();
        let candidates = vec![vec![ops; inputs.space.edges()]; kinds];
        let search = Self {
            inputs,
            learner: learner(inputs, &space, 0, &candidates)?,
            space,
            header: Header {
                candidates,
                ..Header::default()
            },
            result: None,
            orders: [None, None],
        };
        search.check_halves()?;
        Ok(search)
    }

    fn check_halves(&self) -> Result<(), PdartsError> {
        let [weights, alphas] = [0, 1].map(|half| self.half(half).len());
        if weights < 2 || alphas < 2 {
            return Err(PdartsError::Images { weights, alphas });
        }
        Ok(())
    }

    /// The images of the weights (0) or of the alphas (1).
    fn half(&self, half: usize) -> &'a Split {
        let data = self.inputs.data;
        [&data.train, &data.valid][half]
    }

    /// Batches of a half. A single image left over is left out: its batch norm on a 1x1 map would
    /// see one value a channel.
    fn batches(&self, half: usize) -> usize {
        let (n, batch) = (self.half(half).len(), self.inputs.config.batch);
        (n / batch + usize::from(n % batch > 1)).max(1)
    }

    /// Batch number `i` of the epoch. The alphas' half begins anew, shuffled anew, when it is used up
    /// before the weights' is.
    fn batch(&mut self, half: usize, i: usize) -> Batch {
        let inputs = self.inputs;
        let (images, batches) = (self.half(half), self.batches(half));
        let name = ["weights", "alphas"][half];
        let (epoch, pass) = (self.epochs_so_far(), (i / batches) as u64);
        let order = match &mut self.orders[half] {
            Some((of, order)) if *of == [epoch, pass] => order,
            slot => {
                let mut rng = stream(inputs.seed, &format!("shuffle/{name}"), &[epoch, pass]);
                let order = shuffled(images.len(), &mut rng);
                &mut slot.insert(([epoch, pass], order)).1
            }
        };
        let (at, size) = (i % batches, inputs.config.batch);
        let indices = &order[at * size..((at + 1) * size).min(order.len())];
        let key = [epoch, i as u64];
        let mut rng = stream(inputs.seed, &format!("augment/{name}"), &key);
        let augment = (half == 0 || inputs.augment.valid).then_some((inputs.augment, &mut rng));
        images.batch(indices, &inputs.data.normalise, augment)
    }

    /// Epochs of the search, over all stages.
    fn epochs_so_far(&self) -> u64 {
        self.header.epochs.len() as u64
    }

    fn stage(&self) -> &'a Stage {
        let stages = &self.inputs.config.stages;
        &stages[self.header.stage.min(stages.len() - 1)]
    }

    /// One step for the alphas, unless they are frozen, and one for the weights.
    fn step(&mut self) {
        let (config, i, epoch) = (self.inputs.config, self.header.step, self.header.epoch);
        let dropout = config.skip_dropout(self.stage(), epoch);
        let draws = |network| Draws {
            seed: self.inputs.seed,
            network,
            step: self.header.steps,
        };
        let [for_alphas, for_weights] = [draws("search/alphas"), draws("search/weights")];
        if epoch >= config.frozen_epochs {
            let batch = self.batch(1, i);
            let step = self.learner.alpha_step(&batch, for_alphas, dropout);
            self.header.alphas.add(&step, batch.labels.len());
        }
        let batch = self.batch(0, i);
        let rates = (config.lr(epoch), dropout);
        let step = self.learner.weight_step(&batch, for_weights, rates);
        self.header.weights.add(&step, batch.labels.len());
        self.header.steps += 1;
        self.header.step += 1;
        if self.header.step == self.batches(0) {
            self.end_epoch();
        }
    }

    fn end_epoch(&mut self) {
        let (config, stage) = (self.inputs.config, self.stage());
        let probabilities = self.learner.probabilities();
        let h = &mut self.header;
        let learned = h.alphas.images > 0;
        h.epochs.push(Epoch {
            stage: h.stage,
            epoch: h.epoch,
            lr: config.lr(h.epoch),
            skip_dropout: config.skip_dropout(stage, h.epoch),
            loss: h.weights.loss(),
            error: h.weights.error(),
            alpha_loss: h.alphas.loss().filter(|_| learned),
            alpha_error: learned.then(|| h.alphas.error()),
            entropy: entropy(&probabilities),
            nonfinite_steps: self.learner.nonfinite_steps - h.nonfinite_before,
        });
        h.nonfinite_before = self.learner.nonfinite_steps;
        (h.step, h.weights, h.alphas) = (0, Sums::default(), Sums::default());
        h.epoch += 1;
        if h.epoch == config.epochs {
            self.end_stage(probabilities);
        }
    }

    /// Prunes the ops and begins the next stage with new weights, or gives the result.
    fn end_stage(&mut self, probabilities: Vec<Vec<Vec<f64>>>) {
        let (inputs, stage) = (self.inputs, self.header.stage);
        let candidates = &self.header.candidates;
        let names = self.space.ops();
        let named = |edge: &Vec<usize>| edge.iter().map(|op| names[*op].clone()).collect();
        let ops = candidates
            .iter()
            .map(|kind| kind.iter().map(named).collect());
        let end = StageEnd {
            ops: ops.collect(),
            probabilities,
        };
        let weights = &end.probabilities;
        let failed = |e| (stage + 1, e);
        match inputs.config.stages.get(stage + 1) {
            Some(next) => {
                let drop = self.branches(stage) - next.ops;
                let kinds = candidates.iter().zip(weights);
                let kept: Result<Vec<_>, _> = kinds
                    .map(|(ops, weights)| Branches(names.len()).prune(ops, weights, drop))
                    .collect();
                // The first stage's supernet was built with the same shape.
                match kept.map(|kept| (learner(inputs, &self.space, stage + 1, &kept), kept)) {
                    Ok((Ok(learner), kept)) => {
                        (self.learner, self.header.candidates) = (learner, kept);
                        self.header.nonfinite_before = 0;
                        (self.header.stage, self.header.epoch) = (stage + 1, 0);
                    }
                    Ok((Err(e), _)) => unreachable!("only the number of ops has changed: {e}"),
                    Err(e) => self.result = Some(Err(failed(e))),
                }
            }
            None => {
                let max_skips = inputs.config.max_skips;
                let made = genotype(&self.space, candidates, weights, max_skips);
                self.result = Some(made.map_err(failed));
            }
        }
        self.header.stages.push(end);
    }

    fn found(self) -> Result<Found, PdartsError> {
        let Some(result) = self.result else {
            unreachable!("a search that is done has a result")
        };
        let genotype =
            result.map_err(|(stage, source)| PdartsError::Discretise { stage, source })?;
        Ok(Found {
            genotype,
            epochs: self.header.epochs,
            stages: self.header.stages,
            steps: self.header.steps,
            learner: self.learner,
        })
    }

    /// Branches of an edge in a stage.
    fn branches(&self, stage: usize) -> usize {
        let bad = if stage == 0 { self.space.branches() } else { 0 };
        self.inputs.config.stages[stage].ops + bad
    }

    /// Share of the work that is done: a step costs as much as its supernet has ops, and twice when
    /// the alphas learn.
    fn done_share(&self) -> f64 {
        let (config, h) = (self.inputs.config, &self.header);
        let (frozen, epochs) = (config.frozen_epochs as f64, config.epochs as f64);
        let work = |epochs: f64| epochs + (epochs - frozen).max(0.0);
        let part = h.epoch as f64 + h.step as f64 / self.batches(0) as f64;
        let (mut done, mut all) = (0.0, 0.0);
        for (i, stage) in config.stages.iter().enumerate() {
            let cost = (stage.cells * self.branches(i)) as f64;
            all += cost * work(epochs);
            done += match i.cmp(&h.stage) {
                std::cmp::Ordering::Less => cost * work(epochs),
                std::cmp::Ordering::Equal => cost * work(part),
                std::cmp::Ordering::Greater => 0.0,
            };
        }
        (done / all).min(1.0)
    }
}

/// A stage's supernet, new.
fn learner(
    inputs: &Inputs<'_>,
    space: &PoisonedSpace,
    stage: usize,
    candidates: &[Vec<Vec<usize>>],
) -> Result<Learner, SpaceError> {
    let [_, c, h, w] = inputs.data.train.images.shape;
    let shape = SupernetShape {
        channels: inputs.config.channels,
        cells: inputs.config.stages[stage].cells,
        classes: inputs.data.classes,
        input: [c, h, w],
    };
    let network = format!("search/{}", stage + 1);
    let (key, device) = ((inputs.seed, network.as_str()), inputs.device.clone());
    let mut learner = Learner::new(space, candidates, shape, inputs.config, key, device)?;
    learner.direction = inputs.direction;
    Ok(learner)
}

/// Mean over all edges, nats.
fn entropy(probabilities: &[Vec<Vec<f64>>]) -> Option<f64> {
    let edges = probabilities.iter().flatten();
    let term = |p: &f64| if *p > 0.0 { -p * p.ln() } else { *p };
    let all: f64 = edges.clone().flatten().map(term).sum();
    let mean = all / edges.count() as f64;
    mean.is_finite().then_some(mean)
}

impl Machine for Search<'_> {
    type Header = Header;

    fn done(&self) -> bool {
        self.result.is_some()
    }

    fn advance(&mut self, progress: &mut dyn FnMut(f64, &str)) {
        self.step();
        let (h, config) = (&self.header, self.inputs.config);
        let mut message = format!(
            "stage {}/{}, epoch {}/{}",
            h.stage + 1,
            config.stages.len(),
            (h.epoch + 1).min(config.epochs),
            config.epochs
        );
        if let Some(last) = h.epochs.last() {
            message += &format!(", training error {:.1} %", last.error);
        }
        progress(self.done_share(), &message);
    }

    fn save(&mut self, slot: Slot<'_>) -> Result<(), CheckpointError> {
        let learner = &self.learner;
        self.header.nonfinite_steps = learner.nonfinite_steps;
        self.header.adam_steps = learner.adam.steps;
        self.header.touched = learner.sgd.touched.clone();
        let buffers: [(&str, &[f32]); 5] = [
            ("weights", &learner.state.params.values),
            ("velocity", &learner.sgd.velocity),
            ("alphas", &learner.alphas.values),
            ("adam.first", &learner.adam.first),
            ("adam.second", &learner.adam.second),
        ];
        slot.write(&self.header, &buffers)
    }

    fn resume(&mut self, header: Header, mut buffers: Buffers) -> Result<(), String> {
        let config = self.inputs.config;
        if header.stage >= config.stages.len() || header.epoch >= config.epochs {
            return Err(format!("stage {}, epoch {}", header.stage, header.epoch));
        }
        if header.step >= self.batches(0) {
            return Err(format!("step {} of an epoch", header.step));
        }
        let (space, ops) = (self.inputs.space, self.branches(header.stage));
        let all = self.space.ops().len();
        let edges = || header.candidates.iter().flatten();
        let known = |edge: &Vec<usize>| edge.iter().all(|op| *op < all);
        if header.candidates.len() != space.kinds().len()
            || !edges().all(|edge| edge.len() == ops && known(edge))
        {
            return Err(format!(
                "ops of stage {} that are not the space's",
                header.stage + 1
            ));
        }
        let made = learner(self.inputs, &self.space, header.stage, &header.candidates);
        let mut learner = made.map_err(|e| e.to_string())?;
        let mut put = |name, to: &mut Vec<f32>| checkpoint::restore(&mut buffers, name, to);
        put("weights", &mut learner.state.params.values)?;
        put("velocity", &mut learner.sgd.velocity)?;
        put("alphas", &mut learner.alphas.values)?;
        put("adam.first", &mut learner.adam.first)?;
        put("adam.second", &mut learner.adam.second)?;
        if header.touched.len() != learner.sgd.touched.len() {
            return Err("another number of weights".into());
        }
        learner.sgd.touched.clone_from(&header.touched);
        learner.adam.steps = header.adam_steps;
        learner.nonfinite_steps = header.nonfinite_steps;
        (self.learner, self.header) = (learner, header);
        self.orders = [None, None];
        Ok(())
    }
}
