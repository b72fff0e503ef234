//! ResNet-18 for small images.

use super::{Architecture, Images, Inferred, NetworkError, Taken};
use tox_nn::layers::Init;
use tox_nn::nets::file::WeightsFile;
use tox_nn::nets::resnet;

pub struct ResNet18;

const NAME: &str = "resnet-18";

impl Architecture for ResNet18 {
    fn name(&self) -> &'static str {
        NAME
    }

    fn notation(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "ResNet-18 for small images: a 3x3 stem and no max pool, with torchvision's names or those of \
         pytorch-cifar, of any width"
    }

    fn tensors(&self) -> &'static str {
        "conv1, bn1, layer1.0.conv1, layer2.0.shortcut.0 or .downsample.0, linear or fc"
    }

    fn ends(&self) -> [&'static str; 2] {
        ["conv1.weight", "fc.weight"]
    }

    fn read(&self, text: &str) -> Option<Result<String, String>> {
        match text.to_ascii_lowercase().as_str() {
            NAME | "resnet18" => Some(Ok(NAME.to_owned())),
            other if other.starts_with("resnet") => Some(Err(format!(
                "of the ResNets {NAME} alone is taken, not `{text}`"
            ))),
            _ => None,
        }
    }

    fn ours(&self, name: &str) -> Option<String> {
        Some(resnet::ours(name))
    }

    fn infer(&self, file: &WeightsFile) -> Inferred {
        if resnet::infer(file).is_some() {
            return Inferred::Arch(NAME.to_owned());
        }
        let shape = |name: &str| file.shape(name);
        let (Some([.., k, _]), Some(_)) = (shape("conv1.weight"), shape("layer1.0.conv1.weight"))
        else {
            return Inferred::Other;
        };
        let reason = match () {
            () if *k != 3 => format!(
                "it is of a ResNet whose first convolution is {k}x{k}, as for ImageNet; {NAME} is taken with the \
                 3x3 stem for small images and no max pool"
            ),
            () if shape("bn1.weight").is_none() && shape("layer1.0.bn1.weight").is_some() => {
                format!(
                    "it is of a PreActResNet, without `bn1` behind its stem; {NAME} alone is taken"
                )
            }
            () => format!(
                "it is of a deeper ResNet, or of other blocks; {NAME} alone is taken: four stages (`layer1` to \
                 `layer4`) of two blocks of two 3x3 convolutions"
            ),
        };
        Inferred::Refused(reason)
    }

    fn take(&self, text: &str, file: &WeightsFile, images: Images) -> Result<Taken, NetworkError> {
        let refused = |reason: &str| NetworkError::Images {
            arch: text.to_owned(),
            images,
            reason: reason.to_owned(),
        };
        let [c, h, w] = images.shape;
        if c == 0 || images.classes == 0 {
            return Err(refused("it has at least 1 channel and 1 class"));
        }
        let width = file.shape("conv1.weight").and_then(|shape| shape.first());
        let width = width.copied().filter(|width| (1..=1024).contains(width));
        let width = width.unwrap_or(resnet::WIDTH);
        let key = (0, "weights");
        let (network, mut state) = resnet::resnet18(c, images.classes, width, Init::Zero, key);
        file.load(&mut state, &|name| Some(resnet::ours(name)))?;
        Ok(Taken {
            parameters: state.parameters() as u64,
            network: Box::new((network, state)),
            macs: resnet::macs([c, images.classes, width], [h, w]),
        })
    }

    fn example(&self) -> Vec<String> {
        resnet::resnet18(3, 10, 1, Init::Zero, (0, "weights"))
            .1
            .names()
    }
}
