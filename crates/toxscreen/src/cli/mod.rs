//! One file for each command; what they share is here.

pub mod args;
mod attack;
mod bilevel;
mod compress;
mod data;
mod harden;
mod hypergradients;
mod init;
mod plan;
mod poison;
mod progress;
mod report;
mod robust;
mod run;
mod screen;
mod status;
mod trial;
mod verify;
mod weights;

use args::{Args, Command};
use clap::ArgMatches;
use std::borrow::Cow;
use std::path::Path;
use tox_bilevel::advice::AdviceError;
use tox_bilevel::audit::AuditError;
use tox_bilevel::own::OwnError;
use tox_data::text::{json_printable, one_line, printable, shell_word};
use tox_nn::layers::WeightsError;
use tox_poison::data::PoisonError;
use tox_poison::screen::ScreenError;
use tox_poison::space_file::SpaceFileError;
use tox_search::rcnas::RcnasError;
use tox_search::table::TableError;
use tox_study::child::ChildError;
use tox_study::recipe::{RecipeError, SourceError};
use tox_study::record::RecordError;
use tox_study::store::StoreError;
use tox_study::trial::TrialError;

/// Some trial failed, or a verification found a difference.
pub const FAILED: u8 = 1;
/// Wrong usage or recipe.
pub const USAGE: u8 = 2;
/// Data missing or damaged.
pub const DATA: u8 = 3;
/// A verification found nothing bad, but something that cannot be compared here; a hardening recommends
/// nothing.
pub const UNDECIDED: u8 = 4;
/// A bug.
pub const INTERNAL: u8 = 70;
/// Stopped by Ctrl-C; the same command goes on.
pub const INTERRUPTED: u8 = 130;

/// What a command says on stdout, and its exit code.
pub struct Output {
    /// Text for stdout.
    pub text: String,
    /// Exit code.
    pub code: u8,
}

impl Output {
    fn done(text: String) -> Self {
        Self { text, code: 0 }
    }
}

/// An option or argument that cannot be used, beyond what clap finds.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Usage {
    message: String,
    hint: String,
}

impl Usage {
    fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        let (message, hint) = (message.into(), hint.into());
        Self { message, hint }
    }
}

/// Runs a command; `given` tells which of its options were written.
pub fn dispatch(args: Args, given: &ArgMatches) -> anyhow::Result<Output> {
    tox_data::isa::check()
        .map_err(|what| Usage::new(what, "unset it for the fastest that this machine has"))?;
    tox_study::trial::check_interval()
        .map_err(|what| Usage::new(what, "unset it for a checkpoint every 30 seconds"))?;
    match args.command {
        Command::Run(args) => run::run(args),
        Command::Plan(args) => plan::plan(&args),
        Command::Status(args) => status::status(&args),
        Command::Report(args) => report::report(&args),
        Command::Verify(args) => verify::verify(args),
        Command::Screen(args) => screen::screen(&args),
        Command::Poison(args) => {
            let own = given.subcommand().map_or(given, |(_, own)| own);
            poison::poison(&args, own)
        }
        Command::Compress(args) => compress::compress(&args),
        Command::Attack(args) => attack::attack(&args),
        Command::Harden(args) => harden::harden(&args),
        Command::Hypergradients(args) => hypergradients::hypergradients(&args),
        Command::Data(args) => data::data(args.command),
        Command::Init(args) => init::init(&args),
        Command::Schema => Ok(Output::done(tox_study::recipe::schema())),
        Command::Trial(args) => trial::trial(args),
    }
}

/// The exit code that stands for an error.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    if let Some(error) = error.downcast_ref::<StoreError>() {
        return match error {
            StoreError::File(_) | StoreError::Edited { .. } | StoreError::Busy { .. } => FAILED,
            StoreError::OtherData { .. } => DATA,
            StoreError::Recipe(_)
            | StoreError::NoStudy { .. }
            | StoreError::Headless { .. }
            | StoreError::Changed { .. } => USAGE,
        };
    }
    if error.is::<Usage>()
        || error.is::<RecipeError>()
        || error.is::<SpaceFileError>()
        || matches!(
            error.downcast_ref(),
            Some(
                PoisonError::Budget { .. }
                    | PoisonError::NoPoints { .. }
                    | PoisonError::Setting { .. }
                    | PoisonError::Fit(_)
            )
        )
    {
        USAGE
    } else if error.is::<tox_data::DataError>()
        || error.is::<tox_data::FetchError>()
        || error.is::<ScreenError>()
        || error.is::<TableError>()
        || error.is::<SourceError>()
        || error.is::<OwnError>()
        || matches!(
            error.downcast_ref(),
            Some(PoisonError::NotImages { .. } | PoisonError::OneClass { .. })
        )
    {
        DATA
    } else if let Some(error) = error.downcast_ref::<WeightsError>() {
        robust::exit_code(error)
    } else if let Some(error) = error.downcast_ref::<ChildError>() {
        trial::exit_code(error)
    } else if let Some(error) = error.downcast_ref::<AuditError>() {
        trial::audit(error)
    } else if let Some(AdviceError::Audit(error)) = error.downcast_ref() {
        trial::audit(error)
    } else {
        FAILED
    }
}

