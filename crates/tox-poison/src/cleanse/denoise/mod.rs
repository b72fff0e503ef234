//! Classical denoising of all images: a countermeasure against perturbed pixels, which it cannot tell
//! from others. Labels stay.
//!
//! The study's authors tried denoising by a diffusion model (sigma 0.1). That is not here: it needs a
//! large generative model that was trained on clean images of the same kind, which a defender who
//! doubts the data does not have at hand, and would decide the outcome more than the search does.

mod median;
mod tv;

pub use tv::tv_chambolle;

use super::report::{Judged, Verdict};
use super::{CleanseError, Inputs};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tox_data::checkpoint::Hooks;
use tox_data::features::Values;

/// Images between two questions whether to stop.
const GROUP: usize = 1024;

/// A denoiser; it works on each channel of an image by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "method", rename_all = "kebab-case")]
pub enum Denoise {
    /// Median of a window.
    Median(Median),
    /// Total variation.
    TvChambolle(TvChambolle),
    /// Fewer grey levels.
    BitDepth(BitDepth),
}

/// Each pixel becomes the median of the window around it, as `scipy.ndimage.median_filter` has it:
/// images are mirrored at their borders (the edge pixel twice), a window of even side reaches one
/// pixel further up and to the left, and of an even number of pixels the upper median is taken. A
/// feature squeezer of Xu et al. 2018, who have sides 2 and 3.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Median {
    /// Side of the window; at 1 nothing changes.
    #[schemars(range(min = 1, max = 15))]
    pub size: usize,
}

impl Default for Median {
    fn default() -> Self {
        Self { size: 3 }
    }
}

/// Total-variation denoising by Chambolle's projections (Chambolle 2004), as scikit-image's
/// `denoise_tv_chambolle` has it, whose defaults these are: pixels in 0..=1, f64, rounded to 8 bits
/// at the end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TvChambolle {
    /// Weight of the total variation against the squared distance to the image; more is
    /// smoother.
    #[schemars(range(min = 1e-6, max = 1e3))]
    pub weight: f64,
    /// Ends when an iteration changes the objective by less than this share of its first value.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub eps: f64,
    /// Most iterations.
    #[schemars(range(min = 1, max = 100_000))]
    pub iterations: usize,
}

impl Default for TvChambolle {
    fn default() -> Self {
        Self {
            weight: 0.1,
            eps: 2e-4,
            iterations: 200,
        }
    }
}

/// Pixels are rounded to `2^bits` equidistant values, `round(v (2^bits - 1)) / (2^bits - 1)` of v in
/// 0..=1, a feature squeezer of Xu et al. 2018.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BitDepth {
    /// Bits left; at 8 nothing changes. Xu et al. have 1 for MNIST, 4 and 5 for CIFAR-10 and
    /// ImageNet. At 4 a step is 17/255, about the bound of the study's attacks.
    #[schemars(range(min = 1, max = 8))]
    pub bits: u8,
}

impl Default for BitDepth {
    fn default() -> Self {
        Self { bits: 4 }
    }
}

impl Denoise {
    /// One channel of an image of height `h` and width `w`, changed in place.
    pub fn plane(&self, plane: &mut [u8], (h, w): (usize, usize)) {
        match self {
            Self::Median(Median { size }) => median::median(plane, (h, w), *size),
            Self::TvChambolle(settings) => {
                let image: Vec<f64> = plane.iter().map(|v| f64::from(*v) / 255.0).collect();
                let smooth = tv_chambolle(&image, (h, w), settings);
                for (pixel, value) in plane.iter_mut().zip(smooth) {
                    *pixel = (255.0 * value).round().clamp(0.0, 255.0) as u8;
                }
            }
            Self::BitDepth(BitDepth { bits }) => {
                let steps = (1u32 << u32::from(*bits).clamp(1, 8)) - 1;
                for pixel in plane {
                    // 255 is odd, so nothing lies half way between two values.
                    let level = (u32::from(*pixel) * steps + 127) / 255;
                    *pixel = ((2 * 255 * level + steps) / (2 * steps)) as u8;
                }
            }
        }
    }

    pub(super) fn verdict(&self, inputs: &Inputs<'_>, hooks: Hooks<'_>) -> Judged {
        let mut verdict = Verdict::none(inputs.data);
        let (n, stride) = (verdict.pool.rows, verdict.pool.columns);
        let (Values::Bytes(pixels), Some([_, h, w])) =
            (&mut verdict.pool.values, verdict.pool.shape)
        else {
            return Err(CleanseError::Table("it has no pixels"));
        };
        let group = GROUP * stride.max(1);
        for (i, group) in pixels.chunks_mut(group).enumerate() {
            if (hooks.stop)() {
                return Ok(None);
            }
            (hooks.progress)((i * GROUP) as f64 / n as f64, "denoising");
            let planes = group.par_chunks_exact_mut((h * w).max(1));
            planes.for_each(|plane| self.plane(plane, (h, w)));
        }
        Ok(Some(verdict))
    }
}
