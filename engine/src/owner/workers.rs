//! Workers come and go, and their slots go to tasks that wait.

use history::{
    EventId, RunId, decide,
    task::{FromWorker, Tasks, ToWorker, WorkerHello},
};

use crate::{
    owner::{
        Owner,
        context::{Context, Next},
        state::task_place::TaskPlace,
    },
    store::namespaces::Ns,
    words::{HandOut, Kind, QueueKey, Reply, SessionId},
};

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
        self.context
            .queues
            .connect(session, namespace, hello, tasks);
        self.context.tell_pollers(&queue);
        if let Some(build) = build {
            self.hasten_failing(&queue, &build);
            self.context.tell_build(&queue, &build);
        }
        self.refill(&queue);
    }

    /// Takes note that a worker is gone: what it had is lost, and tried again if it may be.
    pub(super) fn disconnect(&mut self, session: SessionId) {
        let Some(gone) = self.context.queues.disconnect(session) else {
            return;
        };
        self.context.tell_gone(session, (&gone.queue, &gone.seat));
        self.context.tell_pollers(&gone.queue);
        for kind in Kind::ALL {
            self.context.may_demand(&gone.queue, kind);
        }
        let now = self.context.now();
        for run_id in gone.workflow_tasks.into_keys() {
            // One that is gone, or was folded again, has lost it already.
            self.step(run_id, |context, run| {
                if run.task.session() != Some(session) {
                    return Ok(());
                }
                run.task.take_back();
                run.affinity = None;
                let decision = decide::lose_workflow_task(&run.execution, now);
                context.carry_out(run, decision, Reply::None)
            });
        }
        for hand_out in gone.activities {
            let HandOut {
                run_id,
                scheduled_event_id,
                attempt,
                ..
            } = hand_out;
            // One that is gone is over, or finds when it is read that nobody has the attempt.
            self.step(run_id, |context, run| {
                let queues = &context.queues;
                if queues.is_running(run_id, scheduled_event_id, attempt) {
                    return Ok(());
                }
                let decision =
                    decide::lose_activity_task(&run.execution, scheduled_event_id, attempt, now);
                context.carry_out(run, decision, Reply::None)
            });
        }
    }

    /// Frees the slot that an answered task had, and gives it to a task that waits.
    pub(super) fn free_slot(&mut self, session: SessionId, answer: &FromWorker) {
        let Some(connected) = self.context.queues.session(session) else {
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

    /// Gives free slots to tasks that wait, and to members whose tasks wait, in turn.
    pub(super) fn refill(&mut self, queue: &QueueKey) {
        for kind in Kind::ALL {
            while self.context.lend_next(queue, kind) || self.hand_out_next(queue, kind) {}
            self.context.recall(queue, kind);
            self.context.may_demand_less(queue, kind);
        }
    }

    /// Hands out the task that has waited longest, if there is one and a worker with a free slot.
    fn hand_out_next(&mut self, queue: &QueueKey, kind: Kind) -> bool {
        // What is being read takes the slots that are free.
        let waits_for_reads = kind == Kind::Workflow
            && self.context.reads_enough(queue)
            && self.first_needs_history(queue);
        if !self.context.queues.has_free(queue, kind)
            || waits_for_reads
            || self.must_read(queue, kind)
        {
            return false;
        }
        let now = self.context.now();
        match kind {
            Kind::Workflow => match self.context.queues.next_workflow(queue, now) {
                Some(run_id) => self.wake_run(run_id, None),
                None => return false,
            },
            Kind::Activity => match self.context.queues.next_activity(queue, now) {
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
        self.step(run_id, |context, run| {
            if let Some((scheduled_event_id, attempt)) = activity {
                return context.hand_out_activity(run, scheduled_event_id, attempt);
            }
            if run.task == TaskPlace::Queued {
                run.task = TaskPlace::Idle;
            }
            context.settle(run)
        });
    }
}

impl Context {
    /// Frees the slot of an attempt that its worker never got.
    pub(super) fn free_attempt(&mut self, session: SessionId, hand_out: HandOut) {
        // With a worker that is gone its slots went.
        if let Some(connected) = self.queues.session(session) {
            connected.free_activity(hand_out);
            let queue = connected.queue.clone();
            self.next.push_back(Next::Refill(queue));
        }
    }

    /// A worker does not hear any more. It gets nothing else, until what it had is lost when the step has ended.
    pub(super) fn note_gone(&mut self, session: SessionId) {
        if let Some(connected) = self.queues.session(session) {
            connected.draining = true;
        }
        self.next.push_back(Next::Gone(session));
    }

    /// Returns what a worker calls itself.
    pub(super) fn identity(&mut self, session: SessionId) -> Option<history::Identity> {
        self.queues
            .session(session)
            .map(|session| session.hello.identity.clone())
    }

    /// Has a worker forget a run, and drop a task of it that it has not begun.
    pub(super) fn evict(&mut self, session: SessionId, run_id: RunId) {
        // A worker that is gone has forgotten the run anyway.
        self.queues.send(session, ToWorker::Evict(run_id));
    }
}
