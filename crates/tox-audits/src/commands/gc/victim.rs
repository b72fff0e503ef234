//! Victims that a user may ask for.

use serde_json::{Value, json};
use tox_nn::fit::FitConfig;
use tox_poison::data::gc::Targets;
use tox_search::pdarts::config::PdartsConfig;
use tox_search::space::cells::{CellGenotype, CellSpace};

/// A victim and its training.
#[allow(clippy::large_enum_variant, reason = "a command has one")]
pub enum Kind {
    /// All weights of the network of a genotype.
    Cells {
        genotype: CellGenotype,
        channels: usize,
        cells: usize,
        fit: FitConfig,
    },
    /// All weights of a ResNet-18.
    ResNet18 { width: usize, fit: FitConfig },
    /// The alphas of a supernet that P-DARTS searches.
    Alphas {
        space: CellSpace,
        config: PdartsConfig,
    },
}

impl Kind {
    pub fn targets(&self) -> Targets {
        match self {
            Self::Cells { .. } | Self::ResNet18 { .. } => Targets::Small,
            Self::Alphas { .. } => Targets::Alphas,
        }
    }

    /// All that it depends on beside data and seed.
    pub fn settings(&self) -> Value {
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
            Self::Alphas { space, config } => json!({
                "targets": "alphas",
                "search": "p-darts",
                "space": space,
                "training": config,
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
            Self::Alphas { space, config } => {
                let space = match space {
                    CellSpace::Darts => "the DARTS space",
                    CellSpace::NasBench201 => "NAS-Bench-201",
                };
                let cells: Vec<_> = config.stages.iter().map(|s| s.cells.to_string()).collect();
                let (channels, cells) = (config.channels, cells.join(", "));
                format!(
                    "alphas of P-DARTS in {space}, {channels} channels, cells by stage: {cells}"
                )
            }
        }
    }
}

/// Cells of a small network: those of P-DARTS' first supernet, or one in each part of NAS-Bench-201.
pub fn few(space: CellSpace) -> usize {
    match space {
        CellSpace::Darts => 5,
        CellSpace::NasBench201 => 1,
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
