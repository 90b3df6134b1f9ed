//! Operations on a workflow that exists: found in memory, or read first.

use history::{
    EventId,
    decide::{self, Decision, Rejection},
};

use super::{Answer, Debt, Delivered, Heard, Key, Message, Op, Owner, Reached, Reply, RunKey};
use crate::Error;

impl Owner {
    /// Does an operation on a run, or on the latest run of an id.
    pub(super) fn on(&mut self, key: Key, run_id: Option<history::RunId>, op: Op) {
        if self.shards.has_all() {
            return self.on_here(key, run_id, op);
        }
        let shard = key.shard();
        if let Some(Message::On { key, run_id, op }) =
            self.admit(shard, Message::On { key, run_id, op })
        {
            self.on_here(key, run_id, op);
        }
    }

    fn on_here(&mut self, key: Key, run_id: Option<history::RunId>, op: Op) {
        let known = match run_id {
            Some(run_id) => self
                .runs
                .get(&run_id)
                .filter(|run| run.key == key)
                .map(|_| run_id),
            None => self
                .current
                .get(&key)
                .copied()
                .filter(|run_id| self.runs.contains_key(run_id)),
        };
        let waits_for = (key, run_id);
        // Who names the run knows it from this process: a worker, or a workflow.
        if let (Some(known), None) = (known, run_id)
            && let Some(origin) = self.origin(known)
        {
            let key = waits_for.0;
            return origin.behind.push(Message::On { key, run_id, op });
        }
        match (known, self.loading.get_mut(&waits_for)) {
            (Some(run_id), _) => self.operate(run_id, op),
            (None, Some(loading)) => loading.waiting.push(Message::On {
                key: waits_for.0,
                run_id,
                op,
            }),
            (None, None) => {
                let (key, run_id) = waits_for;
                self.load(key.clone(), run_id, vec![Message::On { key, run_id, op }]);
            }
        }
    }

    fn operate(&mut self, run_id: history::RunId, op: Op) {
        let now = self.now();
        let Some(run) = self.runs.get_mut(&run_id) else {
            return;
        };
        let execution = &run.execution;
        match op {
            Op::Signal { signal, reply } => {
                let decision = decide::signal(execution, &signal, now);
                self.carry_out(run_id, decision, reply);
            }
            Op::RequestCancel { cancel, reply } => {
                let decision = match decide::request_cancel(execution, &cancel, now) {
                    // Asked by a workflow, a cancellation that was requested already is one that arrived.
                    Err(Rejection::CancellationAlreadyRequested)
                        if !matches!(reply, Reply::Caller(_)) =>
                    {
                        Ok(Decision::default())
                    }
                    decision => decision,
                };
                self.carry_out(run_id, decision, reply);
            }
            Op::Terminate { terminate, reply } => {
                let decision = decide::terminate(execution, &terminate, now);
                self.carry_out(run_id, decision, reply);
            }
            Op::OnlyChildOf { parent, op } => {
                let is_child = execution
                    .started()
                    .parent_workflow_execution
                    .as_ref()
                    .is_some_and(|execution| execution.run_id == parent);
                // Sent again, it may find another run that has taken the child's id over.
                if is_child || has_heard(execution, &op) {
                    self.operate(run_id, *op);
                } else {
                    let answer = Err(Error::WorkflowNotFound {
                        workflow_id: run.key.workflow_id.clone(),
                        run_id: Some(run_id),
                    });
                    if let Some(reply) = op.reply() {
                        self.tell_when_durable(run_id, Answer::Operation { reply, answer });
                    }
                }
            }
            Op::Describe { reply } => {
                run.describe_waiters.push(reply);
                self.answer_waiters(run_id);
                self.settle(run_id);
            }
            Op::WaitClosed { reply } => {
                run.waiters.wait_closed(reply);
                self.answer_waiters(run_id);
            }
            Op::WaitEvents { after, reply } => {
                run.waiters.wait_events(after, reply);
                self.answer_waiters(run_id);
            }
            Op::Heard(heard) => self.heard(run_id, &heard),
            Op::ChildClosed { closed, reply } => {
                let starting = run.starting_child(closed.initiated_event_id);
                let decision = decide::child_closed(execution, &closed, now);
                self.carry_out(run_id, decision, reply);
                self.deliver_to_child(run_id, starting);
            }
            Op::Worker { session, answer } => self.answered(run_id, session, *answer),
            Op::Look => {
                self.may_read_again(run_id);
                self.fire_due(run_id);
                self.settle(run_id);
            }
        }
        self.forget_if_over(run_id);
    }

