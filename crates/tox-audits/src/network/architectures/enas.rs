//! Children of ENAS' macro space.

use super::{Architecture, Classifier, Images, Inferred, NetworkError, Taken, behind};
use tox_data::Normalise;
use tox_nn::Device;
use tox_nn::nets::file::WeightsFile;
use tox_robust::model::Function;
use tox_robust::oracle::Oracle;
use tox_search::count;
use tox_search::enas::config::{Pointwise, Skips};
use tox_search::enas::network::{ChildNetwork, ChildShape};
use tox_search::genotype::Genotype;

pub struct Enas;

impl Classifier for ChildNetwork {
    fn oracle<'a>(
        &'a self,
        normalise: &'a Normalise,
        images: Images,
        device: Device,
    ) -> Box<dyn Oracle + 'a> {
        Box::new(Function {
            of: |x, device: &Device| self.logits(x, device),
            normalise,
            shape: images.shape,
            classes: images.classes,
            device,
        })
    }
}

/// What a file says of its child but for the images; `None` of another network.
fn size(file: &WeightsFile) -> Option<[usize; 3]> {
    let ([channels, inputs, ..], [classes, _]) = (
        file.shape("stem.conv.weight")?,
        file.shape("classify.weight")?,
    ) else {
        return None;
    };
    Some([*channels, *inputs, *classes])
}

/// Before the genotype of a child whose skips are added in place.
const IN_PLACE: &str = "in-place ";

/// A child as text.
pub fn text(genotype: &Genotype, skips: Skips) -> String {
    match skips {
        Skips::Separate => format!("enas:{genotype}"),
        Skips::InPlace => format!("enas:{IN_PLACE}{genotype}"),
    }
}

/// What [`text`] says behind the architecture's name.
fn parsed(text: &str) -> Result<(Genotype, Skips), String> {
    let (genotype, skips) = match text.trim_start().strip_prefix(IN_PLACE) {
        Some(genotype) => (genotype, Skips::InPlace),
        None => (text, Skips::Separate),
    };
    Ok((genotype.parse()?, skips))
}

impl Architecture for Enas {
    fn name(&self) -> &'static str {
        "enas"
    }

    fn notation(&self) -> &'static str {
        "enas:conv3 sep5+0 identity+0,1"
    }

    fn about(&self) -> &'static str {
        "a child of ENAS: the op of each layer and the earlier layers that are added to it, as reports print it, \
         behind `in-place` for `child.skips = \"in-place\"`; its file has the statistics of its batch norms"
    }

    fn tensors(&self) -> &'static str {
        "stem.conv, layers.0.ops.conv3.first.conv, reductions.0.0.path1, classify"
    }

    fn ends(&self) -> [&'static str; 2] {
        ["stem.conv.weight", "classify.weight"]
    }

    fn read(&self, text: &str) -> Option<Result<String, String>> {
        let text = behind(self.name(), text, "")?;
        Some(parsed(text).map(|(genotype, skips)| self::text(&genotype, skips)))
    }

    fn ours(&self, name: &str) -> Option<String> {
        Some(name.to_owned())
    }

    fn infer(&self, file: &WeightsFile) -> Inferred {
        match size(file) {
            Some([channels, ..]) => Inferred::Unsaid(format!(
                "it is of a child of ENAS with {channels} channels; names and shapes do not say what its layers \
                 read: give --arch 'enas:conv3 sep5+0 ...'"
            )),
            None => Inferred::Other,
        }
    }

    fn take(&self, text: &str, file: &WeightsFile, images: Images) -> Result<Taken, NetworkError> {
        let refused = |reason: String| NetworkError::Images {
            arch: text.to_owned(),
            images,
            reason,
        };
        let genotype = parsed(behind(self.name(), text, "").unwrap_or(text));
        let (genotype, skips) = genotype.map_err(refused)?;
        let unknown = |reason: &str| NetworkError::Unknown {
            path: file.path.clone(),
            reason: reason.to_owned(),
        };
        let [channels, ..] = size(file).ok_or_else(|| {
            unknown("it is not of a child of ENAS, whose first and last weights are `stem.conv.weight` and `classify.weight`")
        })?;
        if !file.shapes.contains_key("stem.bn.running_mean") {
            return Err(unknown(
                "it has no statistics of batch norms (`stem.bn.running_mean`, ...): a child of ENAS normalises by \
                 each batch, and an attack needs a network whose answer to an image does not depend on the others; \
                 the found.safetensors of a trial has them",
            ));
        }
        if channels % 2 == 1 {
            return Err(unknown(
                "`stem.conv.weight` has an odd number of channels, expected an even one",
            ));
        }
        let points = file.shapes.iter();
        let mut points = points.filter(|(name, _)| name.ends_with(".pointwise.weight"));
        let grouped = points.any(|(_, shape)| channels > 1 && shape.get(1) == Some(&1));
        let [in_channels, height, width] = images.shape;
        let shape = ChildShape {
            channels,
            in_channels,
            classes: images.classes,
            pointwise: if grouped {
                Pointwise::Reference
            } else {
                Pointwise::Dense
            },
            skips,
        };
        let counts = count::enas(&genotype, shape, [height, width]);
        let counts = counts.map_err(|e| refused(e.to_string()))?;
        let mut network = ChildNetwork::new(&genotype, shape).map_err(refused)?;
        let mut state = network.state();
        file.load(&mut state, &|name| self.ours(name))?;
        network.put(&state);
        Ok(Taken {
            network: Box::new(network),
            parameters: counts.params,
            macs: counts.macs,
        })
    }

    fn example(&self) -> Vec<String> {
        let text = "conv3 sep3 conv5 sep5 avgpool3 maxpool3 transposed3 stretched(3,50,50)";
        let shape = ChildShape {
            channels: 2,
            in_channels: 3,
            classes: 10,
            pointwise: Pointwise::Dense,
            skips: Skips::Separate,
        };
        let genotype = text.parse::<Genotype>();
        let network = genotype.and_then(|genotype| ChildNetwork::new(&genotype, shape));
        network.map_or_else(|_| Vec::new(), |network| network.state().names())
    }
}
