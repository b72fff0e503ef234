//! The layers of ordinary networks: convolution, batch norm with running statistics, linear.
//!
//! A network is a description: ids of its weights and the shapes of its layers, `Clone` and small.
//! The numbers are its [`State`], the weights that an optimiser moves and the running statistics
//! that batch norm keeps, named as in the state dict of the same network in PyTorch, with which
//! they are exchanged as safetensors. A [`Builder`] makes both; a [`Pass`] brings them together:
//!
//! ```
//! use tox_nn::kernels::conv::Geometry;
//! use tox_nn::layers::{Builder, Init, Mode, Pass};
//! use tox_nn::{Device, ops};
//!
//! let mut b = Builder::new(0, "example", Init::Torch);
//! let conv = b.conv("conv1", 3, 8, Geometry::same(3));
//! let norm = b.norm("bn1", 8);
//! let state = b.finish();
//! let device = Device::flex();
//! let pass = Pass::new(&state, &device, Mode::Evaluate);
//! let x = burn::tensor::Tensor::ones([2, 3, 8, 8], &device);
//! let y = norm.forward(&pass, conv.forward(&pass, x), true);
//! assert_eq!(y.dims(), [2, 8, 8, 8]);
//! ```

mod builder;
mod chain;
mod gates;
mod norm;
mod pass;
mod running;
mod state;

pub use builder::{Builder, Fan, Init};
pub use chain::{Around, ChainStep, chain, residual};
pub use norm::BatchNorm;
pub use pass::{Backward, Choices, Draws, Masks, Mode, Pass, Sensitivity};
pub use running::{Measured, NormId, Running};
pub use state::{State, WeightsError};

use crate::kernels::conv::Geometry;
use crate::ops::{self, Labels};
use crate::params::ParamId;
use burn::tensor::Tensor;

/// A network that classifies: what the training loop needs to know of one.
pub trait Network {
    /// Logits `[n, classes]` for images `x` `[n, c, h, w]`.
    fn logits(&self, pass: &Pass<'_>, x: Tensor<4>) -> Tensor<2>;

    /// What a training step descends, and the logits whose wrong answers are counted: their mean
    /// cross-entropy against `labels` `[n]`, unless the network adds to it, as one with an auxiliary
    /// head does.
    fn loss(&self, pass: &Pass<'_>, x: Tensor<4>, labels: Labels) -> (Tensor<1>, Tensor<2>) {
        let logits = self.logits(pass, x);
        (ops::cross_entropy(logits.clone(), labels), logits)
    }

    /// Told before every step of a training which epoch it is in, from 0, and of how many: for what
    /// changes along it, such as the probability of drop path.
    fn set_epoch(&mut self, _epoch: usize, _epochs: usize) {}
}

/// A convolution, with a bias or without.
#[derive(Clone, Copy, Debug)]
pub struct Conv {
    weight: ParamId,
    bias: Option<ParamId>,
    geometry: Geometry,
}

impl Conv {
    /// `[n, c_in, h, w]` to `[n, c_out, h / stride, w / stride]`, sides rounded up.
    pub fn forward(&self, pass: &Pass<'_>, x: Tensor<4>) -> Tensor<4> {
        let weight = pass.get(self.weight);
        let [_, rest @ ..] = weight.dims();
        let y = ops::conv(pass.engine, x, weight, self.geometry);
        let y = match self.bias {
            Some(bias) => y + pass.get(bias).swap_dims(0, 1),
            None => y,
        };
        pass.output(y, rest.iter().product())
    }

    /// The weight, `[c_out, c_in / groups, k, k]`.
    pub fn weight(&self) -> ParamId {
        self.weight
    }

    /// Kernel, stride, padding, dilation, groups.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }
}

/// `x W^T + b`.
#[derive(Clone, Copy, Debug)]
pub struct Linear {
    weight: ParamId,
    bias: ParamId,
}

impl Linear {
    /// `[n, inputs]` to `[n, outputs]`.
    pub fn forward(&self, pass: &Pass<'_>, x: Tensor<2>) -> Tensor<2> {
        let weight = pass.leaves().matrix(self.weight);
        let ([n, inputs], outputs) = (x.dims(), weight.dims()[0]);
        let y = ops::matmul(pass.engine, x, weight.transpose())
            + pass.get(self.bias).reshape([1, outputs]);
        match pass.is_probing() {
            true => {
                let y = pass.output(y.reshape([n, outputs, 1, 1]), inputs);
                y.reshape([n, outputs])
            }
            false => y,
        }
    }

    /// The weight, `[outputs, inputs]`.
    pub fn weight(&self) -> ParamId {
        self.weight
    }

    /// The bias, `[outputs]`.
    pub fn bias(&self) -> ParamId {
        self.bias
    }
}
