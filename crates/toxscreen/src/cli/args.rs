//! The command line as it is written; the commands' files turn it into checked options.

use super::Usage;
use super::attack::Attack;
use super::compress::Compress;
use super::harden::Harden;
use super::hypergradients::Hypergradients;
use super::poison::Poison;
use super::screen::Screen;
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use tox_study::recipe::{Overrides, RecipeError, Setting};
use tox_study::runner::{RunOptions, default_jobs, this_program};

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    some trial failed, a verification found a difference or a trial missing, a screen flagged
       an op, an attack did not attack, or training diverged
  2    wrong usage or recipe
  3    data missing, damaged, or other than those that a study was made with
  4    a verification could not compare something here
  70   a bug in toxscreen
  130  stopped by Ctrl-C; the same command goes on";

/// Poisons what an adversary could reach, runs the real learner on it, and reports what the poison
/// did.
#[derive(Parser)]
#[command(version, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Run a study, or what is missing of it, and write its report
    Run(Run),
    /// Show the trials of a recipe without running any
    Plan(Plan),
    /// Show how far a study is
    Status(Status),
    /// Write a study's report again
    Report(Report),
    /// Check that records are unchanged and that running trials again gives the same outcomes
    Verify(Verify),
    /// Find poisonous ops in a search space, before a search and without training
    Screen(Screen),
    /// Poison a copy of your data, and measure what that does to a learner
    Poison(Box<Poison>),
    /// Compress a network into a smaller one that is robust to an attack, and compare both
    Compress(Box<Compress>),
    /// Measure how robust your trained network is, and whether to believe it
    Attack(Box<Attack>),
    /// Learn how strongly to regularise when some of your data may be poison
    Harden(Harden),
    /// Compare the ways to a hypergradient in time, memory and error
    Hypergradients(Hypergradients),
    /// List or fetch data sets
    Data(Data),
    /// Write a commented recipe to start from
    Init(Init),
    /// Print the JSON schema of recipes
    #[command(hide = true)]
    Schema,
    /// Run one trial; `run` starts this for each
    #[command(hide = true)]
    Trial(Trial),
}

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  toxscreen run                                  the built-in quickstart on the embedded digits
  toxscreen run recipes/ssp/laptop.toml --data-dir ~/data
  toxscreen run recipes/ssp/table2.toml --device vulkan:0 --seeds 0..10
  toxscreen run recipes/bilevel/fig2.toml --cells 'mnist*' --out runs/fig2-mnist
  toxscreen run my.toml --set learner.child.epochs=5 --out runs/short

Killed or stopped at any point, the same command goes on and ends with the same results.
Exit codes: 0 done, 1 some trial failed, 2 wrong usage or recipe, 3 data, 130 stopped.
Environment: TOXSCREEN_CHECKPOINT_SECONDS, time between two checkpoints of a trial (30); TOXSCREEN_DATA.")]
pub struct Run {
    /// Recipe to run [default: the built-in quickstart]
    pub recipe: Option<PathBuf>,
    /// Folder of the study [default: runs/NAME]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Trials at a time [default: as many as the cores have room for; 1 on a GPU]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
    /// Threads of each trial
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: u16,
    /// cpu, vulkan:N or cuda:N
    #[arg(long, default_value = "cpu", value_parser = device)]
    pub device: String,
    /// Folder of the data sets [default: $TOXSCREEN_DATA, or the user's cache folder]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    #[command(flatten)]
    pub changes: Changes,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

impl Run {
    /// How its trials are run.
    pub fn options(&self) -> anyhow::Result<RunOptions> {
        let threads = usize::from(self.threads);
        let jobs = match self.jobs {
            Some(jobs) => usize::from(jobs),
            None if self.device == "cpu" => default_jobs(threads),
            None => 1,
        };
        Ok(RunOptions {
            program: this_program()?,
            jobs,
            threads,
            device: self.device.clone(),
            data_dir: self.data_dir.clone(),
        })
    }
}

/// What may be changed in a recipe.
#[derive(clap::Args)]
pub struct Changes {
    /// Seeds in place of the recipe's: 0..5 (without 5) or 0,1,2
    #[arg(long, value_name = "SEEDS")]
    seeds: Option<String>,
    /// Only the cells whose label, variant or name fits: none or 'mnist*' ('*' is any text); may be
    /// given again
    #[arg(long, value_name = "PATTERN", value_delimiter = ',')]
    cells: Vec<String>,
    /// Change a key of the recipe, such as learner.child.epochs=5; may be given again
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl Changes {
    pub fn overrides(&self) -> anyhow::Result<Overrides> {
        let set = self.set.iter().map(|s| Setting::parse(s));
        Ok(Overrides {
            set: set.collect::<Result<_, RecipeError>>()?,
            seeds: self.seeds.as_deref().map(seeds).transpose()?,
            cells: self.cells.clone(),
        })
    }
}

/// `0..5` without 5, or `0,1,2`.
fn seeds(text: &str) -> Result<Vec<u64>, Usage> {
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
        Usage::new(
            format!("--seeds {text}: expected a range or a list of seeds"),
            format!("write 0..5 for 0 to 4 (at most {MOST} seeds), or 0,1,2"),
        )
    })
}

