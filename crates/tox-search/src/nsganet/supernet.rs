//! Weight-sharing supernets of the three spaces.
//!
//! A supernet is the numbers that all networks of a space share. A subnet is a network of its own, with
//! copies of those that it has; its gradients are brought back and added up. So a step computes what
//! its subnets compute and nothing else, and a subnet is an ordinary network.
//!
//! In the elastic space the numbers are those of the largest network, see [`crate::elastic`]. In the
//! cell spaces they are the supernet of P-DARTS ([`CellSupernet`]) with all ops but DARTS' `none` on all
//! edges, bad ones among them, and a subnet is it with one op on an edge, as in single-path search (Guo et al. 2020): batch
//! norms of ops are without gamma and beta, in the DARTS space one stands behind pools.

use super::inherit::{Inherited, Names, Sum};
use crate::cell::darts::DartsSupernet;
use crate::cell::nasbench201::Nb201Supernet;
use crate::cell::{CellSupernet, Supernet as _, SupernetShape};
use crate::elastic::{ElasticNet, Naming};
use crate::genes::{Architecture, GeneSpace};
use crate::space::cells::{CellGenotype, CellSpace};
use crate::space::darts::{self, EDGES, edge_index};
use crate::space::elastic::{Arch, DEPTHS};
use crate::space::{SpaceError, nasbench201};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Tensor, TensorData};
use std::path::Path;
use tox_data::Batch;
use tox_nn::Device;
use tox_nn::fit::evaluate::{images, softmax, wrong};
use tox_nn::fit::{Step, labels};
use tox_nn::layers::{Draws, Init, Mode, Network, Pass, State, WeightsError};
use tox_nn::ops::{cross_entropy, read};
use tox_nn::optim::global_norm;
use tox_nn::params::ParamId;

/// The network of an architecture, with a supernet's weights.
#[derive(Clone, Debug)]
pub enum Subnet {
    Cell(CellSupernet),
    Elastic(ElasticNet),
}

impl Subnet {
    /// Sets the probability of dropout before the classifier, which only elastic networks have.
    pub fn set_dropout(&mut self, p: f32) {
        if let Self::Elastic(net) = self {
            net.dropout = p;
        }
    }
}

impl Network for Subnet {
    fn logits(&self, pass: &Pass<'_>, x: Tensor<4>) -> Tensor<2> {
        match self {
            // Without a mix every op counts as it is, and there is one on an edge.
            Self::Cell(net) => net.mixed(pass, x, &[], 0.0),
            Self::Elastic(net) => net.logits(pass, x),
        }
    }
}

/// Gradients of a supernet's weights, those of several subnets added up.
pub type Summed = Vec<(ParamId, Vec<f32>)>;

/// A supernet.
#[derive(Clone, Debug)]
pub struct Supernet {
    space: GeneSpace,
    shape: SupernetShape,
    state: State,
    names: Names,
}

impl Supernet {
    /// A supernet with new weights, drawn from streams keyed by `seed`, `network` and their name:
    /// PyTorch's in the cell spaces, Kaiming normal by fan-out in the elastic one, as published.
    /// `channels` and `cells` of `shape` are of the cell spaces, `matrices` is of the elastic one: whether
    /// smaller kernels are learned from the centres of larger ones or are the centres.
    ///
    /// # Errors
    /// A supernet that cannot be built.
    pub fn new(
        space: &GeneSpace,
        shape: SupernetShape,
        matrices: bool,
        key: (u64, &str),
    ) -> Result<Self, SpaceError> {
        let state = match space {
            GeneSpace::Cell(space) => match space.space {
                CellSpace::Darts => {
                    let all = vec![space.with(&darts::Op::ALL[1..]); EDGES];
                    DartsSupernet::new([&all, &all], &darts_shape(shape), Init::Torch, key)?.1
                }
                CellSpace::NasBench201 => {
                    let all = vec![space.with(&nasbench201::Op::ALL); nasbench201::EDGES];
                    Nb201Supernet::new(&all, false, &bench_shape(shape), Init::Torch, key)?.1
                }
            },
            GeneSpace::Elastic(space) => {
                ElasticNet::supernet(space, (shape.input[0], shape.classes), matrices, key)?
            }
        };
        Ok(Self {
            space: space.clone(),
            shape,
            names: Names::of(&state),
            state,
        })
    }

