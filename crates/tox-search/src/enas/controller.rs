//! The controller: an LSTM that draws, layer by layer, a branch and the skip bits, and learns by
//! REINFORCE (Pham et al. 2018; numbers as in the poisoning paper's code).
//!
//! The samples of one update share the controller's weights, so they go through the LSTM as one
//! batch, each with a random stream of its own.

use super::child::{Architecture, Choice};
use super::config::{ControllerConfig, RewardGradient, SecondStep};
use crate::space::Space;
use burn::tensor::activation::{log_sigmoid, log_softmax, sigmoid};
use burn::tensor::{Int, Tensor, TensorData};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use tox_data::rng::stream;
use tox_nn::Device;
use tox_nn::init::uniform;
use tox_nn::ops::{self, Engine, read};
use tox_nn::optim::{Adam, clip_scale, global_norm};
use tox_nn::params::{Leaves, OfWeights, ParamId, Params};

/// What a sample decided in every layer: the branch and the skip bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decisions {
    /// From input to output; layer `i` has `i` skip bits.
    pub layers: Vec<(usize, Vec<bool>)>,
}

impl Decisions {
    /// The architecture: branches that are copies of one op become that op.
    pub fn architecture(&self, branch_ops: &[usize]) -> Architecture {
        let layer = |(branch, skips): &(usize, Vec<bool>)| Choice {
            op: branch_ops[*branch],
            skips: skips.clone(),
        };
        Architecture {
            layers: self.layers.iter().map(layer).collect(),
        }
    }

    /// Uniform branches and fair coins for skips: random search.
    pub fn random(layers: usize, branches: usize, rng: &mut ChaCha8Rng) -> Self {
        let layers = (0..layers)
            .map(|i| {
                let branch = rng.random_range(0..branches);
                (branch, (0..i).map(|_| rng.random::<bool>()).collect())
            })
            .collect();
        Self { layers }
    }
}

/// A batch of samples: what was decided, and what the loss needs, one value a sample.
pub struct Sampled {
    pub decisions: Vec<Decisions>,
    /// Sum of the log-probabilities of all decisions `[n]`.
    pub log_prob: Tensor<1>,
    /// Sum over decisions of the entropy of their whole distributions, nats `[n]`.
    pub entropy: Tensor<1>,
    /// Divergence of the skip probabilities from the target, mean over the layers that have
    /// skips `[n]`.
    pub skip_penalty: Tensor<1>,
    /// Mean over layers of the probability of a poison branch `[n]`.
    pub poison_share: Vec<f64>,
}

/// One sample's reward and what the loss makes of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reinforce {
    /// Accuracy plus the weighted entropy.
    pub reward: f64,
    /// The baseline in this sample's loss, after it was moved.
    pub baseline: f64,
}

/// What an update of the controller measured, means over its samples.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Update {
    /// Accuracy of the sampled children, [0, 1].
    pub accuracy: f64,
    /// Entropy, nats.
    pub entropy: f64,
    /// Gradient norm before clipping.
    pub grad_norm: f64,
}

/// The controller with its optimiser and baseline.
#[derive(Clone, Debug)]
pub struct Controller {
    /// Weights, named as in [`Controller::new`].
    pub params: Params,
    pub adam: Adam,
    /// Moving average of rewards; `None` before the first sample.
    pub baseline: Option<f64>,
    config: ControllerConfig,
    layers: usize,
    poison_branches: Vec<bool>,
    ids: Ids,
}

#[derive(Clone, Debug)]
struct Ids {
    start: ParamId,
    embedding: ParamId,
    soft: ParamId,
    attend_keys: ParamId,
    attend_query: ParamId,
    attend: ParamId,
    weight_ih: ParamId,
    weight_hh: ParamId,
    bias_ih: ParamId,
    bias_hh: ParamId,
}

