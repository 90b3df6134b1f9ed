//! What went wrong, as data: a tree that is recorded, retried by policy and carried to the caller.

use serde::{Deserialize, Serialize};

use crate::{
    ids::{
        ActivityId, ActivityType, EventId, Identity, Namespace, WorkflowExecution, WorkflowType,
    },
    limits::{FAILURE_DEPTH_MAX, KEPT_FAILURE_BYTES_MAX},
    payload::{Payload, Payloads},
    time::Millis,
};

/// A failure and its causes. Temporal: `temporal.api.failure.v1.Failure`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// A sentence for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The SDK that made it, `RustSDK` for ours.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// Where it happened, in the words of its language.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stack_trace: String,
    /// Message and stack trace, encrypted by a codec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoded_attributes: Option<Box<Payload>>,
    /// What caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Box<Failure>>,
    /// What kind of failure it is.
    pub info: FailureInfo,
}

/// The kinds of failure. Temporal: the `failure_info` of `Failure`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all_fields = "snake_case")]
pub enum FailureInfo {
    /// User code failed.
    Application {
        /// The error type by which retry policies know it.
        #[serde(default, rename = "type", skip_serializing_if = "String::is_empty")]
        kind: String,
        /// Never retried, whatever the policy.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        non_retryable: bool,
        /// The user's own error, encoded.
        #[serde(default, skip_serializing_if = "Payloads::is_empty")]
        details: Payloads,
        /// Overrides the policy's next interval.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next_retry_delay: Option<Millis>,
    },
    /// A timeout passed.
    TimedOut {
        /// Which one.
        timeout_type: TimeoutType,
        /// What the last heartbeat said.
        #[serde(default, skip_serializing_if = "Payloads::is_empty")]
        last_heartbeat_details: Payloads,
    },
    /// Canceled on request.
    Canceled {
        /// What user code said of it.
        #[serde(default, skip_serializing_if = "Payloads::is_empty")]
        details: Payloads,
    },
    /// Ended from outside.
    Terminated,
    /// The server itself failed.
    Server {
        /// Never retried.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        non_retryable: bool,
    },
    /// The workflow was reset while an activity ran.
    ResetWorkflow {
        /// What the last heartbeat said.
        #[serde(default, skip_serializing_if = "Payloads::is_empty")]
        last_heartbeat_details: Payloads,
    },
    /// An activity failed; the cause says why.
    Activity {
        /// Its `ActivityTaskScheduled` event.
        scheduled_event_id: EventId,
        /// Its `ActivityTaskStarted` event.
        started_event_id: EventId,
        /// The worker of the last attempt.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        identity: Option<Identity>,
        /// The activity's code.
        activity_type: ActivityType,
        /// The activity's id.
        activity_id: ActivityId,
        /// Why it was not retried.
        retry_state: RetryState,
    },
    /// A child workflow failed; the cause says why.
    ChildWorkflowExecution {
        /// The child's namespace.
        namespace: Namespace,
        /// The child's last run.
        workflow_execution: WorkflowExecution,
        /// The child's code.
        workflow_type: WorkflowType,
        /// Its `StartChildWorkflowExecutionInitiated` event.
        initiated_event_id: EventId,
        /// Its `ChildWorkflowExecutionStarted` event.
        started_event_id: EventId,
        /// Why it was not retried.
        retry_state: RetryState,
    },
    /// A Nexus operation failed; the cause says why.
    NexusOperation {
        /// Its `NexusOperationScheduled` event.
        scheduled_event_id: EventId,
        /// The endpoint's name.
        endpoint: String,
        /// The service's name.
        service: String,
        /// The operation's name.
        operation: String,
        /// The token of an asynchronous operation.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        operation_token: String,
    },
    /// A Nexus handler failed.
    NexusHandler {
        /// The handler error's type.
        #[serde(rename = "type")]
        kind: String,
    },
}

