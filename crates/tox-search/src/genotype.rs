//! A found macro architecture, as data.

use serde::{Deserialize, Serialize};

/// One layer of a macro genotype.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// Short name of the op, as [`crate::space::Op`] displays it.
    pub op: String,
    /// Whether the op was put there by an adversary.
    #[serde(default)]
    pub poison: bool,
    /// One flag per earlier layer: whether its output is added to this layer's.
    pub skips: Vec<bool>,
}

/// A macro architecture: its layers from input to output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Genotype {
    /// The layers; layer `i` has `i` skip flags.
    pub layers: Vec<Layer>,
}

impl Genotype {
    /// Number of layers that compute a poison op.
    pub fn bad_ops(&self) -> usize {
        self.layers.iter().filter(|l| l.poison).count()
    }
}
