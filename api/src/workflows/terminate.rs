//! `POST …/workflows/{id}/terminate`: ends a workflow without asking it.

use std::borrow::Cow;

use axum::{extract::State, http::StatusCode, response::Response};
use history::decide::Terminate;
use serde::Deserialize;

use super::{
    input::{Value, arguments, identity, present},
    run::RunQuery,
};
use crate::{
    app::App,
    error::Error,
    extract::{Json, Query, WorkflowPath},
    reply,
};

/// The body.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TerminateBody<'a> {
    /// Why, for those who read the history.
    #[serde(borrow, default)]
    reason: Cow<'a, str>,
    /// More of it, for programs that read the history.
    #[serde(borrow, default, deserialize_with = "present")]
    details: Option<Value<'a>>,
    /// Who asks; it is on record.
    #[serde(borrow)]
    identity: Option<Cow<'a, str>>,
}

/// Ends the workflow; it is closed when this answers.
pub(crate) async fn terminate(
    State(app): State<App>,
    path: WorkflowPath,
    Query(run): Query<RunQuery>,
    body: Json,
) -> Result<Response, Error> {
    let terminate = body.read::<TerminateBody<'_>>()?.request()?;
    let address = run.address(path)?;
    app.engine()?.terminate(&address, terminate).await?;
    Ok(reply::json(StatusCode::OK, &reply::Done {}))
}

impl TerminateBody<'_> {
    fn request(self) -> Result<Terminate, Error> {
        Ok(Terminate {
            reason: self.reason.into_owned(),
            details: arguments(self.details, None)?,
            identity: identity(self.identity.as_deref())?,
        })
    }
}
