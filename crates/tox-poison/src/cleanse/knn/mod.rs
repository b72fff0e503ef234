//! Label sanitisation by nearest neighbours (Paudice, Munoz-Gonzalez, Lupu 2018, "Label sanitization
//! against label flipping poisoning attacks").

mod neighbours;
mod points;

pub use neighbours::neighbours;
pub use points::Points;

use super::report::{Judged, Verdict};
use super::small::SmallResnet;
use super::{CleanseError, Inputs};
use crate::classifier::Task;
use crate::logistic::standardised;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tox_bilevel::scale::{Scale, Scaling};
use tox_data::checkpoint::Hooks;
use tox_data::{DataRef, Images, resize};

/// What is done to a row whose neighbours are agreed on another label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// It gets that label (the paper's).
    #[default]
    Relabel,
    /// It is dropped, so that no label is made up.
    Drop,
}

/// Images as they are, normalised.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Pixels {
    /// Side to which images are reduced first: less cost, and less weight of exact places.
    /// Default: as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1024))]
    pub side: Option<usize>,
}

/// What distances (Euclidean) are taken of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Space {
    /// Normalised pixels: right for digits, poor for photographs. Of a table its columns, each brought to a
    /// mean of 0 and a standard deviation of 1 among these rows.
    Pixels(Pixels),
    /// What the last layer of a ResNet-18 sees that was trained on the same, perhaps poisoned, rows.
    /// Trained for long, it pulls a row towards the others of its label, right or wrong.
    Features(SmallResnet),
}

impl Default for Space {
    fn default() -> Self {
        Self::Pixels(Pixels::default())
    }
}

/// Gives a row the most common label of its `k` nearest other rows, if their share with it is at
/// least `eta`. All rows are judged by the labels as they came, so that their order does not matter.
/// Of equally common labels the row's own comes first, then that of the nearest row: the paper does
/// not say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Knn {
    /// Neighbours, fewer than there are rows. With 10, the default, more than half of
    /// them are poisoned in one row of 7,000 at a tenth of flipped labels; more neighbours are further
    /// away.
    #[schemars(range(min = 1, max = 1000))]
    pub k: usize,
    /// Least share of the neighbours. The paper's range begins at 0.5, the
    /// default: the label of half of the neighbours. Higher touches fewer clean rows and finds fewer
    /// poisoned ones.
    #[schemars(range(min = 1e-9, max = 1.0))]
    pub eta: f64,
    /// What happens to the row.
    pub action: Action,
    /// What distances are taken of.
    pub space: Space,
}

impl Default for Knn {
    fn default() -> Self {
        Self {
            k: 10,
            eta: 0.5,
            action: Action::Relabel,
            space: Space::default(),
        }
    }
}

impl Knn {
    pub(super) fn tables(&self) -> Result<(), &'static str> {
        match self.space == Space::default() {
            true => Ok(()),
            false => Err(
                "`space` names pixels of another side, or features of a network of images: leave it out, \
                 and distances are taken of the table's standardised columns",
            ),
        }
    }

    pub(super) fn verdict(&self, inputs: &Inputs<'_>, mut hooks: Hooks<'_>) -> Judged {
        let mut verdict = Verdict::none(inputs.data);
        let (k, rows) = (self.k, verdict.pool.rows);
        if k >= rows {
            return Err(CleanseError::FewRows { k, rows });
        }
        let Some((points, stoppable)) = self.points(inputs, &mut hooks)? else {
            return Ok(None);
        };
        let mut go_on = |done: f64| {
            (hooks.progress)(done, "nearest neighbours");
            !(stoppable && (hooks.stop)())
        };
        let Some(nearest) = neighbours(&points, k, &mut go_on) else {
            return Ok(None);
        };
        let given = verdict.pool.labels.clone();
        for (row, nearest) in nearest.chunks_exact(k).enumerate() {
            let around: Vec<u16> = nearest.iter().map(|&i| given[i as usize]).collect();
            let label = majority(given[row], &around, self.eta);
            match self.action {
                Action::Relabel => verdict.pool.labels[row] = label,
                Action::Drop => verdict.keep[row] = label == given[row],
            }
        }
        Ok(Some(verdict))
    }

    /// The rows as points, and whether what follows may be stopped: behind a training it may not, since
    /// that would be lost, and takes seconds.
    fn points(
        &self,
        inputs: &Inputs<'_>,
        hooks: &mut Hooks<'_>,
    ) -> Result<Option<(Points, bool)>, CleanseError> {
        let data = match inputs.data {
            DataRef::Images(data) => data,
            DataRef::Table(_) => {
                let pool = inputs.data.pool();
                let scale = Scale::fit(Scaling::Standard, &pool);
                let points = Points::floats(standardised(&scale, &pool), pool.columns);
                return Ok(Some((points, true)));
            }
        };
        let pool = &data.pooled();
        match &self.space {
            Space::Pixels(Pixels { side }) => {
                let [_, _, h, w] = pool.images.shape;
                let images: Images = match side {
                    Some(side) if (h, w) != (*side, *side) => resize(pool.images.clone(), *side),
                    _ => pool.images.clone(),
                };
                Ok(Some((Points::pixels(images, &data.normalise), true)))
            }
            Space::Features(small) => {
                let task = Task {
                    images: pool,
                    classes: data.classes,
                    normalise: &data.normalise,
                    augment: inputs.augment,
                    seed: inputs.seed,
                    name: "cleanse/knn",
                    device: inputs.device.clone(),
                };
                let hooks = Hooks {
                    stop: &mut *hooks.stop,
                    progress: &mut *hooks.progress,
                    ..*hooks
                };
                let classifier = small.classifier(pool.len());
                let Some(trained) = classifier.train(task, hooks)? else {
                    return Ok(None);
                };
                let features = trained.features(pool)?;
                let columns = features.len() / pool.len();
                Ok(Some((Points::floats(features, columns), false)))
            }
        }
    }
}

/// The label of a row whose own is `own` and whose neighbours, the nearest first, have the labels
/// `around`: their most common one if its share is at least `eta`, else its own. Of equally common
/// ones its own, then that of the nearest.
pub fn majority(own: u16, around: &[u16], eta: f64) -> u16 {
    let classes = around.iter().chain([&own]).max().map_or(0, |&c| c.into());
    let mut counts = vec![0usize; classes + 1];
    around.iter().for_each(|&l| counts[usize::from(l)] += 1);
    let count = |label: u16| counts[usize::from(label)];
    let most = counts.iter().copied().max().unwrap_or(0);
    // The quotient of two whole numbers is the double nearest to it, and so is an eta of 0.7.
    if count(own) == most || (most as f64 / around.len() as f64) < eta {
        return own;
    }
    let first = around.iter().find(|&&label| count(label) == most);
    first.copied().unwrap_or(own)
}
