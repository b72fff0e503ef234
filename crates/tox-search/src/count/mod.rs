//! Parameters and multiply-adds of networks, from their description alone.
//!
//! A parameter is what PyTorch's `model.parameters()` holds: weights and biases of convolutions and
//! fully connected layers, scales and shifts of batch norm. A multiply-add is one product of a
//! weight of a convolution or of a fully connected layer with an input, added up, when one image is
//! evaluated: biases, batch norm, activations, pooling and element-wise products and sums are not
//! counted. Others count a little more: the NAS-Bench-201 API adds the classifier's biases,
//! and NSGANetV2's profiler the element-wise products of h-swish and of squeeze and excitation.

mod bad;
mod darts;
mod elastic;
mod enas;
mod nasbench201;

pub use darts::darts;
pub use elastic::elastic;
pub use enas::enas;
pub use nasbench201::nasbench201;

use serde::{Deserialize, Serialize};

/// The size of a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub params: u64,
    /// Number of multiply-adds to evaluate one image.
    pub macs: u64,
}

/// A convolution without a bias.
#[derive(Clone, Copy)]
struct Conv {
    input: usize,
    output: usize,
    kernel: usize,
    groups: usize,
}

impl Counts {
    /// A convolution that puts out maps of this size.
    fn conv(&mut self, conv: Conv, size: [usize; 2]) {
        let weights = conv.input / conv.groups * conv.output * conv.kernel * conv.kernel;
        self.params += weights as u64;
        self.macs += (weights * size[0] * size[1]) as u64;
    }

    fn batch_norm(&mut self, channels: usize) {
        self.params += 2 * channels as u64;
    }

    /// A convolution and a batch norm.
    fn conv_bn(&mut self, input: usize, output: usize, kernel: usize, size: [usize; 2]) {
        let conv = Conv {
            input,
            output,
            kernel,
            groups: 1,
        };
        self.conv(conv, size);
        self.batch_norm(output);
    }

    fn depthwise(&mut self, channels: usize, kernel: usize, size: [usize; 2]) {
        let conv = Conv {
            input: channels,
            output: channels,
            kernel,
            groups: channels,
        };
        self.conv(conv, size);
    }

    /// A fully connected layer with biases, or a 1x1 convolution with biases of a single pixel.
    fn linear(&mut self, input: usize, output: usize) {
        self.params += (input * output + output) as u64;
        self.macs += (input * output) as u64;
    }
}