    /// The same with `classes` classes: if they are other ones, with a new classifier, drawn as those
    /// of [`Supernet::new`].
    ///
    /// # Errors
    /// A number of classes that no network can have.
    pub fn with_classes(&self, classes: usize, key: (u64, &str)) -> Result<Self, SpaceError> {
        if classes == self.shape.classes {
            return Ok(self.clone());
        }
        let shape = SupernetShape {
            classes,
            ..self.shape
        };
        let matrices = self.names.has_matrices();
        let mut new = Self::new(&self.space, shape, matrices, key)?;
        let entries = self.state.params.entries().iter();
        let pairs = entries.zip(new.state.params.entries().to_vec());
        for (from, to) in pairs.filter(|(from, to)| from.shape == to.shape) {
            let values = &self.state.params.values[from.range()];
            new.state.params.values[to.range()].copy_from_slice(values);
        }
        new.state.running.clone_from(&self.state.running);
        Ok(new)
    }

    /// Replaces all numbers by those of a safetensors file, such as one that [`Supernet::save`] wrote or
    /// the state dict of Once-for-All's code.
    ///
    /// # Errors
    /// A file that cannot be read, or is not of such a supernet; nothing is changed then.
    pub fn load(&mut self, path: &Path) -> Result<(), WeightsError> {
        self.state.load(path)
    }

    /// Writes all numbers to a safetensors file.
    pub fn save(&self, path: &Path) -> Result<(), WeightsError> {
        self.state.save(path)
    }

    /// The space.
    pub fn space(&self) -> &GeneSpace {
        &self.space
    }

    /// Its size.
    pub fn shape(&self) -> SupernetShape {
        self.shape
    }

    /// All numbers. Running statistics of batch norms stay where they began or what was loaded: those
    /// of a subnet are its own.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The same, to change.
    pub fn state_mut(&mut self) -> &mut State {
        &mut self.state
    }

    /// The network of an architecture, its numbers, and where they come from. Its running statistics
    /// are of no use before they are [measured](super::candidate::calibrate), unless it is the largest
    /// network with loaded weights.
    pub fn subnet(
        &self,
        architecture: &Architecture,
    ) -> Result<(Subnet, State, Inherited), SpaceError> {
        let genes = self.space.encode(architecture)?;
        let (zero, key) = (Init::Zero, (0, ""));
        let (net, mut state, inherited) = match (architecture, &self.space) {
            (Architecture::Cell(CellGenotype::Darts(genotype)), GeneSpace::Cell(space)) => {
                // Op 0 is `none`, which the supernet does not have.
                let all = space.with(&darts::Op::ALL[1..]);
                let shape = darts_shape(self.shape);
                let cells = [genotype.normal, genotype.reduce];
                let paths = cells.map(|cell| {
                    let mut ops = vec![Vec::new(); EDGES];
                    for (k, edge) in cell.edges().iter().enumerate() {
                        ops[edge_index(k / 2, edge.input)] = vec![edge.op];
                    }
                    ops
                });
                let (net, state) = DartsSupernet::new([&paths[0], &paths[1]], &shape, zero, key)?;
                let reductions: Vec<bool> = shape.cells().iter().map(|c| c.reduction).collect();
                let op = |cell: usize, edge: usize| {
                    let path = &paths[usize::from(*reductions.get(cell)?)];
                    let found = path.get(edge)?.first()?;
                    all.iter().position(|op| op == found)
                };
                let named = |name: &str| {
                    let mut parts: Vec<&str> = name.split('.').collect();
                    let place = match parts[..] {
                        ["cells", cell, "cell_ops", edge, "m_ops", _, ..] => {
                            let number = |text: &str| text.parse().ok();
                            number(cell).zip(number(edge)).and_then(|(c, e)| op(c, e))
                        }
                        _ => return name.to_owned(),
                    };
                    let place = place.unwrap_or_default().to_string();
                    parts[5] = &place;
                    parts.join(".")
                };
                let inherited = Inherited::new(&self.names, &state, named);
                (Subnet::Cell(CellSupernet::Darts(net)), state, inherited)
            }
            (Architecture::Cell(CellGenotype::NasBench201(cell)), GeneSpace::Cell(space)) => {
                let all = space.with(&nasbench201::Op::ALL);
                let path = cell.ops.map(|op| vec![op]).to_vec();
                let shape = bench_shape(self.shape);
                let (net, state) = Nb201Supernet::new(&path, false, &shape, zero, key)?;
                let named = |name: &str| {
                    let mut parts: Vec<&str> = name.split('.').collect();
                    let ["cells", _, "edges", ends, _, ..] = parts[..] else {
                        return name.to_owned();
                    };
                    let mut states = ends.split("<-").filter_map(|s| s.parse::<usize>().ok());
                    let (node, input) = states.next().zip(states.next()).unwrap_or_default();
                    let found = cell.node(node)[input];
                    let place = all.iter().position(|op| *op == found);
                    let place = place.unwrap_or_default().to_string();
                    parts[4] = &place;
                    parts.join(".")
                };
                let inherited = Inherited::new(&self.names, &state, named);
                (
                    Subnet::Cell(CellSupernet::NasBench201(net)),
                    state,
                    inherited,
                )
            }
            (Architecture::Elastic(arch), GeneSpace::Elastic(space)) => {
                let sizes = (self.shape.input[0], self.shape.classes);
                let (net, state) = ElasticNet::new(space, arch, sizes, (Naming::Plain, zero), key)?;
                let inherited =
                    Inherited::new(&self.names, &state, |name| elastic_name(arch, name));
                (Subnet::Elastic(net), state, inherited)
            }
            _ => unreachable!("an architecture with genes {genes:?} is of the space"),
        };
        inherited.take(&self.state, &mut state);
        Ok((net, state, inherited))
    }

