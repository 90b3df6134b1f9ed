//! What handlers take: parts of a request, refused with our envelope when they are not what the route takes.

use axum::{
    body::Body as HttpBody,
    extract::{FromRequest, FromRequestParts, RawPathParams, Request},
    http::{HeaderMap, header, request::Parts},
};
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use history::{Namespace, RunId, WorkflowId};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, de::DeserializeOwned};

use crate::{error::Error, limits::REQUEST_BYTES_MAX};

/// The path of routes about a namespace.
pub(crate) struct NamespacePath {
    pub(crate) namespace: Namespace,
}

/// The path of routes about a workflow.
pub(crate) struct WorkflowPath {
    pub(crate) namespace: Namespace,
    pub(crate) workflow_id: WorkflowId,
}

/// The path of routes about a search attribute.
pub(crate) struct SearchAttributePath {
    pub(crate) namespace: Namespace,
    /// Whatever stands there: one that nothing is called is not found.
    pub(crate) name: String,
}

impl WorkflowPath {
    /// Returns the engine's address of a run.
    pub(crate) fn run(self, run_id: Option<RunId>) -> engine::Address {
        engine::Address {
            namespace: self.namespace,
            workflow_id: self.workflow_id,
            run_id,
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for NamespacePath {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let params = params(parts, state).await?;
        Ok(Self {
            namespace: Namespace::new(param(&params, "namespace"))?,
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for WorkflowPath {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let params = params(parts, state).await?;
        Ok(Self {
            namespace: Namespace::new(param(&params, "namespace"))?,
            workflow_id: WorkflowId::new(param(&params, "workflow_id"))?,
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for SearchAttributePath {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let params = params(parts, state).await?;
        Ok(Self {
            namespace: Namespace::new(param(&params, "namespace"))?,
            name: param(&params, "name").to_owned(),
        })
    }
}

async fn params<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<RawPathParams, Error> {
    RawPathParams::from_request_parts(parts, state)
        .await
        .map_err(|_| Error::InvalidPath)
}

fn param<'a>(params: &'a RawPathParams, name: &str) -> &'a str {
    params
        .iter()
        .find_map(|(key, value)| (key == name).then_some(value))
        .unwrap_or_default()
}

/// The query string. A type that takes part denies unknown fields.
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let text = parts.uri.query().unwrap_or_default();
        if percent_decode_str(text).decode_utf8().is_err() {
            let problem = "it is not UTF-8 once its percent signs are decoded";
            return Err(Error::InvalidQuery(problem.to_owned()));
        }
        match axum::extract::Query::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(query)) => Ok(Self(query)),
            Err(rejection) => {
                let problem = std::error::Error::source(&rejection)
                    .map_or_else(|| rejection.to_string(), ToString::to_string);
                Err(Error::InvalidQuery(problem))
            }
        }
    }
}

/// A run id in a query string or a body.
pub(crate) fn run_id(text: Option<&str>) -> Result<Option<RunId>, Error> {
    text.map(|text| {
        text.parse()
            .map_err(|_| Error::InvalidRunId(text.chars().take(64).collect()))
    })
    .transpose()
}

/// The bytes of a JSON body.
pub(crate) struct Json(Bytes);

/// A body in which there is nothing to say.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

impl Json {
    /// Reads the body; an empty one as `{}`. What `T` borrows is not copied.
    pub(crate) fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Error> {
        let text: &[u8] = if self.0.is_empty() { b"{}" } else { &self.0 };
        // A derived reader would take a list as the fields in their order.
        if text.trim_ascii_start().first() == Some(&b'[') {
            return Err(Error::InvalidBody(
                "expected an object, found a list".to_owned(),
            ));
        }
        serde_json::from_slice(text).map_err(|error| Error::InvalidBody(error.to_string()))
    }
}

impl<S: Send + Sync> FromRequest<S> for Json {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Self, Error> {
        let (parts, body) = request.into_parts();
        same_origin(&parts.headers)?;
        let declared = parts
            .headers
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if declared.is_some_and(|bytes| bytes > REQUEST_BYTES_MAX as u64) {
            return Err(Error::RequestTooLarge);
        }
        let bytes = collect(body, REQUEST_BYTES_MAX).await?;
        if !bytes.is_empty() {
            json_content(&parts.headers)?;
        }
        Ok(Self(bytes))
    }
}

/// Reads a body of at most so many bytes. One that comes in one piece is not copied.
pub(crate) async fn collect(body: HttpBody, bytes_max: usize) -> Result<Bytes, Error> {
    let mut chunks = body.into_data_stream();
    let mut whole = Bytes::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| Error::IncompleteBody(error.to_string()))?;
        if whole.len() + chunk.len() > bytes_max {
            return Err(Error::RequestTooLarge);
        }
        whole = if whole.is_empty() {
            chunk
        } else {
            joined(whole, &chunk)
        };
    }
    Ok(whole)
}

fn joined(whole: Bytes, chunk: &[u8]) -> Bytes {
    let mut whole = BytesMut::from(whole);
    whole.extend_from_slice(chunk);
    whole.freeze()
}

fn json_content(headers: &HeaderMap) -> Result<(), Error> {
    let value = headers
        .get(header::CONTENT_TYPE)
        .map(|value| String::from_utf8_lossy(value.as_bytes()));
    let essence = value
        .as_deref()
        .map(|value| value.split(';').next().unwrap_or(value).trim());
    match essence {
        Some(essence) if essence.eq_ignore_ascii_case("application/json") => Ok(()),
        other => Err(Error::UnsupportedMediaType(other.map(str::to_owned))),
    }
}

/// Refuses what a web page of another origin sends: there is no login yet, and a browser on this machine reaches
/// loopback for any page that it shows.
fn same_origin(headers: &HeaderMap) -> Result<(), Error> {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return Ok(());
    };
    let origin = String::from_utf8_lossy(origin.as_bytes());
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    if host.is_some_and(|host| {
        origin
            .split_once("://")
            .is_some_and(|(_, authority)| authority == host)
    }) {
        return Ok(());
    }
    Err(Error::CrossOrigin(origin.into_owned()))
}
