//! `DELETE …/search-attributes/{name}`: takes a declaration back.

use axum::{extract::State, http::StatusCode, response::Response};
use history::search_attribute::BadSearchAttributes;
use serde::Deserialize;

use crate::{
    app::App,
    error::Error,
    extract::{Json, SearchAttributePath},
    reply::{self, Done},
};

/// The body: there is nothing to say.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeleteBody {}

/// Takes the declaration of a search attribute back.
pub(crate) async fn delete(
    State(app): State<App>,
    SearchAttributePath { namespace, name }: SearchAttributePath,
    body: Json,
) -> Result<Response, Error> {
    let DeleteBody {} = body.read()?;
    let deleted = app
        .engine()?
        .delete_search_attribute(&namespace, &name)
        .await;
    deleted.map_err(|error| match error {
        // It is not to be declared first.
        engine::Error::BadSearchAttributes(BadSearchAttributes::Unknown(name)) => {
            Error::SearchAttributeNotFound(name)
        }
        other => other.into(),
    })?;
    Ok(reply::json(StatusCode::OK, &Done {}))
}
