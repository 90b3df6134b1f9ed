//! Whether a run is open, and how it closed.

use serde::{Deserialize, Serialize};

use crate::event::EventKind;

/// The status of a run. Temporal: `WorkflowExecutionStatus`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Status {
    /// Open.
    #[default]
    Running,
    /// Workflow code returned.
    Completed,
    /// Workflow code failed.
    Failed,
    /// Workflow code ended as canceled.
    Canceled,
    /// Ended from outside.
    Terminated,
    /// Workflow code went on in a new run.
    ContinuedAsNew,
    /// Its time passed.
    TimedOut,
}

impl Status {
    const ALL: [Self; 7] = [
        Self::Running,
        Self::Completed,
        Self::Failed,
        Self::Canceled,
        Self::Terminated,
        Self::ContinuedAsNew,
        Self::TimedOut,
    ];

    /// Returns Temporal's number, from 1.
    pub fn number(self) -> i32 {
        match self {
            Self::Running => 1,
            Self::Completed => 2,
            Self::Failed => 3,
            Self::Canceled => 4,
            Self::Terminated => 5,
            Self::ContinuedAsNew => 6,
            Self::TimedOut => 7,
        }
    }

    /// Returns Temporal's name, in `PascalCase`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "Running",
            Self::Completed => "Completed",
            Self::Failed => "Failed",
            Self::Canceled => "Canceled",
            Self::Terminated => "Terminated",
            Self::ContinuedAsNew => "ContinuedAsNew",
            Self::TimedOut => "TimedOut",
        }
    }

    /// Returns the status of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }

    /// Returns the status of that number.
    pub fn numbered(number: i32) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|status| status.number() == number)
    }

    /// Returns the status that an event leaves a run in, if it closes it.
    pub fn closed_by(kind: &EventKind) -> Option<Self> {
        Some(match kind {
            EventKind::WorkflowExecutionCompleted(_) => Self::Completed,
            EventKind::WorkflowExecutionFailed(_) => Self::Failed,
            EventKind::WorkflowExecutionCanceled(_) => Self::Canceled,
            EventKind::WorkflowExecutionTerminated(_) => Self::Terminated,
            EventKind::WorkflowExecutionContinuedAsNew(_) => Self::ContinuedAsNew,
            EventKind::WorkflowExecutionTimedOut(_) => Self::TimedOut,
            _ => return None,
        })
    }

    /// Says whether the run is open.
    pub fn is_open(self) -> bool {
        self == Self::Running
    }
}
