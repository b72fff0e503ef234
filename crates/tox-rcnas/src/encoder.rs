//! What the agent sees of a task, and how: stage vectors through a bidirectional LSTM, joined with the
//! teacher's Lipschitz estimate, its cost and the embeddings of data set and attack, through an MLP of
//! each stage.

use super::config::{AgentConfig, Embedding};
use super::layers::{Dense, Lstm, Pass};
use super::outcome::Teacher;
use super::task::{Buffers, Task, TaskAttack, TaskData};
use tox_nn::params::Params;
use tox_robust::ball::Norm;

/// Stages of a network.
pub const STAGES: usize = 3;
/// Strides with which they begin.
const STRIDES: [f64; STAGES] = [1.0, 2.0, 2.0];

/// The names that have a row in the tables of [`Embedding::Ids`]: what meta-training may draw.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vocabulary {
    data: Vec<String>,
    attacks: Vec<String>,
}

impl Vocabulary {
    /// Of the tasks that meta-training may draw.
    pub fn new(tasks: &Buffers) -> Self {
        let listed = |names: Vec<String>, held: &[String]| {
            names.into_iter().filter(|n| !held.contains(n)).collect()
        };
        let (data, attacks) = (tasks.data.iter(), tasks.attacks.iter());
        Self {
            data: listed(data.map(|d| d.name.clone()).collect(), &tasks.held_out.data),
            attacks: listed(
                attacks.map(|a| a.name.clone()).collect(),
                &tasks.held_out.attacks,
            ),
        }
    }

    /// Numbers that describe a data set and an attack.
    fn widths(&self, embedding: Embedding) -> [usize; 2] {
        match embedding {
            Embedding::Features => [5, 6],
            // A row of zeros needs a place.
            Embedding::Ids => [self.data.len().max(1), self.attacks.len().max(1)],
        }
    }
}

/// What the agent sees of a task.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// Of each stage stride, depth, width, robust block 0 or 1.
    pub stages: [[f64; 4]; STAGES],
    /// Of the teacher: `ln(1 + L) / 5`.
    pub lipschitz: f64,
    /// Decimal logarithm of the teacher's multiply-accumulates over 10, and the budget's share of them.
    pub cost: [f64; 2],
    /// The data set, by features or one-hot.
    pub data: Vec<f64>,
    /// The attack, by features or one-hot.
    pub attack: Vec<f64>,
}

fn one_hot(names: &[String], name: &str, width: usize) -> Vec<f64> {
    let mut row: Vec<f64> = names.iter().map(|n| f64::from(n == name)).collect();
    row.resize(width, 0.0);
    row
}

fn data_features(data: &TaskData, clean: f64) -> Vec<f64> {
    vec![
        (data.classes as f64).log10() / 2.0,
        (data.channels as f64) / 3.0,
        (data.side as f64).log2() / 6.0,
        (data.images as f64).log10() / 5.0,
        clean / 100.0,
    ]
}

fn attack_features(attack: &TaskAttack, robust: f64) -> Vec<f64> {
    vec![
        f64::from(attack.norm == Norm::L2),
        // Around 8/255 in L-inf this is near 0; a radius of 0 is as one of 1e-4.
        (attack.epsilon.max(1e-4).log10() + 1.5) / 2.0,
        (attack.steps as f64).log10() / 4.0,
        (attack.members as f64).log2() / 2.0,
        f64::from(attack.black_box),
        robust / 100.0,
    ]
}

impl Observation {
    /// Of a task with its teacher and its budget in multiply-accumulates.
    pub fn new(
        task: &Task,
        teacher: &Teacher,
        budget: u64,
        config: &AgentConfig,
        names: &Vocabulary,
    ) -> Self {
        let scale = match config.normalise {
            true => [2.0, 16.0, 16.0, 1.0],
            false => [1.0; 4],
        };
        let stages = std::array::from_fn(|i| {
            let stage = task.teacher.stages[i];
            let (depth, width) = (stage.depth as f64, stage.width as f64);
            let raw = [STRIDES[i], depth, width, f64::from(stage.robust)];
            std::array::from_fn(|j| raw[j] / scale[j])
        });
        let macs = teacher.cost.macs.max(1) as f64;
        let measured = &teacher.measured;
        let [wide_data, wide_attack] = names.widths(config.embedding);
        let (data, attack) = match config.embedding {
            Embedding::Features => (
                data_features(&task.data, measured.clean),
                attack_features(&task.attack, measured.robust),
            ),
            Embedding::Ids => (
                one_hot(&names.data, &task.data.name, wide_data),
                one_hot(&names.attacks, &task.attack.name, wide_attack),
            ),
        };
        Self {
            stages,
            lipschitz: measured.lipschitz.ln_1p() / 5.0,
            cost: [macs.log10() / 10.0, budget as f64 / macs],
            data,
            attack,
        }
    }
}

