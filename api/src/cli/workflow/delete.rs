//! `coreason workflow delete`.

use std::io::Write as _;

use super::request::Run;
use crate::cli::{Error, session::Session};

#[derive(clap::Args)]
pub(super) struct Delete {
    #[command(flatten)]
    run: Run,
}

impl Delete {
    pub(super) async fn run(self, session: Session) -> Result<(), Error> {
        let path = ["workflows", &self.run.workflow_id];
        let answer = session.client.delete(&path, &self.run.query()).await?;
        let mut out = std::io::stdout().lock();
        if session.json {
            writeln!(out, "{}", answer.text)?;
        } else {
            writeln!(out, "deleted {}", self.run.workflow_id)?;
        }
        Ok(())
    }
}
