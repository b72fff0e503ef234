//! Architectures of either cell space, for searches that go over both.

use super::{darts, nasbench201};
use crate::space::{self, SpaceError};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use std::fmt;
use tox_nn::layers::{Init, Network, Pass, State};

/// An architecture, as text that of its space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
#[allow(
    clippy::large_enum_variant,
    reason = "a pool of 60,000 takes 16 MB either way"
)]
pub enum Architecture {
    /// Of the DARTS space.
    Darts(space::darts::Genotype),
    /// Of NAS-Bench-201.
    NasBench201(space::nasbench201::Cell),
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Darts(genotype) => genotype.fmt(f),
            Self::NasBench201(cell) => cell.fmt(f),
        }
    }
}

/// What stands around the cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Channels of the first cells.
    pub channels: usize,
    /// Cells of the DARTS space, or of a stage of NAS-Bench-201.
    pub cells: usize,
    /// Number of classes.
    pub classes: usize,
    /// Channels, height and width of an image.
    pub input: [usize; 3],
}

/// The network of an architecture, without auxiliary head.
#[derive(Clone, Debug)]
pub enum ArchitectureNetwork {
    /// Of the DARTS space, and the probability of drop-path.
    Darts(darts::CellNetwork, f32),
    /// Of NAS-Bench-201.
    NasBench201(nasbench201::CellNetwork),
}

impl Architecture {
    /// The network around its cells, and initial numbers by PyTorch's rule, drawn from streams keyed
    /// by `seed`, `network` and their name.
    ///
    /// # Errors
    /// A shape that cannot be built.
    pub fn network(
        &self,
        shape: Shape,
        (seed, network): (u64, &str),
    ) -> Result<(ArchitectureNetwork, State), SpaceError> {
        let Shape {
            channels,
            cells,
            classes,
            input,
        } = shape;
        let key = (seed, network);
        match self {
            Self::Darts(genotype) => {
                let shape = space::darts::Network {
                    channels,
                    layers: cells,
                    classes,
                    input,
                    auxiliary: false,
                };
                let (net, state) = darts::CellNetwork::new(genotype, &shape, Init::Torch, key)?;
                Ok((ArchitectureNetwork::Darts(net, 0.0), state))
            }
            Self::NasBench201(cell) => {
                let shape = space::nasbench201::Network {
                    channels,
                    cells,
                    classes,
                    input,
                };
                let (net, state) = nasbench201::CellNetwork::new(cell, &shape, Init::Torch, key)?;
                Ok((ArchitectureNetwork::NasBench201(net), state))
            }
        }
    }
}

impl ArchitectureNetwork {
    /// Sets the probability of drop-path, which only networks of the DARTS space have.
    pub fn set_drop_path(&mut self, p: f32) {
        if let Self::Darts(_, drop_path) = self {
            *drop_path = p;
        }
    }
}

impl Network for ArchitectureNetwork {
    fn logits(&self, pass: &Pass<'_>, x: Tensor<4>) -> Tensor<2> {
        match self {
            Self::Darts(net, drop_path) => net.forward(pass, x, *drop_path).0,
            Self::NasBench201(net) => net.logits(pass, x),
        }
    }
}
