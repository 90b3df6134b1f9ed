//! `coreason workflow start`.

use std::io::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    ending,
    facts::{Facts, facts},
    inputs::inputs,
    request::{identity, request_id},
};
use crate::{
    cli::{Error, session::Session},
    duration::Human,
    terminal::one_line,
};

#[derive(clap::Args)]
pub(super) struct Start {
    /// The workflow's type: the name of its code.
    #[arg(long = "type", value_name = "TYPE")]
    workflow_type: String,
    /// The workflow's id; a new UUID unless given.
    #[arg(long)]
    id: Option<String>,
    /// The queue whose workers run it.
    #[arg(long, default_value = "default")]
    task_queue: String,
    /// An argument, as JSON, or `@FILE`, or `-` for stdin; repeat it for several.
    #[arg(long, value_name = "JSON")]
    input: Vec<String>,
    /// A fact that is shown with the run; repeat it for several.
    #[arg(long, value_name = "KEY=JSON")]
    memo: Vec<String>,
    /// What lists find it by, of those that `search-attribute list` names; repeat it for several.
    #[arg(long = "search-attribute", value_name = "NAME=JSON")]
    search_attributes: Vec<String>,
    /// Wait for the end and print the result.
    #[arg(long)]
    wait: bool,
    /// The most time for one run, such as 30s.
    #[arg(long, value_name = "DURATION")]
    run_timeout: Option<Human>,
    /// The most time for the whole chain of runs.
    #[arg(long, value_name = "DURATION")]
    execution_timeout: Option<Human>,
    /// Whether the id may have been used before.
    #[arg(long, value_name = "POLICY", value_parser = ["AllowDuplicate", "AllowDuplicateFailedOnly", "RejectDuplicate"])]
    reuse_policy: Option<String>,
    /// What happens if the id is in use.
    #[arg(long, value_name = "POLICY", value_parser = ["Fail", "UseExisting", "TerminateExisting"])]
    conflict_policy: Option<String>,
    /// Names the request, so that its repetition has no second effect.
    #[arg(long)]
    request_id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    workflow_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow_id: Option<&'a str>,
    task_queue: &'a str,
    inputs: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Facts::is_empty")]
    memo: Facts,
    #[serde(skip_serializing_if = "Facts::is_empty")]
    search_attributes: Facts,
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow_run_timeout: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow_execution_timeout: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow_id_reuse_policy: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow_id_conflict_policy: Option<&'a str>,
    request_id: String,
    identity: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    workflow_id: String,
    run_id: String,
    started: bool,
}

impl Answer {
    fn line(&self) -> String {
        let what = if self.started {
            "started"
        } else {
            "already running:"
        };
        format!(
            "{what} {} (run {})",
            one_line(&self.workflow_id),
            self.run_id
        )
    }
}

impl Start {
    pub(super) async fn run(self, session: Session) -> Result<(), Error> {
        let answer = session
            .client
            .post(&["workflows"], &[], &self.body()?)
            .await?;
        let start: Answer = answer.read()?;
        if self.wait {
            // Whoever stops waiting has to know what goes on.
            let mut err = std::io::stderr();
            if session.json {
                writeln!(err, "{}", answer.text)?;
            } else {
                writeln!(err, "{}", start.line())?;
            }
            return ending::wait(&session, &start.workflow_id, Some(&start.run_id)).await;
        }
        let mut out = std::io::stdout().lock();
        if session.json {
            writeln!(out, "{}", answer.text)?;
        } else {
            writeln!(out, "{}", start.line())?;
        }
        Ok(())
    }

    fn body(&self) -> Result<Body<'_>, Error> {
        Ok(Body {
            workflow_type: &self.workflow_type,
            workflow_id: self.id.as_deref(),
            task_queue: &self.task_queue,
            inputs: inputs(&self.input)?,
            memo: facts("--memo", &self.memo)?,
            search_attributes: facts("--search-attribute", &self.search_attributes)?,
            workflow_run_timeout: self.run_timeout.map(exact),
            workflow_execution_timeout: self.execution_timeout.map(exact),
            workflow_id_reuse_policy: self.reuse_policy.as_deref(),
            workflow_id_conflict_policy: self.conflict_policy.as_deref(),
            request_id: self.request_id.clone().unwrap_or_else(request_id),
            identity: identity(),
        })
    }
}

/// Writes a duration without rounding it.
fn exact(Human(duration): Human) -> String {
    format!("{}ms", duration.as_millis())
}
