//! The resolved spec of a trial: all that its outcome depends on, beside binary, device, threads.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tox_bilevel::config::{BilevelAttack, BilevelConfig, SyntheticConfig};
use tox_data::spec::DataSpec;
use tox_poison::cleanse::{CleanseError, Countermeasure};
use tox_poison::data::threat::{ClfThreat, FileThreat, GcThreat, NoiseThreat, RlfThreat};
use tox_poison::space::SpacePoison;
use tox_robust::threat::EvasionThreat;
use tox_search::compress::{CompressConfig, HashedFile, TableConfig};
use tox_search::enas::config::EnasConfig;
use tox_search::nas::{Evaluate, NasConfig, SearchKind};
use tox_search::rcnas::Method;

/// What the adversary does in a trial.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Threat {
    /// Nothing.
    #[default]
    None,
    /// Bad ops in the search space.
    SearchSpace(SpacePoison),
    /// Poison in the training set, by projected hypergradient ascent.
    Bilevel(BilevelAttack),
    /// Labels flipped at random in what a search learns from.
    Rlf(RlfThreat),
    /// Labels flipped where a classifier is confident.
    Clf(ClfThreat),
    /// Noise on images.
    Noise(NoiseThreat),
    /// Images whose gradient cancels the clean ones'.
    Gc(GcThreat),
    /// A poison made before.
    File(FileThreat),
    /// Perturbed inputs of the trained network.
    Evasion(EvasionThreat),
}

impl Threat {
    /// Its `kind`, as a spec names it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::SearchSpace(_) => "search-space",
            Self::Bilevel(_) => "bilevel",
            Self::Rlf(_) => "rlf",
            Self::Clf(_) => "clf",
            Self::Noise(_) => "noise",
            Self::Gc(_) => "gc",
            Self::File(_) => "file",
            Self::Evasion(_) => "evasion",
        }
    }

    /// Share of the rows that a search learns from which it poisons; `None` of other threats, and of
    /// a poison made before.
    pub fn budget(&self) -> Option<f64> {
        match self {
            Self::Rlf(threat) => Some(threat.budget),
            Self::Clf(threat) => Some(threat.budget),
            Self::Noise(threat) => Some(threat.budget),
            Self::Gc(threat) => Some(threat.budget),
            Self::None
            | Self::SearchSpace(_)
            | Self::Bilevel(_)
            | Self::File(_)
            | Self::Evasion(_) => None,
        }
    }

    /// Whether it poisons the data that a search learns from.
    pub fn poisons_data(&self) -> bool {
        self.budget().is_some() || matches!(self, Self::File(_))
    }
}

/// What is audited.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[allow(clippy::large_enum_variant, reason = "a trial has one")]
pub enum Learner {
    /// ENAS macro search, or random search over the same space (`strategy`).
    Enas(EnasConfig),
    /// A classifier that learns its regularisation.
    Bilevel(BilevelConfig),
    /// The paper's example of one poison point on two Gaussians.
    Synthetic(SyntheticConfig),
    /// A search over cells that learns from data which may be poisoned.
    Nas(NasConfig),
    /// A search for the sub-network of a teacher that is most robust within a budget.
    RcNas(CompressConfig),
    /// All sub-networks of a teacher, trained and attacked.
    SubNetworks(TableConfig),
}

