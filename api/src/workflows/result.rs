//! `GET …/workflows/{id}/result`: how a workflow ended, once it has.

use axum::{extract::State, response::Response};
use engine::Waited;
use serde::Deserialize;

use super::outcome::{Outcome, state};
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
    Ok(match engine.result(&address, wait).await? {
        Waited::Closed(closed) => Outcome::closed(&address.workflow_id, &closed).reply(),
        Waited::Open(run_id) => {
            let open = engine::Address {
                run_id: Some(run_id),
                ..address
            };
            let run = state(engine, &open).await;
            Outcome::open(&open.workflow_id, Some(run_id), run.as_ref()).reply()
        }
    })
}
