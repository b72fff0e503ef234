//! Which network.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tox_data::ranges::{self, OutOfRange};

/// A residual block. Both are pre-activation (He et al. 2016, "Identity mappings").
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Block {
    /// BN, ReLU, 3x3, BN, ReLU, 3x3 (Zagoruyko, Komodakis 2016).
    Basic,
    /// RobustResBlock (Huang, Lu, Deb, Boddeti 2023), a bottleneck of expansion 4 whose middle is a
    /// hierarchy of grouped convolutions, with a residual squeeze-and-excitation.
    Robust,
}

/// A third of the network, within which the map keeps its size and the stream its channels.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Blocks, `D_i`; at least 1.
    pub depth: usize,
    /// `W_i`: stage `i`, from 0, has `width * base * 2^i` channels, with [`Block::Robust`] four times
    /// as many; at least 1.
    pub width: usize,
    /// Whether a robust block follows the `depth` blocks. It takes and gives the stage's channels: the
    /// papers do not say how it is joined, and so `width` keeps its meaning, the block can be left out
    /// without a change of any other, and a fresh one can begin near the identity.
    #[serde(default)]
    pub robust: bool,
}

/// Depth, width and blocks of a network. Written and read as text by [`Shape::parse`], in files too.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Shape {
    /// Channels of the stem, and of the first stage at width 1: 16 in all published networks, fewer for
    /// laptops.
    pub base: usize,
    /// What all blocks are, but for those that [`Stage::robust`] adds.
    pub block: Block,
    /// Stride 1, 2, 2.
    pub stages: [Stage; 3],
}

impl TryFrom<String> for Shape {
    type Error = ShapeError;

    fn try_from(text: String) -> Result<Self, ShapeError> {
        Self::parse(&text)
    }
}

impl From<Shape> for String {
    fn from(shape: Shape) -> Self {
        shape.to_string()
    }
}

/// What the robust blocks of a network are made of; [`Default`] is what all published ones have.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(deny_unknown_fields, default)]
pub struct RobustBlock {
    /// Parts that the middle is split into, all but one with a 3x3 convolution.
    #[schemars(range(min = 2, max = 64))]
    pub scales: usize,
    /// Channels of a group of such a convolution, in a block of 640 output channels.
    #[schemars(range(min = 1, max = 640))]
    pub base_width: usize,
    /// Groups of such a convolution.
    #[schemars(range(min = 1, max = 64))]
    pub cardinality: usize,
    /// Output channels for each hidden unit of the squeeze-and-excitation.
    #[schemars(range(min = 1, max = 65_536))]
    pub se: usize,
}

impl Default for RobustBlock {
    fn default() -> Self {
        Self {
            scales: 8,
            base_width: 10,
            cardinality: 4,
            se: 64,
        }
    }
}

impl RobustBlock {
    /// Channels of a part of the middle, of a block with `out` channels: `floor(out / 4 * base_width /
    /// 160)` in each group. The reference gives 0 for small blocks; here a group has at least one.
    pub fn part(&self, out: usize) -> usize {
        (out * self.base_width / 640).max(1) * self.cardinality
    }

    /// Hidden units of the squeeze-and-excitation; at least one here too.
    pub fn hidden(&self, out: usize) -> usize {
        (out / self.se).max(1)
    }
}

/// A shape, and what it is for.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct WrnConfig {
    /// Depth, width and blocks.
    pub shape: Shape,
    /// Channels of an image; at least 1.
    pub in_channels: usize,
    /// Classes; at least 1.
    pub classes: usize,
    /// What its robust blocks are made of.
    #[serde(default)]
    pub cells: RobustBlock,
}

/// A network that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum ShapeError {
    /// Not a way to write a shape.
    #[error(
        "`{text}` is not a network: {reason}; write wrn-28-10 (depth 6n + 4, width), wrn-34-r, wrn-a1 to \
         wrn-a4, rrn-a1 to rrn-a4, or d14,14,7-w5,7,3-r001 (depths, widths, robust blocks), each with \
         -b8 behind it for 8 channels at width 1 in place of 16"
    )]
    Text { text: String, reason: String },
    /// A number out of range.
    #[error("{what} of a network is {found}, expected {low} to {high}")]
    Range {
        what: &'static str,
        found: usize,
        low: usize,
        high: usize,
    },
    /// Robust blocks that cannot be.
    #[error("the robust blocks of a network: {0}")]
    Cells(#[from] OutOfRange),
}

impl Shape {
    /// Whether such a network can be built.
    ///
    /// # Errors
    /// A depth that is not 1 to 256, a width not 1 to 128, a base not 1 to 64.
    pub fn check(&self) -> Result<(), ShapeError> {
        within("the base", self.base, 1, 64)?;
        for stage in &self.stages {
            within("the depth of a stage", stage.depth, 1, 256)?;
            within("the width of a stage", stage.width, 1, 128)?;
        }
        Ok(())
    }

    /// Channels of stage `stage`, from 0.
    pub fn channels(&self, stage: usize) -> usize {
        let expansion = match self.block {
            Block::Basic => 1,
            Block::Robust => 4,
        };
        (self.stages[stage].width * self.base * expansion) << stage
    }
}

impl WrnConfig {
    /// A network of the published robust blocks.
    pub fn new(shape: Shape, in_channels: usize, classes: usize) -> Self {
        Self {
            shape,
            in_channels,
            classes,
            cells: RobustBlock::default(),
        }
    }

    /// Whether such a network can be built.
    ///
    /// # Errors
    /// What [`Shape::check`] refuses; no channels or classes; numbers of the robust blocks out of range.
    pub fn check(&self) -> Result<(), ShapeError> {
        self.shape.check()?;
        within("the number of image channels", self.in_channels, 1, 1024)?;
        within("the number of classes", self.classes, 1, 65_536)?;
        Ok(ranges::check(&self.cells)?)
    }

    /// All blocks in order.
    pub fn blocks(&self) -> Vec<Planned> {
        let mut blocks = Vec::new();
        let mut c_in = self.shape.base;
        for (i, stage) in self.shape.stages.iter().enumerate() {
            let c = self.shape.channels(i);
            for place in 0..stage.depth + usize::from(stage.robust) {
                blocks.push(Planned {
                    stage: i,
                    place,
                    kind: match place < stage.depth {
                        true => self.shape.block,
                        false => Block::Robust,
                    },
                    c_in,
                    c,
                    stride: if i > 0 && place == 0 { 2 } else { 1 },
                });
                c_in = c;
            }
        }
        blocks
    }
}

/// One block of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    pub stage: usize,
    /// Within its stage, from 0.
    pub place: usize,
    pub kind: Block,
    pub c_in: usize,
    pub c: usize,
    pub stride: usize,
}

impl Planned {
    /// Whether there is a 1x1 convolution around it.
    pub fn shortcut(&self) -> bool {
        self.stride > 1 || self.c_in != self.c
    }

    /// `block1.layer.0`.
    pub fn name(&self) -> String {
        format!("block{}.layer.{}", self.stage + 1, self.place)
    }
}

fn within(what: &'static str, found: usize, low: usize, high: usize) -> Result<(), ShapeError> {
    match (low..=high).contains(&found) {
        true => Ok(()),
        false => Err(ShapeError::Range {
            what,
            found,
            low,
            high,
        }),
    }
}
