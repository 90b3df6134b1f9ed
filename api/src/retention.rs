//! `…/retention`: how long a namespace keeps closed runs.

use axum::{extract::State, http::StatusCode, response::Response};
use serde::{Deserialize, Serialize};

use crate::{
    app::App,
    duration::Human,
    error::Error,
    extract::{Json, NamespacePath},
    reply,
};

/// How long closed runs are kept.
#[derive(Serialize)]
pub(crate) struct RetentionReply {
    /// From their close, such as `30d`; null is for ever.
    retention: Option<String>,
}

/// The body.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetentionBody {
    /// From their close, such as `30d`; null is for ever. It has to be said.
    #[serde(deserialize_with = "Option::deserialize")]
    retention: Option<Human>,
}

/// Says how long the namespace keeps closed runs.
pub(crate) async fn show(
    State(app): State<App>,
    NamespacePath { namespace }: NamespacePath,
) -> Result<Response, Error> {
    let retention = app.engine()?.retention(&namespace).await?;
    Ok(reply::json(StatusCode::OK, &RetentionReply::new(retention)))
}

/// Changes it.
pub(crate) async fn change(
    State(app): State<App>,
    NamespacePath { namespace }: NamespacePath,
    body: Json,
) -> Result<Response, Error> {
    let RetentionBody { retention } = body.read()?;
    let retention = retention.map(|Human(time)| time);
    app.engine()?.set_retention(&namespace, retention).await?;
    Ok(reply::json(StatusCode::OK, &RetentionReply::new(retention)))
}

impl RetentionReply {
    fn new(retention: Option<std::time::Duration>) -> Self {
        Self {
            retention: retention.map(written),
        }
    }
}

/// Writes a duration so that it is read as the same.
fn written(time: std::time::Duration) -> String {
    let text = Human(time).to_string();
    match text.parse::<Human>() {
        Ok(Human(read)) if read == time => text,
        _ => format!("{}s", time.as_secs_f64()),
    }
}
