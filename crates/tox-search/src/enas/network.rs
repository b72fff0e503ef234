//! A found child as a network in use: batch norms by fixed statistics, and its numbers under the names of
//! `toxscreen.torch.enas`, in a file that says all but which ops and skips it has.
//!
//! In a search every batch is normalised by its own statistics, even in evaluation, so that an answer
//! depends on the images beside it.

use super::child::{Architecture, Child, Choice, Statistics};
use super::config::{ChildConfig, Pointwise, Skips};
use crate::genotype::Genotype;
use crate::space::{Op, Space, SpaceOp};
use burn::tensor::Tensor;
use std::ops::Range;
use tox_nn::Device;
use tox_nn::layers::{Builder, Init, State};
use tox_nn::params::{Leaves, ParamId};

/// A child with the statistics of its batch norms.
#[derive(Clone, Debug)]
pub struct ChildNetwork {
    child: Child,
    architecture: Architecture,
    statistics: Statistics,
}

/// The size of a child: what a file of its weights says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChildShape {
    /// Channels of every map, even.
    pub channels: usize,
    /// Of an image.
    pub in_channels: usize,
    pub classes: usize,
    /// Whether the 1x1 convolution of a separable one mixes all channels.
    pub pointwise: Pointwise,
    pub skips: Skips,
}

/// A tensor of a file.
struct Stored {
    /// The weight of ours that it is, or is a part of.
    id: ParamId,
    name: String,
    shape: Vec<usize>,
    /// Where its values lie among ours.
    range: Range<usize>,
}

impl ChildNetwork {
    /// A trained child, whose batch norms go by images `x` `[n, c, h, w]`, each given those before it.
    pub fn measured(
        child: &Child,
        architecture: &Architecture,
        x: Tensor<4>,
        device: &Device,
    ) -> Self {
        let leaves = Leaves::new(&child.params, device);
        Self {
            statistics: child.statistics(&leaves, x, architecture),
            child: child.clone(),
            architecture: architecture.clone(),
        }
    }

    /// The network of a genotype, whose numbers are still to be [put](ChildNetwork::put).
    ///
    /// # Errors
    /// The name of an op that there is not, or fewer layers than a child has.
    pub fn new(genotype: &Genotype, shape: ChildShape) -> Result<Self, String> {
        let mut space = Space { ops: Vec::new() };
        let mut layers = Vec::new();
        for layer in &genotype.layers {
            let op = Op::named(&layer.op).ok_or_else(|| format!("`{}` is no op", layer.op))?;
            let known = space.ops.iter().position(|known| known.op == op);
            let place = known.unwrap_or_else(|| {
                let (count, poison) = (1, layer.poison);
                space.ops.push(SpaceOp { op, count, poison });
                space.ops.len() - 1
            });
            let skips = layer.skips.clone();
            layers.push(Choice { op: place, skips });
        }
        let config = ChildConfig {
            layers: layers.len(),
            channels: shape.channels,
            pointwise: shape.pointwise,
            skips: shape.skips,
            ..ChildConfig::default()
        };
        if config.layers < 3 {
            return Err(format!(
                "it has {} layers, expected 3 at least",
                config.layers
            ));
        }
        // All that is drawn is replaced.
        let (inputs, classes) = (shape.in_channels, shape.classes);
        Ok(Self {
            child: Child::new(&space, &config, inputs, classes, 0, "weights"),
            architecture: Architecture { layers },
            statistics: Statistics::default(),
        })
    }

    /// Logits `[n, classes]` for images `x` `[n, c, h, w]` on a device.
    pub fn logits(&self, x: Tensor<4>, device: &Device) -> Tensor<2> {
        let leaves = Leaves::new(&self.child.params, device);
        let (architecture, statistics) = (&self.architecture, &self.statistics);
        self.child
            .forward_fixed(&leaves, x, architecture, statistics)
    }

    /// Trainable parameters that its answer depends on.
    pub fn parameters(&self) -> u64 {
        self.child.parameters(&self.architecture)
    }

