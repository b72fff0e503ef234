//! Makes layers and the initial values of their weights.

use super::norm::BatchNorm;
use super::state::State;
use super::{Conv, Linear};
use crate::init;
use crate::kernels::conv::Geometry;
use crate::params::ParamId;
use tox_data::rng::stream;

/// Which side of a weight Kaiming's rule preserves the variance of, as PyTorch counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fan {
    /// `c_in / groups * k * k`.
    In,
    /// `c_out * k * k`, whatever the groups.
    Out,
}

/// How weights begin. Batch norms begin with gamma 1 and beta 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Init {
    /// PyTorch's default of conv and linear: weight and bias uniform in `±1 / sqrt(fan_in)`.
    Torch,
    /// Kaiming normal with ReLU gain, standard deviation `sqrt(2 / fan)` (He et al. 2015); biases 0.
    KaimingNormal(Fan),
    /// Kaiming uniform with ReLU gain, `±sqrt(6 / fan)`; biases 0.
    KaimingUniform(Fan),
    /// Zeros, where the weights come from elsewhere and draws would be in vain.
    Zero,
}

/// Adds layers to a state. Every weight is drawn from a stream of its own, keyed by seed, network
/// and name: a network with more layers begins with the same weights in those that it shares with
/// another.
#[derive(Debug)]
pub struct Builder<'a> {
    state: State,
    seed: u64,
    network: &'a str,
    /// How the weights of the convolutions added from now on begin.
    pub conv_init: Init,
    /// The same for linear layers.
    pub linear_init: Init,
}

impl<'a> Builder<'a> {
    /// `network` is the first part of the streams' key (`init/NETWORK/NAME`); `conv_init` is that
    /// of convolutions, linear layers begin as PyTorch's do.
    pub fn new(seed: u64, network: &'a str, conv_init: Init) -> Self {
        Self {
            state: State::default(),
            seed,
            network,
            conv_init,
            linear_init: Init::Torch,
        }
    }

    /// The seed and the network that streams are keyed by.
    pub fn key(&self) -> (u64, &'a str) {
        (self.seed, self.network)
    }

    /// All numbers of the layers so far.
    pub fn finish(self) -> State {
        self.state
    }

    /// A convolution without bias from `c_in` to `c_out` channels.
    pub fn conv(&mut self, name: &str, c_in: usize, c_out: usize, geometry: Geometry) -> Conv {
        let (per_group, k) = (c_in / geometry.groups, geometry.kernel);
        let fans = [per_group * k * k, c_out * k * k];
        let shape = [c_out, per_group, k, k];
        Conv {
            weight: self.weight(format!("{name}.weight"), shape, self.conv_init, fans),
            bias: None,
            geometry,
        }
    }

    /// A convolution with bias.
    pub fn conv_with_bias(
        &mut self,
        name: &str,
        c_in: usize,
        c_out: usize,
        geometry: Geometry,
    ) -> Conv {
        let fan_in = c_in / geometry.groups * geometry.kernel * geometry.kernel;
        let conv = self.conv(name, c_in, c_out, geometry);
        let bias = self.bias(format!("{name}.bias"), c_out, self.conv_init, fan_in);
        Conv {
            bias: Some(bias),
            ..conv
        }
    }

    /// A batch norm with gamma and beta.
    pub fn norm(&mut self, name: &str, channels: usize) -> BatchNorm {
        let mut vector = |part: &str, value| {
            let values = vec![value; channels];
            let name = format!("{name}.{part}");
            self.state.params.add(name, [channels], values)
        };
        let affine = (vector("weight", 1.0), vector("bias", 0.0));
        BatchNorm {
            affine: Some(affine),
            ..self.norm_without_affine(name, channels)
        }
    }

    /// A batch norm that only normalises.
    pub fn norm_without_affine(&mut self, name: &str, channels: usize) -> BatchNorm {
        BatchNorm {
            affine: None,
            running: self.state.running.add(name.to_owned(), channels),
        }
    }

    /// A linear layer with bias.
    pub fn linear(&mut self, name: &str, inputs: usize, outputs: usize) -> Linear {
        let (weight, init) = (format!("{name}.weight"), self.linear_init);
        Linear {
            weight: self.weight(weight, [outputs, inputs], init, [inputs, outputs]),
            bias: self.bias(format!("{name}.bias"), outputs, init, inputs),
        }
    }

    /// The weight of a linear layer without bias, `[outputs, inputs]`.
    pub fn matrix(&mut self, name: &str, inputs: usize, outputs: usize) -> ParamId {
        let (shape, init) = ([outputs, inputs], self.linear_init);
        self.weight(format!("{name}.weight"), shape, init, [inputs, outputs])
    }

