//! `GET …/workflows/{id}`: the state of a run, and what it waits for.

use std::collections::BTreeMap;

use axum::{extract::State, http::StatusCode, response::Response};
use engine::{Description, PendingActivity, PendingChild, PendingTimer, PendingWorkflowTask};
use history::{Payload, RunId, Timestamp, record::WorkflowTaskAttemptCause, task::UnreadSignals};
use serde::Serialize;

use super::{
    outcome::FailureBody,
    problem::{Problem, problems},
    run::RunQuery,
};
use crate::{
    app::App,
    error::Error,
    extract::{Of, Query},
    reply::{self, Execution, Returned, Value},
};

/// Describes a run.
pub(crate) async fn describe(
    State(app): State<App>,
    of: Of,
    Query(run): Query<RunQuery>,
) -> Result<Response, Error> {
    let address = run.address(of)?;
    let description = app.engine()?.describe(&address).await?;
    Ok(reply::json(StatusCode::OK, &Body::new(&description)))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    workflow_id: &'a str,
    run_id: RunId,
    first_run_id: RunId,
    workflow_type: &'a str,
    task_queue: &'a str,
    status: &'static str,
    #[serde(serialize_with = "reply::time")]
    started_at: Timestamp,
    #[serde(
        serialize_with = "reply::time_if_any",
        skip_serializing_if = "Option::is_none"
    )]
    closed_at: Option<Timestamp>,
    history_length: i64,
    history_bytes: u64,
    /// What keeps it from going on, in sentences.
    problems: Vec<Problem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<Execution<'a>>,
    memo: BTreeMap<&'a str, Value<'a>>,
    search_attributes: BTreeMap<&'a str, Value<'a>>,
    cancel_requested: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pending_workflow_task: Option<WorkflowTask<'a>>,
    pending_activities: Vec<Activity<'a>>,
    pending_timers: Vec<Timer<'a>>,
    pending_children: Vec<Child<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unread_signals: Vec<Unread<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Unread<'a> {
    signal_name: &'a str,
    count: u32,
    first_event_id: i64,
    #[serde(serialize_with = "reply::time")]
    first_event_at: Timestamp,
    misfits: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_misfit_event_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WorkflowTask<'a> {
    attempt: u32,
    #[serde(serialize_with = "reply::time")]
    scheduled_at: Timestamp,
    #[serde(
        serialize_with = "reply::time_if_any",
        skip_serializing_if = "Option::is_none"
    )]
    started_at: Option<Timestamp>,
    #[serde(
        serialize_with = "reply::time_if_any",
        skip_serializing_if = "Option::is_none"
    )]
    next_attempt_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<&'a str>,
    #[serde(flatten)]
    failing: Option<Failures<'a>>,
}

/// Since when attempts fail, and how the last one did.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Failures<'a> {
    #[serde(serialize_with = "reply::time")]
    failing_since: Timestamp,
    #[serde(serialize_with = "reply::time")]
    last_failed_at: Timestamp,
    /// Of a workflow task: in Temporal's words, or that it was not answered in time.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_failure: Option<FailureBody<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "they are Temporal's names")]
struct Activity<'a> {
    activity_id: &'a str,
    activity_type: &'a str,
    task_queue: &'a str,
    state: &'static str,
    attempt: u32,
    #[serde(serialize_with = "reply::time")]
    scheduled_at: Timestamp,
    #[serde(
        serialize_with = "reply::time_if_any",
        skip_serializing_if = "Option::is_none"
    )]
    started_at: Option<Timestamp>,
    #[serde(
        serialize_with = "reply::time_if_any",
        skip_serializing_if = "Option::is_none"
    )]
    next_attempt_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<&'a str>,
    #[serde(flatten)]
    failing: Option<Failures<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    heartbeat_details: Option<Returned<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Timer<'a> {
    timer_id: &'a str,
    #[serde(serialize_with = "reply::time")]
    fires_at: Timestamp,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Child<'a> {
    workflow_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<RunId>,
    workflow_type: &'a str,
    initiated_event_id: i64,
}

