//! A workflow that was started.

use std::marker::PhantomData;

use history::{
    EventId, Failure, FailureInfo, Namespace, Payload, Payloads, RunId, WorkflowExecution,
    WorkflowId,
    failure::{RetryState, TimeoutType},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;
use worker::{
    definition::{SignalDefinition, WorkflowDefinition, result},
    error::Fails as _,
};

use super::{Error, NoResult, SendSignal, requests::Requests};
use crate::{
    patience::Looks,
    workflows::{
        failure_info::{Beside, Info},
        problem::{Problem, Told},
    },
};

/// A workflow that was started; see [`Client::start`](crate::Client::start) and [`Client::handle`](crate::Client::handle).
pub struct Handle<W> {
    client: Requests,
    workflow_id: String,
    run_id: Option<RunId>,
    workflow: PhantomData<fn() -> W>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    run_id: Option<RunId>,
    status: Status,
    result: Option<Box<RawValue>>,
    failure: Option<Fault>,
    #[serde(default)]
    problems: Vec<Problem>,
}

#[derive(Deserialize)]
enum Status {
    Running,
    Completed,
    Failed,
    Canceled,
    Terminated,
    TimedOut,
    ContinuedAsNew,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fault {
    message: String,
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    non_retryable: bool,
    details: Option<Box<RawValue>>,
    #[serde(default)]
    stack_trace: String,
    /// Absent where a workflow was canceled, terminated or out of time: its status says so.
    info: Option<Info>,
    #[serde(default)]
    source: String,
    cause: Option<Box<Fault>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CancelBody<'a> {
    reason: &'a str,
    request_id: Uuid,
}

#[derive(Serialize)]
struct TerminateBody<'a> {
    reason: &'a str,
}

/// An answer that says only that it is done.
#[derive(Deserialize)]
struct Done {}

impl<W: WorkflowDefinition> Handle<W> {
    pub(super) fn new(client: Requests, workflow_id: String, run_id: Option<RunId>) -> Self {
        Self {
            client,
            workflow_id,
            run_id,
            workflow: PhantomData,
        }
    }

    /// Returns its workflow id.
    pub fn workflow_id(&self) -> &str {
        &self.workflow_id
    }

    /// Returns the run that was started, if this handle comes from a start.
    pub fn run_id(&self) -> Option<RunId> {
        self.run_id
    }

    /// Waits for its result, and of the runs that follow it, as long as that takes. What keeps it from going on is a warning in the log,
    /// once for each reason.
    ///
    /// # Errors
    /// When it did not return, or nobody could be asked.
    pub async fn result(&self) -> Result<W::Output, NoResult<W>> {
        let run_id = self.run_id.map(|run_id| run_id.to_string());
        let (mut told, mut looks) = (Told::default(), Looks::new());
        loop {
            let wait = looks.wait();
            let mut query = vec![("wait", wait.as_str())];
            query.extend(run_id.as_deref().map(|run_id| ("runId", run_id)));
            let path = [self.workflow_id.as_str(), "result"];
            let outcome: Outcome = self.client.get(&path, &query).await?;
            let cause = match outcome.status {
                // The last of a chain that was read while the next one began.
                Status::Running | Status::ContinuedAsNew => {
                    self.tell(outcome.problems, &mut told);
                    continue;
                }
                Status::Completed => {
                    let returned = outcome
                        .result
                        .as_deref()
                        .map_or_else(Payload::null, payload);
                    let read = result(&Payloads::one(returned)).map_err(Error::Decode);
                    return Ok(read?);
                }
                status @ (Status::Failed
                | Status::Canceled
                | Status::Terminated
                | Status::TimedOut) => cause(&status, outcome.failure),
            };
            let failure = self.around(outcome.run_id, cause);
            return Err(NoResult::Workflow(W::Error::at_child(failure)));
        }
    }

    /// Says why the result does not come, each reason once.
    fn tell(&self, problems: Vec<Problem>, told: &mut Told) {
        let workflow_id = &self.workflow_id;
        for problem in told.news(workflow_id, problems) {
            tracing::warn!(
                workflow_id,
                problem,
                "still waiting for the result of a workflow"
            );
        }
    }

    /// Sends a signal, when awaited; it is on record when that returns, or an error says that the workflow is closed or does not exist, or
    /// that nobody could be asked.
    pub fn signal<S: SignalDefinition>(&self, signal: &S) -> SendSignal<'_> {
        self.signal_named(S::NAME, signal)
    }

    /// Sends a signal by its name, as [`Handle::signal`] does.
    pub fn signal_named<'a, T: Serialize + ?Sized>(
        &'a self,
        name: &'a str,
        message: &T,
    ) -> SendSignal<'a> {
        SendSignal::new(&self.client, &self.workflow_id, name, message)
    }

    /// Asks it to cancel; its code decides. The request is on record when this returns.
    ///
    /// # Errors
    /// When the workflow is closed or does not exist, or nobody could be asked.
    pub async fn cancel(&self, reason: &str) -> Result<(), Error> {
        let body = CancelBody {
            reason,
            request_id: Uuid::new_v4(),
        };
        let Done {} = self
            .client
            .post(&[&self.workflow_id, "cancel"], &body)
            .await?;
        Ok(())
    }

    /// Ends it without asking its code.
    ///
    /// # Errors
    /// When the workflow is closed or does not exist, or nobody could be asked.
    pub async fn terminate(&self, reason: &str) -> Result<(), Error> {
        let path = [self.workflow_id.as_str(), "terminate"];
        let Done {} = self
            .client
            .post_once(&path, &TerminateBody { reason })
            .await?;
        Ok(())
    }

    /// Returns the failure as a parent of the workflow would have it.
    fn around(&self, run_id: Option<RunId>, cause: Option<Failure>) -> Failure {
        let failure = Failure::new(
            format!("workflow `{}` failed", W::NAME),
            FailureInfo::ChildWorkflowExecution {
                namespace: Namespace::known(&self.client.namespace),
                workflow_execution: WorkflowExecution {
                    workflow_id: WorkflowId::known(&self.workflow_id),
                    run_id: run_id.or(self.run_id).unwrap_or(RunId(Uuid::nil())),
                },
                workflow_type: W::workflow_type(),
                initiated_event_id: EventId::NONE,
                started_event_id: EventId::NONE,
                retry_state: RetryState::Unspecified,
            },
        );
        match cause {
            Some(cause) => failure.because(cause),
            None => failure,
        }
    }
}

