//! Networks of the elastic space of Once-for-All.

use super::{Architecture, Images, Inferred, NetworkError, Taken, behind};
use serde::{Deserialize, Serialize};
use tox_nn::layers::Init;
use tox_nn::nets::file::WeightsFile;
use tox_search::count;
use tox_search::elastic::{ElasticNet, Naming};
use tox_search::space::SpaceError;
use tox_search::space::elastic::{Arch, BLOCKS, ElasticSpace};

pub struct Elastic;

/// An architecture and what its space fixes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    ks: Vec<usize>,
    e: Vec<usize>,
    d: [usize; BLOCKS],
    r: usize,
    #[serde(default = "one")]
    width: f64,
    #[serde(default)]
    small: bool,
}

fn one() -> f64 {
    1.0
}

/// How `--arch` writes an architecture of a space.
pub fn text(space: &ElasticSpace, arch: &Arch) -> String {
    let text = Text {
        ks: arch.ks.clone(),
        e: arch.e.clone(),
        d: arch.d,
        r: arch.r,
        width: space.width,
        small: space.small,
    };
    format!("elastic:{}", serde_json::json!(text))
}

impl Text {
    fn parts(self) -> (ElasticSpace, Arch) {
        let Self { ks, e, d, r, .. } = self;
        let space = ElasticSpace {
            width: self.width,
            resolutions: vec![r],
            small: self.small,
        };
        (space, Arch { ks, e, d, r })
    }
}

impl Architecture for Elastic {
    fn name(&self) -> &'static str {
        "elastic"
    }

    fn notation(&self) -> &'static str {
        r#"elastic:{"ks": [...], "e": [...], "d": [...], "r": 32, "width": 1.0, "small": true}"#
    }

    fn about(&self) -> &'static str {
        "a network of the MobileNetV3-like space that NSGANetV2 searches: a .subnet file, the width of all \
         channels, and whether it is the variant for small images"
    }

    fn tensors(&self) -> &'static str {
        "first_conv.conv, blocks.0.mobile_inverted_conv.depth_conv.conv, classifier.linear"
    }

    fn ends(&self) -> [&'static str; 2] {
        ["first_conv.conv.weight", "classifier.linear.weight"]
    }

    fn read(&self, given: &str) -> Option<Result<String, String>> {
        let json = behind(self.name(), given, "{")?;
        let read = || {
            let read: Text = serde_json::from_str(json).map_err(|e| e.to_string())?;
            let (space, arch) = read.parts();
            let layers = space.layers(&arch).map_err(|e| e.to_string());
            layers.map(|_| text(&space, &arch))
        };
        Some(read().map_err(|e| format!("elastic architecture: {e}; expected {}", self.notation())))
    }

    fn ours(&self, name: &str) -> Option<String> {
        Some(name.to_owned())
    }

    fn infer(&self, file: &WeightsFile) -> Inferred {
        let [first, last] = self.ends();
        match (file.shape(first), file.shape(last)) {
            (Some(_), Some(_)) => Inferred::Unsaid(format!(
                "it is of a network of the elastic space; names and shapes do not say its resolution and its strides: \
                 give --arch '{}'",
                self.notation()
            )),
            _ => Inferred::Other,
        }
    }

    fn take(&self, given: &str, file: &WeightsFile, images: Images) -> Result<Taken, NetworkError> {
        let refused = |reason: String| NetworkError::Images {
            arch: given.to_owned(),
            images,
            reason,
        };
        let json = behind(self.name(), given, "").unwrap_or(given);
        let read: Text = serde_json::from_str(json).map_err(|e| refused(e.to_string()))?;
        let (space, arch) = read.parts();
        let spaced = |e: SpaceError| refused(e.to_string());
        let counts = count::elastic(&space, &arch, images.classes).map_err(spaced)?;
        let sizes = (images.shape[0], images.classes);
        let how = (Naming::Plain, Init::Zero);
        let made = ElasticNet::new(&space, &arch, sizes, how, (0, "weights"));
        let (network, mut state) = made.map_err(spaced)?;
        file.load(&mut state, &|name| self.ours(name))?;
        Ok(Taken {
            network: Box::new((network, state)),
            parameters: counts.params,
            macs: counts.macs,
        })
    }

    fn example(&self) -> Vec<String> {
        let space = ElasticSpace::small(0.05);
        let [smallest, _] = space.extremes();
        let how = (Naming::Plain, Init::Zero);
        let made = ElasticNet::new(&space, &smallest, (3, 10), how, (0, "weights"));
        made.map_or_else(|_| Vec::new(), |(_, state)| state.names())
    }
}