impl Learner {
    /// Its `kind`, as a recipe names it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Enas(_) => "enas",
            Self::Bilevel(_) => "bilevel",
            Self::Synthetic(_) => "synthetic",
            Self::Nas(_) => "nas",
            Self::RcNas(_) => "rc-nas",
            Self::SubNetworks(_) => "sub-networks",
        }
    }

    /// Whether a trial can pit it against `threat`. The poison point of `synthetic` is its own.
    pub fn faces(&self, threat: &Threat) -> bool {
        matches!(
            (self, threat),
            (_, Threat::None)
                | (Self::Enas(_), Threat::SearchSpace(_))
                | (Self::Bilevel(_), Threat::Bilevel(_))
                | (Self::RcNas(_) | Self::SubNetworks(_), Threat::Evasion(_))
        ) || matches!(self, Self::Nas(_)) && threat.poisons_data()
    }

    /// Without the numbers of what it does not run, and the data that it does not read: what an outcome
    /// depends on.
    pub fn resolved(self) -> Self {
        match self {
            Self::Nas(config) => Self::Nas(config.resolved()),
            Self::RcNas(mut config) => {
                if config.search.method != Method::RcNas {
                    config.meta.data.clear();
                }
                Self::RcNas(config)
            }
            other @ (Self::Enas(_)
            | Self::Bilevel(_)
            | Self::Synthetic(_)
            | Self::SubNetworks(_)) => other,
        }
    }

    /// The data sets that a trial reads beside its own.
    fn other_data(&self) -> Vec<&DataSpec> {
        match self {
            Self::Nas(config) if config.evaluate == Evaluate::Train => {
                config.target.iter().collect()
            }
            Self::RcNas(config) if config.search.method == Method::RcNas => {
                config.meta.data.iter().collect()
            }
            Self::Enas(_)
            | Self::Bilevel(_)
            | Self::Synthetic(_)
            | Self::Nas(_)
            | Self::RcNas(_)
            | Self::SubNetworks(_) => Vec::new(),
        }
    }

    /// The hash of the table of NAS-Bench-201, and whether it reads that.
    pub fn benchmark(&self) -> (bool, Option<&String>) {
        match self {
            Self::Nas(config) => (
                config.evaluate == Evaluate::NasBench201,
                config.table_hash.as_ref(),
            ),
            Self::Enas(_)
            | Self::Bilevel(_)
            | Self::Synthetic(_)
            | Self::RcNas(_)
            | Self::SubNetworks(_) => (false, None),
        }
    }

    /// Whether a trial can defend it by `defence`.
    pub fn defended_by(&self, defence: &Defence) -> bool {
        match defence {
            Defence::None => true,
            Defence::Screen => matches!(self, Self::Enas(_)),
            Defence::Cleanse(_) => matches!(self, Self::Nas(_)),
            // Random architectures have nothing to agree on.
            Defence::Parts(_) => {
                matches!(self, Self::Nas(config) if config.search != SearchKind::Random)
            }
        }
    }

    /// Whether its data come from files. `synthetic` draws its own.
    pub fn loads_data(&self) -> bool {
        !matches!(self, Self::Synthetic(_))
    }

    /// Whether it can run on another device than the CPU.
    pub fn on_device(&self) -> bool {
        !matches!(self, Self::Bilevel(_) | Self::Synthetic(_))
    }
}

/// What the defender does. In a spec and in a recipe a word, or a table with a `kind`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "WrittenDefence", into = "WrittenDefence")]
pub enum Defence {
    /// Nothing.
    #[default]
    None,
    /// The search space is screened and the ops found poisonous are dropped before the search.
    Screen,
    /// The data are cleaned before the search.
    Cleanse(Countermeasure),
    /// Several searches, each on a part of its own, which vote.
    Parts(Parts),
}

/// Robust aggregation: the rows are dealt out at random, the search runs on each part alone, and every
/// gene of the result is the one that most of them found, of equals that of the first part. A poison
/// row reaches one part alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Parts {
    /// Number of parts, 2 to 100. Two disagree or agree; from three on there are majorities.
    pub parts: usize,
}

impl Default for Parts {
    fn default() -> Self {
        Self { parts: 3 }
    }
}

impl Parts {
    /// Checks every range.
    ///
    /// # Errors
    /// The first number out of its range.
    pub fn check(&self) -> Result<(), CleanseError> {
        if (2..=100).contains(&self.parts) {
            return Ok(());
        }
        Err(CleanseError::Setting {
            key: "parts",
            found: self.parts as f64,
            expected: "2 to 100",
        })
    }
}

