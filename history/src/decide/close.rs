//! A run closes from outside, or is asked to.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    decide::{
        ChildClosed, ChildOutcome, Decision, Effect, Rejection, Target,
        draft::{Draft, TaskEnd},
        next_run, payload_problem, text_problem,
    },
    event::{
        ParentClosePolicy, WorkflowExecutionCancelRequested, WorkflowExecutionTerminated,
        WorkflowExecutionTimedOut, WorkflowTaskFailedCause,
    },
    execution::{ChildState, Execution},
    failure::{Failure, FailureInfo, RetryState, TimeoutType},
    ids::{EventId, Identity, RequestId, RunId, WorkflowExecution},
    payload::Payloads,
    retry::Next,
    time::Timestamp,
};

/// Asks a workflow to cancel; its code decides what that means.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestCancel {
    /// Why.
    pub cause: String,
    /// Who asks.
    pub identity: Option<Identity>,
    /// Names this request: its repetition has no effect.
    pub request_id: Option<RequestId>,
    /// The asking workflow and its initiated event, if it is one.
    pub external: Option<(WorkflowExecution, EventId)>,
}

/// Ends a workflow without asking it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Terminate {
    /// Why.
    pub reason: String,
    /// More of why.
    pub details: Payloads,
    /// Who.
    pub identity: Option<Identity>,
}

/// Records that cancellation was requested. A repeated request gives an empty decision. A first workflow task that
/// waits is not waited for.
///
/// # Errors
/// [`Rejection::WorkflowClosed`], [`Rejection::CancellationAlreadyRequested`] by another request.
pub fn request_cancel(
    exec: &Execution,
    request: &RequestCancel,
    now: Timestamp,
) -> Result<Decision, Rejection> {
    if request
        .request_id
        .as_ref()
        .is_some_and(|id| exec.has_heard_cancel(id))
    {
        return Ok(Decision::default());
    }
    if !exec.is_open() {
        return Err(Rejection::WorkflowClosed);
    }
    if exec.cancel_requested() {
        return Err(Rejection::CancellationAlreadyRequested);
    }
    if let Some(problem) = text_problem(&request.cause) {
        return Err(Rejection::InvalidArgument {
            field: "cause",
            problem,
        });
    }
    let external = request.external.as_ref();
    let requested = WorkflowExecutionCancelRequested {
        cause: request.cause.clone(),
        external_initiated_event_id: external.map_or(EventId::NONE, |(_, id)| *id),
        external_workflow_execution: external.map(|(run, _)| run.clone()),
        identity: request.identity.clone(),
        request_id: request.request_id.clone(),
    };
    let mut draft = Draft::of_arrival(exec, now, vec![requested.into()]);
    if exec.awaits_first_task() {
        draft.need_task();
        return Ok(draft.finish());
    }
    Ok(draft.finish_arrival())
}

/// Ends a run at once.
///
/// # Errors
/// [`Rejection::WorkflowClosed`], [`Rejection::InvalidArgument`] when the details are too large.
pub fn terminate(
    exec: &Execution,
    request: &Terminate,
    now: Timestamp,
) -> Result<Decision, Rejection> {
    if !exec.is_open() {
        return Err(Rejection::WorkflowClosed);
    }
    let too_large = |field, problem| Rejection::InvalidArgument { field, problem };
    if let Some(problem) = text_problem(&request.reason) {
        return Err(too_large("reason", problem));
    }
    if let Some(problem) = payload_problem(&request.details) {
        return Err(too_large("details", problem));
    }
    Ok(terminated(exec, request, now).finish())
}

fn terminated<'a>(exec: &'a Execution, request: &Terminate, now: Timestamp) -> Draft<'a> {
    let mut draft = forced(exec, now);
    draft.event(WorkflowExecutionTerminated {
        reason: request.reason.clone(),
        details: request.details.clone(),
        identity: request.identity.clone(),
    });
    close(&mut draft, &BTreeSet::new(), Some(ChildOutcome::Terminated));
    draft
}

/// Ends a run whose history has grown too long or too large.
pub(super) fn too_long(exec: &Execution, now: Timestamp, limit: &'static str) -> Decision {
    let request = Terminate {
        reason: format!("history has grown beyond {limit}"),
        details: Payloads::default(),
        identity: None,
    };
    terminated(exec, &request, now).refuse(Rejection::HistoryTooLong(limit))
}

