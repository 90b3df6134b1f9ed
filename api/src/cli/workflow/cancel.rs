//! `coreason workflow cancel`.

use std::io::Write as _;

use serde::Serialize;

use super::request::{Run, identity, request_id};
use crate::cli::{Error, session::Session};

#[derive(clap::Args)]
pub(super) struct Cancel {
    #[command(flatten)]
    run: Run,
    /// Why.
    #[arg(long, default_value = "")]
    reason: String,
    /// Names the request, so that its repetition is answered as the first.
    #[arg(long)]
    request_id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    reason: &'a str,
    request_id: String,
    identity: String,
}

impl Cancel {
    pub(super) async fn run(self, session: Session) -> Result<(), Error> {
        let body = Body {
            reason: &self.reason,
            request_id: self.request_id.clone().unwrap_or_else(request_id),
            identity: identity(),
        };
        let path = ["workflows", &self.run.workflow_id, "cancel"];
        let answer = session.client.post(&path, &self.run.query(), &body).await?;
        let mut out = std::io::stdout().lock();
        if session.json {
            writeln!(out, "{}", answer.text)?;
        } else {
            writeln!(out, "asked {} to cancel", self.run.workflow_id)?;
        }
        Ok(())
    }
}
