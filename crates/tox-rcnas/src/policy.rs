//! The policy: for each stage one head with a categorical for the depth, one for the width and one for
//! the robust block, over what the teacher allows.

use super::config::{AgentConfig, Sizes};
use super::encoder::STAGES;
use super::layers::Dense;
use super::space::{GENES, Genes, Space};
use rand::{Rng, RngExt};
use tox_nn::nets::wrn::Shape;
use tox_nn::params::Params;

/// Scale of the heads' first weights: the policy begins nearly uniform.
const HEAD_GAIN: f64 = 0.1;

/// How the logits of every option of a task come from the heads' outputs. What is not on it is masked.
#[derive(Clone, Debug, PartialEq)]
pub struct Menu {
    /// Of each gene and option two outputs with their weights.
    rows: [Vec<[(usize, f64); 2]>; GENES],
}

impl Menu {
    /// Of a space; `outputs` are those of the heads for depth and width.
    pub fn new(space: &Space, sizes: Sizes, outputs: [usize; 2]) -> Self {
        let rows = std::array::from_fn(|gene| {
            let stage = space.teacher().stages[gene / 3];
            let row = |&value: &usize| match gene % 3 {
                0 => row(sizes, outputs[0], value, stage.depth),
                1 => row(sizes, outputs[1], value, stage.width),
                _ => [(value, 1.0), (value, 0.0)],
            };
            space.options()[gene].iter().map(row).collect()
        });
        Self { rows }
    }
}

/// Where a size of `most` reads the `outputs` of a head.
fn row(sizes: Sizes, outputs: usize, value: usize, most: usize) -> [(usize, f64); 2] {
    match sizes {
        Sizes::Absolute => [(value - 1, 1.0), (value - 1, 0.0)],
        // Output k stands for the share (k + 1) / outputs.
        Sizes::Relative => {
            let place = (value as f64 / most as f64 * outputs as f64 - 1.0).max(0.0);
            let low = (place.floor() as usize).min(outputs - 1);
            let beyond = place - low as f64;
            [(low, 1.0 - beyond), ((low + 1).min(outputs - 1), beyond)]
        }
    }
}

/// Outputs of the heads for depth and width: with absolute sizes as many as the largest teacher needs.
pub fn outputs<'a>(config: &AgentConfig, teachers: impl Iterator<Item = &'a Shape>) -> [usize; 2] {
    match config.sizes {
        Sizes::Relative => [config.knots; 2],
        Sizes::Absolute => {
            let stages = teachers.flat_map(|t| t.stages);
            stages.fold([1, 1], |[depth, width], stage| {
                [depth.max(stage.depth), width.max(stage.width)]
            })
        }
    }
}

/// The distributions of all decisions on a task.
#[derive(Clone, Debug, PartialEq)]
pub struct Choices {
    /// Log-probability of every option of every gene.
    pub log_probs: [Vec<f64>; GENES],
}

impl Choices {
    /// Draws a sub-network.
    pub fn sample(&self, rng: &mut impl Rng) -> Genes {
        std::array::from_fn(|gene| {
            let mut left: f64 = rng.random();
            let options = &self.log_probs[gene];
            for (option, log_prob) in options.iter().enumerate() {
                left -= log_prob.exp();
                if left < 0.0 {
                    return option;
                }
            }
            // What rounding leaves.
            options.len() - 1
        })
    }

    /// Log-probability of a sub-network.
    pub fn log_prob(&self, genes: &Genes) -> f64 {
        let each = self.log_probs.iter().zip(genes);
        each.map(|(options, gene)| options[*gene]).sum()
    }

    /// Entropy of the decisions, nats.
    pub fn entropy(&self) -> f64 {
        self.log_probs.iter().map(|o| entropy(o)).sum()
    }

    /// Derivatives by the logits of `sum(weight * log_prob(genes)) + beta * entropy`.
    pub fn logit_gradient(&self, drawn: &[(Genes, f64)], beta: f64) -> [Vec<f64>; GENES] {
        std::array::from_fn(|gene| {
            let options = &self.log_probs[gene];
            let h = entropy(options);
            let mass: f64 = drawn.iter().map(|(_, weight)| weight).sum();
            let of = |log_p: &f64| -log_p.exp() * (mass + beta * (log_p + h));
            let mut gradient: Vec<f64> = options.iter().map(of).collect();
            for (genes, weight) in drawn {
                gradient[genes[gene]] += weight;
            }
            gradient
        })
    }
}

fn entropy(log_probs: &[f64]) -> f64 {
    -log_probs.iter().map(|l| l.exp() * l).sum::<f64>()
}

/// The heads.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Policy {
    /// Of each stage those for depth, width and robust block.
    heads: [[Dense; 3]; STAGES],
}

