//! `toxscreen poison --attack bilevel`: points that climb a learner's loss, and what they do to it.

use super::super::bilevel::{self, beside, interrupted};
use super::super::single::{self, Kept, Single};
use super::super::{FAILED, Output, Result, json, notes, say, table, usage, warn};
use super::Poison;
use serde_json::{Value, json as object};
use std::path::{Path, PathBuf};
use std::time::Instant;
use tox_audits::bilevel::lambdas;
use tox_audits::optimal::outcome::{OptimalOutcome, Trained};
use tox_audits::optimal::{FLOATS, KIND, OptimalConfig, Plan};
use tox_audits::poisoning::{PATCH, ROWS};
use tox_bilevel::config::{TargetLabels, TargetSet, Victim};
use tox_data::patch::Patch;
use tox_study::part::Part;

/// The files that are written.
struct Files {
    /// As the data were: 8-bit or floats.
    main: PathBuf,
    /// Floats of 8-bit data.
    float: Option<PathBuf>,
    patch: PathBuf,
    manifest: PathBuf,
}

impl Files {
    fn of(out: &Path, floats: bool) -> Self {
        let patch = beside(out, "patch.npz");
        Self {
            main: out.to_owned(),
            float: floats.then(|| beside(out, "float.npz")),
            manifest: Patch::manifest_path(&patch),
            patch,
        }
    }

    /// Takes them from where the trial left them.
    fn take(&self, kept: &Kept, ran: &single::Ran) -> Result<()> {
        let manifest = Patch::manifest_path(Path::new(PATCH));
        let manifest = manifest.to_string_lossy();
        let mut files = vec![
            (PATCH, self.patch.clone()),
            (&manifest, self.manifest.clone()),
            (ROWS, self.main.clone()),
        ];
        files.extend(self.float.iter().map(|float| (FLOATS, float.clone())));
        kept.take(ran, &files)
    }
}

/// Crafts the poison, measures it and writes it.
pub fn poison(args: &Poison, (kept, out): (&Kept, &Path)) -> Result<Output> {
    let begun = Instant::now();
    let stop = interrupted()?;
    let config = config(args)?;
    config.check().map_err(|e| bilevel::out_of_range(&e))?;
    let source = args.rows.read(args.trusted.as_deref())?;
    let (seed, dir) = (args.session.seed, args.rows.set.folder.dir()?);
    let (learner, data) = (
        Part::new(KIND, &config),
        args.rows.spec(args.valid.unwrap_or(0)),
    );
    let recipe = single::recipe("poison", &learner, &data, seed);
    let study = single::study(&recipe, seed, &dir, &[])?;
    let own = source.divide(&study.trials[0].spec, config.scale, 0)?;
    let plan = Plan::new(&config, &own).map_err(|e| bilevel::out_of_range(&e))?;
    if !args.session.json {
        say(format_args!("{}", bilevel::describe(&own).trim_end()));
        say(format_args!(
            "{} of them are poison; {}",
            plan.attack.points(),
            args.learner.describe(&plan.config)
        ));
    }
    let mut warnings = bilevel::warnings(&own);
    warn(&warnings);
    let single = Single {
        study: &study,
        kept,
        session: &args.session,
        data_dir: args.rows.set.folder.data_dir.as_deref(),
    };
    let Some(ran) = single.run("poison", &stop)? else {
        return Ok(Output::stopped());
    };
    let found: OptimalOutcome = ran.outcome()?;
    bilevel::warn_useless(found.no_better_than_majority.as_ref(), &own, &mut warnings);
    notes(&found.notes);
    let files = Files::of(out, found.is_rounded());
    files.take(kept, &ran)?;
    let code = if found.attacked { 0 } else { FAILED };
    let text = match args.session.json {
        true => {
            let mut report = report(args, &found, &files);
            report["warnings"] = object!(warnings);
            report["seconds"] = begun.elapsed().as_secs_f64().into();
            json(&report)?
        }
        false => {
            let mut text: String = warnings.iter().map(|w| format!("WARNING: {w}\n")).collect();
            if !text.is_empty() {
                text.push('\n');
            }
            text + &tell(args, &found, &files)
        }
    };
    Ok(Output { text, code })
}