impl Controller {
    /// Fresh weights: uniform in ±0.1, LSTM biases in ±1/sqrt(hidden).
    pub fn new(space: &Space, layers: usize, config: &ControllerConfig, seed: u64) -> Self {
        let (h, branches) = (config.hidden, space.branches());
        let mut params = Params::default();
        let mut add = |name: &str, rows: usize, columns: usize, bound: f32| {
            let mut rng = stream(seed, &format!("init/controller/{name}"), &[]);
            params.add(
                name.into(),
                [rows, columns, 1, 1],
                uniform(rows * columns, bound, &mut rng),
            )
        };
        let bias = 1.0 / (h as f32).sqrt();
        let ids = Ids {
            start: add("g_emb", 1, h, 0.1),
            embedding: add("w_emb", branches, h, 0.1),
            soft: add("w_soft", branches, h, 0.1),
            attend_keys: add("w_attn_1", h, h, 0.1),
            attend_query: add("w_attn_2", h, h, 0.1),
            attend: add("v_attn", 1, h, 0.1),
            weight_ih: add("lstm.weight_ih", 4 * h, h, 0.1),
            weight_hh: add("lstm.weight_hh", 4 * h, h, 0.1),
            bias_ih: add("lstm.bias_ih", 4 * h, 1, bias),
            bias_hh: add("lstm.bias_hh", 4 * h, 1, bias),
        };
        let adam = Adam::new(&params, 0.0, 0.999, 1e-3);
        let poison = |o: &crate::space::SpaceOp| std::iter::repeat_n(o.poison, o.count);
        let poison_branches = space.ops.iter().flat_map(poison).collect();
        let config = config.clone();
        Self {
            params,
            adam,
            baseline: None,
            config,
            layers,
            poison_branches,
            ids,
        }
    }

    /// Draws one architecture for each stream, without gradients.
    pub fn sample(&self, streams: &mut [ChaCha8Rng]) -> Sampled {
        let device = Device::flex();
        self.walk(&Leaves::new(&self.params, &device), Source::Draw(streams))
    }

    /// The numbers of given decisions.
    pub fn score(&self, leaves: &Leaves<'_>, decisions: &[Decisions]) -> Sampled {
        self.walk(leaves, Source::Given(decisions))
    }

    /// Moves the baseline by every reward in turn: the first accuracy starts it, later ones move
    /// it before their loss is formed.
    pub fn reinforce(&mut self, accuracies: &[f64], entropies: &[f64]) -> Vec<Reinforce> {
        let one = |(&accuracy, &entropy): (&f64, &f64)| {
            let reward = accuracy + self.config.entropy_weight * entropy;
            let baseline = match self.baseline {
                None => accuracy,
                Some(b) => b - (1.0 - self.config.baseline_decay) * (b - reward),
            };
            self.baseline = Some(baseline);
            Reinforce { reward, baseline }
        };
        accuracies.iter().zip(entropies).map(one).collect()
    }

    /// The gradients of one update's loss: the mean over samples of
    /// `-log_prob (reward - baseline) + skip_weight * skip_penalty`.
    pub fn gradients(&mut self, decisions: &[Decisions], accuracies: &[f64]) -> (OfWeights, f64) {
        let device = Device::flex().autodiff();
        let params = self.params.clone();
        let leaves = Leaves::new(&params, &device);
        let sampled = self.score(&leaves, decisions);
        let entropies: Vec<f64> = values(sampled.entropy.clone());
        let reinforced = self.reinforce(accuracies, &entropies);
        let advantage = reinforced
            .iter()
            .map(|r| (r.reward - r.baseline) as f32)
            .collect::<Vec<_>>();
        let mut advantage =
            Tensor::<1>::from_data(TensorData::new(advantage, [decisions.len()]), &device);
        if self.config.reward_gradient == RewardGradient::Entropy {
            let entropy = sampled.entropy.clone();
            advantage =
                advantage + (entropy.clone() - entropy.detach()) * self.config.entropy_weight;
        }
        let loss = sampled.skip_penalty * self.config.skip_weight - sampled.log_prob * advantage;
        let gradients = leaves.gradients(loss.mean().backward());
        (
            gradients,
            entropies.iter().sum::<f64>() / decisions.len().max(1) as f64,
        )
    }

    /// One update from rewarded samples.
    pub fn update(&mut self, decisions: &[Decisions], accuracies: &[f64]) -> Update {
        let (gradients, entropy) = self.gradients(decisions, accuracies);
        let norm = global_norm(&gradients);
        let scale = clip_scale(norm, self.config.grad_clip as f32);
        self.adam
            .step(&mut self.params, &gradients, self.config.lr as f32, scale);
        let accuracy = accuracies.iter().sum::<f64>() / accuracies.len().max(1) as f64;
        Update {
            accuracy,
            entropy,
            grad_norm: f64::from(norm),
        }
    }

