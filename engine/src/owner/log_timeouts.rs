//! What the log says of attempts that ended without a worker's word: nobody else can say it.

use history::{EventId, EventKind as K, Execution, Note, Record, record::WorkflowTaskAttemptCause};

/// Logs a timeout of an attempt. `execution` is the run before the record.
pub(super) fn timed_out(execution: &Execution, record: &Record) {
    match record {
        Record::Event(event) => match &event.kind {
            K::WorkflowTaskTimedOut(_) => workflow_task(execution),
            K::ActivityTaskTimedOut(ended) => {
                activity(execution, ended.scheduled_event_id, &ended.failure);
            }
            _ => {}
        },
        Record::Note(noted) => match &noted.note {
            Note::WorkflowTaskAttemptFailed {
                cause: WorkflowTaskAttemptCause::TimedOut(_),
                ..
            } => workflow_task(execution),
            Note::ActivityAttemptFailed {
                scheduled_event_id,
                failure,
                ..
            } => activity(execution, *scheduled_event_id, failure),
            Note::WorkflowTaskAttemptFailed { .. }
            | Note::WorkflowTaskAttemptScheduled { .. }
            | Note::WorkflowTaskAttemptStarted { .. }
            | Note::WorkflowTaskAttempts { .. }
            | Note::ActivityAttemptScheduled { .. }
            | Note::ActivityAttemptStarted { .. }
            | Note::ActivityAttempts { .. }
            | Note::ActivityHeartbeat { .. }
            | Note::Buffered { .. }
            | Note::RequestsHeard { .. }
            | Note::StartAttached { .. } => {}
        },
    }
}

fn workflow_task(execution: &Execution) {
    let Some(task) = execution.workflow_task() else {
        return;
    };
    tracing::warn!(
        workflow_id = %execution.workflow_id(), run_id = %execution.run_id(), workflow_type = %execution.workflow_type(),
        attempt = task.attempt, worker = worker(task.start().and_then(|start| start.identity.as_ref())),
        "a workflow task was not answered in time: its code keeps its thread busy, or its worker is gone"
    );
}

fn activity(execution: &Execution, scheduled_event_id: EventId, failure: &history::Failure) {
    let Some(activity) = execution.activity(scheduled_event_id) else {
        return;
    };
    let attributes = activity.attributes();
    tracing::warn!(
        workflow_id = %execution.workflow_id(), run_id = %execution.run_id(), activity_type = %attributes.activity_type,
        activity_id = %attributes.activity_id, attempt = activity.attempt, reason = failure.line(),
        "an attempt of an activity timed out"
    );
}

fn worker(identity: Option<&history::Identity>) -> &str {
    identity.map_or("unknown", history::Identity::as_str)
}
