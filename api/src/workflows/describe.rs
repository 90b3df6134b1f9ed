//! `GET …/workflows/{id}`: the state of a run, and what it waits for.

use std::collections::BTreeMap;

use axum::{extract::State, http::StatusCode, response::Response};
use engine::{Description, PendingActivity, PendingChild, PendingTimer, PendingWorkflowTask};
use history::{RunId, record::WorkflowTaskAttemptCause, task::UnreadSignals};
use serde::Serialize;

use super::{
    outcome::FailureBody,
    problem::{Problem, problems},
    run::RunQuery,
};
use crate::{
    app::App,
    error::Error,
    extract::{Query, WorkflowPath},
    reply::{self, Execution, Returned, Time, Value},
};

/// Describes a run.
pub(crate) async fn describe(
    State(app): State<App>,
    path: WorkflowPath,
    Query(run): Query<RunQuery>,
) -> Result<Response, Error> {
    let address = run.address(path)?;
    let description = app.engine()?.describe(&address).await?;
    Ok(reply::json(
        StatusCode::OK,
        &DescribeReply::new(&description),
    ))
}

/// The state of a run, and what it waits for.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DescribeReply<'a> {
    /// The workflow.
    workflow_id: &'a str,
    /// The run.
    run_id: RunId,
    /// The first run of its chain.
    first_run_id: RunId,
    /// The name of its code.
    workflow_type: &'a str,
    /// The queue whose workers run it.
    task_queue: &'a str,
    /// Its status.
    status: &'static str,
    /// When it started.
    started_at: Time,
    /// When it closed, if it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    closed_at: Option<Time>,
    /// How many events it has.
    history_length: i64,
    /// How large they are together.
    history_bytes: u64,
    /// What keeps it from going on, in sentences.
    problems: Vec<Problem>,
    /// The run that started it as a child.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<Execution<'a>>,
    /// Facts by key, shown with the run.
    memo: BTreeMap<&'a str, Value<'a>>,
    /// What lists find it by, as it is now.
    search_attributes: BTreeMap<&'a str, Value<'a>>,
    /// Whether somebody has asked it to cancel.
    cancel_requested: bool,
    /// Its workflow task, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pending_workflow_task: Option<WorkflowTaskReply<'a>>,
    /// Activities that have not ended.
    pending_activities: Vec<ActivityReply<'a>>,
    /// Timers that have not fired.
    pending_timers: Vec<TimerReply<'a>>,
    /// Children that have not ended.
    pending_children: Vec<ChildReply<'a>>,
    /// Signals that its code has not read, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unread_signals: Vec<UnreadReply<'a>>,
}

/// Signals of one name that its code has not read.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UnreadReply<'a> {
    /// Their name.
    signal_name: &'a str,
    /// How many there are.
    count: u32,
    /// The event of the oldest.
    first_event_id: i64,
    /// When that came.
    first_event_at: Time,
    /// How many are not what the code reads them as.
    misfits: u32,
    /// The event of the first of those.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_misfit_event_id: Option<i64>,
    /// What is wrong with that.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'a str>,
}

/// The workflow task that is under way or waits.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WorkflowTaskReply<'a> {
    /// Which attempt, from 1.
    attempt: u32,
    /// When it was scheduled.
    scheduled_at: Time,
    /// When this attempt began, if it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<Time>,
    /// When the next attempt comes, where one failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt_at: Option<Time>,
    /// Who has the attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<&'a str>,
    #[serde(flatten)]
    failing: Option<FailuresReply<'a>>,
}

/// Since when attempts fail, and how the last one did.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FailuresReply<'a> {
    /// When the first of them failed.
    failing_since: Time,
    /// When the last one did.
    last_failed_at: Time,
    /// Of a workflow task: in Temporal's words, or that it was not answered in time.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
    /// How the last one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_failure: Option<FailureBody<'a>>,
}

/// An activity that has not ended.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ActivityReply<'a> {
    /// Its id in the run.
    activity_id: &'a str,
    /// The name of its code.
    activity_type: &'a str,
    /// The queue whose workers take it.
    task_queue: &'a str,
    /// How far it is.
    state: &'static str,
    /// Which attempt, from 1.
    attempt: u32,
    /// When it was scheduled.
    scheduled_at: Time,
    /// When this attempt began, if it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<Time>,
    /// When the next attempt comes, where one failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt_at: Option<Time>,
    /// Who has the attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<&'a str>,
    #[serde(flatten)]
    failing: Option<FailuresReply<'a>>,
    /// What the last heartbeat said.
    #[serde(skip_serializing_if = "Option::is_none")]
    heartbeat_details: Option<Returned<'a>>,
}

