//! The network of a genotype of either cell space.

use super::darts::Regularisation;
use super::{SupernetShape, darts, nasbench201};
use crate::space::cells::CellGenotype;
use crate::space::{self, SpaceError};
use burn::tensor::Tensor;
use tox_nn::layers::{Init, Network, Pass, State};
use tox_nn::ops::Labels;

/// The network of a genotype.
#[derive(Clone, Debug)]
pub enum GenotypeNetwork {
    Darts(Box<darts::CellNetwork>),
    NasBench201(nasbench201::CellNetwork),
}

impl GenotypeNetwork {
    /// The network around the genotype's cells, and initial numbers by PyTorch's rule, drawn from
    /// streams keyed by `seed`, `network` and their name.
    pub fn new(
        genotype: &CellGenotype,
        shape: SupernetShape,
        key: (u64, &str),
    ) -> Result<(Self, State), SpaceError> {
        Self::regularised(genotype, shape, Regularisation::default(), key)
    }

    /// As [`GenotypeNetwork::new`], with drop path in trainings, and with an auxiliary head if its
    /// weight is not 0. Only networks of the DARTS space have either.
    ///
    /// # Errors
    /// A shape that cannot be built, or not with an auxiliary head.
    pub fn regularised(
        genotype: &CellGenotype,
        shape: SupernetShape,
        regularisation: Regularisation,
        key: (u64, &str),
    ) -> Result<(Self, State), SpaceError> {
        match genotype {
            CellGenotype::Darts(genotype) => {
                let shape = shape.darts(regularisation.auxiliary_weight != 0.0);
                let (net, state) = darts::CellNetwork::new(genotype, &shape, Init::Torch, key)?;
                let net = net.regularised(regularisation);
                Ok((Self::Darts(Box::new(net)), state))
            }
            CellGenotype::NasBench201(cell) => {
                let shape = shape.nasbench201();
                let (net, state) = nasbench201::CellNetwork::new(cell, &shape, Init::Torch, key)?;
                Ok((Self::NasBench201(net), state))
            }
        }
    }

    fn network(&self) -> &dyn Network {
        match self {
            Self::Darts(net) => &**net,
            Self::NasBench201(net) => net,
        }
    }
}

impl Network for GenotypeNetwork {
    fn logits(&self, pass: &Pass<'_>, x: Tensor<4>) -> Tensor<2> {
        self.network().logits(pass, x)
    }

    fn loss(&self, pass: &Pass<'_>, x: Tensor<4>, labels: Labels) -> (Tensor<1>, Tensor<2>) {
        self.network().loss(pass, x, labels)
    }

    fn set_epoch(&mut self, epoch: usize, epochs: usize) {
        match self {
            Self::Darts(net) => net.set_epoch(epoch, epochs),
            Self::NasBench201(net) => net.set_epoch(epoch, epochs),
        }
    }
}

impl SupernetShape {
    /// As a network of the DARTS space.
    pub fn darts(self, auxiliary: bool) -> space::darts::Network {
        space::darts::Network {
            channels: self.channels,
            layers: self.cells,
            classes: self.classes,
            input: self.input,
            auxiliary,
        }
    }

    /// As a network of NAS-Bench-201.
    pub fn nasbench201(self) -> space::nasbench201::Network {
        space::nasbench201::Network {
            channels: self.channels,
            cells: self.cells,
            classes: self.classes,
            input: self.input,
        }
    }
}
