//! How the archive speaks HTTP: with hyper, and with rustls as what reaches Postgres does. What `OpenDAL` brings for this would give all other
//! clients of the process another TLS, or none.

use std::io;

use axum::http::{Request, Response};
use bytes::Bytes;
use engine::innermost;
use futures::stream;
use http_body_util::{BodyExt as _, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use opendal::{Buffer, Error, ErrorKind, HttpBody, HttpTransport};
use tokio_rustls::rustls::crypto::ring;

use crate::limits::ARCHIVE_CONNECT_MAX;

/// A client that keeps its connections.
#[derive(Debug)]
pub(super) struct Https(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl Https {
    /// Returns one that trusts whom this machine does.
    ///
    /// # Errors
    /// When its certificates can't be read.
    pub(super) fn new() -> io::Result<Self> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_connect_timeout(Some(ARCHIVE_CONNECT_MAX));
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(ring::default_provider())?
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .build(connector);
        Ok(Self(client))
    }
}

impl HttpTransport for Https {
    /// Follows no redirection: S3 redirects to where another signature is needed, and says in its answer which region it wants.
    async fn fetch(&self, request: Request<Buffer>) -> opendal::Result<Response<HttpBody>> {
        let uri = request.uri().clone();
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
            Error::new(ErrorKind::Unexpected, innermost(&*error))
                .with_context("uri", uri.to_string())
                .set_temporary()
        };
        let request = request.map(|body| Full::new(body.to_bytes()));
        let answer = self.0.request(request).await;
        let (head, body) = answer.map_err(|error| failed(error.into()))?.into_parts();
        // To what is written here the answers are short.
        let body = body.collect().await;
        let body = body.map_err(|error| failed(error.into()))?.to_bytes();
        let body = Buffer::from(body);
        let length = u64::try_from(body.len()).ok();
        let body = HttpBody::new(stream::iter([Ok(body)]), length);
        Ok(Response::from_parts(head, body))
    }
}