impl<W> Clone for Handle<W> {
    fn clone(&self) -> Self {
        Self {
            client: self.client.clone(),
            workflow_id: self.workflow_id.clone(),
            run_id: self.run_id,
            workflow: PhantomData,
        }
    }
}

impl<W> std::fmt::Debug for Handle<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle")
            .field("workflow_id", &self.workflow_id)
            .field("run_id", &self.run_id)
            .finish_non_exhaustive()
    }
}

impl Fault {
    fn details(&self) -> Payloads {
        let details = self.details.as_deref().map(payload);
        details.map_or_else(Payloads::default, Payloads::one)
    }

    fn failure(self) -> Failure {
        let details = self.details();
        let info = self.info.unwrap_or(Info::Application {
            next_retry_delay_ms: None,
        });
        let mut failure = Failure::new(
            self.message,
            info.with(Beside {
                name: self.kind,
                non_retryable: self.non_retryable,
                details,
            }),
        );
        failure.source = self.source;
        failure.stack_trace = self.stack_trace;
        match self.cause {
            Some(cause) => failure.because(cause.failure()),
            None => failure,
        }
    }
}

fn payload(raw: &RawValue) -> Payload {
    Payload::json_text(raw.get().to_owned())
}

/// Returns the failure of an end that is no result, with all that the answer says of it.
fn cause(status: &Status, said: Option<Fault>) -> Option<Failure> {
    let said = said.map(Fault::failure);
    let details = said.as_ref().and_then(|said| match &said.info {
        FailureInfo::Application { details, .. } | FailureInfo::Canceled { details } => {
            Some(details.clone())
        }
        _ => None,
    });
    let details = details.unwrap_or_default();
    let (info, message) = match status {
        Status::Canceled => (FailureInfo::Canceled { details }, "canceled"),
        Status::Terminated => (FailureInfo::Terminated, "terminated"),
        Status::TimedOut => (
            Failure::timed_out(TimeoutType::StartToClose, details).info,
            "timed out",
        ),
        Status::Failed | Status::Running | Status::Completed | Status::ContinuedAsNew => {
            return said;
        }
    };
    let message = said.map_or_else(|| message.to_owned(), |said| said.message);
    Some(Failure::new(message, info))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_says_what_the_answer_says() {
        let said = |message: &str| -> Option<Fault> {
            let fault = serde_json::json!({ "message": message, "details": { "n": 1 } });
            Some(serde_json::from_value(fault).unwrap())
        };
        let canceled = cause(&Status::Canceled, said("canceled")).unwrap();
        assert!(
            matches!(&canceled.info, FailureInfo::Canceled { details } if details.0[0].data == r#"{"n":1}"#)
        );
        let terminated = cause(&Status::Terminated, said("superseded")).unwrap();
        assert_eq!(terminated.message, "superseded");
        let timed_out = cause(&Status::TimedOut, said("the run timeout passed")).unwrap();
        assert_eq!(timed_out.message, "the run timeout passed");
        assert!(matches!(timed_out.info, FailureInfo::TimedOut { .. }));
        assert_eq!(
            cause(&Status::Terminated, None).unwrap().message,
            "terminated"
        );
    }
}