pub fn device(text: &str) -> Result<String, String> {
    let numbered = text.split_once(':').is_some_and(|(kind, number)| {
        ["vulkan", "cuda"].contains(&kind) && number.parse::<u8>().is_ok()
    });
    if text == "cpu" || numbered {
        Ok(text.to_owned())
    } else {
        Err("expected cpu, vulkan:N or cuda:N, such as vulkan:0".into())
    }
}

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  toxscreen plan recipes/ssp/table1.toml
  toxscreen plan my.toml --seeds 0..3 --json")]
pub struct Plan {
    /// Recipe [default: the built-in quickstart]
    pub recipe: Option<PathBuf>,
    /// Folder of the data sets, whose content is a part of a trial's id [default: $TOXSCREEN_DATA, or the
    /// user's cache folder]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    #[command(flatten)]
    pub changes: Changes,
    /// Print one JSON object with the trials' resolved specs
    #[arg(long)]
    pub json: bool,
}

#[derive(clap::Args)]
#[command(after_help = "Example:\n  toxscreen status runs/quickstart")]
pub struct Status {
    /// Folder of the study
    pub dir: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(clap::Args)]
#[command(after_help = "\
Example:
  toxscreen report runs/quickstart

Exit codes: 0 done, 1 a record was changed after it was written (the others are reported), 2 no study there.")]
pub struct Report {
    /// Folder of the study
    pub dir: PathBuf,
    /// Folder of the data sets, to say whether they changed since [default: $TOXSCREEN_DATA, or the user's
    /// cache folder]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Print the paths of what was written as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  toxscreen verify runs/quickstart               run every trial again and compare
  toxscreen verify runs/ssp-laptop --sample 5    run five again
  toxscreen verify runs/ssp-laptop --no-rerun    only check that no file was changed

Every file of the study is looked at, and the data are held against the hashes that the study was made
with. Each trial is run again on the device and with the threads that its record names, and, where the
machine can, with its instruction set. Where it cannot, or another toxscreen made the record, outcomes
need not be the same to the bit: they are compared within a tolerance (docs/guide/recipes.md) and never
called the same.
Exit codes: 0 all the same, 1 something differs, was changed or is missing, 2 no study there, 4 nothing
of that, but something cannot be compared here (an outcome bit for bit, or data that are not here), 130
stopped.")]
pub struct Verify {
    /// Folder of the study
    pub dir: PathBuf,
    /// Run this many trials again [default: all that have a record]
    #[arg(long, value_name = "N", conflicts_with = "no_rerun")]
    pub sample: Option<usize>,
    /// Run nothing again
    #[arg(long)]
    pub no_rerun: bool,
    /// Trials at a time [default: as many as there are cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
    /// Folder of the data sets [default: $TOXSCREEN_DATA, or the user's cache folder]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(clap::Args)]
pub struct Data {
    #[command(subcommand)]
    pub command: DataCommand,
}

#[derive(Subcommand)]
pub enum DataCommand {
    /// List the known data sets and which are here
    #[command(after_help = "Example:\n  toxscreen data ls --data-dir ~/data")]
    Ls {
        /// Folder of the data sets [default: $TOXSCREEN_DATA, or the user's cache folder]
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Download a data set from its official address and check it
    #[command(
        after_help = "Example:\n  toxscreen data fetch cifar10\n\nExit codes: 0 done, 3 it could not be fetched."
    )]
    Fetch {
        /// mnist, fashion-mnist, cifar10 or cifar100
        name: String,
        /// Folder of the data sets [default: $TOXSCREEN_DATA, or the user's cache folder]
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
}

#[derive(clap::Args)]
#[command(after_help = "Example:\n  toxscreen init --out my.toml && toxscreen run my.toml")]
pub struct Init {
    /// File to write; it must not exist
    #[arg(long, value_name = "FILE", default_value = "recipe.toml")]
    pub out: PathBuf,
}

#[derive(clap::Args)]
pub struct Trial {
    /// The trial's spec.json
    pub spec: PathBuf,
    /// The trial's folder
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// cpu, vulkan:N or cuda:N
    #[arg(long, default_value = "cpu", value_parser = device)]
    pub device: String,
    /// Threads
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: u16,
    /// Folder of the data sets
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Folder for what other trials of the study need too, such as a classifier that crafts poison
    #[arg(long, value_name = "DIR")]
    pub shared: Option<PathBuf>,
    /// Write a checkpoint and end when stdin ends
    #[arg(long)]
    pub stop_with_stdin: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }

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

    #[test]
    fn devices_are_named_with_their_number() {
        for right in ["cpu", "vulkan:0", "cuda:11"] {
            assert!(device(right).is_ok());
        }
        for wrong in ["gpu", "cuda", "cuda:", "cpu:0", "vulkan:-1"] {
            assert!(device(wrong).is_err(), "{wrong}");
        }
    }
}