/// The encoder's layers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Encoder {
    stage: Dense,
    forward: Lstm,
    backward: Lstm,
    data: Dense,
    attack: Dense,
    mlps: [[Dense; 2]; STAGES],
}

/// A pass of the encoder, for the way back.
pub(super) struct Encoded {
    encodings: Vec<Vec<f64>>,
    forward: Pass,
    /// Its states run from the last stage to the first.
    backward: Pass,
    data: Vec<f64>,
    attack: Vec<f64>,
    joined: [Vec<f64>; STAGES],
    middle: [Vec<f64>; STAGES],
    /// The states `s_i`.
    pub states: [Vec<f64>; STAGES],
}

impl Encoder {
    pub fn new(params: &mut Params, config: &AgentConfig, names: &Vocabulary, seed: u64) -> Self {
        let (e, h, m) = (config.encoding, config.hidden, config.mlp);
        let [data, attack] = names.widths(config.embedding);
        let mut dense =
            |name: &str, inputs, outputs| Dense::new(params, name, [inputs, outputs], 1.0, seed);
        let stage = dense("stage", 4, e);
        let data = dense("data", data, e);
        let attack = dense("attack", attack, e);
        let mlps = std::array::from_fn(|i| {
            [
                dense(&format!("mlp{i}.0"), 3 + 2 * h + 2 * e, m),
                dense(&format!("mlp{i}.1"), m, m),
            ]
        });
        Self {
            stage,
            forward: Lstm::new(params, "lstm.forward", [e, h], seed),
            backward: Lstm::new(params, "lstm.backward", [e, h], seed),
            data,
            attack,
            mlps,
        }
    }

    pub fn forward(&self, w: &[f64], seen: &Observation) -> Encoded {
        let stages = seen.stages.iter();
        let encodings: Vec<Vec<f64>> = stages.map(|x| self.stage.tanh(w, x)).collect();
        let forward = self.forward.forward(w, encodings.iter());
        let backward = self.backward.forward(w, encodings.iter().rev());
        let data = self.data.tanh(w, &seen.data);
        let attack = self.attack.tanh(w, &seen.attack);
        let joined: [Vec<f64>; STAGES] = std::array::from_fn(|i| {
            let parts: [&[f64]; 6] = [
                &[seen.lipschitz],
                &forward.h[i],
                &backward.h[STAGES - 1 - i],
                &seen.cost,
                &data,
                &attack,
            ];
            parts.concat()
        });
        let middle: [Vec<f64>; STAGES] =
            std::array::from_fn(|i| self.mlps[i][0].tanh(w, &joined[i]));
        let states = std::array::from_fn(|i| self.mlps[i][1].tanh(w, &middle[i]));
        Encoded {
            encodings,
            forward,
            backward,
            data,
            attack,
            joined,
            middle,
            states,
        }
    }

