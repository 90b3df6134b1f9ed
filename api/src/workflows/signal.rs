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
    extract::{Json, Of, Query},
    forward::Fresh,
    reply,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SignalBody<'a> {
    #[serde(borrow)]
    signal_name: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "present")]
    input: Option<Value<'a>>,
    #[serde(borrow)]
    inputs: Option<Vec<Value<'a>>>,
    #[serde(borrow)]
    request_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    identity: Option<Cow<'a, str>>,
}

/// Sends a signal; it is on record when this answers.
pub(crate) async fn signal(
    State(app): State<App>,
    of: Of,
    Query(run): Query<RunQuery>,
    fresh: Fresh,
    body: Json,
) -> Result<Response, Error> {
    let signal = body.read::<SignalBody<'_>>()?.request(&fresh)?;
    let address = run.address(of)?;
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
