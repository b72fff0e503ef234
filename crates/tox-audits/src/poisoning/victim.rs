//! Victims of gradient cancelling that a user may ask for: each is trained on the clean images, then its gradient
//! is cancelled.

use crate::error::TrialError;
use crate::scene::{Aim, Cancelling, Crafting, Victims};
use crate::threats::gc::shape;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::ops::Range;
use tox_data::Dataset;
use tox_data::ranges::OutOfRange;
use tox_data::spec::Augment;
use tox_nn::fit::{FitConfig, Inputs, fit};
use tox_nn::layers::{Init, Network, State};
use tox_nn::nets::resnet::resnet18;
use tox_poison::data::PoisonError;
use tox_poison::data::gc::{self, Targets};
use tox_search::cell::GenotypeNetwork;
use tox_search::genes::Architecture;
use tox_search::nas::Direction;
use tox_search::nas::NasError;
use tox_search::pdarts::config::PdartsConfig;
use tox_search::pdarts::found::{self, PdartsError};
use tox_search::pdarts::learner::Learner;
use tox_search::pdarts::search;
use tox_search::space::cells::{CellGenotype, CellSpace};
use tox_study::steps::{Place, Steps};

/// Name of the victim among the random streams.
const NAME: &str = "victim";

/// A victim and its training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
#[allow(clippy::large_enum_variant, reason = "a trial has one")]
pub enum Victim {
    /// All weights of the network of a genotype.
    Cells {
        /// A DARTS `Genotype(...)` or an arch string of NAS-Bench-201.
        #[serde(with = "text")]
        #[schemars(with = "String")]
        genotype: CellGenotype,
        /// Channels of the first cell.
        #[schemars(range(min = 1, max = 4096))]
        channels: usize,
        /// Cells; in NAS-Bench-201 those of each of three stages.
        #[schemars(range(min = 1, max = 4096))]
        cells: usize,
        /// Its training.
        #[serde(default)]
        fit: FitConfig,
    },
    /// All weights of a ResNet-18.
    ResNet18 {
        /// Channels of the first stage.
        #[schemars(range(min = 1, max = 1024))]
        width: usize,
        /// Its training.
        #[serde(default)]
        fit: FitConfig,
    },
    /// The alphas of a supernet that P-DARTS searches.
    Alphas {
        /// The searched space.
        space: CellSpace,
        /// The search.
        #[serde(default)]
        search: PdartsConfig,
    },
}

/// A genotype as people exchange it.
mod text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use tox_search::space::cells::CellGenotype;

    pub fn serialize<S: Serializer>(genotype: &CellGenotype, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(genotype)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<CellGenotype, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

impl Victim {
    /// With the stages of a search that names none.
    pub fn resolved(self) -> Self {
        match self {
            Self::Alphas { space, search } => Self::Alphas {
                space,
                search: search.resolved(space),
            },
            Self::Cells { .. } | Self::ResNet18 { .. } => self,
        }
    }

    /// Whether keys go together.
    ///
    /// # Errors
    /// The first that does not.
    pub fn check(&self) -> Result<(), OutOfRange> {
        match self {
            Self::Cells { fit, .. } | Self::ResNet18 { fit, .. } => {
                fit.check().map_err(|e| e.below("fit"))
            }
            Self::Alphas { space, search } => search.check(*space).map_err(|e| e.below("search")),
        }
    }

    /// All that it depends on beside data and seed, as a manifest says it.
    fn settings(&self) -> Value {
        match self {
            Self::Cells {
                genotype,
                channels,
                cells,
                fit,
            } => json!({
                "targets": "weights",
                "genotype": genotype.to_string(),
                "channels": channels,
                "cells": cells,
                "training": fit,
            }),
            Self::ResNet18 { width, fit } => json!({
                "targets": "weights",
                "network": "resnet18",
                "width": width,
                "training": fit,
            }),
            Self::Alphas { space, search } => json!({
                "targets": "alphas",
                "search": "p-darts",
                "space": space,
                "training": search,
            }),
        }
    }

    /// In words.
    pub fn title(&self) -> String {
        match self {
            Self::Cells {
                genotype,
                channels,
                cells,
                ..
            } => {
                let parts = match genotype.space() {
                    CellSpace::Darts => "",
                    CellSpace::NasBench201 => " a stage",
                };
                format!("{genotype}, {channels} channels, cells{parts}: {cells}")
            }
            Self::ResNet18 { width, .. } => format!("ResNet-18 of width {width}"),
            Self::Alphas { space, search } => {
                let space = match space {
                    CellSpace::Darts => "the DARTS space",
                    CellSpace::NasBench201 => "NAS-Bench-201",
                };
                let cells: Vec<_> = search.stages.iter().map(|s| s.cells.to_string()).collect();
                let (channels, cells) = (search.channels, cells.join(", "));
                format!(
                    "alphas of P-DARTS in {space}, {channels} channels, cells by stage: {cells}"
                )
            }
        }
    }
}

impl Victims for Victim {
    fn cancel(&self, asked: &Cancelling<'_>, steps: &mut Steps<'_>) -> Crafting {
        gc::images(asked.pool)?;
        let data = asked.scene.images()?;
        let init = (asked.seed(), NAME);
        let job = Job {
            victim: self,
            asked,
            data,
        };
        match self {
            Self::Cells {
                genotype,
                channels,
                cells,
                fit,
            } => {
                let made = GenotypeNetwork::new(genotype, shape(data, *channels, *cells), init)?;
                job.network(made, fit, steps)
            }
            Self::ResNet18 { width, fit } => {
                let [_, c, ..] = data.train.images.shape;
                let made = resnet18(c, data.classes, *width, Init::Torch, init);
                job.network(made, fit, steps)
            }
            Self::Alphas { space, search } => job.alphas(*space, search, steps),
        }
    }
}

/// An attack that is being made.
struct Job<'a> {
    victim: &'a Victim,
    asked: &'a Cancelling<'a>,
    data: &'a Dataset,
}

