//! The command line: what the words mean, and what the exit status says.

mod audit;
mod check;
mod client;
mod error;
mod event;
#[cfg(test)]
mod fuzz;
mod table;
mod workflow;

use std::{
    ffi::OsString,
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use worker::Worker;

use crate::{demo, dev};

pub(crate) use audit::verify;
pub(crate) use client::{Answer, Client};
pub(crate) use error::Error;
pub(crate) use event::Event;
pub(crate) use table::one_line;

/// Success.
const OK: u8 = 0;
/// It did not work, or the workflow did not.
const FAILURE: u8 = 1;
/// The words make no sense.
const USAGE: u8 = 2;
/// The database could not be checked; that is not the same as having been found broken.
const UNCHECKED: u8 = 3;

/// What `--version` says after the name.
#[cfg(feature = "packed-postgres")]
const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    ", with Postgres ",
    env!("COREASON_PACKED_VERSION")
);
#[cfg(not(feature = "packed-postgres"))]
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A durable workflow engine on Postgres.
#[derive(Parser)]
#[command(
    name = "coreason",
    version = VERSION,
    about,
    disable_help_subcommand = true,
    arg_required_else_help = false
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run everything in this process: Postgres, the engine, REST and a worker. Also what no command at all means.
    Dev(dev::Options),
    /// Start, watch and steer workflows.
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Workflow(workflow::Args),
    /// Prove that no history was changed, and that what must always hold does.
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Audit(audit::Args),
    /// Index a folder of real files with durable workflows, and check the result with `find`, `wc` and `sha256sum`.
    Demo(demo::Options),
}

/// Reads the command line of this process and does what it says.
pub(crate) fn run(workers: Vec<Worker>) -> ExitCode {
    let cli = match Cli::try_parse_from(with_command(std::env::args_os().collect())) {
        Ok(cli) => cli,
        Err(error) => {
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
        Err(error) => return report(&Error::Output(error)),
    };
    let done = runtime.block_on(Box::pin(cli.command.run(workers)));
    runtime.shutdown_background();
    match done {
        Ok(()) => OK.into(),
        Err(error) => report(&error),
    }
}

/// Puts `dev` where no command stands.
fn with_command(mut words: Vec<OsString>) -> Vec<OsString> {
    let about_itself = |word: &OsString| {
        ["-h", "--help", "-V", "--version"]
            .iter()
            .any(|about| word == about)
    };
    let is_option = |word: &OsString| word.to_string_lossy().starts_with('-');
    if words
        .get(1)
        .is_none_or(|first| is_option(first) && !about_itself(first))
    {
        words.insert(words.len().min(1), "dev".into());
    }
    words
}

impl Command {
    async fn run(self, workers: Vec<Worker>) -> Result<(), Error> {
        match self {
            Self::Dev(options) => Ok(dev::run(options, workers).await?),
            Self::Workflow(args) => args.run().await,
            Self::Audit(args) => args.run().await,
            Self::Demo(options) => Ok(demo::run(options).await?),
        }
    }
}

fn report(error: &Error) -> ExitCode {
    if !error.is_silent() {
        // There is nowhere left to say that the terminal is gone.
        let _ = writeln!(io::stderr(), "error: {}", error.line());
    }
    error.exit_code().into()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        with_command(line.split(' ').map(OsString::from).collect())
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_command_means_dev() {
        assert_eq!(words("coreason"), ["coreason", "dev"]);
        assert_eq!(
            words("coreason --listen x"),
            ["coreason", "dev", "--listen", "x"]
        );
        assert_eq!(words("coreason --help"), ["coreason", "--help"]);
        assert_eq!(
            words("coreason workflow list"),
            ["coreason", "workflow", "list"]
        );
    }
}
