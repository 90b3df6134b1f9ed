//! Which database a command means, where the command line and the environment name several.

use std::path::{Path, PathBuf};

use clap::{ArgMatches, Args, Command, FromArgMatches, error::ErrorKind, parser::ValueSource};

/// The words that name a database.
#[derive(Args)]
#[group(skip)]
struct Words {
    /// A Postgres that runs already; none is embedded then.
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    database_url: Option<String>,
    /// The folder of the embedded Postgres, whatever `DATABASE_URL` says; `~/.local/share/coreason`, or `/var/lib/coreason` for root,
    /// unless given.
    #[arg(long, env = "COREASON_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// The database that is meant: one that runs already, else the embedded one of a data directory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place {
    url: Option<String>,
    data_dir: Option<PathBuf>,
}

impl Place {
    /// The embedded one of this data directory.
    pub(crate) fn embedded(data_dir: PathBuf) -> Self {
        Self {
            url: None,
            data_dir: Some(data_dir),
        }
    }

    /// Returns the URL of a Postgres that runs already; nothing when it is the embedded one.
    pub(crate) fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// Returns the data directory of the embedded one.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.data_dir
            .as_deref()
            .map_or_else(crate::postgres::default_data_dir, Path::to_owned)
    }
}

impl Place {
    /// Returns where the key is that seals the histories of the embedded one; nothing when the database runs elsewhere.
    pub(crate) fn seal_key(&self) -> Option<PathBuf> {
        let embedded = self.url.is_none();
        embedded.then(|| self.data_dir().join("seal.key"))
    }
}

impl FromArgMatches for Place {
    /// What was typed counts before what the environment says, whichever of the two options it is.
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let Words {
            database_url,
            data_dir,
        } = Words::from_arg_matches(matches)?;
        let is_typed = |option: &str| {
            matches.try_contains_id(option).unwrap_or(false)
                && matches.value_source(option) == Some(ValueSource::CommandLine)
        };
        let embeds = ["data_dir", "postgres"]
            .into_iter()
            .find(|option| is_typed(option));
        let url = match (embeds, is_typed("database_url")) {
            (Some(option), true) => {
                let option = option.replace('_', "-");
                return Err(clap::Error::raw(
                    ErrorKind::ArgumentConflict,
                    format!(
                        "--database-url names a Postgres that runs already, and --{option} is of an embedded one; give one of them"
                    ),
                ));
            }
            (Some(_), false) => None,
            (None, _) => database_url,
        };
        Ok(Self { url, data_dir })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for Place {
    fn augment_args(command: Command) -> Command {
        Words::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Words::augment_args_for_update(command)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        place: Place,
        #[arg(long)]
        postgres: Option<PathBuf>,
    }

    /// What a command line means while the environment names the database of an application.
    fn meant(words: &[&str], url: Option<&'static str>) -> Result<Place, clap::Error> {
        let mut command = <Line as clap::CommandFactory>::command();
        command = command.mut_arg("database_url", |arg| match url {
            // As if the variable had this value: a default is not typed either.
            Some(url) => arg.env(None::<&str>).default_value(url),
            None => arg.env(None::<&str>),
        });
        command = command.mut_arg("data_dir", |arg| arg.env(None::<&str>));
        let line = ["coreason"].iter().chain(words);
        let matches = command.try_get_matches_from(line)?;
        Line::from_arg_matches(&matches).map(|line| line.place)
    }

    #[test]
    fn what_is_typed_counts_before_the_environment() {
        let environment = Some("postgres://app");
        for (words, url) in [
            (&[][..], Some("postgres://app")),
            (&["--data-dir", "/d"], None),
            (&["--postgres", "/p"], None),
            (
                &["--database-url", "postgres://mine"],
                Some("postgres://mine"),
            ),
        ] {
            let place = meant(words, environment).unwrap();
            assert_eq!(place.url(), url, "{words:?}");
        }
        let place = meant(&["--data-dir", "/d"], environment).unwrap();
        assert_eq!(place.data_dir(), Path::new("/d"));
    }

    #[test]
    fn two_typed_options_that_differ_are_an_error() {
        for embedded in ["--data-dir", "--postgres"] {
            let Err(error) = meant(&["--database-url", "postgres://x", embedded, "/d"], None)
            else {
                panic!("{embedded} is taken");
            };
            assert_eq!(error.kind(), ErrorKind::ArgumentConflict);
            assert!(error.to_string().contains(embedded), "{error}");
        }
    }
}
