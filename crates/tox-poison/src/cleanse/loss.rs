//! Rows that a classifier trained on trusted rows finds wrong are dropped: the loss filter of trimmed
//! losses (Shen and Sanghavi 2019) with the trusted set of Hendrycks et al. 2018 in place of the first
//! guess.

use super::report::{Judged, Verdict};
use super::small::SmallResnet;
use super::{CleanseError, Inputs};
use crate::classifier::Task;
use crate::logistic::Logistic;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tox_data::checkpoint::Hooks;
use tox_data::features::Features;
use tox_data::ranges::OutOfRange;
use tox_data::rng::stream;
use tox_data::{DataRef, shuffled};

/// Share dropped if neither a share nor a quantile is set: the middle budget of the study.
const DROP: f64 = 0.1;

/// Trains a network on trusted images, of a table a logistic regression on trusted rows, alone and drops the rows of the pool with the highest loss
/// (cross-entropy with the label that they came with), of equal ones the first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LossFilter {
    /// Trusted rows, which the defender has labelled with care.
    #[schemars(range(min = 2, max = 1_000_000_000))]
    pub trusted: usize,
    /// Share of the rows to drop, rounded down to whole rows: the budget that the
    /// defender believes the adversary to have. Default: 0.1, unless `quantile` is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 0.999_999_999))]
    pub drop: Option<f64>,
    /// In place of `drop`: the rows are dropped whose loss is above this quantile (the smallest loss that this share does not exceed) of the losses of trusted rows that
    /// the network was not trained on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1e-9, max = 1.0))]
    pub quantile: Option<f64>,
    /// Share of the trusted rows that are not trained on if `quantile` is set: losses
    /// of rows that were are near 0 and no measure of others.
    #[schemars(range(min = 0.01, max = 0.9))]
    pub held_out: f64,
    /// The network, of images alone.
    pub network: SmallResnet,
}

impl Default for LossFilter {
    fn default() -> Self {
        Self {
            trusted: 1_000,
            drop: None,
            quantile: None,
            held_out: 0.2,
            network: SmallResnet::default(),
        }
    }
}

impl LossFilter {
    /// What no attribute says of it.
    pub(super) fn relations(&self) -> Result<(), OutOfRange> {
        let one = self.drop.is_none() || self.quantile.is_none();
        OutOfRange::unless(one, "drop", "set", "it alone, without `quantile`")
    }

    pub(super) fn tables(&self) -> Result<(), &'static str> {
        match self.network == SmallResnet::default() {
            true => Ok(()),
            false => Err(
                "`network` describes a ResNet-18 of images: leave it out, and a logistic regression is \
                 trained on the trusted rows",
            ),
        }
    }

    pub(super) fn verdict(&self, inputs: &Inputs<'_>, hooks: Hooks<'_>) -> Judged {
        let mut verdict = Verdict::none(inputs.data);
        let (pool, classes) = (&verdict.pool, inputs.data.class_names().len());
        let trusted = checked(inputs.trusted, pool, classes)?;
        let (train, held) = self.parts(trusted, inputs.seed);
        let (train, held) = (trusted.rows(&train), trusted.rows(&held));
        covers(&train.labels, &pool.labels, classes)?;
        let Some([found, mut held]) = self.losses(inputs, &train, [pool, &held], hooks)? else {
            return Ok(None);
        };
        match self.quantile {
            Some(quantile) => {
                held.sort_unstable_by(f64::total_cmp);
                let rank = (quantile * held.len() as f64).ceil() as usize;
                let limit = held[rank.clamp(1, held.len()) - 1];
                let keep = found.iter().map(|loss| *loss <= limit);
                verdict.keep = keep.collect();
            }
            None => {
                let drop = tox_data::share::of(self.drop.unwrap_or(DROP), found.len());
                let mut order: Vec<usize> = (0..found.len()).collect();
                order.sort_by(|a, b| found[*b].total_cmp(&found[*a]).then(a.cmp(b)));
                order[..drop]
                    .iter()
                    .for_each(|row| verdict.keep[*row] = false);
            }
        }
        Ok(Some(verdict))
    }

    /// Trains on `train`, and gives the loss of every row of `asked`. `None` means that it was asked to stop.
    fn losses<const N: usize>(
        &self,
        inputs: &Inputs<'_>,
        train: &Features,
        asked: [&Features; N],
        hooks: Hooks<'_>,
    ) -> Result<Option<[Vec<f64>; N]>, CleanseError> {
        let classes = inputs.data.class_names().len();
        let losses = |logits: &[f32], labels: &[u16]| -> Vec<f64> {
            let rows = logits.chunks_exact(classes).zip(labels);
            rows.map(|(row, label)| cross_entropy(row, *label))
                .collect()
        };
        let mut all = asked.map(|_| Vec::new());
        match inputs.data {
            DataRef::Images(data) => {
                let images = |rows: &Features| {
                    let what = "they are no 8-bit images, as the training images are".to_owned();
                    rows.images().ok_or(CleanseError::Trusted { what })
                };
                let train = images(train)?;
                let task = Task {
                    images: &train,
                    classes,
                    normalise: &data.normalise,
                    augment: inputs.augment,
                    seed: inputs.seed,
                    name: "cleanse/loss-filter",
                    device: inputs.device.clone(),
                };
                let classifier = self.network.classifier(train.len());
                let Some(trained) = classifier.train(task, hooks)? else {
                    return Ok(None);
                };
                for (found, rows) in all.iter_mut().zip(asked).filter(|(_, rows)| rows.rows > 0) {
                    *found = losses(&trained.logits(&images(rows)?)?, &rows.labels);
                }
            }
            DataRef::Table(_) => {
                let Some(trained) = Logistic::train(train, hooks)? else {
                    return Ok(None);
                };
                for (found, rows) in all.iter_mut().zip(asked) {
                    *found = losses(&trained.logits(rows), &rows.labels);
                }
            }
        }
        Ok(Some(all))
    }

    /// Trusted rows that are trained on, and those held out (stream `cleanse/held-out`).
    fn parts(&self, trusted: &Features, seed: u64) -> (Vec<usize>, Vec<usize>) {
        let rows = trusted.rows;
        if self.quantile.is_none() {
            return ((0..rows).collect(), Vec::new());
        }
        let order = shuffled(rows, &mut stream(seed, "cleanse/held-out", &[]));
        let mut order: Vec<usize> = order.into_iter().map(|row| row as usize).collect();
        let held = tox_data::share::of(self.held_out, rows).clamp(1, rows - 1);
        let train = order.split_off(held);
        (train, order)
    }
}

