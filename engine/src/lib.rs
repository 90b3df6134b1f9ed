//! The Postgres shell around the core: commits, task queues, timers, ownership.
//!
//! [`Engine`] has one short method per public verb. Behind it one [`owner`] folds and decides, one
//! [`committer`] writes, and [`members`] sees to it that each shard has one owner on a database.

mod admission;
mod archive;
mod cause;
mod clock;
mod error;
pub mod limits;
pub mod query;
pub mod shard;
mod words;
mod world;

pub mod store;

mod committer;
mod engine;
mod expiry;
mod feed;
mod lists;
mod members;
mod membership;
mod owner;
pub mod peers;
mod placement;
mod progress;
mod tenure;

pub mod audit;
pub mod seal;
#[cfg(test)]
mod sim;

pub use archive::{Archive, PutError};
pub use cause::innermost;
pub use engine::{Config, Engine};
pub use error::Error;
pub use feed::{Committed, FeedReader, Missed, Written};
pub use membership::Role;
pub use query::QueryError;
pub use store::{
    feed::{Change, Cursor as FeedCursor, NoCursor as NoFeedCursor},
    visibility::{
        Cursor as ListCursor, ListRequest, NoCursor as NoListCursor, Page as ListPage, Rate,
        Summary, WorkflowCount,
    },
};
pub use words::{
    Address, Closed, Description, HistoryPage, PendingActivity, PendingChild, PendingTimer,
    PendingWorkflowTask, Started, Starved, Unreadable, UntakenActivity, UntakenTask, Waited,
    WhyStarved,
};
