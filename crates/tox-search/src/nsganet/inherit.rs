//! Which numbers of a supernet a subnet has, and the way of gradients back.

use crate::elastic::kernel::{shrink, shrink_backward};
use std::collections::BTreeMap;
use tox_nn::layers::{NormId, State};
use tox_nn::params::ParamId;

/// The numbers of a supernet by name.
#[derive(Clone, Debug)]
pub(super) struct Names {
    weights: BTreeMap<String, ParamId>,
    norms: BTreeMap<String, NormId>,
}

impl Names {
    pub fn of(state: &State) -> Self {
        let weights = state.params.ids();
        let norms = state.running.norms();
        Self {
            weights: weights
                .map(|id| (state.params.entry(id).name.clone(), id))
                .collect(),
            norms: norms.map(|(id, name, _)| (name.to_owned(), id)).collect(),
        }
    }

    /// Whether there are matrices of smaller kernels.
    pub fn has_matrices(&self) -> bool {
        self.weights.keys().any(|name| name.ends_with("_matrix"))
    }
}

/// A weight of the supernet, and the matrices that make smaller kernels of it.
#[derive(Clone, Copy, Debug)]
struct Origin {
    weight: ParamId,
    matrices: Option<[ParamId; 2]>,
    /// Whether it is a depthwise kernel that has smaller ones.
    kernel: bool,
}

/// Where every number of a subnet comes from.
#[derive(Clone, Debug)]
pub struct Inherited {
    weights: Vec<Origin>,
    norms: Vec<NormId>,
}

/// Gradients of a supernet, as a sum over subnets; weights that none of them has are not there.
pub type Sum = BTreeMap<ParamId, Vec<f32>>;

impl Inherited {
    /// `named` gives the name in the supernet of what has a name in the subnet.
    pub(super) fn new(names: &Names, subnet: &State, named: impl Fn(&str) -> String) -> Self {
        let weights = subnet.params.entries().iter().map(|entry| {
            let name = named(&entry.name);
            let matrix = |part: &str| {
                let layer = name.strip_suffix(".conv.weight")?;
                names
                    .weights
                    .get(&format!("{layer}.{part}_matrix"))
                    .copied()
            };
            Origin {
                weight: found(&names.weights, &name),
                matrices: matrix("7to5").zip(matrix("5to3")).map(|(a, b)| [a, b]),
                kernel: name.ends_with(".depth_conv.conv.conv.weight"),
            }
        });
        let norms = subnet
            .running
            .norms()
            .map(|(_, name, _)| found(&names.norms, &named(name)));
        Self {
            weights: weights.collect(),
            norms: norms.collect(),
        }
    }

    /// Gives the subnet the numbers of the supernet.
    pub(super) fn take(&self, supernet: &State, subnet: &mut State) {
        let all = &supernet.params;
        for (id, origin) in subnet.params.ids().zip(&self.weights) {
            let to = subnet.params.entry(id).clone();
            let from = all.entry(origin.weight);
            let large = &all.values[from.range()];
            let values = &mut subnet.params.values[to.range()];
            if origin.kernel {
                let large = &large[..to.shape[0] * from.shape[2] * from.shape[3]];
                let matrices = origin
                    .matrices
                    .map(|m| m.map(|id| &all.values[all.entry(id).range()]));
                values.copy_from_slice(&shrink(large, to.shape[2], matrices));
                continue;
            }
            for (to, from) in rows(values, to.shape, large, from.shape) {
                to.copy_from_slice(from);
            }
        }
        let ids: Vec<NormId> = subnet.running.norms().map(|(id, ..)| id).collect();
        for (id, origin) in ids.into_iter().zip(&self.norms) {
            let (means, vars) = supernet.running.of(*origin);
            let to = subnet.running.of_mut(id);
            let channels = to.0.len();
            to.0.copy_from_slice(&means[..channels]);
            to.1.copy_from_slice(&vars[..channels]);
            *subnet.running.batches_mut(id) = supernet.running.batches(*origin);
        }
    }

    /// Adds the gradients of a subnet's weights to those of the supernet's.
    pub(super) fn add(
        &self,
        supernet: &State,
        subnet: &State,
        gradients: &[(ParamId, Vec<f32>)],
        sum: &mut Sum,
    ) {
        let all = &supernet.params;
        let value = |id: ParamId| &all.values[all.entry(id).range()];
        let mut origins = subnet.params.ids().zip(&self.weights);
        for (id, gradient) in gradients {
            let origin = origins.find(|(of, _)| of == id);
            let Some((_, origin)) = origin else { continue };
            let (to, from) = (all.entry(origin.weight), subnet.params.entry(*id));
            if origin.kernel {
                let large = &value(origin.weight)[..from.shape[0] * to.shape[2] * to.shape[3]];
                let matrices = origin.matrices.map(|m| m.map(value));
                let found = shrink_backward(gradient, large, from.shape[2], matrices);
                plus(whole(sum, origin.weight, to.len()), &found.0);
                for (id, found) in origin.matrices.into_iter().flatten().zip(found.1) {
                    if let Some(found) = found {
                        plus(whole(sum, id, found.len()), &found);
                    }
                }
                continue;
            }
            let sum = whole(sum, origin.weight, to.len());
            for (from, to) in rows(sum, to.shape, gradient, from.shape) {
                plus(from, to);
            }
        }
    }
}

fn found<T: Copy>(all: &BTreeMap<String, T>, name: &str) -> T {
    let id = all.get(name).copied();
    id.unwrap_or_else(|| unreachable!("a supernet without {name}"))
}

/// The gradient of a weight of so many values.
fn whole(sum: &mut Sum, id: ParamId, len: usize) -> &mut Vec<f32> {
    sum.entry(id).or_insert_with(|| vec![0.0; len])
}

fn plus(sum: &mut [f32], gradient: &[f32]) {
    sum.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g);
}

/// The parts that two weights share, one for each output channel of the smaller: its first input
/// channels. Kernels are of one size.
fn rows<'a>(
    to: &'a mut [f32],
    to_shape: [usize; 4],
    from: &'a [f32],
    from_shape: [usize; 4],
) -> impl Iterator<Item = (&'a mut [f32], &'a [f32])> {
    let row = |shape: [usize; 4]| shape[1..].iter().product::<usize>();
    let (to_row, from_row) = (row(to_shape), row(from_shape));
    let both = to_row.min(from_row);
    let pairs = to.chunks_exact_mut(to_row).zip(from.chunks_exact(from_row));
    pairs.map(move |(to, from)| (&mut to[..both], &from[..both]))
}
