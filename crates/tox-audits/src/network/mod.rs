//! A trained network that somebody brings: how robust it is, and whether to believe that.

pub mod architectures;
mod config;
pub mod images;
pub mod norms;
pub mod outcome;
mod trial;

pub use config::{NetworkConfig, Which};

use architectures::{Arch, Found, NetworkError, constants};
use outcome::NetworkOutcome;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use std::path::Path;
use tox_data::DataDir;
use tox_nn::nets::file::WeightsFile;
use tox_rcnas::learner::{Constants, Normalisation};
use tox_study::house::{Learner, Measures};
use tox_study::part::Part;
use tox_study::recipe::{Keys, RecipeError};
use tox_study::spec::{Surface, TrialSpec};
use tox_study::trial::{Failure, Finished, TrialContext};

/// Its kind.
pub const KIND: &str = "network";

pub struct Network;

/// What a file says that its first layer sees: in the header that a trial wrote, or by two tensors of its own.
pub fn own_normalisation(file: &WeightsFile) -> Option<Normalisation> {
    let own = || {
        let own = file.normalise.as_ref()?;
        Some(constants(&own.mean, &own.std))
    };
    let said: Option<Constants> = Found::of(file).map(|found| found.normalise).or_else(own);
    said.map(Normalisation::Given)
}

fn config(trial: &TrialSpec) -> Result<NetworkConfig, Failure> {
    Ok(trial.learner.read()?)
}

impl Learner for Network {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        NetworkConfig::json_schema(generator)
    }

    /// The weights are named by content, and say the shape where nobody does.
    fn read(&self, keys: &Keys<'_>) -> Result<Part, RecipeError> {
        let mut config: NetworkConfig = keys.read()?;
        if config.weights.hash.is_none() {
            config.weights.hash = Some(keys.hash_of("weights", &config.weights.path)?);
        }
        if config.arch.is_none() || config.normalise.is_none() {
            let refuse = |e: NetworkError| keys.refuse("weights.path", e.to_string(), None);
            let file = WeightsFile::read(Path::new(&config.weights.path));
            let file = file.map_err(|e| refuse(e.into()))?;
            let normalise = config.normalise.take();
            config.normalise =
                normalise.or_else(|| Some(own_normalisation(&file).unwrap_or_default()));
            if config.arch.is_none() {
                config.arch = Some(Arch::of(&file).map_err(refuse)?);
            }
        }
        if let Err(e) = config.attacks() {
            return Err(keys.refuse("attacks", e, None));
        }
        Ok(Part::new(KIND, &config))
    }

    fn surface(&self, _config: &Part, surface: Surface) -> Result<(), String> {
        match surface {
            Surface::Inputs => Ok(()),
            Surface::Data => Err("its weights are given: it learns from no data".into()),
            Surface::Space => Err("its weights are given: it searches no space".into()),
        }
    }

    fn preflight(&self, trial: &TrialSpec, _dir: &DataDir) -> Result<(), Failure> {
        trial::unchanged(&config(trial)?)?;
        Ok(())
    }

    fn title(&self, config: &Part) -> String {
        match config.read::<NetworkConfig>() {
            Ok(NetworkConfig {
                arch: Some(arch), ..
            }) => format!("network {}", arch.title()),
            Ok(_) | Err(_) => KIND.to_owned(),
        }
    }

    fn run(&self, trial: &TrialSpec, context: TrialContext<'_>) -> Result<Finished, Failure> {
        Ok(trial::run(trial, &config(trial)?, context)?)
    }

    fn measures(&self, _trial: &TrialSpec, outcome: &Part) -> Measures {
        let Ok(outcome) = outcome.read::<NetworkOutcome>() else {
            return Measures::default();
        };
        let mut measures = Measures {
            clean_error: Some(100.0 - outcome.evaluation.clean),
            ..Measures::default()
        };
        crate::common_measures(&mut measures, None, &[], Some(&outcome.evaluation));
        measures
    }
}
