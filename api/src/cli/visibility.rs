//! `coreason visibility`: the lists of all namespaces.

use std::io::Write as _;

use clap::Subcommand;

use super::{
    Error,
    session::{Server, Session},
};

/// Where the server is and how to answer.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    server: Server,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Have all lists made anew from the runs; until that is done, lists are refused.
    Rebuild,
}

impl Args {
    pub(super) async fn run(self) -> Result<(), Error> {
        let session = self.server.session()?;
        match self.verb {
            Verb::Rebuild => rebuild(session).await,
        }
    }
}

async fn rebuild(session: Session) -> Result<(), Error> {
    let path = ["visibility", "rebuild"];
    let nothing = serde_json::json!({});
    let answer = session.client.post(&path, &[], &nothing).await?;
    let mut out = std::io::stdout().lock();
    if session.json {
        writeln!(out, "{}", answer.text)?;
    } else {
        writeln!(
            out,
            "the lists are being made anew; until that is done, they are refused"
        )?;
    }
    Ok(())
}
