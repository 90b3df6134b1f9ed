//! What a committed row holds: events, and notes between them.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned, de::Error as _};

use crate::{
    chain::VERSION,
    event::{Event, EventKind, WorkflowTaskFailedCause},
    failure::{Failure, TimeoutType},
    ids::{EventId, Identity, RequestId},
    payload::Payloads,
    requests::RequestsHeard,
    time::Timestamp,
};

/// One entry of a run's log. State is the fold of records, in order.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Record {
    /// A numbered event, as Temporal knows it.
    Event(Arc<Event>),
    /// What must survive a crash but has no event id in Temporal.
    Note(Noted),
}

/// A note and its time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Noted {
    /// When it was made.
    #[serde(rename = "t")]
    pub at: Timestamp,
    /// What it says.
    #[serde(rename = "n")]
    pub note: Note,
}

/// What must survive a crash but is no event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Note {
    /// An attempt of an activity was handed out. In the log, before the hand-out, when only one attempt is allowed.
    ActivityAttemptStarted {
        /// The activity's `ActivityTaskScheduled` event.
        scheduled_event_id: EventId,
        /// Which attempt, from 1.
        attempt: u32,
        /// The worker.
        identity: Option<Identity>,
    },
    /// The wait before an attempt is over. It says nothing that time does not say.
    ActivityAttemptScheduled {
        /// The activity's `ActivityTaskScheduled` event.
        scheduled_event_id: EventId,
        /// Which attempt, from 2.
        attempt: u32,
    },
    /// An attempt failed or timed out, and another one follows.
    ActivityAttemptFailed {
        /// The activity's `ActivityTaskScheduled` event.
        scheduled_event_id: EventId,
        /// Which attempt, from 1.
        attempt: u32,
        /// When it was handed out, if it was.
        started_at: Option<Timestamp>,
        /// The worker.
        identity: Option<Identity>,
        /// How it failed.
        failure: Box<Failure>,
        /// When the next attempt may be handed out.
        next_attempt_at: Timestamp,
    },
    /// What the last heartbeat of an attempt said.
    ActivityHeartbeat {
        /// The activity's `ActivityTaskScheduled` event.
        scheduled_event_id: EventId,
        /// Which attempt, from 1.
        attempt: u32,
        /// The details.
        details: Payloads,
    },
    /// Something happened while a workflow task was with a worker; it becomes an event when that task ends.
    Buffered {
        /// What happened. Ids of events that are still buffered themselves are [`EventId::NONE`].
        event: EventKind,
    },
    /// The wait before an attempt of a workflow task is over, or a worker with other code has come.
    WorkflowTaskAttemptScheduled {
        /// Which attempt, from 2.
        attempt: u32,
    },
    /// A workflow task beyond the first attempt was handed out, which leaves no event until it completes.
    WorkflowTaskAttemptStarted {
        /// Which attempt, from 2.
        attempt: u32,
        /// The worker.
        identity: Option<Identity>,
        /// The stored size of the history so far; workflow code can read it.
        history_size_bytes: i64,
    },
    /// What earlier runs of the id have heard; stands behind the first event of a run that took the id over, if there is anything.
    RequestsHeard {
        /// Each run, the oldest first.
        runs: Vec<RequestsHeard>,
    },
    /// A start found this run open and was answered with it, as its conflict policy says.
    StartAttached {
        /// The request: its repetition finds this run, also when that has closed.
        request_id: RequestId,
    },
    /// A workflow task beyond the first attempt failed or timed out, which leaves no event. In the log when something was
    /// buffered for it, which follows as events.
    WorkflowTaskAttemptFailed {
        /// Which attempt, from 2.
        attempt: u32,
        /// Why.
        cause: WorkflowTaskAttemptCause,
        /// More of why, at most [`crate::limits::KEPT_FAILURE_BYTES_MAX`].
        failure: Option<Box<Failure>>,
        /// The worker.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        identity: Option<Identity>,
    },
    /// Where the attempts of a pending activity stand. Never in the log: beside it there is one of these for each
    /// activity of which the log does not say all.
    ActivityAttempts {
        /// The activity's `ActivityTaskScheduled` event.
        scheduled_event_id: EventId,
        /// Which attempt it is at, from 1.
        attempt: u32,
        /// That attempt's hand-out, if it is known to have been handed out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        started: Option<AttemptStarted>,
        /// When that attempt may be handed out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next_attempt_at: Option<Timestamp>,
        /// How the attempt before it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last_failure: Option<Box<AttemptFailed>>,
        /// What the last heartbeat said, of this attempt or of one before it.
        #[serde(default, skip_serializing_if = "Payloads::is_empty")]
        heartbeat_details: Payloads,
    },
    /// Where the attempts of the pending workflow task stand. Never in the log: beside it there is one of these while a
    /// workflow task is at its third attempt or later, or its second one has run long.
    WorkflowTaskAttempts {
        /// Which attempt it is at, from 2.
        attempt: u32,
        /// That attempt's hand-out, if it is known to have been handed out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        started: Option<TaskStarted>,
        /// When that attempt may be handed out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next_attempt_at: Option<Timestamp>,
        /// How the attempt before it failed.
        last_failure: Box<TaskFailed>,
    },
}

