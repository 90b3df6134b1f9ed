//! Waiting for the end of a workflow, and saying how it ended.

use std::io::Write as _;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    cli::{
        Error,
        session::{PATIENCE, Session},
    },
    patience::Looks,
    rest_client::{Answer, Waits},
    workflows::problem::Problem,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Outcome {
    workflow_id: String,
    pub(super) run_id: Option<String>,
    status: String,
    pub(super) result: Option<Box<RawValue>>,
    failure: Option<Failure>,
    #[serde(default)]
    problems: Vec<Problem>,
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

impl Outcome {
    /// Returns why it did not complete.
    pub(super) fn why(&self) -> Option<String> {
        self.failure.as_ref().map(Failure::line)
    }
}

/// Waits for the end and prints it; fails when the workflow did.
pub(super) async fn wait(
    session: &Session,
    workflow_id: &str,
    run_id: Option<&str>,
) -> Result<(), Error> {
    let client = session.client.clone().patient(PATIENCE);
    let (mut waits, mut looks) = (Waits::default(), Looks::new());
    loop {
        let mut query = vec![("wait", looks.wait())];
        query.extend(run_id.map(|run_id| ("runId", run_id.to_owned())));
        let answer = client
            .get(&["workflows", workflow_id, "result"], &query)
            .await?;
        let outcome: Outcome = answer.read()?;
        if outcome.status != "Running" {
            return print(session.json, &answer, &outcome);
        }
        let open = outcome.run_id.as_deref();
        waits
            .tell(&client, workflow_id, open, outcome.problems, session.json)
            .await;
    }
}

fn print(json: bool, answer: &Answer, outcome: &Outcome) -> Result<(), Error> {
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
        .why()
        .map(|why| format!(": {why}"))
        .unwrap_or_default();
    Err(Error::Workflow {
        workflow_id: outcome.workflow_id.clone(),
        ending: format!("ended as {}{why}", outcome.status),
    })
}
