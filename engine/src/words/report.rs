//! What is told of requests, of runs and of shards.

use std::sync::Arc;

use history::{Event, EventId, RunId, Status};

/// How far a run is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reached {
    pub(crate) run_id: RunId,
    /// The last durable event.
    pub(crate) last: EventId,
    /// Whether that event closed the run.
    pub(crate) closed: bool,
}

/// The answer to a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Started {
    /// The run.
    pub run_id: RunId,
    /// Whether this request started it, now or at an earlier try.
    pub started: bool,
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Closed {
    /// The run.
    pub run_id: RunId,
    /// How it ended.
    pub status: Status,
    /// Its last event: the result or the failure.
    pub event: Arc<Event>,
    /// Why somebody asked it to cancel, if he said so.
    pub cancel_reason: Option<String>,
}

/// What the owner tells of its shards.
#[derive(Debug)]
pub(crate) enum Told {
    /// They are folded, and accounted for in `open_since`.
    Adopted(Vec<i16>),
    /// Everything of them is durable, and nothing is in memory any more.
    GivenUp(Vec<i16>),
}

/// The outcome of a wait for the end of a workflow.
#[derive(Debug, Clone)]
pub enum Waited {
    /// It has ended: how its last run did.
    Closed(Closed),
    /// This run is open: the last one of its chain.
    Open(RunId),
}

impl Waited {
    /// Returns the end, if it has come.
    pub fn closed(self) -> Option<Closed> {
        match self {
            Self::Closed(closed) => Some(closed),
            Self::Open(_) => None,
        }
    }
}

/// A part of a history.
#[derive(Debug, Clone)]
pub struct HistoryPage {
    /// The run.
    pub run_id: RunId,
    /// Durable events, in order.
    pub events: Vec<Arc<Event>>,
    /// Whether the run is closed and no event follows these.
    pub closed: bool,
}
