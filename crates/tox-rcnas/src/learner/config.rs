//! What is compressed, for which task, and how candidates are trained and judged.

use super::normalise::Normalisation;
use crate::config::SpaceConfig;
use crate::subnetwork::Inheritance;
use crate::{Budget, RcnasConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tox_data::hashed::HashedFile;
use tox_data::ranges::{self, OutOfRange};
use tox_data::spec::DataSpec;
use tox_nn::nets::wrn::{RobustBlock, Shape, WrnConfig};
use tox_robust::attack::{Attack, NameError};
use tox_robust::threat::EvasionThreat;
use tox_robust::training::TrainingConfig;

/// A part of a task.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// The data set.
    Data,
    /// The attack.
    Attack,
    /// The teacher.
    Teacher,
}

/// What meta-training draws its tasks from, beside the parts of the target, which are always
/// drawn from too unless they are `unseen`. A table must have them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MetaTasks {
    /// Data sets.
    pub data: Vec<DataSpec>,
    /// Attacks.
    pub attacks: Vec<EvasionThreat>,
    /// Teachers.
    pub teachers: Vec<Shape>,
    /// Budgets.
    pub budgets: Vec<Budget>,
    /// Seeds of the trainings that meta-training looks up in the learner's table. The search and its verdict then
    /// look up the others: what an agent remembers is not the luck of the trainings that judge it. Empty: both look
    /// up all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trainings: Vec<u64>,
}

/// How a sub-network begins, and how it is measured while one searches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CandidateConfig {
    /// How it is trained; teachers too, unless they have weights or a training of their own.
    pub training: TrainingConfig,
    /// How teachers without weights are trained; absent: as candidates. Where those begin with the
    /// teacher's weights, a few epochs are enough for them but not for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub teacher: Option<TrainingConfig>,
    /// What the first layer sees, of the teacher and of all its sub-networks.
    #[serde(skip_serializing_if = "tox_data::is_default")]
    pub normalise: Normalisation,
    /// Whether it begins with weights of the teacher; else with random ones. The papers train every
    /// sub-network; a warm one needs fewer epochs for the same order.
    pub warm: bool,
    /// Which weights of the teacher a warm one begins with.
    pub inherit: Inheritance,
    /// Validation images that it is attacked on, at most all.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub images: usize,
    /// What robust blocks are made of.
    pub cells: RobustBlock,
}

impl Default for CandidateConfig {
    fn default() -> Self {
        Self {
            training: TrainingConfig::default(),
            teacher: None,
            normalise: Normalisation::default(),
            warm: true,
            inherit: Inheritance::default(),
            images: 1000,
            cells: RobustBlock::default(),
        }
    }
}

/// How teacher and result are compared in the end, on test images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct JudgeConfig {
    /// How the result is trained; absent: as the candidates were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub training: Option<TrainingConfig>,
    /// Attacks in the ball of the task, by their short names.
    pub attacks: Vec<String>,
    /// Test images, the first ones, at most all.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub images: usize,
}

impl Default for JudgeConfig {
    /// The columns of the paper's tables.
    fn default() -> Self {
        Self {
            training: None,
            attacks: ["fgsm", "pgd20", "cw40", "autoattack"]
                .map(str::to_owned)
                .to_vec(),
            images: 10_000,
        }
    }
}

/// A teacher to compress under the attack that is the trial's threat, on the trial's data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CompressConfig {
    /// The teacher: `wrn-28-10`, `wrn-a1`, `d14,14,7-w5,7,3-r001`, ..., with `-b4` behind it for 4
    /// channels at width 1 in place of 16.
    pub teacher: Shape,
    /// Weights of the teacher, as safetensors with the names of the usual WideResNet code; absent: it is
    /// trained as the candidates are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<HashedFile>,
    /// What the sub-network may cost.
    pub budget: Budget,
    /// The search.
    #[serde(default)]
    pub search: RcnasConfig,
    /// Candidates are looked up here in place of being trained: a table that the learner
    /// `sub-networks` made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<HashedFile>,
    /// Tasks of meta-training.
    #[serde(default)]
    pub meta: MetaTasks,
    /// Parts of the target that meta-training never meets.
    #[serde(default)]
    pub unseen: Vec<Part>,
    /// Training and measuring of candidates.
    #[serde(default)]
    pub candidate: CandidateConfig,
    /// The comparison in the end; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judge: Option<JudgeConfig>,
}