/// What to do about an error.
pub fn hint(error: &anyhow::Error) -> Option<String> {
    if let Some(usage) = error.downcast_ref::<Usage>() {
        return Some(usage.hint.clone());
    }
    if let Some(RecordError::Changed { .. } | RecordError::Parse { .. }) = error.downcast_ref() {
        return Some("delete the trial's folder and run the study again to make it anew".into());
    }
    if error.is::<poison::bilevel::Diverged>() {
        return Some(poison::bilevel::Diverged::hint());
    }
    if let Some(error) = error.downcast_ref::<PoisonError>() {
        return poison::hint(error);
    }
    if let Some(ChildError::Trial(TrialError::Rcnas(RcnasError::Teacher { .. }))) =
        error.downcast_ref()
    {
        let hint = "try it with `toxscreen attack`: weights from elsewhere may need another \
                    `normalise`, a teacher trained here more epochs";
        return Some(hint.into());
    }
    let recipe = error.downcast_ref::<RecipeError>().map(RecipeError::hint);
    let store = || error.downcast_ref::<StoreError>().map(StoreError::hint);
    recipe.or_else(store).flatten()
}

/// A line on stderr. Nobody may be reading it any more (`2>&1 | head`), which must not end a run,
/// so unlike `eprintln!` this does not panic. Paths, names and messages of others are a part of it.
pub fn say(line: std::fmt::Arguments<'_>) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{}", printable(&line.to_string()));
}

/// Ends the process as clap does on wrong usage or `--help`. An argument that clap quotes may hold control
/// characters; then its words go without clap's colours.
pub fn wrong_usage(error: &clap::Error) -> ! {
    let text = error.render().to_string();
    if matches!(printable(&text), Cow::Borrowed(_)) {
        error.exit();
    }
    say(format_args!("{}", text.trim_end()));
    std::process::exit(error.exit_code());
}

/// The command line that this process was started with, for a shell.
fn this_command() -> String {
    let words: Vec<String> = (std::env::args_os())
        .map(|word| shell_word(&word.to_string_lossy()).into_owned())
        .collect();
    words.join(" ")
}

/// A path as a word for a shell.
fn shell_path(path: &Path) -> String {
    let text = path.to_string_lossy();
    match text.starts_with('-') {
        true => shell_word(&format!("./{text}")).into_owned(),
        false => shell_word(&text).into_owned(),
    }
}

/// What is to be known of data, a line each on stderr.
fn notes(notes: &[String]) {
    for note in notes {
        say(format_args!("note: {}", tox_data::text::one_line(note)));
    }
}

/// What was found amiss, a line each on stderr. Nothing else there needs to be read.
fn warn(notes: &[String]) {
    for note in notes {
        say(format_args!("warning: {note}"));
    }
}

/// Rows under a head, in columns as wide as they need to be.
fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = head.iter().map(|h| h.chars().count()).collect();
    // A name with a line feed would be a row of its own.
    let rows: Vec<Vec<Cow<'_, str>>> = (rows.iter())
        .map(|row| row.iter().map(|text| one_line(text)).collect())
        .collect();
    for row in &rows {
        for (width, text) in widths.iter_mut().zip(row) {
            *width = (*width).max(text.chars().count());
        }
    }
    let head: Vec<Cow<'_, str>> = head.iter().map(|h| Cow::Borrowed(*h)).collect();
    let mut out = String::new();
    for row in std::iter::once(&head).chain(&rows) {
        let cells = row.iter().zip(&widths);
        let line: Vec<_> = cells.map(|(t, &w)| format!("{t:<w$}")).collect();
        out.push_str(line.join("  ").trim_end());
        out.push('\n');
    }
    out
}

/// Seconds as people say them.
fn duration(seconds: f64) -> String {
    let s = seconds.round() as u64;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min {:02} s", s / 60, s % 60),
        _ => format!("{} h {:02} min", s / 3600, s / 60 % 60),
    }
}

fn json(value: &impl serde::Serialize) -> anyhow::Result<String> {
    Ok(json_printable(&serde_json::to_string_pretty(value)?).into_owned() + "\n")
}

/// Whether Ctrl-C or SIGTERM has come, which is answered with `stopping`; a second one ends the process
/// at once.
fn interrupted(
    stopping: &'static str,
) -> anyhow::Result<std::sync::Arc<std::sync::atomic::AtomicBool>> {
    use std::sync::atomic::{AtomicBool, Ordering};
    let stop = std::sync::Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::SeqCst) {
            std::process::exit(i32::from(INTERRUPTED));
        }
        say(format_args!("\n{stopping}; Ctrl-C again ends at once"));
    })?;
    Ok(stop)
}

/// A count that each Ctrl-C or SIGTERM raises.
fn count_interrupts() -> anyhow::Result<std::sync::Arc<std::sync::atomic::AtomicUsize>> {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let stop = std::sync::Arc::new(AtomicUsize::new(0));
    let count = stop.clone();
    ctrlc::set_handler(move || {
        if count.fetch_add(1, Ordering::SeqCst) == 0 {
            say(format_args!(
                "\nstopping: trials write their checkpoints; Ctrl-C again kills them"
            ));
        }
    })?;
    Ok(stop)
}