fn config(args: &Poison) -> Result<OptimalConfig> {
    let victim = match (args.victim, args.lambda) {
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
    Ok(OptimalConfig {
        trusted: args.trusted.as_deref().map(|file| args.rows.trusted(file)),
        target: args.target_set.as_ref().map(|file| TargetSet {
            path: file.clone(),
            hash: None,
            labels: args.target_labels.unwrap_or_default(),
        }),
        budget: args.poisoned.budget,
        points: args.points,
        victim,
        lambda: args.lambda,
        scale: args.scaled.scale,
        hidden: args.learner.hidden.clone(),
        penalty: args.learner.penalty,
        steps: args.learner.steps,
        lr: args.learner.lr,
        hyperiterations: args.adversary.hyperiterations,
        poison_lr: args.adversary.poison_lr,
        batch: args.adversary.batch,
    })
}

/// The lambdas without poison and with it.
fn ends(found: &OptimalOutcome) -> [&[f64]; 2] {
    [found.trained.first(), found.trained.last()].map(|end| end.map_or(&[][..], |t| &t.lambda))
}

fn report(args: &Poison, found: &OptimalOutcome, files: &Files) -> Value {
    let mut trained = object!({});
    for on in &found.trained {
        trained[&on.on] = object!({
            "test_error": on.test_error,
            "trusted_error": on.trusted_error,
            "trusted_loss": on.trusted_loss,
        });
        if let (Some(objective), Some(success)) = (on.target_objective, on.target_success) {
            trained[&on.on]["target_objective"] = objective.into();
            trained[&on.on]["target_success"] = success.into();
        }
    }
    let [clean, poison] = ends(found);
    let [mean_l2, linf] = found.moved;
    let [rise, movement] = found.rounding_leaves;
    let mut told = object!({
        "attack": args.attack.name(),
        "attacked": found.attacked,
        "data": args.rows.set.data,
        "rows": found.rows,
        "scale": found.scale,
        "share": found.share,
        "lambda": {"clean": clean, "poison": poison},
        "trained": trained,
        "rounding_leaves_percent": {"of_the_rise": rise, "of_what_movement_adds": movement},
        "flipped_labels": found.flips,
        "moved": {"mean_l2": mean_l2, "linf": linf},
        "files": {
            "poisoned": files.main,
            "float": files.float,
            "patch": files.patch,
            "manifest": files.manifest,
        },
        "points": found.points,
        "training": {"steps": found.steps, "lr": found.lr},
        "no_better_than_majority": found.no_better_than_majority,
    });
    if let Some(target) = &found.target {
        told["target"] = object!(target);
    }
    told
}

fn tell(args: &Poison, found: &OptimalOutcome, files: &Files) -> String {
    let title = |name: &str| match name {
        "clean" => "clean data",
        "flipped" => "flipped labels only",
        "poison" => "poison, floats",
        _ => "poison, 8-bit",
    };
    let row = |on: &Trained| {
        let hit = on.target_success.map(|hit| format!("{hit:.2} %"));
        let row = [
            title(&on.on).to_owned(),
            format!("{:.2} %", on.test_error),
            format!("{:.2} %", on.trusted_error),
            format!("{:.4}", on.trusted_loss),
            lambdas(&on.lambda),
        ];
        row.into_iter().chain(hit).collect::<Vec<_>>()
    };
    let rows: Vec<_> = found.trained.iter().map(row).collect();
    let mut head = vec![
        "trained on",
        "test error",
        "trusted error",
        "trusted loss",
        "lambda",
    ];
    head.extend(found.target.map(|target| match target.labels {
        TargetLabels::True => "targets misclassified",
        TargetLabels::Wanted => "targets as wanted",
    }));
    let mut text = table(&head, &rows);
    let [l2, linf] = found.moved;
    text.push_str(&format!(
        "\n{} of {} training rows replaced ({:.1} %), {} labels flipped; points moved {l2:.3} on \
         average (L2), a feature by at most {linf:.3}{}\n",
        found.points,
        found.rows.train,
        100.0 * found.share,
        found.flips,
        match &files.float {
            _ if found.scale.is_some() => " (both in scaled units)",
            Some(_) => " of [0, 1]",
            None => "",
        }
    ));
    let [rise, movement] = found.rounding_leaves;
    text.push_str(&match (files.float.is_some(), rise) {
        (false, _) => {
            "the data are floats: there is no 8-bit file, and nothing is rounded\n".to_owned()
        }
        (true, None) => {
            "the test error did not rise, so there is nothing for rounding to take\n".to_owned()
        }
        (true, Some(whole)) => {
            let movement = movement.map_or(String::new(), |part| {
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
    if let Some(why) = found.did_not_attack() {
        text.push_str(&format!(
            "THE ATTACK DID NOT ATTACK: {why}; try more --hyperiterations, another --poison-lr, or a weaker \
             regularisation\n"
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
