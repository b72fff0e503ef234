//! Networks of NAS-Bench-201 cells.

use super::{Conv, Counts};
use crate::space::SpaceError;
use crate::space::nasbench201::{Cell, Network, Op};

/// The size of `network` with this cell.
pub fn nasbench201(cell: &Cell, network: &Network) -> Result<Counts, SpaceError> {
    network.check()?;
    let mut counts = Counts::default();
    let [inputs, height, width] = network.input;
    let mut channels = network.channels;
    let mut size = [height, width];
    counts.conv_bn(inputs, channels, 3, size);
    for stage in 0..3 {
        if stage > 0 {
            size = size.map(|side| side / 2);
            residual_block(&mut counts, channels, size);
            channels *= 2;
        }
        for _ in 0..network.cells {
            for op in cell.ops {
                match op {
                    Op::None | Op::Skip | Op::AvgPool3 => {}
                    Op::Conv1 => counts.conv_bn(channels, channels, 1, size),
                    Op::Conv3 => counts.conv_bn(channels, channels, 3, size),
                    Op::Bad(op) => counts.bad(op, channels, [size; 2]),
                }
            }
        }
    }
    counts.batch_norm(channels);
    counts.linear(channels, network.classes);
    Ok(counts)
}

/// Two 3x3 convs, of which the first doubles the channels and halves the maps to `size`, and beside
/// them an average pooling and a 1x1 conv without BN.
fn residual_block(counts: &mut Counts, channels: usize, size: [usize; 2]) {
    counts.conv_bn(channels, 2 * channels, 3, size);
    counts.conv_bn(2 * channels, 2 * channels, 3, size);
    let beside = Conv {
        input: channels,
        output: 2 * channels,
        kernel: 1,
        groups: 1,
    };
    counts.conv(beside, size);
}
