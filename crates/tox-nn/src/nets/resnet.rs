//! ResNet-18 for small images (He et al. 2016): a 3x3 stem of stride 1 and no max pooling, as usual
//! for CIFAR. Names are torchvision's (`layer2.0.downsample.0.weight`, `fc.bias`), so that its
//! `resnet18` with `conv1` and `maxpool` replaced loads our weights and gives us its own. [`ours`] translates
//! those of `kuangliu/pytorch-cifar` (`layer2.0.shortcut.0.weight`, `linear.bias`).

use super::file::WeightsFile;
use crate::kernels::conv::Geometry;
use crate::layers::{BatchNorm, Builder, Conv, Init, Linear, Network, Pass, State};
use crate::ops;
use burn::tensor::Tensor;
use std::collections::BTreeMap;

/// Channels of the stem and the first stage in the published network.
pub const WIDTH: usize = 64;

/// Two 3x3 convolutions and the way around them.
#[derive(Clone, Copy, Debug)]
struct Block {
    convs: [(Conv, BatchNorm); 2],
    /// A 1x1 convolution where the block changes the map's shape.
    around: Option<(Conv, BatchNorm)>,
}

/// The network.
#[derive(Clone, Debug)]
pub struct ResNet {
    stem: (Conv, BatchNorm),
    blocks: Vec<Block>,
    head: Linear,
}

/// Our name of a tensor without a prefix.
pub fn ours(name: &str) -> String {
    let name = match name.strip_prefix("linear.") {
        Some(rest) => format!("fc.{rest}"),
        None => name.to_owned(),
    };
    name.replace(".shortcut.", ".downsample.")
}

/// The width of the ResNet-18 that a file is of, where its names and shapes are those of one.
pub fn infer(file: &WeightsFile) -> Option<usize> {
    let shapes: BTreeMap<String, &[usize]> = file
        .shapes
        .iter()
        .map(|(name, shape)| (ours(name), shape.as_slice()))
        .collect();
    let [width, _, 3, 3] = **shapes.get("conv1.weight")? else {
        return None;
    };
    let at = |name: &str| shapes.get(format!("{name}.weight").as_str()).copied();
    // Two basic blocks a stage; deeper networks have more, bottlenecks a third convolution.
    let stage = |i: usize| {
        let block = |j: usize| at(&format!("layer{i}.{j}.conv2"));
        let c = width << (i - 1);
        let two = [0, 1].iter().all(|j| block(*j) == Some(&[c, c, 3, 3]));
        two && block(2).is_none() && at(&format!("layer{i}.0.conv3")).is_none()
    };
    let stages = (1..=4).all(stage);
    let rest = at("bn1") == Some(&[width]) && at("layer2.0.downsample.1").is_some();
    (stages && rest && at("fc")?.get(1) == Some(&(8 * width))).then_some(width)
}

/// Multiply-accumulates of a [`resnet18`] for one image of `height` x `width`: those of convolutions and
/// of the linear layer.
pub fn macs([in_channels, classes, channels]: [usize; 3], [height, width]: [usize; 2]) -> u64 {
    let (mut h, mut w) = (height, width);
    let mut macs = 9 * in_channels * channels * h * w;
    let mut c_in = channels;
    for stage in 0..4 {
        let c = channels << stage;
        for i in 0..2 {
            if stage > 0 && i == 0 {
                (h, w) = (h.div_ceil(2), w.div_ceil(2));
            }
            let around = if c_in == c { 0 } else { c_in * c };
            macs += (9 * c_in * c + 9 * c * c + around) * h * w;
            c_in = c;
        }
    }
    (macs + c_in * classes) as u64
}

