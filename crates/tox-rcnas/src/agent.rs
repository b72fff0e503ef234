//! The agent: encoder and policy with their weights.

use super::config::AgentConfig;
use super::encoder::{Encoder, Observation, Vocabulary};
use super::policy::{Choices, Menu, Policy, outputs};
use super::space::{Genes, Space};
use tox_nn::nets::wrn::Shape;
use tox_nn::params::Params;

/// What the agent is shown of a task, and what it may choose.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    pub observation: Observation,
    pub menu: Menu,
}

/// Encoder and policy.
#[derive(Clone, Debug)]
pub struct Agent {
    /// The weights. All arithmetic is in f64; they are kept in f32 as those of all networks.
    pub params: Params,
    encoder: Encoder,
    policy: Policy,
    config: AgentConfig,
    names: Vocabulary,
    outputs: [usize; 2],
}

impl Agent {
    /// With fresh weights, for tasks with these names and teachers.
    pub fn new<'a>(
        config: &AgentConfig,
        names: Vocabulary,
        teachers: impl Iterator<Item = &'a Shape>,
        seed: u64,
    ) -> Self {
        let mut params = Params::default();
        let outputs = outputs(config, teachers);
        let encoder = Encoder::new(&mut params, config, &names, seed);
        let policy = Policy::new(&mut params, config, outputs, seed);
        Self {
            params,
            encoder,
            policy,
            config: *config,
            names,
            outputs,
        }
    }

    /// The names that it knows.
    pub fn names(&self) -> &Vocabulary {
        &self.names
    }

    /// How it looks at tasks.
    pub fn config(&self) -> &AgentConfig {
        &self.config
    }

    /// What a space lets it choose. Its teacher is one of those that the agent was made for.
    pub fn menu(&self, space: &Space) -> Menu {
        Menu::new(space, self.config.sizes, self.outputs)
    }

    /// The weights in f64.
    pub fn weights(&self) -> Vec<f64> {
        self.params.values.iter().map(|v| f64::from(*v)).collect()
    }

    /// The policy on a task, with given weights.
    pub fn choices(&self, weights: &[f64], view: &View) -> Choices {
        let states = self.encoder.forward(weights, &view.observation).states;
        self.policy.forward(weights, &states, &view.menu)
    }

    /// Adds to `grad` the gradient by the weights of `sum(weight * log_prob(genes)) + beta * entropy`
    /// on a task; gives the entropy.
    pub fn accumulate(
        &self,
        weights: &[f64],
        view: &View,
        drawn: &[(Genes, f64)],
        beta: f64,
        grad: &mut [f64],
    ) -> f64 {
        let seen = &view.observation;
        let encoded = self.encoder.forward(weights, seen);
        let choices = self.policy.forward(weights, &encoded.states, &view.menu);
        let d_logits = choices.logit_gradient(drawn, beta);
        let (states, menu) = (&encoded.states, &view.menu);
        let d_states = self.policy.backward(weights, states, menu, &d_logits, grad);
        self.encoder
            .backward(weights, seen, &encoded, &d_states, grad);
        choices.entropy()
    }
}
