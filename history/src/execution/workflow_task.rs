//! The workflow task: at most one is pending.
//!
//! ```text
//! none        --Scheduled-->                 scheduled
//! scheduled   --Started-->                   started
//! started     --Completed-->                 none
//! started     --Failed, TimedOut-->          transient (waits)   or none, when the run was sticky
//! scheduled   --TimedOut (sticky queue)-->   none
//! transient   --note AttemptScheduled-->     transient (ready)
//! transient   --note AttemptStarted-->       transient (started)
//! transient   --note AttemptFailed-->        transient (waits), the next attempt
//! transient   --Scheduled-->                 scheduled: it completed, so it is written after all
//! transient   --any other event-->           none: a normal task must follow
//! ```

use crate::{
    event::TaskQueueKind,
    ids::{EventId, Identity, TaskQueue},
    record::TaskFailed,
    time::{Millis, Timestamp},
};

/// A pending workflow task.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkflowTaskState {
    /// Its `WorkflowTaskScheduled` event, or the id that it will have.
    pub scheduled_event_id: EventId,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// When it was scheduled.
    pub scheduled_at: Timestamp,
    /// Its start, if a worker has it.
    pub started: Option<WorkflowTaskStart>,
    /// Whether it has no events yet, because the attempt before it failed.
    pub transient: bool,
    /// The queue it goes to.
    pub task_queue: TaskQueue,
    /// Whether that queue is one worker's own.
    pub kind: TaskQueueKind,
    /// Until when it waits, if it does.
    pub backoff_until: Option<Timestamp>,
    /// The most time in the queue of one worker; zero for a queue of all.
    pub schedule_to_start_timeout: Millis,
    /// The most time from start to completion.
    pub start_to_close_timeout: Millis,
}

/// A worker has the task.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkflowTaskStart {
    /// Its `WorkflowTaskStarted` event, or the id that it will have.
    pub started_event_id: EventId,
    /// When.
    pub at: Timestamp,
    /// The worker.
    pub identity: Option<Identity>,
    /// The stored size of the history then.
    pub history_size_bytes: i64,
}

impl WorkflowTaskState {
    /// Says whether it may be handed out.
    pub fn is_ready(&self) -> bool {
        self.started.is_none() && self.backoff_until.is_none()
    }

    /// Takes note that a transient attempt is with a worker.
    pub(super) fn was_handed_out(
        &mut self,
        at: Timestamp,
        identity: Option<Identity>,
        history_size_bytes: i64,
    ) {
        self.backoff_until = None;
        self.started = Some(WorkflowTaskStart {
            started_event_id: self.scheduled_event_id.next(),
            at,
            identity,
            history_size_bytes,
        });
    }

    /// Returns when its wait ends or its timeout passes.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        match &self.started {
            Some(start) => Some(start.at.after(self.start_to_close_timeout)),
            None => self.backoff_until.or_else(|| {
                let timeout = self.schedule_to_start_timeout.non_zero()?;
                Some(self.scheduled_at.after(timeout))
            }),
        }
    }
}

/// No workflow task completes any more.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskFailing {
    /// When the first one failed after the last one that was completed.
    pub since: Timestamp,
    /// How the last one failed.
    pub last: TaskFailed,
}
