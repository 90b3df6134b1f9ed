//! Commands that close the run.

use super::turn::{Refused, Turn, check, check_facts, check_size, refused};
use crate::{
    command::{Command, ContinueAsNewWorkflowExecution},
    decide::{
        closing::close,
        next_run::{self, AfterFailure},
        size::{failure_problem, payload_problem, signals_problem},
        start::{duration_problem, problem as start_problem},
    },
    event::{
        ContinueAsNewInitiator, WorkflowExecutionCanceled, WorkflowExecutionCompleted,
        WorkflowExecutionContinuedAsNew, WorkflowExecutionFailed, WorkflowExecutionSignaled,
        WorkflowTaskFailedCause as Cause,
    },
    execution::merge,
    failure::Failure,
    ids::RunId,
    limits,
    payload::Payloads,
    time::Millis,
};

/// Returns the cause that Temporal has for a closing command with bad attributes.
pub(super) fn bad_attributes(command: &Command) -> Cause {
    match command {
        Command::CompleteWorkflowExecution { .. } => Cause::BadCompleteWorkflowExecutionAttributes,
        Command::FailWorkflowExecution { .. } => Cause::BadFailWorkflowExecutionAttributes,
        Command::CancelWorkflowExecution { .. } => Cause::BadCancelWorkflowExecutionAttributes,
        Command::ContinueAsNewWorkflowExecution(_) => Cause::BadContinueAsNewAttributes,
        Command::ScheduleActivityTask(_)
        | Command::RequestCancelActivityTask { .. }
        | Command::StartTimer { .. }
        | Command::CancelTimer { .. }
        | Command::RequestCancelExternalWorkflowExecution { .. }
        | Command::RecordMarker { .. }
        | Command::StartChildWorkflowExecution(_)
        | Command::SignalExternalWorkflowExecution { .. }
        | Command::UpsertWorkflowSearchAttributes { .. }
        | Command::ModifyWorkflowProperties { .. }
        | Command::ProtocolMessage { .. }
        | Command::ScheduleNexusOperation { .. }
        | Command::RequestCancelNexusOperation { .. } => Cause::UnhandledCommand,
    }
}

impl Turn<'_, '_> {
    /// Refuses to close over events that workflow code has not seen.
    fn may_close(&self, command: &str) -> Result<(), Refused> {
        if !self.draft.has_buffered() {
            return Ok(());
        }
        refused(
            Cause::UnhandledCommand,
            format!(
                "{command}: something arrived meanwhile that workflow code has not seen; run it again"
            ),
        )
    }

    fn close(&mut self) {
        close(self.draft, &self.ended);
    }

    pub(super) fn complete_workflow(&mut self, result: &Payloads) -> Result<(), Refused> {
        self.may_close("CompleteWorkflowExecution")?;
        check_size("result", payload_problem(result))?;
        self.draft.event(WorkflowExecutionCompleted {
            result: result.clone(),
            workflow_task_completed_event_id: self.completed,
            new_execution_run_id: None,
        });
        self.close();
        Ok(())
    }

    pub(super) fn cancel_workflow(&mut self, details: &Payloads) -> Result<(), Refused> {
        self.may_close("CancelWorkflowExecution")?;
        check_size("details", payload_problem(details))?;
        self.draft.event(WorkflowExecutionCanceled {
            workflow_task_completed_event_id: self.completed,
            details: details.clone(),
        });
        self.close();
        Ok(())
    }

    /// Returns the id of the run that may follow.
    fn run_that_follows(&self, cause: Cause) -> Result<RunId, Refused> {
        match self.new_run_id {
            Some(run_id) => Ok(run_id),
            None => refused(cause, "the run that follows has no id"),
        }
    }

    /// Closes the run as failed; a new one follows if the workflow's retry policy says so.
    pub(super) fn fail_workflow(&mut self, failure: &Failure) -> Result<(), Refused> {
        self.may_close("FailWorkflowExecution")?;
        check_size("failure", failure_problem(failure))?;
        let run_id = self.run_that_follows(Cause::BadFailWorkflowExecutionAttributes)?;
        let (exec, at) = (self.exec, self.draft.at);
        let AfterFailure { retry_state, next } =
            next_run::after_failure(exec, failure, run_id, at, || self.facts());
        self.draft.event(WorkflowExecutionFailed {
            failure: failure.clone(),
            retry_state,
            workflow_task_completed_event_id: self.completed,
            new_execution_run_id: next.as_ref().map(|next| next.run_id),
        });
        self.close();
        if let Some(next) = next {
            self.draft.start_new_run(next.run_id, next.start);
        }
        Ok(())
    }

