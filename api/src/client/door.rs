//! The REST API, through a socket or without one.

use std::time::Duration;

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Method, Request, StatusCode, header},
};
use engine::limits::LONG_POLL_MAX;
use reqwest::Url;
use serde::de::DeserializeOwned;
use tower::ServiceExt as _;

use super::{Error, error::Envelope};

/// How long a connection may take to open.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// What an answer may take beyond the longest poll.
const MARGIN: Duration = Duration::from_secs(10);
/// Where requests go.
#[derive(Debug, Clone)]
pub(super) enum Door {
    /// To an engine elsewhere.
    Http {
        /// Keeps connections.
        http: reqwest::Client,
        /// Where it answers.
        address: Url,
    },
    /// To the engine in this process.
    Router(Router),
}

impl Door {
    pub(super) fn http(address: &str) -> Result<Self, Error> {
        let unusable = || Error::Address(address.to_owned());
        let url = Url::parse(address).map_err(|_| unusable())?;
        if url.scheme() != "http" || url.cannot_be_a_base() {
            return Err(unusable());
        }
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_MAX)
            .timeout(LONG_POLL_MAX + MARGIN)
            .no_proxy()
            .build()
            .map_err(|_| unusable())?;
        Ok(Self::Http { http, address: url })
    }

    /// Sends a request once.
    pub(super) async fn send(
        &self,
        method: Method,
        url: Url,
        body: &[u8],
    ) -> Result<Answer, Error> {
        let address = url.to_string();
        match self {
            Self::Http { http, .. } => {
                let unreachable = |error: reqwest::Error| Error::Unreachable {
                    address: address.clone(),
                    problem: engine::innermost(&error),
                };
                let response = http
                    .request(method, url)
                    .header(header::CONTENT_TYPE, "application/json")
                    .body(body.to_vec())
                    .send()
                    .await
                    .map_err(unreachable)?;
                let status = response.status();
                let text = response.bytes().await.map_err(unreachable)?.to_vec();
                Ok(Answer {
                    address,
                    status,
                    text,
                })
            }
            Self::Router(router) => {
                let odd = |problem: String| Error::Answer {
                    address: "the engine in this process".to_owned(),
                    problem,
                };
                let path = match url.query() {
                    Some(query) => format!("{}?{query}", url.path()),
                    None => url.path().to_owned(),
                };
                let request = Request::builder()
                    .method(method)
                    .uri(path)
                    .header(header::HOST, "localhost")
                    .header(header::CONTENT_TYPE, "application/json")
                    .body(Body::from(body.to_vec()))
                    .map_err(|error| odd(error.to_string()))?;
                let Ok(response) = router.clone().oneshot(request).await;
                let status = response.status();
                let text = to_bytes(response.into_body(), usize::MAX)
                    .await
                    .map_err(|error| odd(error.to_string()))?
                    .to_vec();
                Ok(Answer {
                    address,
                    status,
                    text,
                })
            }
        }
    }

    pub(super) fn address(&self) -> Url {
        match self {
            Self::Http { address, .. } => address.clone(),
            Self::Router(_) => Url::parse("http://localhost").expect("it is one"),
        }
    }
}

/// An answer as it came.
pub(super) struct Answer {
    address: String,
    status: StatusCode,
    text: Vec<u8>,
}

impl Answer {
    pub(super) fn read<T: DeserializeOwned>(self) -> Result<T, Error> {
        if !self.status.is_success() {
            return Err(match serde_json::from_slice(&self.text) {
                Ok(Envelope { error }) => error.into(),
                Err(_) => Error::Answer {
                    address: self.address,
                    problem: format!("HTTP status {}", self.status),
                },
            });
        }
        serde_json::from_slice(&self.text).map_err(|error| Error::Answer {
            address: self.address,
            problem: error.to_string(),
        })
    }
}
