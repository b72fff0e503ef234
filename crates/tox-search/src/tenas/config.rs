//! Every number of a TE-NAS search.

use crate::space::cells::CellSpace;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tox_data::Normalise;
use tox_data::ranges::{self, OutOfRange};

/// What pixels are normalised by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Normalisation {
    /// On CIFAR-10 and CIFAR-100 as the published code has it, which differs from other searches';
    /// else as [`Self::Data`].
    #[default]
    Published,
    /// The data set's own.
    Data,
}

impl Normalisation {
    /// Of the data set `name`, whose own is `own`.
    pub fn of(self, name: &str, own: &Normalise) -> Normalise {
        let published = match name {
            "cifar10" => [[125.3, 123.0, 113.9], [63.0, 62.1, 66.7]],
            "cifar100" => [[129.3, 124.1, 112.4], [68.2, 65.4, 70.4]],
            _ => return own.clone(),
        };
        if self == Self::Data || own.mean.len() != 3 {
            return own.clone();
        }
        let [mean, std] = published.map(|of: [f32; 3]| of.map(|v| v / 255.0).to_vec());
        Normalise { mean, std }
    }
}

/// The numbers of a search. The defaults are those of the published scripts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TenasConfig {
    /// Images of the kernel; absent: 14 for the DARTS space, 72 for NAS-Bench-201.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 4096))]
    pub batch: Option<usize>,
    /// Ops that leave every edge in a round, as long as one stays; absent: 3 for the DARTS space, 1
    /// for NAS-Bench-201.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 8))]
    pub prune: Option<usize>,
    /// New batches and weights, over which the drops of a candidate are averaged.
    #[schemars(range(min = 1, max = 4096))]
    pub repeats: usize,
    /// Batches of crops for the linear regions.
    #[schemars(range(min = 1, max = 256))]
    pub region_batches: usize,
    /// Crops of such a batch.
    #[schemars(range(min = 2, max = 65_536))]
    pub region_crops: usize,
    /// Side of a crop.
    #[schemars(range(min = 1, max = 256))]
    pub crop: usize,
    /// What pixels are normalised by.
    pub normalise: Normalisation,
}

impl Default for TenasConfig {
    fn default() -> Self {
        Self {
            batch: None,
            prune: None,
            repeats: 3,
            region_batches: 3,
            region_crops: 1000,
            crop: 3,
            normalise: Normalisation::Published,
        }
    }
}

/// Why a search could not begin.
#[derive(Debug, thiserror::Error)]
pub enum TenasError {
    #[error(transparent)]
    Config(#[from] OutOfRange),
    #[error(
        "a TE-NAS kernel takes {batch} different images, but the training split has {images}; give it \
         more images or set `batch`"
    )]
    Images { batch: usize, images: usize },
    #[error(
        "TE-NAS counts linear regions of crops of {crop} x {crop} pixels, but the images are {height} \
         x {width}; set `crop`"
    )]
    Crop {
        crop: usize,
        height: usize,
        width: usize,
    },
    #[error(
        "networks of NAS-Bench-201 halve their maps twice, but the images are {height} x {width}; resize \
         them to multiples of 4"
    )]
    Size { height: usize, width: usize },
    #[error(transparent)]
    Space(#[from] crate::space::SpaceError),
    #[error(transparent)]
    Checkpoint(#[from] tox_data::checkpoint::CheckpointError),
}

impl TenasConfig {
    /// Images of the kernel.
    pub fn batch(&self, space: CellSpace) -> usize {
        let published = match space {
            CellSpace::Darts => 14,
            CellSpace::NasBench201 => 72,
        };
        self.batch.unwrap_or(published)
    }

    /// Ops that leave every edge in a round.
    pub fn prune(&self, space: CellSpace) -> usize {
        let published = match space {
            CellSpace::Darts => 3,
            CellSpace::NasBench201 => 1,
        };
        self.prune.unwrap_or(published)
    }

    /// Checks every range, and that `images` of `[n, c, h, w]` will do.
    ///
    /// # Errors
    /// The first number that is out of its range, or what is wrong with the images.
    pub fn check(&self, space: CellSpace, images: [usize; 4]) -> Result<(), TenasError> {
        ranges::check(self)?;
        let [images, _, height, width] = images;
        let batch = self.batch(space);
        if images < batch {
            return Err(TenasError::Images { batch, images });
        }
        if height.min(width) < self.crop {
            return Err(TenasError::Crop {
                crop: self.crop,
                height,
                width,
            });
        }
        let halved = |side: usize| side >= 4 && side.is_multiple_of(4);
        if space == CellSpace::NasBench201 && !(halved(height) && halved(width)) {
            return Err(TenasError::Size { height, width });
        }
        Ok(())
    }
}
