//! What an owner sends its committer, and what comes back.

use history::WorkflowId;

use crate::{store::RunRef, store::commit::Item, words::Answer};

/// What an owner sends its committer.
#[derive(Debug)]
pub(crate) enum Command {
    /// Commit this.
    Commit(Item),
    /// Delete a row of `outbox` with some later batch.
    Delivered(RunRef),
    /// Give this back when a batch that began after it was sent has found that this member is still one.
    Confirm(Answer),
    /// The owner has dropped the folding whose item was not written; nothing more of it comes.
    Forget(Folding),
}

/// The outcome of a batch.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Written, in order.
    pub(crate) committed: Vec<Item>,
    /// Gone from `outbox`.
    pub(crate) delivered: Vec<RunRef>,
    /// To go from there later: another session keeps a lock.
    pub(super) put_off: Vec<RunRef>,
    /// Whether another session keeps a whole table that every workflow needs, if that was asked.
    pub(super) blocked: Option<bool>,
    /// What may be told: this member was still one.
    pub(crate) confirmed: Vec<Answer>,
    /// Not written, because the id means another run.
    pub(crate) conflicting: Vec<Item>,
    /// Not written, because the database refuses their data, fails at it, or somebody keeps a lock that it needs.
    pub(crate) refused: Vec<(Item, Refusal)>,
}

/// Why an item is not written.
#[derive(Debug, Clone)]
pub(crate) enum Refusal {
    /// The database says what is wrong with its data.
    Data(String),
    /// The database fails at it, again and again, and at nothing else.
    Failing(String),
    /// Another session keeps a lock that it needs.
    Locked,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Data(problem) => f.write_str(problem),
            Self::Failing(problem) => write!(f, "the database fails at it: {problem}"),
            Self::Locked => f.write_str("another session keeps a lock that it needs"),
        }
    }
}

impl From<&Refusal> for crate::Error {
    fn from(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Data(_) | Refusal::Failing(_) => Self::DataRefused(refusal.to_string()),
            Refusal::Locked => Self::Locked,
        }
    }
}

/// Which workflow an item belongs to: its namespace and id.
pub(crate) type Workflow = (i16, WorkflowId);

/// Which folding of a workflow an item belongs to.
pub(crate) type Folding = (Workflow, u64);

impl Outcome {
    /// Says whether the database has done what a batch asked for, be it in part.
    pub(crate) fn is_progress(&self) -> bool {
        let failed = !self.refused.is_empty() || !self.put_off.is_empty();
        let done =
            !self.committed.is_empty() || !self.confirmed.is_empty() || !self.delivered.is_empty();
        done || !failed
    }

    /// Says whether something of a history was written.
    pub(crate) fn has_written(&self) -> bool {
        self.committed.iter().any(|item| !item.rows.is_empty())
    }
}

pub(crate) fn workflow(item: &Item) -> Workflow {
    (item.namespace, item.workflow_id.clone())
}

/// Returns the folding that an item belongs to.
pub(crate) fn folding(item: &Item) -> Folding {
    (workflow(item), item.incarnation)
}
