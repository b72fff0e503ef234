//! REINFORCE (Williams 1992) with a baseline and an entropy bonus, by Adam.

use super::agent::{Agent, View};
use super::config::{Baseline, ReinforceConfig};
use super::space::Genes;
use std::collections::BTreeMap;
use tox_nn::optim::{Adam, clip_scale, global_norm};
use tox_nn::params::ParamId;

/// What was drawn on a task for one update.
#[derive(Clone, Debug)]
pub struct Batch {
    /// What names the task among baselines.
    pub task: String,
    pub view: View,
    /// Sub-networks drawn from its policy, with their rewards; at least one.
    pub drawn: Vec<(Genes, f64)>,
}

/// An agent that learns.
#[derive(Clone, Debug)]
pub struct Learner {
    pub agent: Agent,
    config: ReinforceConfig,
    adam: Adam,
    /// Moving averages of rewards; the common one is without a name.
    baselines: BTreeMap<String, f64>,
}

impl Learner {
    /// At rest.
    pub fn new(agent: Agent, config: &ReinforceConfig) -> Self {
        let [beta1, beta2] = config.betas.map(|b| b as f32);
        let adam = Adam::new(&agent.params, beta1, beta2, 1e-8);
        Self {
            agent,
            config: *config,
            adam,
            baselines: BTreeMap::new(),
        }
    }

    /// The same agent and baselines with a new optimiser: moments of one task say nothing about another.
    #[must_use]
    pub fn rested(mut self) -> Self {
        let [beta1, beta2] = self.config.betas.map(|b| b as f32);
        self.adam = Adam::new(&self.agent.params, beta1, beta2, 1e-8);
        self
    }

    /// Takes over what a copy learnt about rewards.
    pub fn adopt_baselines(&mut self, copy: &Self) {
        self.baselines.clone_from(&copy.baselines);
    }

    /// Rewards less the baseline, which then moves. A sample's own reward is in no baseline of its own:
    /// the gradient stays unbiased.
    pub fn advantages(&mut self, task: &str, rewards: &[f64]) -> Vec<f64> {
        let name = match self.config.baseline {
            Baseline::None => return rewards.to_vec(),
            Baseline::MovingAverage => "",
            Baseline::PerTask => task,
        };
        let count = rewards.len() as f64;
        let sum: f64 = rewards.iter().sum();
        let mean = sum / count;
        match self.baselines.get_mut(name) {
            Some(baseline) => {
                let advantages = rewards.iter().map(|r| r - *baseline).collect();
                *baseline += (1.0 - self.config.baseline_decay) * (mean - *baseline);
                advantages
            }
            None => {
                self.baselines.insert(name.to_owned(), mean);
                // A single sample has no others to compare with.
                let others = |r: &f64| match rewards.len() {
                    1 => 0.0,
                    _ => r - (sum - r) / (count - 1.0),
                };
                rewards.iter().map(others).collect()
            }
        }
    }

    /// One step along the mean over batches of the policy gradient, `mean(advantage * log_prob) +
    /// entropy weight * entropy`. Gives the mean entropy before it, nats.
    pub fn update(&mut self, batches: &[Batch], lr: f64) -> f64 {
        let weights = self.agent.weights();
        let mut grad = vec![0.0; weights.len()];
        let mut entropy = 0.0;
        let share = 1.0 / batches.len() as f64;
        for batch in batches {
            let rewards: Vec<f64> = batch.drawn.iter().map(|(_, r)| *r).collect();
            let advantages = self.advantages(&batch.task, &rewards);
            let each = share / rewards.len() as f64;
            let genes = batch.drawn.iter().map(|(genes, _)| *genes);
            let drawn: Vec<_> = genes.zip(advantages.iter().map(|a| a * each)).collect();
            let beta = self.config.entropy * share;
            let agent = &self.agent;
            entropy += share * agent.accumulate(&weights, &batch.view, &drawn, beta, &mut grad);
        }
        self.ascend(&grad, lr);
        entropy
    }

    fn ascend(&mut self, grad: &[f64], lr: f64) {
        let params = &mut self.agent.params;
        let of = |id: ParamId| {
            let gradient = &grad[params.entry(id).range()];
            (id, gradient.iter().map(|g| -*g as f32).collect())
        };
        let gradients: Vec<(ParamId, Vec<f32>)> = params.ids().map(of).collect();
        let scale = clip_scale(global_norm(&gradients), self.config.grad_clip as f32);
        self.adam.step(params, &gradients, lr as f32, scale);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AgentConfig, SpaceConfig};
    use crate::encoder::{Observation, Vocabulary};
    use crate::space::Space;
    use tox_data::rng::stream;
    use tox_nn::nets::wrn::Shape;

