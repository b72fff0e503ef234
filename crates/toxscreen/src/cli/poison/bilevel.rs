//! `toxscreen poison --attack bilevel`: points that climb a learner's loss, and what they do to it.

use super::super::bilevel::{self, Loaded, beside};
use super::super::{FAILED, Output, Result, json, notes, say, table, usage, warn};
use super::Poison;
use super::made::Beside;
use serde_json::{Value, json as object};
use std::path::PathBuf;
use std::time::Instant;
use tox_audits::bilevel::lambdas;
use tox_audits::commands::optimal::{self, Ask, Ended};
use tox_audits::commands::rows::{Held, Sizes};
use tox_audits::commands::{CHECKPOINT, Desk};
use tox_audits::error::Fails;
use tox_bilevel::config::{BilevelAttack, BilevelConfig, Victim};
use tox_bilevel::effect::Effect;
use tox_bilevel::outcome::{Divergence, Level};
use tox_bilevel::victim::{Evaluation, Poison as Points};
use tox_data::features::FeatureSets;
use tox_data::majority;
use tox_data::patch::Patch;
use tox_study::trial::{Exit, Failure};

/// Training stopped being finite, so that there is no poison to write.
fn diverged(at: &Divergence) -> Failure {
    let message = format!(
        "training diverged with {} poison points, at {}, after step {} of gradient descent: expected \
         weights that stay finite",
        at.points, at.training, at.step
    );
    Failure::new(Exit::Failed, &message).hinted(
        "leave --lr out for a rate that is stable with logistic regression, or lower it (or --lambda); \
         --scale minmax or standard brings features to about one size",
    )
}

/// The files that are written.
struct Files {
    /// As the data were: 8-bit or floats.
    main: PathBuf,
    /// Floats of 8-bit data.
    float: Option<PathBuf>,
    patch: PathBuf,
    manifest: PathBuf,
}

/// Crafts the poison, measures it and writes it.
pub fn poison(args: &Poison) -> Result<Output> {
    let begun = Instant::now();
    let desk = Beside::of(args)?;
    let held = Held {
        valid: args.valid,
        seed: args.session.seed,
        scaling: args.scaled.scale,
    };
    let loaded = args.rows.load(args.trusted.as_deref(), held)?;
    let sets = &loaded.own.sets;
    let points = bilevel::points(args.poisoned.budget, args.points, sets.train.len())?;
    let config = config(args, &loaded, points)?;
    let attack = args.adversary.attack(&loaded.own, points)?;
    config.check().map_err(|e| bilevel::out_of_range(&e))?;
    attack.check().map_err(|e| bilevel::out_of_range(&e))?;
    if !args.session.json {
        say(format_args!(
            "{}",
            bilevel::describe(&loaded.own).trim_end()
        ));
        say(format_args!(
            "{points} of them are poison; {}",
            args.learner.describe(&config)
        ));
    }
    let mut warnings = bilevel::warnings(&loaded.own);
    warn(&warnings);
    let settings = settings(args, &loaded, &config, &attack);
    let key = object!({ "data": loaded.hashes, "settings": settings }).to_string();
    let ask = Ask {
        own: &loaded.own,
        config: &config,
        attack: &attack,
        seed: args.session.seed,
        key: &key,
    };
    let made = match optimal::craft(&ask, &desk)? {
        Ended::Stopped => return Ok(Output::stopped()),
        Ended::Diverged(divergence) => return Err(diverged(&divergence)),
        Ended::Made(made) => *made,
    };
    let (effect, ends) = (&made.effect, [&made.clean, &made.last]);
    let useless = majority::no_better(effect.clean.test_error, &sets.test.labels);
    if let Some(found) = &useless {
        let warning = bilevel::useless(found, &loaded.own);
        say(format_args!("warning: {warning}"));
        warnings.insert(0, warning);
    }
    let files = write(args, &loaded, settings, &made.poison)?;
    // A checkpoint of what is done is of no use.
    tox_data::checkpoint::remove(&desk.file(CHECKPOINT));
    let code = if effect.attacked() { 0 } else { FAILED };
    let text = match args.session.json {
        true => {
            let mut report = report(args, &loaded, effect, ends, &files);
            report["points"] = points.into();
            report["training"] = object!({
                "steps": config.inner.steps,
                "lr": config.inner.lr,
            });
            report["no_better_than_majority"] = object!(useless);
            report["warnings"] = object!(warnings);
            report["seconds"] = begun.elapsed().as_secs_f64().into();
            json(&report)?
        }
        false => {
            let mut text: String = warnings.iter().map(|w| format!("WARNING: {w}\n")).collect();
            if !text.is_empty() {
                text.push('\n');
            }
            text + &tell(args, &loaded, effect, ends, &files)
        }
    };
    Ok(Output { text, code })
}

