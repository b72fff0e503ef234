//! Which network, as text.

use super::{ARCHITECTURES, Architecture, LIVE, elastic, enas, notations};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use tox_nn::nets::file::WeightsFile;
use tox_nn::nets::wrn::Shape;
use tox_search::enas::config::Skips;
use tox_search::genes::{Architecture as Searched, GeneSpace};
use tox_search::genotype::Genotype;
use tox_search::space::cells::CellGenotype;

/// Longer texts are no title.
const TITLE: usize = 32;

/// Which network, as its architecture writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Arch(pub(super) String);

/// A text that names no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArchError {
    #[error("`{text}` is no architecture: expected one of {}. {LIVE}", notations())]
    Unknown { text: String },
    #[error("{reason}")]
    Wrong { reason: String },
}

impl FromStr for Arch {
    type Err = ArchError;

    fn from_str(text: &str) -> Result<Self, ArchError> {
        match ARCHITECTURES.iter().find_map(|known| known.read(text)) {
            Some(Ok(text)) => Ok(Self(text)),
            Some(Err(reason)) => Err(ArchError::Wrong { reason }),
            None => Err(ArchError::Unknown {
                text: text.chars().take(80).collect(),
            }),
        }
    }
}

impl TryFrom<String> for Arch {
    type Error = ArchError;

    fn try_from(text: String) -> Result<Self, ArchError> {
        text.parse()
    }
}

impl From<Arch> for String {
    fn from(arch: Arch) -> Self {
        arch.0
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for Arch {
    fn schema_name() -> Cow<'static, str> {
        "Arch".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": format!("One of {}.", notations()) })
    }
}

impl Arch {
    /// A wide residual network.
    pub fn wrn(shape: &Shape) -> Self {
        Self(shape.to_string())
    }

    /// The network of a found architecture.
    pub fn searched(architecture: &Searched, space: &GeneSpace) -> Self {
        Self(match (architecture, space) {
            (Searched::Cell(CellGenotype::Darts(genotype)), _) => format!("darts:{genotype}"),
            (Searched::Cell(CellGenotype::NasBench201(cell)), _) => format!("nasbench201:{cell}"),
            (Searched::Elastic(arch), GeneSpace::Elastic(space)) => elastic::text(space, arch),
            (Searched::Elastic(_), GeneSpace::Cell(_)) => {
                unreachable!("a search of cells finds cells")
            }
        })
    }

    /// A child of ENAS.
    pub fn child(genotype: &Genotype, skips: Skips) -> Self {
        Self(enas::text(genotype, skips))
    }

    /// Its architecture.
    pub fn family(&self) -> &'static dyn Architecture {
        let all = ARCHITECTURES.iter().copied();
        let mut known = all.filter(|known| known.read(&self.0).is_some());
        known
            .next()
            .unwrap_or_else(|| unreachable!("an architecture wrote it"))
    }

    /// In a few letters.
    pub fn title(&self) -> &str {
        match self.0.len() {
            0..=TITLE => &self.0,
            _ => self.family().name(),
        }
    }

