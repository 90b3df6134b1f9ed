//! What workers answer.

use std::sync::Arc;

use futures::FutureExt as _;
use history::{
    Failure, FailureInfo,
    command::Command,
    decide::{self, CompleteWorkflowTask, FailWorkflowTask},
    event::{SdkMetadata, WorkflowTaskFailedCause},
    search_attribute::{self, BadSearchAttributes},
    task::{FromWorker, ToWorker, WorkflowTaskAnswer, WorkflowTaskToken},
};

use crate::{
    Error,
    owner::{
        Owner,
        context::{Context, Step},
        message::Message,
        state::run::Run,
    },
    words::{Key, Op, Request, SessionId},
};

impl Owner {
    /// Takes an answer to the run it is for.
    pub(super) fn worker_answered(&mut self, session: SessionId, answer: FromWorker) {
        let Some(answer) = self.answer_away(session, answer) else {
            return;
        };
        let (namespace, workflow_id, run_id) = match &answer {
            FromWorker::WorkflowTask { token, .. } => {
                (&token.namespace, &token.workflow_id, token.run_id)
            }
            FromWorker::ActivityTask { token, .. } => {
                (&token.namespace, &token.workflow_id, token.run_id)
            }
            FromWorker::Draining => {
                if let Some(worker) = self.context.queues.session(session) {
                    worker.draining = true;
                    let queue = worker.queue.clone();
                    self.context.tell_pollers(&queue);
                }
                return;
            }
        };
        let Some(connected) = self.context.queues.session(session) else {
            return;
        };
        // A worker answers for its own namespace only.
        if *namespace != connected.hello.namespace {
            return self.free_slot(session, &answer);
        }
        let key = Key {
            namespace: connected.queue.0.clone(),
            workflow_id: workflow_id.clone(),
        };
        self.request(Request::On {
            key,
            run_id: Some(run_id),
            op: Op::Worker {
                session,
                answer: Box::new(answer),
            },
        });
    }

    /// Takes an answer back that nobody here waits for. An attempt that is told so by its heartbeat stops.
    pub(super) fn answer_refused(&mut self, session: SessionId, answer: FromWorker, error: &Error) {
        self.free_slot(session, &answer);
        let nobodys = matches!(
            error,
            Error::NotOwner { .. } | Error::WorkflowNotFound { .. }
        );
        if let FromWorker::ActivityTask { token, answer } = answer
            && !answer.ends_attempt()
            && nobodys
        {
            // A worker that is gone has stopped already.
            self.context
                .queues
                .send(session, ToWorker::CancelActivity(token));
        }
    }
}

impl Context {
    /// Does what an answer asks for.
    pub(super) fn answered(
        &mut self,
        run: &mut Run,
        session: SessionId,
        answer: FromWorker,
    ) -> Step {
        match answer {
            FromWorker::WorkflowTask { token, answer } => {
                self.workflow_task_answered(run, session, &token, answer)
            }
            FromWorker::ActivityTask { token, answer } => {
                self.activity_task_answered(run, session, token, answer)
            }
            FromWorker::Draining => Ok(()),
        }
    }

    /// Takes the answer to a workflow task, if it is built on this folding of the run.
    fn workflow_task_answered(
        &mut self,
        run: &mut Run,
        session: SessionId,
        token: &WorkflowTaskToken,
        answer: WorkflowTaskAnswer,
    ) -> Step {
        let is_current = is_current(run, session, token);
        match answer {
            WorkflowTaskAnswer::Completed {
                commands,
                sdk_metadata,
                sticky,
                unread_signals,
            } if is_current => {
                run.task.take_back();
                if self.setup.namespaces.are_old() && search_attribute::are_in(&commands) {
                    // For the next ones: this answer goes by what is known.
                    self.read_namespaces();
                }
                let known = self.setup.namespaces.attributes(run.key.namespace.id);
                let declared = |name: &str| Some(known.get(name)?.ty);
                let checked = search_attribute::check_commands(&commands, declared);
                if let Err(bad) = checked {
                    return self.search_attributes_refused(run, session, token, &bad);
                }
                run.unread_signals = unread_signals;
                self.workflow_task_completed(run, session, token, commands, sdk_metadata, sticky)
            }
            WorkflowTaskAnswer::Completed { .. } => {
                // One that has got the run anew since has cached that folding.
                if run.task.session() != Some(session) && run.affinity != Some(session) {
                    self.evict(session, run.run_id());
                }
                Ok(())
            }
            WorkflowTaskAnswer::Failed { cause, failure } if is_current => {
                run.task.take_back();
                run.affinity = None;
                if cause == WorkflowTaskFailedCause::ResetStickyTaskQueue {
                    // The worker has evicted the run: somebody gets the same task again, in full. That is no failure, and what is staged
                    // does not wait for the read.
                    self.flush(run);
                    self.read_history(run);
                    return Ok(());
                }
                self.fail_workflow_task(run, session, token, (cause, *failure))
            }
            WorkflowTaskAnswer::Failed { .. } => Ok(()),
        }
    }

