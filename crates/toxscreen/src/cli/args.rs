//! The commands. Options are beside each; what several have is in [`options`](super::options).

use super::attack::Attack;
use super::clean::Clean;
use super::compress::Compress;
use super::data::Data;
use super::devices::Devices;
use super::harden::Harden;
use super::hypergradients::Hypergradients;
use super::init::Init;
use super::plan::Plan;
use super::poison::Poison;
use super::report::Report;
use super::run::Run;
use super::screen::Screen;
use super::status::Status;
use super::suspects::Suspects;
use super::trial::Trial;
use super::trust::Trust;
use super::verify::Verify;
use clap::{Parser, Subcommand};

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    some trial failed, a verification found a difference or a trial missing, a screen flagged
       an op, an attack did not attack, or training diverged
  2    wrong usage or recipe
  3    data missing, damaged, or other than those that a study was made with
  4    a verification could not compare something here, or a gate cannot be told
  5    a gate of the recipe is not held
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
    /// Rank the rows of your data that are likely mislabelled or poisoned
    Suspects(Box<Suspects>),
    /// Write your data without their suspects, or with these relabelled
    Clean(Box<Clean>),
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
    /// List what --device can name on this machine, and try each
    Devices(Devices),
    /// Allow the programs that a recipe starts, as they are now
    Trust(Trust),
    /// Write a commented recipe to start from
    Init(Init),
    /// Print the JSON schema of recipes
    #[command(hide = true)]
    Schema,
    /// Run one trial of a study, wherever: in a job of a cluster, a pod, a shell
    Trial(Trial),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }
}
