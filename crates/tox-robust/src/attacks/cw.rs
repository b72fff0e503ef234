//! CW-k: projected gradient ascent on the margin loss of Carlini and Wagner (2017), of as many passes as PGD-k.

use super::kind::numbered;
use super::pgd::{ascend, beats_one_step, longer};
use super::{Evasion, Facts, Found, Gradient, Pgd, Registered};
use crate::ball::Ball;
use crate::oracle::{Oracle, Points};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use tox_nn::ascent::Raised;

/// Steps that stand for AutoAttack's on the margin.
pub(crate) const CW_STEPS: usize = 40;

/// Projected gradient ascent on the margin loss: what tables of robust accuracy call CW.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cw(pub Pgd);

impl Cw {
    /// As [`Pgd::new`].
    pub fn new(steps: usize) -> Self {
        Self(Pgd::new(steps))
    }
}

impl Default for Cw {
    fn default() -> Self {
        Self::new(40)
    }
}

/// PGD's keys.
impl JsonSchema for Cw {
    fn schema_name() -> Cow<'static, str> {
        "Cw".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = Pgd::json_schema(generator);
        let what =
            "Projected gradient ascent on the margin loss: what tables of robust accuracy call CW.";
        schema.insert("description".to_owned(), what.into());
        schema
    }
}

impl Registered for Cw {
    const KIND: &'static str = "cw";
    const NAMES: &'static [&'static str] = &["cw40"];
    const VARIES: Option<&'static str> = Some("any number of steps");

    fn parse(name: &str) -> Option<Self> {
        numbered(name, Self::KIND, 40).map(Self::new)
    }
}

impl Evasion for Cw {
    fn facts(&self) -> Facts {
        Facts {
            kind: Self::KIND,
            title: "CW",
            gradient: Some(Gradient::Margin),
            steps: self.0.steps,
            passes: self.0.facts().passes,
            thorough: self.0.steps >= CW_STEPS,
            ..Facts::default()
        }
    }

    fn name(&self) -> String {
        format!("cw{}", self.0.steps)
    }

    fn shorten(&mut self, tries: usize) {
        self.0.shorten(tries);
    }

    fn dominates(&self, other: &dyn Evasion) -> bool {
        let Pgd {
            steps, restarts, ..
        } = self.0;
        match other.downcast_ref::<Self>() {
            Some(other) => longer((steps, restarts), (other.0.steps, other.0.restarts)),
            None => beats_one_step(steps, other),
        }
    }

    fn run(&self, oracle: &dyn Oracle, points: Points<'_>, ball: Ball, seed: u64) -> Found {
        let name = (Self::KIND, seed);
        ascend(oracle, points, ball, &self.0, name, |labels| {
            Raised::Margin(labels)
        })
    }
}
