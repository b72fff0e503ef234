//! The toxscreen command line: arguments, messages, exit codes. No science here.

mod cli;

use clap::Parser;
use std::io::Write;
use std::process::ExitCode;

// Maps of the same few sizes come and go at every step; the system's allocator gives each back to
// the kernel and takes it anew, page by page.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        eprintln!("error: internal error: {panic}");
        eprintln!("hint: this is a bug in toxscreen; please report it with the command you ran");
    }));
    // clap ends the process itself on wrong usage, with exit code 2.
    let args = cli::args::Args::parse();
    match std::panic::catch_unwind(|| cli::dispatch(args)) {
        Ok(Ok(output)) => {
            // A reader that went away (`| head`) is no error.
            let _ = std::io::stdout().write_all(output.text.as_bytes());
            ExitCode::from(output.code)
        }
        Ok(Err(error)) => {
            eprintln!("error: {error}");
            if let Some(hint) = cli::hint(&error) {
                eprintln!("hint: {hint}");
            }
            ExitCode::from(cli::exit_code(&error))
        }
        Err(_) => ExitCode::from(cli::INTERNAL),
    }
}
