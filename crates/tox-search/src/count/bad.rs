//! Bad ops on an edge of a cell.

use super::Counts;
use crate::space::{BadOp, Op};

impl Counts {
    /// With this many channels, from maps of size `input` to maps of size `output`.
    pub(super) fn bad(&mut self, op: BadOp, channels: usize, [input, output]: [[usize; 2]; 2]) {
        let mut first = || self.conv_bn(channels, channels, 1, input);
        match op.op() {
            Op::Conv { k } | Op::Stretched { k, .. } | Op::Mixed { k, .. } => {
                first();
                self.conv_bn(channels, channels, k, output);
            }
            Op::Sep { k } => {
                first();
                self.depthwise(channels, k, output);
                self.conv_bn(channels, channels, 1, output);
            }
            Op::AvgPool3 | Op::MaxPool3 => first(),
            Op::Identity | Op::Gaussian { .. } | Op::Dropout { .. } => {}
            Op::Transposed { k } | Op::Rectified { k } => {
                let conv = super::Conv {
                    input: channels,
                    output: channels,
                    kernel: k,
                    groups: 1,
                };
                self.conv(conv, output);
            }
        }
    }
}
