//! `GET …/workflows/{id}/result`: how a workflow ended, once it has.

use std::time::Duration;

use axum::{extract::State, response::Response};
use serde::Deserialize;

use super::outcome::Outcome;
use crate::{
    app::App,
    error::Error,
    extract::{Of, Query, run_id},
    wait::Wait,
};

/// How long the end of a run that is closed may take to read, with those of the runs that followed it.
const SETTLE: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ResultQuery {
    #[serde(default)]
    wait: Wait,
    run_id: Option<String>,
}

/// Waits for the end of a workflow, and of the runs that follow it.
pub(crate) async fn result(
    State(app): State<App>,
    of: Of,
    Query(query): Query<ResultQuery>,
) -> Result<Response, Error> {
    let address = of.run(run_id(query.run_id.as_deref())?);
    let (engine, wait) = (app.engine()?, query.wait.or_not());
    if let Some(closed) = engine.result(&address, wait).await? {
        return Ok(Outcome::closed(&address.workflow_id, &closed).reply());
    }
    // The wait may have passed before the run was even read: then it may be closed, or not exist.
    let run = engine.describe(&address).await?;
    if !run.status.is_open()
        && let Some(closed) = engine.result(&address, wait.max(SETTLE)).await?
    {
        return Ok(Outcome::closed(&address.workflow_id, &closed).reply());
    }
    Ok(Outcome::open(&address.workflow_id, Some(run.run_id)).reply())
}
