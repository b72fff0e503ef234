//! What a poison does to the signals that a search goes by, measured on the clean and on the poisoned
//! copy of the same rows: the analyses in the authors' forks of the four searches.

use serde::{Deserialize, Serialize};

/// A number before and after the poison; `None` where it is not finite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    pub name: String,
    pub clean: Option<f64>,
    pub poisoned: Option<f64>,
}

impl Change {
    fn new(name: &str, clean: f64, poisoned: f64) -> Self {
        let finite = |v: f64| v.is_finite().then_some(v);
        Self {
            name: name.to_owned(),
            clean: finite(clean),
            poisoned: finite(poisoned),
        }
    }

    /// The change in percent of the clean value; `None` if that is 0 or one is not finite.
    pub fn percent(&self) -> Option<f64> {
        let (clean, poisoned) = (self.clean?, self.poisoned?);
        let percent = 100.0 * (poisoned - clean) / clean.abs();
        percent.is_finite().then_some(percent)
    }
}

/// What the poison does to a search's signals.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Diagnostics {
    /// P-DARTS: the cosine of the angle between the clean and the poisoned gradient of the alphas, in
    /// the last supernet as the search left it, over up to 16 batches of the validation split.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpha_cosine: Option<f64>,
    /// RoBoT: the metrics of the found architecture, with the batch of the search. TE-NAS: condition
    /// number and linear regions of the unpruned supernet, mean of three draws.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
}

impl Diagnostics {
    /// Changes by name, each number finite or not.
    pub fn changed(names: &[&str], clean: &[f64], poisoned: &[f64]) -> Self {
        let both = names.iter().zip(clean.iter().zip(poisoned));
        let change =
            |(name, (clean, poisoned)): (&&str, (&f64, &f64))| Change::new(name, *clean, *poisoned);
        Self {
            changes: both.map(change).collect(),
            ..Self::default()
        }
    }
}