/// An attempt of an activity is with a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptStarted {
    /// Since when.
    pub at: Timestamp,
    /// The worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// When it last said that it is alive; its start counts.
    pub heartbeat_at: Timestamp,
}

/// An attempt of an activity that failed or timed out, and was followed by another one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptFailed {
    /// Which attempt, from 1.
    pub attempt: u32,
    /// When it was handed out, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it failed.
    pub ended_at: Timestamp,
    /// When the first of the attempts failed, if this is not the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_ended_at: Option<Timestamp>,
    /// The worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// How, at most [`crate::limits::KEPT_FAILURE_BYTES_MAX`].
    pub failure: Failure,
}

impl AttemptFailed {
    /// Returns since when the activity fails.
    pub fn failing_since(&self) -> Timestamp {
        self.first_ended_at.unwrap_or(self.ended_at)
    }
}

/// A workflow task beyond the first attempt is with a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskStarted {
    /// Since when.
    pub at: Timestamp,
    /// The worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// The stored size of the history then.
    pub history_size_bytes: i64,
}

/// An attempt of a workflow task that failed or timed out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskFailed {
    /// Which attempt, from 1.
    pub attempt: u32,
    /// When it failed.
    pub at: Timestamp,
    /// Why.
    pub cause: WorkflowTaskAttemptCause,
    /// More of why, at most [`crate::limits::KEPT_FAILURE_BYTES_MAX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
}

/// Why a transient workflow task ended without completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkflowTaskAttemptCause {
    /// It failed.
    Failed(WorkflowTaskFailedCause),
    /// A timeout passed.
    TimedOut(TimeoutType),
}

/// Why a stored row can't be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// A newer binary wrote it.
    #[error(
        "it has the stored form {0}, and this binary knows those up to {VERSION}; run the newer binary"
    )]
    Newer(i16),
    /// There is no such form.
    #[error("there is no stored form {0}")]
    NoForm(i16),
    /// It is not what its form says.
    #[error("{0}")]
    Text(#[from] serde_json::Error),
}

/// Reads the records of a stored row, which is of the form that it was written in.
///
/// The form is what a reader must know. What any reader may leave out (an optional field) changes nothing: a binary that does not know
/// it folds the same run, so both may share a database. What none may leave out (a kind of event or note, a field that others depend
/// on) takes the next number, and a release that reads it goes before the one that writes it.
///
/// # Errors
/// When the form is not known, or the text is not of that form.
pub fn read(version: i16, records: &str) -> Result<Vec<Record>, Unreadable> {
    stored(version, records)
}

/// Reads one record that is stored by itself.
///
/// # Errors
/// As [`read`].
pub fn read_one(version: i16, record: &str) -> Result<Record, Unreadable> {
    stored(version, record)
}

