//! `coreason workflow result`.

use super::{ending, request::Run};
use crate::cli::{Error, session::Session};

#[derive(clap::Args)]
pub(super) struct Result {
    #[command(flatten)]
    run: Run,
}

impl Result {
    pub(super) async fn run(self, session: Session) -> std::result::Result<(), Error> {
        ending::wait(&session, &self.run.workflow_id, self.run.run_id.as_deref()).await
    }
}
