//! `toxscreen run`: run what is missing of a study, then write its report.

use super::allow::Allow;
use super::engine::{Engine, Jobs};
use super::files::Files;
use super::gate::{self, Ci};
use super::options::{self, Folder};
use super::progress::Progress;
use super::{
    DATA, FAILED, INTERRUPTED, Output, Result, count_interrupts, devices, duration, json, notes,
    report, say, this_command, usage, warn,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Instant;
use tox_audits::HOUSE;
use tox_data::DataDir;
use tox_data::spec::{DataSpec, SplitKind};
use tox_study::executors::{self, Summary, Told};
use tox_study::part::Part;
use tox_study::plan::Trial;
use tox_study::recipe::{Overrides, QUICKSTART, RecipeError, Setting, Study};
use tox_study::runner::{RunOptions, default_jobs, this_program};
use tox_study::store::{Failure, Store};

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  toxscreen run                                  the built-in quickstart on the embedded digits
  toxscreen run recipes/ssp/laptop.toml --data-dir ~/data
  toxscreen run recipes/ssp/table2.toml --device vulkan:0 --seeds 0..10
  toxscreen run recipes/bilevel/fig2.toml --cells 'mnist*' --out runs/fig2-mnist
  toxscreen run my.toml --set learner.child.epochs=5 --out runs/short

Killed or stopped at any point, the same command goes on and ends with the same results.
On a cluster (docs/guide/clusters.md):
  toxscreen run my.toml --engine slurm --slurm partition=cpu,time=4:00:00 --pack 20
  toxscreen run my.toml --engine slurm --detach      submit and return; later, the same without --detach
  toxscreen run my.toml --engine command --submit 'qsub {script}'
Exit codes: 0 done, 1 some trial failed, 2 wrong usage or recipe, 3 data, 4 no gate fails but one
cannot be told, 5 a gate of the recipe is not held, 130 stopped.
Environment: TOXSCREEN_CHECKPOINT_SECONDS, time between two checkpoints of a trial (30);
TOXSCREEN_DATA.")]
pub struct Run {
    /// Folder of the study [default: runs/NAME]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub engine: Engine,
    #[command(flatten)]
    pub cluster: Jobs,
    /// Trials at a time [default: as many as the cores have room for; 1 on each GPU]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
    /// Threads of each trial
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: u16,
    /// cpu, vulkan:N or cuda:N; of several GPUs, such as vulkan:0,vulkan:1, each runs its share of the
    /// trials
    #[arg(long, default_value = "cpu", value_parser = options::device, value_delimiter = ',')]
    pub device: Vec<String>,
    #[command(flatten)]
    pub asked: Asked,
    #[command(flatten)]
    pub allow: Allow,
    #[command(flatten)]
    pub ci: Ci,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

impl Run {
    /// How its trials are run.
    pub fn options(&self) -> Result<RunOptions> {
        let threads = usize::from(self.threads);
        let devices = self.device.clone();
        for (i, device) in devices.iter().enumerate() {
            if devices.len() > 1 && (device == "cpu" || devices[..i].contains(device)) {
                let message = format!(
                    "--device {}: {device} cannot be one of several",
                    devices.join(",")
                );
                return Err(usage(
                    message,
                    "name each GPU once, such as vulkan:0,vulkan:1",
                ));
            }
        }
        let jobs = match self.jobs {
            Some(jobs) => usize::from(jobs),
            None if devices == ["cpu"] => default_jobs(threads),
            None => devices.len(),
        };
        Ok(RunOptions {
            program: this_program()?,
            jobs,
            threads,
            on_each: jobs.div_ceil(devices.len().max(1)),
            devices,
            data_dir: self.asked.folder.data_dir.clone(),
            allow_commands: false,
        })
    }
}

/// A recipe, and what is changed in it.
#[derive(clap::Args)]
pub struct Asked {
    /// Recipe [default: the built-in quickstart]
    pub recipe: Option<PathBuf>,
    #[command(flatten)]
    pub folder: Folder,
    /// Seeds in place of the recipe's: 0..5 (without 5) or 0,1,2
    #[arg(long, value_name = "SEEDS")]
    seeds: Option<String>,
    /// Only the cells whose label, variant or name fits: none or 'mnist*' ('*' is any text); may be
    /// given again
    #[arg(long, value_name = "PATTERN", value_delimiter = ',')]
    cells: Vec<String>,
    /// Instruction set of all trials: avx2, portable or plain; for nodes that differ
    #[arg(long, value_name = "SET", value_parser = ["avx2", "portable", "plain"])]
    kernels: Option<String>,
    /// Change a key of the recipe, such as learner.child.epochs=5; may be given again
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl Asked {
    fn overrides(&self) -> Result<Overrides> {
        let kernels = self.kernels.iter().map(|set| format!("kernels={set}"));
        let set = self.set.iter().cloned().chain(kernels);
        let set = set.map(|s| Setting::parse(&s));
        Ok(Overrides {
            set: set.collect::<Result<_, RecipeError>>()?,
            seeds: self.seeds.as_deref().map(seeds).transpose()?,
            cells: self.cells.clone(),
        })
    }

    /// The study.
    pub fn study(&self) -> Result<Study> {
        let overrides = self.overrides()?;
        let study = match &self.recipe {
            Some(path) => Study::load(&HOUSE, path, &overrides),
            None => Study::parse(&HOUSE, "quickstart.toml", QUICKSTART, &overrides),
        }?;
        for note in &study.notes {
            say(format_args!("note: {note}"));
        }
        let mut asked: Vec<&Part> = Vec::new();
        for spec in study.specs() {
            if !asked.contains(&&spec.learner) {
                asked.push(&spec.learner);
                let notes = HOUSE.of(spec)?.notes(&spec.learner);
                notes
                    .iter()
                    .for_each(|note| say(format_args!("note: {note}")));
            }
        }
        Ok(study)
    }
}

/// `0..5` without 5, or `0,1,2`.
fn seeds(text: &str) -> Result<Vec<u64>> {
    const MOST: u64 = 10_000;
    let read = |s: &str| s.trim().parse::<u64>().ok();
    let found = match text.split_once("..") {
        Some((from, to)) => match (read(from), read(to)) {
            (Some(from), Some(to)) if from < to && to - from <= MOST => Some((from..to).collect()),
            _ => None,
        },
        None => text.split(',').map(read).collect(),
    };
    found.ok_or_else(|| {
        usage(
            format!("--seeds {text}: expected a range or a list of seeds"),
            format!("write 0..5 for 0 to 4 (at most {MOST} seeds), or 0,1,2"),
        )
    })
}

pub fn run(args: Run) -> Result<Output> {
    let study = args.asked.study()?;
    let programs = args.allow.check(study.specs())?;
    let default = || PathBuf::from("runs").join(&study.recipe.name);
    let dir = args.out.clone().unwrap_or_else(default);
    let files = Files::default()
        .read(args.asked.recipe.as_deref())
        .of_trials(study.specs())
        .study(&dir);
    args.ci.files(files).check()?;
    let options = RunOptions {
        allow_commands: programs,
        ..args.options()?
    };
    let engine = args.engine.chosen(&args.cluster)?;
    let data_dir = args.asked.folder.dir()?;
    let here = !engine.executor.outlives();
    if let Some(jobs) = args.jobs.filter(|_| !here) {
        let name = engine.executor.name();
        let message =
            format!("--jobs {jobs} counts trials on this machine, and {name} runs them on others");
        return Err(usage(
            message,
            "leave it out; --pack says how many trials a job runs",
        ));
    }
    fits_devices(&study, &dir, &options.devices, here)?;
    let study = named(study, &dir, &data_dir)?;
    preflight(&study, &dir, &data_dir)?;
    let (store, lock) = Store::create(&HOUSE, &dir, &study)?;
    warn(&store.notes);
    let stop = count_interrupts(engine.executor.stopping())?;
    let done = study.trials.iter().filter(|t| store.is_done(&t.id)).count();
    let begun = Instant::now();
    let mut progress = Progress::new(&store, done, study.trials.len());
    let summary = executors::run(
        &HOUSE,
        &store,
        engine.how(&options),
        &stop,
        &mut |told| match told {
            Told::Trial(notice) => progress.hear(notice),
            Told::Line(line) => progress.say(&line),
        },
    );
    progress.close();
    let summary = summary?;

    let stopped = stop.load(Ordering::SeqCst) > 0 && !summary.is_complete();
    let submitted = engine.detach && summary.open() > 0;
    complain(&summary);
    warn(&summary.damaged);
    let seconds = begun.elapsed().as_secs_f64();
    let report = (summary.before + summary.done > 0)
        .then(|| report::write(&dir))
        .transpose()?;
    let told = report.as_ref().map(|_| args.ci.tell(&dir)).transpose()?;
    let gates = told.as_ref().map_or(0, |told| told.0);
    drop(lock);
    let code = match () {
        () if stopped => INTERRUPTED,
        () if !summary.damaged.is_empty() => FAILED,
        () if summary.is_complete() => gates,
        () if submitted && summary.failed.is_empty() => 0,
        () if only_data(&summary) => DATA,
        () => FAILED,
    };
    if args.json {
        let text = json(&serde_json::json!({
            "study": study.recipe.name,
            "dir": dir,
            "planned": summary.planned,
            "done": summary.before + summary.done,
            "failed": summary.failed,
            "damaged": summary.damaged,
            "notes": store.notes,
            "stopped": stopped,
            "submitted": if submitted { summary.open() } else { 0 },
            "seconds": seconds,
            "report": report.as_ref().map(|r| &r.html),
            "results": report.as_ref().map(|r| &r.csv),
            "gates": told.as_ref().map(|(_, told)| gate::json(told)),
        }))?;
        return Ok(Output { text, code });
    }
    let mut text = String::new();
    if let Some(report) = report {
        text = format!(
            "{}\nreport   {}\nresults  {}\n",
            report::headline(&dir)?.trim_end(),
            report.html.display(),
            report.csv.display()
        );
    }
    text.push_str(&format!(
        "{} of {} trials done, {} of them now, in {}\n",
        summary.before + summary.done,
        summary.planned,
        summary.done,
        duration(seconds)
    ));
    if stopped {
        let what = match engine.executor.outlives() {
            true => "the jobs go on; find them again with",
            false => "stopped; go on with",
        };
        text.push_str(&format!("{what}: {}\n", this_command()));
    } else if submitted {
        let again = this_command().replace(" --detach", "");
        text.push_str(&format!(
            "{} trials are with the cluster; wait for them with: {again}\n",
            summary.open()
        ));
    }
    Ok(Output { text, code })
}

/// Refuses devices that cannot be used for the trials that are left, or by their learners. Where trials run
/// elsewhere than `here`, so are the devices, and each trial finds out itself.
fn fits_devices(study: &Study, dir: &Path, devices: &[String], here: bool) -> Result<()> {
    if devices == ["cpu"] {
        return Ok(());
    }
    let all = devices.join(",");
    if !here && devices.len() > 1 {
        let message = format!("--device {all}: a job of a cluster has one device");
        return Err(usage(
            message,
            "name one, such as vulkan:0, which each job counts for itself",
        ));
    }
    let left = || {
        study
            .trials
            .iter()
            .filter(|t| !Store::has_record(dir, &t.id))
    };
    for trial in left() {
        let kind = &trial.spec.learner.kind;
        if HOUSE
            .learner(kind)
            .is_some_and(|learner| !learner.on_device())
        {
            let message = format!("the learner \"{kind}\" runs on the CPU, not on {all}");
            return Err(usage(message, "leave --device out"));
        }
    }
    for device in devices {
        tox_nn::device::built(device).map_err(|e| devices::unusable(&e.to_string()))?;
        if !here || left().next().is_none() {
            continue;
        }
        let found = devices::tried(device)?;
        let rests = |t: &Trial| {
            let learner = HOUSE.learner(&t.spec.learner.kind);
            learner.is_some_and(|learner| learner.rests_on_nan(&t.spec.learner))
        };
        if left().any(rests) {
            found.keeps_nan(device)?;
        }
    }
    Ok(())
}

/// The study with its data named by content. Data that are not there are none of a study that is done;
/// data that changed are refused all the same.
fn named(study: Study, dir: &Path, data_dir: &DataDir) -> Result<Study> {
    let (study, faults) = study.resolved(&HOUSE, data_dir)?;
    let done = study.trials.iter().all(|t| Store::has_record(dir, &t.id));
    match faults.into_iter().find(|f| f.is_change() || !done) {
        Some(fault) => Err(fault.into()),
        None => Ok(study),
    }
}

/// What every trial would fail by, found before a folder is made and a process started: data that do not
/// load as they are asked for, and what the learner knows of.
fn preflight(study: &Study, dir: &Path, data_dir: &DataDir) -> Result<()> {
    let mut loaded: Vec<DataSpec> = Vec::new();
    let mut tables: Vec<DataSpec> = Vec::new();
    let mut asked: Vec<&Part> = Vec::new();
    let mut fitted: Vec<(&DataSpec, &Part, u64)> = Vec::new();
    for trial in &study.trials {
        if Store::has_record(dir, &trial.id) {
            continue;
        }
        for data in trial.spec.data_sets() {
            if !loaded.contains(&data) {
                let found = HOUSE.load(&trial.spec, &data, data_dir, 0)?;
                notes(found.as_ref().notes());
                if found.as_ref().images().is_none() {
                    tables.push(data.clone());
                }
                loaded.push(data);
            }
        }
        // An archive is seen to be a table once it is open.
        let table = tables.contains(&trial.spec.data);
        if let Some(refused) = HOUSE.refuses_table(&trial.spec).filter(|_| table) {
            let what = if refused.defence { "defence" } else { "threat" };
            let message = format!(
                "cell \"{}\": the {what} \"{}\" cannot be used, for {} holds a table of numbers",
                trial.spec.cell,
                refused.kind,
                trial.spec.data.name()
            );
            return Err(usage(message, &refused.hint));
        }
        if let Some(part) = trial.spec.threat.data.as_ref() {
            let threat = HOUSE.threats.iter().find(|t| t.kind() == part.kind);
            // How many rows there are does not depend on the seed, which they are may.
            let by_rows = threat.is_some_and(|t| t.budget(part).is_none());
            let seed = match by_rows && trial.spec.data.split == SplitKind::Random {
                true => trial.spec.seed,
                false => 0,
            };
            let key = (&trial.spec.data, part, seed);
            let rows = HOUSE.of(&trial.spec)?.takes_rows();
            if let Some(threat) = threat.filter(|_| !rows && !fitted.contains(&key)) {
                let data = HOUSE.load(&trial.spec, &trial.spec.data, data_dir, seed)?;
                let fits = threat.fits(part, data.as_ref());
                fits.map_err(|why| unfitting(trial, part, &why))?;
                fitted.push(key);
            }
        }
        if !asked.contains(&&trial.spec.learner) {
            HOUSE.of(&trial.spec)?.preflight(&trial.spec, data_dir)?;
            asked.push(&trial.spec.learner);
        }
    }
    Ok(())
}

/// A threat that would attack nothing.
fn unfitting(trial: &Trial, threat: &Part, why: &str) -> tox_study::trial::Failure {
    let message = format!(
        "cell \"{}\", seed {}: the threat \"{}\" attacks nothing of {}: {why}",
        trial.spec.cell,
        trial.spec.seed,
        threat.kind,
        trial.spec.data.name()
    );
    usage(
        message,
        "raise its `budget` to a row at least, or write 0 for a clean baseline; a patch goes with the data, the split and the seed \
         that it was made of",
    )
}

/// Each reason once, however many trials it hit.
fn complain(summary: &Summary) {
    let mut reasons: BTreeMap<String, Vec<&Failure>> = BTreeMap::new();
    for failure in &summary.failed {
        // A path in the message has the trial's id in it.
        let reason = failure.message.replace(&failure.trial, "");
        reasons.entry(reason).or_default().push(failure);
    }
    for trials in reasons.values() {
        let (first, reason) = (&trials[0].trial, &trials[0].message);
        say(format_args!(
            "error: {} of {} trials failed, trial {first} first: {reason}",
            trials.len(),
            summary.planned
        ));
    }
}

/// Whether data are all that is missing.
fn only_data(summary: &Summary) -> bool {
    let of_data = |code: Option<i32>| code == Some(i32::from(DATA));
    !summary.failed.is_empty() && summary.failed.iter().all(|f| of_data(f.exit_code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_ranges_or_lists() {
        assert_eq!(seeds("0..3").unwrap(), [0, 1, 2]);
        assert_eq!(seeds("7, 3").unwrap(), [7, 3]);
        for wrong in [
            "",
            "3..3",
            "5..2",
            "a",
            "1,,2",
            "-1",
            "0..99999999999",
            "0..=3",
        ] {
            assert!(seeds(wrong).is_err(), "{wrong}");
        }
    }
}
