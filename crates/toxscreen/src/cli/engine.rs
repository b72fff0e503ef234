//! What runs a study's trials: options of the command line, and the user's configuration.

use super::{Result, usage};
use clap::{Arg, ArgAction, ArgMatches, FromArgMatches, value_parser};
use etcetera::BaseStrategy;
use std::path::{Path, PathBuf};
use toml::{Table, Value};
use tox_study::executors::{EXECUTORS, Executor, How, Settings, executor};
use tox_study::files;
use tox_study::recipe::suggest;
use tox_study::runner::RunOptions;

/// As it is asked for.
#[derive(Clone, Debug, Default)]
pub struct Engine {
    name: Option<String>,
    /// For each executor what was set of it.
    settings: Vec<(&'static str, Settings)>,
    config: Option<PathBuf>,
}

/// How its jobs are submitted.
#[derive(Clone, Debug, clap::Args)]
pub struct Jobs {
    /// For the engine command: what submits a job, such as 'qsub {script}'
    #[arg(long, value_name = "COMMAND")]
    submit: Option<String>,
    /// Trials that a job of a cluster runs, one after another
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pack: Option<u16>,
    /// Submit the jobs and return; the same command without it waits for them
    #[arg(long)]
    detach: bool,
    /// Take jobs that were submitted before for dead
    #[arg(long)]
    resubmit: bool,
}

/// An executor with its settings.
pub struct Chosen {
    pub executor: &'static dyn Executor,
    pub settings: Settings,
    pub detach: bool,
    pub resubmit: bool,
}

impl Chosen {
    /// How a study is run with it.
    pub fn how<'a>(&'a self, options: &'a RunOptions) -> How<'a> {
        How {
            executor: self.executor,
            settings: &self.settings,
            options,
            detach: self.detach,
            resubmit: self.resubmit,
        }
    }
}

impl Engine {
    /// The executor that is asked for, with the settings of the configuration and, above them, of the command
    /// line.
    ///
    /// # Errors
    /// A setting or a file that cannot be used.
    pub fn chosen(&self, jobs: &Jobs) -> Result<Chosen> {
        let (executor, mut settings) = self.named()?;
        if let Some(submit) = &jobs.submit {
            settings.set("submit", submit);
        }
        if let Some(pack) = jobs.pack {
            settings.set("pack", &pack.to_string());
        }
        settings.known(executor)?;
        executor.check(&settings)?;
        if (jobs.detach || jobs.resubmit) && !executor.outlives() {
            let message = format!(
                "trials of the engine {} end with this command",
                executor.name()
            );
            return Err(usage(message, "leave --detach and --resubmit out"));
        }
        Ok(Chosen {
            executor,
            settings,
            detach: jobs.detach,
            resubmit: jobs.resubmit,
        })
    }

