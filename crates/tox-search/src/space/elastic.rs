//! The MobileNetV3-like elastic space of Once-for-All (Cai et al. 2020) that NSGANetV2 (Lu et al.
//! 2020) searches: five blocks of two to four inverted residual layers, each with its own kernel
//! size and expansion, and the resolution of the images.

use super::error::{MAX, SpaceError, within};
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tox_data::ranges::{self, OutOfRange};

/// Number of searched blocks.
pub const BLOCKS: usize = 5;
/// Layers that a block may have.
pub const DEPTHS: [usize; 3] = [2, 3, 4];
/// Kernel sizes of a layer's depthwise conv.
pub const KERNELS: [usize; 3] = [3, 5, 7];
/// Expansions of a layer: its hidden channels over its input channels.
pub const EXPANSIONS: [usize; 3] = [3, 4, 6];
/// Genes of the integer encoding.
pub const GENES: usize = BLOCKS * BLOCK_GENES + 1;

const MAX_DEPTH: usize = 4;
/// The depth, four kernel sizes, four expansions.
const BLOCK_GENES: usize = 1 + 2 * MAX_DEPTH;
/// Channels of stem, blocks, final expansion and feature mix at width 1 (`base_stage_width`).
const WIDTHS: [usize; 8] = [16, 24, 40, 80, 112, 160, 960, 1280];
const LAYOUT: &str = "for each of five blocks the depth, four kernel sizes and four expansions, \
                      then the resolution";

/// An architecture, in the form of NSGANetV2's `.subnet` files.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arch {
    /// Kernel size of every layer, block after block.
    pub ks: Vec<usize>,
    /// Expansion of every layer.
    pub e: Vec<usize>,
    /// Number of layers of every block.
    pub d: [usize; BLOCKS],
    /// Height and width of the images.
    pub r: usize,
}

/// The space and what its networks have in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ElasticSpace {
    /// Multiplies all channels, which are then rounded to multiples of 8. The published supernets
    /// have 1.0 and 1.2.
    #[schemars(range(min = 0.05, max = 10.0))]
    pub width: f64,
    /// Heights and widths of images that may be chosen, ascending.
    #[schemars(length(min = 1), inner(range(min = 1, max = MAX)))]
    pub resolutions: Vec<usize>,
    /// Stride 1 instead of 2 in the stem and in the first block, so that an image is reduced 8
    /// times instead of 32 times.
    pub small: bool,
}

/// What a layer of a network computes: 1x1 conv to `hidden` channels, BN, activation (left out
/// where `hidden` equals `input`, which is the first layer alone); depthwise conv, BN, activation;
/// squeeze and excitation if any; 1x1 conv to `output` channels, BN; plus its input where shapes
/// agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    pub input: usize,
    pub hidden: usize,
    pub output: usize,
    /// Kernel size of the depthwise conv, which is padded by half of it.
    pub kernel: usize,
    pub stride: usize,
    /// Channels between the two 1x1 convs (with biases) of squeeze and excitation, if it has one.
    pub squeeze: Option<usize>,
    /// h-swish, else ReLU.
    pub hswish: bool,
    pub residual: bool,
}

/// Channels around a network's layers. The stem is a 3x3 conv, BN, h-swish; the head is a 1x1 conv,
/// BN, h-swish, global average pooling, a 1x1 conv without BN or bias, h-swish, classifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    pub stem: usize,
    pub stem_stride: usize,
    /// Output channels of the last block, which the head reads.
    pub last: usize,
    /// Channels before the global average pooling.
    pub expand: usize,
    /// Channels before the classifier.
    pub mix: usize,
}

/// `v` rounded to a multiple of 8 and by no more than a tenth down, as all channels are in
/// MobileNets (`make_divisible`).
fn divisible(v: f64) -> usize {
    let rounded = (((v + 4.0) / 8.0) as usize * 8).max(8);
    rounded + if (rounded as f64) < 0.9 * v { 8 } else { 0 }
}

impl ElasticSpace {
    /// The published space: resolutions 192, 196, ..., 256.
    pub fn published(width: f64) -> Self {
        Self {
            width,
            resolutions: (192..=256).step_by(4).collect(),
            small: false,
        }
    }

