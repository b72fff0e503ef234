//! RLF, random label flipping.

use super::{Check, Crafted, PoisonError, random_rows};
use rand::RngExt;
use serde_json::json;
use tox_data::features::Features;
use tox_data::patch::Patch;
use tox_data::rng::stream;

/// Flips the labels of a share of `budget` of the rows (see [`super::points`]), drawn uniformly without replacement, each to one
/// of the other classes, drawn uniformly (stream `poison/rlf` of the row). Budgets are nested, see
/// [the module](super).
///
/// # Errors
/// A budget that is no share or less than a row, and a single class.
pub fn random(clean: &Features, budget: f64, seed: u64) -> Result<Crafted, PoisonError> {
    let classes = clean.class_names.len() as u16;
    if classes < 2 {
        let classes = usize::from(classes);
        return Err(PoisonError::OneClass { classes });
    }
    let indices = random_rows(budget, clean.rows, seed)?;
    let label = |&index: &u64| {
        let old = clean.labels[index as usize];
        let new = stream(seed, "poison/rlf", &[index]).random_range(0..classes - 1);
        // The classes without the old one, in order.
        new + u16::from(new >= old)
    };
    let labels = indices.iter().map(label).collect();
    let settings = json!({ "budget": budget, "seed": seed });
    let patch = Patch::of_labels(clean, indices, labels, "rlf", settings)?;
    let check = Check::labels(&patch, clean)?;
    Ok(Crafted { patch, check })
}
