//! Which search, over which space, and how its result is judged.

use crate::config::{ConfigError, error, whole};
use crate::final_training::{FinalConfig, FinalError, Protocol};
use crate::genes::GeneSpace;
use crate::nsganet::config::NsganetConfig;
use crate::pdarts::config::PdartsConfig;
use crate::random::{RandomConfig, RandomError};
use crate::reward::RewardError;
use crate::robot::{RobotConfig, RobotError};
use crate::space::cells::CellSpace;
use crate::space::elastic::ElasticSpace;
use crate::space::nasbench201::CELLS;
use crate::table::{Column, DataSet, Measure};
use crate::tenas::{TenasConfig, TenasError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::Path;
use tox_data::spec::DataSpec;
use tox_nn::layers::WeightsError;

/// A search.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum SearchKind {
    /// P-DARTS: gradient descent on the weights of ops in a supernet.
    PDarts,
    /// TE-NAS: pruning by two scores of untrained supernets; no labels.
    TeNas,
    /// RoBoT: a learned mixture of six training-free metrics, and short trainings.
    Robot,
    /// NSGANetV2: evolution by predicted accuracy over a supernet's subnets.
    #[serde(rename = "nsganetv2")]
    NsganetV2,
    /// A random architecture of the space: the control.
    Random,
}

impl SearchKind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::PDarts,
        Self::TeNas,
        Self::Robot,
        Self::NsganetV2,
        Self::Random,
    ];

    /// Its name in a recipe.
    pub const fn word(self) -> &'static str {
        match self {
            Self::PDarts => "p-darts",
            Self::TeNas => "te-nas",
            Self::Robot => "robot",
            Self::NsganetV2 => "nsganetv2",
            Self::Random => "random",
        }
    }

    /// Its name in papers.
    pub const fn title(self) -> &'static str {
        match self {
            Self::PDarts => "P-DARTS",
            Self::TeNas => "TE-NAS",
            Self::Robot => "RoBoT",
            Self::NsganetV2 => "NSGANetV2",
            Self::Random => "random",
        }
    }
}

/// A space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NasSpace {
    /// The cells of DARTS.
    Darts,
    /// The cells of NAS-Bench-201.
    NasBench201,
    /// The MobileNetV3-like networks that NSGANetV2 was made for; no other search runs on it.
    Elastic,
}

impl NasSpace {
    /// The cell space, if it is one.
    pub fn cells(self) -> Option<CellSpace> {
        match self {
            Self::Darts => Some(CellSpace::Darts),
            Self::NasBench201 => Some(CellSpace::NasBench201),
            Self::Elastic => None,
        }
    }

    /// Its name in papers.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Darts => "DARTS cells",
            Self::NasBench201 => "NAS-Bench-201",
            Self::Elastic => "elastic MobileNetV3",
        }
    }
}

/// Weights of a supernet that was trained elsewhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SupernetFile {
    /// The safetensors file, with the names of Once-for-All's code.
    pub path: String,
    /// Its BLAKE3 hash; a recipe's reader fills it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// Classes of its classifier, if they are not the data's; a new one takes its place then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<usize>,
}

impl SupernetFile {
    /// BLAKE3 (hexadecimal) of a file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn hash_of(path: &Path) -> Result<String, WeightsError> {
        let bytes = std::fs::read(path).map_err(|source| WeightsError::Io {
            action: "read",
            path: path.to_owned(),
            source,
        })?;
        Ok(blake3::hash(&bytes).to_hex().to_string())
    }
}

/// How the found architecture is judged, always on clean data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Evaluate {
    /// Its final accuracy is looked up in the table of NAS-Bench-201.
    NasBench201,
    /// It is trained from new weights, see [`crate::final_training`].
    Train,
    /// It is not.
    None,
}

