//! Whether the process is up, and whether it can do work.

use axum::{extract::State, http::StatusCode, response::Response};
use engine::Role;
use serde::Serialize;

use crate::{app::App, error::Error, reply};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Health {
    status: &'static str,
    version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<i64>,
}

impl Health {
    fn new(status: &'static str, epoch: Option<i64>) -> Self {
        Self {
            status,
            version: env!("CARGO_PKG_VERSION"),
            epoch,
        }
    }
}

/// `GET /healthz`: 200 as long as the process answers.
pub(crate) async fn healthz() -> Response {
    reply::json(StatusCode::OK, &Health::new("up", None))
}

/// `GET /readyz`: 200 when this process owns the shards, else 503 with where to go.
pub(crate) async fn readyz(State(app): State<App>) -> Result<Response, Error> {
    match app.engine()?.role() {
        Role::Owner { epoch } => Ok(reply::json(
            StatusCode::OK,
            &Health::new("owner", Some(epoch)),
        )),
        Role::Standby { owner } => Err(engine::Error::NotOwner { owner }.into()),
    }
}
