//! What the attributes make of a function's body: how a worker begins it.

use crate::{
    activity::Attempt,
    context::Workflow,
    definition::{ActivityDefinition, Coroutine, WorkflowDefinition},
};

/// The code of an activity.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an activity",
    label = "expected a function under `#[activity]`"
)]
pub trait ActivityCode: ActivityDefinition {
    /// Starts an attempt.
    fn run(attempt: Attempt);
}

/// The code of a workflow.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a workflow",
    label = "expected a function under `#[workflow]`"
)]
pub trait WorkflowCode: WorkflowDefinition {
    /// Returns the workflow's code, not yet polled.
    fn start(workflow: Workflow, input: Self::Input) -> Coroutine;
}
