//! Parameters and multiply-accumulates in closed form.

use super::config::{Block, Planned, RobustBlock, WrnConfig};

/// Parameters and multiply-accumulates of the layers so far.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    parameters: u64,
    macs: u64,
}

impl Count {
    /// A convolution without bias of kernel `k`, to a map of `pixels`.
    fn conv(&mut self, c_in: usize, c_out: usize, k: usize, groups: usize, pixels: u64) {
        let weights = (c_in / groups * k * k) as u64 * c_out as u64;
        self.parameters += weights;
        self.macs += weights * pixels;
    }

    /// A batch norm.
    fn norm(&mut self, channels: usize) {
        self.parameters += 2 * channels as u64;
    }

    fn block(&mut self, b: &Planned, cells: &RobustBlock, before: u64, after: u64) {
        let (c_in, c) = (b.c_in, b.c);
        self.norm(c_in);
        match b.kind {
            Block::Basic => {
                self.conv(c_in, c, 3, 1, after);
                self.norm(c);
                self.conv(c, c, 3, 1, after);
            }
            Block::Robust => {
                let (part, hidden) = (cells.part(c), cells.hidden(c));
                let middle = part * cells.scales;
                self.conv(c_in, middle, 1, 1, before);
                self.norm(middle);
                for _ in 1..cells.scales {
                    self.conv(part, part, 3, cells.cardinality, after);
                    self.norm(part);
                }
                self.conv(middle, c, 1, 1, after);
                self.norm(c);
                self.conv(c, hidden, 1, 1, 1);
                self.conv(hidden, c, 1, 1, 1);
            }
        }
        if b.shortcut() {
            self.conv(c_in, c, 1, 1, after);
        }
    }
}

impl WrnConfig {
    /// Weights and biases, those of batch norms included; running statistics do not count.
    pub fn parameters(&self) -> u64 {
        self.count(1, 1).parameters
    }

    /// Multiply-accumulates of one image of `height` x `width`: those of convolutions and linear
    /// layers, the squeeze-and-excitation's too. Batch norms, activations, poolings, sums and the bias
    /// cost nothing: the convention under which the published tables come out.
    pub fn macs(&self, height: usize, width: usize) -> u64 {
        self.count(height, width).macs
    }

    fn count(&self, height: usize, width: usize) -> Count {
        let mut count = Count::default();
        let (mut h, mut w) = (height as u64, width as u64);
        count.conv(self.in_channels, self.shape.base, 3, 1, h * w);
        let mut last = self.shape.base;
        for block in self.blocks() {
            let before = h * w;
            let stride = block.stride as u64;
            (h, w) = (h.div_ceil(stride), w.div_ceil(stride));
            count.block(&block, &self.cells, before, h * w);
            last = block.c;
        }
        count.norm(last);
        count.conv(last, self.classes, 1, 1, 1);
        count.parameters += self.classes as u64;
        count
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Shape, WrnConfig};

    /// Table 1 and the text of "Revisiting residual networks for adversarial robustness" (Huang et al.
    /// 2023) as RC-NAS repeats it: parameters in millions, multiply-accumulates in billions, of
    /// CIFAR-10 networks.
    #[test]
    fn counts_are_the_published_ones() {
        let table = [
            ("wrn-28-10", "36.48", "5.24"),
            ("wrn-34-10", "46.16", "6.66"),
            ("wrn-34-12", "66.46", "9.58"),
            ("wrn-46-14", "128.39", "18.59"),
            ("wrn-70-16", "266.80", "38.76"),
            ("wrn-34-r", "68.12", "19.13"),
            ("wrn-a1", "18.71", "5.08"),
            ("wrn-a2", "38.32", "10.84"),
            ("wrn-a3", "75.30", "20.22"),
            ("wrn-a4", "147.29", "40.38"),
            ("rrn-a1", "19.22", "5.08"),
            ("rrn-a2", "39.03", "10.74"),
            ("rrn-a3", "75.86", "19.82"),
            ("rrn-a4", "147.26", "39.27"),
        ];
        for (name, parameters, macs) in table {
            let config = WrnConfig::new(Shape::parse(name).unwrap(), 3, 10);
            let found = format!("{:.2}", config.parameters() as f64 / 1e6);
            assert_eq!(found, parameters, "parameters of {name}");
            let found = format!("{:.2}", config.macs(32, 32) as f64 / 1e9);
            assert_eq!(found, macs, "multiply-accumulates of {name}");
        }
    }

    /// What PyTorch counts in WRN-28-10 for CIFAR-10, widely reported.
    #[test]
    fn wrn_28_10_has_its_weights() {
        let config = WrnConfig::new(Shape::parse("wrn-28-10").unwrap(), 3, 10);
        assert_eq!(config.parameters(), 36_479_194);
    }
}
