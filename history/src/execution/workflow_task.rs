//! The workflow task: at most one is pending.
//!
//! ```text
//! none                --Scheduled-->                 scheduled
//! scheduled           --Started-->                   started
//! started             --Completed-->                 none
//! started             --Failed, TimedOut-->          transient backoff or scheduled;  none, when the run was sticky
//! scheduled           --TimedOut (sticky queue)-->   none
//! transient backoff   --note AttemptScheduled-->     transient scheduled
//! transient scheduled --note AttemptStarted-->       transient started   (also from backoff)
//! any transient       --note AttemptFailed-->        transient backoff or scheduled, the next attempt
//! any transient       --Scheduled-->                 scheduled: it completed, so it is written after all
//! transient, waiting  --any other event-->           none: a normal task must follow
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
    /// Where it stands.
    pub stage: WorkflowTaskStage,
    /// The queue it goes to.
    pub task_queue: TaskQueue,
    /// Whether that queue is one worker's own.
    pub kind: TaskQueueKind,
    /// The most time from start to completion.
    pub start_to_close_timeout: Millis,
}

/// Where a workflow task stands. A transient one has no events yet, because the attempt before it failed.
#[derive(Debug, Clone, PartialEq)]
pub enum WorkflowTaskStage {
    /// It waits for a worker.
    Scheduled {
        /// The most time in the queue of one worker; zero for a queue of all.
        schedule_to_start_timeout: Millis,
    },
    /// A worker has it.
    Started(WorkflowTaskStart),
    /// It waits before it may be handed out, and has no events.
    TransientBackoff {
        /// Until when.
        until: Timestamp,
    },
    /// It waits for a worker, and has no events.
    TransientScheduled,
    /// A worker has it, and it has no events.
    TransientStarted(WorkflowTaskStart),
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

impl WorkflowTaskStage {
    /// Returns the stage of a transient attempt that waits until then, if it waits.
    pub(super) fn transient_until(until: Option<Timestamp>) -> Self {
        until.map_or(Self::TransientScheduled, |until| Self::TransientBackoff {
            until,
        })
    }
}

impl WorkflowTaskState {
    /// Says whether it may be handed out.
    pub fn is_ready(&self) -> bool {
        self.start().is_none() && self.backoff_until().is_none()
    }

    /// Says whether it has no events yet, because the attempt before it failed.
    pub fn is_transient(&self) -> bool {
        match self.stage {
            WorkflowTaskStage::Scheduled { .. } | WorkflowTaskStage::Started(_) => false,
            WorkflowTaskStage::TransientBackoff { .. }
            | WorkflowTaskStage::TransientScheduled
            | WorkflowTaskStage::TransientStarted(_) => true,
        }
    }

    /// Returns its start, if a worker has it.
    pub fn start(&self) -> Option<&WorkflowTaskStart> {
        match &self.stage {
            WorkflowTaskStage::Started(start) | WorkflowTaskStage::TransientStarted(start) => {
                Some(start)
            }
            WorkflowTaskStage::Scheduled { .. }
            | WorkflowTaskStage::TransientBackoff { .. }
            | WorkflowTaskStage::TransientScheduled => None,
        }
    }

    /// Says whether a worker has it.
    pub fn is_started(&self) -> bool {
        self.start().is_some()
    }

    /// Returns until when it waits, if it does.
    pub fn backoff_until(&self) -> Option<Timestamp> {
        match self.stage {
            WorkflowTaskStage::TransientBackoff { until } => Some(until),
            WorkflowTaskStage::Scheduled { .. }
            | WorkflowTaskStage::Started(_)
            | WorkflowTaskStage::TransientScheduled
            | WorkflowTaskStage::TransientStarted(_) => None,
        }
    }

    /// Takes note that a transient attempt is with a worker.
    pub(super) fn was_handed_out(
        &mut self,
        at: Timestamp,
        identity: Option<Identity>,
        history_size_bytes: i64,
    ) {
        self.stage = WorkflowTaskStage::TransientStarted(WorkflowTaskStart {
            started_event_id: self.scheduled_event_id.next(),
            at,
            identity,
            history_size_bytes,
        });
    }

    /// Returns when its wait ends or its timeout passes.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        match &self.stage {
            WorkflowTaskStage::Started(start) | WorkflowTaskStage::TransientStarted(start) => {
                Some(start.at.after(self.start_to_close_timeout))
            }
            WorkflowTaskStage::TransientBackoff { until } => Some(*until),
            WorkflowTaskStage::Scheduled {
                schedule_to_start_timeout,
            } => {
                let timeout = schedule_to_start_timeout.non_zero()?;
                Some(self.scheduled_at.after(timeout))
            }
            WorkflowTaskStage::TransientScheduled => None,
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