    /// Adds to the gradient of the weights, from that of the states.
    pub fn backward(
        &self,
        w: &[f64],
        seen: &Observation,
        on: &Encoded,
        d_states: &[Vec<f64>; STAGES],
        grad: &mut [f64],
    ) {
        let (h, e) = (on.forward.h[0].len(), on.data.len());
        let mut d_forward = vec![Vec::new(); STAGES];
        let mut d_backward = vec![Vec::new(); STAGES];
        let (mut d_data, mut d_attack) = (vec![0.0; e], vec![0.0; e]);
        for (i, d_state) in d_states.iter().enumerate() {
            let [first, second] = &self.mlps[i];
            let (x, m) = (&on.joined[i], &on.middle[i]);
            let d_middle = second.tanh_back(w, m, &on.states[i], d_state, grad);
            let d_joined = first.tanh_back(w, x, m, &d_middle, grad);
            let embeddings = 1 + 2 * h + seen.cost.len();
            d_forward[i] = d_joined[1..1 + h].to_vec();
            d_backward[STAGES - 1 - i] = d_joined[1 + h..1 + 2 * h].to_vec();
            add(&mut d_data, &d_joined[embeddings..embeddings + e]);
            add(&mut d_attack, &d_joined[embeddings + e..]);
        }
        self.data.tanh_back(w, &seen.data, &on.data, &d_data, grad);
        let attack = (&seen.attack, &on.attack);
        self.attack
            .tanh_back(w, attack.0, attack.1, &d_attack, grad);
        let mut d_encodings = self.forward.backward(w, &on.forward, &d_forward, grad);
        let reversed = self.backward.backward(w, &on.backward, &d_backward, grad);
        for (d, other) in d_encodings.iter_mut().zip(reversed.iter().rev()) {
            add(d, other);
        }
        for (i, d) in d_encodings.iter().enumerate() {
            self.stage
                .tanh_back(w, &seen.stages[i], &on.encodings[i], d, grad);
        }
    }
}

fn add(to: &mut [f64], other: &[f64]) {
    for (to, other) in to.iter_mut().zip(other) {
        *to += other;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ops::Range;

    fn swap(w: &mut [f64], a: &[Range<usize>], b: &[Range<usize>]) {
        for (a, b) in a.iter().zip(b) {
            let kept = w[a.clone()].to_vec();
            w.copy_within(b.clone(), a.start);
            w[b.clone()].copy_from_slice(&kept);
        }
    }

    #[test]
    fn reversing_the_stages_swaps_the_directions_and_the_mlps_follow_their_stage() {
        let config = AgentConfig {
            encoding: 5,
            hidden: 4,
            mlp: 6,
            ..AgentConfig::default()
        };
        let mut params = Params::default();
        let encoder = Encoder::new(&mut params, &config, &Vocabulary::default(), 3);
        let w: Vec<f64> = params.values.iter().map(|v| f64::from(*v)).collect();
        let seen = Observation {
            stages: [
                [0.5, 0.1, 0.7, 0.0],
                [1.0, 0.9, 0.3, 1.0],
                [1.0, 0.4, -0.6, 0.0],
            ],
            lipschitz: 0.3,
            cost: [0.8, 0.4],
            data: vec![0.5, 0.3, 0.8, 0.9, 0.7],
            attack: vec![0.0, 0.1, 0.3, 0.0, 1.0, 0.4],
        };
        let there = encoder.forward(&w, &seen);

        let mut reversed = seen.clone();
        reversed.stages.reverse();
        let mut swapped = w.clone();
        let (forward, backward) = (encoder.forward.ranges(), encoder.backward.ranges());
        swap(&mut swapped, &forward, &backward);
        let back = encoder.forward(&swapped, &reversed);
        // State of stage i forwards is that of the stage in its place backwards.
        assert_eq!(there.forward.h, back.backward.h);
        assert_eq!(there.backward.h, back.forward.h);
        assert_ne!(there.forward.h, back.forward.h);

        // The first layer of an MLP also reads the two directions in exchanged places.
        let h = config.hidden;
        for i in 0..STAGES {
            let weight = encoder.mlps[i][0].ranges()[0].clone();
            for row in swapped[weight].chunks_exact_mut(there.joined[i].len()) {
                let (forward, backward) = row[1..1 + 2 * h].split_at_mut(h);
                forward.swap_with_slice(backward);
            }
        }
        for layer in 0..2 {
            let [first, last] = [0, 2].map(|i| encoder.mlps[i][layer].ranges());
            swap(&mut swapped, &first, &last);
        }
        let back = encoder.forward(&swapped, &reversed);
        for i in 0..STAGES {
            let pairs = there.states[i].iter().zip(&back.states[STAGES - 1 - i]);
            assert!(
                pairs.clone().all(|(a, b)| (a - b).abs() < 1e-12),
                "stage {i}"
            );
        }
        let (a, b) = (&there.states[0], &there.states[2]);
        assert!(a.iter().zip(b).any(|(a, b)| (a - b).abs() > 1e-3));
    }
}
