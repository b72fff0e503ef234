//! Gaussian noise on images or on the numbers of a table, labels kept: a control that costs an adversary nothing.

use super::{Check, Crafted, PoisonError, random_rows};
use rand::RngExt;
use rand_distr::StandardNormal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tox_data::features::{Features, Values};
use tox_data::patch::Patch;
use tox_data::ranges;
use tox_data::rng::stream;

/// How much noise. Both numbers are in 1/255: steps of an 8-bit pixel, or of a column of a table that goes
/// from its least to its largest value in 255 steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Noise {
    /// Largest change of a value (L-inf). The paper's is 16.
    #[schemars(range(min = 1, max = 255))]
    pub bound: u8,
    /// Standard deviation before clipping. The paper does not give it; the default is the paper's bound: equal to
    /// the bound, a third of the pixels end at it and the others are still Gaussian.
    #[schemars(range(max = 1e6), extend("exclusiveMinimum" = 0.0))]
    pub std: f64,
}

impl Default for Noise {
    fn default() -> Self {
        Self {
            bound: 16,
            std: 16.0,
        }
    }
}

/// Adds noise to a share of `budget` of the images (see [`super::points`]), drawn as [`super::flip::random`] draws its rows: each
/// pixel (stream `poison/noise` of the row, in C, H, W order) moves by a normal number that is
/// clipped to the bound and rounded to 8 bits, and is clipped to 0..=255. A float of a table is not rounded, and is
/// clipped to the range that its column has among all rows. Budgets are nested.
///
/// # Errors
/// A budget that is no share or less than a row, settings out of range, images of floats.
pub fn gaussian(
    clean: &Features,
    noise: Noise,
    budget: f64,
    seed: u64,
) -> Result<Crafted, PoisonError> {
    let (bound, std) = (noise.bound, noise.std);
    ranges::check(&noise)?;
    let pixels = match (&clean.values, clean.shape) {
        (Values::Bytes(pixels), _) => pixels,
        (Values::Floats(values), None) => return on_floats(clean, values, noise, budget, seed),
        (Values::Floats(_), Some(_)) => {
            return Err(PoisonError::NotImages {
                attack: "noise",
                found: "floats",
            });
        }
    };
    let indices = random_rows(budget, clean.rows, seed)?;
    let mut images = Vec::with_capacity(indices.len() * clean.columns);
    for &index in &indices {
        let image = &pixels[index as usize * clean.columns..][..clean.columns];
        let mut rng = stream(seed, "poison/noise", &[index]);
        let limit = f64::from(bound);
        images.extend(image.iter().map(|&pixel| {
            let change = std * rng.sample::<f64, _>(StandardNormal);
            // A pixel is a whole number of steps, so this is the sum, clipped, then rounded.
            let moved = f64::from(pixel) + change.clamp(-limit, limit).round();
            moved.clamp(0.0, 255.0) as u8
        }));
    }
    let settings = json!({ "budget": budget, "seed": seed, "bound": bound, "std": std });
    let patch = Patch::of_images(clean, indices, images, "noise", settings)?;
    let check = Check::images(&patch, clean, bound)?;
    Ok(Crafted { patch, check })
}

/// [`gaussian`] on a table of floats.
fn on_floats(
    clean: &Features,
    values: &[f32],
    noise: Noise,
    budget: f64,
    seed: u64,
) -> Result<Crafted, PoisonError> {
    let (bound, std, columns) = (noise.bound, noise.std, clean.columns);
    let mut ranges = vec![(f32::INFINITY, f32::NEG_INFINITY); columns];
    for row in values.chunks_exact(columns) {
        for ((low, high), &x) in ranges.iter_mut().zip(row) {
            (*low, *high) = (low.min(x), high.max(x));
        }
    }
    let indices = random_rows(budget, clean.rows, seed)?;
    let mut moved = Vec::with_capacity(indices.len() * columns);
    let mut labels = Vec::with_capacity(indices.len());
    for &index in &indices {
        let row = &values[index as usize * columns..][..columns];
        let mut rng = stream(seed, "poison/noise", &[index]);
        let limit = f64::from(bound);
        moved.extend(row.iter().zip(&ranges).map(|(&x, &(low, high))| {
            let change = std * rng.sample::<f64, _>(StandardNormal);
            let step = (f64::from(high) - f64::from(low)) / 255.0;
            let moved = f64::from(x) + step * change.clamp(-limit, limit);
            (moved as f32).clamp(low, high)
        }));
        labels.push(clean.labels[index as usize]);
    }
    let settings = json!({ "budget": budget, "seed": seed, "bound": bound, "std": std });
    let patch = Patch::new(clean, indices, labels, moved, "noise", settings)?;
    let mut check = Check::values(&patch, clean)?;
    if check.moved < check.points {
        let (still, points) = (check.points - check.moved, check.points);
        check.unreliable = Some(format!(
            "{still} of {points} rows are as before: their columns have one value only, or what was added \
             is lost in rounding"
        ));
    }
    Ok(Crafted { patch, check })
}
