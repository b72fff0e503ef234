//! `--attack gc`: a victim is trained on the clean images, then images are moved until their gradient
//! cancels that of the clean ones.
//!
//! Both parts are long, and each has a checkpoint beside `--out`. In between, FILE.victim.safetensors
//! keeps the trained victim, so that stopping the second part does not cost the first.

mod options;
mod victim;

pub use options::GcOptions;

use super::rows::{Made, resumable};
use super::{Poison, device};
use crate::cli::bilevel::{beside, interrupted};
use crate::cli::{say, table};
use clap::ArgMatches;
use options::{Kind, out_of_range, unfit};
use serde_json::{Value, json};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tox_data::checkpoint::{self, Slot};
use tox_data::features::Features;
use tox_data::spec::Augment;
use tox_data::{Dataset, Normalise, Split};
use tox_nn::Device;
use tox_nn::fit::{FitConfig, Inputs, fit};
use tox_nn::layers::{Init, Network, State};
use tox_nn::nets::resnet::resnet18;
use tox_poison::data::gc::{self, Alignment, Attack, Cancelled, Gc, Victim};
use tox_poison::data::points;
use tox_search::cell::{GenotypeNetwork, SupernetShape};
use tox_search::pdarts::config::PdartsConfig;
use tox_search::pdarts::found::{self, PdartsError};
use tox_search::pdarts::learner::Learner;
use tox_search::pdarts::search;
use tox_search::space::cells::CellSpace;
use victim::Learned;

/// Name of the victim among the random streams.
const NAME: &str = "victim";
/// From this many times the loss of guessing on, the moved victim's loss on the clean images is
/// worth a warning.
const TOO_BAD: f64 = 2.0;

/// An attack that is being made.
struct Job<'a> {
    args: &'a Poison,
    clean: &'a Features,
    images: Split,
    normalise: Normalise,
    gc: Gc,
    /// The victim's settings.
    settings: Value,
    device: Device,
    stop: Arc<AtomicBool>,
}

/// Trains the victim and cancels, each from its checkpoint if there is one; `None` if it was stopped.
pub fn craft(args: &Poison, clean: &Features, given: &ArgMatches) -> anyhow::Result<Option<Made>> {
    let kind = Kind::asked(args, given)?;
    let gc = Gc {
        bound: args.images.bound,
        radius: args.gc.radius.unwrap_or(kind.radius()),
        ascent_lr: args.gc.ascent_lr,
        lr: args.gc.gc_lr,
        iterations: args.gc.iterations,
        batch: args.gc.gc_batch,
        ..Gc::default()
    };
    gc.check()?;
    let (device, images) = (device(args)?, gc::images(clean)?);
    let job = Job {
        args,
        clean,
        normalise: Normalise::measured(&images.images),
        images,
        gc,
        settings: kind.settings(),
        device,
        stop: interrupted()?,
    };
    job.say(&format!("victim: {}", kind.title()));
    let (init, [_, c, h, w]) = ((args.seed, NAME), job.images.images.shape);
    let classes = clean.class_names.len();
    match &kind {
        Kind::Cells {
            genotype,
            channels,
            cells,
            fit,
        } => {
            let shape = SupernetShape {
                channels: *channels,
                cells: *cells,
                classes,
                input: [c, h, w],
            };
            let made = GenotypeNetwork::new(genotype, shape, init).map_err(|e| unfit(&e))?;
            job.network(made, fit)
        }
        Kind::ResNet18 { width, fit } => {
            job.network(resnet18(c, classes, *width, Init::Torch, init), fit)
        }
        Kind::Alphas { space, config } => job.alphas(*space, config),
    }
}

