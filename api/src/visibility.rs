//! `POST /api/v1/visibility/rebuild`: has the lists of all namespaces made anew.

use axum::{extract::State, http::StatusCode, response::Response};

use crate::{
    app::App,
    error::Error,
    extract::{Json, Nothing},
    reply::{self, Done},
};

/// Has all lists made anew from the runs; that is not done yet when it answers.
pub(crate) async fn rebuild(State(app): State<App>, body: Json) -> Result<Response, Error> {
    let Nothing {} = body.read()?;
    app.engine()?.rebuild_lists().await?;
    Ok(reply::json(StatusCode::ACCEPTED, &Done {}))
}
