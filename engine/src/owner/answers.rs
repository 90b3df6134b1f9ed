//! Workers come, answer, and go.

use history::{
    BuildId, EventId, RunId,
    command::Command,
    decide::{self, CompleteWorkflowTask, FailWorkflowTask},
    event::{SdkMetadata, WorkflowTaskFailedCause},
    task::{FromWorker, Tasks, ToWorker, WorkerHello, WorkflowTaskAnswer, WorkflowTaskToken},
};

use super::{
    Key, Op, Owner, Reply,
    queues::{HandOut, Kind, QueueKey, SessionId},
};
use crate::{Error, store::load::Ns};

impl Owner {
    pub(super) fn connect(
        &mut self,
        session: SessionId,
        namespace: Ns,
        hello: WorkerHello,
        tasks: Tasks,
    ) {
        let queue = (namespace.clone(), hello.task_queue.clone());
        let build = (hello.workflow_slots > 0).then(|| hello.build_id.clone());
        self.queues.connect(session, namespace, hello, tasks);
        self.tell_pollers(&queue);
        if let Some(build) = build {
            self.hasten_failing(&queue, &build);
            self.tell_build(&queue, &build);
        }
        self.refill(&queue);
    }

    /// Takes note that the workflow task of a run failed and waits. Those that do not any more go when there are twice as many.
    pub(super) fn note_failing(&mut self, run_id: RunId) {
        if self.failing.insert(run_id) && self.failing.len().is_power_of_two() {
            self.keep_failing();
        }
    }

    fn keep_failing(&mut self) {
        let runs = &self.runs;
        self.failing.retain(|run_id| {
            let run = runs.get(run_id);
            run.is_some_and(|run| run.waits_for_other_code())
        });
    }

    /// Tries the workflow tasks of a queue again that other code could not do, now that this code has come.
    pub(super) fn hasten_failing(&mut self, queue: &QueueKey, build: &BuildId) {
        self.keep_failing();
        let runs = &self.runs;
        let hastened = self.failing.iter().filter(|run_id| {
            runs.get(run_id).is_some_and(|run| {
                run.key.namespace == queue.0
                    && *run.execution.task_queue() == queue.1
                    && run.failed_build.as_ref() != Some(build)
            })
        });
        let hastened: Vec<RunId> = hastened.copied().collect();
        let now = self.now();
        for run_id in hastened {
            if let Some(run) = self.runs.get(&run_id) {
                let decision = decide::hasten_workflow_task(&run.execution, now);
                self.carry_out(run_id, decision, Reply::None);
            }
        }
    }

