//! What the words of a command line mean.

use std::ffi::{OsStr, OsString};

use clap::{CommandFactory as _, FromArgMatches as _};

use super::command::Cli;

/// Reads words. A variable of the environment that is empty is none.
pub(super) fn parse(words: Vec<OsString>) -> Result<Cli, clap::Error> {
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
pub(super) fn wants_json() -> bool {
    std::env::args_os()
        .take_while(|word| word != "--")
        .any(|word| word == "--json")
}

/// Returns what is wrong with the words, in one line.
pub(super) fn usage(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let paragraphs = text
        .split("\n\n")
        .take_while(|part| !part.starts_with("Usage:"));
    let said = paragraphs.collect::<Vec<_>>().join("; ");
    let words: Vec<&str> = said.split_whitespace().collect();
    words.join(" ").trim_start_matches("error: ").to_owned()
}

/// Puts `dev` where no command stands.
pub(super) fn with_command(mut words: Vec<OsString>) -> Vec<OsString> {
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
