//! Options of `--attack gc`: images moved until their gradient cancels that of the clean ones.

use super::{Poison, refuse};
use crate::cli::{Result, table, usage};
use clap::ArgMatches;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::Value;
use tox_audits::error::Fails;
use tox_audits::poisoning::outcome::PoisoningOutcome;
use tox_audits::poisoning::{Victim, few, most_stages, small_search};
use tox_audits::scene::Aim;
use tox_audits::threats::gc::CELL;
use tox_data::ranges::{self, OutOfRange};
use tox_nn::fit::FitConfig;
use tox_poison::classifier::Classifier;
use tox_poison::data::PoisonError;
use tox_poison::data::gc::{Alignment, Gc};
use tox_poison::data::threat::{GcThreat, VictimConfig};
use tox_search::pdarts::config::PdartsConfig;
use tox_search::space::cells::{CellGenotype, CellSpace};
use tox_study::trial::Failure;

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
    #[arg(long, value_name = "N", default_value_t = VictimConfig::default().channels)]
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

/// A number out of range, by its option.
fn refused(error: OutOfRange) -> Failure {
    PoisonError::from(error).fails()
}

/// What is asked for.
pub fn threat(args: &Poison) -> Result<GcThreat> {
    let cancelling = Gc {
        bound: args.images.bound,
        ascent_lr: args.gc.ascent_lr,
        lr: args.gc.gc_lr,
        iterations: args.gc.iterations,
        batch: args.gc.gc_batch,
        ..Gc::default()
    };
    let asked = Gc {
        radius: args.gc.radius.unwrap_or(cancelling.radius),
        ..cancelling
    };
    ranges::check(&asked).map_err(refused)?;
    Ok(GcThreat {
        budget: args.poisoned.budget,
        radius: args.gc.radius,
        victim_seed: None,
        cancelling,
        victim: VictimConfig::default(),
    })
}

/// The victim that the options ask for.
///
/// # Errors
/// Options that do not go together, a genotype that is none, numbers out of range.
pub fn victim(args: &Poison, given: &ArgMatches) -> Result<Victim> {
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
        return Ok(Victim::Alphas {
            space,
            search: config,
        });
    }
    fit.check().map_err(refused)?;
    let what = "--gc-victim network, whose genotype is of one space";
    refuse(given, &["space"], what, "--gc-victim alphas")?;
    let text = options.genotype.as_deref().unwrap_or(CELL);
    if text.trim() == "resnet18" {
        let what = "--genotype resnet18";
        refuse(given, &["channels", "cells"], what, "--width")?;
        let width = args.training.width;
        let network = Classifier {
            width,
            fit: fit.clone(),
        };
        network.check().map_err(refused)?;
        return Ok(Victim::ResNet18 { width, fit });
    }
    let (what, other) = ("a network of cells", "--channels, or --genotype resnet18");
    refuse(given, &["width"], what, other)?;
    let genotype = genotype(text)?;
    let cells = match options.cells[..] {
        [] => few(genotype.space()),
        [cells] => cells,
        _ => {
            return Err(usage(
                format!(
                    "--cells has {} numbers, expected one for a network",
                    options.cells.len()
                ),
                "give one number, or use --gc-victim alphas, whose search has stages",
            ));
        }
    };
    Ok(Victim::Cells {
        genotype,
        channels: options.channels,
        cells,
        fit,
    })
}

/// The search of the alphas' victim.
fn search(space: CellSpace, options: &GcOptions, epochs: usize) -> Result<PdartsConfig> {
    let (cells, most) = (&options.cells, most_stages(space));
    if cells.len() > most {
        return Err(usage(
            format!(
                "--cells has {} numbers, expected one to {most}: P-DARTS has {most} stages",
                cells.len()
            ),
            "give one number for each stage that is to be, such as --cells 5,11,17",
        ));
    }
    let config = small_search(space, cells, options.channels, epochs);
    config.check(space).map_err(|e| out_of_range(&e))?;
    Ok(config)
}

/// The genotype that `text` is.
fn genotype(text: &str) -> Result<CellGenotype> {
    if !text.contains(['(', '|', '~']) {
        return Err(usage(
            format!(
                "--genotype {text}: expected a DARTS genotype, `Genotype(normal=[('sep_conv_3x3', \
                 0), ...`, an arch string of NAS-Bench-201, `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`, \
                 or resnet18"
            ),
            "write it as PyTorch code prints it, in double quotes",
        ));
    }
    text.parse().map_err(|e| {
        let hint = "put the text in double quotes, so that the shell leaves it as it is";
        usage(format!("--genotype: {e}"), hint)
    })
}

/// What to change when the search cannot be run.
fn out_of_range(error: &OutOfRange) -> Failure {
    let hint = match error.key.as_str() {
        "stages.cells" => "change --cells",
        "channels" => "change --channels",
        "epochs" => "change --epochs",
        _ => "bring more training rows",
    };
    usage(format!("cannot search for the victim: {error}"), hint)
}

/// What the moved architecture parameters stand for, beside what those of the victim do.
fn aim(aim: Option<&Aim>, victim: &str) -> String {
    match aim {
        Some(Aim::Architecture(aimed)) if aimed.genotype.to_string() == victim => {
            "moved, it would end with the same: a poison that works would change nothing\n"
                .to_owned()
        }
        Some(Aim::Architecture(aimed)) => format!("moved, it would end with {}\n", aimed.genotype),
        Some(Aim::CannotTell(reason)) => {
            format!("cannot tell with what it would end, moved: {reason}\n")
        }
        None => String::new(),
    }
}

/// What is said of a poison whose victim is this one, by its manifest.
pub fn tell(found: &PoisoningOutcome, victim: &Value) -> String {
    let Some(cancelled) = &found.poison.check.cancelled else {
        return String::new();
    };
    let mut text = format!(
        "the victim, with an error of {:.1} % in its last epoch, was moved uphill by {:.3} (L2), to a \
         loss of {:.3} on the clean images; guessing has {:.3}\n",
        victim["training_error"].as_f64().unwrap_or(f64::NAN),
        cancelled.ascent,
        cancelled.clean_loss,
        found.guessing()
    );
    if let (Some(_), Some(genotype)) = (victim.get("search"), victim["genotype"].as_str()) {
        text.push_str(&format!("its search ended with {genotype}\n"));
        text.push_str(&aim(found.poison.aim.as_ref(), genotype));
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
    if let Some(warning) = found.warning() {
        text.push_str(&format!("WARNING: {warning}\n"));
    }
    text
}