    pub(super) fn continue_as_new(
        &mut self,
        command: &ContinueAsNewWorkflowExecution,
    ) -> Result<(), Refused> {
        let unread = self.unread_signals(command)?;
        check_size("input", payload_problem(&command.input))?;
        check_facts(Cause::BadContinueAsNewAttributes, "memo", &command.memo)?;
        check(
            Cause::BadContinueAsNewAttributes,
            "backoff_start_interval",
            duration_problem(command.backoff_start_interval),
        )?;
        let new_run_id = self.run_that_follows(Cause::BadContinueAsNewAttributes)?;
        let attributes = self.continued(command, new_run_id);
        let retry_policy = command.retry_policy.clone();
        let start = next_run::continue_as_new(self.exec, &attributes, retry_policy, unread);
        if let Some((field, problem)) = start_problem(&start) {
            return check(Cause::BadContinueAsNewAttributes, field, Some(problem));
        }
        self.draft.event(attributes);
        self.close();
        self.draft.start_new_run(new_run_id, start);
        Ok(())
    }

    /// Returns the signals that go over to the next run: those that workflow code was shown and did not read, and those that came
    /// meanwhile. Anything else that came meanwhile it has to see first.
    fn unread_signals(
        &self,
        command: &ContinueAsNewWorkflowExecution,
    ) -> Result<Vec<WorkflowExecutionSignaled>, Refused> {
        let mut unread = command.unread_signals.clone();
        match self.draft.buffered_signals() {
            Some(came_meanwhile) => unread.extend(came_meanwhile),
            None => self.may_close("ContinueAsNewWorkflowExecution")?,
        }
        for signal in &command.unread_signals {
            if let Some(request_id) = &signal.request_id
                && !self.exec.has_heard_signal(request_id)
            {
                return refused(
                    Cause::BadContinueAsNewAttributes,
                    format!("unread_signals: the run has had no signal by request {request_id}"),
                );
            }
        }
        check_size("unread_signals", signals_problem(&unread))?;
        Ok(unread)
    }

    fn continued(
        &self,
        command: &ContinueAsNewWorkflowExecution,
        new_run_id: RunId,
    ) -> WorkflowExecutionContinuedAsNew {
        let started = self.exec.started();
        let (mut memo, mut search_attributes) = self.facts();
        merge(&mut memo, &command.memo);
        merge(&mut search_attributes, &command.search_attributes);
        let or = |given: Millis, own: Millis| given.non_zero().unwrap_or(own);
        let initiator = match command.initiator {
            ContinueAsNewInitiator::Unspecified => ContinueAsNewInitiator::Workflow,
            given => given,
        };
        WorkflowExecutionContinuedAsNew {
            new_execution_run_id: new_run_id,
            workflow_type: command
                .workflow_type
                .clone()
                .unwrap_or_else(|| started.workflow_type.clone()),
            task_queue: command
                .task_queue
                .clone()
                .unwrap_or_else(|| started.task_queue.clone()),
            input: command.input.clone(),
            workflow_run_timeout: or(command.workflow_run_timeout, started.workflow_run_timeout),
            workflow_task_timeout: or(command.workflow_task_timeout, started.workflow_task_timeout),
            workflow_task_completed_event_id: self.completed,
            backoff_start_interval: self.pause(command.backoff_start_interval),
            initiator,
            failure: None,
            last_completion_result: started.last_completion_result.clone(),
            header: command.header.clone(),
            memo,
            search_attributes,
        }
    }

    /// Returns how long the new run waits: longer than asked for if this one was very short.
    fn pause(&self, asked: Millis) -> Millis {
        let started = self.exec.started();
        let began = self
            .exec
            .started_at()
            .after(started.first_workflow_task_backoff);
        let lived = u64::try_from(self.draft.at.since(began).as_millis()).unwrap_or(u64::MAX);
        let least = Millis(limits::CONTINUE_AS_NEW_INTERVAL_MIN.0.saturating_sub(lived));
        asked.max(least)
    }
}
