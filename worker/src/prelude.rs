//! What the first line of a program brings in: `use coreason::prelude::*`.

pub use std::{process::ExitCode, time::Duration};

/// Makes an activity of a function, async or blocking.
///
/// Parameters by value are the inputs. Parameters by reference are given by the worker: `&ActivityContext`, and
/// anything added with [`Worker::with`]. A function that is not async runs on a thread for blocking work, and so does
/// an async one with `blocking`. A panic fails the attempt with an error of type `Panic`.
///
/// The name stands for the activity: `wf.call(charge, order)` calls it, `charge::body(..)` is the function as it was
/// written. Variables and parameters may share the name.
///
/// ```
/// # extern crate worker as coreason;
/// use worker::prelude::*;
///
/// struct Bank;
///
/// #[activity(
///     name = "charge-card",        // the function's name unless told
///     start_to_close = "30s",      // for one attempt; 10 minutes unless told
///     schedule_to_close = "1h",    // for all attempts
///     heartbeat = "5s",
///     retry(max_attempts = 5, initial = "200ms", max_interval = "10s", backoff = 2.0, non_retryable = ["Declined"])
/// )]
/// async fn charge(bank: &Bank, ctx: &ActivityContext, cents: u64) -> Result<u64> {
///     ctx.heartbeat(&"calling the bank");
///     let _ = bank;
///     Ok(cents)
/// }
/// # fn main() {
/// assert!(Worker::new("shop").activity(charge).check().is_err());
/// assert!(Worker::new("shop").activity(charge).with(Bank).check().is_ok());
/// # }
/// ```
pub use coreason_macros::activity;

/// Waits for the first of several futures. They are polled in the order written, so of two that are done the first
/// wins; the others are dropped, and so canceled, before the winner's body runs.
///
/// ```
/// # extern crate worker as coreason;
/// use worker::prelude::*;
///
/// #[signal]
/// struct Approve {
///     by: String,
/// }
///
/// #[workflow]
/// async fn approval(wf: Workflow) -> Result<String> {
///     let approvals = wf.signals::<Approve>();
///     select! {
///         approve = approvals.recv() => Ok(approve?.by),
///         slept = wf.sleep(Duration::from_secs(60)) => {
///             slept?;
///             Err(Error::new("nobody approved"))
///         }
///     }
/// }
/// # fn main() {}
/// ```
pub use coreason_macros::select;

/// Makes a signal of a struct or an enum: its name in snake case is the channel, unless told by
/// `#[signal(name = "..")]`. Serde's traits are derived if they are not yet.
pub use coreason_macros::signal;

/// Makes a workflow of an async function whose first parameter is [`Workflow`] or `&Workflow`; the others are the inputs.
///
/// Options: `name`, `task_timeout`, `run_timeout`, `execution_timeout`. What the code reads from outside must come
/// through the context: the same history must lead to the same calls. Futures that are not the engine's are refused.
pub use coreason_macros::workflow;

pub use futures::{join, try_join};
pub use history::event::{ParentClosePolicy, WorkflowIdReusePolicy};

pub use crate::{
    Worker,
    activity::{ActivityContext, CancelReason},
    context::{
        ChildHandle, RawSignal, Signals, Workflow, join_all, join_bounded, try_join_all,
        try_join_bounded,
    },
    error::{ActivityError, Canceled, ChildError, Error, Result, UserError},
    options::{Cancellation, Retry},
};
