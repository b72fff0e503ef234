//! GC on a user's images: a victim is trained on the clean ones, then images are moved until their gradient
//! cancels that of the clean ones.
//!
//! Both parts are long, and each has a checkpoint. In between a file keeps the trained victim, so that
//! stopping the second part does not cost the first.

mod learned;
mod victim;

pub use crate::threats::gc::CELL;
pub use learned::Learned;
pub use victim::{Kind, few, most_stages, small_search};

use super::{CHECKPOINT, Desk};
use crate::error::Fails;
use serde_json::{Value, json};
use std::ops::Range;
use std::path::PathBuf;
use tox_data::checkpoint::{self, Slot};
use tox_data::features::Features;
use tox_data::ranges::{self, OutOfRange};
use tox_data::spec::Augment;
use tox_data::{Dataset, Normalise, Split};
use tox_nn::Device;
use tox_nn::fit::{FitConfig, Inputs, fit};
use tox_nn::layers::{Init, Network, State};
use tox_nn::nets::resnet::resnet18;
use tox_poison::data::gc::{self, Attack, Gc, Victim};
use tox_poison::data::{Crafted, PoisonError, points};
use tox_search::cell::{GenotypeNetwork, SupernetShape};
use tox_search::nas::Direction;
use tox_search::pdarts::config::PdartsConfig;
use tox_search::pdarts::found::{self, PdartsError};
use tox_search::pdarts::learner::Learner;
use tox_search::pdarts::search;
use tox_search::space::SpaceError;
use tox_search::space::cells::CellSpace;
use tox_study::trial::{Exit, Failure};

/// Name of the victim among the random streams.
const NAME: &str = "victim";
/// From this many times the loss of guessing on, the moved victim's loss on the clean images is
/// worth a warning.
const TOO_BAD: f64 = 2.0;
/// Ends of names of files: the trained victim, and the checkpoint of its training.
const VICTIM: &str = "victim.safetensors";
const VICTIM_CHECKPOINT: &str = "victim.checkpoint.safetensors";

/// Why there is no poison.
pub enum GcError {
    /// The victim's network cannot be built.
    Space(SpaceError),
    /// Its search cannot be run.
    Config(OutOfRange),
    Poison(PoisonError),
    Other(Failure),
}

impl From<PoisonError> for GcError {
    fn from(error: PoisonError) -> Self {
        Self::Poison(error)
    }
}

impl From<SpaceError> for GcError {
    fn from(error: SpaceError) -> Self {
        Self::Space(error)
    }
}

impl From<PdartsError> for GcError {
    fn from(error: PdartsError) -> Self {
        match error {
            PdartsError::Space(error) => Self::Space(error),
            PdartsError::Config(error) => Self::Config(error),
            error => Self::Other(error.fails()),
        }
    }
}

fn other(error: impl Fails) -> GcError {
    GcError::Other(error.fails())
}

/// What is asked for.
pub struct Ask<'a> {
    pub clean: &'a Features,
    /// What people call the rows.
    pub name: &'a str,
    pub kind: Kind,
    pub gc: Gc,
    pub budget: f64,
    pub seed: u64,
    /// A device and its name.
    pub device: (Device, &'a str),
}

/// A poison, and what it was crafted against.
pub struct Made {
    pub crafted: Crafted,
    /// The victim, in all that it depends on.
    pub victim: Value,
    pub learned: Learned,
    /// Loss of guessing a class.
    pub guessing: f64,
    /// Of an ascent that went too far.
    pub warning: Option<String>,
    /// Files that are of no use once the poison is written.
    pub leftovers: Vec<PathBuf>,
}

