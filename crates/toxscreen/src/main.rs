//! The toxscreen command line: arguments, messages, exit codes. No science here.

mod cli;

use clap::{CommandFactory, FromArgMatches};
use std::io::Write;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

// Maps of the same few sizes come and go at every step; the system's allocator gives each back to
// the kernel and takes it anew, page by page.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        // In one line, which is what a study quotes of a trial that failed.
        let panic = panic.to_string().replace('\n', " ");
        cli::say(format_args!("error: internal error: {panic}"));
        cli::say(format_args!(
            "hint: this is a bug in toxscreen; please report it with the command you ran"
        ));
    }));
    let given = cli::args::Args::command().try_get_matches();
    let given = given.unwrap_or_else(|error| cli::wrong_usage(&error));
    let args = cli::args::Args::from_arg_matches(&given);
    let args = args.unwrap_or_else(|error| cli::wrong_usage(&error));
    // After a panic nothing is looked at again.
    let command = AssertUnwindSafe(|| cli::dispatch(args, &given));
    match std::panic::catch_unwind(command) {
        Ok(Ok(output)) => match print(&output.text) {
            // A reader that went away (`| head`) is no error.
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                cli::say(format_args!(
                    "error: cannot write to the standard output: {error}"
                ));
                cli::say(format_args!(
                    "hint: what was printed is not whole; give it somewhere else to go"
                ));
                ExitCode::from(cli::FAILED)
            }
            Ok(()) | Err(_) => ExitCode::from(output.code),
        },
        Ok(Err(error)) => {
            cli::say(format_args!("error: {error}"));
            if let Some(hint) = error.hint {
                cli::say(format_args!("hint: {hint}"));
            }
            ExitCode::from(error.exit.code())
        }
        Err(_) => ExitCode::from(cli::INTERNAL),
    }
}

/// To stdout, all of it. Names, titles and messages of others are a part of `text`.
fn print(text: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(tox_data::text::printable(text).as_bytes())?;
    stdout.flush()
}
