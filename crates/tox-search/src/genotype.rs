//! A found macro architecture, as data.

use crate::space::Op;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

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

/// As it is displayed. Which ops an adversary put there is not said.
impl FromStr for Genotype {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut layers = Vec::new();
        for (i, word) in text.split_whitespace().enumerate() {
            let (op, list) = word.split_once('+').unwrap_or((word, ""));
            if Op::named(op).is_none() {
                return Err(format!(
                    "layer {i} is `{op}`, expected an op such as conv3, sep5, avgpool3, maxpool3 or identity"
                ));
            }
            let mut skips = vec![false; i];
            for earlier in list.split(',').filter(|_| !list.is_empty()) {
                let place = earlier.parse::<usize>().ok();
                let flag = place.and_then(|place| skips.get_mut(place));
                *flag.ok_or_else(|| {
                    format!(
                        "layer {i} (`{op}`) adds layer `{earlier}`, expected an earlier one, from 0"
                    )
                })? = true;
            }
            let (op, poison) = (op.to_owned(), false);
            layers.push(Layer { op, poison, skips });
        }
        match layers.len() {
            0..3 => Err(format!(
                "it has {} layers, expected at least 3",
                layers.len()
            )),
            _ => Ok(Self { layers }),
        }
    }
}

impl Genotype {
    /// Number of layers that compute a poison op.
    pub fn bad_ops(&self) -> usize {
        self.layers.iter().filter(|l| l.poison).count()
    }
}

#[cfg(test)]
mod tests {
    use super::Genotype;

    #[test]
    fn a_genotype_is_read_as_it_is_displayed() {
        for text in [
            "conv3 sep5+0 identity+0,1",
            "conv3 dropout(0.5) stretched(3,50,50) maxpool3+0,2",
        ] {
            assert_eq!(text.parse::<Genotype>().unwrap().to_string(), text);
        }
        for (text, reason) in [
            ("conv3 sep5", "2 layers"),
            ("conv3 sep5+1 conv3", "adds layer `1`"),
            ("conv3 sep5+x conv3", "adds layer `x`"),
            ("conv3 sap5 conv3", "layer 1 is `sap5`"),
        ] {
            let error = text.parse::<Genotype>().unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