    /// Takes note of what came of something that a run had sent. To a closed run it pays a debt; also if the run closed just now,
    /// because its history had no room for it.
    fn heard(&mut self, run_id: history::RunId, heard: &Heard) {
        let now = self.now();
        let Some(run) = self.runs.get_mut(&run_id) else {
            return;
        };
        run.unheard_since = None;
        let starting = match heard.outcome {
            Delivered::ChildStarted(_) | Delivered::ChildStartFailed(_) => {
                run.starting_child(heard.initiated_event_id)
            }
            Delivered::Signal(_) | Delivered::Cancel(_) => None,
        };
        if run.execution.is_open() {
            let decision = decided(&run.execution, heard, now);
            self.carry_out(run_id, decision, Reply::None);
        }
        let Some(run) = self.runs.get(&run_id) else {
            return;
        };
        if !run.execution.is_open() && run.round == heard.round {
            if let Delivered::ChildStarted(_) = heard.outcome {
                self.close_late_child(run_id, heard.initiated_event_id);
            }
            self.paid(run_id, Debt::Initiated(heard.initiated_event_id));
        }
        self.deliver_to_child(run_id, starting);
    }

    /// Records a decision, and answers.
    pub(super) fn carry_out(
        &mut self,
        run_id: history::RunId,
        decision: Result<Decision, Rejection>,
        reply: Reply,
    ) {
        let answer = match decision {
            Ok(mut decision) => {
                let answer = decision
                    .refusal
                    .take()
                    .map_or(Ok(()), |refusal| Err(refusal.into()));
                self.record(run_id, decision);
                answer
            }
            Err(rejection) => Err(Error::from(rejection)),
        };
        self.tell_when_durable(run_id, Answer::Operation { reply, answer });
        self.settle(run_id);
        self.forget_if_over(run_id);
    }

    /// Answers everybody who waits for something that is true by now.
    pub(super) fn answer_waiters(&mut self, run_id: history::RunId) {
        let Some(run) = self.runs.get_mut(&run_id) else {
            return;
        };
        // Whoever hung up does not want to know.
        if let Some(closed) = run.closed() {
            for waiter in run.waiters.closed.drain(..) {
                let _ = waiter.send(Ok(closed.clone()));
            }
        }
        let reached = Reached {
            run_id,
            last: run.durable_event_id(),
            closed: run.closed().is_some(),
        };
        let mut still = Vec::new();
        for (after, waiter) in run.waiters.events.drain(..) {
            if reached.closed || after < reached.last {
                let _ = waiter.send(Ok(reached));
            } else if !waiter.is_closed() {
                still.push((after, waiter));
            }
        }
        run.waiters.events = still;
        if run.is_durable() && !run.describe_waiters.is_empty() {
            let description = super::describe::describe(run, &self.queues, self.setup.clock.now());
            for waiter in run.describe_waiters.drain(..) {
                let _ = waiter.send(Ok(description.clone()));
            }
        }
    }

