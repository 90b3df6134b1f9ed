//! Waiting for the end of a workflow, and saying how it ended.

use std::{collections::HashSet, io::Write as _, time::Duration};

use engine::limits::LONG_POLL_MAX;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Session;
use crate::cli::{Answer, Error, one_line};

/// How long a command waits before it looks, at first, for what keeps the workflow from ending; each time twice as long.
const LOOK_AFTER: Duration = Duration::from_secs(2);
/// How long a server may be away while a command waits: a takeover or a restart takes less.
const PATIENCE: Duration = Duration::from_mins(1);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    workflow_id: String,
    status: String,
    result: Option<Box<RawValue>>,
    failure: Option<Failure>,
    #[serde(default)]
    problems: Vec<Problem>,
}

/// What keeps a run from going on.
#[derive(Deserialize)]
pub(super) struct Problem {
    about: String,
    reason: String,
    pub(super) message: String,
}

#[derive(Deserialize)]
pub(super) struct Failure {
    message: String,
    #[serde(rename = "type", default)]
    kind: String,
    cause: Option<Box<Failure>>,
}

impl Failure {
    /// Returns the failure and its causes in one line.
    pub(super) fn line(&self) -> String {
        let own = if self.kind.is_empty() {
            self.message.clone()
        } else {
            format!("{} ({})", self.message, self.kind)
        };
        match &self.cause {
            Some(cause) => format!("{own}: {}", cause.line()),
            None => own,
        }
    }
}

/// Waits for the end and prints it; fails when the workflow did.
pub(super) async fn wait(
    session: &Session,
    workflow_id: &str,
    run_id: Option<&str>,
) -> Result<(), Error> {
    let client = session.client.clone().patient(PATIENCE);
    let mut told = Told::default();
    let mut look_after = LOOK_AFTER;
    loop {
        let mut query = vec![("wait", format!("{}s", look_after.as_secs()))];
        query.extend(run_id.map(|run_id| ("runId", run_id.to_owned())));
        let answer = client
            .get(&["workflows", workflow_id, "result"], &query)
            .await?;
        let outcome: Outcome = answer.read()?;
        if outcome.status != "Running" {
            return print(session.json, &answer, outcome);
        }
        told.tell(outcome.problems, session.json);
        look_after = (look_after * 2).min(LONG_POLL_MAX);
    }
}

/// What was said about a wait: each reason is said once, not each attempt that it ends.
#[derive(Default)]
struct Told(HashSet<(String, String)>);

impl Told {
    fn tell(&mut self, problems: Vec<Problem>, json: bool) {
        for Problem {
            about,
            reason,
            message,
        } in problems
        {
            if !self.0.insert((about, reason)) {
                continue;
            }
            let line = if json {
                serde_json::json!({ "problem": message }).to_string()
            } else {
                format!("still waiting: {}", one_line(&message))
            };
            // There is nowhere left to say that the terminal is gone.
            let _ = writeln!(std::io::stderr(), "{line}");
        }
    }
}

fn print(json: bool, answer: &Answer, outcome: Outcome) -> Result<(), Error> {
    let completed = outcome.status == "Completed";
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", answer.text)?;
    } else if completed {
        writeln!(
            out,
            "{}",
            outcome.result.as_deref().map_or("null", RawValue::get)
        )?;
    }
    if completed {
        return Ok(());
    }
    let why = outcome
        .failure
        .map(|failure| format!(": {}", failure.line()))
        .unwrap_or_default();
    Err(Error::Workflow {
        workflow_id: outcome.workflow_id,
        ending: format!("ended as {}{why}", outcome.status),
    })
}
