//! Batch normalisation.

use super::pass::{Mode, Pass};
use super::running::NormId;
use crate::ops;
use crate::params::ParamId;
use burn::tensor::Tensor;

/// Batch normalisation, with gamma and beta (`affine`) or without.
#[derive(Clone, Copy, Debug)]
pub struct BatchNorm {
    pub(super) affine: Option<(ParamId, ParamId)>,
    pub(super) running: NormId,
}

impl BatchNorm {
    /// Normalises every channel by the statistics that the pass's mode asks for; then ReLU if
    /// `with_relu`.
    pub fn forward(&self, pass: &Pass<'_>, x: Tensor<4>, with_relu: bool) -> Tensor<4> {
        self.forward_scaled(pass, x, with_relu, None)
    }

    /// [`BatchNorm::forward`] with gamma and beta times `scale`, `[1, 1, 1, 1]`.
    pub fn forward_scaled(
        &self,
        pass: &Pass<'_>,
        x: Tensor<4>,
        with_relu: bool,
        scale: Option<&Tensor<4>>,
    ) -> Tensor<4> {
        if with_relu && !pass.is_free() {
            return pass.relu(self.forward_scaled(pass, x, false, scale));
        }
        let [n, _, h, w] = x.dims();
        let [gamma, beta] = self.vectors(pass, scale);
        match pass.mode() {
            Mode::Train(_) => {
                let (y, measured) =
                    ops::batch_norm_measured(pass.engine, x, gamma, beta, with_relu);
                pass.measure(self.running, n * h * w, measured);
                y
            }
            Mode::Probe => ops::batch_norm(pass.engine, x, gamma, beta, with_relu),
            Mode::Evaluate => {
                let given = pass.running().statistics(self.running);
                ops::batch_norm_given(pass.engine, x, (gamma, beta), given, with_relu)
            }
        }
    }

    /// Gamma and beta, `[c, 1, 1, 1]`, times `scale`: one and zero without weights.
    pub(super) fn vectors(&self, pass: &Pass<'_>, scale: Option<&Tensor<4>>) -> [Tensor<4>; 2] {
        match (self.affine, scale) {
            (Some((gamma, beta)), None) => [gamma, beta].map(|id| pass.get(id)),
            (Some((gamma, beta)), Some(scale)) => {
                [gamma, beta].map(|id| pass.get(id) * scale.clone())
            }
            (None, scale) => {
                let shape = [pass.running().of(self.running).0.len(), 1, 1, 1];
                let gamma = match scale {
                    Some(scale) => scale.clone().expand(shape),
                    None => Tensor::ones(shape, pass.device()),
                };
                [gamma, Tensor::zeros(shape, pass.device())]
            }
        }
    }

    /// Gamma and beta.
    pub fn affine(&self) -> Option<(ParamId, ParamId)> {
        self.affine
    }

    /// Which of the running statistics are its own.
    pub fn running(&self) -> NormId {
        self.running
    }
}
