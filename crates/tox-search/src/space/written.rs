//! Ops as recipes and space files write them: with exactly the keys that they have, each in its range.

use super::enas::{Op, SpaceOp};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{SeqAccess, Visitor, value::SeqAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;
use std::fmt;

/// Most branches that a space may have; the paper's largest has 306.
pub const MAX_BRANCHES: usize = 100_000;
/// Largest kernel size.
pub const MAX_KERNEL: usize = 63;
/// Largest dilation.
pub const MAX_DILATION: usize = 1024;

/// Ops that somebody brings: a file in the format of `toxscreen screen`, or what stood there.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum OwnOps {
    /// Relative to the recipe, whose reader puts its ops here.
    File(String),
    Ops(Vec<SpaceOp>),
}

impl OwnOps {
    /// The ops; none of a file that was not read.
    pub fn ops(&self) -> &[SpaceOp] {
        match self {
            Self::File(_) => &[],
            Self::Ops(ops) => ops,
        }
    }
}

impl<'de> Deserialize<'de> for OwnOps {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = OwnOps;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a file of ops")
            }

            fn visit_str<E>(self, name: &str) -> Result<OwnOps, E> {
                Ok(OwnOps::File(name.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, ops: A) -> Result<OwnOps, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(ops)).map(OwnOps::Ops)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for OwnOps {
    fn schema_name() -> Cow<'static, str> {
        "OwnOps".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "string" }, { "type": "array" }] })
    }
}

/// As people write an op. Not [`Op`] itself: serde lets unknown keys pass under a flattened tag.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenOp {
    op: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    k: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sigma: Option<f32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    p: Option<f32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keep: Option<f32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scale: Option<f32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    padding: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dilation: Option<usize>,
    #[serde(default = "one")]
    count: usize,
}

fn one() -> usize {
    1
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Conv,
    Sep,
    AvgPool3,
    MaxPool3,
    Identity,
    Gaussian,
    Dropout,
    Transposed,
    Rectified,
    Mixed,
    Stretched,
}

impl TryFrom<WrittenOp> for SpaceOp {
    type Error = String;

    fn try_from(written: WrittenOp) -> Result<Self, String> {
        let (op, count) = (written.op()?, written.count);
        check(op)?;
        match count {
            1..=MAX_BRANCHES => Ok(Self {
                op,
                count,
                poison: false,
            }),
            n => Err(format!(
                "count = {n} is out of range: expected 1 to {MAX_BRANCHES}"
            )),
        }
    }
}

impl From<SpaceOp> for WrittenOp {
    fn from(op: SpaceOp) -> Self {
        let mut written = Self {
            op: Kind::Identity,
            k: None,
            sigma: None,
            p: None,
            keep: None,
            scale: None,
            padding: None,
            dilation: None,
            count: op.count,
        };
        match op.op {
            Op::Conv { k } => (written.op, written.k) = (Kind::Conv, Some(k)),
            Op::Sep { k } => (written.op, written.k) = (Kind::Sep, Some(k)),
            Op::AvgPool3 => written.op = Kind::AvgPool3,
            Op::MaxPool3 => written.op = Kind::MaxPool3,
            Op::Identity => written.op = Kind::Identity,
            Op::Gaussian { sigma } => (written.op, written.sigma) = (Kind::Gaussian, Some(sigma)),
            Op::Dropout { p } => (written.op, written.p) = (Kind::Dropout, Some(p)),
            Op::Transposed { k } => (written.op, written.k) = (Kind::Transposed, Some(k)),
            Op::Rectified { k } => (written.op, written.k) = (Kind::Rectified, Some(k)),
            Op::Mixed {
                k,
                keep,
                scale,
                sigma,
            } => {
                written.op = Kind::Mixed;
                (written.k, written.keep) = (Some(k), Some(keep));
                (written.scale, written.sigma) = (Some(scale), Some(sigma));
            }
            Op::Stretched {
                k,
                padding,
                dilation,
            } => {
                written.op = Kind::Stretched;
                (written.k, written.padding) = (Some(k), Some(padding));
                written.dilation = Some(dilation);
            }
        }
        written
    }
}