impl Failure {
    /// Returns a failure with a message, a kind and nothing else.
    pub fn new(message: impl Into<String>, info: FailureInfo) -> Self {
        Self {
            message: message.into(),
            source: String::new(),
            stack_trace: String::new(),
            encoded_attributes: None,
            cause: None,
            info,
        }
    }

    /// Returns an application failure of a named type.
    pub fn application(
        message: impl Into<String>,
        kind: impl Into<String>,
        non_retryable: bool,
    ) -> Self {
        Self::new(
            message,
            FailureInfo::Application {
                kind: kind.into(),
                non_retryable,
                details: Payloads::default(),
                next_retry_delay: None,
            },
        )
    }

    /// Returns the failure of a passed timeout.
    pub fn timed_out(timeout_type: TimeoutType, last_heartbeat_details: Payloads) -> Self {
        Self::new(
            format!("activity {} timeout", timeout_type.as_str()),
            FailureInfo::TimedOut {
                timeout_type,
                last_heartbeat_details,
            },
        )
    }

    /// Returns the failure of an attempt whose worker is gone. Temporal knows that by a heartbeat that does not come, and so does
    /// whoever reads the history.
    pub fn worker_lost(last_heartbeat_details: Payloads) -> Self {
        Self {
            message: "the worker that ran the attempt is gone".to_owned(),
            ..Self::timed_out(TimeoutType::Heartbeat, last_heartbeat_details)
        }
    }

    /// Returns the bytes it counts for in limits, its causes included.
    pub fn size(&self) -> usize {
        let details = match &self.info {
            FailureInfo::Application { kind, details, .. } => kind.len() + details.size(),
            FailureInfo::Canceled { details } => details.size(),
            FailureInfo::TimedOut {
                last_heartbeat_details,
                ..
            }
            | FailureInfo::ResetWorkflow {
                last_heartbeat_details,
            } => last_heartbeat_details.size(),
            FailureInfo::Terminated
            | FailureInfo::Server { .. }
            | FailureInfo::Activity { .. }
            | FailureInfo::ChildWorkflowExecution { .. }
            | FailureInfo::NexusOperation { .. }
            | FailureInfo::NexusHandler { .. } => 0,
        };
        self.message.len()
            + self.source.len()
            + self.stack_trace.len()
            + self
                .encoded_attributes
                .as_ref()
                .map_or(0, |payload| payload.size())
            + details
            + self.cause.as_ref().map_or(0, |cause| cause.size())
    }

    /// Returns how many failures it is, its causes included.
    pub fn depth(&self) -> usize {
        std::iter::successors(Some(self), |failure| failure.cause.as_deref()).count()
    }

    /// Returns the message and those of its causes in one line, without what a message says again.
    pub fn line(&self) -> String {
        let mut line = String::new();
        for failure in std::iter::successors(Some(self), |failure| failure.cause.as_deref()) {
            if line.contains(&failure.message) {
                continue;
            }
            if !line.is_empty() {
                line.push_str(": ");
            }
            line.push_str(&failure.message);
        }
        line.replace(char::is_control, " ")
    }

    /// Returns what is kept of it while a next attempt follows: all of it when it is small, else what tells most, without
    /// the user's details: the outermost failure and its innermost cause.
    #[must_use]
    pub fn kept(&self) -> Self {
        if self.size() <= KEPT_FAILURE_BYTES_MAX && self.depth() <= FAILURE_DEPTH_MAX {
            return self.clone();
        }
        let innermost =
            std::iter::successors(self.cause.as_deref(), |failure| failure.cause.as_deref()).last();
        Self {
            cause: innermost.map(|cause| Box::new(cause.shortened())),
            ..self.shortened()
        }
    }

