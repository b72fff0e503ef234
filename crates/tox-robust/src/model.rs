//! A network as an oracle.

use crate::oracle::{Cotangent, Oracle};
use burn::tensor::{Tensor, TensorData};
use tox_data::Normalise;
use tox_nn::Device;
use tox_nn::ascent::{self, Ascended, Ascent, Images};
use tox_nn::layers::{Mode, Network, Pass, State};
use tox_nn::ops::read;
use tox_nn::params::Resident;

/// A network in evaluation mode (batch norm by the running statistics, dropout off) with the
/// normalisation of its images.
#[derive(Debug)]
pub struct Model<'a, N> {
    network: &'a N,
    state: &'a State,
    normalise: &'a Normalise,
    shape: [usize; 3],
    classes: usize,
    device: Device,
    mode: Mode<'a>,
    resident: Resident,
}

impl<'a, N: Network> Model<'a, N> {
    /// `shape` is that of an image: channels, of which `normalise` has as many, height, width.
    /// `device` is a plain one, without autodiff.
    pub fn new(
        network: &'a N,
        state: &'a State,
        normalise: &'a Normalise,
        (shape, classes): ([usize; 3], usize),
        device: Device,
    ) -> Self {
        Self {
            network,
            state,
            normalise,
            shape,
            classes,
            device,
            mode: Mode::Evaluate,
            resident: Resident::default(),
        }
    }

    /// In another mode: with [`Mode::Probe`], whose batch norm goes by the batch's own statistics, what
    /// a row gives does depend on the others.
    pub fn in_mode(mut self, mode: Mode<'a>) -> Self {
        self.mode = mode;
        self
    }
}

/// Rows of pixels of images of `shape`, normalised, `[n, c, h, w]`.
pub fn normalised(
    pixels: &[f32],
    [c, h, w]: [usize; 3],
    normalise: &Normalise,
    device: &Device,
) -> Tensor<4> {
    let shape = [pixels.len() / (c * h * w), c, h, w];
    let mut values = pixels.to_vec();
    for (i, channel) in values.chunks_exact_mut(h * w).enumerate() {
        let (mean, std) = (normalise.mean[i % c], normalise.std[i % c]);
        channel.iter_mut().for_each(|v| *v = (*v - mean) / std);
    }
    Tensor::from_data(TensorData::new(values, shape), device)
}

impl<'a, N: Network> Model<'a, N> {
    fn function(&self) -> Function<'_, impl Fn(Tensor<4>, &Device) -> Tensor<2>> {
        let (network, state, mode) = (self.network, self.state, self.mode);
        Function {
            of: move |x, device: &Device| {
                let pass = Pass::fixed(state, device, mode).resident(&self.resident);
                network.logits(&pass, x)
            },
            normalise: self.normalise,
            shape: self.shape,
            classes: self.classes,
            device: self.device.clone(),
        }
    }
}

impl<N: Network> Oracle for Model<'_, N> {
    fn shape(&self) -> [usize; 3] {
        self.shape
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn logits(&self, pixels: &[f32]) -> Vec<f32> {
        self.function().logits(pixels)
    }

    fn pullback(&self, pixels: &[f32], cotangent: &mut Cotangent<'_>) -> (Vec<f32>, Vec<f32>) {
        self.function().pullback(pixels, cotangent)
    }

    fn ascend(&self, ascent: &Ascent<'_>) -> Option<Ascended> {
        self.function().ascend(ascent)
    }
}

/// Any differentiable function of normalised images `[n, c, h, w]` to logits `[n, classes]`, on the
/// device that it is given.
pub struct Function<'a, F> {
    pub of: F,
    /// As many channels as `shape`.
    pub normalise: &'a Normalise,
    /// Channels, height, width of an image.
    pub shape: [usize; 3],
    pub classes: usize,
    /// A plain one, without autodiff.
    pub device: Device,
}

impl<F: Fn(Tensor<4>, &Device) -> Tensor<2>> Oracle for Function<'_, F> {
    fn shape(&self) -> [usize; 3] {
        self.shape
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn logits(&self, pixels: &[f32]) -> Vec<f32> {
        let x = normalised(pixels, self.shape, self.normalise, &self.device);
        read((self.of)(x, &self.device))
    }

    fn pullback(&self, pixels: &[f32], cotangent: &mut Cotangent<'_>) -> (Vec<f32>, Vec<f32>) {
        let device = self.device.clone().autodiff();
        let x = normalised(pixels, self.shape, self.normalise, &device).require_grad();
        let y = (self.of)(x.clone(), &device);
        let (shape, logits) = (y.dims(), read(y.clone().inner()));
        // A network whose answer does not depend on the image, such as a cell without a path through it.
        if !y.is_tracked() {
            return (logits, vec![0.0; pixels.len()]);
        }
        let cotangent = TensorData::new(cotangent(&logits), shape);
        let gradients = (y * Tensor::from_data(cotangent, &device)).sum().backward();
        let mut gradient = match x.grad(&gradients) {
            Some(gradient) => read(gradient),
            None => vec![0.0; pixels.len()],
        };
        let [c, h, w] = self.shape;
        for (i, channel) in gradient.chunks_exact_mut(h * w).enumerate() {
            let std = self.normalise.std[i % c];
            channel.iter_mut().for_each(|v| *v /= std);
        }
        (logits, gradient)
    }

    fn ascend(&self, ascent: &Ascent<'_>) -> Option<Ascended> {
        let images = Images {
            shape: self.shape,
            mean: &self.normalise.mean,
            std: &self.normalise.std,
        };
        ascent::run(ascent, images, &self.device, &self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cell of ops that pass nothing on makes such a network.
    #[test]
    fn an_answer_that_does_not_depend_on_the_image_has_no_gradient() {
        let normalise = Normalise {
            mean: vec![0.5],
            std: vec![0.25],
        };
        let constant = Function {
            of: |x: Tensor<4>, device: &Device| Tensor::ones([x.dims()[0], 3], device),
            normalise: &normalise,
            shape: [1, 2, 2],
            classes: 3,
            device: Device::flex(),
        };
        let (logits, gradient) = constant.pullback(&[0.1; 8], &mut |logits| logits.to_vec());
        assert_eq!(logits, [1.0; 6]);
        assert_eq!(gradient, [0.0; 8]);
    }
}
