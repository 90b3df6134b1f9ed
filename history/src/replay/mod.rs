//! Holds what workflow code asks for against what its history says it asked for.
//!
//! Both sides become an [`Ask`]: [`Ask::of_command`] for the code, [`Ask::of_event`] for the record.
//! Code and history agree when the asks of each workflow task are equal, in order. Inputs, timeouts and
//! retry policies are not compared, as in Temporal: they may change under a running workflow.

use std::fmt;

use crate::{
    command::Command,
    event::{Event, EventKind},
    ids::{ActivityId, ActivityType, EventId, SignalName, TimerId, WorkflowId, WorkflowType},
    patch::Patch,
};

/// The first disagreement between code and history.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event {event_id}: the history has {expected}, but the code asked for {found}")]
pub struct NonDeterminism {
    /// The event on record, or the one that would stand where the record has none.
    pub event_id: EventId,
    /// What the record says was asked for.
    pub expected: String,
    /// What the code asked for.
    pub found: String,
}

/// What identifies a command: its type, and the names that must not change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Run an activity.
    ScheduleActivityTask {
        /// Its id.
        activity_id: ActivityId,
        /// Its code.
        activity_type: ActivityType,
    },
    /// Cancel an activity.
    RequestCancelActivityTask {
        /// Its `ActivityTaskScheduled` event.
        scheduled_event_id: EventId,
    },
    /// Start a timer.
    StartTimer {
        /// Its id.
        timer_id: TimerId,
    },
    /// Cancel a timer.
    CancelTimer {
        /// Its id.
        timer_id: TimerId,
    },
    /// Close as completed.
    CompleteWorkflowExecution,
    /// Close as failed.
    FailWorkflowExecution,
    /// Close as canceled.
    CancelWorkflowExecution,
    /// Go on in a new run.
    ContinueAsNewWorkflowExecution,
    /// Cancel another workflow.
    RequestCancelExternalWorkflowExecution {
        /// The target.
        workflow_id: WorkflowId,
    },
    /// Signal another workflow.
    SignalExternalWorkflowExecution {
        /// The target.
        workflow_id: WorkflowId,
        /// The channel.
        signal_name: SignalName,
    },
    /// Start a child.
    StartChildWorkflowExecution {
        /// Its id.
        workflow_id: WorkflowId,
        /// Its code.
        workflow_type: WorkflowType,
    },
    /// Note something for replay.
    RecordMarker {
        /// What kind of note.
        marker_name: String,
    },
    /// Note that the code goes the way of a change.
    Patch {
        /// The change.
        patch_id: String,
    },
    /// Change indexed facts.
    UpsertWorkflowSearchAttributes,
    /// Change the memo.
    ModifyWorkflowProperties,
    /// Call a Nexus operation.
    ScheduleNexusOperation {
        /// The endpoint, service and operation.
        name: String,
    },
    /// Cancel a Nexus operation.
    RequestCancelNexusOperation {
        /// Its `NexusOperationScheduled` event.
        scheduled_event_id: EventId,
    },
}

impl Ask {
    /// Returns what the command asks for; nothing for a `ProtocolMessage`, which has no event of its own.
    pub fn of_command(command: &Command) -> Option<Self> {
        Some(match command {
            Command::ScheduleActivityTask(activity) => Self::ScheduleActivityTask {
                activity_id: activity.activity_id.clone(),
                activity_type: activity.activity_type.clone(),
            },
            Command::RequestCancelActivityTask { scheduled_event_id } => {
                Self::RequestCancelActivityTask {
                    scheduled_event_id: *scheduled_event_id,
                }
            }
            Command::StartTimer { timer_id, .. } => Self::StartTimer {
                timer_id: timer_id.clone(),
            },
            Command::CancelTimer { timer_id } => Self::CancelTimer {
                timer_id: timer_id.clone(),
            },
            Command::CompleteWorkflowExecution { .. } => Self::CompleteWorkflowExecution,
            Command::FailWorkflowExecution { .. } => Self::FailWorkflowExecution,
            Command::CancelWorkflowExecution { .. } => Self::CancelWorkflowExecution,
            Command::RequestCancelExternalWorkflowExecution { workflow_id, .. } => {
                Self::RequestCancelExternalWorkflowExecution {
                    workflow_id: workflow_id.clone(),
                }
            }
            Command::RecordMarker {
                marker_name,
                details,
                ..
            } => Self::of_marker(marker_name, Patch::of_marker(marker_name, details)),
            Command::ContinueAsNewWorkflowExecution(_) => Self::ContinueAsNewWorkflowExecution,
            Command::StartChildWorkflowExecution(child) => Self::StartChildWorkflowExecution {
                workflow_id: child.workflow_id.clone(),
                workflow_type: child.workflow_type.clone(),
            },
            Command::SignalExternalWorkflowExecution {
                workflow_id,
                signal_name,
                ..
            } => Self::SignalExternalWorkflowExecution {
                workflow_id: workflow_id.clone(),
                signal_name: signal_name.clone(),
            },
            Command::UpsertWorkflowSearchAttributes { .. } => Self::UpsertWorkflowSearchAttributes,
            Command::ModifyWorkflowProperties { .. } => Self::ModifyWorkflowProperties,
            Command::ProtocolMessage { .. } => return None,
            Command::ScheduleNexusOperation {
                endpoint,
                service,
                operation,
                ..
            } => Self::ScheduleNexusOperation {
                name: nexus_name(endpoint, service, operation),
            },
            Command::RequestCancelNexusOperation { scheduled_event_id } => {
                Self::RequestCancelNexusOperation {
                    scheduled_event_id: *scheduled_event_id,
                }
            }
        })
    }

