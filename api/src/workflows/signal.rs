//! `POST …/workflows/{id}/signal`: sends a message to a running workflow.

use std::borrow::Cow;

use axum::{extract::State, http::StatusCode, response::Response};
use history::{SignalName, decide::Signal, event::Header};
use serde::Deserialize;

use super::{
    input::{Value, arguments, identity, present, request_id},
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
pub(crate) struct SignalBody<'a> {
    /// The channel on which it arrives.
    #[serde(borrow)]
    signal_name: Cow<'a, str>,
    /// What it carries; `null` is a value.
    #[serde(borrow, default, deserialize_with = "present")]
    input: Option<Value<'a>>,
    /// What it carries, where that is several values.
    #[serde(borrow)]
    inputs: Option<Vec<Value<'a>>>,
    /// Names the request, so that its repetition has no second effect; a new one unless given.
    #[serde(borrow)]
    request_id: Option<Cow<'a, str>>,
    /// Who asks; it is on record.
    #[serde(borrow)]
    identity: Option<Cow<'a, str>>,
}

/// Sends a signal; it is on record when this answers.
pub(crate) async fn signal(
    State(app): State<App>,
    path: WorkflowPath,
    Query(run): Query<RunQuery>,
    fresh: Fresh,
    body: Json,
) -> Result<Response, Error> {
    let signal = body.read::<SignalBody<'_>>()?.request(&fresh)?;
    let address = run.address(path)?;
    app.engine()?.signal(&address, signal).await?;
    Ok(reply::json(StatusCode::OK, &reply::Done {}))
}

impl SignalBody<'_> {
    fn request(self, fresh: &Fresh) -> Result<Signal, Error> {
        Ok(Signal {
            signal_name: SignalName::new(&self.signal_name)?,
            input: arguments(self.input, self.inputs)?,
            identity: identity(self.identity.as_deref())?,
            header: Header::new(),
            request_id: Some(request_id(self.request_id.as_deref(), fresh)?),
            external: None,
        })
    }
}
