//! `toxscreen poison`: poison a copy of the user's data, and say what that does.

pub mod bilevel;
mod clf;
mod gc;
mod rows;

use super::bilevel::{Adversary, Learner, Rows, Scaled, beside};
use super::options::{Poisoned, Session};
use super::single::Kept;
use super::{Output, Result, usage};
use crate::cli::files::Files;
use clap::ArgMatches;
use clap::builder::{PossibleValue, PossibleValuesParser, RangedU64ValueParser, TypedValueParser};
use clap::parser::ValueSource;
use clf::ClfOptions;
use gc::GcOptions;
use rows::ImageOptions;
use std::path::{Path, PathBuf};
use tox_audits::threats::{DataPoison, POISONS};
use tox_bilevel::config::{TargetLabels, Victim};
use tox_poison::data::clf::Classifier;

/// What crafts the poison.
#[derive(Clone, Copy)]
pub enum Attack {
    Bilevel,
    Rlf,
    Clf,
    Noise,
    Gc,
    /// One without options of its own: its keys are given by --set.
    Registered(&'static dyn DataPoison),
}

/// Attacks that have options of their own.
const OPTIONS: [(&str, Attack, &str); 5] = [
    (
        "bilevel",
        Attack::Bilevel,
        "Flipped labels whose points then climb the trusted set's loss by hypergradients (Algorithm 2 of \
         \"Hyperparameter Learning under Data Poisoning\")",
    ),
    (
        "rlf",
        Attack::Rlf,
        "Random label flipping: labels of random rows become another class",
    ),
    (
        "clf",
        Attack::Clf,
        "Confidence-based label flipping: the rows that a ResNet-18, trained on the clean images, is surest \
         of get a label that it finds unlikely",
    ),
    (
        "noise",
        Attack::Noise,
        "Gaussian noise within a bound on random 8-bit images, labels kept",
    ),
    (
        "gc",
        Attack::Gc,
        "Gradient cancelling: 8-bit images move within a bound, labels kept, so that their gradient cancels \
         the clean images' at a bad model, which training then has no reason to leave",
    ),
];

impl Attack {
    fn name(self) -> &'static str {
        let own = OPTIONS.iter().find(|(_, attack, _)| *attack == self);
        match self {
            Self::Registered(poison) => poison.kind(),
            Self::Bilevel | Self::Rlf | Self::Clf | Self::Noise | Self::Gc => {
                own.map_or("", |(name, ..)| name)
            }
        }
    }

    /// Every poison that is crafted from the rows and a budget.
    fn parser() -> impl TypedValueParser<Value = Self> {
        let own = OPTIONS.map(|(name, _, help)| PossibleValue::new(name).help(help));
        let others = registered().map(|p| PossibleValue::new(p.kind()).help(p.name()));
        PossibleValuesParser::new(own.into_iter().chain(others)).map(|name| {
            let own = OPTIONS.iter().find(|(own, ..)| *own == name);
            let others = || {
                registered()
                    .find(|p| p.kind() == name)
                    .map(Self::Registered)
            };
            own.map(|(_, attack, _)| *attack)
                .or_else(others)
                .unwrap_or(Self::Bilevel)
        })
    }
}

impl PartialEq for Attack {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Registered(a), Self::Registered(b)) => a.kind() == b.kind(),
            (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
        }
    }
}

/// Registered poisons of a share of the rows that have no options here.
fn registered() -> impl Iterator<Item = &'static dyn DataPoison> {
    let own = |kind: &str| OPTIONS.iter().any(|(name, ..)| *name == kind);
    let others = POISONS.iter().copied();
    others.filter(move |p| p.of_share() && !own(p.kind()))
}

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  toxscreen poison --data digits --classes 3,8 --out poisoned.npz
  toxscreen poison --data my.npz --trusted trusted.npz --budget 0.05 --out out/poisoned.npz
  toxscreen poison --data my.npz --target-set these.npz --target-labels wanted --out p.npz
  toxscreen poison --data mnist --classes 0,8 --victim large --lambda -2 --points 350 --out m.npz
  toxscreen poison --data my.npz --hidden 32,8 --steps 700 --out poisoned.npz --json
  toxscreen poison --data table.npz --scale minmax --out poisoned.npz
  toxscreen poison --attack rlf --budget 0.1 --data my.npz --out poisoned.npz
  toxscreen poison --attack clf --budget 0.1 --data cifar10 --target second-most-likely --out c.npz
  toxscreen poison --attack noise --budget 0.5 --bound 16 --data my.npz --out noisy.npz
  toxscreen poison --attack gc --budget 0.1 --data my.npz --out poisoned.npz
  toxscreen poison --attack gc --gc-victim alphas --space darts --data cifar10 --out c.npz

