//! Networks of the elastic space.

use super::{Conv, Counts};
use crate::space::SpaceError;
use crate::space::elastic::{Arch, ElasticSpace};

/// The size of an architecture's network on RGB images of its resolution.
pub fn elastic(space: &ElasticSpace, arch: &Arch, classes: usize) -> Result<Counts, SpaceError> {
    ElasticSpace::check_classes(classes)?;
    let layers = space.layers(arch)?;
    let ends = space.ends();
    let mut counts = Counts::default();
    let mut size = [arch.r.div_ceil(ends.stem_stride); 2];
    counts.conv_bn(3, ends.stem, 3, size);
    for layer in layers {
        if layer.hidden != layer.input {
            counts.conv_bn(layer.input, layer.hidden, 1, size);
        }
        size = size.map(|side| side.div_ceil(layer.stride));
        counts.depthwise(layer.hidden, layer.kernel, size);
        counts.batch_norm(layer.hidden);
        if let Some(squeeze) = layer.squeeze {
            counts.linear(layer.hidden, squeeze);
            counts.linear(squeeze, layer.hidden);
        }
        counts.conv_bn(layer.hidden, layer.output, 1, size);
    }
    counts.conv_bn(ends.last, ends.expand, 1, size);
    let mix = Conv {
        input: ends.expand,
        output: ends.mix,
        kernel: 1,
        groups: 1,
    };
    counts.conv(mix, [1, 1]);
    counts.linear(ends.mix, classes);
    Ok(counts)
}
