//! `GET …/workflows/{id}/result`: how a workflow ended, once it has.

use axum::{extract::State, response::Response};
use serde::Deserialize;

use super::outcome::reply_waited;
use crate::{
    app::App,
    error::Error,
    extract::{Query, WorkflowPath, run_id},
    wait::Wait,
};

/// The query string.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ResultQuery {
    /// How long to wait for the end; not at all unless given.
    #[serde(default)]
    wait: Wait,
    /// The run; the latest one unless given.
    run_id: Option<String>,
}

/// Waits for the end of a workflow, and of the runs that follow it.
pub(crate) async fn result(
    State(app): State<App>,
    path: WorkflowPath,
    Query(query): Query<ResultQuery>,
) -> Result<Response, Error> {
    let address = path.run(run_id(query.run_id.as_deref())?);
    let (engine, wait) = (app.engine()?, query.wait.or_not());
    let waited = engine.result(&address, wait).await?;
    Ok(reply_waited(engine, address, &waited, None).await)
}
