//! Running activities: attempts, what their code sees, and what they share.

mod attempt;
mod cancel_reason;
mod context;
mod dependencies;
mod heartbeat;
mod home;
mod host;
mod running;

pub use attempt::{Attempt, Scope};
pub use cancel_reason::CancelReason;
pub use context::{ActivityContext, ActivityInfo};

pub(crate) use attempt::Entry;
pub(crate) use dependencies::Dependencies;
pub(crate) use host::{Activities, Host};
