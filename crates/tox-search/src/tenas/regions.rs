//! The number of linear regions that random crops fall into.
//!
//! The pattern of an image is which outputs of all ReLUs on maps are above 0; images of one pattern
//! lie in one region. Batches run by themselves, each with its own batch statistics, and their
//! patterns are counted together. They run side by side, as copies of the network.

use super::left::Left;
use super::network::Supernet;
use burn::tensor::{Tensor, TensorData};
use tox_nn::Device;
use tox_nn::layers::{Mode, Pass, State};

/// Bits of the patterns of all images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patterns {
    /// For each image its bits, eight to a byte.
    pub rows: Vec<Vec<u8>>,
    /// Bits of a pattern.
    pub bits: usize,
}

impl Patterns {
    /// Those of as many batches as the network has copies, `batches` `[batch][n * c * h * w]`, all
    /// of shape `[n, c, h, w]`. Batch by batch.
    pub fn of(
        (net, wide): (&Supernet, &State),
        left: &Left,
        (batches, [n, c, h, w]): (&[Vec<f32>], [usize; 4]),
        device: &Device,
    ) -> Self {
        let (copies, image) = (batches.len(), c * h * w);
        let images =
            (0..n).flat_map(|i| batches.iter().map(move |b| &b[i * image..(i + 1) * image]));
        let x: Vec<f32> = images.flatten().copied().collect();
        let x = Tensor::from_data(TensorData::new(x, [n, copies * c, h, w]), device);
        let pass = Pass::new(wide, device, Mode::Probe).noting();
        net.logits(&pass, x, left);
        let mut found = Self {
            rows: vec![Vec::new(); copies * n],
            bits: 0,
        };
        for above in pass.choices().above_zero() {
            let bits = above.len() / (copies * n);
            for (place, above) in above.chunks_exact(bits.max(1)).enumerate() {
                let row = &mut found.rows[place % copies * n + place / copies];
                for (i, above) in (found.bits..).zip(above) {
                    if i % 8 == 0 {
                        row.push(0);
                    }
                    if let Some(byte) = row.last_mut() {
                        *byte |= u8::from(*above) << (i % 8);
                    }
                }
            }
            found.bits += bits;
        }
        found
    }

    /// Bits of all patterns that are set.
    pub fn ones(&self) -> usize {
        let ones = self.rows.iter().flatten().map(|byte| byte.count_ones());
        ones.sum::<u32>() as usize
    }

    /// Number of different patterns.
    pub fn count(mut self) -> usize {
        self.rows.sort_unstable();
        self.rows.dedup();
        self.rows.len()
    }
}