    fn small(config: AgentConfig) -> (Agent, View, Space) {
        let teacher = Shape::new([3, 2, 3], [3, 3, 2], [false; 3]);
        let space = Space::new(&teacher, &SpaceConfig::default());
        let agent = Agent::new(&config, Vocabulary::default(), [teacher].iter(), 7);
        let view = View {
            observation: Observation {
                stages: [
                    [0.5, 0.2, 0.7, 0.0],
                    [1.0, 0.9, 0.3, 1.0],
                    [1.0, 0.4, 0.6, 0.0],
                ],
                lipschitz: 0.3,
                cost: [0.8, 0.4],
                data: vec![0.5, 0.3, 0.8, 0.9, 0.7],
                attack: vec![0.0, 0.1, 0.3, 0.0, 1.0, 0.4],
            },
            menu: agent.menu(&space),
        };
        (agent, view, space)
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        let (agent, view, _) = small(AgentConfig {
            encoding: 3,
            hidden: 4,
            mlp: 5,
            knots: 4,
            ..AgentConfig::default()
        });
        let mut rng = stream(1, "test", &[]);
        // The heads begin small: larger weights show more.
        let w: Vec<f64> = agent.weights().iter().map(|v| 2.0 * v).collect();
        let choices = agent.choices(&w, &view);
        let drawn: Vec<(Genes, f64)> = [0.7, -0.4, 0.2]
            .map(|weight| (choices.sample(&mut rng), weight))
            .to_vec();
        let beta = 0.3;
        let value = |w: &[f64]| {
            let choices = agent.choices(w, &view);
            let sum: f64 = drawn.iter().map(|(g, a)| a * choices.log_prob(g)).sum();
            sum + beta * choices.entropy()
        };
        let mut grad = vec![0.0; w.len()];
        agent.accumulate(&w, &view, &drawn, beta, &mut grad);
        let step = 1e-5;
        let mut worst = 0.0f64;
        for (i, found) in grad.iter().enumerate() {
            let at = |shift: f64| {
                let mut w = w.clone();
                w[i] += shift;
                value(&w)
            };
            let expected = (at(step) - at(-step)) / (2.0 * step);
            worst = worst.max((found - expected).abs());
        }
        assert!(worst < 1e-9, "{worst}");
        assert!(grad.iter().filter(|g| g.abs() > 1e-6).count() > w.len() * 9 / 10);
    }

    #[test]
    fn baselines_by_hand() {
        let (agent, ..) = small(AgentConfig::default());
        let config = ReinforceConfig {
            baseline_decay: 0.75,
            ..ReinforceConfig::default()
        };
        let mut learner = Learner::new(agent.clone(), &config);
        // Without a past: the mean of the others.
        assert_eq!(learner.advantages("a", &[1.0, 2.0, 6.0]), [-3.0, -1.5, 4.5]);
        // Then the average so far, 3, which moves by a quarter of the way to 5.
        assert_eq!(learner.advantages("a", &[4.0, 6.0]), [1.0, 3.0]);
        assert_eq!(learner.advantages("a", &[3.5]), [0.0]);
        // Another task has none yet.
        assert_eq!(learner.advantages("b", &[9.0]), [0.0]);
        let common = ReinforceConfig {
            baseline: Baseline::MovingAverage,
            ..config
        };
        let mut learner = Learner::new(agent.clone(), &common);
        learner.advantages("a", &[3.0]);
        assert_eq!(learner.advantages("b", &[5.0]), [2.0]);
        let none = ReinforceConfig {
            baseline: Baseline::None,
            ..config
        };
        assert_eq!(Learner::new(agent, &none).advantages("a", &[5.0]), [5.0]);
    }

    #[test]
    fn a_bandits_best_arm_is_found() {
        for (seed, baseline) in [
            (0, Baseline::PerTask),
            (1, Baseline::MovingAverage),
            (2, Baseline::None),
        ] {
            let (agent, view, space) = small(AgentConfig::default());
            let best = Shape::new([3, 1, 2], [1, 3, 2], [false, false, true]);
            let best = space.encode(&best).unwrap();
            // Reward: the share of decisions that are the best arm's.
            let reward = |genes: &Genes| {
                let right = genes.iter().zip(&best).filter(|(a, b)| a == b).count();
                right as f64 / genes.len() as f64
            };
            let config = ReinforceConfig {
                baseline,
                ..ReinforceConfig::default()
            };
            let mut learner = Learner::new(agent, &config);
            let log_prob = |learner: &Learner| {
                let choices = learner.agent.choices(&learner.agent.weights(), &view);
                choices.log_prob(&best)
            };
            let before = log_prob(&learner).exp();
            assert!(before < 0.01, "{before}");
            for step in 0..400 {
                let mut rng = stream(seed, "test", &[step]);
                let choices = learner.agent.choices(&learner.agent.weights(), &view);
                let draw = |_| {
                    let genes = choices.sample(&mut rng);
                    (genes, reward(&genes))
                };
                let batch = Batch {
                    task: "a".to_owned(),
                    view: view.clone(),
                    drawn: (0..10).map(draw).collect(),
                };
                learner.update(&[batch], 3e-3);
            }
            let after = log_prob(&learner).exp();
            assert!(after > 0.9, "{baseline:?}: {after}");
        }
    }
}
