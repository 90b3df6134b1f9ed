//! `DELETE …/workflows/{id}`: deletes a run with its history.

use axum::{extract::State, http::StatusCode, response::Response};
use serde::Deserialize;

use super::run::RunQuery;
use crate::{
    app::App,
    error::Error,
    extract::{Json, Query, WorkflowPath},
    reply::{self, Done},
};

/// The body: there is nothing to say.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeleteBody {}

/// Deletes the run, which is terminated first if it is open; it is gone when this answers.
pub(crate) async fn delete(
    State(app): State<App>,
    path: WorkflowPath,
    Query(run): Query<RunQuery>,
    body: Json,
) -> Result<Response, Error> {
    let DeleteBody {} = body.read()?;
    let address = run.address(path)?;
    app.engine()?.delete_workflow(&address).await?;
    Ok(reply::json(StatusCode::OK, &Done {}))
}
