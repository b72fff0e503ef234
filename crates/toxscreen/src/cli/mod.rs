//! One file for each command; what they share is here.

mod allow;
pub mod args;
mod attack;
mod bilevel;
mod clean;
mod compress;
mod data;
mod devices;
mod engine;
mod files;
mod gate;
mod harden;
mod hypergradients;
mod init;
mod options;
mod plan;
mod poison;
mod price;
mod progress;
mod report;
mod robust;
mod run;
mod sarif;
mod screen;
mod single;
mod status;
mod suspects;
mod trial;
mod trust;
mod verify;
mod weights;

use args::{Args, Command};
use clap::ArgMatches;
use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tox_audits::HOUSE;
use tox_data::text::{json_printable, one_line, printable, shell_word};
use tox_study::trial::{Exit, Failure};

/// Of a command: an error has its exit code and what to do about it.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// Some trial failed, or a verification found a difference.
pub const FAILED: u8 = 1;
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

    /// Of a command that was stopped, which was said.
    fn stopped() -> Self {
        Self {
            text: String::new(),
            code: INTERRUPTED,
        }
    }
}

/// An option or argument that cannot be used, beyond what clap finds.
fn usage(message: impl Into<String>, hint: impl Into<String>) -> Failure {
    Failure::usage(message.into()).hinted(hint)
}

/// The system refused something that a command needs; `what` is it.
fn system(what: &str, error: &impl ToString) -> Failure {
    let message = format!("cannot {what}: {}", error.to_string());
    Failure::new(Exit::Failed, &message)
}

/// Something that cannot be; a bug.
fn bug(what: &str) -> Failure {
    let message = format!("{what}; this is a bug in toxscreen, please report it");
    Failure::new(Exit::Failed, &message)
}

/// Runs a command; `given` tells which of its options were written.
pub fn dispatch(args: Args, given: &ArgMatches) -> Result<Output> {
    tox_data::isa::check()
        .map_err(|what| usage(what, "unset it for the fastest that this machine has"))?;
    tox_study::trial::check_interval()
        .map_err(|what| usage(what, "unset it for a checkpoint every 30 seconds"))?;
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
        Command::Suspects(args) => suspects::suspects(&args),
        Command::Clean(args) => clean::clean(&args),
        Command::Compress(args) => compress::compress(&args),
        Command::Attack(args) => attack::attack(&args),
        Command::Harden(args) => harden::harden(&args),
        Command::Hypergradients(args) => hypergradients::hypergradients(&args),
        Command::Data(args) => data::data(args.command),
        Command::Devices(args) => devices::devices(&args),
        Command::Init(args) => init::init(&args),
        Command::Schema => Ok(Output::done(tox_study::recipe::schema(&HOUSE))),
        Command::Trial(args) => trial::trial(args),
        Command::Trust(args) => trust::trust(&args),
    }
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

fn json(value: &impl serde::Serialize) -> Result<String> {
    let text = serde_json::to_string_pretty(value).map_err(|e| bug(&e.to_string()))?;
    Ok(json_printable(&text).into_owned() + "\n")
}

/// Calls `heard` at each Ctrl-C or SIGTERM.
fn on_interrupt(heard: impl FnMut() + Send + 'static) -> Result<()> {
    ctrlc::set_handler(heard).map_err(|e| system("listen for Ctrl-C", &e))
}

/// Whether Ctrl-C or SIGTERM has come, which is answered with `stopping`; a second one ends the process
/// at once.
fn interrupted(stopping: &'static str) -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    on_interrupt(move || {
        if flag.swap(true, Ordering::SeqCst) {
            std::process::exit(i32::from(INTERRUPTED));
        }
        say(format_args!("\n{stopping}; Ctrl-C again ends at once"));
    })?;
    Ok(stop)
}

/// A count that each Ctrl-C or SIGTERM raises; the first is answered with `first`.
fn count_interrupts(first: &'static str) -> Result<Arc<AtomicUsize>> {
    let stop = Arc::new(AtomicUsize::new(0));
    let count = stop.clone();
    on_interrupt(move || {
        if count.fetch_add(1, Ordering::SeqCst) == 0 {
            say(format_args!("\n{first}"));
        }
    })?;
    Ok(stop)
}

/// What a command says that was stopped, of which `left` is kept.
fn stopped(left: std::fmt::Arguments<'_>) -> Output {
    say(format_args!("stopped; {left}"));
    Output::stopped()
}

/// A folder that is gone when the command ends.
fn scratch() -> Result<tempfile::TempDir> {
    tempfile::tempdir().map_err(|e| system("make a temporary folder", &e))
}
