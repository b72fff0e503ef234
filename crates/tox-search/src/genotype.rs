//! A found macro architecture, as data.

use serde::{Deserialize, Serialize};
use std::fmt;

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

/// Ops from input to output, each with the earlier layers whose outputs are added to its own:
/// `conv3 sep5+0 identity+0,1`.
impl fmt::Display for Genotype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |layer: &Layer| {
            let on = layer.skips.iter().enumerate().filter(|(_, on)| **on);
            let skips: Vec<String> = on.map(|(i, _)| i.to_string()).collect();
            match skips.is_empty() {
                true => layer.op.clone(),
                false => format!("{}+{}", layer.op, skips.join(",")),
            }
        };
        let words: Vec<String> = self.layers.iter().map(word).collect();
        f.write_str(&words.join(" "))
    }
}

impl Genotype {
    /// Number of layers that compute a poison op.
    pub fn bad_ops(&self) -> usize {
        self.layers.iter().filter(|l| l.poison).count()
    }
}