/// Trains the victim and cancels, each from its checkpoint if there is one; `None` if it was stopped.
///
/// # Errors
/// Why there is no poison.
pub fn craft<D: Desk>(ask: &Ask<'_>, desk: &D) -> Result<Option<Made>, GcError> {
    ranges::check(&ask.gc).map_err(PoisonError::from)?;
    let images = gc::images(ask.clean)?;
    let job = Job {
        ask,
        desk,
        normalise: Normalise::measured(&images.images),
        images,
        settings: ask.kind.settings(),
    };
    desk.say(&format!("victim: {}", ask.kind.title()));
    let (init, [_, c, ..]) = ((ask.seed, NAME), job.images.images.shape);
    let classes = ask.clean.class_names.len();
    match &ask.kind {
        Kind::Cells {
            genotype,
            channels,
            cells,
            fit,
        } => {
            let made = GenotypeNetwork::new(genotype, job.shape(*channels, *cells), init)?;
            job.network(made, fit)
        }
        Kind::ResNet18 { width, fit } => {
            job.network(resnet18(c, classes, *width, Init::Torch, init), fit)
        }
        Kind::Alphas { space, config } => job.alphas(*space, config),
    }
}

/// An attack that is being made.
struct Job<'a, D> {
    ask: &'a Ask<'a>,
    desk: &'a D,
    images: Split,
    normalise: Normalise,
    /// The victim's settings.
    settings: Value,
}

