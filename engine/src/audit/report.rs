//! What an audit is told, and what it saw.

use history::Timestamp;
use uuid::Uuid;

use super::finding::Finding;
use crate::seal::{Note, PublicKey};

/// The most findings that a report lists; the others are counted.
pub const FINDINGS_MAX: usize = 10_000;

/// Who is trusted with what was sealed.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// Who signs, or did before others followed them on record.
    pub keys: Vec<PublicKey>,
    /// A checkpoint that somebody has kept: the log must still have all that it had then.
    pub checkpoint: Option<Note>,
}

/// What an audit saw.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// How many runs it read.
    pub runs: u64,
    /// How many rows.
    pub rows: u64,
    /// How many events.
    pub events: u64,
    /// What is wrong; at most [`FINDINGS_MAX`].
    pub findings: Vec<Finding>,
    /// How many more findings there were.
    pub more: u64,
    /// What was seen of the sealed log, if that was asked for.
    pub sealed: Option<Summary>,
}

impl Report {
    /// Says whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }

    pub(super) fn add(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        } else {
            self.more += 1;
        }
    }
}

/// What an audit has seen of the sealed log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// How many checkpoints there are.
    pub checkpoints: u64,
    /// How many entries.
    pub entries: u64,
    /// The log in whose place this one was begun, if it was, and when.
    pub replaces: Option<(Uuid, Timestamp)>,
    /// How many checkpoints say that something was sealed later than it was committed, since the last one before them that had all.
    pub gaps: u64,
    /// How often the clock was set back by which it is said what is sealed: what was sealed next may be as old as it says.
    pub clock_set_back: u64,
    /// What was committed before this moment is sealed.
    pub complete_until: Option<Timestamp>,
    /// How many rows of history are not sealed yet: they are younger.
    pub rows_not_sealed: u64,
    /// Of how many deletions nothing can be said: they were not sealed yet, or are of runs that never were, or that the log names no more.
    pub deletions_not_checked: u64,
}
