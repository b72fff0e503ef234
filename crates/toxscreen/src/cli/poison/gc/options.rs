//! Options of gradient cancelling, and the victim that they ask for.

use super::super::{Poison, refuse};
use crate::cli::Usage;
use clap::ArgMatches;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::{Value, json};
use tox_nn::fit::FitConfig;
use tox_poison::data::PoisonError;
use tox_poison::data::gc::Gc;
use tox_search::config::ConfigError;
use tox_search::pdarts::config::PdartsConfig;
use tox_search::space::SpaceError;
use tox_search::space::cells::{CellGenotype, CellSpace};

/// The cell of the default network: of NAS-Bench-201's 15,625 the one with the best accuracy on
/// CIFAR-10 after 200 epochs (94.37 %). It is made of plain convolutions and a skip-connect, as most
/// networks are that a user may want to attack, and small.
const CELL: &str = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+\
                    |skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|";

/// What the poison is crafted against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Targets {
    /// All weights of a network that is first trained on the clean images
    Network,
    /// The architecture parameters of a supernet that P-DARTS first searches on the clean images
    Alphas,
}

/// Options of gc alone.
#[derive(clap::Args)]
pub struct GcOptions {
    /// Whose gradient the poison is to cancel
    #[arg(long, value_enum, default_value = "network")]
    pub gc_victim: Targets,
    /// The network: a DARTS `Genotype(...)`, an arch string of NAS-Bench-201, or resnet18 [default:
    /// the cell that is best on CIFAR-10 in NAS-Bench-201]
    #[arg(long, value_name = "TEXT")]
    pub genotype: Option<String>,
    /// alphas: the searched space [default: nasbench201]
    #[arg(long, value_parser = space())]
    pub space: Option<CellSpace>,
    /// Channels of the first cell of a network or supernet
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub channels: usize,
    /// Cells of a DARTS network, or of each of the three parts of one of NAS-Bench-201 [default: 5;
    /// 1]. alphas: of each stage's supernet, such as 5,11,17; there are as many stages as numbers
    /// [default: three such stages]
    #[arg(long, value_name = "N", value_delimiter = ',')]
    pub cells: Vec<usize>,
    /// How far uphill the victim's targets are taken first, in L2 [default: 0.1 for a network, 1 for
    /// alphas]. Further makes a worse model, whose gradient is harder to cancel
    #[arg(long, value_name = "R", allow_negative_numbers = true)]
    pub radius: Option<f64>,
    /// Length of a step of that ascent
    #[arg(long, value_name = "X", default_value_t = Gc::default().ascent_lr, allow_negative_numbers = true)]
    pub ascent_lr: f64,
    /// Passes over the poison
    #[arg(long, value_name = "N", default_value_t = Gc::default().iterations)]
    pub iterations: usize,
    /// Adam's learning rate of the poison's pixels, in standard deviations of the data's pixels
    #[arg(long, value_name = "X", default_value_t = Gc::default().lr, allow_negative_numbers = true)]
    pub gc_lr: f64,
    /// Most images of a poison batch; each batch alone cancels the whole clean gradient
    #[arg(long, value_name = "N", default_value_t = Gc::default().batch)]
    pub gc_batch: usize,
}

fn space() -> impl TypedValueParser<Value = CellSpace> {
    PossibleValuesParser::new(["nasbench201", "darts"]).map(|name| match &*name {
        "darts" => CellSpace::Darts,
        _ => CellSpace::NasBench201,
    })
}

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
    /// The alphas of a supernet.
    Alphas {
        space: CellSpace,
        config: PdartsConfig,
    },
}