    /// Channels of an image and classes of the network that a file is of, if it is of this architecture.
    pub fn sizes(&self, file: &WeightsFile) -> Option<[usize; 2]> {
        let family = self.family();
        let sized = |end: &str| {
            let mut tensors = file.shapes.iter();
            let found = tensors.find(|(name, _)| family.ours(name).as_deref() == Some(end));
            found.map(|(_, shape)| shape)
        };
        let [first, last] = family.ends();
        Some([*sized(first)?.get(1)?, *sized(last)?.first()?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_and_written_as_one() {
        let cell = "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|";
        let darts = "Genotype(normal=[('sep_conv_3x3', 0), ('skip_connect', 1), ('dil_conv_5x5', 0), \
                     ('avg_pool_3x3', 2), ('sep_conv_5x5', 1), ('max_pool_3x3', 3), ('dil_conv_3x3', 2), \
                     ('skip_connect', 0)], normal_concat=range(2, 6), reduce=[('max_pool_3x3', 0), \
                     ('skip_connect', 1), ('sep_conv_3x3', 1), ('dil_conv_3x3', 2), ('avg_pool_3x3', 0), \
                     ('sep_conv_5x5', 3), ('dil_conv_5x5', 1), ('skip_connect', 4)], \
                     reduce_concat=range(2, 6))";
        let elastic = r#"{"ks": [3,3,3,3,3,3,3,3,3,3], "e": [3,3,3,3,3,3,3,3,3,3], "d": [2,2,2,2,2], "r": 32, "small": true}"#;
        for (text, expected) in [
            ("wrn-28-10", "wrn-28-10".to_owned()),
            ("d4,4,4-w10,10,10", "wrn-28-10".to_owned()),
            ("ResNet18", "resnet-18".to_owned()),
            (cell, format!("nasbench201:{cell}")),
            (darts, format!("darts:{darts}")),
            (
                "enas:conv3 sep5+0  identity+0,1",
                "enas:conv3 sep5+0 identity+0,1".to_owned(),
            ),
            (
                "enas:in-place  conv3 sep5+0  identity+0,1",
                "enas:in-place conv3 sep5+0 identity+0,1".to_owned(),
            ),
        ] {
            let arch: Arch = text.parse().unwrap();
            assert_eq!(arch.to_string(), expected);
            assert_eq!(expected.parse::<Arch>().unwrap(), arch);
        }
        let arch: Arch = format!("elastic:{elastic}").parse().unwrap();
        assert_eq!(arch.to_string().parse::<Arch>().unwrap(), arch);
        for (text, reason) in [
            ("wrn-17-3", "not 6n + 4"),
            ("vit-b16", "expected one of wrn-28-10"),
            ("enas:conv3 sap5 conv3", "sap5"),
            ("nasbench201:|x~0|", "x"),
            ("darts:Genotype(", "Genotype("),
            ("elastic:{}", "ks"),
        ] {
            let error = text.parse::<Arch>().unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        assert!(
            "vit"
                .parse::<Arch>()
                .unwrap_err()
                .to_string()
                .contains("toxscreen.evaluate(")
        );
    }

    #[test]
    fn every_architecture_knows_its_own_texts_and_names() {
        for (i, known) in ARCHITECTURES.iter().enumerate() {
            let first = known.notation().split(',').next().unwrap_or_default();
            let of_others = ARCHITECTURES.iter().enumerate();
            let mut of_others =
                of_others.filter(|(j, other)| i != *j && other.read(first).is_some());
            assert!(of_others.next().is_none(), "{first}");
            let names = known.example();
            for end in known.ends() {
                assert!(
                    names.iter().any(|name| name == end),
                    "{} {end}",
                    known.name()
                );
            }
            assert!(
                names
                    .iter()
                    .all(|name| known.ours(name).as_ref() == Some(name))
            );
        }
    }

    fn file(shapes: &[(&str, &[usize])]) -> WeightsFile {
        let shapes = shapes
            .iter()
            .map(|(name, shape)| ((*name).to_owned(), shape.to_vec()));
        WeightsFile {
            path: "w.safetensors".into(),
            prefix: String::new(),
            normalise: None,
            shapes: shapes.collect(),
            note: None,
        }
    }

    #[test]
    fn what_is_not_taken_is_said_with_what_to_do() {
        let stem: (&str, &[usize]) = ("conv1.weight", &[64, 3, 7, 7]);
        let block: (&str, &[usize]) = ("layer1.0.conv1.weight", &[64, 64, 3, 3]);
        let small: (&str, &[usize]) = ("conv1.weight", &[64, 3, 3, 3]);
        let vit: (&str, &[usize]) = ("blocks.0.attn.qkv.weight", &[3, 1]);
        let near: (&str, &[usize]) = ("block1.layer.0.gate.weight", &[3, 1, 3, 3]);
        for (shapes, words) in [
            (vec![stem, block], &["7x7", "3x3 stem"][..]),
            (
                vec![small, block, ("layer1.0.bn1.weight", &[64])],
                &["PreActResNet"],
            ),
            (
                vec![small, block, ("bn1.weight", &[64])],
                &["deeper ResNet"],
            ),
            (
                vec![vit],
                &["blocks.0.attn.qkv.weight", "none of wrn, resnet-18"],
            ),
            (
                vec![
                    small,
                    near,
                    ("block1.layer.0.conv1.weight", &[64, 64, 3, 3]),
                ],
                &[
                    "nearest is wrn",
                    "has no `block1.layer.0.gate.weight`",
                    "nothing like its `",
                ],
            ),
            (
                vec![
                    ("stem.conv.weight", &[4, 3, 3, 3]),
                    ("classify.weight", &[3, 4]),
                ],
                &["enas:"],
            ),
        ] {
            let error = Arch::of(&file(&shapes)).unwrap_err().to_string();
            for word in words {
                assert!(error.contains(word), "{word}: {error}");
            }
        }
    }
}