/// A ResNet-18 for images of `in_channels` channels and `classes` classes. Its four stages of two
/// blocks have `width`, 2, 4 and 8 times `width` channels; [`WIDTH`] is the published one, fewer
/// make a network for laptops: cost and weights go with the square. Initial weights are drawn from
/// streams keyed by `seed`, `network` and their name.
///
/// # Panics
/// If a number is 0.
pub fn resnet18(
    in_channels: usize,
    classes: usize,
    width: usize,
    init: Init,
    (seed, network): (u64, &str),
) -> (ResNet, State) {
    assert!(in_channels * classes * width > 0, "sizes of a ResNet-18");
    let mut b = Builder::new(seed, network, init);
    let stem = (
        b.conv("conv1", in_channels, width, Geometry::same(3)),
        b.norm("bn1", width),
    );
    let (mut blocks, mut c_in) = (Vec::new(), width);
    for stage in 0..4 {
        let c = width << stage;
        for i in 0..2 {
            let stride = if stage > 0 && i == 0 { 2 } else { 1 };
            let name = format!("layer{}.{i}", stage + 1);
            blocks.push(Block::new(&mut b, &name, (c_in, c), stride));
            c_in = c;
        }
    }
    let head = b.linear("fc", c_in, classes);
    (ResNet { stem, blocks, head }, b.finish())
}

impl Block {
    fn new(b: &mut Builder<'_>, name: &str, (c_in, c): (usize, usize), stride: usize) -> Self {
        let mut conv = |i: usize, c_in, g| {
            (
                b.conv(&format!("{name}.conv{i}"), c_in, c, g),
                b.norm(&format!("{name}.bn{i}"), c),
            )
        };
        let three = Geometry::same(3);
        let convs = [conv(1, c_in, three.stride(stride)), conv(2, c, three)];
        let around = (stride > 1 || c_in != c).then(|| {
            let one = Geometry::same(1).stride(stride);
            (
                b.conv(&format!("{name}.downsample.0"), c_in, c, one),
                b.norm(&format!("{name}.downsample.1"), c),
            )
        });
        Self { convs, around }
    }

    fn forward(&self, pass: &Pass<'_>, x: Tensor<4>) -> Tensor<4> {
        let [(conv1, norm1), (conv2, norm2)] = &self.convs;
        let y = norm1.forward(pass, conv1.forward(pass, x.clone()), true);
        let y = norm2.forward(pass, conv2.forward(pass, y), false);
        let around = match &self.around {
            Some((conv, norm)) => norm.forward(pass, conv.forward(pass, x), false),
            None => x,
        };
        pass.relu(y + around)
    }
}

impl ResNet {
    /// What the last layer sees: `[n, 8 width]` for images `x` `[n, c, h, w]`.
    pub fn features(&self, pass: &Pass<'_>, x: Tensor<4>) -> Tensor<2> {
        let (conv, norm) = &self.stem;
        let mut x = norm.forward(pass, conv.forward(pass, x), true);
        for block in &self.blocks {
            x = block.forward(pass, x);
        }
        ops::global_average(x)
    }
}

impl Network for ResNet {
    fn logits(&self, pass: &Pass<'_>, x: Tensor<4>) -> Tensor<2> {
        self.head.forward(pass, self.features(pass, x))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 11,173,962 is what `kuangliu/pytorch-cifar` and others report for CIFAR-10; 11,220,132 for
    /// 100 classes.
    #[test]
    fn parameters_are_the_published_ones() {
        for (classes, expected) in [(10, 11_173_962), (100, 11_220_132)] {
            let (_, state) = resnet18(3, classes, WIDTH, Init::Torch, (0, "test"));
            assert_eq!(state.parameters(), expected);
        }
    }

    /// 0.56 G is what is widely reported of it; to the last one by hooks on PyTorch's layers
    /// (`benches/peers/resnet18.py`).
    #[test]
    fn multiply_accumulates_are_the_published_ones() {
        assert_eq!(macs([3, 10, WIDTH], [32, 32]), 555_422_720);
    }

    #[test]
    fn names_of_others_are_ours() {
        for (theirs, expected) in [
            ("linear.bias", "fc.bias"),
            (
                "layer2.0.shortcut.1.running_var",
                "layer2.0.downsample.1.running_var",
            ),
            ("layer1.0.bn2.weight", "layer1.0.bn2.weight"),
        ] {
            assert_eq!(ours(theirs), expected);
        }
    }
}