    /// Tells whoever waits for an operation what came of it.
    pub(super) fn answer(&mut self, reply: Reply, answer: Result<(), Error>) {
        use history::event::ExternalFailedCause as Cause;
        match reply {
            Reply::None => {}
            // Whoever hung up does not want to know.
            Reply::Caller(reply) | Reply::Peer(reply) => drop(reply.send(answer)),
            Reply::External { source, .. } | Reply::Debt { debtor: source, .. }
                if !self.is_awaited(&source) => {}
            Reply::External {
                source,
                initiated_event_id,
                cancel,
            } => {
                let came = match answer {
                    Ok(()) => Ok(()),
                    Err(Error::NamespaceNotFound(_)) => Err(Cause::NamespaceNotFound),
                    Err(Error::Rejected(Rejection::TooManySignals(_))) => {
                        Err(Cause::SignalCountLimitExceeded)
                    }
                    Err(Error::WorkflowNotFound { .. } | Error::Rejected(_)) => {
                        Err(Cause::ExternalWorkflowExecutionNotFound)
                    }
                    Err(error) => {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "a signal or cancellation was not delivered; trying again"
                        );
                        return self.deliver_again(&source);
                    }
                };
                let outcome = if cancel {
                    Delivered::Cancel(came)
                } else {
                    Delivered::Signal(came)
                };
                self.tell_sender(source, initiated_event_id, outcome);
            }
            Reply::Debt { debtor, debt } => match answer {
                // Whatever a receiver says that is not gone: the debt is paid, or nobody is there to pay it to.
                Ok(())
                | Err(
                    Error::Rejected(_)
                    | Error::WorkflowNotFound { .. }
                    | Error::NamespaceNotFound(_),
                ) => self.paid(debtor.run_id, debt),
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "a closed run's message was not delivered; trying again"
                    );
                    self.deliver_again(&debtor);
                }
            },
        }
    }

    /// Tells a run what came of something that it had sent.
    pub(super) fn tell_sender(
        &mut self,
        source: RunKey,
        initiated_event_id: EventId,
        outcome: Delivered,
    ) {
        let RunKey { key, run_id, round } = source;
        let heard = Heard {
            initiated_event_id,
            round,
            outcome,
        };
        self.local.push_back(Message::On {
            key,
            run_id: Some(run_id),
            op: Op::Heard(heard),
        });
    }

    /// Tells whoever waits for an operation that it was not done.
    pub(super) fn refuse(&mut self, op: Op, error: Error) {
        // Whoever hung up does not want to know.
        match op {
            Op::Signal { reply, .. }
            | Op::RequestCancel { reply, .. }
            | Op::Terminate { reply, .. }
            | Op::ChildClosed { reply, .. } => {
                self.answer(reply, Err(error));
            }
            Op::OnlyChildOf { op, .. } => self.refuse(*op, error),
            Op::Describe { reply } => drop(reply.send(Err(error))),
            Op::WaitClosed { reply } => drop(reply.send(Err(error))),
            Op::WaitEvents { reply, .. } => drop(reply.send(Err(error))),
            Op::Worker { session, answer } => self.answer_refused(session, *answer, &error),
            Op::Heard(_) | Op::Look => {}
        }
    }
}

/// Says whether a run, or one before it, has heard a message.
fn has_heard(execution: &history::Execution, op: &Op) -> bool {
    match op {
        Op::Signal { signal, .. } => {
            let request_id = signal.request_id.as_ref();
            request_id.is_some_and(|id| execution.has_heard_signal(id))
        }
        Op::RequestCancel { cancel, .. } => {
            let request_id = cancel.request_id.as_ref();
            request_id.is_some_and(|id| execution.has_heard_cancel(id))
        }
        _ => false,
    }
}

/// Decides what a run that is open makes of what it hears.
fn decided(
    execution: &history::Execution,
    heard: &Heard,
    now: history::Timestamp,
) -> Result<Decision, Rejection> {
    let id = heard.initiated_event_id;
    match &heard.outcome {
        Delivered::ChildStarted(child) => decide::child_started(execution, id, *child, now),
        Delivered::ChildStartFailed(cause) => {
            decide::child_start_failed(execution, id, *cause, now)
        }
        Delivered::Signal(Ok(())) => decide::external_signaled(execution, id, now),
        Delivered::Signal(Err(cause)) => decide::external_signal_failed(execution, id, *cause, now),
        Delivered::Cancel(Ok(())) => decide::external_cancel_requested(execution, id, now),
        Delivered::Cancel(Err(cause)) => decide::external_cancel_failed(execution, id, *cause, now),
    }
}
