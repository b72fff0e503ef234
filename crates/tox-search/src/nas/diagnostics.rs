//! What a poison does to the signals that a search goes by, measured on the clean and on the poisoned
//! copy of the same rows: the analyses in the authors' forks of the four searches.

use super::config::{NasConfig, SearchKind};
use super::search::{Found, Leftover};
use crate::cell::{GenotypeNetwork, SupernetShape};
use crate::genes::Architecture;
use crate::pdarts::learner::{Learner, cosine};
use crate::space::SpaceError;
use crate::tenas::{Left, Scene, Scorer};
use crate::zero_cost::{NAMES, metrics};
use serde::{Deserialize, Serialize};
use tox_data::rng::stream;
use tox_data::spec::Augment;
use tox_data::{Dataset, shuffled};
use tox_nn::Device;
use tox_nn::layers::Mode;

/// Most batches whose gradients of the alphas are added up.
const BATCHES: usize = 16;

/// Draws of batch and weights for TE-NAS' scores.
const DRAWS: u64 = 3;

/// A number before and after the poison; `None` where it is not finite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// What is measured.
    pub name: String,
    /// On the clean rows.
    pub clean: Option<f64>,
    /// On the poisoned rows.
    pub poisoned: Option<f64>,
}

impl Change {
    fn new(name: &str, clean: f64, poisoned: f64) -> Self {
        let finite = |v: f64| v.is_finite().then_some(v);
        Self {
            name: name.to_owned(),
            clean: finite(clean),
            poisoned: finite(poisoned),
        }
    }

    /// The change in percent of the clean value; `None` if that is 0 or one is not finite.
    pub fn percent(&self) -> Option<f64> {
        let (clean, poisoned) = (self.clean?, self.poisoned?);
        let percent = 100.0 * (poisoned - clean) / clean.abs();
        percent.is_finite().then_some(percent)
    }
}

/// What the poison does to a search's signals.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Diagnostics {
    /// P-DARTS: the cosine of the angle between the clean and the poisoned gradient of the alphas, in
    /// the last supernet as the search left it, over up to 16 batches of the validation split.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpha_cosine: Option<f64>,
    /// RoBoT: the metrics of the found architecture, with the batch of the search. TE-NAS: condition
    /// number and linear regions of the unpruned supernet, mean of three draws.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
}

/// The same rows, clean and poisoned.
#[derive(Clone, Copy)]
pub struct Pair<'a> {
    /// Clean.
    pub clean: &'a Dataset,
    /// Poisoned; as many rows, in the same order.
    pub poisoned: &'a Dataset,
    /// What happens to the batches of TE-NAS' kernel.
    pub augment: &'a Augment,
}

/// Measures what the search that `config` names goes by.
///
/// # Errors
/// A network that cannot be built.
pub fn diagnose(
    config: &NasConfig,
    found: &Found,
    pair: Pair<'_>,
    seed: u64,
    device: &Device,
) -> Result<Diagnostics, SpaceError> {
    let config = config.clone().resolved();
    let mut diagnostics = Diagnostics::default();
    let Some(space) = config.space.cells() else {
        return Ok(diagnostics);
    };
    match config.search {
        SearchKind::PDarts => {
            if let (Leftover::Learner(learner), Some(config)) = (&found.left, &config.p_darts) {
                diagnostics.alpha_cosine = alpha_cosine(learner, pair, config.batch);
            }
        }
        SearchKind::Robot => {
            let robot = config.robot.unwrap_or_default();
            let train = &pair.clean.train;
            let [_, c, h, w] = train.images.shape;
            let shape = SupernetShape {
                channels: robot.channels,
                cells: robot.cells,
                classes: pair.clean.classes,
                input: [c, h, w],
            };
            let key = (seed, "robot/diagnostics");
            let Architecture::Cell(genotype) = &found.genotype else {
                return Ok(diagnostics);
            };
            let (network, state) = GenotypeNetwork::new(genotype, shape, key)?;
            let mut rows = shuffled(train.len(), &mut stream(seed, "robot/batch", &[]));
            rows.truncate(robot.batch);
            let [clean, poisoned] = [pair.clean, pair.poisoned].map(|data| {
                let batch = data.train.batch(&rows, &data.normalise, None);
                metrics(&network, &state, &batch, device, robot.grasp_step).values()
            });
            let both = clean.into_iter().zip(poisoned);
            let change = |(name, (clean, poisoned)): (&str, _)| Change::new(name, clean, poisoned);
            diagnostics.changes = NAMES.into_iter().zip(both).map(change).collect();
        }
        SearchKind::TeNas => {
            let tenas = config.te_nas.unwrap_or_default();
            let scores = [pair.clean, pair.poisoned].map(|data| {
                let scene = Scene {
                    space,
                    images: &data.train.images,
                    normalise: &tenas.normalise.of(&data.name, &data.normalise),
                    augment: pair.augment,
                    classes: data.classes,
                    config: &tenas,
                    seed,
                };
                let (scorer, all) = (Scorer::new(scene, device.clone()), Left::fresh(space));
                let mean = |score: &dyn Fn(u64) -> Vec<f64>| {
                    (0..DRAWS).flat_map(score).sum::<f64>() / DRAWS as f64
                };
                let kernel = mean(&|draw| scorer.kernel(&[&all], &[u64::MAX, draw]));
                let regions = mean(&|draw| scorer.regions(&[&all], &[u64::MAX, draw]));
                [kernel, regions]
            });
            let [clean, poisoned] = scores;
            diagnostics.changes = vec![
                Change::new("condition number", clean[0], poisoned[0]),
                Change::new("linear regions", clean[1], poisoned[1]),
            ];
        }
        SearchKind::NsganetV2 | SearchKind::Random => {}
    }
    Ok(diagnostics)
}

/// The cosine of the sums of the alphas' gradients over the first batches of both validation splits.
fn alpha_cosine(learner: &Learner, pair: Pair<'_>, size: usize) -> Option<f64> {
    let rows: Vec<u32> = (0..pair.clean.valid.len() as u32).collect();
    let [clean, poisoned] = [pair.clean, pair.poisoned].map(|data| {
        let batches = rows
            .chunks(size)
            .take(BATCHES)
            .filter(|rows| rows.len() > 1);
        let mut sum = Vec::new();
        for rows in batches {
            let batch = data.valid.batch(rows, &data.normalise, None);
            let (gradient, _) = learner.alpha_gradient(&batch, Mode::Probe, 0.0);
            sum.resize(gradient.len(), 0.0f32);
            sum.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g);
        }
        sum
    });
    cosine(&clean, &poisoned)
}