/// All sub-networks of a teacher, each trained on the trial's data and attacked: what a table is made
/// of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableConfig {
    /// The teacher whose sub-networks are trained, itself among them.
    pub teacher: Shape,
    /// Which of them.
    #[serde(default)]
    pub space: SpaceConfig,
    /// Training and measuring. A table whose sub-networks inherit holds for its own teacher alone.
    #[serde(default = "from_scratch")]
    pub candidate: CandidateConfig,
    /// Attacks beside that of the trial's threat, in its ball, by their short names.
    #[serde(default)]
    pub attacks: Vec<String>,
}

fn from_scratch() -> CandidateConfig {
    CandidateConfig {
        warm: false,
        ..CandidateConfig::default()
    }
}

impl CandidateConfig {
    /// How teachers are trained.
    pub fn of_teacher(&self) -> &TrainingConfig {
        self.teacher.as_ref().unwrap_or(&self.training)
    }

    fn check(&self, teacher: &Shape) -> Result<(), OutOfRange> {
        self.training.check().map_err(|e| e.below("training"))?;
        if let Some(config) = &self.teacher {
            config.check().map_err(|e| e.below("teacher"))?;
        }
        let network = WrnConfig {
            cells: self.cells,
            ..WrnConfig::new(*teacher, 1, 2)
        };
        let checked = network.check();
        checked.map_err(|e| OutOfRange::new("cells", teacher, e.to_string()))
    }
}

impl CompressConfig {
    pub fn check(&self) -> Result<(), OutOfRange> {
        ranges::check(self)?;
        self.search.check().map_err(|e| e.below("search"))?;
        let candidate = self.candidate.check(&self.teacher);
        candidate.map_err(|e| e.below("candidate"))?;
        for threat in &self.meta.attacks {
            threat.in_range().map_err(|e| e.below("meta.attacks"))?;
        }
        if let Some(judge) = &self.judge {
            if let Some(config) = &judge.training {
                config.check().map_err(|e| e.below("judge.training"))?;
            }
            attacks("judge.attacks", &judge.attacks)?;
        }
        let trainings = self.meta.trainings.is_empty();
        let key = "meta.trainings";
        let expected = "a `table`, which has them";
        OutOfRange::unless(
            trainings || self.table.is_some(),
            key,
            "set without `table`",
            expected,
        )?;
        let expected =
            "a part of the target in `unseen`: else the target is among its own meta-training";
        OutOfRange::unless(
            trainings || !self.unseen.is_empty(),
            key,
            "set without `unseen`",
            expected,
        )?;
        let one = self.table.is_none() || self.weights.is_none();
        let expected = "one of both: a table knows its own networks";
        OutOfRange::unless(one, "weights", "set beside `table`", expected)
    }
}

impl TableConfig {
    pub fn check(&self) -> Result<(), OutOfRange> {
        ranges::check(self)?;
        let candidate = self.candidate.check(&self.teacher);
        candidate.map_err(|e| e.below("candidate"))?;
        attacks("attacks", &self.attacks).map(|_| ())
    }
}

/// Attacks by their short names.
///
/// # Errors
/// A name that is none, under `key`.
pub fn attacks(key: &str, names: &[String]) -> Result<Vec<Attack>, OutOfRange> {
    let parse = |name: &String| {
        let attack = name.parse();
        attack.map_err(|e: NameError| OutOfRange::new(key, name, e.to_string()))
    };
    names.iter().map(parse).collect()
}
