//! `POST …/search-attributes`: declares one.

use std::borrow::Cow;

use axum::{extract::State, http::StatusCode, response::Response};
use history::SearchAttributeType;
use serde::{Deserialize, Serialize};

use crate::{
    app::App,
    error::Error,
    extract::{Json, NamespacePath},
    reply,
};

/// The body.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeclareBody<'a> {
    /// Its name.
    #[serde(borrow)]
    name: Cow<'a, str>,
    /// What its values are.
    #[serde(borrow, rename = "type")]
    ty: Cow<'a, str>,
}

/// What is declared now.
#[derive(Serialize)]
pub(crate) struct DeclareReply<'a> {
    /// Its name.
    name: &'a str,
    /// What its values are.
    #[serde(rename = "type")]
    ty: SearchAttributeType,
    /// Whether this request declared it.
    declared: bool,
}

/// Declares a search attribute: 201, or 200 where it was declared so before.
pub(crate) async fn declare(
    State(app): State<App>,
    NamespacePath { namespace }: NamespacePath,
    body: Json,
) -> Result<Response, Error> {
    let DeclareBody { name, ty } = body.read()?;
    let ty = named(&ty)?;
    let engine = app.engine()?;
    let declared = engine
        .declare_search_attribute(&namespace, &name, ty)
        .await?;
    let status = if declared {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok(reply::json(
        status,
        &DeclareReply {
            name: &name,
            ty,
            declared,
        },
    ))
}

fn named(name: &str) -> Result<SearchAttributeType, Error> {
    SearchAttributeType::named(name).ok_or_else(|| {
        let types = SearchAttributeType::ALL.map(|ty| ty.to_string());
        let types = types.join(", ");
        Error::InvalidBody(format!("there is no type `{name}`; give one of {types}"))
    })
}
