//! Names of workers, task queues and what is handed out.

use history::{EventId, RunId, TaskQueue, Timestamp, task::ActivityTaskToken};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{store::namespaces::Ns, words::Key, world::World};

/// Names a connected worker, on all members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct SessionId(Uuid);

impl SessionId {
    pub(crate) fn new(world: World) -> Self {
        Self(world.uuid())
    }
}

/// One hand-out of an attempt. A run that is folded again may hand the same attempt out again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HandOut {
    pub(crate) run_id: RunId,
    pub(crate) scheduled_event_id: EventId,
    pub(crate) attempt: u32,
    /// Of the run when it was handed out.
    pub(crate) incarnation: u64,
}

impl HandOut {
    pub(crate) fn of(token: &ActivityTaskToken) -> Self {
        Self {
            run_id: token.run_id,
            scheduled_event_id: token.scheduled_event_id,
            attempt: token.attempt,
            incarnation: token.incarnation,
        }
    }

    pub(crate) fn token(self, key: &Key) -> ActivityTaskToken {
        ActivityTaskToken {
            namespace: key.namespace.name.clone(),
            workflow_id: key.workflow_id.clone(),
            run_id: self.run_id,
            scheduled_event_id: self.scheduled_event_id,
            attempt: self.attempt,
            incarnation: self.incarnation,
        }
    }
}

/// Names a task queue.
pub(crate) type QueueKey = (Ns, TaskQueue);

/// What kind of task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum Kind {
    Workflow,
    Activity,
}

impl Kind {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Workflow, Self::Activity];

    pub(crate) fn other(self) -> Self {
        match self {
            Self::Workflow => Self::Activity,
            Self::Activity => Self::Workflow,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Workflow => "workflow tasks",
            Self::Activity => "activities",
        }
    }
}

/// No worker takes what waits in a task queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Starved {
    /// Since when none has.
    pub since: Timestamp,
    /// Why.
    pub why: WhyStarved,
}

/// Why no worker takes what waits in a task queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WhyStarved {
    /// None polls it.
    NoPollers,
    /// Those that poll it take only the other kind of tasks.
    OtherKind,
    /// None of those that poll it has had a slot free for [`NO_SLOT_AFTER`](crate::limits::NO_SLOT_AFTER).
    NoSlots,
}

/// The order of queues that everybody sees alike.
pub(crate) fn order((queue, kind): &Waiting) -> (i16, &TaskQueue, Kind) {
    (queue.0.id, &queue.1, *kind)
}

/// The tasks of one kind in a queue.
pub(crate) type Waiting = (QueueKey, Kind);
