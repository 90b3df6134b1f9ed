//! What this process is on its database, and how to reach the owner inside it.

use std::sync::{Arc, atomic::AtomicBool};

use tokio::sync::{Notify, mpsc, watch};

use crate::{Error, owner::message::Message, progress::Progress};

/// Whether this process is a member, and how to reach the owner inside it.
#[derive(Debug, Clone)]
pub(crate) enum Membership {
    /// It is.
    Member {
        epoch: i64,
        sender: mpsc::UnboundedSender<Message>,
        /// Tells it to look at the other members.
        look: Arc<Notify>,
        /// How many shards it serves.
        shards: usize,
        /// Where the other members are.
        others: watch::Receiver<Vec<Arc<str>>>,
        /// There are no other members.
        alone: Arc<AtomicBool>,
        /// Another member gives the same address as this one.
        crowded: Arc<AtomicBool>,
        /// It has no memory for more.
        full: Arc<AtomicBool>,
        /// Whether what is to be committed gets there.
        progress: Arc<Progress>,
    },
    /// It was, and waits for what it has handed out: it takes nothing more but what other members tell of that.
    Leaving {
        sender: mpsc::UnboundedSender<Message>,
    },
    /// It is not, or not yet.
    Outside {
        /// What came instead of an answer when the database was last asked, if nothing did.
        away: Option<Arc<str>>,
    },
}

impl Membership {
    pub(crate) fn role(&self) -> Role {
        match self {
            Self::Member { epoch, shards, .. } => Role::Member {
                epoch: *epoch,
                shards: *shards,
            },
            Self::Leaving { .. } | Self::Outside { .. } => Role::Outside,
        }
    }

    /// Returns why nothing can be asked of this process.
    pub(crate) fn refusal(&self) -> Error {
        match self {
            Self::Outside { away: Some(away) } => Error::DatabaseAway(Arc::clone(away)),
            Self::Member { .. } | Self::Leaving { .. } | Self::Outside { away: None } => {
                Error::NotOwner { owner: None }
            }
        }
    }
}

/// What this process is on its database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A member: it owns shards, or will.
    Member {
        /// The fence's number.
        epoch: i64,
        /// How many shards it serves.
        shards: usize,
    },
    /// No member, or not yet.
    Outside,
}
