//! Networks of ENAS' macro space.

use super::{Conv, Counts};
use crate::enas::config::Pointwise;
use crate::enas::network::ChildShape;
use crate::genotype::Genotype;
use crate::space::{BadOp, Op, SpaceError};

/// The size of a genotype's network for images of `input` (height, width): of factorised reductions those
/// alone whose output is read.
///
/// # Errors
/// An op that there is not.
pub fn enas(
    genotype: &Genotype,
    shape: ChildShape,
    input: [usize; 2],
) -> Result<Counts, SpaceError> {
    let mut counts = Counts::default();
    let (c, part) = (shape.channels, genotype.layers.len() / 3);
    let halved = |times: usize| {
        let halve = |size: [usize; 2], _| size.map(|side| side.div_ceil(2));
        (0..times).fold(input, halve)
    };
    counts.conv_bn(shape.in_channels, c, 3, input);
    // How often each output so far was halved.
    let mut outputs: Vec<usize> = Vec::new();
    for (i, layer) in genotype.layers.iter().enumerate() {
        let wanted = [part, 2 * part].iter().filter(|from| i >= **from).count();
        let skips = layer.skips.iter().enumerate().filter(|(_, on)| **on);
        let read = i.checked_sub(1).into_iter().chain(skips.map(|(j, _)| j));
        for j in read {
            while outputs[j] < wanted {
                outputs[j] += 1;
                counts.conv_bn(c, c, 1, halved(outputs[j]));
            }
        }
        op(&mut counts, &layer.op, shape, halved(wanted))?;
        counts.batch_norm(c);
        outputs.push(wanted);
    }
    counts.linear(c, shape.classes);
    Ok(counts)
}

fn op(
    counts: &mut Counts,
    name: &str,
    shape: ChildShape,
    size: [usize; 2],
) -> Result<(), SpaceError> {
    let c = shape.channels;
    match (name.parse::<BadOp>()?.op(), shape.pointwise) {
        (Op::Sep { k }, Pointwise::Reference) => {
            counts.conv_bn(c, c, 1, size);
            counts.depthwise(c, k, size);
            let point = Conv {
                input: c,
                output: c,
                kernel: 1,
                groups: c,
            };
            counts.conv(point, size);
            counts.batch_norm(c);
        }
        (op, _) => counts.bad(BadOp::new(op)?, c, [size; 2]),
    }
    Ok(())
}