    /// A variant for images of 32x32, such as CIFAR-10's, without enlarging them to 192 and more as
    /// the published code does: the resolutions keep their ratio of 3 to 4 (24, 28, 32), and a
    /// network ends with maps of 3x3 or 4x4 instead of one pixel.
    pub fn small(width: f64) -> Self {
        Self {
            width,
            resolutions: vec![24, 28, 32],
            small: true,
        }
    }

    /// Refuses a width or resolutions that no network can have.
    pub fn check(&self) -> Result<(), OutOfRange> {
        ranges::check(self)?;
        let ascending = self.resolutions.windows(2).all(|pair| pair[0] < pair[1]);
        let found = format!("{:?}", self.resolutions);
        OutOfRange::unless(ascending, "resolutions", found, "ascending numbers")
    }

    /// Refuses an architecture that is not of this space.
    pub fn check_arch(&self, arch: &Arch) -> Result<(), SpaceError> {
        for (block, depth) in arch.d.iter().enumerate() {
            among(&DEPTHS, *depth, || format!("the depth of block {block}"))?;
        }
        let expected = arch.d.iter().sum();
        for (list, values, allowed, what) in [
            ("ks", &arch.ks, &KERNELS, "kernel size"),
            ("e", &arch.e, &EXPANSIONS, "expansion"),
        ] {
            if values.len() != expected {
                return Err(SpaceError::Layers {
                    list,
                    found: values.len(),
                    expected,
                });
            }
            for (layer, value) in values.iter().enumerate() {
                among(allowed, *value, || format!("the {what} of layer {layer}"))?;
            }
        }
        among(&self.resolutions, arch.r, || "the resolution".to_owned()).map(|_| ())
    }

    /// The highest value of every gene; the lowest is 0.
    pub fn highest(&self) -> [usize; GENES] {
        let mut highest = [2; GENES];
        highest[GENES - 1] = self.resolutions.len().saturating_sub(1);
        highest
    }

    /// The integer encoding: for each block the position of its depth in [`DEPTHS`], of its layers'
    /// kernel sizes in [`KERNELS`] and of their expansions in [`EXPANSIONS`], four each and 0 where
    /// there is no layer; then the position of the resolution.
    pub fn encode(&self, arch: &Arch) -> Result<[usize; GENES], SpaceError> {
        self.check_arch(arch)?;
        let place = |values: &[usize], value| values.iter().position(|v| *v == value);
        let mut genes = [0; GENES];
        let mut layer = 0;
        for (block, depth) in genes.chunks_exact_mut(BLOCK_GENES).zip(arch.d) {
            block[0] = place(&DEPTHS, depth).unwrap_or_default();
            for i in 0..depth {
                block[1 + i] = place(&KERNELS, arch.ks[layer]).unwrap_or_default();
                block[1 + MAX_DEPTH + i] = place(&EXPANSIONS, arch.e[layer]).unwrap_or_default();
                layer += 1;
            }
        }
        genes[GENES - 1] = place(&self.resolutions, arch.r).unwrap_or_default();
        Ok(genes)
    }

    /// The architecture of an encoding; genes of layers that a block does not have are not read.
    pub fn decode(&self, genes: &[usize]) -> Result<Arch, SpaceError> {
        if genes.len() != GENES {
            return Err(SpaceError::Genes {
                found: genes.len(),
                expected: GENES,
                layout: LAYOUT,
            });
        }
        for (gene, (found, highest)) in genes.iter().zip(self.highest()).enumerate() {
            if *found > highest {
                return Err(SpaceError::Gene {
                    gene,
                    meaning: meaning(gene),
                    found: *found,
                    highest,
                });
            }
        }
        let mut arch = Arch {
            ks: Vec::new(),
            e: Vec::new(),
            d: [0; BLOCKS],
            r: self.resolutions.get(genes[GENES - 1]).copied().unwrap_or(0),
        };
        for (block, depth) in genes.chunks_exact(BLOCK_GENES).zip(&mut arch.d) {
            *depth = DEPTHS[block[0]];
            let (kernels, expansions) = block[1..].split_at(MAX_DEPTH);
            arch.ks
                .extend(kernels[..*depth].iter().map(|g| KERNELS[*g]));
            arch.e
                .extend(expansions[..*depth].iter().map(|g| EXPANSIONS[*g]));
        }
        self.check_arch(&arch)?;
        Ok(arch)
    }

