//! A signal arrives.

use crate::{
    decide::{
        Decision, Rejection,
        draft::Draft,
        size::{facts_problem, payload_problem},
    },
    event::WorkflowExecutionSignaled,
    execution::Execution,
    ids::RequestId,
    limits,
    requests::Signal,
    time::Timestamp,
};

/// Records a signal. A repeated request gives an empty decision.
///
/// # Errors
/// [`Rejection::WorkflowClosed`], [`Rejection::TooManySignals`], [`Rejection::InvalidArgument`] when it is too large.
pub fn signal(exec: &Execution, request: &Signal, now: Timestamp) -> Result<Decision, Rejection> {
    // Before anything else: whoever repeats a request because its answer was lost learns that it was heard, though the run be closed.
    if request
        .request_id
        .as_ref()
        .is_some_and(|id| exec.has_heard_signal(id))
    {
        return Ok(Decision::default());
    }
    if !exec.is_open() {
        return Err(Rejection::WorkflowClosed);
    }
    let invalid = |field, problem| Rejection::InvalidArgument { field, problem };
    if let Some(problem) = request.signal_name.problem() {
        return Err(invalid("signal_name", problem.to_string()));
    }
    if let Some(problem) = request.request_id.as_ref().and_then(RequestId::problem) {
        return Err(invalid("request_id", problem.to_string()));
    }
    if let Some(problem) = payload_problem(&request.input) {
        return Err(invalid("input", problem));
    }
    if let Some(problem) = facts_problem(&request.header) {
        return Err(invalid("header", problem));
    }
    if exec.signals() >= limits::SIGNALS_MAX {
        return Err(Rejection::TooManySignals(limits::SIGNALS_MAX));
    }
    let signaled = WorkflowExecutionSignaled {
        signal_name: request.signal_name.clone(),
        input: request.input.clone(),
        identity: request.identity.clone(),
        header: request.header.clone(),
        external_workflow_execution: request.external.as_ref().map(|(run, _)| run.clone()),
        request_id: request.request_id.clone(),
    };
    Ok(Draft::of_arrival(exec, now, vec![signaled.into()]).finish_arrival())
}
