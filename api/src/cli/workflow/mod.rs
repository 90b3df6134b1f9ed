//! `coreason workflow`: the verbs of the REST API, a file each.

mod cancel;
mod count;
mod delete;
mod describe;
mod ending;
mod facts;
mod inputs;
mod list;
mod request;
mod result;
mod show;
mod signal;
mod start;
mod steps;
mod terminate;

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
    /// Delete a run with its history; one that is open is terminated first.
    Delete(delete::Delete),
    /// List runs, the newest first unless a query says something else.
    List(list::List),
    /// Count runs, and how many begin and end.
    Count(count::Count),
}

impl Args {
    pub(super) async fn run(self) -> Result<(), Error> {
        let session = self.on.session()?;
        match self.verb {
            Verb::Start(verb) => verb.run(session).await,
            Verb::Describe(verb) => verb.run(session).await,
            Verb::Show(verb) => verb.run(session).await,
            Verb::Result(verb) => verb.run(session).await,
            Verb::Signal(verb) => verb.run(session).await,
            Verb::Cancel(verb) => verb.run(session).await,
            Verb::Terminate(verb) => verb.run(session).await,
            Verb::Delete(verb) => verb.run(session).await,
            Verb::List(verb) => verb.run(session).await,
            Verb::Count(verb) => verb.run(session).await,
        }
    }
}