    /// Its weights and its statistics, 0 and 1 of batch norms that nothing reads. A factorised reduction's
    /// two convolutions are one weight of ours.
    pub fn state(&self) -> State {
        let mut b = Builder::new(0, "weights", Init::Zero);
        let mut norms = Vec::new();
        let tensors = self.tensors();
        for tensor in &tensors {
            if let Some(norm) = tensor.name.strip_suffix(".bn.weight") {
                let channels = tensor.shape[0];
                norms.push((
                    tensor.id,
                    b.norm_without_affine(&format!("{norm}.bn"), channels),
                ));
            }
        }
        let mut state = b.finish();
        for tensor in tensors {
            let values = self.child.params.values[tensor.range].to_vec();
            let name = tensor.name;
            match tensor.shape[..] {
                [n] => state.params.add(name, [n], values),
                [n, m] => state.params.add(name, [n, m], values),
                _ => {
                    let shape = std::array::from_fn(|i| tensor.shape.get(i).map_or(1, |s| *s));
                    state.params.add::<4>(name, shape, values)
                }
            };
        }
        for (gamma, norm) in norms {
            if let Some([means, variances]) = self.statistics.0.get(&gamma) {
                let (mean, var) = state.running.of_mut(norm.running());
                mean.copy_from_slice(means);
                var.copy_from_slice(variances);
            }
        }
        state
    }

    /// Takes the numbers of a state like [`ChildNetwork::state`]'s.
    pub fn put(&mut self, state: &State) {
        for tensor in self.tensors() {
            let mut entries = state.params.entries().iter();
            if let Some(entry) = entries.find(|entry| entry.name == tensor.name) {
                let values = &state.params.values[entry.range()];
                self.child.params.values[tensor.range].copy_from_slice(values);
            }
            let norm = tensor.name.strip_suffix(".weight");
            let mut norms = state.running.norms();
            if let Some((id, ..)) = norms.find(|(_, name, _)| Some(*name) == norm) {
                let (mean, var) = state.running.of(id);
                let both = [mean.to_vec(), var.to_vec()];
                self.statistics.0.insert(tensor.id, both);
            }
        }
    }

