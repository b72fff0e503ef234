//! `toxscreen plan`: the trials of a recipe.

use super::allow::{Allow, lines, programs};
use super::engine::Engine;
use super::price::{Price, open_count, seconds};
use super::run::Asked;
use super::{Output, Result, count_interrupts, duration, json, say, shell_path, table, warn};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tox_audits::HOUSE;
use tox_study::executors;
use tox_study::plan::Trial;
use tox_study::price;
use tox_study::recipe::{SourceError, Study};
use tox_study::runner::{RunOptions, default_jobs, this_program};
use tox_study::spec::TrialSpec;
use tox_study::store::Store;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  toxscreen plan recipes/ssp/table1.toml
  toxscreen plan my.toml --seeds 0..3 --json
  toxscreen plan my.toml --out runs/mine --commands > commands.txt
  toxscreen plan my.toml --probe 10 --engine slurm --slurm parallel=100

What is left is priced in core-hours: from the records of the study's folder, from trials under way
there, or with --probe from a short run of one trial of each other cell; else it cannot be told.
With --out the study's folder is made, and with --commands a command for each trial is printed, for
GNU parallel, xargs, HyperQueue, snakemake or a cluster's arrays (docs/guide/clusters.md).
`toxscreen status DIR` and `report DIR` work while anybody fills it.")]
pub struct Plan {
    #[command(flatten)]
    pub asked: Asked,
    /// Make the study's folder, with every trial's spec.json
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print the command of each trial that is not done, a line each
    #[arg(long, requires = "out", conflicts_with = "json")]
    pub commands: bool,
    /// Run a trial of each cell of which nothing is known for so many seconds, and price the study by it
    #[arg(long, value_name = "SECONDS", conflicts_with = "commands", value_parser = seconds)]
    pub probe: Option<f64>,
    #[command(flatten)]
    pub engine: Engine,
    /// Threads of each trial
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: u16,
    /// Trials of each command, which are run one after another
    #[arg(long, value_name = "N", default_value_t = 1, requires = "commands", value_parser = clap::value_parser!(u16).range(1..))]
    pub pack: u16,
    #[command(flatten)]
    pub allow: Allow,
    /// Print one JSON object with the trials' resolved specs
    #[arg(long)]
    pub json: bool,
}

pub fn plan(args: &Plan) -> Result<Output> {
    let study = args.asked.study()?;
    let (study, faults) = study.resolved(&HOUSE, &args.asked.folder.dir()?)?;
    let unread: Vec<String> = faults.iter().map(ToString::to_string).collect();
    if let Some(dir) = &args.out {
        let price = match args.commands {
            true => None,
            false => Some(priced(args, &study, &unread)?),
        };
        let text = made(args, study, faults, dir)?;
        return Ok(Output::done(
            text + &price.map_or(String::new(), |p| p.text()),
        ));
    }
    let programs = programs(study.specs());
    let price = priced(args, &study, &unread)?;
    if args.json {
        let name = &study.recipe.name;
        let value = serde_json::json!({
            "study": name,
            "trials": study.trials,
            "programs": programs,
            "unread": unread,
            "price": price.json(),
        });
        return json(&value).map(Output::done);
    }
    let row = |t: &tox_study::plan::Trial| {
        let s = &t.spec;
        vec![
            t.id.clone(),
            t.cell(),
            s.data.name().to_owned(),
            HOUSE.threats_of(s),
            learner(s),
            s.seed.to_string(),
        ]
    };
    let rows: Vec<_> = study.trials.iter().map(row).collect();
    let head = ["trial", "cell", "data", "threat", "learner", "seed"];
    let cells = study.recipe.cells.len();
    let mut text = format!(
        "{}\n{}: {} trials in {cells} cells\n",
        table(&head, &rows),
        study.recipe.name,
        rows.len(),
    );
    for program in &programs {
        for line in lines(program) {
            text.push_str(&format!("it starts: {line}\n"));
        }
    }
    if !unread.is_empty() {
        text.push_str(
            "\nids are not final: a trial is named by the content of its data, and these cannot be read:\n",
        );
        unread
            .iter()
            .for_each(|what| text.push_str(&format!("  {what}\n")));
    }
    text.push_str(&price.text());
    Ok(Output::done(text))
}