/// What a search leaves beside the numbers of its last supernet.
#[derive(Serialize, Deserialize)]
struct Searched {
    genotype: String,
    /// The ops of the supernet: by kind of cell and edge.
    ops: Vec<Vec<Vec<usize>>>,
    /// Training error of the last epoch in percent.
    error: f64,
}

impl Job<'_> {
    /// Against all weights of a network.
    fn network<N: Network + Clone>(
        &self,
        (network, mut state): (N, State),
        config: &FitConfig,
        steps: &mut Steps<'_>,
    ) -> Crafting {
        let scene = self.asked.scene;
        let inputs = Inputs {
            train: &self.data.train,
            normalise: &self.data.normalise,
            augment: &Augment::default(),
            config,
            seed: self.asked.seed(),
            name: NAME,
            device: scene.device.clone(),
        };
        let (place, error): (_, f64) = steps.shared(
            NAME,
            self.asked.seeded(json!({ "victim": self.victim })),
            |place, hooks| -> Result<_, TrialError> {
                let Some(fitted) = fit(network.clone(), state.clone(), &inputs, hooks)? else {
                    return Ok(None);
                };
                keep(&fitted.state, place)?;
                Ok(Some(fitted.epochs.last().map_or(100.0, |e| e.error)))
            },
        )?;
        state.load(&place.file(".safetensors"))?;
        let victim = gc::Victim::of_all(network, state, scene.device.clone());
        self.craft((victim, Targets::Small), (None, error), &|_| None, steps)
    }

    /// Against the alphas of a searched supernet.
    fn alphas(&self, space: CellSpace, config: &PdartsConfig, steps: &mut Steps<'_>) -> Crafting {
        let (scene, data) = (self.asked.scene, self.data);
        // The published search: the first half for the weights, the second for the alphas.
        let n = data.train.len();
        let rows = |range: Range<usize>| data.train.rows(&range.collect::<Vec<_>>());
        let halves = Dataset {
            train: rows(0..n / 2),
            valid: rows(n / 2..n),
            ..data.clone()
        };
        let inputs = found::Inputs {
            data: &halves,
            augment: &Augment::default(),
            space,
            direction: Direction::Search,
            config,
            seed: self.asked.seed(),
            device: scene.device.clone(),
        };
        let of = |learner: Learner| {
            let (net, state) = (learner.net, learner.state);
            gc::Victim::of_alphas(net, state, &learner.alphas, scene.device.clone())
        };
        let (place, searched): (_, Searched) = steps.shared(
            NAME,
            self.asked.seeded(json!({ "victim": self.victim })),
            |place, hooks| -> Result<_, TrialError> {
                let Some(found) = search::run(&inputs, hooks).map_err(unsearched)? else {
                    return Ok(None);
                };
                let all: Vec<String> = space.ops().iter().map(ToString::to_string).collect();
                let searched = Searched {
                    genotype: found.genotype.to_string(),
                    ops: found
                        .stages
                        .last()
                        .map(|end| end.candidates(&all))
                        .unwrap_or_default(),
                    error: found.epochs.last().map_or(100.0, |epoch| epoch.error),
                };
                keep(&of(found.learner).state, place)?;
                Ok(Some(searched))
            },
        )?;
        let cells = config.stages.last().map_or(1, |stage| stage.cells);
        let init = (self.asked.seed(), NAME);
        let shape = shape(data, config.channels, cells);
        let device = scene.device.clone();
        let learner = Learner::new(space, &searched.ops, shape, config, init, device)?;
        let mut victim = of(learner);
        victim.state.load(&place.file(".safetensors"))?;
        let how = (Some(searched.genotype), searched.error);
        let read = |alphas: &[f32]| {
            let found = found::genotype_at(space, &searched.ops, alphas, config.max_skips);
            Some(Aim::of(found.map(Architecture::Cell)))
        };
        self.craft((victim, Targets::Alphas), how, &read, steps)
    }

    /// The second part, with what a search found, the training error, and what the moved targets stand for.
    fn craft<N: Network>(
        &self,
        (victim, targets): (gc::Victim<N>, Targets),
        (genotype, error): (Option<String>, f64),
        read: &dyn Fn(&[f32]) -> Option<Aim>,
        steps: &mut Steps<'_>,
    ) -> Crafting {
        let normalise = &self.data.normalise;
        let mut source = self.victim.settings();
        if let Some(genotype) = genotype {
            source["genotype"] = genotype.into();
        }
        source["training_error"] = error.into();
        source["target_values"] = victim.values().len().into();
        source["weights_hash"] = victim.hash().into();
        source["normalise"] = json!({ "mean": normalise.mean, "std": normalise.std });
        source["seed"] = self.asked.seed().into();
        let attack = self.asked.attack(targets, source.clone())?;
        self.asked.craft(victim, &attack, (source, read), steps)
    }
}