/// Cross-entropy of one row of logits with `label`.
fn cross_entropy(logits: &[f32], label: u16) -> f64 {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exp = |logit: &f32| (f64::from(*logit) - f64::from(most)).exp();
    let sum: f64 = logits.iter().map(exp).sum();
    sum.ln() + f64::from(most) - f64::from(logits[usize::from(label)])
}

/// The trusted rows, if they fit the pool.
fn checked<'a>(
    trusted: Option<&'a Features>,
    pool: &Features,
    classes: usize,
) -> Result<&'a Features, CleanseError> {
    let refuse = |what: String| Err(CleanseError::Trusted { what });
    let Some(trusted) = trusted else {
        return refuse("there are none, and a loss filter needs some to learn from".into());
    };
    if trusted.rows < 2 {
        return refuse(format!("{} rows, expected at least 2", trusted.rows));
    }
    let shape = |rows: &Features| match rows.shape {
        Some(shape) => format!("images of shape {shape:?} (channels, height, width)"),
        None => format!("rows of {} columns", rows.columns),
    };
    let (expected, found) = (shape(pool), shape(trusted));
    if expected != found {
        return refuse(format!("{found}, expected {expected}"));
    }
    match trusted.labels.iter().find(|l| usize::from(**l) >= classes) {
        Some(label) => refuse(format!("label {label}, expected one below {classes}")),
        None => Ok(trusted),
    }
}

/// Whether every class of the pool is among the rows that are trained on: rows of a class that the
/// classifier has never seen would all look wrong.
pub(crate) fn covers(train: &[u16], pool: &[u16], classes: usize) -> Result<(), CleanseError> {
    let missing = |label: &u16| pool.contains(label) && !train.contains(label);
    match (0..classes as u16).find(missing) {
        None => Ok(()),
        Some(label) => Err(CleanseError::Trusted {
            what: format!(
                "none of the {} that are trained on is of class {label}, so that all of that class would \
                 be found wrong; use more trusted rows",
                train.len()
            ),
        }),
    }
}

/// `count` rows of the still clean pool of `clean`, as many of each class (give or take one, the
/// first classes give one more), drawn for `seed` (stream `cleanse/trusted`, by class): those that a
/// defender has looked at before anyone could poison them. The same rows stay in the pool, where they
/// may be poisoned as any other.
///
/// # Errors
/// A class with fewer rows than that, and less than one row a class.
pub fn trusted(clean: DataRef<'_>, count: usize, seed: u64) -> Result<Features, CleanseError> {
    let (pool, classes) = (clean.pool(), clean.class_names().len().max(1));
    let refuse = |what| Err(CleanseError::Trusted { what });
    if count < classes {
        return refuse(format!(
            "{count} rows of {classes} classes, expected one of each"
        ));
    }
    let mut rows = Vec::with_capacity(count);
    for class in 0..classes {
        let wanted = count / classes + usize::from(class < count % classes);
        let of_class = |row: &usize| usize::from(pool.labels[*row]) == class;
        let there: Vec<usize> = (0..pool.rows).filter(of_class).collect();
        if there.len() < wanted {
            let found = there.len();
            return refuse(format!(
                "{count} rows need {wanted} of class {class}, and training and validation rows have \
                 {found}; lower `trusted`"
            ));
        }
        let order = shuffled(
            there.len(),
            &mut stream(seed, "cleanse/trusted", &[class as u64]),
        );
        rows.extend(order[..wanted].iter().map(|i| there[*i as usize]));
    }
    Ok(pool.rows(&rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cross_entropy_by_hand() {
        let row = [0.0, 2.0f32.ln(), 5.0f32.ln()];
        let found = [0, 1, 2].map(|label| cross_entropy(&row, label));
        for (found, expected) in found.into_iter().zip([8.0f64, 4.0, 1.6]) {
            assert!((found - expected.ln()).abs() < 1e-6, "{found}");
        }
        // A sure and wrong answer does not overflow.
        assert_eq!(cross_entropy(&[1e4, -1e4], 1), 2e4);
    }
}
