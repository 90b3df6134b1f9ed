//! Waiting for the end of a workflow, and saying how it ended.

use std::{io::Write as _, time::Duration};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Session;
use crate::cli::{Answer, Error};

/// How long a server may be away while a command waits: a takeover or a restart takes less.
const PATIENCE: Duration = Duration::from_mins(1);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    workflow_id: String,
    status: String,
    result: Option<Box<RawValue>>,
    failure: Option<Failure>,
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
    let mut query = vec![("wait", "true".to_owned())];
    query.extend(run_id.map(|run_id| ("runId", run_id.to_owned())));
    loop {
        let answer = client
            .get(&["workflows", workflow_id, "result"], &query)
            .await?;
        let outcome: Outcome = answer.read()?;
        if outcome.status != "Running" {
            return print(session.json, &answer, outcome);
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
