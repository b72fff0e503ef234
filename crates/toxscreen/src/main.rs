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
    // clap ends the process itself on wrong usage, with exit code 2.
    let given = cli::args::Args::command().get_matches();
    let args = cli::args::Args::from_arg_matches(&given).unwrap_or_else(|error| error.exit());
    // After a panic nothing is looked at again.
    let command = AssertUnwindSafe(|| cli::dispatch(args, &given));
    match std::panic::catch_unwind(command) {
        Ok(Ok(output)) => {
            // A reader that went away (`| head`) is no error.
            let _ = std::io::stdout().write_all(output.text.as_bytes());
            ExitCode::from(output.code)
        }
        Ok(Err(error)) => {
            cli::say(format_args!("error: {error}"));
            if let Some(hint) = cli::hint(&error) {
                cli::say(format_args!("hint: {hint}"));
            }
            ExitCode::from(cli::exit_code(&error))
        }
        Err(_) => ExitCode::from(cli::INTERNAL),
    }
}
