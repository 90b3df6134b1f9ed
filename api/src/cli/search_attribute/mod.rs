//! `coreason search-attribute`: what the runs of a namespace are found by, a file for each verb.

mod create;
mod delete;
mod list;

use clap::Subcommand;

use super::{Error, session::OnServer};

/// Where the server is and how to answer.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    on: OnServer,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// List those that the namespace has declared.
    List(list::List),
    /// Declare one, with its type.
    Create(create::Create),
    /// Take a declaration back; runs keep their values, and are not found by them any more.
    Delete(delete::Delete),
}

impl Args {
    pub(super) async fn run(self) -> Result<(), Error> {
        let session = self.on.session()?;
        match self.verb {
            Verb::List(verb) => verb.run(session).await,
            Verb::Create(verb) => verb.run(session).await,
            Verb::Delete(verb) => verb.run(session).await,
        }
    }
}
