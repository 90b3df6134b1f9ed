//! What follows a change of a run: its task to a worker, its records on their way.

use std::{cmp::Reverse, sync::Arc, time::Duration};

use history::{
    Event, RunId,
    decide::{self, Decision, Effect, StartWorkflowTask},
    event::TaskQueueKind,
    limits::HISTORY_BYTES_MAX,
    task::{ToWorker, WorkflowTask, WorkflowTaskToken},
};
use tokio::time::Instant;

use super::{
    Message, Owner,
    histories::Wanted,
    queues::{Kind, Position, QueueKey, SessionId},
    run::{After, HistoryRead, Unreadable},
};
use crate::{
    committer::Command,
    limits::{HOLD, HOLD_MAX, READ_AGAIN_AFTER},
    store,
};

impl Owner {
    /// Applies and stages what was decided; what it asks for is done when it is durable.
    pub(super) fn record(&mut self, run_id: RunId, decision: Decision) {
        #[cfg(test)]
        let decision = crate::sim::planted::alter(decision);
        let Some(run) = self.runs.get_mut(&run_id) else {
            return;
        };
        run.touched_at = Instant::now();
        let was_open = run.execution.is_open();
        let out = run.task_out;
        for record in decision.records {
            if let Err(corrupt) = run.stage(record) {
                // The core refuses its own decision: a bug in it. The run is folded again from what is durable.
                tracing::error!(error = &corrupt as &dyn std::error::Error, %run_id, "a decision can't be applied");
                return self.fold_again(run_id, "a decision can't be applied");
            }
        }
        // Its task timed out, or the run closed under it: nobody waits for the answer of the worker that has it.
        let outdated =
            out.filter(|_| run.task_out.is_none() || run.execution.workflow_task().is_none());
        if outdated.is_some() {
            run.task_out = None;
            run.affinity = None;
        }
        if was_open && !run.execution.is_open() {
            // Every one of them is answered, some to what the run had sent before it closed.
            run.debts = run.execution.debts().to_vec();
        }
        let waits = run.waits_for_other_code();
        if let Some(session) = outdated {
            self.evict(session, run_id);
        }
        if waits {
            self.note_failing(run_id);
        }
        for effect in decision.effects {
            match effect {
                // Told by the state itself, see `settle`: it need not wait for the commit.
                Effect::DispatchWorkflowTask { .. } => {}
                Effect::StartNewRun {
                    run_id: successor,
                    start,
                } => self.start_successor(run_id, successor, &start),
                effect => {
                    let Some(run) = self.runs.get_mut(&run_id) else {
                        return;
                    };
                    if let Some(after) = run.when_durable(After::Effect(effect)) {
                        self.do_after(run_id, after);
                    }
                }
            }
        }
    }

    /// Begins the run that follows one that closes; both are written together.
    fn start_successor(&mut self, run_id: RunId, successor: RunId, start: &decide::StartWorkflow) {
        let now = self.now();
        let Some(run) = self.runs.get_mut(&run_id) else {
            return;
        };
        run.successor = Some(successor);
        let (key, incarnation) = (run.key.clone(), run.incarnation);
        let decided = decide::start_after(&run.execution, successor, start, now);
        match decided {
            Ok(decision) => {
                self.insert_started(key, successor, start, Some(run_id), incarnation);
                self.record(successor, decision);
            }
            Err(rejection) => {
                tracing::error!(error = &rejection as &dyn std::error::Error, %run_id, "the run that follows can't be started");
                self.fold_again(run_id, "the run that follows can't be started");
            }
        }
    }

    /// Does what the run's state asks for: hands its workflow task out, and sends its records on their way
    /// unless they wait for that task's commands.
    pub(super) fn settle(&mut self, run_id: RunId) {
        self.hand_out_workflow_task(run_id);
        let Some(run) = self.runs.get_mut(&run_id) else {
            return;
        };
        if run.has_staged() {
            let now = Instant::now();
            let held = run.task_out.is_some() && run.hold_until.is_some_and(|until| now < until);
            if !held {
                self.flush(run_id);
            }
        }
        self.end_if_too_large(run_id);
        self.schedule_wake(run_id);
        self.weigh(run_id);
    }

    /// Terminates a run whose history is larger than any may be.
    fn end_if_too_large(&mut self, run_id: RunId) {
        let now = self.now();
        let Some(run) = self.runs.get(&run_id) else {
            return;
        };
        if run.bytes <= HISTORY_BYTES_MAX || !run.execution.is_open() {
            return;
        }
        let terminate = decide::Terminate {
            reason: format!(
                "the history has more than {HISTORY_BYTES_MAX} bytes, the most a run may have; continue as new before that"
            ),
            details: history::Payloads::default(),
            identity: None,
        };
        // A rejection means that it is closed, which is as good.
        if let Ok(decision) = decide::terminate(&run.execution, &terminate, now) {
            self.record(run_id, decision);
            self.flush(run_id);
        }
    }