Writes, beside --out FILE.npz:
  FILE.npz             the data with the poison in the place of the rows it replaces, rounded to
                       8 bits where the data are 8-bit
  FILE.float.npz       the same without rounding, pixel / 255 (bilevel, 8-bit data only)
  FILE.patch.npz       the poison alone: indices, labels, values
  FILE.patch.npz.json  its manifest: settings, seed, hashes, which rows were held out

An option of an attack other than the one asked for is refused. FILE.npz.unfinished is there until all is
written, unless --out DIR names another folder to work in.

Exit codes: 0 done, 1 the attack did not attack or training diverged, 2 wrong usage, 3 data,
130 stopped by Ctrl-C; the same command goes on.")]
pub struct Poison {
    /// What crafts the poison
    #[arg(long, value_parser = Attack::parser(), default_value = "bilevel")]
    pub attack: Attack,
    /// A key of an attack that has no options of its own, as in a recipe; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    #[command(flatten)]
    pub rows: Rows,
    #[command(flatten)]
    pub poisoned: Poisoned,
    /// A name that ends in .npz: the file to write. Any other: the folder of a study of this one trial, which
    /// stays: its record, to be held against another run with `verify`, and its report
    #[arg(long, value_name = "PATH", required = true)]
    pub out: Vec<PathBuf>,
    #[command(flatten)]
    pub session: Session,
    /// .npz file of rows that the learner trusts, and the adversary aims at [default: a tenth of
    /// the training rows, held out]
    #[arg(long, value_name = "FILE", conflicts_with = "valid", help_heading = BILEVEL)]
    pub trusted: Option<String>,
    /// .npz file of rows that the adversary aims at instead of the trusted ones, which lambda is still learned on;
    /// its labels are names of the classes
    #[arg(long, value_name = "FILE", help_heading = BILEVEL)]
    pub target_set: Option<String>,
    /// What the labels of that file are: the true ones, so that the rows are to be misclassified, or the ones that the
    /// adversary wants them to get [default: true]
    #[arg(long, value_name = "WHAT", value_parser = target_labels(), requires = "target_set", help_heading = BILEVEL)]
    pub target_labels: Option<TargetLabels>,
    /// Hold out this many training rows as the trusted set
    #[arg(long, value_name = "N", value_parser = at_least_1(), help_heading = BILEVEL)]
    pub valid: Option<usize>,
    /// Number of rows that poison replaces, instead of a share
    #[arg(long, value_name = "N", conflicts_with = "budget", help_heading = BILEVEL)]
    pub points: Option<usize>,
    /// How the victim gets its regularisation [default: learned; large with --lambda]
    #[arg(long, value_parser = victim(), help_heading = BILEVEL)]
    pub victim: Option<Victim>,
    /// The lambda of the victim large
    #[arg(long, value_name = "X", allow_negative_numbers = true, help_heading = BILEVEL)]
    pub lambda: Option<f64>,
    #[command(flatten, next_help_heading = BILEVEL)]
    pub scaled: Scaled,
    #[command(flatten, next_help_heading = BILEVEL)]
    pub learner: Learner,
    #[command(flatten, next_help_heading = BILEVEL)]
    pub adversary: Adversary,
    #[command(flatten, next_help_heading = "--attack clf")]
    pub clf: ClfOptions,
    #[command(
        flatten,
        next_help_heading = "--attack clf and gc (training of classifier or victim)"
    )]
    pub training: TrainingOptions,
    #[command(flatten, next_help_heading = "--attack noise and gc")]
    pub images: ImageOptions,
    #[command(flatten, next_help_heading = "--attack gc")]
    pub gc: GcOptions,
}

/// Heading of the options of one attack.
const BILEVEL: &str = "--attack bilevel";

/// How clf's classifier and gc's victim are trained.
#[derive(clap::Args)]
pub struct TrainingOptions {
    /// Passes over the clean images, in each stage if there are stages; published trainings have 200
    #[arg(long, value_name = "N", default_value_t = Classifier::small().fit.epochs)]
    pub epochs: usize,
    /// Channels of the first stage of a ResNet-18; the published network has 64
    #[arg(long, value_name = "N", default_value_t = Classifier::small().width)]
    pub width: usize,
}

fn at_least_1() -> impl TypedValueParser<Value = usize> {
    RangedU64ValueParser::<usize>::new().range(1..)
}

