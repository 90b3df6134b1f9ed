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
    extract::{Json, Query, WorkflowPath},
    forward::Fresh,
    reply,
};

/// The body.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct CancelBody<'a> {
    /// Why, for those who read the history.
    #[serde(borrow, default)]
    reason: Cow<'a, str>,
    /// Names the request, so that its repetition has no second effect; a new one unless given.
    #[serde(borrow)]
    request_id: Option<Cow<'a, str>>,
    /// Who asks; it is on record.
    #[serde(borrow)]
    identity: Option<Cow<'a, str>>,
}

/// Asks for the cancellation; the request is on record when this answers.
pub(crate) async fn cancel(
    State(app): State<App>,
    path: WorkflowPath,
    Query(run): Query<RunQuery>,
    fresh: Fresh,
    body: Json,
) -> Result<Response, Error> {
    let cancel = body.read::<CancelBody<'_>>()?.request(&fresh)?;
    let address = run.address(path)?;
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
