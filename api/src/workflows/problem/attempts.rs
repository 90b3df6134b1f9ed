//! Workflow tasks and activities that fail and are tried again.

use engine::{PendingActivity, PendingWorkflowTask};
use history::{
    Note, Timestamp,
    record::{TaskFailed, WorkflowTaskAttemptCause},
};

use super::sentence::{Problem, cut, moment, seconds};

/// What fails and is tried again.
struct Attempts {
    about: String,
    fails: Fails,
    /// The attempt that is under way or comes next.
    attempt: u32,
    started_at: Option<Timestamp>,
    next_attempt_at: Option<Timestamp>,
    reason: String,
}

/// What is known of when it failed.
enum Fails {
    Since(Timestamp),
    LastAt(Timestamp),
}

impl Attempts {
    fn problem(self, now: Timestamp) -> Problem {
        let Self { about, attempt, .. } = self;
        let fails = match self.fails {
            Fails::Since(since) => format!("failing since {}", moment(since, now)),
            Fails::LastAt(at) => format!("failed at {}", moment(at, now)),
        };
        let standing = match (self.started_at, self.next_attempt_at) {
            (Some(at), _) => format!("attempt {attempt} under way for {}", seconds(now, at)),
            (None, Some(at)) if at > now => {
                format!("attempt {attempt} next in {}", seconds(at, now))
            }
            (None, _) => format!("attempt {attempt} waits for a worker"),
        };
        let reason = cut(&self.reason);
        Problem {
            message: format!("{about} {fails}, {standing}: {reason}"),
            about,
            reason,
        }
    }
}

/// Reads what is kept of the attempts of a workflow task.
pub(super) fn kept_workflow_task(note: &Note, now: Timestamp) -> Option<Problem> {
    let Note::WorkflowTaskAttempts {
        attempt,
        started,
        next_attempt_at,
        last_failure,
    } = note
    else {
        return None;
    };
    let attempts = Attempts {
        about: "workflow task".to_owned(),
        fails: Fails::LastAt(last_failure.at),
        attempt: *attempt,
        started_at: started.as_ref().map(|start| start.at),
        next_attempt_at: *next_attempt_at,
        reason: task_reason(last_failure),
    };
    Some(attempts.problem(now))
}

/// Reads what is kept of the attempts of an activity. It has no name there.
pub(super) fn kept_activity(note: &Note, now: Timestamp) -> Option<Problem> {
    let Note::ActivityAttempts {
        scheduled_event_id,
        attempt,
        started,
        next_attempt_at,
        last_failure: Some(last),
        ..
    } = note
    else {
        return None;
    };
    let attempts = Attempts {
        about: format!("activity of event {scheduled_event_id}"),
        fails: Fails::Since(last.failing_since()),
        attempt: *attempt,
        started_at: started.as_ref().map(|start| start.at),
        next_attempt_at: *next_attempt_at,
        reason: last.failure.line(),
    };
    Some(attempts.problem(now))
}

pub(super) fn workflow_task(task: &PendingWorkflowTask, now: Timestamp) -> Option<Problem> {
    let failing = task.failing.as_ref()?;
    let attempts = Attempts {
        about: "workflow task".to_owned(),
        fails: Fails::Since(failing.since),
        attempt: task.attempt,
        started_at: task.started_at,
        next_attempt_at: task.next_attempt_at,
        reason: task_reason(&failing.last),
    };
    Some(attempts.problem(now))
}

fn task_reason(last: &TaskFailed) -> String {
    match (&last.failure, last.cause) {
        (Some(failure), _) if !failure.message.is_empty() => failure.line(),
        (_, WorkflowTaskAttemptCause::Failed(cause)) => format!("{cause:?}"),
        (_, WorkflowTaskAttemptCause::TimedOut(_)) => {
            "no answer in time: its code keeps its thread busy, or its worker is gone".to_owned()
        }
    }
}

pub(super) fn failing_activity(activity: &PendingActivity, now: Timestamp) -> Option<Problem> {
    let last = activity.last_failure.as_ref()?;
    let attempts = Attempts {
        about: format!(
            "activity `{}` ({})",
            activity.activity_type, activity.activity_id
        ),
        fails: Fails::Since(last.failing_since()),
        attempt: activity.attempt,
        started_at: activity.started_at,
        next_attempt_at: activity.next_attempt_at,
        reason: last.failure.line(),
    };
    Some(attempts.problem(now))
}
