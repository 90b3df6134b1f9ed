//! `DELETE …/search-attributes/{name}`: takes a declaration back.

use axum::{extract::State, http::StatusCode, response::Response};
use history::search_attribute::BadSearchAttributes;

use crate::{
    app::App,
    error::Error,
    extract::{Json, Nothing, SearchAttributePath},
    reply::{self, Done},
};

/// Takes the declaration of a search attribute back.
pub(crate) async fn delete(
    State(app): State<App>,
    SearchAttributePath { namespace, name }: SearchAttributePath,
    body: Json,
) -> Result<Response, Error> {
    let Nothing {} = body.read()?;
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
