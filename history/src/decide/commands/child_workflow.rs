//! The command that starts a child.

use super::turn::{Refused, Turn, check, check_facts, check_pending, check_size};
use crate::{
    command::StartChildWorkflowExecution,
    decide::{size::payload_problem, start::problem as start_problem},
    event::{
        ParentClosePolicy, StartChildWorkflowExecutionInitiated, WorkflowTaskFailedCause as Cause,
    },
    execution::child_start,
    ids::EventId,
};

impl Turn<'_, '_> {
    pub(super) fn start_child(
        &mut self,
        command: &StartChildWorkflowExecution,
    ) -> Result<(), Refused> {
        let id = &command.workflow_id;
        check_pending(
            self.children,
            Cause::PendingChildWorkflowsLimitExceeded,
            "children",
        )?;
        check_size(
            &format!("input of child {id}"),
            payload_problem(&command.input),
        )?;
        check_facts(
            Cause::BadStartChildExecutionAttributes,
            &format!("memo of child {id}"),
            &command.memo,
        )?;
        let attributes = StartChildWorkflowExecutionInitiated {
            namespace: command
                .namespace
                .clone()
                .unwrap_or_else(|| self.exec.namespace().clone()),
            workflow_id: id.clone(),
            workflow_type: command.workflow_type.clone(),
            task_queue: command
                .task_queue
                .clone()
                .unwrap_or_else(|| self.exec.task_queue().clone()),
            input: command.input.clone(),
            workflow_execution_timeout: command.workflow_execution_timeout,
            workflow_run_timeout: command.workflow_run_timeout,
            workflow_task_timeout: command.workflow_task_timeout,
            parent_close_policy: command.parent_close_policy,
            workflow_task_completed_event_id: self.completed,
            workflow_id_reuse_policy: command.workflow_id_reuse_policy,
            retry_policy: command.retry_policy.clone(),
            cron_schedule: command.cron_schedule.clone(),
            header: command.header.clone(),
            memo: command.memo.clone(),
            search_attributes: command.search_attributes.clone(),
        };
        let start = child_start(self.exec, EventId::NONE, &attributes);
        if let Some((field, problem)) = start_problem(&start) {
            let field = format!("{field} of child {id}");
            check(
                Cause::BadStartChildExecutionAttributes,
                &field,
                Some(problem),
            )?;
        }
        let initiated_event_id = self.initiate(attributes);
        if command.parent_close_policy == ParentClosePolicy::Abandon {
            self.draft.abandoned.insert(initiated_event_id);
        }
        self.children += 1;
        Ok(())
    }
}