impl Policy {
    pub fn new(params: &mut Params, config: &AgentConfig, outputs: [usize; 2], seed: u64) -> Self {
        let [depth, width] = outputs;
        let heads = std::array::from_fn(|i| {
            [("depth", depth), ("width", width), ("robust", 2)].map(|(name, outputs)| {
                let name = format!("head{i}.{name}");
                Dense::new(params, &name, [config.mlp, outputs], HEAD_GAIN, seed)
            })
        });
        Self { heads }
    }

    fn head(&self, gene: usize) -> &Dense {
        &self.heads[gene / 3][gene % 3]
    }

    pub fn forward(&self, w: &[f64], states: &[Vec<f64>; STAGES], menu: &Menu) -> Choices {
        let log_probs = std::array::from_fn(|gene| {
            let outputs = self.head(gene).forward(w, &states[gene / 3]);
            let logit = |row: &[(usize, f64); 2]| row.iter().map(|(k, w)| w * outputs[*k]).sum();
            let logits: Vec<f64> = menu.rows[gene].iter().map(logit).collect();
            let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = logits.iter().map(|l| (l - most).exp()).sum();
            logits.iter().map(|l| l - most - sum.ln()).collect()
        });
        Choices { log_probs }
    }

    /// Adds to the gradient of the weights, from that of the logits; gives that of the states.
    pub fn backward(
        &self,
        w: &[f64],
        states: &[Vec<f64>; STAGES],
        menu: &Menu,
        d_logits: &[Vec<f64>; GENES],
        grad: &mut [f64],
    ) -> [Vec<f64>; STAGES] {
        let mut d_states = states.clone().map(|s| vec![0.0; s.len()]);
        for (gene, d_logits) in d_logits.iter().enumerate() {
            let head = self.head(gene);
            let mut d_outputs = vec![0.0; head.outputs()];
            for (row, d) in menu.rows[gene].iter().zip(d_logits) {
                for (k, weight) in row {
                    d_outputs[*k] += weight * d;
                }
            }
            let stage = gene / 3;
            let d = head.backward(w, &states[stage], &d_outputs, grad);
            for (to, d) in d_states[stage].iter_mut().zip(d) {
                *to += d;
            }
        }
        d_states
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SpaceConfig;

    #[test]
    fn sizes_read_the_outputs_that_stand_for_them() {
        assert_eq!(row(Sizes::Absolute, 8, 3, 5), [(2, 1.0), (2, 0.0)]);
        // Shares 1/2 and 1 of 4 outputs at 1/4, 1/2, 3/4, 1.
        assert_eq!(row(Sizes::Relative, 4, 1, 2), [(1, 1.0), (2, 0.0)]);
        assert_eq!(row(Sizes::Relative, 4, 2, 2), [(3, 1.0), (3, 0.0)]);
        // 2/3 is two thirds of the way from 1/2 to 3/4.
        let [(low, before), (high, beyond)] = row(Sizes::Relative, 4, 2, 3);
        assert_eq!((low, high), (1, 2));
        assert!((before - 1.0 / 3.0).abs() < 1e-12 && (beyond - 2.0 / 3.0).abs() < 1e-12);
        // Below the first output nothing is read but it.
        assert_eq!(row(Sizes::Relative, 4, 1, 16)[0], (0, 1.0));
    }

    #[test]
    fn draws_have_the_teachers_limits_and_their_probabilities() {
        let teacher = Shape::new([2, 1, 3], [1, 2, 2], [false; 3]);
        let space = Space::new(&teacher, &SpaceConfig::default());
        let mut params = Params::default();
        let config = AgentConfig::default();
        let policy = Policy::new(&mut params, &config, [5, 7], 1);
        let w: Vec<f64> = params.values.iter().map(|v| 20.0 * f64::from(*v)).collect();
        let menu = Menu::new(&space, Sizes::Absolute, [5, 7]);
        let states = [0.3, -0.6, 0.9].map(|v| vec![v; config.mlp]);
        let choices = policy.forward(&w, &states, &menu);
        let lengths = choices.log_probs.clone().map(|o| o.len());
        assert_eq!(lengths, [2, 1, 2, 1, 2, 2, 3, 2, 2]);
        let mut rng = tox_data::rng::stream(5, "test", &[]);
        let draws: Vec<Genes> = (0..20_000).map(|_| choices.sample(&mut rng)).collect();
        for (gene, options) in choices.log_probs.iter().enumerate() {
            let total: f64 = options.iter().map(|l| l.exp()).sum();
            assert!((total - 1.0).abs() < 1e-12);
            for (option, log_p) in options.iter().enumerate() {
                let drawn = draws.iter().filter(|d| d[gene] == option).count();
                let share = drawn as f64 / draws.len() as f64;
                let p = log_p.exp();
                // Five standard errors.
                let most = 5.0 * (p * (1.0 - p) / 20_000.0).sqrt() + 1e-12;
                assert!((share - p).abs() <= most, "{gene} {option}: {share} {p}");
            }
        }
    }
}
