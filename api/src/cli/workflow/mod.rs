//! `coreason workflow`: the verbs of the REST API, a file each.

mod cancel;
mod describe;
mod ending;
mod list;
mod result;
mod show;
mod signal;
mod start;
mod steps;
mod terminate;

use clap::Subcommand;
use serde_json::value::RawValue;

use std::{io, time::Duration};

use super::{Client, Error};
use crate::workflows::input::Value;

/// How long a server may be away while a command waits, or be about to start while any asks: a takeover or a restart takes less.
const PATIENCE: Duration = Duration::from_mins(1);

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

/// Which run a command means.
#[derive(clap::Args)]
struct Run {
    /// The workflow's id.
    #[arg(value_name = "WORKFLOW_ID")]
    workflow_id: String,
    /// The run; the latest one unless given.
    #[arg(long)]
    run_id: Option<String>,
}

impl Run {
    fn query(&self) -> Vec<(&'static str, String)> {
        self.run_id
            .iter()
            .map(|run_id| ("runId", run_id.clone()))
            .collect()
    }
}

/// What every verb works with.
struct Session {
    client: Client,
    json: bool,
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

/// Reads what `--input` says, as often as it was given.
fn inputs(texts: &[String]) -> Result<Vec<Box<RawValue>>, Error> {
    if texts.iter().filter(|text| *text == "-").count() > 1 {
        let problem =
            "--input - is given more than once, and stdin can be read for one argument only";
        return Err(Error::Usage(problem.to_owned()));
    }
    let read = |text: &String| json_argument("--input", text);
    texts.iter().map(read).collect()
}

/// Reads an argument that is JSON: the text itself, `@` and a file that has it, or `-` for what comes on stdin.
fn json_argument(name: &str, text: &str) -> Result<Box<RawValue>, Error> {
    let unread = |error: io::Error| Error::Usage(format!("{name} {text} can't be read: {error}"));
    let (text, advice) = match text.strip_prefix('@') {
        Some(file) => (
            std::fs::read_to_string(file).map_err(unread)?,
            format!("it is what the file {file} has"),
        ),
        None if text == "-" => (
            io::read_to_string(io::stdin()).map_err(unread)?,
            "it is what came on stdin".to_owned(),
        ),
        None => (
            text.to_owned(),
            format!(
                "quote it for the shell, as in {name} '{{\"a\":1}}' or {name} '\"text\"'; {name} @FILE and {name} - read it from a file and from stdin"
            ),
        ),
    };
    serde_json::from_str::<Value<'_>>(&text)
        .map(|Value(raw)| raw.to_owned())
        .map_err(|error| Error::Usage(format!("{name} is not JSON: {error}; {advice}")))
}

/// Returns who asks: `user@host`, as far as the machine tells.
fn identity() -> String {
    let user = std::env::var("USER")
        .or_else(|_| std::env::var("LOGNAME"))
        .unwrap_or_else(|_| "cli".to_owned());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match host.trim() {
        "" => user,
        host => format!("{user}@{host}"),
    }
}

fn request_id() -> String {
    uuid::Uuid::new_v4().to_string()
}
