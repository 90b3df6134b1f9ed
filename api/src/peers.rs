//! The way between members: `POST /internal/v1/deliver`, for whoever knows the secret in the database.

use axum::{
    extract::{Request, State},
    http::header,
    response::{IntoResponse as _, Response},
};
use engine::peers::{Peers, Unreached};
use futures::{FutureExt as _, future::BoxFuture};

use crate::{app::App, error::Error, extract::collect, limits::LETTER_BYTES_MAX};

/// Where a process says which one it is.
pub(crate) const IDENTITY: &str = "/internal/v1/identity";

/// Reaches other members by HTTP.
#[derive(Debug, Clone)]
pub(crate) struct Http(pub(crate) reqwest::Client);

/// Returns a client that goes straight to other members, whatever the environment says of proxies.
pub(crate) fn http() -> reqwest::Client {
    let straight = reqwest::Client::builder().no_proxy().build();
    straight.unwrap_or_default()
}

impl Peers for Http {
    fn send(&self, address: &str, letter: String) -> BoxFuture<'static, Result<String, Unreached>> {
        let request = self
            .0
            .post(format!("{address}/internal/v1/deliver"))
            .body(letter);
        async move {
            let unreached = |error: reqwest::Error| Unreached(error.to_string());
            let answer = request.send().await.map_err(unreached)?;
            let answer = answer.error_for_status().map_err(unreached)?;
            answer.text().await.map_err(unreached)
        }
        .boxed()
    }
}

/// Takes a letter of another member.
pub(crate) async fn deliver(State(app): State<App>, request: Request) -> Result<Response, Error> {
    let letter = collect(request.into_body(), LETTER_BYTES_MAX).await?;
    // What is not UTF-8 is from nobody.
    let letter = std::str::from_utf8(&letter).unwrap_or_default();
    let answer = app.engine()?.answer_peer(letter).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], answer).into_response())
}

/// Says which process this is, so that one finds out whether the address that it gives the others leads to itself.
pub(crate) async fn identity(State(app): State<App>) -> String {
    app.instance().to_string()
}
