//! `DELETE …/workflows/{id}`: deletes a run with its history.

use axum::{extract::State, http::StatusCode, response::Response};

use super::run::RunQuery;
use crate::{
    app::App,
    error::Error,
    extract::{Json, Nothing, Query, WorkflowPath},
    reply::{self, Done},
};

/// Deletes the run, which is terminated first if it is open; it is gone when this answers.
pub(crate) async fn delete(
    State(app): State<App>,
    path: WorkflowPath,
    Query(run): Query<RunQuery>,
    body: Json,
) -> Result<Response, Error> {
    let Nothing {} = body.read()?;
    let address = run.address(path)?;
    app.engine()?.delete_workflow(&address).await?;
    Ok(reply::json(StatusCode::OK, &Done {}))
}