impl Job<'_> {
    /// Against all weights of a network.
    fn network<N: Network + Clone>(
        &self,
        (network, mut state): (N, State),
        config: &FitConfig,
    ) -> anyhow::Result<Option<Made>> {
        let inputs = Inputs {
            train: &self.images,
            normalise: &self.normalise,
            augment: &Augment::default(),
            config,
            seed: self.args.seed,
            name: NAME,
            device: self.device.clone(),
        };
        let learned = self.learned("training", |hooks| {
            let fitted = fit(network.clone(), state.clone(), &inputs, hooks)?;
            Ok(fitted.map(|fitted| Learned {
                weights: fitted.state.params.values,
                error: fitted.epochs.last().map_or(100.0, |epoch| epoch.error),
                searched: None,
            }))
        })?;
        let Some(learned) = learned else {
            return Ok(None);
        };
        learned.put(&mut state.params.values, &self.kept())?;
        let victim = Victim::of_all(network, state, self.device.clone());
        self.cancel(victim, &learned)
    }

    /// Against the alphas of a searched supernet.
    fn alphas(&self, space: CellSpace, config: &PdartsConfig) -> anyhow::Result<Option<Made>> {
        let (clean, args) = (self.clean, self.args);
        let [_, c, h, w] = self.images.images.shape;
        // The published search: the first half for the weights, the second for the alphas.
        let n = self.images.len();
        let rows = |range: Range<usize>| self.images.rows(&range.collect::<Vec<_>>());
        let data = Dataset {
            name: args.rows.data.clone(),
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
            config,
            seed: args.seed,
            device: self.device.clone(),
        };
        let learned = self.learned("search", |hooks| match search::run(&inputs, hooks) {
            Ok(found) => Ok(found.map(|found| Learned::of_search(space, found))),
            Err(PdartsError::Space(error)) => Err(unfit(&error).into()),
            Err(PdartsError::Config(error)) => Err(out_of_range(&error).into()),
            Err(error) => Err(error.into()),
        })?;
        let Some(learned) = learned else {
            return Ok(None);
        };
        let shape = SupernetShape {
            channels: config.channels,
            cells: config.stages.last().map_or(1, |stage| stage.cells),
            classes: data.classes,
            input: [c, h, w],
        };
        let ops = learned.searched.as_ref().map_or(&[][..], |s| &s.ops);
        let (init, device) = ((args.seed, NAME), self.device.clone());
        let learner =
            Learner::new(space, ops, shape, config, init, device.clone()).map_err(|e| unfit(&e))?;
        let (net, state) = (learner.net, learner.state);
        let mut victim = Victim::of_alphas(net, state, &learner.alphas, device);
        learned.put(&mut victim.state.params.values, &self.kept())?;
        self.cancel(victim, &learned)
    }

    /// The victim as `train` makes it, or as it was kept.
    fn learned(
        &self,
        bar: &str,
        train: impl FnOnce(checkpoint::Hooks<'_>) -> anyhow::Result<Option<Learned>>,
    ) -> anyhow::Result<Option<Learned>> {
        let key = self.key(json!({ "victim": self.settings }));
        let kept = self.kept();
        let slot = Slot {
            path: &kept,
            key: &key,
        };
        if let Some(learned) = Learned::load(slot, &mut |note| say(format_args!("{note}")))? {
            self.say(&format!("it is trained already: {}", kept.display()));
            return Ok(Some(learned));
        }
        let checkpoint = beside(&self.args.out, "victim.checkpoint.safetensors");
        let learned = resumable(bar, (&checkpoint, &key), &self.stop, train)?;
        if let Some(learned) = &learned {
            learned.save(slot)?;
            checkpoint::remove(&checkpoint);
        }
        Ok(learned)
    }

    /// The second part.
    fn cancel<N: Network>(
        &self,
        victim: Victim<N>,
        learned: &Learned,
    ) -> anyhow::Result<Option<Made>> {
        let (args, gc) = (self.args, self.gc);
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
        source["seed"] = args.seed.into();
        let key = self.key(json!({ "gc": gc, "budget": args.budget, "victim": source }));
        let images = points(args.budget, self.clean.rows)?;
        self.say(&format!(
            "cancelling the gradient by its {targets} targets: {images} images in {} batches, {} \
             iterations",
            images.div_ceil(gc.batch),
            gc.iterations
        ));
        let attack = Attack {
            clean: self.clean,
            normalise: &self.normalise,
            gc,
            seed: args.seed,
            source: source.clone(),
        };
        let checkpoint = beside(&args.out, "checkpoint.safetensors");
        let made = resumable("poison", (&checkpoint, &key), &self.stop, |hooks| {
            gc::craft(victim, &attack, args.budget, hooks)
        })?;
        let Some(crafted) = made else {
            return Ok(None);
        };
        let Some(cancelled) = &crafted.check.cancelled else {
            anyhow::bail!(
                "gradient cancelling measured nothing; this is a bug in toxscreen, please report it"
            );
        };
        let guessing = (self.clean.class_names.len() as f64).ln();
        let warning = warning(cancelled, guessing);
        let text = tell(learned, cancelled, guessing, warning.as_deref());
        let report = json!({
            "victim": source,
            "guessing_loss": guessing,
            "warnings": warning.iter().collect::<Vec<_>>(),
        });
        Ok(Some(Made {
            crafted,
            text,
            report,
            checkpoints: vec![self.kept(), checkpoint],
        }))
    }

    /// Where the trained victim is kept until the poison is written.
    fn kept(&self) -> PathBuf {
        beside(&self.args.out, "victim.safetensors")
    }

    /// What a checkpoint belongs to: `what`, and all that both parts depend on.
    fn key(&self, mut what: Value) -> String {
        what["data"] = self.clean.hash().into();
        what["seed"] = self.args.seed.into();
        what["device"] = self.args.training.device.as_str().into();
        what.to_string()
    }

    fn say(&self, line: &str) {
        if !self.args.json {
            say(format_args!("{line}"));
        }
    }
}

/// Of an ascent that went too far.
fn warning(cancelled: &Cancelled, guessing: f64) -> Option<String> {
    let loss = cancelled.clean_loss;
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

fn tell(learned: &Learned, cancelled: &Cancelled, guessing: f64, warning: Option<&str>) -> String {
    let mut text = format!(
        "the victim, with an error of {:.1} % in its last epoch, was moved uphill by {:.3} (L2), to a \
         loss of {:.3} on the clean images; guessing has {guessing:.3}\n",
        learned.error, cancelled.ascent, cancelled.clean_loss
    );
    if let Some(searched) = &learned.searched {
        text.push_str(&format!("its search ended with {}\n", searched.genotype));
    }
    let row = |name: &str, found: Alignment| {
        let (loss, cosine) = (
            format!("{:.3e}", found.loss),
            format!("{:.3}", found.cosine),
        );
        vec![name.to_owned(), loss, cosine]
    };
    let head = ["gradient there", "cancelling loss", "cos(clean, poison)"];
    let rows = [
        row("images before", cancelled.before()),
        row("poison, 8-bit", cancelled.after),
    ];
    text.push('\n');
    text.push_str(&table(&head, &rows));
    text.push('\n');
    if let Some(warning) = warning {
        text.push_str(&format!("WARNING: {warning}\n"));
    }
    text
}