    fn walk(&self, leaves: &Leaves<'_>, mut source: Source<'_>) -> Sampled {
        let n = source.len();
        let h = self.config.hidden;
        let device = leaves.device();
        let ids = &self.ids;
        let start = leaves.matrix(ids.start).repeat_dim(0, n);
        let embedding = leaves.matrix(ids.embedding);
        let soft = leaves.matrix(ids.soft).transpose();
        let attend_keys = leaves.matrix(ids.attend_keys).transpose();
        let attend_query = leaves.matrix(ids.attend_query).transpose();
        let attend = leaves.matrix(ids.attend).transpose();
        let lstm = Lstm::new(leaves, ids, h);

        let mut decisions = vec![Decisions { layers: Vec::new() }; n];
        let mut poison_share = vec![0.0; n];
        let zero = || Tensor::<1>::zeros([n], device);
        let (mut log_prob, mut entropy, mut penalty) = (zero(), zero(), zero());
        let mut state = (Tensor::zeros([n, h], device), Tensor::zeros([n, h], device));
        let mut x = start.clone();
        // Of every earlier layer: its h2 and w_attn_1 h2.
        let (mut anchors, mut keys): (Vec<Tensor<2>>, Vec<Tensor<2>>) = (Vec::new(), Vec::new());
        for layer in 0..self.layers {
            state = lstm.step(x, state);
            let logits = self.squash(matmul(state.0.clone(), soft.clone()));
            let log_p = log_softmax(logits, 1);
            let p: Vec<f32> = read(log_p.clone().exp());
            let branches: Vec<usize> = (0..n)
                .map(|i| source.branch(i, layer, row(&p, i, n)))
                .collect();
            for (i, share) in poison_share.iter_mut().enumerate() {
                let bad = row(&p, i, n).iter().zip(&self.poison_branches);
                *share += bad
                    .map(|(p, bad)| if *bad { f64::from(*p) } else { 0.0 })
                    .sum::<f64>();
            }
            let chosen = Tensor::<1, Int>::from_data(
                TensorData::new(branches.iter().map(|b| *b as i64).collect(), [n]),
                device,
            );
            log_prob = log_prob
                + log_p
                    .clone()
                    .gather(1, chosen.clone().reshape([n, 1]))
                    .reshape([n]);
            entropy = entropy + sum_rows((log_p.clone().exp() * log_p).neg());

            let second = lstm.step(embedding.clone().select(0, chosen), state.clone());
            let h2 = second.0.clone();
            if self.config.second_step == SecondStep::Carried {
                state = second;
            }
            let mut skips = vec![Vec::new(); n];
            if layer == 0 {
                x = start.clone();
            } else {
                let query = matmul(h2.clone(), attend_query.clone());
                let scores = keys
                    .iter()
                    .map(|key| matmul((key.clone() + query.clone()).tanh(), attend.clone()))
                    .collect();
                // [n, layer]; the logits of (no skip, skip) are (-logit, logit).
                let logit = self.squash(Tensor::cat(scores, 1));
                let log_on = log_sigmoid(logit.clone() * 2.0);
                let log_off = log_sigmoid(logit.clone() * -2.0);
                let (on, off) = (log_on.clone().exp(), log_off.clone().exp());
                let p: Vec<f32> = read(on.clone());
                for (i, skips) in skips.iter_mut().enumerate() {
                    *skips = source.skips(i, layer, row(&p, i, n));
                }
                let mask: Vec<f32> = skips
                    .iter()
                    .flatten()
                    .map(|s| f32::from(u8::from(*s)))
                    .collect();
                let mask = Tensor::<2>::from_data(TensorData::new(mask, [n, layer]), device);
                let unset = mask.clone().neg() + 1.0;
                let drawn = mask.clone() * log_on.clone() + unset * log_off.clone();
                log_prob = log_prob + sum_rows(drawn);
                entropy = entropy + sum_rows((on * log_on + off * log_off).neg());
                let divergence = |logit: Tensor<2>, target: f64| {
                    let p = sigmoid(logit);
                    sum_rows(p.clone() * (p / target).log())
                };
                let target = self.config.skip_target;
                penalty = penalty
                    + divergence(logit.clone().neg(), 1.0 - target)
                    + divergence(logit, target);
                // sum_j skip_j anchor_j / (1 + sum_j skip_j)
                let sum = anchors
                    .iter()
                    .enumerate()
                    .map(|(j, anchor)| anchor.clone() * mask.clone().narrow(1, j, 1))
                    .reduce(|a, b| a + b);
                let count = mask.sum_dim(1) + 1.0;
                x = sum.unwrap_or_else(|| start.clone()) / count;
            }
            keys.push(matmul(h2.clone(), attend_keys.clone()));
            anchors.push(h2);
            for ((decisions, branch), skips) in decisions.iter_mut().zip(branches).zip(skips) {
                decisions.layers.push((branch, skips));
            }
        }
        let with_skips = (self.layers - 1).max(1) as f64;
        poison_share
            .iter_mut()
            .for_each(|s| *s /= self.layers as f64);
        Sampled {
            decisions,
            log_prob,
            entropy,
            skip_penalty: penalty / with_skips,
            poison_share,
        }
    }

