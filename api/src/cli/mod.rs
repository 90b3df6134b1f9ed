//! The command line: what the words mean, and what the exit status says.

mod audit;
mod command;
mod error;
mod exit;
#[cfg(test)]
mod fuzz;
mod retention;
mod search_attribute;
mod session;
mod stop;
mod visibility;
mod words;
mod workflow;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use worker::Worker;

use crate::terminal::{Colour, Screen};

use error::Error;
use exit::{OK, USAGE};
use words::{parse, usage, wants_json, with_command};

/// Reads the command line of this process and does what it says.
pub(crate) fn run(workers: Vec<Worker>) -> ExitCode {
    let cli = match parse(with_command(std::env::args_os().collect())) {
        Ok(cli) => cli,
        Err(error) => {
            if error.use_stderr() && wants_json() {
                return report(&Error::Usage(usage(&error)), true);
            }
            let code = if error.use_stderr() { USAGE } else { OK };
            // There is nowhere left to say that the terminal is gone.
            let _ = error.print();
            return code.into();
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return report(&Error::Output(error), wants_json()),
    };
    let done = runtime.block_on(Box::pin(cli.command.run(workers)));
    runtime.shutdown_background();
    match done {
        Ok(()) => OK.into(),
        Err(error) => report(&error, wants_json()),
    }
}

fn report(error: &Error, json: bool) -> ExitCode {
    if !error.is_silent() && !crate::log::is_unread() {
        let line = if json {
            error.json()
        } else {
            let error_is = Screen::stderr().paint("error:", Some(Colour::Bad));
            format!("{error_is} {}", error.line())
        };
        // There is nowhere left to say that the terminal is gone.
        let _ = writeln!(io::stderr(), "{line}");
    }
    error.exit_code().into()
}