    fn weight<const D: usize>(
        &mut self,
        name: String,
        shape: [usize; D],
        init: Init,
        [fan_in, fan_out]: [usize; 2],
    ) -> ParamId {
        let n = shape.iter().product();
        let mut rng = stream(self.seed, &format!("init/{}/{name}", self.network), &[]);
        let fan = |fan| match fan {
            Fan::In => fan_in as f32,
            Fan::Out => fan_out as f32,
        };
        let values = match init {
            Init::Torch => init::uniform(n, (1.0 / fan_in as f32).sqrt(), &mut rng),
            Init::KaimingNormal(side) => init::normal(n, (2.0 / fan(side)).sqrt(), &mut rng),
            Init::KaimingUniform(side) => init::uniform(n, (6.0 / fan(side)).sqrt(), &mut rng),
            Init::Zero => vec![0.0; n],
        };
        self.state.params.add(name, shape, values)
    }

    fn bias(&mut self, name: String, n: usize, init: Init, fan_in: usize) -> ParamId {
        match init {
            Init::Torch => self.weight(name, [n], init, [fan_in, n]),
            Init::KaimingNormal(_) | Init::KaimingUniform(_) | Init::Zero => {
                self.state.params.add(name, [n], vec![0.0; n])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(init: Init) -> State {
        let mut b = Builder::new(7, "test", init);
        b.conv_with_bias("a", 16, 64, Geometry::same(3).groups(2));
        b.linear("b", 400, 30);
        b.finish()
    }

    fn moments(values: &[f32]) -> (f32, f32) {
        let n = values.len() as f32;
        let mean = values.iter().sum::<f32>() / n;
        let var = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / n;
        (mean, var)
    }

    fn named<'a>(state: &'a State, name: &str) -> &'a [f32] {
        let entry = state.params.entries().iter().find(|e| e.name == name);
        &state.params.values[entry.unwrap().range()]
    }

    /// Fan-in is 8 * 9, fan-out 64 * 9: `torch.nn.init._calculate_fan_in_and_fan_out` of a weight
    /// (64, 8, 3, 3).
    #[test]
    fn spreads_are_those_of_pytorch() {
        let bounds = [
            (Init::Torch, 1.0 / 72.0 / 3.0, Some(1.0 / 72.0)),
            (Init::KaimingNormal(Fan::In), 2.0 / 72.0, None),
            (Init::KaimingNormal(Fan::Out), 2.0 / 576.0, None),
            (Init::KaimingUniform(Fan::In), 2.0 / 72.0, Some(6.0 / 72.0)),
            (
                Init::KaimingUniform(Fan::Out),
                2.0 / 576.0,
                Some(6.0 / 576.0),
            ),
        ];
        for (init, var, bound) in bounds {
            let state = built(init);
            let weight = named(&state, "a.weight");
            let (mean, found) = moments(weight);
            assert!(
                mean.abs() < 4.0 * (var / 4608.0f32).sqrt(),
                "{init:?} {mean}"
            );
            assert!((found / var - 1.0).abs() < 0.1, "{init:?} {found} {var}");
            let largest = weight.iter().fold(0.0f32, |m, v| m.max(v * v));
            match bound {
                Some(bound) => assert!(largest <= bound && largest > 0.98 * bound),
                None => assert!(largest > 9.0 * var, "{init:?} {largest}"),
            }
            let bias = named(&state, "a.bias");
            assert_eq!(bias.iter().all(|b| *b == 0.0), init != Init::Torch);
            // Linear layers are PyTorch's whatever the convolutions are.
            let (_, found) = moments(named(&state, "b.weight"));
            assert!((found * 1200.0 - 1.0).abs() < 0.1, "{found}");
            let bias = named(&state, "b.bias");
            assert!(bias.iter().all(|b| b.abs() <= 0.05) && bias.iter().any(|b| b.abs() > 0.02));
        }
    }

    #[test]
    fn a_weight_depends_on_seed_network_and_name_alone() {
        let conv = |seed, network, before: bool| {
            let mut b = Builder::new(seed, network, Init::Torch);
            if before {
                b.conv("other", 2, 2, Geometry::same(1));
            }
            b.conv("a", 2, 2, Geometry::same(3));
            named(&b.finish(), "a.weight").to_vec()
        };
        let base = conv(1, "search", false);
        assert_eq!(base, conv(1, "search", true));
        assert_ne!(base, conv(2, "search", false));
        assert_ne!(base, conv(1, "final", false));
    }
}