    /// Returns it without causes and details, in at most half of what is kept.
    fn shortened(&self) -> Self {
        let quarter = KEPT_FAILURE_BYTES_MAX / 4;
        Self {
            message: shortened(&self.message, quarter),
            source: shortened(&self.source, quarter / 4),
            stack_trace: shortened(&self.stack_trace, quarter / 4),
            encoded_attributes: None,
            cause: None,
            info: match &self.info {
                FailureInfo::Application {
                    kind,
                    non_retryable,
                    next_retry_delay,
                    ..
                } => FailureInfo::Application {
                    kind: shortened(kind, quarter / 4),
                    non_retryable: *non_retryable,
                    details: Payloads::default(),
                    next_retry_delay: *next_retry_delay,
                },
                FailureInfo::TimedOut { timeout_type, .. } => FailureInfo::TimedOut {
                    timeout_type: *timeout_type,
                    last_heartbeat_details: Payloads::default(),
                },
                FailureInfo::Canceled { .. } => FailureInfo::Canceled {
                    details: Payloads::default(),
                },
                FailureInfo::ResetWorkflow { .. } => FailureInfo::ResetWorkflow {
                    last_heartbeat_details: Payloads::default(),
                },
                info @ (FailureInfo::Terminated
                | FailureInfo::Server { .. }
                | FailureInfo::Activity { .. }
                | FailureInfo::ChildWorkflowExecution { .. }
                | FailureInfo::NexusOperation { .. }
                | FailureInfo::NexusHandler { .. }) => info.clone(),
            },
        }
    }

    /// Returns this failure with a cause.
    #[must_use]
    pub fn because(mut self, cause: Self) -> Self {
        self.cause = Some(Box::new(cause));
        self
    }
}

/// Returns the beginning of a text, and says so if that is not all of it.
fn shortened(text: &str, bytes_max: usize) -> String {
    const CUT: &str = " … (cut)";
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(bytes_max - CUT.len());
    format!("{}{CUT}", &text[..end])
}

/// Which timeout passed. Temporal: `TimeoutType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TimeoutType {
    /// From the hand-out of an attempt to its end. Temporal: `TIMEOUT_TYPE_START_TO_CLOSE`.
    StartToClose,
    /// From scheduling to the hand-out. Temporal: `TIMEOUT_TYPE_SCHEDULE_TO_START`.
    ScheduleToStart,
    /// From the first scheduling to the end, retries included. Temporal: `TIMEOUT_TYPE_SCHEDULE_TO_CLOSE`.
    ScheduleToClose,
    /// Between two heartbeats. Temporal: `TIMEOUT_TYPE_HEARTBEAT`.
    Heartbeat,
}

impl TimeoutType {
    /// Returns Temporal's short name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StartToClose => "StartToClose",
            Self::ScheduleToStart => "ScheduleToStart",
            Self::ScheduleToClose => "ScheduleToClose",
            Self::Heartbeat => "Heartbeat",
        }
    }
}

/// Whether and why something was not retried. Temporal: `RetryState`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RetryState {
    /// Not said.
    #[default]
    Unspecified,
    /// A retry follows.
    InProgress,
    /// The failure is of a kind that is not retried.
    NonRetryableFailure,
    /// The next attempt would lie beyond a timeout.
    Timeout,
    /// All attempts were used.
    MaximumAttemptsReached,
    /// There is no policy.
    RetryPolicyNotSet,
    /// The server failed.
    InternalServerError,
    /// A cancellation was requested.
    CancelRequested,
}

#[cfg(test)]
mod tests {
    use super::Failure;

    #[test]
    fn a_failure_and_its_causes_are_one_line() {
        let failure = |message: &str| Failure::application(message, "", false);
        for (failure, line) in [
            (failure("boom"), "boom"),
            (
                failure("a").because(failure("b").because(failure("c"))),
                "a: b: c",
            ),
            (
                failure("not read: no\nfield").because(failure("no\nfield")),
                "not read: no field",
            ),
            (failure("").because(failure("b")), "b"),
        ] {
            assert_eq!(failure.line(), line);
        }
    }
}
