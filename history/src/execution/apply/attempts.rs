//! What is kept of attempts beside the log, applied after it.

use crate::{
    execution::{
        activity::{ActivityState, AttemptState},
        run::Execution,
        workflow_task::{TaskFailing, WorkflowTaskStage},
    },
    record::{Note, TaskFailed},
};

impl Execution {
    pub(super) fn task_fails(&mut self, last: TaskFailed) {
        let since = self
            .task_failing
            .as_ref()
            .map_or(last.at, |failing| failing.since);
        self.task_failing = Some(Box::new(TaskFailing { since, last }));
    }

    /// Puts things where a note says that they stand. One of something that is over changes nothing.
    pub(super) fn apply_attempts(&mut self, note: &Note) {
        match note {
            Note::ActivityAttempts {
                scheduled_event_id,
                attempt,
                started,
                next_attempt_at,
                last_failure,
                heartbeat_details,
            } => {
                let is_here = |activity: &ActivityState| {
                    activity.attempt <= *attempt && activity.state != AttemptState::Ended
                };
                if !self.activity(*scheduled_event_id).is_some_and(is_here) {
                    return;
                }
                // It is pending, so this changes it.
                let _ = self.change_activity(*scheduled_event_id, |activity| {
                    activity.attempt = *attempt;
                    activity.last_failure.clone_from(last_failure);
                    activity.heartbeat_details.clone_from(heartbeat_details);
                    if let Some(start) = started {
                        activity.state = AttemptState::Started {
                            at: start.at,
                            identity: start.identity.clone(),
                            heartbeat_at: start.heartbeat_at,
                        };
                    } else if let Some(until) = next_attempt_at {
                        activity.state = AttemptState::Backoff { until: *until };
                    }
                });
            }
            Note::WorkflowTaskAttempts {
                attempt,
                started,
                next_attempt_at,
                last_failure,
            } => {
                let timeout = self.workflow_task_timeout(*attempt);
                let Some(task) = self
                    .workflow_task
                    .as_deref_mut()
                    .filter(|task| task.is_transient() && task.attempt <= *attempt)
                else {
                    return;
                };
                task.attempt = *attempt;
                task.scheduled_at = task.scheduled_at.max(last_failure.at);
                task.start_to_close_timeout = timeout;
                if let Some(start) = started {
                    task.was_handed_out(start.at, start.identity.clone(), start.history_size_bytes);
                } else if !task.is_started() {
                    task.stage = WorkflowTaskStage::transient_until(*next_attempt_at);
                }
                self.task_fails((**last_failure).clone());
            }
            Note::ActivityAttemptStarted { .. }
            | Note::ActivityAttemptScheduled { .. }
            | Note::ActivityAttemptFailed { .. }
            | Note::ActivityHeartbeat { .. }
            | Note::Buffered { .. }
            | Note::RequestsHeard { .. }
            | Note::StartAttached { .. }
            | Note::WorkflowTaskAttemptScheduled { .. }
            | Note::WorkflowTaskAttemptStarted { .. }
            | Note::WorkflowTaskAttemptFailed { .. } => {}
        }
    }
}