    /// A random architecture, as NSGANetV2 draws its initial designs: depths, kernel sizes,
    /// expansions and the resolution independently and uniformly.
    pub fn random(&self, rng: &mut impl Rng) -> Arch {
        let d = [(); BLOCKS].map(|()| DEPTHS[rng.random_range(0..DEPTHS.len())]);
        let layers: usize = d.iter().sum();
        let mut draw = |values: &[usize; 3]| -> Vec<usize> {
            (0..layers)
                .map(|_| values[rng.random_range(0..values.len())])
                .collect()
        };
        Arch {
            ks: draw(&KERNELS),
            e: draw(&EXPANSIONS),
            d,
            r: self.resolutions.choose(rng).copied().unwrap_or(0),
        }
    }

    /// The smallest and the largest architecture, which NSGANetV2 puts among its initial designs.
    pub fn extremes(&self) -> [Arch; 2] {
        let all = |i: usize, r: Option<&usize>| Arch {
            ks: vec![KERNELS[i]; BLOCKS * DEPTHS[i]],
            e: vec![EXPANSIONS[i]; BLOCKS * DEPTHS[i]],
            d: [DEPTHS[i]; BLOCKS],
            r: r.copied().unwrap_or(0),
        };
        [
            all(0, self.resolutions.first()),
            all(2, self.resolutions.last()),
        ]
    }

    fn widths(&self) -> [usize; 8] {
        WIDTHS.map(|channels| divisible(channels as f64 * self.width))
    }

    /// The layers of a network, the first of which is not searched.
    pub fn layers(&self, arch: &Arch) -> Result<Vec<Layer>, SpaceError> {
        self.check()?;
        self.check_arch(arch)?;
        let widths = self.widths();
        let mut layers = vec![Layer {
            input: widths[0],
            hidden: widths[0],
            output: widths[0],
            kernel: 3,
            stride: 1,
            squeeze: None,
            hswish: false,
            residual: true,
        }];
        let first = if self.small { 1 } else { 2 };
        let strides = [first, 2, 2, 1, 2];
        let mut searched = arch.ks.iter().zip(&arch.e);
        let mut input = widths[0];
        for (block, depth) in arch.d.into_iter().enumerate() {
            let output = widths[1 + block];
            for (i, (kernel, expansion)) in searched.by_ref().take(depth).enumerate() {
                let stride = if i == 0 { strides[block] } else { 1 };
                let hidden = divisible((input * expansion) as f64);
                let squeeze = [1, 3, 4].contains(&block);
                layers.push(Layer {
                    input,
                    hidden,
                    output,
                    kernel: *kernel,
                    stride,
                    squeeze: squeeze.then(|| divisible((hidden / 4) as f64)),
                    hswish: block >= 2,
                    residual: stride == 1 && input == output,
                });
                input = output;
            }
        }
        Ok(layers)
    }

    /// What stands before and behind the layers.
    pub fn ends(&self) -> Ends {
        let [stem, .., last, expand, mix] = self.widths();
        Ends {
            stem,
            stem_stride: if self.small { 1 } else { 2 },
            last,
            expand,
            mix,
        }
    }

    /// Refuses a number of classes that no network can have.
    pub(crate) fn check_classes(classes: usize) -> Result<(), SpaceError> {
        within(("classes", "number of classes"), classes, 1..=MAX)
    }
}

fn among(allowed: &[usize], found: usize, what: impl FnOnce() -> String) -> Result<(), SpaceError> {
    if allowed.contains(&found) {
        return Ok(());
    }
    Err(SpaceError::Choice {
        what: what(),
        found,
        allowed: allowed.to_vec(),
    })
}

/// Whether a gene of an encoding is read: those of layers that a block does not have are not.
pub(crate) fn reads(genes: &[usize], gene: usize) -> bool {
    let (block, place) = (gene / BLOCK_GENES, gene % BLOCK_GENES);
    if gene == GENES - 1 || place == 0 {
        return true;
    }
    let depth = genes.get(block * BLOCK_GENES).and_then(|i| DEPTHS.get(*i));
    depth.is_some_and(|depth| (place - 1) % MAX_DEPTH < *depth)
}

fn meaning(gene: usize) -> &'static str {
    match gene % BLOCK_GENES {
        _ if gene == GENES - 1 => "a position in the resolutions",
        0 => "the position of a block's depth in 2, 3, 4",
        1..=MAX_DEPTH => "the position of a kernel size in 3, 5, 7",
        _ => "the position of an expansion in 3, 4, 6",
    }
}