/// Keeps a trained victim.
fn keep(state: &State, place: &Place) -> Result<(), TrialError> {
    if !state.finite() {
        let what = "its training diverged, so that its weights are no numbers".into();
        return Err(PoisonError::Victim { what }.into());
    }
    Ok(state.save(&place.file(".safetensors"))?)
}

fn unsearched(error: PdartsError) -> TrialError {
    match error {
        PdartsError::Space(error) => error.into(),
        PdartsError::Config(error) => error.into(),
        error @ (PdartsError::Images { .. }
        | PdartsError::Checkpoint(_)
        | PdartsError::Discretise { .. }) => NasError::of(error).into(),
    }
}

/// Stages of the published search.
pub fn most_stages(space: CellSpace) -> usize {
    published(space).stages.len()
}

fn published(space: CellSpace) -> PdartsConfig {
    match space {
        CellSpace::Darts => PdartsConfig::default(),
        CellSpace::NasBench201 => PdartsConfig::nasbench201(),
    }
}

/// Cells of a small network: those of P-DARTS' first supernet, or one in each part of NAS-Bench-201.
pub fn few(space: CellSpace) -> usize {
    published(space)
        .stages
        .first()
        .map_or(1, |stage| stage.cells)
}

/// P-DARTS with smaller supernets and a shorter schedule: a stage for each number of `cells`, or all
/// published ones, small. The share of an epoch in which alphas are frozen is the published one.
pub fn small_search(
    space: CellSpace,
    cells: &[usize],
    channels: usize,
    epochs: usize,
) -> PdartsConfig {
    let mut config = published(space);
    if !cells.is_empty() {
        config.stages.truncate(cells.len());
    }
    let given = cells.iter().copied().chain(std::iter::repeat(few(space)));
    for (stage, cells) in config.stages.iter_mut().zip(given) {
        stage.cells = cells;
    }
    config.frozen_epochs = epochs * config.frozen_epochs / config.epochs;
    config.epochs = epochs;
    config.channels = channels;
    config
}
