//! The network of a genotype of either cell space.

use super::{SupernetShape, darts, nasbench201};
use crate::space::cells::CellGenotype;
use crate::space::{self, SpaceError};
use burn::tensor::Tensor;
use tox_nn::layers::{Init, Network, Pass, State};

/// The network of a genotype, without auxiliary head.
#[derive(Clone, Debug)]
pub enum GenotypeNetwork {
    /// Of the DARTS space, and the probability of drop-path.
    Darts(Box<darts::CellNetwork>, f32),
    /// Of NAS-Bench-201.
    NasBench201(nasbench201::CellNetwork),
}

impl GenotypeNetwork {
    /// The network around the genotype's cells, and initial numbers by PyTorch's rule, drawn from
    /// streams keyed by `seed`, `network` and their name.
    ///
    /// # Errors
    /// A shape that cannot be built.
    pub fn new(
        genotype: &CellGenotype,
        shape: SupernetShape,
        key: (u64, &str),
    ) -> Result<(Self, State), SpaceError> {
        let SupernetShape {
            channels,
            cells,
            classes,
            input,
        } = shape;
        match genotype {
            CellGenotype::Darts(genotype) => {
                let shape = space::darts::Network {
                    channels,
                    layers: cells,
                    classes,
                    input,
                    auxiliary: false,
                };
                let (net, state) = darts::CellNetwork::new(genotype, &shape, Init::Torch, key)?;
                Ok((Self::Darts(Box::new(net), 0.0), state))
            }
            CellGenotype::NasBench201(cell) => {
                let shape = space::nasbench201::Network {
                    channels,
                    cells,
                    classes,
                    input,
                };
                let (net, state) = nasbench201::CellNetwork::new(cell, &shape, Init::Torch, key)?;
                Ok((Self::NasBench201(net), state))
            }
        }
    }

    /// Sets the probability of drop-path, which only networks of the DARTS space have.
    pub fn set_drop_path(&mut self, p: f32) {
        if let Self::Darts(_, drop_path) = self {
            *drop_path = p;
        }
    }
}

impl Network for GenotypeNetwork {
    fn logits(&self, pass: &Pass<'_>, x: Tensor<4>) -> Tensor<2> {
        match self {
            Self::Darts(net, drop_path) => net.forward(pass, x, *drop_path).0,
            Self::NasBench201(net) => net.logits(pass, x),
        }
    }
}