    fn squash(&self, x: Tensor<2>) -> Tensor<2> {
        x.tanh() * self.config.tanh_constant
    }
}

/// Where decisions come from.
enum Source<'a> {
    Draw(&'a mut [ChaCha8Rng]),
    Given(&'a [Decisions]),
}

impl Source<'_> {
    fn len(&self) -> usize {
        match self {
            Source::Draw(streams) => streams.len(),
            Source::Given(decisions) => decisions.len(),
        }
    }

    fn branch(&mut self, sample: usize, layer: usize, p: &[f32]) -> usize {
        match self {
            Source::Given(decisions) => decisions[sample].layers[layer].0,
            Source::Draw(streams) => {
                let mut left = streams[sample].random::<f32>() * p.iter().sum::<f32>();
                // Rounding may leave a rest behind the last branch: it is the last then.
                let draw = |p: &f32| {
                    left -= p;
                    left < 0.0
                };
                p.iter().position(draw).unwrap_or(p.len() - 1)
            }
        }
    }

    fn skips(&mut self, sample: usize, layer: usize, p: &[f32]) -> Vec<bool> {
        match self {
            Source::Given(decisions) => decisions[sample].layers[layer].1.clone(),
            Source::Draw(streams) => p
                .iter()
                .map(|p| streams[sample].random::<f32>() < *p)
                .collect(),
        }
    }
}

/// LSTM cell, gates in the order i, f, g, o.
struct Lstm {
    weight_ih: Tensor<2>,
    weight_hh: Tensor<2>,
    bias: Tensor<2>,
    hidden: usize,
}

impl Lstm {
    fn new(leaves: &Leaves<'_>, ids: &Ids, hidden: usize) -> Self {
        let bias = leaves.matrix(ids.bias_ih) + leaves.matrix(ids.bias_hh);
        Self {
            weight_ih: leaves.matrix(ids.weight_ih).transpose(),
            weight_hh: leaves.matrix(ids.weight_hh).transpose(),
            bias: bias.transpose(),
            hidden,
        }
    }

    fn step(&self, x: Tensor<2>, (h, c): (Tensor<2>, Tensor<2>)) -> (Tensor<2>, Tensor<2>) {
        let (x, h) = (
            matmul(x, self.weight_ih.clone()),
            matmul(h, self.weight_hh.clone()),
        );
        let gates = x + h + self.bias.clone();
        let gate = |i: usize| gates.clone().narrow(1, i * self.hidden, self.hidden);
        let c = sigmoid(gate(1)) * c + sigmoid(gate(0)) * gate(2).tanh();
        (sigmoid(gate(3)) * c.clone().tanh(), c)
    }
}

fn matmul(x: Tensor<2>, y: Tensor<2>) -> Tensor<2> {
    ops::matmul(Engine::of(&x), x, y)
}

fn sum_rows(x: Tensor<2>) -> Tensor<1> {
    let n = x.dims()[0];
    x.sum_dim(1).reshape([n])
}

/// The values of a vector, in f64.
pub fn values(x: Tensor<1>) -> Vec<f64> {
    read(x).into_iter().map(f64::from).collect()
}

fn row(values: &[f32], i: usize, n: usize) -> &[f32] {
    let width = values.len() / n;
    &values[i * width..(i + 1) * width]
}