fn config(args: &Poison, loaded: &Loaded, points: usize) -> Result<BilevelConfig> {
    let hyperiterations = args.adversary.hyperiterations;
    let model = args.learner.model(false);
    let mut config = model.config(&loaded.own, points, hyperiterations);
    config.victim = match (args.victim, args.lambda) {
        (None, Some(_)) => Victim::Large,
        (victim, None) => victim.unwrap_or_default(),
        (Some(Victim::Large), Some(_)) => Victim::Large,
        (Some(_), Some(lambda)) => {
            return Err(usage(
                format!("--lambda {lambda} with a victim that chooses lambda itself or has none"),
                "leave --lambda or --victim out; --lambda belongs to --victim large",
            ));
        }
    };
    if let Some(lambda) = args.lambda {
        config.lambda.large = lambda;
    }
    Ok(config)
}

/// All that the poison depends on beside the data.
fn settings(
    args: &Poison,
    loaded: &Loaded,
    config: &BilevelConfig,
    attack: &BilevelAttack,
) -> Value {
    object!({
        "data": args.rows.set.data,
        "classes": args.rows.set.classes,
        "learner": config,
        "attack": attack,
        "seed": args.session.seed,
        "scale": loaded.own.scale,
        "trusted_rows": loaded.own.trusted_rows,
        "test_rows": loaded.own.test_rows,
        "hashes": loaded.hashes,
    })
}

fn write(args: &Poison, loaded: &Loaded, settings: Value, poison: &Points) -> Result<Files> {
    let data = &loaded.data.sets;
    // Of the audit's training rows, some of the user's were left out.
    let indices = poison.indices.iter().map(|&i| loaded.own.rows[i] as u64);
    let mut patch = Patch::new(
        &data.train,
        indices.collect(),
        poison.labels.clone(),
        loaded.own.in_own_units(&data.train, poison),
        args.attack.name(),
        settings,
    )
    .map_err(Fails::fails)?;
    let path = beside(&args.out, "patch.npz");
    patch.save(&path).map_err(Fails::fails)?;
    notes(&loaded.data.save(&patch, &args.out).map_err(Fails::fails)?);
    let mut files = Files {
        main: args.out.clone(),
        float: None,
        manifest: Patch::manifest_path(&path),
        patch: path,
    };
    if loaded.own.sets.shape.is_some() {
        let float = beside(&args.out, "float.npz");
        let sets = FeatureSets {
            train: patch
                .apply_unrounded(data.train.clone())
                .map_err(Fails::fails)?,
            test: data.test.clone().map(|test| test.into_floats()),
        };
        sets.save(&float)?;
        files.float = Some(float);
    }
    Ok(files)
}

/// The four trainings by name, in the order of the table.
fn trainings(effect: &Effect) -> Vec<(&'static str, &Evaluation)> {
    let all = [
        ("clean", Some(&effect.clean)),
        ("flipped", Some(&effect.flipped)),
        ("poison", Some(&effect.poisoned)),
        ("rounded", effect.rounded.as_ref()),
    ];
    let done = all.into_iter();
    done.filter_map(|(name, found)| Some((name, found?)))
        .collect()
}

