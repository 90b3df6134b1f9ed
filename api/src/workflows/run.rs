//! Which run of a workflow a request means.

use serde::Deserialize;

use crate::{
    error::Error,
    extract::{WorkflowPath, run_id},
};

/// The query string of routes that take nothing but a run.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RunQuery {
    /// The run; the latest one unless given.
    run_id: Option<String>,
}

impl RunQuery {
    /// Returns the engine's address; of the latest run if none is named.
    pub(crate) fn address(&self, path: WorkflowPath) -> Result<engine::Address, Error> {
        Ok(path.run(run_id(self.run_id.as_deref())?))
    }
}