impl<'a> Body<'a> {
    fn new(run: &'a Description) -> Self {
        Self {
            workflow_id: run.workflow_id.as_str(),
            run_id: run.run_id,
            first_run_id: run.first_run_id,
            workflow_type: run.workflow_type.as_str(),
            task_queue: run.task_queue.as_str(),
            status: run.status.as_str(),
            started_at: run.started_at,
            closed_at: run.closed_at,
            history_length: run.history_length,
            history_bytes: run.history_bytes,
            problems: problems(run),
            parent: run.parent.as_ref().map(Execution::of),
            memo: values(&run.memo),
            search_attributes: values(&run.search_attributes),
            cancel_requested: run.cancel_requested,
            pending_workflow_task: run.pending_workflow_task.as_ref().map(WorkflowTask::new),
            pending_activities: run.pending_activities.iter().map(Activity::new).collect(),
            pending_timers: run.pending_timers.iter().map(Timer::new).collect(),
            pending_children: run.pending_children.iter().map(Child::new).collect(),
            unread_signals: run.unread_signals.iter().map(Unread::new).collect(),
        }
    }
}

fn values(facts: &BTreeMap<String, Payload>) -> BTreeMap<&str, Value<'_>> {
    facts
        .iter()
        .map(|(key, payload)| (key.as_str(), Value(payload)))
        .collect()
}

impl<'a> WorkflowTask<'a> {
    fn new(task: &'a PendingWorkflowTask) -> Self {
        Self {
            attempt: task.attempt,
            scheduled_at: task.scheduled_at,
            started_at: task.started_at,
            next_attempt_at: task.next_attempt_at,
            worker: task.worker.as_ref().map(history::Identity::as_str),
            failing: task.failing.as_ref().map(|failing| Failures {
                failing_since: failing.since,
                last_failed_at: failing.last.at,
                cause: Some(match failing.last.cause {
                    WorkflowTaskAttemptCause::Failed(cause) => format!("{cause:?}"),
                    WorkflowTaskAttemptCause::TimedOut(_) => "TimedOut".to_owned(),
                }),
                last_failure: failing.last.failure.as_ref().map(FailureBody::of),
            }),
        }
    }
}

impl<'a> Activity<'a> {
    fn new(activity: &'a PendingActivity) -> Self {
        Self {
            activity_id: activity.activity_id.as_str(),
            activity_type: activity.activity_type.as_str(),
            task_queue: activity.task_queue.as_str(),
            state: activity.state,
            attempt: activity.attempt,
            scheduled_at: activity.scheduled_at,
            started_at: activity.started_at,
            next_attempt_at: activity.next_attempt_at,
            worker: activity.worker.as_ref().map(history::Identity::as_str),
            failing: activity.last_failure.as_ref().map(|last| Failures {
                failing_since: last.failing_since(),
                last_failed_at: last.ended_at,
                cause: None,
                last_failure: Some(FailureBody::of(&last.failure)),
            }),
            heartbeat_details: (!activity.heartbeat_details.is_empty())
                .then_some(Returned(&activity.heartbeat_details)),
        }
    }
}

impl<'a> Unread<'a> {
    fn new(unread: &'a UnreadSignals) -> Self {
        let misfit = unread.first_misfit.as_ref();
        Self {
            signal_name: unread.signal_name.as_str(),
            count: unread.count,
            first_event_id: unread.first_event_id.0,
            first_event_at: unread.first_event_at,
            misfits: unread.misfits,
            first_misfit_event_id: misfit.map(|misfit| misfit.event_id.0),
            problem: misfit.map(|misfit| misfit.problem.as_str()),
        }
    }
}

impl<'a> Timer<'a> {
    fn new(timer: &'a PendingTimer) -> Self {
        Self {
            timer_id: timer.timer_id.as_str(),
            fires_at: timer.fires_at,
        }
    }
}

impl<'a> Child<'a> {
    fn new(child: &'a PendingChild) -> Self {
        Self {
            workflow_id: child.workflow_id.as_str(),
            run_id: child.run_id,
            workflow_type: child.workflow_type.as_str(),
            initiated_event_id: child.initiated_event_id.0,
        }
    }
}