/// A defence as it is written.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum WrittenDefence {
    Word(Word),
    Cleanse(Countermeasure),
    Other(OtherDefence),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Word {
    None,
    Screen,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum OtherDefence {
    Parts(Parts),
}

impl From<WrittenDefence> for Defence {
    fn from(written: WrittenDefence) -> Self {
        match written {
            WrittenDefence::Word(Word::None) => Self::None,
            WrittenDefence::Word(Word::Screen) => Self::Screen,
            WrittenDefence::Cleanse(countermeasure) => Self::Cleanse(countermeasure),
            WrittenDefence::Other(OtherDefence::Parts(parts)) => Self::Parts(parts),
        }
    }
}

impl From<Defence> for WrittenDefence {
    fn from(defence: Defence) -> Self {
        match defence {
            Defence::None => Self::Word(Word::None),
            Defence::Screen => Self::Word(Word::Screen),
            Defence::Cleanse(countermeasure) => Self::Cleanse(countermeasure),
            Defence::Parts(parts) => Self::Other(OtherDefence::Parts(parts)),
        }
    }
}

impl Defence {
    /// Its name in a recipe.
    pub fn word(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Screen => "screen",
            Self::Cleanse(Countermeasure::Knn(_)) => "knn",
            Self::Cleanse(Countermeasure::LossFilter(_)) => "loss-filter",
            Self::Cleanse(Countermeasure::Denoise(_)) => "denoise",
            Self::Parts(_) => "parts",
        }
    }
}

/// Version of [`TrialSpec`]. Version 1 named data sets by their paths alone.
pub const VERSION: u32 = 2;

/// One point of a study.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrialSpec {
    /// Version of this structure; part of the id.
    pub version: u32,
    /// Label of the cell, such as `clean`, `1a`, `oneshot-2`; several trials (seeds) share it.
    pub cell: String,
    /// Which of the cell's variants, such as `guarded`; `None` where there is only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The data.
    pub data: DataSpec,
    /// The threat.
    pub threat: Threat,
    /// The learner with every number resolved.
    pub learner: Learner,
    /// The defence.
    pub defence: Defence,
    /// Seed of all random streams. Streams depend on it and on their purpose alone, so that cells
    /// are compared under the same random numbers and a threat of strength 0 changes nothing.
    pub seed: u64,
}

impl TrialSpec {
    /// The data sets that it reads; `synthetic` draws its own.
    pub fn data_sets(&self) -> Vec<&DataSpec> {
        let own = self.learner.loads_data().then_some(&self.data);
        own.into_iter().chain(self.learner.other_data()).collect()
    }

    /// Files beside data sets that it reads, with the hashes of their bytes.
    pub fn files(&self) -> Vec<(String, String)> {
        let hashed = |file: &HashedFile| Some((file.path.clone(), file.hash.clone()?));
        let patch = match &self.threat {
            Threat::File(file) => file.hash.clone().map(|hash| (file.path.clone(), hash)),
            _ => None,
        };
        let files: Vec<_> = match &self.learner {
            Learner::Nas(config) => {
                let file = config.supernet.as_ref();
                let file = file.and_then(|file| Some((file.path.clone(), file.hash.clone()?)));
                file.into_iter().collect()
            }
            Learner::RcNas(config) => {
                let files = [&config.weights, &config.table];
                files.into_iter().flatten().filter_map(hashed).collect()
            }
            Learner::Enas(_)
            | Learner::Bilevel(_)
            | Learner::Synthetic(_)
            | Learner::SubNetworks(_) => Vec::new(),
        };
        patch.into_iter().chain(files).collect()
    }

    /// A line for each file whose content differs from `old`'s, if nothing else does.
    pub fn other_content(&self, old: &Self) -> Option<Vec<String>> {
        let flat = |spec: &Self| crate::store::flat_json(&serde_json::to_value(spec).ok()?);
        let (old, new) = (flat(old)?, flat(self)?);
        let hash = |key: &String| key.ends_with("hash");
        let differs = |key: &&String| old.get(*key) != new.get(*key);
        let keys = old.keys().chain(new.keys());
        let only = keys.filter(differs).all(hash);
        only.then(|| crate::store::changed_files(&old, &new))
    }
}