    /// Returns what was asked for when the event was made by a command; nothing for an event that came from elsewhere.
    pub fn of_event(kind: &EventKind) -> Option<Self> {
        Some(match kind {
            EventKind::ActivityTaskScheduled(event) => Self::ScheduleActivityTask {
                activity_id: event.activity_id.clone(),
                activity_type: event.activity_type.clone(),
            },
            EventKind::ActivityTaskCancelRequested(event) => Self::RequestCancelActivityTask {
                scheduled_event_id: event.scheduled_event_id,
            },
            EventKind::TimerStarted(event) => Self::StartTimer {
                timer_id: event.timer_id.clone(),
            },
            EventKind::TimerCanceled(event) => Self::CancelTimer {
                timer_id: event.timer_id.clone(),
            },
            EventKind::WorkflowExecutionCompleted(_) => Self::CompleteWorkflowExecution,
            EventKind::WorkflowExecutionFailed(_) => Self::FailWorkflowExecution,
            EventKind::WorkflowExecutionCanceled(_) => Self::CancelWorkflowExecution,
            EventKind::WorkflowExecutionContinuedAsNew(_) => Self::ContinueAsNewWorkflowExecution,
            EventKind::RequestCancelExternalWorkflowExecutionInitiated(event) => {
                Self::RequestCancelExternalWorkflowExecution {
                    workflow_id: event.workflow_id.clone(),
                }
            }
            EventKind::SignalExternalWorkflowExecutionInitiated(event) => {
                Self::SignalExternalWorkflowExecution {
                    workflow_id: event.workflow_id.clone(),
                    signal_name: event.signal_name.clone(),
                }
            }
            EventKind::StartChildWorkflowExecutionInitiated(event) => {
                Self::StartChildWorkflowExecution {
                    workflow_id: event.workflow_id.clone(),
                    workflow_type: event.workflow_type.clone(),
                }
            }
            EventKind::MarkerRecorded(event) => Self::of_marker(
                &event.marker_name,
                Patch::of_marker(&event.marker_name, &event.details),
            ),
            EventKind::UpsertWorkflowSearchAttributes(_) => Self::UpsertWorkflowSearchAttributes,
            EventKind::WorkflowPropertiesModified(_) => Self::ModifyWorkflowProperties,
            EventKind::NexusOperationScheduled(event) => Self::ScheduleNexusOperation {
                name: nexus_name(&event.endpoint, &event.service, &event.operation),
            },
            EventKind::NexusOperationCancelRequested(event) => Self::RequestCancelNexusOperation {
                scheduled_event_id: event.scheduled_event_id,
            },
            // A test of `EventKind::made_by_command_of` holds that no command's event is left out.
            _ => return None,
        })
    }

    fn of_marker(marker_name: &str, patch: Option<Patch>) -> Self {
        match patch {
            Some(Patch { id, .. }) => Self::Patch { patch_id: id },
            None => Self::RecordMarker {
                marker_name: marker_name.to_owned(),
            },
        }
    }

    /// Returns the type of the event that the command makes.
    fn event_name(&self) -> &'static str {
        match self {
            Self::ScheduleActivityTask { .. } => "ActivityTaskScheduled",
            Self::RequestCancelActivityTask { .. } => "ActivityTaskCancelRequested",
            Self::StartTimer { .. } => "TimerStarted",
            Self::CancelTimer { .. } => "TimerCanceled",
            Self::CompleteWorkflowExecution => "WorkflowExecutionCompleted",
            Self::FailWorkflowExecution => "WorkflowExecutionFailed",
            Self::CancelWorkflowExecution => "WorkflowExecutionCanceled",
            Self::ContinueAsNewWorkflowExecution => "WorkflowExecutionContinuedAsNew",
            Self::RequestCancelExternalWorkflowExecution { .. } => {
                "RequestCancelExternalWorkflowExecutionInitiated"
            }
            Self::SignalExternalWorkflowExecution { .. } => {
                "SignalExternalWorkflowExecutionInitiated"
            }
            Self::StartChildWorkflowExecution { .. } => "StartChildWorkflowExecutionInitiated",
            Self::RecordMarker { .. } | Self::Patch { .. } => "MarkerRecorded",
            Self::UpsertWorkflowSearchAttributes => "UpsertWorkflowSearchAttributes",
            Self::ModifyWorkflowProperties => "WorkflowPropertiesModified",
            Self::ScheduleNexusOperation { .. } => "NexusOperationScheduled",
            Self::RequestCancelNexusOperation { .. } => "NexusOperationCancelRequested",
        }
    }
}