    /// The executor that is asked for, and what is set of it.
    ///
    /// # Errors
    /// An engine that is not there, or a file that cannot be used.
    pub fn named(&self) -> Result<(&'static dyn Executor, Settings)> {
        let asked = |name: &str| {
            executor(name).ok_or_else(|| {
                let names: Vec<&str> = EXECUTORS.iter().map(|e| e.name()).collect();
                usage(
                    format!("there is no engine \"{name}\""),
                    suggest(name, &names),
                )
            })
        };
        let executor = match &self.name {
            Some(name) => asked(name)?,
            None => EXECUTORS[0],
        };
        let name = executor.name();
        if let Some((other, _)) = self.settings.iter().find(|(other, _)| *other != name) {
            let message = format!("--{other} is of the engine {other}, and this is {name}");
            return Err(usage(message, format!("add --engine {other}")));
        }
        let mut settings = configured(self.config.as_deref(), name)?;
        for (_, own) in &self.settings {
            settings.merge(own.clone());
        }
        Ok((executor, settings))
    }
}

/// What `[engine.NAME]` of the user's configuration says.
fn configured(given: Option<&Path>, name: &str) -> Result<Settings> {
    let path = match given {
        Some(path) => path.to_owned(),
        None => match etcetera::choose_base_strategy() {
            Ok(base) => base.config_dir().join("toxscreen").join("config.toml"),
            Err(_) => return Ok(Settings::default()),
        },
    };
    if given.is_none() && !path.is_file() {
        return Ok(Settings::default());
    }
    let text = files::read(&path)?;
    let wrong = |what: String| {
        let hint =
            "it has a table for each engine, such as [engine.slurm], with partition = \"...\"";
        usage(
            format!("the configuration {}: {what}", path.display()),
            hint,
        )
    };
    let table: Table = toml::from_str(&text).map_err(|e| wrong(e.message().to_owned()))?;
    if let Some(key) = table.keys().find(|key| *key != "engine") {
        return Err(wrong(format!("unknown key `{key}`")));
    }
    let engines = match table.get("engine") {
        None => return Ok(Settings::default()),
        Some(Value::Table(engines)) => engines,
        Some(_) => return Err(wrong("`engine` must be a table".to_owned())),
    };
    for key in engines.keys() {
        if executor(key).is_none() {
            let names: Vec<&str> = EXECUTORS.iter().map(|e| e.name()).collect();
            return Err(wrong(format!(
                "there is no engine \"{key}\"; {}",
                suggest(key, &names)
            )));
        }
    }
    match engines.get(name) {
        None => Ok(Settings::default()),
        Some(Value::Table(own)) => {
            Settings::of_table(own).map_err(|what| wrong(format!("[engine.{name}]: {what}")))
        }
        Some(_) => Err(wrong(format!("`engine.{name}` must be a table"))),
    }
}

/// Options are made from the list of executors: one that is added has its own.
impl clap::Args for Engine {
    fn augment_args(command: clap::Command) -> clap::Command {
        let names = EXECUTORS
            .iter()
            .map(|e| format!("{}: {}", e.name(), e.about()));
        let help = format!("What runs the trials [default: {}]", EXECUTORS[0].name());
        let long = format!("{help}\n\n{}", names.collect::<Vec<_>>().join("\n"));
        let mut command = command
            .arg(
                Arg::new("engine")
                    .long("engine")
                    .value_name("NAME")
                    .help(help)
                    .long_help(long),
            )
            .arg(
                Arg::new("config")
                    .long("config")
                    .value_name("FILE")
                    .value_parser(value_parser!(PathBuf))
                    .help("Configuration [default: toxscreen/config.toml in $XDG_CONFIG_HOME or ~/.config]"),
            );
        for executor in EXECUTORS.iter().filter(|e| !e.keys().is_empty()) {
            let keys = executor.keys().iter();
            let keys: Vec<String> = keys.map(|k| format!("{}: {}", k.name, k.about)).collect();
            let help = format!("Settings of the engine {}", executor.name());
            command = command.arg(
                Arg::new(executor.name())
                    .long(executor.name())
                    .value_name("KEY=VALUE,...")
                    .action(ArgAction::Append)
                    .help(help.clone())
                    .long_help(format!("{help}\n\n{}", keys.join("\n"))),
            );
        }
        command
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Engine {
    fn from_arg_matches(found: &ArgMatches) -> Result<Self, clap::Error> {
        let mut engine = Self::default();
        engine.update_from_arg_matches(found)?;
        Ok(engine)
    }

    fn update_from_arg_matches(&mut self, found: &ArgMatches) -> Result<(), clap::Error> {
        let text = |id: &str| found.get_one::<String>(id).cloned();
        let settings = EXECUTORS.iter().filter(|e| !e.keys().is_empty());
        let settings = settings.filter_map(|e| {
            let given = found.get_many::<String>(e.name())?;
            let mut all = Settings::default();
            given.for_each(|text| all.merge(Settings::parse(text)));
            Some((e.name(), all))
        });
        *self = Self {
            name: text("engine"),
            settings: settings.collect(),
            config: found.get_one::<PathBuf>("config").cloned(),
        };
        Ok(())
    }
}
