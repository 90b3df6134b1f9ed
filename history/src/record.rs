//! What a committed row holds: events, and notes between them.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

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
    /// An attempt of an activity was handed out. Committed before the hand-out when only one
    /// attempt is allowed, with a later commit when it runs long, and not at all when it is short.
    ActivityAttemptStarted {
        /// The activity's `ActivityTaskScheduled` event.
        scheduled_event_id: EventId,
        /// Which attempt, from 1.
        attempt: u32,
        /// The worker.
        identity: Option<Identity>,
    },
    /// The wait before an attempt is over. Volatile: it says nothing that time does not say.
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
    /// What the last heartbeat of an attempt said. Rides on a later commit.
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
    /// The wait before an attempt of a workflow task is over. Volatile: it says nothing that time does not say.
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
    /// A workflow task beyond the first attempt failed or timed out, which leaves no event.
    WorkflowTaskAttemptFailed {
        /// Which attempt, from 2.
        attempt: u32,
        /// Why.
        cause: WorkflowTaskAttemptCause,
        /// More of why.
        failure: Option<Box<Failure>>,
    },
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
    match version {
        VERSION => Ok(serde_json::from_str(records)?),
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
            Self::RequestsHeard { .. } => "RequestsHeard",
            Self::StartAttached { .. } => "StartAttached",
        }
    }
}

impl Record {
    /// Says whether it may ride on a later commit or be lost: the fold is as legal without it. The start of
    /// the only attempt that an activity has is to be committed before the hand-out all the same.
    pub fn is_volatile(&self) -> bool {
        match self {
            Self::Event(_) => false,
            Self::Note(noted) => match noted.note {
                Note::ActivityAttemptStarted { .. }
                | Note::ActivityAttemptScheduled { .. }
                | Note::ActivityHeartbeat { .. }
                | Note::WorkflowTaskAttemptScheduled { .. }
                | Note::WorkflowTaskAttemptStarted { .. } => true,
                Note::ActivityAttemptFailed { .. }
                | Note::Buffered { .. }
                | Note::RequestsHeard { .. }
                | Note::StartAttached { .. }
                | Note::WorkflowTaskAttemptFailed { .. } => false,
            },
        }
    }

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
