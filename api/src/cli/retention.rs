//! `coreason retention`: how long a namespace keeps closed runs.

use std::io::Write as _;

use clap::Subcommand;
use serde::Deserialize;

use super::{
    Error,
    session::{OnServer, Session},
};

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
    /// Show it.
    Show,
    /// Change it: runs that have been closed for longer are deleted, with their histories.
    Set(Set),
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Set {
    /// How long closed runs are kept, such as 30d.
    #[arg(value_name = "DURATION")]
    retention: Option<String>,
    /// Keep them for ever.
    #[arg(long)]
    forever: bool,
}

#[derive(Deserialize)]
struct Answer {
    retention: Option<String>,
}

impl Args {
    pub(super) async fn run(self) -> Result<(), Error> {
        let session = self.on.session()?;
        let path = ["retention"];
        let answer = match &self.verb {
            Verb::Show => session.client.get(&path, &[]).await?,
            Verb::Set(set) => {
                let body = serde_json::json!({ "retention": set.retention });
                session.client.post(&path, &[], &body).await?
            }
        };
        say(&session, &answer.text, answer.read::<Answer>()?)
    }
}

fn say(session: &Session, text: &str, Answer { retention }: Answer) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    if session.json {
        writeln!(out, "{text}")?;
        return Ok(());
    }
    match retention {
        Some(time) => writeln!(out, "closed runs are kept for {time}")?,
        None => writeln!(out, "closed runs are kept for ever")?,
    }
    Ok(())
}
