//! Networks of DARTS cells.

use super::Counts;
use crate::space::SpaceError;
use crate::space::darts::{Genotype, Network, Op};

/// The size of `network` with the cells of `genotype`. An auxiliary head's parameters are counted,
/// its multiply-adds are not, since an evaluation does without it.
pub fn darts(genotype: &Genotype, network: &Network) -> Result<Counts, SpaceError> {
    network.check()?;
    let mut counts = Counts::default();
    let [channels, height, width] = network.input;
    counts.conv_bn(channels, 3 * network.channels, 3, [height, width]);
    let cells = network.cells();
    for cell in &cells {
        // A factorised reduction is two 1x1 convs, each to half of the channels, in place of one.
        let [before_last, last] = cell.inputs;
        counts.conv_bn(before_last, cell.channels, 1, cell.input_size);
        counts.conv_bn(last, cell.channels, 1, cell.input_size);
        let edges = if cell.reduction {
            genotype.reduce.edges()
        } else {
            genotype.normal.edges()
        };
        for edge in edges {
            let halves = cell.reduction && edge.input < 2;
            let input = match halves {
                true => cell.input_size,
                false => cell.output_size,
            };
            op(
                &mut counts,
                edge.op,
                cell.channels,
                [input, cell.output_size],
            );
        }
    }
    if network.auxiliary {
        let channels = 4 * cells[network.auxiliary_cell()].channels;
        let mut head = Counts::default();
        head.conv_bn(channels, 128, 1, [2, 2]);
        head.conv_bn(128, 768, 2, [1, 1]);
        head.linear(768, network.classes);
        counts.params += head.params;
    }
    let last = cells.last().map_or(0, |cell| 4 * cell.channels);
    counts.linear(last, network.classes);
    Ok(counts)
}

/// An op with this many channels, from maps of one size to maps of another.
fn op(counts: &mut Counts, op: Op, channels: usize, sizes: [[usize; 2]; 2]) {
    let [input, size] = sizes;
    let mut separable = |kernel| {
        counts.depthwise(channels, kernel, size);
        counts.conv_bn(channels, channels, 1, size);
    };
    match op {
        Op::None | Op::MaxPool3 | Op::AvgPool3 => {}
        Op::Skip if input == size => {}
        Op::Skip => counts.conv_bn(channels, channels, 1, size),
        Op::Sep3 => (0..2).for_each(|_| separable(3)),
        Op::Sep5 => (0..2).for_each(|_| separable(5)),
        Op::Dil3 => separable(3),
        Op::Dil5 => separable(5),
        Op::Bad(op) => counts.bad(op, channels, sizes),
    }
}
