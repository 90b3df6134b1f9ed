//! The start of a workflow task: its event, and those of an attempt that leaves none.

use std::sync::Arc;

use super::run::Execution;
use crate::{
    event::{Event, WorkflowTaskScheduled, WorkflowTaskStarted},
    ids::{EventId, Identity},
    limits,
};

impl Execution {
    /// Returns the `WorkflowTaskScheduled` and `WorkflowTaskStarted` events of a started attempt that are not in
    /// the history, for the worker that has it. Empty unless the task is transient and started.
    pub fn transient_events(&self) -> Vec<Arc<Event>> {
        let Some(task) = self.workflow_task().filter(|task| task.is_transient()) else {
            return Vec::new();
        };
        let Some(start) = task.start() else {
            return Vec::new();
        };
        let scheduled = WorkflowTaskScheduled {
            task_queue: task.task_queue.clone(),
            task_queue_kind: task.kind,
            start_to_close_timeout: task.start_to_close_timeout,
            attempt: task.attempt,
        };
        let started = self.workflow_task_started(
            task.scheduled_event_id,
            start.identity.clone(),
            start.history_size_bytes,
        );
        vec![
            Arc::new(Event {
                id: task.scheduled_event_id,
                at: task.scheduled_at,
                kind: scheduled.into(),
            }),
            Arc::new(Event {
                id: start.started_event_id,
                at: start.at,
                kind: started.into(),
            }),
        ]
    }

    /// Returns the attributes of a `WorkflowTaskStarted` event.
    pub(crate) fn workflow_task_started(
        &self,
        scheduled_event_id: EventId,
        identity: Option<Identity>,
        history_size_bytes: i64,
    ) -> WorkflowTaskStarted {
        WorkflowTaskStarted {
            scheduled_event_id,
            identity,
            request_id: None,
            suggest_continue_as_new: self.should_continue_as_new(stored(history_size_bytes)),
            history_size_bytes,
        }
    }

    /// Says whether the history has grown long since the code was first asked. What it began with does not count: with that alone it would
    /// go on before it has done anything, and so would each run that follows.
    fn should_continue_as_new(&self, bytes: u64) -> bool {
        self.began_with.is_some_and(|began_with| {
            let events = self.next_event_id.0 - began_with.events;
            events > limits::SUGGEST_CONTINUE_AS_NEW_EVENTS
                || bytes.saturating_sub(began_with.bytes) >= limits::SUGGEST_CONTINUE_AS_NEW_BYTES
        })
    }
}

/// Returns what an event says of the size of its history.
pub(super) fn stored(history_size_bytes: i64) -> u64 {
    u64::try_from(history_size_bytes).unwrap_or(0)
}
