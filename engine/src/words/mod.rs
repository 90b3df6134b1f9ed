//! What the parts of the engine tell each other. These files know none of the parts.

mod delivery;
mod description;
mod key;
mod op;
mod report;
mod task;

pub(crate) use delivery::{Delivery, DeliveryOutcome, DeliveryReport, ExternalKind, Undelivered};
pub(crate) use description::{Asked, Untaken};
pub use description::{
    Description, PendingActivity, PendingChild, PendingTimer, PendingWorkflowTask, Unreadable,
    UntakenActivity, UntakenTask,
};
pub use key::Address;
pub(crate) use key::{Key, RunKey};
pub(crate) use op::{Answer, Op, Reply, Request, StartReply};
pub use report::{Closed, HistoryPage, Started, Waited};
pub(crate) use report::{Reached, Told};
pub(crate) use task::{HandOut, Kind, QueueKey, SessionId, Waiting, order};
pub use task::{Starved, WhyStarved};