/// Makes the folder of the study; what is said of it.
fn made(args: &Plan, study: Study, faults: Vec<SourceError>, dir: &Path) -> Result<String> {
    if let Some(fault) = faults.into_iter().next() {
        return Err(fault.into());
    }
    let programs = args.allow.check(study.specs())?;
    let (store, lock) = Store::create(&HOUSE, dir, &study)?;
    warn(&store.notes);
    let left: Vec<&Trial> = study
        .trials
        .iter()
        .filter(|t| !store.is_done(&t.id))
        .collect();
    for (i, trial) in study.trials.iter().enumerate() {
        if !store.is_done(&trial.id) {
            executors::write_spec(&store, i)?;
        }
    }
    drop(lock);
    if !args.commands {
        let count = left.len();
        return Ok(format!(
            "{}: {count} of {} trials are to be run\nrun them with `toxscreen run {}`, or one by one: toxscreen \
             trial --study {} --index 0\n",
            dir.display(),
            study.trials.len(),
            args.asked
                .recipe
                .as_deref()
                .map_or(String::new(), shell_path),
            shell_path(dir)
        ));
    }
    let options = RunOptions {
        program: this_program()?,
        jobs: 1,
        threads: usize::from(args.threads),
        devices: vec!["cpu".into()],
        on_each: 1,
        data_dir: args.asked.folder.data_dir.clone(),
        allow_commands: programs,
    };
    let start = executors::trial_command(&options, dir)?;
    let pack = usize::from(args.pack);
    let ids = |part: &[&Trial]| {
        part.iter()
            .map(|t| t.id.clone())
            .collect::<Vec<_>>()
            .join(",")
    };
    Ok(left
        .chunks(pack)
        .map(|part| format!("{start} --id {}\n", ids(part)))
        .collect())
}

/// The learner and what stands before it.
fn learner(spec: &TrialSpec) -> String {
    let title = match HOUSE.learner(&spec.learner.kind) {
        Some(learner) => learner.title(&spec.learner),
        None => spec.learner.kind.clone(),
    };
    let defences = HOUSE.defences_of(spec);
    match defences.is_empty() {
        true => title,
        false => format!("{title}, {defences}"),
    }
}

/// Looks at the study's folder, and measures if that is asked for.
fn priced(args: &Plan, study: &Study, unread: &[String]) -> Result<Price> {
    let (executor, settings) = args.engine.named()?;
    let threads = usize::from(args.threads);
    let options = RunOptions {
        program: this_program()?,
        jobs: default_jobs(threads),
        threads,
        devices: vec!["cpu".into()],
        on_each: 1,
        data_dir: args.asked.folder.data_dir.clone(),
        allow_commands: args.probe.is_some() && args.allow.check(study.specs())?,
    };
    let default = || PathBuf::from("runs").join(&study.recipe.name);
    let dir = args.out.clone().unwrap_or_else(default);
    let mut cells = price::of(study, &dir, threads)?;
    // Trials whose data are not there cannot be run.
    if let (Some(most), true) = (args.probe, unread.is_empty()) {
        let open = open_count(&cells);
        let whole = most * open as f64;
        say(format_args!(
            "measuring {open} cells, {most} s each at most: {} in all",
            duration(whole)
        ));
        let stop = count_interrupts("stopping: what is measured is kept")?;
        let most = Duration::from_secs_f64(most);
        price::probe(study, &mut cells, &options, most, &stop)?;
    }
    Ok(Price {
        cells,
        executor,
        at_a_time: executor.at_a_time(&settings, &options),
        probed: args.probe.is_some(),
    })
}
