//! Whether the process is up, and whether it can do work.

use axum::{extract::State, http::StatusCode, response::Response};
use serde::Serialize;

use crate::{app::App, error::Error, reply};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Health {
    status: &'static str,
    version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shards: Option<usize>,
}

impl Health {
    fn new(status: &'static str) -> Self {
        Self {
            status,
            version: env!("CARGO_PKG_VERSION"),
            epoch: None,
            shards: None,
        }
    }
}

/// `GET /healthz`: 200 as long as the process answers.
pub(crate) async fn healthz() -> Response {
    reply::json(StatusCode::OK, &Health::new("up"))
}

/// `GET /readyz`: 200 when this process is a member of those that share the shards, with how many it serves, and the others reach it;
/// else 503, and so it is from the moment in which it is asked to stop.
pub(crate) async fn readyz(State(app): State<App>) -> Result<Response, Error> {
    let (epoch, shards) = app.check_ready().await?;
    Ok(reply::json(
        StatusCode::OK,
        &Health {
            epoch: Some(epoch),
            shards: Some(shards),
            ..Health::new("member")
        },
    ))
}
