//! What must survive a crash of attempts and is not in the log: one note for each pending activity, and one for the
//! workflow task, which say where things stand. They are replaced, not added to, so a million attempts cost no more than one.

use super::{
    activity::{ActivityState, AttemptState},
    run::Execution,
    workflow_task::TaskFailing,
};
use crate::{
    ids::EventId,
    record::{AttemptStarted, Note, Noted, Record, TaskStarted},
};

impl Execution {
    /// Says whether a record that comes next stands in the log. What does not is kept by what [`Execution::attempts`] says
    /// after it, or is not kept.
    pub fn logs(&self, record: &Record) -> bool {
        let Record::Note(noted) = record else {
            return true;
        };
        match &noted.note {
            Note::Buffered { .. } | Note::RequestsHeard { .. } | Note::StartAttached { .. } => true,
            // Once for each activity, so that the log proves that it was handed out once.
            Note::ActivityAttemptStarted {
                scheduled_event_id, ..
            } => self
                .activity(*scheduled_event_id)
                .is_some_and(ActivityState::is_once),
            // What was buffered follows as events.
            Note::WorkflowTaskAttemptFailed { .. } => self.buffered_events() > 0,
            Note::ActivityAttemptScheduled { .. }
            | Note::ActivityAttemptFailed { .. }
            | Note::ActivityHeartbeat { .. }
            | Note::WorkflowTaskAttemptScheduled { .. }
            | Note::WorkflowTaskAttemptStarted { .. }
            | Note::ActivityAttempts { .. }
            | Note::WorkflowTaskAttempts { .. } => false,
        }
    }

    /// Returns what is to be kept, beside the log, of the attempts of a pending activity, or of the workflow task (by
    /// [`EventId::NONE`]). Applied after the log it leads to where things stand now. `None` when the log says it all.
    pub fn attempts(&self, of: EventId) -> Option<Noted> {
        let note = if of.is_none() {
            self.workflow_task_attempts()?
        } else {
            self.activity(of)?.attempts()?
        };
        let at = self.last_record_at;
        Some(Noted { at, note })
    }

    fn workflow_task_attempts(&self) -> Option<Note> {
        let task = self.workflow_task().filter(|task| task.is_transient())?;
        let failing = self.task_failing.as_deref()?;
        Some(Note::WorkflowTaskAttempts {
            attempt: task.attempt,
            started: task.start().map(|start| TaskStarted {
                at: start.at,
                identity: start.identity.clone(),
                history_size_bytes: start.history_size_bytes,
            }),
            next_attempt_at: task.backoff_until(),
            last_failure: Box::new(failing.last.clone()),
        })
    }

    /// Returns since when no workflow task is completed, and how the last one failed.
    pub fn task_failing(&self) -> Option<&TaskFailing> {
        self.task_failing.as_deref()
    }
}

impl ActivityState {
    /// Says whether one attempt is all that it has.
    pub fn is_once(&self) -> bool {
        self.attributes().retry_policy.maximum_attempts == 1
    }

    fn attempts(&self) -> Option<Note> {
        let (started, next_attempt_at) = match &self.state {
            AttemptState::Scheduled { at } => (None, (self.attempt > 1).then_some(*at)),
            AttemptState::Backoff { until } => (None, Some(*until)),
            AttemptState::Started {
                at,
                identity,
                heartbeat_at,
            } => {
                let start = AttemptStarted {
                    at: *at,
                    identity: identity.clone(),
                    heartbeat_at: *heartbeat_at,
                };
                (Some(start), None)
            }
            AttemptState::Ended => return None,
        };
        let says_nothing =
            self.attempt == 1 && started.is_none() && self.heartbeat_details.is_empty();
        (!says_nothing).then(|| Note::ActivityAttempts {
            scheduled_event_id: self.scheduled_event_id(),
            attempt: self.attempt,
            started,
            next_attempt_at,
            last_failure: self.last_failure.clone(),
            heartbeat_details: self.heartbeat_details.clone(),
        })
    }
}

impl Note {
    /// Returns the attempt of which a note that stands beside the log says that it has started.
    pub fn started_attempt(&self) -> Option<u32> {
        match self {
            Self::ActivityAttempts {
                attempt, started, ..
            } => started.as_ref().map(|_| *attempt),
            Self::WorkflowTaskAttempts {
                attempt, started, ..
            } => started.as_ref().map(|_| *attempt),
            Self::ActivityAttemptStarted { .. }
            | Self::ActivityAttemptScheduled { .. }
            | Self::ActivityAttemptFailed { .. }
            | Self::ActivityHeartbeat { .. }
            | Self::Buffered { .. }
            | Self::RequestsHeard { .. }
            | Self::StartAttached { .. }
            | Self::WorkflowTaskAttemptScheduled { .. }
            | Self::WorkflowTaskAttemptStarted { .. }
            | Self::WorkflowTaskAttemptFailed { .. } => None,
        }
    }

    /// Returns what a note of attempts is about: an `ActivityTaskScheduled` event, or [`EventId::NONE`] for the workflow
    /// task. `None` of what is about neither.
    pub fn about(&self) -> Option<EventId> {
        match self {
            Self::ActivityAttemptStarted {
                scheduled_event_id, ..
            }
            | Self::ActivityAttemptScheduled {
                scheduled_event_id, ..
            }
            | Self::ActivityAttemptFailed {
                scheduled_event_id, ..
            }
            | Self::ActivityHeartbeat {
                scheduled_event_id, ..
            }
            | Self::ActivityAttempts {
                scheduled_event_id, ..
            } => Some(*scheduled_event_id),
            Self::WorkflowTaskAttemptScheduled { .. }
            | Self::WorkflowTaskAttemptStarted { .. }
            | Self::WorkflowTaskAttemptFailed { .. }
            | Self::WorkflowTaskAttempts { .. } => Some(EventId::NONE),
            Self::Buffered { .. } | Self::RequestsHeard { .. } | Self::StartAttached { .. } => None,
        }
    }
}
