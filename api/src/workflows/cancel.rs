//! `POST …/workflows/{id}/cancel`: asks a workflow to cancel; its code decides.

use std::borrow::Cow;

use axum::{extract::State, http::StatusCode, response::Response};
use history::decide::RequestCancel;
use serde::Deserialize;

use super::{
    input::{identity, request_id},
    run::RunQuery,
};
use crate::{
    app::App,
    error::Error,
    extract::{Json, Of, Query},
    forward::Fresh,
    reply,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CancelBody<'a> {
    #[serde(borrow, default)]
    reason: Cow<'a, str>,
    #[serde(borrow)]
    request_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    identity: Option<Cow<'a, str>>,
}

/// Asks for the cancellation; the request is on record when this answers.
pub(crate) async fn cancel(
    State(app): State<App>,
    of: Of,
    Query(run): Query<RunQuery>,
    fresh: Fresh,
    body: Json,
) -> Result<Response, Error> {
    let cancel = body.read::<CancelBody<'_>>()?.request(&fresh)?;
    let address = run.address(of)?;
    app.engine()?.request_cancel(&address, cancel).await?;
    Ok(reply::json(StatusCode::OK, &reply::Done {}))
}

impl CancelBody<'_> {
    fn request(self, fresh: &Fresh) -> Result<RequestCancel, Error> {
        Ok(RequestCancel {
            cause: self.reason.into_owned(),
            identity: identity(self.identity.as_deref())?,
            request_id: Some(request_id(self.request_id.as_deref(), fresh)?),
            external: None,
        })
    }
}
