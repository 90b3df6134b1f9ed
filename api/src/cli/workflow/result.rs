//! `coreason workflow result`.

use super::{
    ending,
    session::{Run, Session},
};
use crate::cli::Error;

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