/// Closes a run whose time passed; a new one follows if `new_run_id` is given and the retry policy says so.
pub(super) fn run_timed_out(
    exec: &Execution,
    new_run_id: Option<RunId>,
    now: Timestamp,
) -> Decision {
    let mut draft = forced(exec, now);
    let failure = Failure::new(
        "workflow run timeout",
        FailureInfo::TimedOut {
            timeout_type: TimeoutType::StartToClose,
            last_heartbeat_details: Payloads::default(),
        },
    );
    let next = match new_run_id {
        Some(_) => next_run::after_failure(exec, &failure, draft.at),
        None => Next::Final(RetryState::Timeout),
    };
    let start = |at| next_run::retry(exec, failure, at, draft.at, exec.facts());
    let (retry_state, follows) = match (next, new_run_id) {
        (Next::RetryAt(at), Some(run_id)) => match start(at) {
            Some(start) => (RetryState::InProgress, Some((run_id, start))),
            None => (RetryState::InternalServerError, None),
        },
        (Next::Final(retry_state), _) => (retry_state, None),
        (Next::RetryAt(_), None) => (RetryState::Timeout, None),
    };
    draft.event(WorkflowExecutionTimedOut {
        retry_state,
        new_execution_run_id: follows.as_ref().map(|(run_id, _)| *run_id),
    });
    let outcome = follows
        .is_none()
        .then_some(ChildOutcome::TimedOut(retry_state));
    close(&mut draft, &BTreeSet::new(), outcome);
    if let Some((run_id, start)) = follows {
        draft.start_new_run(run_id, start);
    }
    draft.finish()
}

/// Returns a draft in which the workflow task under way has failed and what it held back has become events.
fn forced(exec: &Execution, now: Timestamp) -> Draft<'_> {
    let mut draft = Draft::new(exec, now);
    if exec
        .workflow_task()
        .is_some_and(|task| task.started.is_some())
    {
        draft.end_task(TaskEnd::Failed(
            WorkflowTaskFailedCause::ForceCloseCommand,
            None,
            None,
        ));
        draft.flush();
    }
    draft
}

/// Says what the close of a run asks of others. `ended` are activities that ended with the close; `outcome` is
/// for the parent, unless another run follows.
pub(super) fn close(
    draft: &mut Draft<'_>,
    ended: &BTreeSet<EventId>,
    outcome: Option<ChildOutcome>,
) {
    let exec = draft.exec;
    draft.closes();
    // Whom nobody waits for need not begin.
    draft.effects.retain(|effect| match effect {
        Effect::DispatchActivityTask { .. } | Effect::DispatchWorkflowTask { .. } => false,
        Effect::StartChild {
            initiated_event_id, ..
        } => draft.abandoned.contains(initiated_event_id),
        _ => true,
    });
    let running = exec
        .activities()
        .filter(|activity| activity.is_started() && !ended.contains(&activity.scheduled_event_id()))
        .map(Effect::cancel_activity);
    let children = exec.children().filter_map(|child| close_child(exec, child));
    let parent = outcome.and_then(|outcome| notify_parent(exec, outcome));
    let effects: Vec<_> = running.chain(children).chain(parent).collect();
    draft.effects.extend(effects);
}

/// Returns what the close of a run means for one of its children, if anything.
pub(crate) fn close_child(exec: &Execution, child: &ChildState) -> Option<Effect> {
    let attributes = child.attributes();
    let policy = attributes.parent_close_policy;
    (!child.closed && policy != ParentClosePolicy::Abandon).then(|| Effect::CloseChild {
        initiated_event_id: child.initiated.id,
        policy,
        target: Target {
            namespace: attributes.namespace.clone(),
            workflow_id: attributes.workflow_id.clone(),
            run_id: None,
            only_child_of: Some(exec.origin_of(child.initiated_event_id()).run_id),
        },
    })
}

/// Returns what the parent is told of a run that ended so, if it has a parent.
pub(crate) fn notify_parent(exec: &Execution, outcome: ChildOutcome) -> Option<Effect> {
    let started = exec.started();
    Some(Effect::NotifyParent {
        namespace: started.parent_workflow_namespace.clone()?,
        parent: started.parent_workflow_execution.clone()?,
        closed: Box::new(ChildClosed {
            initiated_event_id: started.parent_initiated_event_id,
            execution: exec.workflow_execution(),
            first_run_id: started.first_execution_run_id,
            workflow_type: exec.workflow_type().clone(),
            outcome,
        }),
    })
}
