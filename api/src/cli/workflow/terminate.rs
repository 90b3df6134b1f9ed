//! `coreason workflow terminate`.

use std::io::Write as _;

use serde::Serialize;

use super::request::{Run, identity};
use crate::cli::{Error, session::Session};

#[derive(clap::Args)]
pub(super) struct Terminate {
    #[command(flatten)]
    run: Run,
    /// Why.
    #[arg(long, default_value = "")]
    reason: String,
}

#[derive(Serialize)]
struct Body<'a> {
    reason: &'a str,
    identity: String,
}

impl Terminate {
    pub(super) async fn run(self, session: Session) -> Result<(), Error> {
        let body = Body {
            reason: &self.reason,
            identity: identity(),
        };
        let path = ["workflows", &self.run.workflow_id, "terminate"];
        let answer = session
            .client
            .post_once(&path, &self.run.query(), &body)
            .await?;
        let mut out = std::io::stdout().lock();
        if session.json {
            writeln!(out, "{}", answer.text)?;
        } else {
            writeln!(out, "terminated {}", self.run.workflow_id)?;
        }
        Ok(())
    }
}
