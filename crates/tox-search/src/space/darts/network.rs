//! The network around the cells of a genotype.

use crate::space::error::{MAX, SpaceError, input_shape, within};
use serde::{Deserialize, Serialize};

/// The network that is built around a genotype's cells: a 3x3 stem with `3 * channels`, `layers`
/// cells of which those at a third and at two thirds are reduction cells, global average pooling
/// and a classifier (the published `NetworkCIFAR`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Channels of a node before the first reduction, 1 to 4096.
    pub channels: usize,
    /// Number of cells, 1 to 4096.
    pub layers: usize,
    /// Number of classes, 1 to 4096.
    pub classes: usize,
    /// Channels, height and width of an image; sizes are multiples of 4.
    pub input: [usize; 3],
    /// Whether training adds a classifier behind the second reduction cell.
    pub auxiliary: bool,
}

impl Default for Network {
    /// The network of the final training on CIFAR-10: 36 channels, 20 cells, auxiliary head.
    fn default() -> Self {
        Self {
            channels: 36,
            layers: 20,
            classes: 10,
            input: [3, 32, 32],
            auxiliary: true,
        }
    }
}

/// What a cell of a network reads and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CellShape {
    /// Channels of the outputs of the cell before the last and of the last (the stem's at the
    /// start). The cell brings each to `channels` before its nodes read them as states 0 and 1.
    pub inputs: [usize; 2],
    /// Channels of a node; the output has four times as many.
    pub channels: usize,
    /// Whether this is a reduction cell.
    pub reduction: bool,
    /// Whether the cell before it is one, so that state 0 has to be halved first.
    pub after_reduction: bool,
    /// Height and width of the last cell's output.
    pub input_size: [usize; 2],
    /// Height and width of the output.
    pub output_size: [usize; 2],
}

impl Network {
    /// Refuses what cannot be built.
    pub fn check(&self) -> Result<(), SpaceError> {
        within(("channels", "number of channels"), self.channels, 1..=MAX)?;
        within(("cells", "number of cells"), self.layers, 1..=MAX)?;
        within(("classes", "number of classes"), self.classes, 1..=MAX)?;
        input_shape(self.input)?;
        let [_, height, width] = self.input;
        let size = self.cells()[self.auxiliary_cell()].output_size;
        if self.auxiliary && !size.iter().all(|side| (8..=10).contains(side)) {
            return Err(SpaceError::Network {
                what: "input size",
                found: format!("{height} x {width}"),
                expected:
                    "32 to 40 for an auxiliary head, which is made for maps of 8x8 (to 10x10); \
                           resize the images or leave the head out"
                        .to_owned(),
            });
        }
        Ok(())
    }

    /// Index of the cell behind which the auxiliary head stands.
    pub fn auxiliary_cell(&self) -> usize {
        2 * self.layers / 3
    }

    /// The cells from input to output.
    pub fn cells(&self) -> Vec<CellShape> {
        let [_, height, width] = self.input;
        let mut size = [height, width];
        let mut channels = self.channels;
        let mut inputs = [3 * channels; 2];
        let mut after_reduction = false;
        let cell = |layer| {
            let reduction = layer == self.layers / 3 || layer == self.auxiliary_cell();
            let input_size = size;
            if reduction {
                channels *= 2;
                size = size.map(|side| side / 2);
            }
            let shape = CellShape {
                inputs,
                channels,
                reduction,
                after_reduction,
                input_size,
                output_size: size,
            };
            inputs = [inputs[1], 4 * channels];
            after_reduction = reduction;
            shape
        };
        (0..self.layers).map(cell).collect()
    }
}
