//! Commands that several tests give.

use history::{
    Command, Millis, Payloads,
    command::ContinueAsNewWorkflowExecution,
    event::{ContinueAsNewInitiator, WorkflowExecutionSignaled},
};

/// Goes on in a new run, with signals that this one has not read.
pub(crate) fn continue_as_new(
    input: Payloads,
    unread_signals: Vec<WorkflowExecutionSignaled>,
) -> Command {
    Command::ContinueAsNewWorkflowExecution(Box::new(ContinueAsNewWorkflowExecution {
        workflow_type: None,
        task_queue: None,
        input,
        workflow_run_timeout: Millis::ZERO,
        workflow_task_timeout: Millis::ZERO,
        backoff_start_interval: Millis::ZERO,
        retry_policy: None,
        initiator: ContinueAsNewInitiator::Workflow,
        header: Default::default(),
        memo: Default::default(),
        search_attributes: Default::default(),
        unread_signals,
    }))
}