impl<D: Desk> Job<'_, D> {
    fn device(&self) -> Device {
        self.ask.device.0.clone()
    }

    fn shape(&self, channels: usize, cells: usize) -> SupernetShape {
        let [_, c, h, w] = self.images.images.shape;
        SupernetShape {
            channels,
            cells,
            classes: self.ask.clean.class_names.len(),
            input: [c, h, w],
        }
    }

    /// Against all weights of a network.
    fn network<N: Network + Clone>(
        &self,
        (network, mut state): (N, State),
        config: &FitConfig,
    ) -> Result<Option<Made>, GcError> {
        let inputs = Inputs {
            train: &self.images,
            normalise: &self.normalise,
            augment: &Augment::default(),
            config,
            seed: self.ask.seed,
            name: NAME,
            device: self.device(),
        };
        let learned = self.learned("training", |hooks| {
            let fitted = fit(network.clone(), state.clone(), &inputs, hooks).map_err(other)?;
            Ok(fitted.map(|fitted| Learned {
                weights: fitted.state.params.values,
                error: fitted.epochs.last().map_or(100.0, |epoch| epoch.error),
                searched: None,
            }))
        })?;
        let Some(learned) = learned else {
            return Ok(None);
        };
        learned
            .put(&mut state.params.values, &self.desk.file(VICTIM))
            .map_err(other)?;
        let victim = Victim::of_all(network, state, self.device());
        self.cancel(victim, learned)
    }

    /// Against the alphas of a searched supernet.
    fn alphas(&self, space: CellSpace, config: &PdartsConfig) -> Result<Option<Made>, GcError> {
        let Ask { clean, seed, .. } = *self.ask;
        // The published search: the first half for the weights, the second for the alphas.
        let n = self.images.len();
        let rows = |range: Range<usize>| self.images.rows(&range.collect::<Vec<_>>());
        let data = Dataset {
            name: self.ask.name.to_owned(),
            train: rows(0..n / 2),
            valid: rows(n / 2..n),
            test: rows(0..0),
            classes: clean.class_names.len(),
            class_names: clean.class_names.clone(),
            normalise: self.normalise.clone(),
            hash: clean.hash(),
            notes: Vec::new(),
        };
        let inputs = found::Inputs {
            data: &data,
            augment: &Augment::default(),
            space,
            direction: Direction::Search,
            config,
            seed,
            device: self.device(),
        };
        let learned = self.learned("search", |hooks| {
            let found = search::run(&inputs, hooks)?;
            Ok(found.map(|found| Learned::of_search(space, found)))
        })?;
        let Some(learned) = learned else {
            return Ok(None);
        };
        let cells = config.stages.last().map_or(1, |stage| stage.cells);
        let shape = self.shape(config.channels, cells);
        let ops = learned.searched.as_ref().map_or(&[][..], |s| &s.ops);
        let learner = Learner::new(space, ops, shape, config, (seed, NAME), self.device())?;
        let (net, state) = (learner.net, learner.state);
        let mut victim = Victim::of_alphas(net, state, &learner.alphas, self.device());
        learned
            .put(&mut victim.state.params.values, &self.desk.file(VICTIM))
            .map_err(other)?;
        self.cancel(victim, learned)
    }

    /// The victim as `train` makes it, or as it was kept.
    fn learned(
        &self,
        part: &str,
        train: impl FnOnce(checkpoint::Hooks<'_>) -> Result<Option<Learned>, GcError>,
    ) -> Result<Option<Learned>, GcError> {
        let key = self.key(json!({ "victim": self.settings }));
        let kept = self.desk.file(VICTIM);
        let slot = Slot {
            path: &kept,
            key: &key,
        };
        let before = Learned::load(slot, &mut |note| self.desk.say(note));
        if let Some(learned) = before.map_err(other)? {
            let said = format!("it is trained already: {}", kept.display());
            self.desk.say(&said);
            return Ok(Some(learned));
        }
        let learned = self.desk.part(part, (VICTIM_CHECKPOINT, &key), train)?;
        if let Some(learned) = &learned {
            learned.save(slot)?;
            checkpoint::remove(&self.desk.file(VICTIM_CHECKPOINT));
        }
        Ok(learned)
    }

    /// The second part.
    fn cancel<N: Network>(
        &self,
        victim: Victim<N>,
        learned: Learned,
    ) -> Result<Option<Made>, GcError> {
        let Ask {
            clean,
            gc,
            budget,
            seed,
            ..
        } = *self.ask;
        let (targets, hash) = (victim.values().len(), victim.hash());
        let (mean, std) = (&self.normalise.mean, &self.normalise.std);
        let mut source = self.settings.clone();
        if let Some(searched) = &learned.searched {
            source["genotype"] = searched.genotype.as_str().into();
        }
        source["training_error"] = learned.error.into();
        source["target_values"] = targets.into();
        source["weights_hash"] = hash.into();
        source["normalise"] = json!({ "mean": mean, "std": std });
        source["seed"] = seed.into();
        let key = self.key(json!({ "gc": gc, "budget": budget, "victim": source }));
        let images = points(budget, clean.rows)?;
        self.desk.say(&format!(
            "cancelling the gradient by its {targets} targets: {images} images in {} batches, {} \
             iterations",
            images.div_ceil(gc.batch),
            gc.iterations
        ));
        let attack = Attack {
            clean,
            normalise: &self.normalise,
            gc,
            seed,
            source: source.clone(),
        };
        let made = self.desk.part("poison", (CHECKPOINT, &key), |hooks| {
            gc::craft(victim, &attack, budget, hooks)
        })?;
        let Some(crafted) = made else {
            return Ok(None);
        };
        let Some(cancelled) = &crafted.check.cancelled else {
            let what = "gradient cancelling measured nothing; this is a bug in toxscreen, please report it";
            return Err(GcError::Other(Failure::new(Exit::Failed, &what)));
        };
        let guessing = (clean.class_names.len() as f64).ln();
        Ok(Some(Made {
            warning: warning(cancelled.clean_loss, guessing),
            crafted,
            victim: source,
            learned,
            guessing,
            leftovers: [VICTIM, CHECKPOINT].map(|end| self.desk.file(end)).into(),
        }))
    }

    /// What a checkpoint belongs to: `what`, and all that both parts depend on.
    fn key(&self, mut what: Value) -> String {
        what["data"] = self.ask.clean.hash().into();
        what["seed"] = self.ask.seed.into();
        what["device"] = self.ask.device.1.into();
        what.to_string()
    }
}

/// Of an ascent that went too far.
fn warning(loss: f64, guessing: f64) -> Option<String> {
    // NaN is no good loss.
    let fair = loss <= TOO_BAD * guessing;
    (!fair).then(|| {
        format!(
            "the moved victim's loss on the clean images is {loss:.2}, far above the {guessing:.2} of \
             guessing: images within the bound can hardly make such a model look like a minimum; \
             try a smaller --radius"
        )
    })
}
