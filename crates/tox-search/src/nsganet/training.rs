//! Training of the supernet, a step at a time.

use super::inputs::Inputs;
use super::supernet::Supernet;
use crate::genes::{Architecture, GeneSpace};
use crate::space::SpaceError;
use serde::{Deserialize, Serialize};
use tox_data::checkpoint::{Buffers, restore};
use tox_data::rng::stream;
use tox_data::shuffled;
use tox_nn::fit::Epoch;
use tox_nn::layers::Draws;
use tox_nn::optim::{Sgd, clip_scale, cosine};

/// Streams' keys.
const NAME: &str = "nsganet/supernet";

/// Steps of an epoch; a single image left over is left out.
fn steps(images: usize, batch: usize) -> usize {
    (images / batch + usize::from(images % batch > 1)).max(1)
}

/// What a checkpoint keeps of the training beside its buffers. The sum of losses as bits, because JSON
/// knows no NaN.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    step: usize,
    loss: u64,
    wrong: usize,
    images: usize,
    pub epochs: Vec<Epoch>,
    touched: Vec<bool>,
    pub nonfinite_steps: u64,
}

/// A supernet that is being trained, or was trained elsewhere.
pub(super) struct Training {
    pub supernet: Supernet,
    /// None if it was trained elsewhere.
    sgd: Option<Sgd>,
    /// The epoch's shuffled images; made when needed.
    order: Option<Vec<u32>>,
    at: Kept,
    epochs: usize,
    /// Of an epoch.
    steps: usize,
}

impl Training {
    /// Of a supernet that is to be trained.
    pub fn new(supernet: Supernet, inputs: &Inputs<'_>) -> Self {
        let config = &inputs.config.supernet;
        let (momentum, decay) = (config.momentum as f32, config.weight_decay as f32);
        let mut sgd = Sgd::new(&supernet.state().params, momentum, decay, false);
        sgd.nesterov = false;
        Self {
            sgd: Some(sgd),
            epochs: config.epochs,
            steps: steps(inputs.data.train.len(), config.batch),
            ..Self::elsewhere(supernet)
        }
    }

    /// Nothing to do.
    pub fn elsewhere(supernet: Supernet) -> Self {
        Self {
            supernet,
            sgd: None,
            order: None,
            at: Kept::default(),
            epochs: 0,
            steps: 1,
        }
    }

    pub fn done(&self) -> bool {
        self.at.epochs.len() >= self.epochs
    }

    /// Share of the steps done.
    pub fn share(&self) -> f64 {
        let epochs = self.at.epochs.len() as f64 + self.at.step as f64 / self.steps as f64;
        epochs / self.epochs.max(1) as f64
    }

    /// What is going on.
    pub fn message(&self) -> String {
        let (epoch, all) = (self.at.epochs.len(), self.epochs);
        let mut message = format!("nsganetv2, supernet, {epoch}/{all} epochs done");
        if let Some(last) = self.at.epochs.last() {
            message += &format!(", training error {:.1} %", last.error);
        }
        message
    }

    /// The next step; see [`SupernetConfig`](super::config::SupernetConfig).
    pub fn advance(&mut self, inputs: &Inputs<'_>) -> Result<(), SpaceError> {
        let (data, seed, config) = (inputs.data, inputs.seed, &inputs.config.supernet);
        let (n, size, at) = (data.train.len(), config.batch, &mut self.at);
        let (steps, epoch, i) = (self.steps, at.epochs.len(), at.step);
        let key = [epoch as u64, i as u64];
        let order = self.order.get_or_insert_with(|| {
            let mut rng = stream(seed, &format!("shuffle/{NAME}"), &key[..1]);
            shuffled(n, &mut rng)
        });
        let indices = &order[i * size..((i + 1) * size).min(order.len())];
        let mut rng = stream(seed, &format!("augment/{NAME}"), &key);
        let augment = Some((inputs.augment, &mut rng));
        let batch = data.train.batch(indices, &data.normalise, augment);
        let draws = Draws {
            seed,
            network: NAME,
            step: (epoch * steps + i) as u64,
        };
        // Without a largest subnet there is nobody to learn from.
        let distil = config.distil && matches!(inputs.space, GeneSpace::Elastic(_));
        let (supernet, subnets) = (&mut self.supernet, sandwich(inputs, &key));
        let (gradients, step) =
            supernet.gradients(&subnets, &batch, draws, distil, &inputs.device)?;
        let lr = cosine(epoch, config.lr_max, config.lr_min, config.epochs);
        let scale = clip_scale(step.grad_norm, config.grad_clip as f32);
        if let Some(sgd) = &mut self.sgd {
            let params = &mut supernet.state_mut().params;
            sgd.step(params, &gradients, lr as f32, scale);
        }
        let images = batch.labels.len();
        let loss = f64::from_bits(at.loss) + f64::from(step.loss) * images as f64;
        (at.loss, at.images) = (loss.to_bits(), at.images + images);
        at.wrong += step.wrong;
        at.nonfinite_steps += u64::from(!step.grad_norm.is_finite());
        at.step += 1;
        if at.step == steps {
            let images = at.images.max(1) as f64;
            at.epochs.push(Epoch {
                epoch,
                lr,
                loss: Some(loss / images).filter(|loss| loss.is_finite()),
                error: 100.0 * at.wrong as f64 / images,
                accuracy: None,
            });
            (at.step, at.loss, at.wrong, at.images) = (0, 0, 0, 0);
            self.order = None;
        }
        Ok(())
    }

    pub fn kept(&self) -> Kept {
        let touched = self.sgd.as_ref().map(|sgd| sgd.touched.clone());
        Kept {
            touched: touched.unwrap_or_default(),
            ..self.at.clone()
        }
    }

    pub fn buffers(&self) -> Vec<(&'static str, &[f32])> {
        let weights = &self.supernet.state().params.values;
        match &self.sgd {
            Some(sgd) => vec![("supernet", weights), ("supernet/velocity", &sgd.velocity)],
            None => Vec::new(),
        }
    }

    pub fn resume(&mut self, kept: Kept, buffers: &mut Buffers) -> Result<(), String> {
        let (step, epochs) = (kept.step, kept.epochs.len());
        if step >= self.steps || epochs > self.epochs {
            return Err(format!("step {step} after {epochs} epochs of a supernet"));
        }
        if let Some(sgd) = &mut self.sgd {
            let params = &mut self.supernet.state_mut().params;
            restore(buffers, "supernet", &mut params.values)?;
            restore(buffers, "supernet/velocity", &mut sgd.velocity)?;
            if kept.touched.len() != sgd.touched.len() {
                return Err("another number of weights".into());
            }
            sgd.touched.clone_from(&kept.touched);
        }
        self.at = kept;
        Ok(())
    }

    pub fn finish(self) -> (Supernet, Kept) {
        (self.supernet, self.at)
    }
}

/// The subnets of a training step: the largest, the smallest, and random ones.
fn sandwich(inputs: &Inputs<'_>, key: &[u64]) -> Vec<Architecture> {
    let (space, sampled) = (inputs.space, inputs.config.supernet.sampled);
    let mut rng = stream(inputs.seed, "nsganet/sandwich", key);
    let extremes = space.extremes().into_iter().flatten().rev();
    let random = (0..sampled).map(|_| space.random(&mut rng));
    extremes.chain(random).collect()
}
