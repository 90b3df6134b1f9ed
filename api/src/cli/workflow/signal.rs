//! `coreason workflow signal`.

use std::io::Write as _;

use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    inputs::inputs,
    request::{Run, identity, request_id},
};
use crate::cli::{Error, session::Session};

#[derive(clap::Args)]
pub(super) struct Signal {
    #[command(flatten)]
    run: Run,
    /// The signal's name.
    #[arg(long, value_name = "NAME")]
    name: String,
    /// The message, as JSON, or `@FILE`, or `-` for stdin; repeat it for several arguments.
    #[arg(long, value_name = "JSON")]
    input: Vec<String>,
    /// Names the request, so that its repetition has no second effect.
    #[arg(long)]
    request_id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    signal_name: &'a str,
    inputs: Vec<Box<RawValue>>,
    request_id: String,
    identity: String,
}

impl Signal {
    pub(super) async fn run(self, session: Session) -> Result<(), Error> {
        let body = Body {
            signal_name: &self.name,
            inputs: inputs(&self.input)?,
            request_id: self.request_id.clone().unwrap_or_else(request_id),
            identity: identity(),
        };
        let path = ["workflows", &self.run.workflow_id, "signal"];
        let answer = session.client.post(&path, &self.run.query(), &body).await?;
        let mut out = std::io::stdout().lock();
        if session.json {
            writeln!(out, "{}", answer.text)?;
        } else {
            writeln!(out, "signaled {}", self.run.workflow_id)?;
        }
        Ok(())
    }
}