    /// Takes note that a worker is gone: what it had is lost and tried again.
    pub(super) fn disconnect(&mut self, session: SessionId) {
        let Some(gone) = self.queues.disconnect(session) else {
            return;
        };
        self.tell_gone(session, (&gone.queue, &gone.seat));
        self.tell_pollers(&gone.queue);
        for kind in Kind::ALL {
            self.may_demand(&gone.queue, kind);
        }
        let now = self.now();
        for run_id in gone.workflow_tasks.into_keys() {
            let Some(run) = self
                .runs
                .get_mut(&run_id)
                .filter(|run| run.task_out == Some(session))
            else {
                continue;
            };
            run.task_out = None;
            run.affinity = None;
            let decision = decide::lose_workflow_task(&run.execution, now);
            self.carry_out(run_id, decision, Reply::None);
        }
        for hand_out in gone.activities {
            let HandOut {
                run_id,
                scheduled_event_id,
                attempt,
                ..
            } = hand_out;
            let Some(run) = self.runs.get(&run_id) else {
                continue;
            };
            if self.queues.is_running(run_id, scheduled_event_id, attempt) {
                continue;
            }
            let decision =
                decide::lose_activity_task(&run.execution, scheduled_event_id, attempt, now);
            self.carry_out(run_id, decision, Reply::None);
        }
    }

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
                if let Some(worker) = self.queues.session(session) {
                    worker.draining = true;
                    let queue = worker.queue.clone();
                    self.tell_pollers(&queue);
                }
                return;
            }
        };
        let Some(connected) = self.queues.session(session) else {
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
        self.on(
            key,
            Some(run_id),
            Op::Worker {
                session,
                answer: Box::new(answer),
            },
        );
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
            self.queues.send(session, ToWorker::CancelActivity(token));
        }
    }

    /// Frees the slot that an answered task had, and gives it to a task that waits.
    pub(super) fn free_slot(&mut self, session: SessionId, answer: &FromWorker) {
        let Some(connected) = self.queues.session(session) else {
            return;
        };
        match answer {
            FromWorker::WorkflowTask { token, .. } => connected.free_workflow(token.run_id),
            FromWorker::ActivityTask { token, answer } if answer.ends_attempt() => {
                connected.free_activity(HandOut::of(token));
            }
            FromWorker::ActivityTask { .. } | FromWorker::Draining => return,
        }
        let queue = connected.queue.clone();
        self.refill(&queue);
    }

    /// Frees the slot of an attempt that its worker never got.
    pub(super) fn free_attempt(&mut self, session: SessionId, hand_out: HandOut) {
        let Some(connected) = self.queues.session(session) else {
            return;
        };
        connected.free_activity(hand_out);
        let queue = connected.queue.clone();
        self.refill(&queue);
    }

    /// Gives free slots to tasks that wait, and to members whose tasks wait, in turn.
    pub(super) fn refill(&mut self, queue: &QueueKey) {
        for kind in Kind::ALL {
            while self.lend_next(queue, kind) || self.hand_out_next(queue, kind) {}
            self.recall(queue, kind);
            self.may_demand_less(queue, kind);
        }
    }

    /// Hands out the task that has waited longest, if there is one and a worker with a free slot.
    fn hand_out_next(&mut self, queue: &QueueKey, kind: Kind) -> bool {
        // What is being read takes the slots that are free.
        let waits_for_reads =
            kind == Kind::Workflow && self.reads_enough(queue) && self.first_needs_history(queue);
        if !self.queues.has_free(queue, kind) || waits_for_reads || self.must_read(queue, kind) {
            return false;
        }
        let now = self.now();
        match kind {
            Kind::Workflow => match self.queues.next_workflow(queue, now) {
                Some(run_id) => self.wake_run(run_id, None),
                None => return false,
            },
            Kind::Activity => match self.queues.next_activity(queue, now) {
                Some(waiting) => self.wake_run(
                    waiting.run_id,
                    Some((waiting.scheduled_event_id, waiting.attempt)),
                ),
                None => return false,
            },
        }
        true
    }

    /// Hands out a task of a run that waited in a queue. A run that is not in memory any more is over, or was read again and waits anew.
    fn wake_run(&mut self, run_id: RunId, activity: Option<(EventId, u32)>) {
        if let Some((scheduled_event_id, attempt)) = activity {
            self.hand_out_activity(run_id, scheduled_event_id, attempt);
        } else {
            if let Some(run) = self.runs.get_mut(&run_id) {
                run.in_backlog = false;
            }
            self.settle(run_id);
        }
    }

    /// Does what an answer asks for.
    pub(super) fn answered(&mut self, run_id: RunId, session: SessionId, answer: FromWorker) {
        self.free_slot(session, &answer);
        match answer {
            FromWorker::WorkflowTask { token, answer } => {
                self.workflow_task_answered(run_id, session, &token, answer);
            }
            FromWorker::ActivityTask { token, answer } => {
                self.activity_task_answered(run_id, session, token, answer);
            }
            FromWorker::Draining => {}
        }
    }

    pub(super) fn identity(&mut self, session: SessionId) -> Option<history::Identity> {
        self.queues
            .session(session)
            .map(|session| session.hello.identity.clone())
    }

    /// Takes the answer to a workflow task, if it is built on this folding of the run.
    fn workflow_task_answered(
        &mut self,
        run_id: RunId,
        session: SessionId,
        token: &WorkflowTaskToken,
        answer: WorkflowTaskAnswer,
    ) {
        let Some(run) = self.runs.get_mut(&run_id) else {
            return;
        };
        let is_current = is_current(run, session, token);
        match answer {
            WorkflowTaskAnswer::Completed {
                commands,
                sdk_metadata,
                sticky,
                unread_signals,
            } if is_current => {
                run.task_out = None;
                run.unread_signals = unread_signals;
                self.workflow_task_completed(
                    run_id,
                    session,
                    token,
                    commands,
                    sdk_metadata,
                    sticky,
                );
            }
            WorkflowTaskAnswer::Completed { .. } => {
                // One that has got the run anew since has cached that folding.
                if run.task_out != Some(session) && run.affinity != Some(session) {
                    self.evict(session, run_id);
                }
            }
            WorkflowTaskAnswer::Failed { cause, failure } if is_current => {
                run.task_out = None;
                run.affinity = None;
                if cause == WorkflowTaskFailedCause::ResetStickyTaskQueue {
                    // The worker has evicted the run: somebody gets the same task again, in full. That is no failure.
                    return self.read_history(run_id);
                }
                run.failed_build = self.queues.build(session);
                let request = FailWorkflowTask {
                    scheduled_event_id: token.scheduled_event_id,
                    started_event_id: token.started_event_id,
                    attempt: token.attempt,
                    cause,
                    failure: Some(*failure),
                    identity: self.identity(session),
                };
                self.workflow_task_failed(run_id, &request);
            }
            WorkflowTaskAnswer::Failed { .. } => {}
        }
    }

    fn workflow_task_completed(
        &mut self,
        run_id: RunId,
        session: SessionId,
        token: &WorkflowTaskToken,
        commands: Vec<Command>,
        sdk_metadata: SdkMetadata,
        sticky: bool,
    ) {
        let (now, identity) = (self.now(), self.identity(session));
        let build = self.queues.build(session);
        // Only what closes a run may need the id of another.
        let closes = commands.last().is_some_and(Command::closes);
        let new_run_id = closes.then(|| self.new_run_id());
        let Some(run) = self.runs.get_mut(&run_id) else {
            return;
        };
        let request = CompleteWorkflowTask {
            scheduled_event_id: token.scheduled_event_id,
            started_event_id: token.started_event_id,
            attempt: token.attempt,
            identity,
            commands,
            sdk_metadata,
            sticky: None,
            force_create_new_workflow_task: false,
            new_run_id,
        };
        let decision = decide::complete_workflow_task(&run.execution, &request, now);
        let accepted = decision
            .as_ref()
            .is_ok_and(|decision| decision.refusal.is_none());
        run.affinity = (sticky && accepted).then_some(session);
        if accepted {
            run.trim_tail(token.started_event_id);
        } else {
            run.failed_build = build;
            self.evict(session, run_id);
        }
        self.carry_out_at_once(run_id, decision);
    }

    fn workflow_task_failed(&mut self, run_id: RunId, request: &FailWorkflowTask) {
        let now = self.now();
        let Some(run) = self.runs.get_mut(&run_id) else {
            return;
        };
        let decision = decide::fail_workflow_task(&run.execution, request, now);
        self.carry_out_at_once(run_id, decision);
    }

    /// Records what a workflow task led to and sends it on its way before another task is handed out.
    fn carry_out_at_once(
        &mut self,
        run_id: RunId,
        decision: Result<decide::Decision, decide::Rejection>,
    ) {
        match decision {
            Ok(decision) => {
                if let Some(refusal) = &decision.refusal
                    && let Some(run) = self.runs.get(&run_id)
                {
                    let execution = &run.execution;
                    let attempt = execution.workflow_task().map_or(0, |task| task.attempt);
                    tracing::warn!(
                        workflow_id = %execution.workflow_id(), %run_id, workflow_type = %execution.workflow_type(), attempt,
                        %refusal, "the answer to a workflow task was refused"
                    );
                }
                self.record(run_id, decision);
                self.flush(run_id);
            }
            Err(rejection) => {
                tracing::debug!(%run_id, %rejection, "an answer to a workflow task came too late");
            }
        }
        self.settle(run_id);
    }

    /// Has a worker forget a run, and drop a task of it that it has not begun.
    pub(super) fn evict(&mut self, session: SessionId, run_id: RunId) {
        // A worker that is gone has forgotten the run anyway.
        self.queues.send(session, ToWorker::Evict(run_id));
    }
}

/// Says whether an answer is for the workflow task that this worker has, built on this folding of the run, and not for
/// one before it that failed because too much had arrived meanwhile.
fn is_current(run: &super::Run, session: SessionId, token: &WorkflowTaskToken) -> bool {
    let same = |task: &history::execution::WorkflowTaskState| {
        task.scheduled_event_id == token.scheduled_event_id && task.attempt == token.attempt
    };
    run.task_out == Some(session)
        && token.incarnation == run.incarnation
        && run.execution.workflow_task().is_some_and(same)
}
