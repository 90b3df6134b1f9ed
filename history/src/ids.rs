//! The names things go by, as newtypes, with their limits.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The longest id or name, in bytes of UTF-8. Temporal: `limit.maxIDLength`.
pub const ID_BYTES_MAX: usize = 1000;

/// Why a text is not a legal id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// An id has at least one character.
    #[error("{kind} is empty; give it at least one character")]
    Empty {
        /// The kind of id, `WorkflowId` for example.
        kind: &'static str,
    },
    /// An id has at most [`ID_BYTES_MAX`] bytes.
    #[error("{kind} has {bytes} bytes; the most is {ID_BYTES_MAX}")]
    TooLong {
        /// The kind of id.
        kind: &'static str,
        /// Its length in bytes.
        bytes: usize,
    },
    /// `.` and `..` are steps in a path: whatever a URL does with them, it does not name a thing.
    #[error("{kind} is `{text}`, which no URL can name; give it another name")]
    Dots {
        /// The kind of id.
        kind: &'static str,
        /// The id.
        text: &'static str,
    },
    /// Control characters can't be stored, typed or shown.
    #[error("{kind} contains a control character; remove it")]
    ControlCharacter {
        /// The kind of id.
        kind: &'static str,
    },
}

fn problem(kind: &'static str, text: &str) -> Option<InvalidId> {
    if text.is_empty() {
        Some(InvalidId::Empty { kind })
    } else if let Some(text) = [".", ".."].into_iter().find(|dots| *dots == text) {
        Some(InvalidId::Dots { kind, text })
    } else if text.len() > ID_BYTES_MAX {
        let bytes = text.len();
        Some(InvalidId::TooLong { kind, bytes })
    } else if !is_plain(text) && text.chars().any(char::is_control) {
        Some(InvalidId::ControlCharacter { kind })
    } else {
        None
    }
}

/// Says whether there is nothing but the visible characters of ASCII and spaces: nearly all ids are so, and this is quickly seen.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Returns the id, or why the text is none.
            ///
            /// # Errors
            /// When it is empty, `.` or `..`, longer than [`ID_BYTES_MAX`] or has control characters.
            pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidId> {
                let text = text.as_ref();
                match problem(stringify!($name), text) {
                    None => Ok(Self(text.into())),
                    Some(problem) => Err(problem),
                }
            }

            /// Returns the id of a text that is known to be legal: a constant, or one read back from storage.
            pub fn known(text: impl AsRef<str>) -> Self {
                Self(text.as_ref().into())
            }

            /// Says why it is not legal, if it is not: it may have been read from outside.
            pub fn problem(&self) -> Option<InvalidId> {
                problem(stringify!($name), &self.0)
            }

            /// Returns the text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }
    )+};
}

names! {
    /// A namespace's name: workflow ids are unique inside one.
    Namespace,
    /// The name a user gives a workflow; at most one open run has it. Temporal: `workflow_id`.
    WorkflowId,
    /// The name of a workflow's code.
    WorkflowType,
    /// The name of an activity's code.
    ActivityType,
    /// An activity's name inside its run, unique among those pending.
    ActivityId,
    /// A timer's name inside its run, unique among those running.
    TimerId,
    /// A signal's name: the channel it arrives on.
    SignalName,
    /// The name of a queue that workers take tasks from.
    TaskQueue,
    /// Names one request of a client, so that its repetition has no second effect.
    RequestId,
    /// Who did it: a worker or a client, as it calls itself.
    Identity,
    /// Which code a worker runs: another one when it was built anew.
    BuildId,
}

/// One run of a workflow: a `UUIDv7`, so that runs sort by the time they started.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub Uuid);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for RunId {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        text.parse().map(Self)
    }
}

/// The place of an event in its run's history, from 1 without gaps. 0 means "none", as in Temporal.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(pub i64);

impl EventId {
    /// No event.
    pub const NONE: Self = Self(0);
    /// The first event of every history.
    pub const FIRST: Self = Self(1);

    /// Returns the id after this one. A client may name any id; none follows the last one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Says whether this is "none", for serde.
    pub fn is_none(&self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Addresses one run. Temporal: `WorkflowExecution`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WorkflowExecution {
    /// The workflow's id.
    pub workflow_id: WorkflowId,
    /// The run's id.
    pub run_id: RunId,
}
