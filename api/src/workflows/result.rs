//! `GET …/workflows/{id}/result`: how a workflow ended, once it has.

use axum::{extract::State, response::Response};
use serde::Deserialize;

use super::outcome::reply_waited;
use crate::{
    app::App,
    error::Error,
    extract::{Of, Query, run_id},
    wait::Wait,
};

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
    let waited = engine.result(&address, wait).await?;
    Ok(reply_waited(engine, address, &waited, None).await)
}
