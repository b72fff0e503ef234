//! `toxscreen poison`: poison a copy of the user's data, and say what that does.

pub mod bilevel;
mod rows;

pub use rows::hint;

use super::bilevel::{Adversary, Learner, Rows, beside};
use super::{Output, Usage};
use clap::ArgMatches;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::parser::ValueSource;
use rows::RowsAttack;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tox_bilevel::config::Victim;

/// Time between two checkpoints.
const SAVE_EVERY: Duration = Duration::from_secs(30);

/// What crafts the poison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Attack {
    /// Flipped labels whose points then climb the trusted set's loss by hypergradients (Algorithm 2
    /// of "Hyperparameter Learning under Data Poisoning")
    Bilevel,
    /// Random label flipping: labels of random rows become another class
    Rlf,
    /// Confidence-based label flipping: the rows that a ResNet-18, trained on the clean images, is
    /// surest of get a label that it finds unlikely
    Clf,
    /// Gaussian noise within a bound on random 8-bit images, labels kept
    Noise,
}

impl Attack {
    fn name(self) -> &'static str {
        match self {
            Self::Bilevel => "bilevel",
            Self::Rlf => "rlf",
            Self::Clf => "clf",
            Self::Noise => "noise",
        }
    }
}

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  toxscreen poison --data digits --classes 3,8 --out poisoned.npz
  toxscreen poison --data my.npz --trusted trusted.npz --budget 0.05 --out out/poisoned.npz
  toxscreen poison --data mnist --classes 0,8 --victim large --lambda -2 --points 350 --out m.npz
  toxscreen poison --data my.npz --hidden 32,8 --steps 700 --out poisoned.npz --json
  toxscreen poison --attack rlf --budget 0.1 --data my.npz --out poisoned.npz
  toxscreen poison --attack clf --budget 0.1 --data cifar10 --target second-most-likely --out c.npz
  toxscreen poison --attack noise --budget 0.5 --bound 16 --data my.npz --out noisy.npz

Writes, beside --out FILE.npz:
  FILE.npz             the data with the poison in the place of the rows it replaces, rounded to
                       8 bits where the data are 8-bit
  FILE.float.npz       the same without rounding, pixel / 255 (bilevel, 8-bit data only)
  FILE.patch.npz       the poison alone: indices, labels, values
  FILE.patch.npz.json  its manifest: settings, seed, hashes, which rows were held out

The options of the learner and the adversary belong to bilevel, those of the classifier to clf.

Exit codes: 0 done, 1 the attack did not attack or training diverged, 2 wrong usage, 3 data,
130 stopped by Ctrl-C; the same command goes on.")]
pub struct Poison {
    /// What crafts the poison
    #[arg(long, value_enum, default_value = "bilevel")]
    pub attack: Attack,
    #[command(flatten)]
    pub rows: Rows,
    /// .npz file of rows that the learner trusts, and the adversary aims at [default: a tenth of
    /// the training rows, held out]
    #[arg(long, value_name = "FILE", conflicts_with = "valid")]
    pub trusted: Option<String>,
    /// Hold out this many training rows as the trusted set
    #[arg(long, value_name = "N")]
    pub valid: Option<usize>,
    /// Share of the training rows that poison replaces, between 0 and 1
    #[arg(
        long,
        value_name = "SHARE",
        default_value_t = 0.1,
        allow_negative_numbers = true
    )]
    pub budget: f64,
    /// Number of rows that poison replaces, instead of a share (bilevel)
    #[arg(long, value_name = "N", conflicts_with = "budget")]
    pub points: Option<usize>,
    /// The .npz file to write
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// How the victim gets its regularisation [default: learned; large with --lambda]
    #[arg(long, value_parser = victim())]
    pub victim: Option<Victim>,
    /// The lambda of the victim large
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub lambda: Option<f64>,
    #[command(flatten)]
    pub learner: Learner,
    #[command(flatten)]
    pub adversary: Adversary,
    #[command(flatten)]
    pub rows_attack: RowsAttack,
    /// Seed of all that is drawn: rows held out, rows replaced, initial weights
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
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

/// Options that are of one attack only, and which.
const OWN: [(Attack, &[&str]); 3] = [
    (
        Attack::Bilevel,
        &[
            "trusted",
            "valid",
            "points",
            "victim",
            "lambda",
            "hidden",
            "penalty",
            "steps",
            "lr",
            "hyperiterations",
            "poison_lr",
            "batch",
        ],
    ),
    (
        Attack::Clf,
        &["target", "confidence", "epochs", "width", "device"],
    ),
    (Attack::Noise, &["bound", "std"]),
];

/// Runs the command; `given` tells which options were written.
pub fn poison(args: &Poison, given: &ArgMatches) -> anyhow::Result<Output> {
    for (attack, options) in OWN {
        let written = |id: &&&str| given.value_source(id) == Some(ValueSource::CommandLine);
        if let Some(id) = options
            .iter()
            .find(written)
            .filter(|_| attack != args.attack)
        {
            let option = id.replace('_', "-");
            return Err(Usage::new(
                format!("--{option} is of no use to --attack {}", args.attack.name()),
                format!("leave it out, or use --attack {}", attack.name()),
            )
            .into());
        }
    }
    writable(args)?;
    match args.attack {
        Attack::Bilevel => bilevel::poison(args),
        Attack::Rlf | Attack::Clf | Attack::Noise => rows::poison(args),
    }
}

/// Whether the files can be written, found before hours of work.
fn writable(args: &Poison) -> anyhow::Result<()> {
    let out = &args.out;
    let refuse = |message: String, hint: &str| Err(Usage::new(message, hint).into());
    if out.extension().is_none_or(|e| e != "npz") {
        let message = format!("--out {}: expected a name that ends in .npz", out.display());
        return refuse(message, "name the file FILE.npz");
    }
    let folder = out.parent().filter(|f| *f != Path::new(""));
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        let message = format!("--out {}: there is no such folder", out.display());
        return refuse(
            message,
            &format!("make it first: mkdir -p {}", folder.display()),
        );
    }
    let inputs = [Some(args.rows.data.as_str()), args.trusted.as_deref()];
    for input in inputs.into_iter().flatten() {
        let same = |a: &Path, b: &Path| {
            let (a, b) = (a.canonicalize(), b.canonicalize());
            matches!((a, b), (Ok(a), Ok(b)) if a == b)
        };
        let written = [
            out.clone(),
            beside(out, "float.npz"),
            beside(out, "patch.npz"),
        ];
        if let Some(file) = written.iter().find(|file| same(file, Path::new(input))) {
            let message = format!("--out would overwrite {}, which is read", file.display());
            return refuse(message, "give --out another name");
        }
    }
    Ok(())
}