/// A search and all its numbers. Of the tables of searches only the one that `search` names is used;
/// a study's cells may name different ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NasConfig {
    /// The search.
    pub search: SearchKind,
    /// The space.
    #[serde(default = "nasbench201")]
    pub space: NasSpace,
    /// Widths and resolutions of the space `elastic`; default: those for images of 32x32, width 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elastic: Option<ElasticSpace>,
    /// P-DARTS.
    #[serde(rename = "p-darts", default, skip_serializing_if = "Option::is_none")]
    pub p_darts: Option<PdartsConfig>,
    /// TE-NAS.
    #[serde(rename = "te-nas", default, skip_serializing_if = "Option::is_none")]
    pub te_nas: Option<TenasConfig>,
    /// RoBoT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub robot: Option<RobotConfig>,
    /// NSGANetV2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nsganetv2: Option<NsganetConfig>,
    /// Weights that NSGANetV2's supernet has from a file; without it is trained on the data of the
    /// search, poison and all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supernet: Option<SupernetFile>,
    /// Random search: the control.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub random: Option<RandomConfig>,
    /// How its result is judged.
    #[serde(default = "looked_up")]
    pub evaluate: Evaluate,
    /// The column of the table that is the final accuracy.
    #[serde(default = "final_accuracy")]
    pub column: Column,
    /// BLAKE3 of the table's file; a study fills it in when it is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table_hash: Option<String>,
    /// The final training, where `evaluate` is `train`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train: Option<FinalConfig>,
    /// The data of the final training where a search on other data is to be judged by them; default:
    /// those of the search, clean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<DataSpec>,
    /// Architectures that the random search in the report evaluates, 1 to 15,625; default: as many as
    /// the search evaluated, each however briefly, at least one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub random_draws: Option<usize>,
}

fn nasbench201() -> NasSpace {
    NasSpace::NasBench201
}

fn looked_up() -> Evaluate {
    Evaluate::NasBench201
}

fn final_accuracy() -> Column {
    Column {
        data: DataSet::Cifar10,
        measure: Measure::Test200,
    }
}

impl NasConfig {
    /// A search with the published numbers.
    pub fn of(search: SearchKind, space: NasSpace) -> Self {
        Self {
            search,
            space,
            elastic: None,
            p_darts: None,
            te_nas: None,
            robot: None,
            nsganetv2: None,
            supernet: None,
            random: None,
            evaluate: looked_up(),
            column: final_accuracy(),
            table_hash: None,
            train: None,
            target: None,
            random_draws: None,
        }
        .resolved()
    }

    /// As it is when only the named search's numbers are kept, defaults written out: what an outcome
    /// depends on.
    pub fn resolved(self) -> Self {
        let (search, space) = (self.search, self.space);
        let is = |kind| search == kind;
        Self {
            p_darts: is(SearchKind::PDarts).then(|| {
                let without = || PdartsConfig {
                    stages: Vec::new(),
                    ..PdartsConfig::default()
                };
                let config = self.p_darts.unwrap_or_else(without);
                match space.cells() {
                    Some(cells) => config.resolved(cells),
                    None => config,
                }
            }),
            te_nas: is(SearchKind::TeNas).then(|| self.te_nas.unwrap_or_default()),
            robot: is(SearchKind::Robot).then(|| self.robot.unwrap_or_default()),
            nsganetv2: is(SearchKind::NsganetV2).then(|| self.nsganetv2.unwrap_or_default()),
            supernet: self.supernet.filter(|_| is(SearchKind::NsganetV2)),
            elastic: (space == NasSpace::Elastic)
                .then(|| self.elastic.unwrap_or_else(|| ElasticSpace::small(1.0))),
            random: is(SearchKind::Random).then(|| self.random.unwrap_or_default()),
            train: (self.evaluate == Evaluate::Train).then(|| self.train.unwrap_or_default()),
            target: self.target.filter(|_| self.evaluate == Evaluate::Train),
            table_hash: self
                .table_hash
                .filter(|_| self.evaluate == Evaluate::NasBench201),
            ..self
        }
    }

    /// The space with its integer encoding.
    pub fn genes(&self) -> GeneSpace {
        match self.space.cells() {
            Some(cells) => GeneSpace::Cell(cells),
            None => {
                let space = self.elastic.clone();
                GeneSpace::Elastic(space.unwrap_or_else(|| ElasticSpace::small(1.0)))
            }
        }
    }

