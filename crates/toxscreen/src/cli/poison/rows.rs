//! `toxscreen poison --attack rlf|clf|noise|gc`: rows of the user's data poisoned in place, and what
//! that did to them.

use super::{Attack, Poison, SAVE_EVERY, clf, gc};
use crate::cli::bilevel::{beside, with_bar};
use crate::cli::{FAILED, INTERRUPTED, Output, json, notes, say};
use clap::ArgMatches;
use serde_json::{Value, json as object};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Instant;
use tox_bilevel::own::complete;
use tox_data::DataDir;
use tox_data::checkpoint::{self, Hooks};
use tox_data::features::{Features, Opened};
use tox_data::patch::Patch;
use tox_poison::data::noise::{self, Noise};
use tox_poison::data::{Check, Crafted, PoisonError, flip, points};

/// Options of the attacks on images.
#[derive(clap::Args)]
pub struct ImageOptions {
    /// Most that a pixel moves, in 1/255
    #[arg(long, value_name = "B", default_value_t = 16)]
    pub bound: u8,
    /// noise: standard deviation before clipping, in 1/255 [default: the bound]
    #[arg(long, value_name = "S", allow_negative_numbers = true)]
    pub std: Option<f64>,
}

/// A poison, and what is to be said of it beside its check.
pub struct Made {
    pub crafted: Crafted,
    /// Whole lines.
    pub text: String,
    /// An object, whose keys become the report's.
    pub report: Value,
    /// Files that are of no use once the poison is written.
    pub checkpoints: Vec<PathBuf>,
}

impl Made {
    fn of(crafted: Crafted) -> Self {
        Self {
            crafted,
            text: String::new(),
            report: object!({}),
            checkpoints: Vec::new(),
        }
    }
}

/// What to change of a poison that cannot be made.
pub fn hint(error: &PoisonError) -> Option<String> {
    let hint = match error {
        PoisonError::Budget { .. } | PoisonError::NoPoints { .. } => "change --budget",
        PoisonError::Setting { key, .. } => {
            let option = match *key {
                "lr" => "gc-lr".to_owned(),
                "batch" => "gc-batch".to_owned(),
                key => key.replace('_', "-"),
            };
            return Some(format!("change --{option}"));
        }
        PoisonError::Fit(error) if error.key == "epochs" => "change --epochs",
        PoisonError::NotImages { .. } => "--attack rlf works on any rows",
        PoisonError::Victim { .. } => {
            "try another --seed, --epochs or --genotype, or a smaller --radius"
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

/// Crafts the poison, checks it and writes it; `given` tells which options were written.
pub fn poison(args: &Poison, given: &ArgMatches) -> anyhow::Result<Output> {
    let begun = Instant::now();
    let dir = DataDir::resolve(args.rows.data_dir.as_deref())?;
    let data = Opened::of(&args.rows.ask(), &dir)?;
    notes(&data.notes);
    let sets = &data.sets;
    complete(&sets.train)?;
    points(args.budget, sets.train.rows)?;
    let Some(made) = craft(args, &sets.train, given)? else {
        return Ok(Output {
            text: String::new(),
            code: INTERRUPTED,
        });
    };
    let Crafted { mut patch, check } = made.crafted;
    let path = beside(&args.out, "patch.npz");
    patch.save(&path)?;
    let said = data.save(&patch, &args.out)?;
    notes(&said);
    for file in &made.checkpoints {
        checkpoint::remove(file);
    }
    let manifest = Patch::manifest_path(&path);
    let code = match check.unreliable {
        Some(_) => FAILED,
        None => 0,
    };
    if args.json {
        let noted = [&data.notes[..], &said].concat();
        let mut report = object!({
            "attack": args.attack.name(),
            "data": args.rows.data,
            "check": check,
            "flip_rate": check.flip_rate(),
            "class_names": data.sets.train.class_names,
            "notes": noted,
            "seconds": begun.elapsed().as_secs_f64(),
            "files": {"poisoned": args.out, "patch": path, "manifest": manifest},
        });
        for (key, value) in made.report.as_object().into_iter().flatten() {
            report[key] = value.clone();
        }
        let text = json(&report)?;
        return Ok(Output { text, code });
    }
    let mut text = tell(&check);
    text.push_str(&made.text);
    if let Some(reason) = &check.unreliable {
        text.push_str(&format!("THE ATTACK DID NOT ATTACK: {reason}\n"));
    }
    for file in [&args.out, &path, &manifest] {
        text.push_str(&format!("wrote {}\n", file.display()));
    }
    Ok(Output { text, code })
}

fn tell(check: &Check) -> String {
    let mut text = format!(
        "{} of {} training rows poisoned; {} labels flipped ({:.2} % of all rows)\n",
        check.points,
        check.rows,
        check.flipped,
        100.0 * check.flip_rate()
    );
    if let Some(share) = check.at_bound {
        text.push_str(&format!(
            "{} images moved, a pixel by at most {:.0}/255; {:.1} % of their pixels at the bound\n",
            check.moved,
            check.linf,
            100.0 * share
        ));
    }
    text
}

/// The poison; `None` if crafting it was stopped.
fn craft(args: &Poison, clean: &Features, given: &ArgMatches) -> anyhow::Result<Option<Made>> {
    let (budget, seed) = (args.budget, args.seed);
    match args.attack {
        Attack::Clf => clf::craft(args, clean),
        Attack::Gc => gc::craft(args, clean, given),
        Attack::Noise => {
            let bound = args.images.bound;
            let std = args.images.std.unwrap_or(f64::from(bound));
            let noise = Noise { bound, std };
            let crafted = noise::gaussian(clean, noise, budget, seed)?;
            Ok(Some(Made::of(crafted)))
        }
        _ => Ok(Some(Made::of(flip::random(clean, budget, seed)?))),
    }
}

/// Does `work`, with a bar called `name`, from the checkpoint if there is one, whose path and key are
/// given. `None` if it was stopped, which is said.
pub fn resumable<T, E>(
    name: &str,
    (checkpoint, key): (&Path, &str),
    stop: &AtomicBool,
    work: impl FnOnce(Hooks<'_>) -> Result<Option<T>, E>,
) -> Result<Option<T>, E> {
    let made = with_bar(name, stop, |stop, progress| {
        work(Hooks {
            checkpoint,
            key,
            save_every: SAVE_EVERY,
            stop,
            progress,
        })
    })?;
    if made.is_none() {
        say(format_args!(
            "stopped; the same command goes on from {}",
            checkpoint.display()
        ));
    }
    Ok(made)
}