impl Kind {
    /// What the options ask for.
    ///
    /// # Errors
    /// Options that do not go together, a genotype that is none, numbers out of range.
    pub fn asked(args: &Poison, given: &ArgMatches) -> anyhow::Result<Self> {
        let options = &args.gc;
        let fit = FitConfig {
            epochs: args.training.epochs,
            ..FitConfig::default()
        };
        if options.gc_victim == Targets::Alphas {
            let other = "--gc-victim network";
            refuse(given, &["genotype", "width"], "--gc-victim alphas", other)?;
            let space = options.space.unwrap_or(CellSpace::NasBench201);
            let config = search(space, options, args.training.epochs)?;
            return Ok(Self::Alphas { space, config });
        }
        fit.check().map_err(PoisonError::from)?;
        let what = "--gc-victim network, whose genotype is of one space";
        refuse(given, &["space"], what, "--gc-victim alphas")?;
        let text = options.genotype.as_deref().unwrap_or(CELL);
        if text.trim() == "resnet18" {
            let what = "--genotype resnet18";
            refuse(given, &["channels", "cells"], what, "--width")?;
            let width = args.training.width;
            if !(1..=1024).contains(&width) {
                return Err(PoisonError::Setting {
                    key: "width",
                    found: width as f64,
                    expected: "1 to 1024",
                }
                .into());
            }
            return Ok(Self::ResNet18 { width, fit });
        }
        let (what, other) = ("a network of cells", "--channels, or --genotype resnet18");
        refuse(given, &["width"], what, other)?;
        let genotype = genotype(text)?;
        let cells = match options.cells[..] {
            [] => few(genotype.space()),
            [cells] => cells,
            _ => {
                return Err(Usage::new(
                    format!(
                        "--cells has {} numbers, expected one for a network",
                        options.cells.len()
                    ),
                    "give one number, or use --gc-victim alphas, whose search has stages",
                )
                .into());
            }
        };
        Ok(Self::Cells {
            genotype,
            channels: options.channels,
            cells,
            fit,
        })
    }

    /// The default radius. The paper has 1 for alphas, and 0.5 or 1 for networks that are ten times
    /// as large as those that are trained in minutes. On these, from about 0.2 on, images that
    /// may move by 16 steps no longer turn the poison's gradient against the clean one (measured on
    /// the digits, see the guide).
    pub fn radius(&self) -> f64 {
        match self {
            Self::Cells { .. } | Self::ResNet18 { .. } => 0.1,
            Self::Alphas { .. } => 1.0,
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
fn few(space: CellSpace) -> usize {
    match space {
        CellSpace::Darts => 5,
        CellSpace::NasBench201 => 1,
    }
}

/// P-DARTS with smaller supernets and a shorter schedule; the share of an epoch in which alphas are
/// frozen is the published one.
fn search(space: CellSpace, options: &GcOptions, epochs: usize) -> Result<PdartsConfig, Usage> {
    let mut config = match space {
        CellSpace::Darts => PdartsConfig::default(),
        CellSpace::NasBench201 => PdartsConfig::nasbench201(),
    };
    let (cells, most) = (&options.cells, config.stages.len());
    if cells.len() > most {
        return Err(Usage::new(
            format!(
                "--cells has {} numbers, expected one to {most}: P-DARTS has {most} stages",
                cells.len()
            ),
            "give one number for each stage that is to be, such as --cells 5,11,17",
        ));
    }
    if !cells.is_empty() {
        config.stages.truncate(cells.len());
    }
    let given = cells.iter().copied().chain(std::iter::repeat(few(space)));
    for (stage, cells) in config.stages.iter_mut().zip(given) {
        stage.cells = cells;
    }
    config.frozen_epochs = epochs * config.frozen_epochs / config.epochs;
    config.epochs = epochs;
    config.channels = options.channels;
    config.check(space).map_err(|e| out_of_range(&e))?;
    Ok(config)
}

/// The genotype that `text` is.
fn genotype(text: &str) -> Result<CellGenotype, Usage> {
    let parsed = if text.contains('(') {
        text.parse().map(CellGenotype::Darts)
    } else if text.contains(['|', '~']) {
        text.parse().map(CellGenotype::NasBench201)
    } else {
        return Err(Usage::new(
            format!(
                "--genotype {text}: expected a DARTS genotype, `Genotype(normal=[('sep_conv_3x3', \
                 0), ...`, an arch string of NAS-Bench-201, `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`, \
                 or resnet18"
            ),
            "write it as PyTorch code prints it, in double quotes",
        ));
    };
    parsed.map_err(|e| {
        let hint = "put the text in double quotes, so that the shell leaves it as it is";
        Usage::new(format!("--genotype: {e}"), hint)
    })
}

/// What to change when the network cannot be built.
pub fn unfit(error: &SpaceError) -> Usage {
    let hint = match error {
        SpaceError::Network { what, .. } if what.contains("channels") => "change --channels",
        SpaceError::Network { what, .. } if what.contains("cells") => "change --cells",
        _ => "--genotype resnet18 takes images of any size",
    };
    Usage::new(format!("cannot build the victim: {error}"), hint)
}

/// What to change when the search cannot be run.
pub fn out_of_range(error: &ConfigError) -> Usage {
    let hint = match error.key.as_str() {
        "stages.cells" => "change --cells",
        "channels" => "change --channels",
        "epochs" => "change --epochs",
        _ => "bring more training rows",
    };
    Usage::new(format!("cannot search for the victim: {error}"), hint)
}