fn target_labels() -> impl TypedValueParser<Value = TargetLabels> {
    PossibleValuesParser::new(["true", "wanted"]).map(|name| match name.as_str() {
        "wanted" => TargetLabels::Wanted,
        _ => TargetLabels::True,
    })
}

fn victim() -> impl TypedValueParser<Value = Victim> {
    let names = ["learned", "none", "large", "cross-validated"];
    PossibleValuesParser::new(names).map(|name| match name.as_str() {
        "none" => Victim::None,
        "large" => Victim::Large,
        "cross-validated" => Victim::CrossValidated,
        _ => Victim::Learned,
    })
}

/// Options that not every attack has, and which do.
const OWN: [(&[Attack], &[&str]); 6] = [
    (
        &[Attack::Bilevel],
        &[
            "trusted",
            "target_set",
            "target_labels",
            "valid",
            "points",
            "victim",
            "lambda",
            "scale",
            "hidden",
            "penalty",
            "steps",
            "lr",
            "hyperiterations",
            "poison_lr",
            "batch",
        ],
    ),
    (&[Attack::Clf], &["target", "confidence"]),
    (&[Attack::Clf, Attack::Gc], &["epochs", "width", "device"]),
    (&[Attack::Noise, Attack::Gc], &["bound"]),
    (&[Attack::Noise], &["std"]),
    (
        &[Attack::Gc],
        &[
            "gc_victim",
            "genotype",
            "space",
            "channels",
            "cells",
            "radius",
            "ascent_lr",
            "iterations",
            "gc_lr",
            "gc_batch",
        ],
    ),
];

/// Refuses the first of `options` that was written, which is of no use to `what`.
fn refuse(given: &ArgMatches, options: &[&str], what: &str, hint: &str) -> Result<()> {
    let written = |id: &&&str| given.value_source(id) == Some(ValueSource::CommandLine);
    match options.iter().find(written) {
        Some(id) => Err(usage(
            format!("--{} is of no use to {what}", id.replace('_', "-")),
            format!("leave it out, or use {hint}"),
        )),
        None => Ok(()),
    }
}

/// Runs the command; `given` tells which options were written.
pub fn poison(args: &Poison, given: &ArgMatches) -> Result<Output> {
    for (attacks, options) in OWN {
        if !attacks.contains(&args.attack) {
            let names: Vec<&str> = attacks.iter().map(|attack| attack.name()).collect();
            let hint = format!("--attack {}", names.join(" or "));
            refuse(
                given,
                options,
                &format!("--attack {}", args.attack.name()),
                &hint,
            )?;
        }
    }
    if !matches!(args.attack, Attack::Registered(_)) {
        let what = format!("--attack {}", args.attack.name());
        refuse(given, &["set"], &what, "its own options")?;
    }
    let kept = Kept::of(&args.out)?;
    let out = writable(args, &kept)?;
    args.session.pool();
    for suffix in FILES {
        // What a kill left of an earlier run; that it stays is no reason not to work.
        let _ = tox_data::atomic::remove_unfinished_of(&beside(out, suffix));
    }
    match args.attack {
        Attack::Bilevel => bilevel::poison(args, (&kept, out)),
        Attack::Rlf | Attack::Clf | Attack::Noise | Attack::Gc | Attack::Registered(_) => {
            rows::poison(args, given, (&kept, out))
        }
    }
}

/// How the names of all files end that this command writes.
const FILES: [&str; 4] = ["npz", "float.npz", "patch.npz", "patch.npz.json"];

/// The file to write, if it and those beside it can be written, found before hours of work.
fn writable<'a>(args: &Poison, kept: &'a Kept) -> Result<&'a Path> {
    let refuse = |message: String, hint: &str| Err(usage(message, hint));
    let Some(out) = &kept.file else {
        let named = args.out.first().map(|out| out.display().to_string());
        let message = format!(
            "--out {} names a folder alone: expected the file to write too, whose name ends in .npz",
            named.unwrap_or_default()
        );
        return refuse(
            message,
            "add --out FILE.npz; a folder beside it keeps the study of this one trial",
        );
    };
    let inputs = [
        Some(args.rows.set.data.as_str()),
        args.trusted.as_deref(),
        args.target_set.as_deref(),
    ];
    let written = FILES.map(|suffix| beside(out, suffix));
    Files::default()
        .data(inputs.into_iter().flatten())
        .written("--out", written.iter().map(PathBuf::as_path))
        .check()?;
    Ok(out)
}
