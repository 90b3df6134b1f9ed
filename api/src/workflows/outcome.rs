//! How a run ended, as the routes that wait for it say it.

use axum::{http::StatusCode, response::Response};
use engine::{Address, Closed, Description, Engine, Waited};
use history::{EventKind, Failure, FailureInfo, Payloads, RunId, Status, WorkflowId};
use serde::Serialize;

use super::{
    failure_info::Info,
    problem::{Problem, problems},
};
use crate::reply::{self, Returned};

/// The state of a workflow that was waited for.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Outcome<'a> {
    /// The workflow.
    workflow_id: &'a WorkflowId,
    /// The run that ended, or the one that is open.
    run_id: RunId,
    /// Whether the request started the run; only in the answer to a start.
    #[serde(skip_serializing_if = "Option::is_none")]
    started: Option<bool>,
    /// Its status.
    status: &'static str,
    /// What it returned, if it completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Returned<'a>>,
    /// How it ended, if it did otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureBody<'a>>,
    /// What keeps an open run from going on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<Problem>,
}

impl<'a> Outcome<'a> {
    /// Returns the outcome of a run that is still open, as far as its state is known.
    fn open(workflow_id: &'a WorkflowId, run_id: RunId, run: Option<&Description>) -> Self {
        Self {
            workflow_id,
            run_id,
            started: None,
            status: Status::Running.as_str(),
            result: None,
            failure: None,
            problems: run.map(problems).unwrap_or_default(),
        }
    }

    /// Returns the outcome of a closed run.
    fn closed(workflow_id: &'a WorkflowId, closed: &'a Closed) -> Self {
        let (result, failure) = ending(closed);
        Self {
            workflow_id,
            run_id: closed.run_id,
            started: None,
            status: closed.status.as_str(),
            result,
            failure,
            problems: Vec::new(),
        }
    }

    /// Returns the answer: 200 for a closed run, 202 for an open one.
    fn reply(&self) -> Response {
        let open = self.status == Status::Running.as_str();
        reply::json(
            if open {
                StatusCode::ACCEPTED
            } else {
                StatusCode::OK
            },
            self,
        )
    }
}

/// Returns the answer to a wait for a workflow, with what keeps it from going on when it is open; `started` when the wait began with a start.
pub(crate) async fn reply_waited(
    engine: &Engine,
    workflow: Address,
    waited: &Waited,
    started: Option<bool>,
) -> Response {
    match waited {
        Waited::Closed(closed) => Outcome {
            started,
            ..Outcome::closed(&workflow.workflow_id, closed)
        }
        .reply(),
        Waited::Open(run_id) => {
            let open = Address {
                run_id: Some(*run_id),
                ..workflow
            };
            // That it is open is known, whatever keeps its state from being read.
            let run = engine.describe(&open).await.ok();
            Outcome {
                started,
                ..Outcome::open(&open.workflow_id, *run_id, run.as_ref())
            }
            .reply()
        }
    }
}

fn ending(closed: &Closed) -> (Option<Returned<'_>>, Option<FailureBody<'_>>) {
    match &closed.event.kind {
        EventKind::WorkflowExecutionCompleted(attributes) => {
            (Some(Returned(&attributes.result)), None)
        }
        EventKind::WorkflowExecutionFailed(attributes) => {
            (None, Some(FailureBody::of(&attributes.failure)))
        }
        EventKind::WorkflowExecutionCanceled(attributes) => {
            let reason = closed.cancel_reason.as_deref().unwrap_or("canceled");
            (None, Some(FailureBody::said(reason, &attributes.details)))
        }
        EventKind::WorkflowExecutionTerminated(attributes) => {
            let reason = if attributes.reason.is_empty() {
                "terminated"
            } else {
                &attributes.reason
            };
            (None, Some(FailureBody::said(reason, &attributes.details)))
        }
        EventKind::WorkflowExecutionTimedOut(_) => (
            None,
            Some(FailureBody {
                kind: "Timeout",
                ..FailureBody::said("the run or execution timeout passed", NOTHING)
            }),
        ),
        _ => (None, None),
    }
}

const NOTHING: &Payloads = &Payloads(Vec::new());

/// A failure and what caused it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FailureBody<'a> {
    /// What happened.
    message: &'a str,
    /// The error's type as retry policies know it, or the kind of failure.
    #[serde(rename = "type", skip_serializing_if = "str::is_empty")]
    kind: &'a str,
    /// Whether retry policies leave it alone.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    non_retryable: bool,
    /// What the code said beside the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Returned<'a>>,
    /// The stack, where it was kept.
    #[serde(skip_serializing_if = "str::is_empty")]
    stack_trace: &'a str,
    /// What no other kind of failure has.
    #[serde(skip_serializing_if = "Option::is_none")]
    info: Option<Info>,
    /// Who made it: the name of an SDK.
    #[serde(skip_serializing_if = "str::is_empty")]
    source: &'a str,
    /// What caused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<Box<FailureBody<'a>>>,
}

impl<'a> FailureBody<'a> {
    /// Returns a failure as it is answered.
    pub(crate) fn of(failure: &'a Failure) -> Self {
        let mut body = Self::said(&failure.message, NOTHING);
        body.stack_trace = &failure.stack_trace;
        body.source = &failure.source;
        body.info = Some(Info::of(&failure.info));
        body.cause = failure
            .cause
            .as_deref()
            .map(|cause| Box::new(Self::of(cause)));
        match &failure.info {
            FailureInfo::Application {
                kind,
                non_retryable,
                details,
                ..
            } => {
                body.kind = kind;
                body.non_retryable = *non_retryable;
                body.details = some(details);
            }
            FailureInfo::TimedOut {
                timeout_type,
                last_heartbeat_details,
            } => {
                body.kind = timeout_type.as_str();
                body.details = some(last_heartbeat_details);
            }
            FailureInfo::Canceled { details } => {
                body.kind = "Canceled";
                body.details = some(details);
            }
            FailureInfo::Terminated => body.kind = "Terminated",
            FailureInfo::Server { non_retryable } => {
                body.kind = "Server";
                body.non_retryable = *non_retryable;
            }
            FailureInfo::ResetWorkflow {
                last_heartbeat_details,
            } => {
                body.kind = "ResetWorkflow";
                body.details = some(last_heartbeat_details);
            }
            FailureInfo::Activity { activity_type, .. } => body.kind = activity_type.as_str(),
            FailureInfo::ChildWorkflowExecution { workflow_type, .. } => {
                body.kind = workflow_type.as_str();
            }
            FailureInfo::NexusOperation { operation, .. } => body.kind = operation,
            FailureInfo::NexusHandler { kind } => body.kind = kind,
        }
        body
    }

    fn said(message: &'a str, details: &'a Payloads) -> Self {
        Self {
            message,
            kind: "",
            non_retryable: false,
            details: some(details),
            stack_trace: "",
            info: None,
            source: "",
            cause: None,
        }
    }
}

fn some(payloads: &Payloads) -> Option<Returned<'_>> {
    (!payloads.is_empty()).then_some(Returned(payloads))
}