fn report(
    args: &Poison,
    loaded: &Loaded,
    effect: &Effect,
    [clean, last]: [&Level; 2],
    files: &Files,
) -> Value {
    let mut trained = object!({});
    for (name, found) in trainings(effect) {
        trained[name] = object!({
            "test_error": found.test_error,
            "trusted_error": found.valid_error,
            "trusted_loss": found.valid_loss,
        });
    }
    object!({
        "attack": args.attack.name(),
        "attacked": effect.attacked(),
        "data": args.rows.set.data,
        "rows": Sizes::of(&loaded.own, &loaded.data),
        "scale": loaded.own.scale,
        "share": last.fraction,
        "lambda": {"clean": clean.lambda, "poison": last.lambda},
        "trained": trained,
        "rounding_leaves_percent": {
            "of_the_rise": effect.survives(),
            "of_what_movement_adds": effect.movement_survives(),
        },
        "flipped_labels": effect.flips,
        "moved": {"mean_l2": effect.l2, "linf": effect.linf},
        "files": {
            "poisoned": files.main,
            "float": files.float,
            "patch": files.patch,
            "manifest": files.manifest,
        },
    })
}

fn tell(
    args: &Poison,
    loaded: &Loaded,
    effect: &Effect,
    [clean, last]: [&Level; 2],
    files: &Files,
) -> String {
    let title = |name: &str| match name {
        "clean" => "clean data",
        "flipped" => "flipped labels only",
        "poison" => "poison, floats",
        _ => "poison, 8-bit",
    };
    let row = |(name, found): (&str, &Evaluation)| {
        let lambda = if name == "clean" { clean } else { last };
        vec![
            title(name).to_owned(),
            format!("{:.2} %", found.test_error),
            format!("{:.2} %", found.valid_error),
            format!("{:.4}", found.valid_loss),
            lambdas(&lambda.lambda),
        ]
    };
    let rows: Vec<_> = trainings(effect).into_iter().map(row).collect();
    let head = [
        "trained on",
        "test error",
        "trusted error",
        "trusted loss",
        "lambda",
    ];
    let mut text = table(&head, &rows);
    text.push_str(&format!(
        "\n{} of {} training rows replaced ({:.1} %), {} labels flipped; points moved {:.3} on \
         average (L2), a feature by at most {:.3}{}\n",
        last.points,
        loaded.own.rows.len(),
        100.0 * last.fraction,
        effect.flips,
        effect.l2,
        effect.linf,
        match &files.float {
            _ if loaded.own.scale.is_some() => " (both in scaled units)",
            Some(_) => " of [0, 1]",
            None => "",
        }
    ));
    text.push_str(&match (files.float.is_some(), effect.survives()) {
        (false, _) => {
            "the data are floats: there is no 8-bit file, and nothing is rounded\n".to_owned()
        }
        (true, None) => {
            "the test error did not rise, so there is nothing for rounding to take\n".to_owned()
        }
        (true, Some(whole)) => {
            let movement = effect.movement_survives().map_or(String::new(), |part| {
                format!(", {part:.0} % of what moving the points adds to flipped labels")
            });
            format!("8-bit rounding leaves {whole:.0} % of the rise in test error{movement}\n")
        }
    });
    if let Some(classes) = &args.rows.set.classes {
        let numbered: Vec<String> = (0..classes.len()).map(|i| i.to_string()).collect();
        let classes: Vec<String> = classes.iter().map(u16::to_string).collect();
        text.push_str(&format!(
            "classes {} are written as {}\n",
            classes.join(", "),
            numbered.join(", ")
        ));
    }
    if !effect.attacked() {
        text.push_str(&format!(
            "THE ATTACK DID NOT ATTACK: the loss on the trusted rows is {:.4} with the poison, {:.4} \
             with flipped labels only and {:.4} without; try more --hyperiterations, another \
             --poison-lr, or a weaker regularisation\n",
            effect.poisoned.valid_loss, effect.flipped.valid_loss, effect.clean.valid_loss
        ));
    }
    let written = [
        Some(&files.main),
        files.float.as_ref(),
        Some(&files.patch),
        Some(&files.manifest),
    ];
    for file in written.into_iter().flatten() {
        text.push_str(&format!("wrote {}\n", file.display()));
    }
    text
}
