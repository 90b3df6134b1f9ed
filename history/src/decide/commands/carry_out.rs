//! Carries out the commands of one completion.

use super::{
    close,
    turn::{Refused, Turn, refused},
};
use crate::{
    command::Command,
    decide::size::commands_problem,
    event::{
        MarkerRecorded, RequestCancelExternalWorkflowExecutionInitiated,
        SignalExternalWorkflowExecutionInitiated, WorkflowTaskFailedCause as Cause,
    },
};

impl Turn<'_, '_> {
    /// Carries the commands out, in order, or says what is wrong with the first that can't be.
    pub(in crate::decide) fn carry_out(&mut self, commands: &[Command]) -> Result<(), Refused> {
        if let Some(problem) = commands_problem(commands) {
            return refused(Cause::RequestTooLarge, problem);
        }
        for (at, command) in commands.iter().enumerate() {
            if command.closes() && at + 1 < commands.len() {
                return refused(
                    close::bad_attributes(command),
                    format!(
                        "{}: it closes the run, so it must be the last command",
                        command.name()
                    ),
                );
            }
            self.carry_out_one(command)?;
        }
        Ok(())
    }

    fn carry_out_one(&mut self, command: &Command) -> Result<(), Refused> {
        match command {
            Command::ScheduleActivityTask(activity) => self.schedule_activity(activity),
            Command::RequestCancelActivityTask { scheduled_event_id } => {
                self.request_cancel_activity(*scheduled_event_id)
            }
            Command::StartTimer {
                timer_id,
                start_to_fire_timeout,
            } => self.start_timer(timer_id, *start_to_fire_timeout),
            Command::CancelTimer { timer_id } => self.cancel_timer(timer_id),
            Command::CompleteWorkflowExecution { result } => self.complete_workflow(result),
            Command::FailWorkflowExecution { failure } => self.fail_workflow(failure),
            Command::CancelWorkflowExecution { details } => self.cancel_workflow(details),
            Command::ContinueAsNewWorkflowExecution(next) => self.continue_as_new(next),
            Command::StartChildWorkflowExecution(child) => self.start_child(child),
            Command::RequestCancelExternalWorkflowExecution {
                namespace,
                workflow_id,
                run_id,
                child_workflow_only,
                reason,
            } => self.request_cancel_external(RequestCancelExternalWorkflowExecutionInitiated {
                workflow_task_completed_event_id: self.completed,
                namespace: namespace.clone(),
                workflow_id: workflow_id.clone(),
                run_id: *run_id,
                child_workflow_only: *child_workflow_only,
                reason: reason.clone(),
            }),
            Command::SignalExternalWorkflowExecution {
                namespace,
                workflow_id,
                run_id,
                signal_name,
                input,
                child_workflow_only,
                header,
            } => self.signal_external(SignalExternalWorkflowExecutionInitiated {
                workflow_task_completed_event_id: self.completed,
                namespace: namespace.clone(),
                workflow_id: workflow_id.clone(),
                run_id: *run_id,
                signal_name: signal_name.clone(),
                input: input.clone(),
                child_workflow_only: *child_workflow_only,
                header: header.clone(),
            }),
            Command::RecordMarker {
                marker_name,
                details,
                header,
                failure,
            } => self.record_marker(MarkerRecorded {
                marker_name: marker_name.clone(),
                details: details.clone(),
                workflow_task_completed_event_id: self.completed,
                header: header.clone(),
                failure: failure.as_deref().cloned(),
            }),
            Command::UpsertWorkflowSearchAttributes { search_attributes } => {
                self.upsert_search_attributes(search_attributes)
            }
            Command::ModifyWorkflowProperties { upserted_memo } => {
                self.modify_properties(upserted_memo)
            }
            Command::ProtocolMessage { .. } => refused(
                Cause::FeatureDisabled,
                "ProtocolMessage: updates are not offered here; use a signal",
            ),
            Command::ScheduleNexusOperation { .. }
            | Command::RequestCancelNexusOperation { .. } => refused(
                Cause::FeatureDisabled,
                format!(
                    "{}: Nexus is not offered here; use an activity or a child workflow",
                    command.name()
                ),
            ),
        }
    }
}