    /// Sends the staged records to the committer, and those of the run that follows with them.
    pub(super) fn flush(&mut self, run_id: RunId) {
        let Some(run) = self.runs.get_mut(&run_id) else {
            return;
        };
        if !run.has_staged() {
            return;
        }
        let mut item = run.flush();
        let successor = run.successor;
        if let Some(successor) = successor
            && let Some(next) = self.runs.get_mut(&successor)
            && next.start_row.is_some()
        {
            next.flush_into(&mut item);
        }
        // A committer that has ended takes the owner with it.
        let _ = self.commits.send(Command::Commit(item));
        if let Some(successor) = successor {
            self.settle(successor);
        }
    }

    /// Hands the run's workflow task to a worker, if one waits to be handed out and everything before it is durable.
    fn hand_out_workflow_task(&mut self, run_id: RunId) {
        let Some(run) = self.runs.get_mut(&run_id) else {
            return;
        };
        let Some(task) = run.execution.workflow_task() else {
            return;
        };
        // Speculation is one workflow task deep: what this task is built on may be staged, but nothing before it.
        if !task.is_ready()
            || run.in_backlog
            || matches!(
                run.history_read,
                HistoryRead::UnderWay | HistoryRead::Failed
            )
            || run.is_flying()
            || self.stopping
            || !self.shards.hands_out(run.shard)
        {
            return;
        }
        let (scheduled_event_id, attempt, kind) =
            (task.scheduled_event_id, task.attempt, task.kind);
        let queue = (run.key.namespace.clone(), task.task_queue.clone());
        let affinity = run.affinity;
        let session = match affinity {
            Some(session)
                if kind == TaskQueueKind::Normal
                    && self.queues.can_take(session, Kind::Workflow) =>
            {
                Some(session)
            }
            _ => self.queues.free(&queue, Kind::Workflow),
        };
        let Some(session) = session else {
            return self.wait_for_slot(run_id, &queue);
        };
        let Some(run) = self.runs.get(&run_id) else {
            return;
        };
        let partial = affinity == Some(session) && run.has_what_is_new();
        if !partial && !run.has_whole_history() {
            // What is being read takes the slots that are free.
            if self.reads_enough(&queue) {
                return self.wait_for_slot(run_id, &queue);
            }
            return self.read_history(run_id);
        }
        self.send_workflow_task(
            run_id,
            session,
            StartedTask {
                scheduled_event_id,
                attempt,
                partial,
            },
        );
    }

    /// Lets a workflow task wait for a worker. One whose history was read for that has waited before, and is the next: else those that
    /// were read would gather behind those that are not.
    fn wait_for_slot(&mut self, run_id: RunId, queue: &QueueKey) {
        let run = self.runs.get(&run_id);
        let at = match run.map(|run| run.history_read) {
            Some(HistoryRead::Done) => Position::Next,
            Some(HistoryRead::No | HistoryRead::UnderWay | HistoryRead::Failed) | None => {
                Position::Last
            }
        };
        self.wait_at(at, run_id, queue);
    }

    /// Lets a workflow task wait somewhere in its queue.
    pub(super) fn wait_at(&mut self, at: Position, run_id: RunId, queue: &QueueKey) {
        if let Some(run) = self.runs.get_mut(&run_id) {
            run.in_backlog = true;
            let now = self.now();
            self.queues.wait_workflow(queue, at, run_id, now);
            self.may_demand(queue, Kind::Workflow);
        }
    }

    fn send_workflow_task(&mut self, run_id: RunId, session: SessionId, task: StartedTask) {
        let now = self.now();
        let Some(identity) = self
            .queues
            .session(session)
            .map(|session| session.hello.identity.clone())
        else {
            return;
        };
        let Some(run) = self.runs.get_mut(&run_id) else {
            return;
        };
        let request = StartWorkflowTask {
            scheduled_event_id: task.scheduled_event_id,
            attempt: task.attempt,
            identity: Some(identity),
            history_bytes: run.bytes,
        };
        let decision = match decide::start_workflow_task(&run.execution, &request, now) {
            Ok(decision) => decision,
            Err(rejection) => {
                tracing::error!(error = &rejection as &dyn std::error::Error, %run_id, "a workflow task can't be started");
                return;
            }
        };
        self.record(run_id, decision);
        if task.attempt > 1 {
            self.note_start(run_id, history::EventId::NONE, task.attempt);
        }
        self.post_workflow_task(run_id, session, task.partial);
    }

    /// Sends a started workflow task to a worker: the events that are new to it, or all of them.
    fn post_workflow_task(&mut self, run_id: RunId, session: SessionId, partial: bool) {
        let out = match self.queues.session(session) {
            Some(session) => session.workflow_tasks_out(),
            None => 0,
        };
        let Some(run) = self.runs.get_mut(&run_id) else {
            return;
        };
        let Some(task) = run.execution.workflow_task() else {
            return;
        };
        let Some(started) = task.start() else { return };
        let previous = run.execution.previous_started_event_id();
        let first = if partial {
            previous.next()
        } else {
            history::EventId::FIRST
        };
        let mut events: Vec<Arc<Event>> = run
            .tail
            .iter()
            .filter(|event| event.id >= first)
            .cloned()
            .collect();
        events.extend(run.execution.transient_events());
        let message = WorkflowTask {
            token: WorkflowTaskToken {
                namespace: run.key.namespace.name.clone(),
                workflow_id: run.key.workflow_id.clone(),
                run_id,
                scheduled_event_id: task.scheduled_event_id,
                started_event_id: started.started_event_id,
                attempt: task.attempt,
                incarnation: run.incarnation,
            },
            workflow_type: run.execution.workflow_type().clone(),
            previous_started_event_id: previous,
            events,
            start_to_close_timeout: task.start_to_close_timeout,
        };
        run.task_out = Some(session);
        run.unreadable = None;
        let until = Instant::now() + hold(out);
        run.hold_until = Some(until);
        self.holds.push(Reverse((until, run_id)));
        if let Some(session) = self.queues.session(session) {
            session.take_workflow(run_id);
        }
        if !self.queues.send(session, ToWorker::WorkflowTask(message)) {
            self.disconnect(session);
        }
    }