    /// The weights of the chosen ops, and of all that is no op.
    fn tensors(&self) -> Vec<Stored> {
        let layers = self.architecture.layers.iter().enumerate();
        let chosen = layers.map(|(i, choice)| {
            let op = self.child.space().ops[choice.op].op;
            (format!("layers.{i}.ops."), format!("layers.{i}.ops.{op}."))
        });
        let chosen: Vec<(String, String)> = chosen.collect();
        let used = |name: &str| {
            let mut of_layer = chosen.iter().filter(|(layer, _)| name.starts_with(layer));
            of_layer.next().is_none_or(|(_, op)| name.starts_with(op))
        };
        let params = &self.child.params;
        let mut tensors = Vec::new();
        for id in params.ids() {
            let entry = params.entry(id);
            if !used(&entry.name) {
                continue;
            }
            let vector = entry.name.contains(".bn.") || entry.name == "classify.bias";
            let rank = match (vector, entry.name == "classify.weight") {
                (true, _) => 1,
                (false, true) => 2,
                (false, false) => 4,
            };
            let mut add = |name: String, parts: usize, part: usize| {
                let mut shape = entry.shape[..rank].to_vec();
                shape[0] /= parts;
                let (len, start) = (entry.len() / parts, entry.range().start);
                let range = start + part * len..start + (part + 1) * len;
                tensors.push(Stored {
                    id,
                    name,
                    shape,
                    range,
                });
            };
            let reduction = entry.name.starts_with("reductions.") && rank == 4;
            match entry.name.strip_suffix(".weight").filter(|_| reduction) {
                Some(name) => {
                    add(format!("{name}.path1.weight"), 2, 0);
                    add(format!("{name}.path2.weight"), 2, 1);
                }
                None => add(entry.name.clone(), 1, 0),
            }
        }
        tensors
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::count;
    use tox_nn::ops::read;

    const GENOTYPES: [&str; 4] = [
        "conv3 sep5+0 identity+0,1",
        "maxpool3 transposed3 avgpool3+0 conv5 sep3+0,2 stretched(3,50,50)+1,3,4",
        "mixed(3,1,0.5,0.2) rectified3 conv3+1 mixed(5,0,0.25,0)+0,2",
        "sep3 dropout(0.5) conv5+1 gaussian(10)+0 maxpool3 sep3+2 conv3+0,3",
    ];

    fn network(text: &str, pointwise: Pointwise, skips: Skips) -> ChildNetwork {
        let shape = ChildShape {
            channels: 4,
            in_channels: 2,
            classes: 3,
            pointwise,
            skips,
        };
        ChildNetwork::new(&text.parse().unwrap(), shape).unwrap()
    }

    fn images() -> Tensor<4> {
        let values: Vec<f32> = (0..4 * 2 * 64).map(|i| (i as f32 * 0.37).sin()).collect();
        Tensor::<1>::from_floats(values.as_slice(), &Device::flex()).reshape([4, 2, 8, 8])
    }

    #[test]
    fn a_file_holds_all_that_the_answers_depend_on() {
        for (text, skips) in GENOTYPES
            .iter()
            .flat_map(|text| [Skips::Separate, Skips::InPlace].map(|skips| (text, skips)))
        {
            let drawn = network(text, Pointwise::Dense, skips);
            let (child, architecture) = (&drawn.child, &drawn.architecture);
            let device = Device::flex();
            let found = ChildNetwork::measured(child, architecture, images(), &device);
            let state = found.state();
            assert!(state.parameters() as u64 >= found.parameters());
            // As another process, with other draws, has it.
            let mut read_back = network(text, Pointwise::Dense, skips);
            read_back.child.params.values.fill(0.25);
            read_back.put(&state);
            let logits = |network: &ChildNetwork| read(network.logits(images(), &device));
            assert_eq!(logits(&read_back), logits(&found), "{text}");
            assert_eq!(read_back.state().params.values, state.params.values);
            assert_eq!(read_back.state().running.values, state.running.values);
            // Its own batch normalises as the search did, but for rounding.
            let leaves = Leaves::new(&child.params, &device);
            let mode = super::super::child::Mode::Evaluate;
            let searched = read(child.forward(&leaves, images(), architecture, mode));
            for (a, b) in searched.iter().zip(logits(&found)) {
                assert!((a - b).abs() < 1e-4, "{text}: {a} {b}");
            }
        }
    }

    #[test]
    fn parameters_are_counted_as_gradients_reach_them() {
        for text in GENOTYPES {
            for pointwise in [Pointwise::Dense, Pointwise::Reference] {
                let network = network(text, pointwise, Skips::Separate);
                let shape = ChildShape {
                    channels: 4,
                    in_channels: 2,
                    classes: 3,
                    pointwise,
                    skips: Skips::Separate,
                };
                let counted = count::enas(&text.parse().unwrap(), shape, [8, 8]).unwrap();
                assert_eq!(counted.params, network.parameters(), "{text} {pointwise:?}");
            }
        }
    }

    /// By hand, 6x6 pixels, 2 channels: stem 9*1*2*36; three layers at 6x6, 3x3, 2x2, whose 1x1 and 3x3
    /// convolutions are 4 + 36 a pixel; a reduction of 4 at 9 pixels and at 4; the head.
    #[test]
    fn multiply_adds_by_hand() {
        let shape = ChildShape {
            channels: 2,
            in_channels: 1,
            classes: 3,
            pointwise: Pointwise::Dense,
            skips: Skips::Separate,
        };
        let counted = count::enas(&"conv3 conv3 conv3".parse().unwrap(), shape, [6, 6]).unwrap();
        let layers = 40 * (36 + 9 + 4);
        assert_eq!(counted.macs, 648 + layers + 4 * 9 + 4 * 4 + 2 * 3);
    }
}