    /// The gradients of a training step, in order: those of the mean cross-entropy of each of these
    /// subnets, added up. What the first subnet measured is returned with the norm of the sum. With
    /// `distil` all but the first learn its answers (their softmax) instead of the labels, as in BigNAS
    /// (Yu et al. 2020).
    pub fn gradients(
        &self,
        subnets: &[Architecture],
        batch: &Batch,
        draws: Draws<'_>,
        distil: bool,
        device: &Device,
    ) -> Result<(Summed, Step), SpaceError> {
        let device = device.clone().autodiff();
        let mut sum = Sum::new();
        let mut first: Option<(Vec<f32>, f32, usize)> = None;
        for architecture in subnets {
            let (net, state, inherited) = self.subnet(architecture)?;
            let pass = Pass::new(&state, &device, Mode::Train(draws));
            let logits = net.logits(&pass, images(batch, &device));
            let loss = match &first {
                Some((answers, ..)) if distil => soft(logits.clone(), answers),
                _ => cross_entropy(logits.clone(), labels(&batch.labels, &device)),
            };
            let gradients = loss.backward();
            if first.is_none() {
                let logits = logits.inner();
                let loss = read(loss).first().copied().unwrap_or(f32::NAN);
                let wrong = wrong(logits.clone(), &batch.labels);
                first = Some((read(logits), loss, wrong));
            }
            let gradients = pass.finish(gradients).gradients;
            inherited.add(&self.state, &state, &gradients, &mut sum);
        }
        let gradients: Vec<_> = sum.into_iter().collect();
        let (_, loss, wrong) = first.unwrap_or((Vec::new(), f32::NAN, 0));
        let step = Step {
            loss,
            wrong,
            grad_norm: global_norm(&gradients),
        };
        Ok((gradients, step))
    }
}

/// Mean cross-entropy against the softmax of other logits.
fn soft(logits: Tensor<2>, answers: &[f32]) -> Tensor<1> {
    let [n, classes] = logits.dims();
    let shares = softmax(answers, classes);
    let shares: Vec<f32> = shares.iter().map(|p| *p as f32).collect();
    let shares = Tensor::<2>::from_data(TensorData::new(shares, [n, classes]), &logits.device());
    (log_softmax(logits, 1) * shares)
        .sum()
        .div_scalar(n as f32)
        .neg()
}

/// The name in the supernet of what an elastic network calls `name`: blocks are counted with those that
/// it does not have, and searched layers have other names for their parts.
fn elastic_name(arch: &Arch, name: &str) -> String {
    let Some((block, rest)) = name.strip_prefix("blocks.").and_then(|r| r.split_once('.')) else {
        return name.to_owned();
    };
    let number: usize = block.parse().unwrap_or_default();
    let Some(mut layer) = number.checked_sub(1) else {
        return name.to_owned();
    };
    let deepest = DEPTHS[DEPTHS.len() - 1];
    let mut place = 1;
    for depth in arch.d {
        if layer < depth {
            break;
        }
        (layer, place) = (layer - depth, place + deepest);
    }
    let rest = match rest.contains(".se.") {
        true => rest.to_owned(),
        false => rest.replace(".conv", ".conv.conv").replace(".bn", ".bn.bn"),
    };
    format!("blocks.{}.{rest}", place + layer)
}

fn darts_shape(shape: SupernetShape) -> darts::Network {
    darts::Network {
        channels: shape.channels,
        layers: shape.cells,
        classes: shape.classes,
        input: shape.input,
        auxiliary: false,
    }
}

fn bench_shape(shape: SupernetShape) -> nasbench201::Network {
    nasbench201::Network {
        channels: shape.channels,
        cells: shape.cells,
        classes: shape.classes,
        input: shape.input,
    }
}
