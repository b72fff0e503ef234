//! What a trial says of the network that it trained, beside its numbers.

use super::nearest::nearest;
use super::{ARCHITECTURES, Arch, Images, Inferred, NetworkError, Taken};
use serde::{Deserialize, Serialize};
use std::path::Path;
use tox_data::Dataset;
use tox_nn::layers::{State, WeightsError};
use tox_nn::nets::file::WeightsFile;
use tox_rcnas::learner::Constants;

/// The file of a trial's network, beside its record.
pub const FILE: &str = "found.safetensors";

/// What a file says of the network that it is of, in its header.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Found {
    pub arch: Arch,
    /// What its first layer sees.
    pub normalise: Constants,
    /// Channels, height, width.
    pub image: [usize; 3],
    pub classes: usize,
    /// The name of the data set that it was trained on.
    pub data: String,
}

impl Arch {
    /// The network that a file is of: what it says itself, or what its names and shapes say.
    ///
    /// # Errors
    /// A file that is of none, or does not say all.
    pub fn of(file: &WeightsFile) -> Result<Self, NetworkError> {
        if let Some(found) = Found::of(file) {
            return Ok(found.arch);
        }
        let unknown = |reason| NetworkError::Unknown {
            path: file.path.clone(),
            reason,
        };
        for known in ARCHITECTURES {
            match known.infer(file) {
                Inferred::Other => {}
                Inferred::Arch(text) => return Ok(Self(text)),
                Inferred::Unsaid(reason) | Inferred::Refused(reason) => {
                    return Err(unknown(reason));
                }
            }
        }
        Err(unknown(nearest(file)))
    }

    /// The network with the numbers of a file.
    ///
    /// # Errors
    /// Weights of another network, images for which there is none.
    pub fn take(&self, file: &WeightsFile, images: Images) -> Result<Taken, NetworkError> {
        match Found::of(file) {
            Some(found) if found.arch != *self => Err(NetworkError::Other {
                path: file.path.clone(),
                of: found.arch.0,
                asked: self.0.clone(),
            }),
            _ => self.family().take(&self.0, file, images),
        }
    }
}

impl Found {
    /// A network that was trained on these data.
    pub fn on(arch: Arch, data: &Dataset) -> Self {
        let [_, c, h, w] = data.train.images.shape;
        Self {
            arch,
            normalise: constants(&data.normalise.mean, &data.normalise.std),
            image: [c, h, w],
            classes: data.classes,
            data: data.name.clone(),
        }
    }

    /// What a file says; `None` of one that no trial wrote.
    pub fn of(file: &WeightsFile) -> Option<Self> {
        serde_json::from_str(file.note.as_ref()?).ok()
    }

    /// Writes the numbers with it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, state: &State, path: &Path) -> Result<(), WeightsError> {
        state.save_noted(path, &serde_json::json!(self).to_string())
    }

    /// Leaves the network in a trial's folder for whoever wants it. One whose numbers are not finite is
    /// left out: its training diverged, as the record says, and nothing can be done with it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn keep(&self, state: &State, dir: &Path) -> Result<(), WeightsError> {
        match state.finite() {
            true => self.save(state, &dir.join(FILE)),
            false => Ok(()),
        }
    }
}

/// As they are written: 0.4914, not the nearest f32 in f64.
pub fn constants(mean: &[f32], std: &[f32]) -> Constants {
    let decimal = |values: &[f32]| -> Vec<f64> {
        let read = |v: &f32| v.to_string().parse().unwrap_or_else(|_| f64::from(*v));
        values.iter().map(read).collect()
    };
    Constants {
        mean: decimal(mean),
        std: decimal(std),
    }
}