    /// Checks every range of all searches that it has numbers of.
    ///
    /// # Errors
    /// The first key out of its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        let space = self.space;
        if self.evaluate == Evaluate::NasBench201 && space != NasSpace::NasBench201 {
            let expected =
                "\"train\" or \"none\", since the table has cells of NAS-Bench-201 alone";
            return error("evaluate", "\"nasbench201\"", expected.to_owned());
        }
        whole("random_draws", self.random_draws.unwrap_or(1), 1, CELLS)?;
        let below = |table: &str, mut e: ConfigError| {
            e.key = format!("{table}.{}", e.key);
            e
        };
        if let Some(config) = &self.nsganetv2 {
            config.check().map_err(|e| below("nsganetv2", e))?;
        }
        if let Some(space) = &self.elastic
            && let Err(e) = space.check()
        {
            return error("elastic", format!("{space:?}"), e.to_string());
        }
        let Some(cells) = space.cells() else {
            return self.check_elastic();
        };
        if self.supernet.is_some() {
            let expected = "space = \"elastic\", whose supernets are exchanged".to_owned();
            return error("supernet", "a file", expected);
        }
        if let Some(config) = &self.p_darts {
            let config = config.clone().resolved(cells);
            config.check(cells).map_err(|e| below("p-darts", e))?;
        }
        if let Some(config) = &self.te_nas {
            let checked = config.ranges(cells);
            checked.map_err(|e| below("te-nas", tenas(e)))?;
        }
        if let Some(config) = &self.robot {
            config.check().map_err(|e| below("robot", robot(e)))?;
        }
        if let Some(config) = &self.random {
            let checked = config.check(cells);
            checked.map_err(|e| below("random", random(e)))?;
        }
        self.check_training(Protocol::from(cells))
    }

    fn check_elastic(&self) -> Result<(), ConfigError> {
        match self.search {
            SearchKind::NsganetV2 => {}
            SearchKind::Random => {
                let draws = self.random.as_ref().map_or(1, |random| random.draws);
                whole("random.draws", draws, 1, 1)?;
            }
            other => {
                let expected = "\"nsganetv2\" or \"random\" in the space \"elastic\"".to_owned();
                return error("search", format!("\"{}\"", other.word()), expected);
            }
        }
        self.check_training(Protocol::Elastic)
    }

    fn check_training(&self, protocol: Protocol) -> Result<(), ConfigError> {
        if let Some(config) = &self.train {
            config.check(protocol).map_err(|e| {
                let mut e = training(e);
                e.key = format!("train.{}", e.key);
                e
            })?;
        }
        Ok(())
    }
}

/// The error of a number out of range; others do not come of a config alone.
fn tenas(e: TenasError) -> ConfigError {
    match e {
        TenasError::Range {
            key,
            found,
            low,
            high,
        } => range(key, found, low, high),
        other => range("", other, 0, 0),
    }
}

fn robot(e: RobotError) -> ConfigError {
    match e {
        RobotError::Range {
            key,
            found,
            low,
            high,
        } => range(key, found, low, high),
        RobotError::Reward(e) => reward(e),
        other => range("", other, 0, 0),
    }
}

fn random(e: RandomError) -> ConfigError {
    match e {
        RandomError::Range { key, found, high } => range(key, found, 1, high),
        RandomError::Reward(e) => reward(e),
        other => range("", other, 0, 0),
    }
}

fn reward(e: RewardError) -> ConfigError {
    match e {
        RewardError::DropPath(found) => range("train.drop_path", found, 0.0, 0.99),
        RewardError::Fit(e) => range(&format!("train.{}", e.key), e.found, e.low, e.high),
        other => range("", other, 0, 0),
    }
}

fn training(e: FinalError) -> ConfigError {
    match e {
        FinalError::Config(e) => e,
        FinalError::Fit(e) => range(e.key, e.found, e.low, e.high),
        other => range("", other, 0, 0),
    }
}

fn range<T: ToString>(key: &str, found: impl ToString, low: T, high: T) -> ConfigError {
    ConfigError {
        key: key.to_owned(),
        found: found.to_string(),
        expected: format!("{} to {}", low.to_string(), high.to_string()),
    }
}
