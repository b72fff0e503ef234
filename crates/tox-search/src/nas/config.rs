//! Which search, over which space, and how its result is judged.

use crate::config::{ConfigError, error};
use crate::pdarts::config::PdartsConfig;
use crate::robot::{RobotConfig, RobotError};
use crate::space::cells::CellSpace;
use crate::table::{Column, DataSet, Measure};
use crate::tenas::{TenasConfig, TenasError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// A random architecture of the space: the control.
    Random,
}

impl SearchKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::PDarts, Self::TeNas, Self::Robot, Self::Random];

    /// Its name in a recipe.
    pub const fn word(self) -> &'static str {
        match self {
            Self::PDarts => "p-darts",
            Self::TeNas => "te-nas",
            Self::Robot => "robot",
            Self::Random => "random",
        }
    }

    /// Its name in papers.
    pub const fn title(self) -> &'static str {
        match self {
            Self::PDarts => "P-DARTS",
            Self::TeNas => "TE-NAS",
            Self::Robot => "RoBoT",
            Self::Random => "random",
        }
    }
}

/// How the found architecture is judged, always on clean data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Evaluate {
    /// Its final accuracy is looked up in the table of NAS-Bench-201.
    NasBench201,
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
    pub space: CellSpace,
    /// P-DARTS.
    #[serde(rename = "p-darts", default, skip_serializing_if = "Option::is_none")]
    pub p_darts: Option<PdartsConfig>,
    /// TE-NAS.
    #[serde(rename = "te-nas", default, skip_serializing_if = "Option::is_none")]
    pub te_nas: Option<TenasConfig>,
    /// RoBoT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub robot: Option<RobotConfig>,
    /// How its result is judged.
    #[serde(default = "looked_up")]
    pub evaluate: Evaluate,
    /// The column of the table that is the final accuracy.
    #[serde(default = "final_accuracy")]
    pub column: Column,
    /// Architectures that a random search of equal cost trains; default: as many as the search
    /// trained from scratch, at least one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub random_draws: Option<usize>,
}

fn nasbench201() -> CellSpace {
    CellSpace::NasBench201
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
    pub fn of(search: SearchKind, space: CellSpace) -> Self {
        Self {
            search,
            space,
            p_darts: None,
            te_nas: None,
            robot: None,
            evaluate: looked_up(),
            column: final_accuracy(),
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
                self.p_darts.unwrap_or_else(without).resolved(space)
            }),
            te_nas: is(SearchKind::TeNas).then(|| self.te_nas.unwrap_or_default()),
            robot: is(SearchKind::Robot).then(|| self.robot.unwrap_or_default()),
            ..self
        }
    }

    /// Checks every range of the search that it names.
    ///
    /// # Errors
    /// The first key out of its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        let space = self.space;
        if self.evaluate == Evaluate::NasBench201 && space != CellSpace::NasBench201 {
            let expected =
                "\"train\" or \"none\", since the table has cells of NAS-Bench-201 alone";
            return error("evaluate", "\"nasbench201\"", expected.to_owned());
        }
        if self.random_draws == Some(0) {
            return error("random_draws", 0, "at least 1".to_owned());
        }
        let below = |table: &str, mut e: ConfigError| {
            e.key = format!("{table}.{}", e.key);
            e
        };
        if let Some(config) = &self.p_darts {
            let config = config.clone().resolved(space);
            config.check(space).map_err(|e| below("p-darts", e))?;
        }
        if let Some(config) = &self.te_nas {
            config
                .ranges(space)
                .map_err(|e| below("te-nas", tenas(e)))?;
        }
        if let Some(config) = &self.robot {
            config.check().map_err(|e| below("robot", robot(e)))?;
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
        RobotError::Fit(e) => range(&format!("train.{}", e.key), e.found, e.low, e.high),
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
