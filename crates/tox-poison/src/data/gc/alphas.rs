//! A supernet whose alphas are the target.

use super::Victim;
use burn::tensor::Tensor;
use tox_nn::Device;
use tox_nn::layers::{Network, Pass, State};
use tox_nn::params::{ParamId, Params};
use tox_search::cell::{Mix, Supernet};

/// A supernet that takes its alphas from the state, where they lie behind its weights: a matrix,
/// edges by ops, for every kind of cell. Its ops are weighed by their softmax.
#[derive(Clone, Debug)]
pub struct WithAlphas<S> {
    supernet: S,
    alphas: Vec<ParamId>,
}

impl<S: Supernet> Network for WithAlphas<S> {
    fn logits(&self, pass: &Pass<'_>, x: Tensor<4>) -> Tensor<2> {
        let matrices = self.alphas.iter().map(|id| pass.leaves().matrix(*id));
        let mixes: Vec<Mix> = matrices.map(Mix::softmax).collect();
        self.supernet.mixed(pass, x, &mixes, 0.0)
    }
}

impl<S: Supernet> Victim<WithAlphas<S>> {
    /// With the alphas as targets, as P-DARTS's learner has them, and the weights held.
    pub fn of_alphas(supernet: S, mut state: State, alphas: &Params, device: Device) -> Self {
        let (params, entries) = (&mut state.params, alphas.entries().iter());
        let joined = entries.map(|entry| {
            let [edges, ops, ..] = entry.shape;
            let values = alphas.values[entry.range()].to_vec();
            params.add(entry.name.clone(), [edges, ops], values)
        });
        let targets: Vec<ParamId> = joined.collect();
        Self {
            network: WithAlphas {
                supernet,
                alphas: targets.clone(),
            },
            state,
            targets,
            device,
        }
    }
}
