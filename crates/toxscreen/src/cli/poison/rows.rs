//! `toxscreen poison --attack rlf|clf|noise|gc`: rows of the user's data poisoned in place, and what
//! that did to them.

use super::made::{Beside, Made, failed};
use super::{Attack, Poison, clf, gc};
use crate::cli::bilevel::beside;
use crate::cli::{FAILED, Output, Result, json, notes};
use clap::ArgMatches;
use serde_json::json as object;
use std::time::Instant;
use tox_audits::commands::Desk;
use tox_audits::commands::registered::{self, Asked};
use tox_audits::error::Fails;
use tox_bilevel::own::complete;
use tox_data::checkpoint;
use tox_data::features::{Features, Opened};
use tox_data::patch::Patch;
use tox_poison::data::noise::{self, Noise};
use tox_poison::data::{Check, Crafted, flip, points};
use tox_study::trial::{Exit, Failure};

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

/// Crafts the poison, checks it and writes it; `given` tells which options were written.
pub fn poison(args: &Poison, given: &ArgMatches) -> Result<Output> {
    let begun = Instant::now();
    let dir = args.rows.set.folder.dir()?;
    let data = Opened::of(&args.rows.ask(), &dir)?;
    notes(&data.notes);
    let sets = &data.sets;
    complete(&sets.train).map_err(Fails::fails)?;
    points(args.poisoned.budget, sets.train.rows).map_err(failed)?;
    let Some(made) = craft(args, &sets.train, given)? else {
        return Ok(Output::stopped());
    };
    let Crafted { mut patch, check } = made.crafted;
    let path = beside(&args.out, "patch.npz");
    patch.save(&path).map_err(Fails::fails)?;
    let said = data.save(&patch, &args.out).map_err(Fails::fails)?;
    notes(&said);
    for file in &made.leftovers {
        checkpoint::remove(file);
    }
    let manifest = Patch::manifest_path(&path);
    let code = match check.unreliable {
        Some(_) => FAILED,
        None => 0,
    };
    if args.session.json {
        let noted = [&data.notes[..], &said].concat();
        let mut report = object!({
            "attack": args.attack.name(),
            "data": args.rows.set.data,
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
fn craft(args: &Poison, clean: &Features, given: &ArgMatches) -> Result<Option<Made>> {
    let (budget, seed) = (args.poisoned.budget, args.session.seed);
    let desk = Beside::of(args)?;
    match args.attack {
        Attack::Clf => clf::craft(args, given, clean, &desk),
        Attack::Gc => gc::craft(args, clean, given, &desk),
        Attack::Noise => {
            let bound = args.images.bound;
            let std = args.images.std.unwrap_or(f64::from(bound));
            let noise = Noise { bound, std };
            let crafted = noise::gaussian(clean, noise, budget, seed).map_err(failed)?;
            Ok(Some(Made::of(crafted)))
        }
        Attack::Registered(poison) => {
            let folder = tempfile::tempdir().map_err(|e| Failure::new(Exit::Failed, &e))?;
            let asked = Asked {
                poison,
                budget,
                keys: &args.set,
                seed,
                device: args.session.device()?,
                dir: folder.path(),
                stop: &desk.stop,
            };
            let crafted = registered::craft(&asked, clean, &mut |line| desk.say(line))?;
            Ok(Some(Made::of(crafted)))
        }
        Attack::Rlf | Attack::Bilevel => {
            let crafted = flip::random(clean, budget, seed).map_err(failed)?;
            Ok(Some(Made::of(crafted)))
        }
    }
}