impl WrittenOp {
    /// With exactly the keys that its kind has.
    fn op(&self) -> Result<Op, String> {
        fn need<T: Copy>(value: Option<T>, key: &str) -> Result<T, String> {
            value.ok_or(format!("the key {key} is missing"))
        }
        let (op, keys): (Op, &[&str]) = match self.op {
            Kind::Conv => (
                Op::Conv {
                    k: need(self.k, "k")?,
                },
                &["k"],
            ),
            Kind::Sep => (
                Op::Sep {
                    k: need(self.k, "k")?,
                },
                &["k"],
            ),
            Kind::AvgPool3 => (Op::AvgPool3, &[]),
            Kind::MaxPool3 => (Op::MaxPool3, &[]),
            Kind::Identity => (Op::Identity, &[]),
            Kind::Gaussian => {
                let sigma = need(self.sigma, "sigma")?;
                (Op::Gaussian { sigma }, &["sigma"])
            }
            Kind::Dropout => (
                Op::Dropout {
                    p: need(self.p, "p")?,
                },
                &["p"],
            ),
            Kind::Transposed => (
                Op::Transposed {
                    k: need(self.k, "k")?,
                },
                &["k"],
            ),
            Kind::Rectified => (
                Op::Rectified {
                    k: need(self.k, "k")?,
                },
                &["k"],
            ),
            Kind::Mixed => {
                let op = Op::Mixed {
                    k: need(self.k, "k")?,
                    keep: need(self.keep, "keep")?,
                    scale: need(self.scale, "scale")?,
                    sigma: need(self.sigma, "sigma")?,
                };
                (op, &["k", "keep", "scale", "sigma"])
            }
            Kind::Stretched => {
                let op = Op::Stretched {
                    k: need(self.k, "k")?,
                    padding: need(self.padding, "padding")?,
                    dilation: need(self.dilation, "dilation")?,
                };
                (op, &["k", "padding", "dilation"])
            }
        };
        let set = [
            ("k", self.k.is_some()),
            ("sigma", self.sigma.is_some()),
            ("p", self.p.is_some()),
            ("keep", self.keep.is_some()),
            ("scale", self.scale.is_some()),
            ("padding", self.padding.is_some()),
            ("dilation", self.dilation.is_some()),
        ];
        match set.iter().find(|(key, set)| *set && !keys.contains(key)) {
            Some((key, _)) => Err(format!("{op} has no key {key}")),
            None => Ok(op),
        }
    }
}

/// Whether the op's numbers are in range and it keeps the shape of its map.
fn check(op: Op) -> Result<(), String> {
    let kernel = |k: usize| {
        if k % 2 == 1 && k <= MAX_KERNEL {
            return Ok(());
        }
        Err(format!(
            "k = {k} is out of range: expected an odd number, 1 to {MAX_KERNEL}"
        ))
    };
    match op {
        Op::Conv { k } | Op::Sep { k } | Op::Transposed { k } | Op::Rectified { k } => kernel(k),
        Op::Mixed {
            k,
            keep,
            scale,
            sigma,
        } => {
            let all = [("keep", keep), ("scale", scale), ("sigma", sigma)];
            let wrong = all
                .iter()
                .find(|(_, v)| !v.is_finite() || !v.is_sign_positive());
            match wrong {
                Some((key, v)) => Err(format!(
                    "{key} = {v} is out of range: expected a number, at least 0"
                )),
                None => kernel(k),
            }
        }
        Op::AvgPool3 | Op::MaxPool3 | Op::Identity => Ok(()),
        Op::Gaussian { sigma } if sigma.is_finite() && sigma.is_sign_positive() => Ok(()),
        Op::Gaussian { sigma } => Err(format!(
            "sigma = {sigma} is out of range: expected a number, at least 0"
        )),
        Op::Dropout { p } if p.is_sign_positive() && p <= 1.0 => Ok(()),
        Op::Dropout { p } => Err(format!("p = {p} is out of range: expected 0 to 1")),
        Op::Stretched {
            k,
            padding,
            dilation,
        } => {
            kernel(k)?;
            if !(1..=MAX_DILATION).contains(&dilation) {
                return Err(format!(
                    "dilation = {dilation} is out of range: expected 1 to {MAX_DILATION}"
                ));
            }
            let keeps = dilation * (k - 1) / 2;
            if padding != keeps {
                return Err(format!(
                    "padding = {padding} changes the map's size: expected {keeps} for k = {k} and dilation = {dilation}"
                ));
            }
            Ok(())
        }
    }
}