/// A timer that has not fired.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TimerReply<'a> {
    /// Its id in the run.
    timer_id: &'a str,
    /// When it fires.
    fires_at: Time,
}

/// A child that has not ended.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChildReply<'a> {
    /// The child.
    workflow_id: &'a str,
    /// Its run, once it has started.
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<RunId>,
    /// The name of its code.
    workflow_type: &'a str,
    /// The event with which it was asked for.
    initiated_event_id: i64,
}

impl<'a> DescribeReply<'a> {
    fn new(run: &'a Description) -> Self {
        Self {
            workflow_id: run.workflow_id.as_str(),
            run_id: run.run_id,
            first_run_id: run.first_run_id,
            workflow_type: run.workflow_type.as_str(),
            task_queue: run.task_queue.as_str(),
            status: run.status.as_str(),
            started_at: Time(run.started_at),
            closed_at: run.closed_at.map(Time),
            history_length: run.history_length,
            history_bytes: run.history_bytes,
            problems: problems(run),
            parent: run.parent.as_ref().map(Execution::of),
            memo: reply::values(&run.memo),
            search_attributes: reply::values(&run.search_attributes),
            cancel_requested: run.cancel_requested,
            pending_workflow_task: run
                .pending_workflow_task
                .as_ref()
                .map(WorkflowTaskReply::new),
            pending_activities: run
                .pending_activities
                .iter()
                .map(ActivityReply::new)
                .collect(),
            pending_timers: run.pending_timers.iter().map(TimerReply::new).collect(),
            pending_children: run.pending_children.iter().map(ChildReply::new).collect(),
            unread_signals: run.unread_signals.iter().map(UnreadReply::new).collect(),
        }
    }
}

impl<'a> WorkflowTaskReply<'a> {
    fn new(task: &'a PendingWorkflowTask) -> Self {
        Self {
            attempt: task.attempt,
            scheduled_at: Time(task.scheduled_at),
            started_at: task.started_at.map(Time),
            next_attempt_at: task.next_attempt_at.map(Time),
            worker: task.worker.as_ref().map(history::Identity::as_str),
            failing: task.failing.as_ref().map(|failing| FailuresReply {
                failing_since: Time(failing.since),
                last_failed_at: Time(failing.last.at),
                cause: Some(match failing.last.cause {
                    WorkflowTaskAttemptCause::Failed(cause) => format!("{cause:?}"),
                    WorkflowTaskAttemptCause::TimedOut(_) => "TimedOut".to_owned(),
                }),
                last_failure: failing.last.failure.as_ref().map(FailureBody::of),
            }),
        }
    }
}

impl<'a> ActivityReply<'a> {
    fn new(activity: &'a PendingActivity) -> Self {
        Self {
            activity_id: activity.activity_id.as_str(),
            activity_type: activity.activity_type.as_str(),
            task_queue: activity.task_queue.as_str(),
            state: activity.state,
            attempt: activity.attempt,
            scheduled_at: Time(activity.scheduled_at),
            started_at: activity.started_at.map(Time),
            next_attempt_at: activity.next_attempt_at.map(Time),
            worker: activity.worker.as_ref().map(history::Identity::as_str),
            failing: activity.last_failure.as_ref().map(|last| FailuresReply {
                failing_since: Time(last.failing_since()),
                last_failed_at: Time(last.ended_at),
                cause: None,
                last_failure: Some(FailureBody::of(&last.failure)),
            }),
            heartbeat_details: (!activity.heartbeat_details.is_empty())
                .then_some(Returned(&activity.heartbeat_details)),
        }
    }
}

impl<'a> UnreadReply<'a> {
    fn new(unread: &'a UnreadSignals) -> Self {
        let misfit = unread.first_misfit.as_ref();
        Self {
            signal_name: unread.signal_name.as_str(),
            count: unread.count,
            first_event_id: unread.first_event_id.0,
            first_event_at: Time(unread.first_event_at),
            misfits: unread.misfits,
            first_misfit_event_id: misfit.map(|misfit| misfit.event_id.0),
            problem: misfit.map(|misfit| misfit.problem.as_str()),
        }
    }
}

impl<'a> TimerReply<'a> {
    fn new(timer: &'a PendingTimer) -> Self {
        Self {
            timer_id: timer.timer_id.as_str(),
            fires_at: Time(timer.fires_at),
        }
    }
}

impl<'a> ChildReply<'a> {
    fn new(child: &'a PendingChild) -> Self {
        Self {
            workflow_id: child.workflow_id.as_str(),
            run_id: child.run_id,
            workflow_type: child.workflow_type.as_str(),
            initiated_event_id: child.initiated_event_id.0,
        }
    }
}
