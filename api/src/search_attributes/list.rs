//! `GET …/search-attributes`: what the namespace has declared, by name.

use axum::{extract::State, http::StatusCode, response::Response};
use history::SearchAttributeType;
use serde::{Deserialize, Serialize};

use crate::{
    app::App,
    error::Error,
    extract::{NamespacePath, Query},
    reply,
};

/// The query string: there is nothing to say.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {}

/// Lists what is declared.
pub(crate) async fn list(
    State(app): State<App>,
    NamespacePath { namespace }: NamespacePath,
    Query(ListQuery {}): Query<ListQuery>,
) -> Result<Response, Error> {
    let declared = app.engine()?.search_attributes(&namespace).await?;
    let declared = declared.iter();
    let reply = ListReply {
        search_attributes: declared
            .map(|(name, ty)| Declared { name, ty: *ty })
            .collect(),
    };
    Ok(reply::json(StatusCode::OK, &reply))
}

/// What is declared.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListReply<'a> {
    /// By name.
    search_attributes: Vec<Declared<'a>>,
}

/// A search attribute.
#[derive(Serialize)]
pub(crate) struct Declared<'a> {
    /// Its name.
    name: &'a str,
    /// What its values are.
    #[serde(rename = "type")]
    ty: SearchAttributeType,
}
