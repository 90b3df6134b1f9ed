//! The commands, and the variables of the environment that stand for options.

use clap::{Parser, Subcommand};
use worker::Worker;

use super::{audit, error::Error, retention, search_attribute, stop, visibility, workflow};
use crate::{demo, dev};

/// What `--version` says after the name.
#[cfg(feature = "packed-postgres")]
const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    ", with Postgres ",
    env!("COREASON_PACKED_VERSION")
);
#[cfg(not(feature = "packed-postgres"))]
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What is read from the environment; an option on the command line goes before.
const ENVIRONMENT: &str = "\
Environment:
  COREASON_ADDRESS     where `workflow` and others that ask a server find it
  COREASON_NAMESPACE   the namespace
  COREASON_LISTEN      where `dev` answers HTTP
  COREASON_ADVERTISE   where others reach that address
  COREASON_ALLOWED_HOSTS  the names to which the server answers, with commas between
  COREASON_DATA_DIR    the folder of the embedded Postgres
  COREASON_POSTGRES    the folder with the Postgres binaries to embed
  COREASON_CACHE       the folder that a packed Postgres is unpacked to
  COREASON_LEASE       how long a process may be silent before others take over
  COREASON_RUN_MEMORY_MIB  how much memory open runs may take
  COREASON_ARCHIVE     where histories go that are kept no longer
  COREASON_SEAL_KEY    the file with the key that seals histories
  COREASON_SHUTDOWN_DELAY  how long a process goes on as ever when it is asked to stop
  DATABASE_URL         a Postgres that runs already; none is embedded then
  RUST_LOG             what is logged: `warn`, `debug`, `info,engine=debug`
  RUST_BACKTRACE       1 keeps the stack of a panic in workflow or activity code
  NO_COLOR             no colours, on a terminal neither

`coreason help COMMAND` and `--help` after any command say what it takes.";

/// A durable workflow engine on Postgres.
#[derive(Parser)]
#[command(
    name = "coreason",
    version = VERSION,
    about,
    after_help = ENVIRONMENT,
    arg_required_else_help = false
)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Subcommand)]
pub(super) enum Command {
    /// Run everything in this process: Postgres, the engine, REST and a worker. Also what no command at all means.
    Dev(dev::Options),
    /// Stop what runs on a data directory: its processes, and a Postgres that a crash has left running.
    Stop(stop::Options),
    /// Start, watch and steer workflows.
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Workflow(workflow::Args),
    /// Say what the runs of a namespace are found by.
    #[command(subcommand_required = true, arg_required_else_help = true)]
    SearchAttribute(search_attribute::Args),
    /// Say how long closed runs are kept.
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Retention(retention::Args),
    /// See to the lists of runs.
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Visibility(visibility::Args),
    /// Prove that no history was changed, and that what must always hold does.
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Audit(audit::Args),
    /// Index a folder of real files with durable workflows, and check the result with `find`, `wc` and `sha256sum`.
    Demo(demo::Options),
}

impl Command {
    pub(super) async fn run(self, workers: Vec<Worker>) -> Result<(), Error> {
        match self {
            Self::Dev(options) => Ok(dev::run(options, workers).await?),
            Self::Stop(options) => options.run().await,
            Self::Workflow(args) => args.run().await,
            Self::SearchAttribute(args) => args.run().await,
            Self::Retention(args) => args.run().await,
            Self::Visibility(args) => args.run().await,
            Self::Audit(args) => args.run().await,
            Self::Demo(options) => Ok(demo::run(options).await?),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_variable_is_in_the_help() {
        let mut commands = vec![Cli::command()];
        while let Some(command) = commands.pop() {
            for argument in command.get_arguments() {
                if let Some(name) = argument.get_env().and_then(|name| name.to_str()) {
                    assert!(ENVIRONMENT.contains(&format!("  {name} ")), "{name}");
                }
            }
            commands.extend(command.get_subcommands().cloned());
        }
    }
}
