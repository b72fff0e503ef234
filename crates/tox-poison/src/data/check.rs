//! What a patch does, measured on the rows before and after it.

use super::gc::Cancelled;
use serde::{Deserialize, Serialize};
use tox_data::features::{Features, Values};
use tox_data::patch::{Patch, PatchError};

/// Measured by applying the patch to a copy of the clean rows and comparing both, so that it holds
/// for any patch, whoever made it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Training rows.
    pub rows: usize,
    /// Rows in the patch.
    pub points: usize,
    /// Labels that are others than before.
    pub flipped: usize,
    /// Rows of the patch with at least one value that is another than before.
    pub moved: usize,
    /// Largest change of a value, in 1/255, after rounding to 8 bits; in the rows' own units if they
    /// are floats.
    pub linf: f64,
    /// Share of the patch's values that moved by exactly the bound, of attacks that have one.
    pub at_bound: Option<f64>,
    /// Why the attack did not do what it is for. Results under it must be marked.
    pub unreliable: Option<String>,
    /// Of gradient cancelling: its loss and the angle between both gradients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled: Option<Cancelled>,
}

impl Check {
    /// Share of all rows whose label was flipped.
    pub fn flip_rate(&self) -> f64 {
        self.flipped as f64 / self.rows.max(1) as f64
    }

    /// Takes [`Cancelled::aim`] out; nothing of another attack.
    pub fn take_aim(&mut self) -> Vec<f32> {
        let cancelled = self.cancelled.as_mut();
        cancelled.map_or_else(Vec::new, |c| std::mem::take(&mut c.aim))
    }

    /// Of an attack on labels: every row of the patch must have another label and keep its values.
    ///
    /// # Errors
    /// If the patch is not for these rows.
    pub fn labels(patch: &Patch, clean: &Features) -> Result<Self, PatchError> {
        let mut check = Self::measured(patch, clean, None)?;
        let points = check.points;
        check.unreliable = if check.flipped < points {
            let kept = points - check.flipped;
            Some(format!("{kept} of {points} rows keep their clean label"))
        } else if check.moved > 0 {
            let moved = check.moved;
            Some(format!("a label attack changed {moved} of {points} images"))
        } else {
            None
        };
        Ok(check)
    }

    /// Of an attack on 8-bit images that may move a pixel by `bound` / 255: every image of the patch
    /// must have moved, none by more, and labels must be kept.
    ///
    /// # Errors
    /// If the patch is not for these rows.
    pub fn images(patch: &Patch, clean: &Features, bound: u8) -> Result<Self, PatchError> {
        let mut check = Self::measured(patch, clean, Some(bound))?;
        let (points, still) = (check.points, check.points - check.moved);
        check.unreliable = if check.linf > f64::from(bound) {
            Some(format!(
                "a pixel moved by {}/255, over the bound of {bound}/255",
                check.linf
            ))
        } else if check.flipped > 0 {
            let flipped = check.flipped;
            Some(format!(
                "an image attack flipped {flipped} of {points} labels"
            ))
        } else if still > 0 {
            Some(format!(
                "{still} of {points} images are as before: what was added is lost in rounding to 8 \
                 bits"
            ))
        } else {
            None
        };
        Ok(check)
    }

    /// Of a patch of a table that nobody says more of: it must change something.
    ///
    /// # Errors
    /// If the patch is not for these rows.
    pub fn values(patch: &Patch, clean: &Features) -> Result<Self, PatchError> {
        let mut check = Self::measured(patch, clean, None)?;
        let idle = check.moved == 0 && check.flipped == 0;
        check.unreliable = idle.then(|| format!("all {} rows are as before", check.points));
        Ok(check)
    }

    fn measured(patch: &Patch, clean: &Features, bound: Option<u8>) -> Result<Self, PatchError> {
        let mut poisoned = clean.clone();
        patch.apply(&mut poisoned)?;
        let points = patch.indices().len();
        let labels = clean.labels.iter().zip(&poisoned.labels);
        let (mut moved, mut linf, mut bounded) = (0, 0.0f64, 0usize);
        for &index in patch.indices() {
            let row = index as usize * clean.columns..(index as usize + 1) * clean.columns;
            let mut changed = false;
            let mut see = |change: f64| {
                changed |= change > 0.0;
                linf = linf.max(change);
                bounded += usize::from(bound.is_some_and(|bound| change == f64::from(bound)));
            };
            match (&clean.values, &poisoned.values) {
                (Values::Bytes(a), Values::Bytes(b)) => (a[row.clone()].iter().zip(&b[row]))
                    .for_each(|(a, b)| see(f64::from(a.abs_diff(*b)))),
                (Values::Floats(a), Values::Floats(b)) => (a[row.clone()].iter().zip(&b[row]))
                    .for_each(|(a, b)| see((f64::from(*a) - f64::from(*b)).abs())),
                (Values::Bytes(_), Values::Floats(_)) | (Values::Floats(_), Values::Bytes(_)) => {
                    unreachable!("applying a patch keeps the kind of values")
                }
            }
            moved += usize::from(changed);
        }
        let values = (points * clean.columns).max(1) as f64;
        Ok(Self {
            rows: clean.rows,
            points,
            flipped: labels.filter(|(a, b)| a != b).count(),
            moved,
            linf,
            at_bound: bound.map(|_| bounded as f64 / values),
            unreliable: None,
            cancelled: None,
        })
    }
}
