//! The command line: what the words mean, and what the exit status says.

mod audit;
mod check;
mod error;
mod exit;
#[cfg(test)]
mod fuzz;
mod stop;
mod workflow;

use std::{
    ffi::{OsStr, OsString},
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use worker::Worker;

use crate::{
    demo, dev,
    terminal::{Colour, Screen},
};

use error::Error;
use exit::{OK, USAGE};

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
  COREASON_ADDRESS     where `workflow` finds the server
  COREASON_NAMESPACE   the namespace
  COREASON_LISTEN      where `dev` answers HTTP
  COREASON_ADVERTISE   where others reach that address
  COREASON_ALLOWED_HOSTS  the names to which the server answers, with commas between
  COREASON_DATA_DIR    the folder of the embedded Postgres
  COREASON_POSTGRES    the folder with the Postgres binaries to embed
  COREASON_CACHE       the folder that a packed Postgres is unpacked to
  COREASON_LEASE       how long a process may be silent before others take over
  COREASON_RUN_MEMORY_MIB  how much memory open runs may take
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
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run everything in this process: Postgres, the engine, REST and a worker. Also what no command at all means.
    Dev(dev::Options),
    /// Stop what runs on a data directory: its processes, and a Postgres that a crash has left running.
    Stop(stop::Options),
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

/// Reads words. A variable of the environment that is empty is none.
fn parse(words: Vec<OsString>) -> Result<Cli, clap::Error> {
    let mut command = without_empty(Cli::command(), |name| std::env::var_os(name));
    let mut matches = command.try_get_matches_from_mut(words)?;
    Cli::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
}

/// Takes what it looks for in the environment away where that is empty.
fn without_empty(
    command: clap::Command,
    variable: fn(&OsStr) -> Option<OsString>,
) -> clap::Command {
    let is_empty = |arg: &clap::Arg| {
        let value = arg.get_env().and_then(variable);
        value.is_some_and(|value| value.is_empty())
    };
    command
        .mut_args(|arg| {
            if is_empty(&arg) {
                arg.env(None::<&str>)
            } else {
                arg
            }
        })
        .mut_subcommands(|command| without_empty(command, variable))
}

/// Says whether this command was asked to answer in JSON: then its error is JSON too.
fn wants_json() -> bool {
    std::env::args_os()
        .take_while(|word| word != "--")
        .any(|word| word == "--json")
}

/// Returns what is wrong with the words, in one line.
fn usage(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let paragraphs = text
        .split("\n\n")
        .take_while(|part| !part.starts_with("Usage:"));
    let said = paragraphs.collect::<Vec<_>>().join("; ");
    let words: Vec<&str> = said.split_whitespace().collect();
    words.join(" ").trim_start_matches("error: ").to_owned()
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
            Self::Stop(options) => options.run().await,
            Self::Workflow(args) => args.run().await,
            Self::Audit(args) => args.run().await,
            Self::Demo(options) => Ok(demo::run(options).await?),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        with_command(line.split(' ').map(OsString::from).collect())
    }

    #[test]
    fn an_empty_variable_is_none() {
        // It is set, and not empty, wherever tests run.
        let line = || clap::Command::new("x").arg(clap::Arg::new("path").long("path").env("PATH"));
        let path = |command: clap::Command| {
            let matches = command.get_matches_from(["x"]);
            matches.get_one::<String>("path").cloned()
        };
        assert!(path(line()).is_some());
        assert!(path(without_empty(line(), |_| Some(OsString::new()))).is_none());
        let inner = clap::Command::new("y").subcommand(line());
        let inner = without_empty(inner, |_| Some(OsString::new()));
        let inner = inner.find_subcommand("x").unwrap();
        assert!(inner.get_arguments().all(|arg| arg.get_env().is_none()));
    }

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

    #[test]
    fn a_word_that_is_nearly_right_is_answered_with_the_right_one() {
        for (line, hint) in [
            ("coreason worflow list", "'workflow'"),
            ("coreason workflow strat", "'start'"),
            ("coreason workflow list --staus Running", "'--status'"),
            ("coreason workflow list --status Complted", "'Completed'"),
        ] {
            let Err(error) = parse(words(line)) else {
                panic!("{line} is understood");
            };
            let said = usage(&error);
            assert!(
                said.contains("similar") && said.contains(hint),
                "{line}: {said}"
            );
            assert!(!said.contains('\n') && !said.starts_with("error"), "{said}");
        }
    }

    #[test]
    fn help_is_a_command_too() {
        for line in [
            "coreason help",
            "coreason help workflow start",
            "coreason workflow help start",
        ] {
            let Err(error) = parse(words(line)) else {
                panic!("{line} does something");
            };
            assert!(!error.use_stderr(), "{error}");
        }
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
