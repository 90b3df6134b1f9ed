//! `coreason workflow`: the verbs of the REST API, a file each.

mod cancel;
mod describe;
mod ending;
mod inputs;
mod list;
mod result;
mod session;
mod show;
mod signal;
mod start;
mod steps;
mod terminate;

use clap::Subcommand;

use super::Error;
use crate::rest_client::Client;

use session::{PATIENCE, Session};

/// Where the server is and how to answer.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where the server answers HTTP.
    #[arg(
        long,
        global = true,
        env = "COREASON_ADDRESS",
        default_value = "http://127.0.0.1:8000"
    )]
    address: String,
    /// The namespace.
    #[arg(
        long,
        global = true,
        env = "COREASON_NAMESPACE",
        default_value = "default"
    )]
    namespace: String,
    /// Answer in JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Start a workflow.
    Start(start::Start),
    /// Show the state of a run: what it waits for and what failed last.
    Describe(describe::Describe),
    /// Show the history of a run.
    Show(show::Show),
    /// Wait for the result of a workflow.
    Result(result::Result),
    /// Send a signal.
    Signal(signal::Signal),
    /// Ask a workflow to cancel; its code decides.
    Cancel(cancel::Cancel),
    /// End a workflow without asking it.
    Terminate(terminate::Terminate),
    /// List runs, the newest first.
    List(list::List),
}

impl Args {
    pub(super) async fn run(self) -> Result<(), Error> {
        let session = Session {
            client: Client::new(&self.address, &self.namespace)?
                .waits_for_start(PATIENCE)
                .tells(self.json),
            json: self.json,
        };
        match self.verb {
            Verb::Start(verb) => verb.run(session).await,
            Verb::Describe(verb) => verb.run(session).await,
            Verb::Show(verb) => verb.run(session).await,
            Verb::Result(verb) => verb.run(session).await,
            Verb::Signal(verb) => verb.run(session).await,
            Verb::Cancel(verb) => verb.run(session).await,
            Verb::Terminate(verb) => verb.run(session).await,
            Verb::List(verb) => verb.run(session).await,
        }
    }
}
