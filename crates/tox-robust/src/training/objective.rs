//! One step of a training: the adversary's turn, then the network's.

use super::adversary::Ascent;
use super::config::{Method, TrainingConfig};
use super::losses;
use crate::model::{Model, normalised};
use crate::oracle::Oracle;
use burn::tensor::Tensor;
use tox_data::{Batch, Normalise};
use tox_nn::Device;
use tox_nn::ascent::Raised;
use tox_nn::fit::{Step, Trainer, labels};
use tox_nn::layers::{Draws, Mode, Network, Pass, State};

/// What the steps of a training have in common. Batches hold pixels in 0..=1.
#[derive(Clone, Debug)]
pub struct Objective<'a> {
    pub config: &'a TrainingConfig,
    /// How the network's images are normalised.
    pub normalise: &'a Normalise,
    pub classes: usize,
    /// Where the network runs.
    pub device: Device,
}

impl Objective<'_> {
    /// The batch's images after the adversary's turn, which begins at `start`, against the network in
    /// evaluation mode (or as [`InnerAttack::batch_statistics`](super::InnerAttack::batch_statistics)
    /// says). `None` if the method knows no adversary.
    pub fn adversarial<N: Network>(
        &self,
        (network, state): (&N, &State),
        batch: &Batch,
        start: impl FnOnce() -> Vec<f32>,
    ) -> Option<Vec<f32>> {
        let mode = match self.config.attack.batch_statistics {
            true => Mode::Probe,
            false => Mode::Evaluate,
        };
        let [_, shape @ ..] = batch.shape;
        let (on, device) = ((shape, self.classes), self.device.clone());
        let model = Model::new(network, state, self.normalise, on, device).in_mode(mode);
        let (ascent, pixels) = (Ascent::from(self.config.attack), &batch.pixels);
        match self.config.method {
            Method::Standard => None,
            Method::Sat | Method::Mart { .. } => {
                let raised = Raised::CrossEntropy(&batch.labels);
                Some(ascent.run(&model, pixels, start(), raised))
            }
            Method::Trades { .. } => {
                let clean = model.logits(pixels);
                let raised = Raised::Divergence(&clean);
                Some(ascent.run(&model, pixels, start(), raised))
            }
        }
    }

    /// The network's turn, in training mode. TRADES and MART send the clean batch first, then the
    /// adversarial one, as the published code does, through batch norm one after the other: each by
    /// its own statistics, each moving the running ones. Wrong answers are counted on what the
    /// adversary made of the batch.
    ///
    /// `yaodongyu/TRADES` sends the clean batch once more, which moves the running statistics a third
    /// time and, without dropout, changes nothing else; the code of the paper's base networks does
    /// not.
    pub fn step<N: Network>(
        &self,
        trainer: &mut Trainer<N>,
        (batch, adversarial): (&Batch, Option<&[f32]>),
        draws: Draws<'_>,
        lr: f64,
    ) -> Step {
        let [_, shape @ ..] = batch.shape;
        let smoothing = self.config.label_smoothing;
        trainer.descend(&batch.labels, draws, lr, |network, pass| {
            let answers = |pixels: &[f32]| self.answers(network, pass, pixels, shape);
            let y = labels(&batch.labels, pass.device());
            let attacked = adversarial.unwrap_or(&batch.pixels);
            match self.config.method {
                Method::Standard | Method::Sat => {
                    let logits = answers(attacked);
                    (losses::cross_entropy(logits.clone(), y, smoothing), logits)
                }
                Method::Trades { beta } => {
                    let (clean, logits) = (answers(&batch.pixels), answers(attacked));
                    let weights = (beta, smoothing);
                    (losses::trades(clean, logits.clone(), y, weights), logits)
                }
                Method::Mart { beta } => {
                    let (clean, logits) = (answers(&batch.pixels), answers(attacked));
                    let (known, weights) = (&batch.labels, (beta, smoothing));
                    (losses::mart(clean, logits.clone(), known, weights), logits)
                }
            }
        })
    }

    fn answers<N: Network>(
        &self,
        network: &N,
        pass: &Pass<'_>,
        pixels: &[f32],
        shape: [usize; 3],
    ) -> Tensor<2> {
        let x = normalised(pixels, shape, self.normalise, pass.device());
        network.logits(pass, x)
    }
}