impl fmt::Display for Ask {
    /// The event that the ask makes and its names: ``ActivityTaskScheduled of `charge` with id 1``.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.event_name())?;
        match self {
            Self::ScheduleActivityTask {
                activity_id,
                activity_type,
            } => write!(f, " of `{activity_type}` with id {activity_id}"),
            Self::RequestCancelActivityTask { scheduled_event_id }
            | Self::RequestCancelNexusOperation { scheduled_event_id } => {
                write!(f, " of event {scheduled_event_id}")
            }
            Self::StartTimer { timer_id } | Self::CancelTimer { timer_id } => {
                write!(f, " with id {timer_id}")
            }
            Self::RequestCancelExternalWorkflowExecution { workflow_id } => {
                write!(f, " of workflow {workflow_id}")
            }
            Self::SignalExternalWorkflowExecution {
                workflow_id,
                signal_name,
            } => write!(f, " of `{signal_name}` to workflow {workflow_id}"),
            Self::StartChildWorkflowExecution {
                workflow_id,
                workflow_type,
            } => write!(f, " of `{workflow_type}` with id {workflow_id}"),
            Self::RecordMarker { marker_name } => write!(f, " of `{marker_name}`"),
            Self::Patch { patch_id } => write!(f, " of patch `{patch_id}`"),
            Self::ScheduleNexusOperation { name } => write!(f, " of `{name}`"),
            Self::CompleteWorkflowExecution
            | Self::FailWorkflowExecution
            | Self::CancelWorkflowExecution
            | Self::ContinueAsNewWorkflowExecution
            | Self::UpsertWorkflowSearchAttributes
            | Self::ModifyWorkflowProperties => Ok(()),
        }
    }
}

/// Returns how a Nexus operation is named in a disagreement.
fn nexus_name(endpoint: &str, service: &str, operation: &str) -> String {
    format!("{endpoint}/{service}/{operation}")
}

/// Says whether code may leave out what made the event: it notes a patch that was deprecated.
pub fn may_be_absent(kind: &EventKind) -> bool {
    matches!(kind, EventKind::MarkerRecorded(marker)
        if Patch::of_marker(&marker.marker_name, &marker.details).is_some_and(|patch| patch.deprecated))
}

/// Holds the next thing that code asked for against the next event that a command made.
///
/// # Errors
/// When they differ, or the code asked for nothing more.
pub fn check(asked: Option<&Ask>, event_id: EventId, recorded: &Ask) -> Result<(), NonDeterminism> {
    if asked == Some(recorded) {
        return Ok(());
    }
    Err(NonDeterminism {
        event_id,
        expected: recorded.to_string(),
        found: asked.map_or_else(|| "nothing more".to_owned(), Ask::to_string),
    })
}

/// Holds what is left of the asks of a workflow task against the end of its events; `next` is the event after them.
///
/// # Errors
/// When the code asked for more than the history has.
pub fn finish(left: Option<&Ask>, next: EventId) -> Result<(), NonDeterminism> {
    match left {
        None => Ok(()),
        Some(ask) => Err(NonDeterminism {
            event_id: next,
            expected: "no further command of this workflow task".to_owned(),
            found: ask.to_string(),
        }),
    }
}

/// Holds the commands of one workflow task against the events after its `WorkflowTaskCompleted`, up to the
/// next `WorkflowTaskStarted` or the end. Events that no command made are passed over.
///
/// # Errors
/// The first disagreement.
pub fn compare<'a>(
    commands: impl IntoIterator<Item = &'a Command>,
    events: impl IntoIterator<Item = &'a Event>,
) -> Result<(), NonDeterminism> {
    let mut asked = commands.into_iter().filter_map(Ask::of_command).peekable();
    let mut next = EventId::FIRST;
    for event in events {
        if matches!(event.kind, EventKind::WorkflowTaskStarted(_)) {
            break;
        }
        if let Some(recorded) = Ask::of_event(&event.kind) {
            let absent = asked.peek() != Some(&recorded) && may_be_absent(&event.kind);
            if !absent {
                check(asked.next().as_ref(), event.id, &recorded)?;
            }
        }
        next = event.id.next();
    }
    finish(asked.next().as_ref(), next)
}

#[cfg(test)]
mod tests;
