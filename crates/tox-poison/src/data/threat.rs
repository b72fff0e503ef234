//! What a recipe says of a poison of training data: one type for each kind of threat.

use super::PoisonError;
use super::clf::{Classifier, Clf};
use super::gc::Gc;
use super::noise::Noise;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tox_data::ranges::{self, OutOfRange};
use tox_nn::fit::FitConfig;

/// RLF, random label flipping.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RlfThreat {
    /// Share of the rows that a search learns from; 0: nothing is poisoned.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub budget: f64,
}

/// CLF, confidence-based label flipping.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClfThreat {
    /// Share of the rows that a search learns from; 0: nothing is poisoned.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub budget: f64,
    /// Which rows, and which labels they get.
    #[serde(default)]
    pub flip: Clf,
    /// The ResNet-18 that is trained on the clean rows. Of a table a logistic regression is, which has no keys.
    #[serde(default)]
    pub classifier: Classifier,
}

/// Gaussian noise on images or on the numbers of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoiseThreat {
    /// Share of the rows that a search learns from; 0: nothing is poisoned.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub budget: f64,
    /// How much.
    #[serde(default)]
    pub noise: Noise,
}

/// GC, gradient cancelling, tailored to the search that is attacked: a clean run of it gives the
/// victim, whose gradient the poison cancels. Of P-DARTS that is its last supernet, and the alphas
/// are the targets; of the other searches the network that it finds, all its weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GcThreat {
    /// Share of the rows that a search learns from; 0: nothing is poisoned.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub budget: f64,
    /// How far the ascent takes the targets, in L2, in the place of `cancelling.radius`. Default: the
    /// paper's, 1.0 for P-DARTS' alphas and NSGANetV2's subnets, 0.5 for networks of other found
    /// architectures. Small networks need less: 0.05 to 0.2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1e6))]
    pub radius: Option<f64>,
    /// Seed of the victim's search and training, where the adversary does not know that of the search that is attacked.
    /// Default: the trial's own. The poisoned rows are those of the trial's seed either way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub victim_seed: Option<u64>,
    /// The attack's own numbers.
    #[serde(default)]
    pub cancelling: Gc,
    /// The victim, where it is a network.
    #[serde(default)]
    pub victim: VictimConfig,
}

/// The network of the architecture that a clean search finds, as GC attacks it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct VictimConfig {
    /// Channels of the first cell. The paper does not say; 16 is what RoBoT scores.
    #[schemars(range(min = 1, max = 4096))]
    pub channels: usize,
    /// Cells; in NAS-Bench-201 those of each of three stages. 5 is what RoBoT scores.
    #[schemars(range(min = 1, max = 4096))]
    pub cells: usize,
    /// Its training on the clean rows.
    pub fit: FitConfig,
}

impl Default for VictimConfig {
    fn default() -> Self {
        Self {
            channels: 16,
            cells: 5,
            fit: FitConfig::default(),
        }
    }
}

/// A poison that was made before, by whomever: a patch file with its manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileThreat {
    /// The patch, `.npz` or `.safetensors`. It must have been made for the very rows of the trial:
    /// training rows followed by validation rows.
    pub path: String,
    /// Its BLAKE3 hash, which the manifest names too. A recipe's reader fills it in; a trial refuses
    /// another patch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
}

impl ClfThreat {
    pub fn check(&self) -> Result<(), OutOfRange> {
        ranges::check(self)?;
        self.classifier.check().map_err(|e| e.below("classifier"))
    }

    /// Refuses keys that have no effect on a table.
    pub fn check_table(&self) -> Result<(), PoisonError> {
        Ok(self.classifier.check_table()?)
    }
}

impl GcThreat {
    pub fn check(&self) -> Result<(), OutOfRange> {
        ranges::check(self)?;
        let radius = self.cancelling.radius;
        let holds = radius == Gc::default().radius;
        let expected = "no number here: the threat's own `radius` is the one that counts";
        OutOfRange::unless(holds, "cancelling.radius", radius, expected)?;
        self.victim.fit.check().map_err(|e| e.below("victim.fit"))
    }
}
