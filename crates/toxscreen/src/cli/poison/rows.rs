//! `toxscreen poison` with every attack but bilevel: rows of the user's data poisoned in place, and what that did to
//! them.

use super::{Attack, Poison, clf, gc};
use crate::cli::bilevel::{beside, interrupted};
use crate::cli::single::{self, Kept, Single};
use crate::cli::{FAILED, Output, Result, json, notes, say};
use clap::ArgMatches;
use serde_json::{Value, json as object};
use std::path::Path;
use std::time::Instant;
use tox_audits::error::Fails;
use tox_audits::poisoning::outcome::PoisoningOutcome;
use tox_audits::poisoning::{KIND, PATCH, PoisoningConfig, ROWS};
use tox_bilevel::own::complete;
use tox_data::features::{Features, Opened};
use tox_data::patch::Patch;
use tox_data::ranges;
use tox_poison::data::noise::Noise;
use tox_poison::data::threat::{NoiseThreat, RlfThreat};
use tox_poison::data::{Check, PoisonError, points};
use tox_study::part::Part;

/// Options of the attacks on images.
#[derive(Clone, Copy, clap::Args)]
pub struct ImageOptions {
    /// Most that a pixel moves, in 1/255
    #[arg(long, value_name = "B", default_value_t = Noise::default().bound)]
    pub bound: u8,
    /// noise: standard deviation before clipping, in 1/255
    #[arg(long, value_name = "S", allow_negative_numbers = true, default_value_t = Noise::default().std)]
    pub std: f64,
}

/// Crafts the poison, checks it and writes it; `given` tells which options were written.
pub fn poison(args: &Poison, given: &ArgMatches, (kept, out): (&Kept, &Path)) -> Result<Output> {
    let begun = Instant::now();
    let dir = args.rows.set.folder.dir()?;
    let data = Opened::of(&args.rows.ask(), &dir)?;
    notes(&data.notes);
    let clean = &data.sets.train;
    complete(clean).map_err(Fails::fails)?;
    points(args.poisoned.budget, clean.rows).map_err(Fails::fails)?;
    let (threat, config) = asked(args, clean, given)?;
    args.session.device()?;
    let stop = interrupted()?;
    if let Some(victim) = config.victim.as_ref().filter(|_| !args.session.json) {
        say(format_args!("victim: {}", victim.title()));
    }
    let (learner, seed) = (Part::new(KIND, &config), args.session.seed);
    let mut recipe = single::recipe("poison", &learner, &args.rows.spec(0), seed);
    recipe["threat"] = object!({ "data": threat.to_toml() });
    let set = args.set.iter().map(|key| format!("threat.data.{key}"));
    let single = Single {
        study: &single::study(&recipe, seed, &dir, &set.collect::<Vec<_>>())?,
        kept,
        session: &args.session,
        data_dir: args.rows.set.folder.data_dir.as_deref(),
    };
    let Some(ran) = single.run("poison", &stop)? else {
        return Ok(Output::stopped());
    };
    let found: PoisoningOutcome = ran.outcome()?;
    notes(&found.notes);
    let path = beside(out, "patch.npz");
    let manifest = Patch::manifest_path(&path);
    let left = Patch::manifest_path(Path::new(PATCH));
    kept.take(
        &ran,
        &[
            (PATCH, path.clone()),
            (&left.to_string_lossy(), manifest.clone()),
            (ROWS, out.to_owned()),
        ],
    )?;
    let victim = match config.victim {
        Some(_) => {
            let patch = Patch::load(&path).map_err(Fails::fails)?;
            Some(patch.manifest().settings["victim"].clone())
        }
        None => None,
    };
    let check = &found.poison.check;
    let text = match args.session.json {
        true => {
            let mut report = report(args, &found, victim);
            report["notes"] = object!([&data.notes[..], &found.notes].concat());
            report["seconds"] = begun.elapsed().as_secs_f64().into();
            report["files"] = object!({"poisoned": out, "patch": path, "manifest": manifest});
            json(&report)?
        }
        false => {
            let mut text = tell(check);
            if let Some(accuracy) = found.poison.classifier_accuracy {
                text.push_str(&format!(
                    "the classifier names {:.1} % of the clean rows rightly\n",
                    100.0 * accuracy
                ));
            }
            if let Some(victim) = &victim {
                text.push_str(&gc::tell(&found, victim));
            }
            if let Some(reason) = &check.unreliable {
                text.push_str(&format!("THE ATTACK DID NOT ATTACK: {reason}\n"));
            }
            for file in [out, &path, &manifest] {
                text.push_str(&format!("wrote {}\n", file.display()));
            }
            text
        }
    };
    let code = match check.unreliable {
        Some(_) => FAILED,
        None => 0,
    };
    Ok(Output { text, code })
}

fn report(args: &Poison, found: &PoisoningOutcome, victim: Option<Value>) -> Value {
    let check = &found.poison.check;
    let mut report = object!({
        "attack": args.attack.name(),
        "data": args.rows.set.data,
        "check": check,
        "flip_rate": check.flip_rate(),
        "class_names": found.classes,
    });
    if let Some(accuracy) = found.poison.classifier_accuracy {
        report["classifier_accuracy"] = accuracy.into();
    }
    if let Some(victim) = victim {
        report["victim"] = victim;
        if let Some(aim) = &found.poison.aim {
            report["aim"] = object!(aim);
        }
        report["guessing_loss"] = found.guessing().into();
        report["warnings"] = found.warning().into_iter().collect();
    }
    report
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

/// The threat that the options ask for, and the learner that crafts it.
fn asked(args: &Poison, clean: &Features, given: &ArgMatches) -> Result<(Part, PoisoningConfig)> {
    let budget = args.poisoned.budget;
    let mut config = PoisoningConfig::default();
    let kind = args.attack.name();
    let threat = match args.attack {
        Attack::Clf => Part::new(kind, &clf::threat(args, given, clean)?),
        Attack::Gc => {
            let victim = gc::victim(args, given)?;
            let held = ranges::check(&victim).map_err(PoisonError::from);
            held.map_err(Fails::fails)?;
            config.victim = Some(victim);
            Part::new(kind, &gc::threat(args)?)
        }
        Attack::Noise => {
            let ImageOptions { bound, std } = args.images;
            let noise = Noise { bound, std };
            let held = ranges::check(&noise).map_err(PoisonError::from);
            held.map_err(Fails::fails)?;
            Part::new(kind, &NoiseThreat { budget, noise })
        }
        // Of a poison without options here the keys are given by --set.
        Attack::Rlf | Attack::Bilevel | Attack::Registered(_) => {
            Part::new(kind, &RlfThreat { budget })
        }
    };
    Ok((threat, config))
}