    fn fail_workflow_task(
        &mut self,
        run: &mut Run,
        session: SessionId,
        token: &WorkflowTaskToken,
        (cause, failure): (WorkflowTaskFailedCause, Failure),
    ) -> Step {
        run.failed_build = self.queues.build(session);
        let request = FailWorkflowTask {
            scheduled_event_id: token.scheduled_event_id,
            started_event_id: token.started_event_id,
            attempt: token.attempt,
            cause,
            failure: Some(failure),
            identity: self.identity(session),
        };
        let decision = decide::fail_workflow_task(&run.execution, &request, self.now());
        self.carry_out_at_once(run, decision)
    }

    /// Fails a workflow task whose commands have search attributes that can't be. It is tried again: one that is unknown here may have been
    /// declared in another process since.
    fn search_attributes_refused(
        &mut self,
        run: &mut Run,
        session: SessionId,
        token: &WorkflowTaskToken,
        bad: &BadSearchAttributes,
    ) -> Step {
        if matches!(bad, BadSearchAttributes::Unknown(_)) {
            self.read_namespaces();
        }
        run.affinity = None;
        self.evict(session, run.run_id());
        let info = FailureInfo::Server {
            non_retryable: false,
        };
        let failure = Failure::new(bad.to_string(), info);
        let cause = WorkflowTaskFailedCause::BadSearchAttributes;
        self.fail_workflow_task(run, session, token, (cause, failure))
    }

    /// Has the namespaces read again.
    fn read_namespaces(&self) {
        let (store, namespaces) = (Arc::clone(&self.setup.store), self.setup.namespaces.clone());
        let read = async move {
            if let Err(error) = store.read_namespaces(&namespaces).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the namespaces can't be read again"
                );
            }
            Message::NamespacesRead
        };
        self.elsewhere.push(read.boxed());
    }

    fn workflow_task_completed(
        &mut self,
        run: &mut Run,
        session: SessionId,
        token: &WorkflowTaskToken,
        commands: Vec<Command>,
        sdk_metadata: SdkMetadata,
        sticky: bool,
    ) -> Step {
        let build = self.queues.build(session);
        // Only what closes a run may need the id of another.
        let closes = commands.last().is_some_and(Command::closes);
        let new_run_id = closes.then(|| self.new_run_id());
        let request = CompleteWorkflowTask {
            scheduled_event_id: token.scheduled_event_id,
            started_event_id: token.started_event_id,
            attempt: token.attempt,
            identity: self.identity(session),
            commands,
            sdk_metadata,
            sticky: None,
            force_create_new_workflow_task: false,
            new_run_id,
        };
        let decision = decide::complete_workflow_task(&run.execution, &request, self.now());
        let accepted = decision
            .as_ref()
            .is_ok_and(|decision| decision.refusal.is_none());
        run.affinity = (sticky && accepted).then_some(session);
        if accepted {
            run.tail.trim(token.started_event_id);
        } else {
            run.failed_build = build;
            self.evict(session, run.run_id());
        }
        self.carry_out_at_once(run, decision)
    }

    /// Records what a workflow task led to and sends it on its way before another task is handed out.
    fn carry_out_at_once(
        &mut self,
        run: &mut Run,
        decision: Result<decide::Decision, decide::Rejection>,
    ) -> Step {
        let (run_id, execution) = (run.run_id(), &run.execution);
        match decision {
            Ok(decision) => {
                if let Some(refusal) = &decision.refusal {
                    let attempt = execution.workflow_task().map_or(0, |task| task.attempt);
                    tracing::warn!(
                        workflow_id = %execution.workflow_id(), %run_id, workflow_type = %execution.workflow_type(), attempt,
                        %refusal, "the answer to a workflow task was refused"
                    );
                }
                self.record(run, decision)?;
                self.flush(run);
            }
            Err(rejection) => {
                tracing::debug!(%run_id, %rejection, "an answer to a workflow task came too late");
            }
        }
        self.settle(run)
    }
}

/// Says whether an answer is for the workflow task that this worker has, built on this folding of the run, and not for
/// one before it that failed because too much had arrived meanwhile.
fn is_current(run: &Run, session: SessionId, token: &WorkflowTaskToken) -> bool {
    let same = |task: &history::execution::WorkflowTaskState| {
        task.scheduled_event_id == token.scheduled_event_id && task.attempt == token.attempt
    };
    run.task.session() == Some(session)
        && token.incarnation == run.incarnation
        && run.execution.workflow_task().is_some_and(same)
}