fn stored<T: DeserializeOwned>(version: i16, text: &str) -> Result<T, Unreadable> {
    match version {
        VERSION => Ok(serde_json::from_str(text)?),
        newer if newer > VERSION => Err(Unreadable::Newer(newer)),
        none => Err(Unreadable::NoForm(none)),
    }
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Not `untagged`: that buffers, and a payload's text must be read straight from the row.
        #[derive(Deserialize)]
        struct Stored {
            #[serde(default)]
            id: EventId,
            t: Timestamp,
            e: Option<EventKind>,
            n: Option<Note>,
        }
        let Stored { id, t, e, n } = Stored::deserialize(deserializer)?;
        match (e, n) {
            (Some(kind), None) => Ok(Self::Event(Arc::new(Event { id, at: t, kind }))),
            (None, Some(note)) => Ok(Self::Note(Noted { at: t, note })),
            (Some(_), Some(_)) | (None, None) => {
                Err(D::Error::custom("a record is an event or a note"))
            }
        }
    }
}

impl Note {
    /// Returns the name of the kind of note.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ActivityAttemptStarted { .. } => "ActivityAttemptStarted",
            Self::ActivityAttemptScheduled { .. } => "ActivityAttemptScheduled",
            Self::ActivityAttemptFailed { .. } => "ActivityAttemptFailed",
            Self::ActivityHeartbeat { .. } => "ActivityHeartbeat",
            Self::Buffered { .. } => "Buffered",
            Self::WorkflowTaskAttemptScheduled { .. } => "WorkflowTaskAttemptScheduled",
            Self::WorkflowTaskAttemptStarted { .. } => "WorkflowTaskAttemptStarted",
            Self::WorkflowTaskAttemptFailed { .. } => "WorkflowTaskAttemptFailed",
            Self::ActivityAttempts { .. } => "ActivityAttempts",
            Self::WorkflowTaskAttempts { .. } => "WorkflowTaskAttempts",
            Self::RequestsHeard { .. } => "RequestsHeard",
            Self::StartAttached { .. } => "StartAttached",
        }
    }
}

impl Record {
    /// Returns the name of the kind of event or note.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Event(event) => event.kind.name(),
            Self::Note(noted) => noted.note.name(),
        }
    }

    /// Returns the event, if it is one.
    pub fn event(&self) -> Option<&Arc<Event>> {
        match self {
            Self::Event(event) => Some(event),
            Self::Note(_) => None,
        }
    }

    /// Returns when it was made.
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Event(event) => event.at,
            Self::Note(noted) => noted.at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_newer_binary_adds_and_any_reader_may_leave_out_is_left_out() {
        let known = r#"[{"id":3,"t":5,"e":{"TimerFired":{"timer_id":"t","started_event_id":2}}},{"t":6,"n":{"WorkflowTaskAttemptScheduled":{"attempt":2}}},{"t":7,"n":{"ActivityHeartbeat":{"scheduled_event_id":5,"attempt":1,"details":[{"$p":1}]}}}]"#;
        let newer = known
            .replace(r#""t":5,"#, r#""t":5,"by":{"member":[1]},"#)
            .replace(
                r#""started_event_id":2"#,
                r#""started_event_id":2,"late":{"$p":"by 3 s"}"#,
            )
            .replace(r#""attempt":2"#, r#""why":null,"attempt":2"#)
            .replace(r#"{"$p":1}"#, r#"{"$p":1,"codec":"none"}"#);
        assert_eq!(
            read(VERSION, &newer).unwrap(),
            read(VERSION, known).unwrap()
        );
    }

    #[test]
    fn what_no_reader_may_leave_out_is_an_error() {
        for unknown in [
            r#"[{"id":1,"t":0,"e":{"WorkflowExecutionTeleported":{}}}]"#,
            r#"[{"t":0,"n":{"Teleported":{}}}]"#,
            r#"[{"t":0,"n":{"ActivityHeartbeat":{"scheduled_event_id":5,"attempt":1,"details":[{"$d":"elsewhere"}]}}}]"#,
            r#"[{"t":0}]"#,
        ] {
            assert!(
                matches!(read(VERSION, unknown), Err(Unreadable::Text(_))),
                "{unknown}"
            );
        }
    }

    #[test]
    fn a_form_that_is_not_known_is_named() {
        let newer = read(VERSION + 1, "[]").unwrap_err();
        assert_eq!(
            newer.to_string(),
            "it has the stored form 2, and this binary knows those up to 1; run the newer binary"
        );
        assert!(matches!(read(0, "[]"), Err(Unreadable::NoForm(0))));
    }
}
