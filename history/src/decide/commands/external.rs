//! Commands that reach other workflows.

use super::{Refused, Turn, check_facts, check_id, check_pending, check_size};
use crate::{
    command::Command,
    decide::{payload_problem, text_problem},
    event::{
        RequestCancelExternalWorkflowExecutionInitiated, SignalExternalWorkflowExecutionInitiated,
        WorkflowTaskFailedCause as Cause,
    },
};

impl Turn<'_, '_> {
    pub(super) fn reach_out(&mut self, command: &Command) -> Result<(), Refused> {
        match command {
            Command::SignalExternalWorkflowExecution {
                namespace,
                workflow_id,
                run_id,
                signal_name,
                input,
                child_workflow_only,
                header,
            } => {
                check_pending(
                    self.signals,
                    Cause::PendingSignalsLimitExceeded,
                    "signals to others",
                )?;
                let bad = Cause::BadSignalWorkflowExecutionAttributes;
                check_id(bad, signal_name.problem())?;
                check_id(bad, workflow_id.problem())?;
                check_size(
                    &format!("input of signal {signal_name}"),
                    payload_problem(input),
                )?;
                check_facts(bad, &format!("header of signal {signal_name}"), header)?;
                self.signals += 1;
                self.initiate(SignalExternalWorkflowExecutionInitiated {
                    workflow_task_completed_event_id: self.completed,
                    namespace: namespace.clone(),
                    workflow_id: workflow_id.clone(),
                    run_id: *run_id,
                    signal_name: signal_name.clone(),
                    input: input.clone(),
                    child_workflow_only: *child_workflow_only,
                    header: header.clone(),
                });
            }
            Command::RequestCancelExternalWorkflowExecution {
                namespace,
                workflow_id,
                run_id,
                child_workflow_only,
                reason,
            } => {
                check_pending(
                    self.cancels,
                    Cause::PendingRequestCancelLimitExceeded,
                    "cancellations of others",
                )?;
                check_id(
                    Cause::BadRequestCancelExternalWorkflowExecutionAttributes,
                    workflow_id.problem(),
                )?;
                check_size("reason", text_problem(reason))?;
                self.cancels += 1;
                self.initiate(RequestCancelExternalWorkflowExecutionInitiated {
                    workflow_task_completed_event_id: self.completed,
                    namespace: namespace.clone(),
                    workflow_id: workflow_id.clone(),
                    run_id: *run_id,
                    child_workflow_only: *child_workflow_only,
                    reason: reason.clone(),
                });
            }
            _ => {}
        }
        Ok(())
    }
}
