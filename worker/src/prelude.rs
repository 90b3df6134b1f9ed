//! What the first line of a program brings in: `use coreason::prelude::*`.

pub use std::{process::ExitCode, time::Duration};

pub use coreason_macros::{activity, select, signal, workflow};
pub use futures::{join, try_join};
pub use history::event::{ParentClosePolicy, WorkflowIdReusePolicy};

pub use crate::{
    Worker,
    activity::ActivityContext,
    context::{ChildHandle, Signals, Workflow, join_all, try_join_all},
    error::{ActivityError, Canceled, ChildError, Error, Result, UserError},
    options::{Cancellation, Retry},
};
