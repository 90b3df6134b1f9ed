//! What other members are answered.

use axum::{
    extract::{Request, State},
    http::header,
    response::{IntoResponse as _, Response},
};

use crate::{app::App, error::Error, extract::collect, limits::PEER_REQUEST_BYTES_MAX};

/// Takes a body of another member.
pub(crate) async fn deliver(State(app): State<App>, request: Request) -> Result<Response, Error> {
    let body = collect(request.into_body(), PEER_REQUEST_BYTES_MAX).await?;
    // What is not UTF-8 is from nobody.
    let body = std::str::from_utf8(&body).unwrap_or_default();
    let answer = app.engine()?.answer_peer(body).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], answer).into_response())
}

/// Says which process this is, so that one finds out whether the address that it gives the others leads to itself.
pub(crate) async fn identity(State(app): State<App>) -> String {
    app.instance().to_string()
}
