//! Wide residual networks, with robust blocks or without.

use super::{Architecture, Images, Inferred, NetworkError, Taken};
use tox_nn::layers::Init;
use tox_nn::nets::file::WeightsFile;
use tox_nn::nets::wrn::{self, Shape, WrnConfig};

pub struct WideResNet;

impl Architecture for WideResNet {
    fn name(&self) -> &'static str {
        "wrn"
    }

    fn notation(&self) -> &'static str {
        "wrn-28-10, wrn-34-r, wrn-a1 to wrn-a4, rrn-a1 to rrn-a4, d14,14,7-w5,7,3-r001"
    }

    fn about(&self) -> &'static str {
        "wide residual networks, rrn and r001 with robust blocks; -b4 behind it for 4 channels at width 1 in \
         place of 16"
    }

    fn tensors(&self) -> &'static str {
        "conv1, block1.layer.0.conv1, bn1, fc"
    }

    fn ends(&self) -> [&'static str; 2] {
        ["conv1.weight", "fc.weight"]
    }

    fn read(&self, text: &str) -> Option<Result<String, String>> {
        let lower = text.to_ascii_lowercase();
        let listed = || {
            let first = lower.strip_prefix('d')?.chars().next()?;
            first.is_ascii_digit().then_some(())
        };
        let ours = lower.starts_with("wrn") || lower.starts_with("rrn") || listed().is_some();
        ours.then(|| {
            let shape = Shape::parse(text);
            shape.map(|s| s.to_string()).map_err(|e| e.to_string())
        })
    }

    fn ours(&self, name: &str) -> Option<String> {
        wrn::ours(name)
    }

    fn infer(&self, file: &WeightsFile) -> Inferred {
        if wrn::is_deepminds(file) {
            let reason = "it is of the WideResNet of DeepMind's adversarial training (`init_conv`, `logits`), \
                          whose activations are others than those of the WideResNet with the usual names";
            return Inferred::Refused(reason.to_owned());
        }
        match wrn::infer(file) {
            Some(config) => Inferred::Arch(config.shape.to_string()),
            None => Inferred::Other,
        }
    }

    fn take(&self, text: &str, file: &WeightsFile, images: Images) -> Result<Taken, NetworkError> {
        let refused = |reason: String| NetworkError::Images {
            arch: text.to_owned(),
            images,
            reason,
        };
        let shape = Shape::parse(text).map_err(|e| refused(e.to_string()))?;
        let [c, h, w] = images.shape;
        let config = WrnConfig::new(shape, c, images.classes);
        config.check().map_err(|e| refused(e.to_string()))?;
        let (network, mut state) = wrn::wrn(&config, Init::Zero, (0, "weights"));
        wrn::load(&mut state, &file.path)?;
        Ok(Taken {
            network: Box::new((network, state)),
            parameters: config.parameters(),
            macs: config.macs(h, w),
        })
    }

    fn example(&self) -> Vec<String> {
        let shape = Shape::new([1; 3], [1; 3], [false, false, true]);
        let config = WrnConfig::new(Shape { base: 2, ..shape }, 3, 10);
        wrn::wrn(&config, Init::Zero, (0, "weights")).1.names()
    }
}