    pub(super) fn history_read(
        &mut self,
        wanted: Wanted,
        events: Result<Vec<Arc<Event>>, store::Error>,
    ) {
        let (run_id, incarnation) = (wanted.run_id, wanted.incarnation);
        self.end_reading(wanted);
        let run = self.runs.get_mut(&run_id);
        if let Some(run) = run.filter(|run| run.incarnation == incarnation) {
            run.history_read = HistoryRead::No;
            if run.execution.is_open() {
                self.take_history(run_id, events);
            } else {
                // Nobody gets it any more.
                self.forget_if_over(run_id);
            }
        }
        self.refill_freed();
    }

    /// Goes on with an open run whose history was read, or could not be.
    fn take_history(&mut self, run_id: RunId, events: Result<Vec<Arc<Event>>, store::Error>) {
        let now = self.now();
        let Some(run) = self.runs.get_mut(&run_id) else {
            return;
        };
        match events.and_then(|events| run.complete_tail(events)) {
            Ok(()) => {
                run.unreadable = None;
                self.post_again(run_id);
                self.settle(run_id);
                #[cfg(test)]
                crate::sim::world::wait_whole(self.waiting_whole());
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, %run_id, "a history can't be read; trying again");
                run.history_read = HistoryRead::Failed;
                let unreadable = run.unreadable.get_or_insert(Unreadable {
                    since: now,
                    problem: String::new(),
                });
                unreadable.problem = error.with_causes();
                let key = run.key.clone();
                self.lose_unposted(run_id);
                self.settle(run_id);
                let look = Message::On {
                    key,
                    run_id: Some(run_id),
                    op: super::Op::Look,
                };
                self.after(READ_AGAIN_AFTER, look);
            }
        }
    }

    /// A history that could not be read may be read again.
    pub(super) fn may_read_again(&mut self, run_id: RunId) {
        if let Some(run) = self.runs.get_mut(&run_id)
            && run.history_read == HistoryRead::Failed
        {
            run.history_read = HistoryRead::No;
        }
    }

    #[cfg(test)]
    fn waiting_whole(&self) -> usize {
        let waiting = self.runs.values().filter(|run| run.in_backlog);
        let whole = waiting.filter(|run| run.history_read == HistoryRead::Done);
        whole.count()
    }

    /// A started workflow task that is with nobody is tried again: its worker had evicted the run, and nobody else can have it.
    fn lose_unposted(&mut self, run_id: RunId) {
        if let Some(run) = self.runs.get(&run_id)
            && run.is_unposted()
            && let Ok(decision) = decide::lose_workflow_task(&run.execution, self.now())
        {
            self.record(run_id, decision);
        }
    }

    /// Sends a workflow task that is started but with nobody, because its worker had evicted the run.
    fn post_again(&mut self, run_id: RunId) {
        let Some(run) = self.runs.get(&run_id).filter(|run| run.is_unposted()) else {
            return;
        };
        let Some(task) = run.execution.workflow_task() else {
            return;
        };
        let queue = (run.key.namespace.clone(), task.task_queue.clone());
        if let Some(session) = self.queues.free(&queue, Kind::Workflow) {
            self.post_workflow_task(run_id, session, false);
        } else {
            self.lose_unposted(run_id);
        }
    }

    /// Sends the rows on their way that have waited long enough for commands.
    pub(super) fn end_holds(&mut self) {
        let now = Instant::now();
        while let Some(Reverse((until, run_id))) = self
            .holds
            .peek()
            .copied()
            .filter(|Reverse((until, _))| *until <= now)
        {
            self.holds.pop();
            if self
                .runs
                .get(&run_id)
                .is_some_and(|run| run.hold_until == Some(until))
            {
                self.flush(run_id);
            }
        }
    }
}

/// Returns how long a row waits for the commands of a workflow task, when its worker has so many.
fn hold(out: usize) -> Duration {
    let queued = u32::try_from(out / 32).unwrap_or(u32::MAX);
    HOLD.saturating_mul(queued.saturating_add(1)).min(HOLD_MAX)
}

/// A workflow task about to be handed out.
#[derive(Clone, Copy)]
struct StartedTask {
    scheduled_event_id: history::EventId,
    attempt: u32,
    /// The worker has the run cached and gets only what is new.
    partial: bool,
}
