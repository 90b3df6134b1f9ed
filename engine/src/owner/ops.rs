//! Operations on a workflow that exists: found in memory, or read first.

use history::{
    EventId, RunId,
    decide::{self, Decision, Rejection},
};

use crate::{
    Error,
    owner::{
        Owner,
        context::{Context, Step},
        state::run::Run,
    },
    words::{
        Answer, Delivery, DeliveryOutcome, DeliveryReport, Key, Op, Reached, Reply, Request,
        RunKey, Undelivered,
    },
};

impl Owner {
    /// Does an operation on a run, or on the latest run of an id.
    pub(super) fn on(&mut self, key: Key, run_id: Option<RunId>, op: Op) {
        let known = match run_id {
            Some(run_id) => {
                let run = self.runs.get(&run_id);
                run.filter(|run| run.key == key).map(|_| run_id)
            }
            None => self.current.get(&key).copied(),
        };
        let waits_for = (key, run_id);
        // A start that is not durable may turn out not to be. Who names its run knows it from this process: a worker, or a workflow.
        if let (Some(known), None) = (known, run_id)
            && let Some(origin) = self.origin(known)
        {
            let key = waits_for.0;
            return origin.behind.push(Request::On { key, run_id, op });
        }
        match (known, self.loading.get_mut(&waits_for)) {
            (Some(run_id), _) => self.operate(run_id, op),
            (None, Some(loading)) => loading.waiting.push(Request::On {
                key: waits_for.0,
                run_id,
                op,
            }),
            (None, None) => {
                let (key, run_id) = waits_for;
                self.load(key.clone(), run_id, vec![Request::On { key, run_id, op }]);
            }
        }
    }

    fn operate(&mut self, run_id: RunId, op: Op) {
        // Its slot goes to a task that has waited, before what the answer leads to is handed out.
        if let Op::Worker { session, answer } = &op {
            self.free_slot(*session, answer);
            // One that is over was read for this answer, and may have left again with the place that it had in a queue.
            if !self.runs.contains_key(&run_id) {
                return;
            }
        }
        self.step_here(run_id, |context, run| match op {
            Op::Deliver {
                delivery,
                only_child_of,
                reply,
            } => context.deliver_here(run, &delivery, only_child_of, reply),
            Op::Describe { reply } => {
                run.waiters.described.push(reply);
                context.answer_waiters(run);
                context.settle(run)
            }
            Op::WaitClosed { reply } => {
                run.waiters.wait_closed(reply);
                context.answer_waiters(run);
                Ok(())
            }
            Op::WaitEvents { after, reply } => {
                run.waiters.wait_events(after, reply);
                context.answer_waiters(run);
                Ok(())
            }
            Op::Report(report) => context.reported(run, &report),
            Op::Worker { session, answer } => context.answered(run, session, *answer),
            Op::Look => {
                run.may_read_again();
                context.fire_due(run)?;
                context.settle(run)
            }
        });
    }

    /// Tells the outcome of an operation to whoever waits for it.
    pub(super) fn answer(&mut self, reply: Reply, answer: Result<(), Error>) {
        use history::event::ExternalFailedCause as Cause;
        match reply {
            Reply::None => {}
            // Whoever hung up does not want to know.
            Reply::Caller(reply) | Reply::Peer(reply) => drop(reply.send(answer)),
            Reply::External { sender, .. } | Reply::Undelivered { sender, .. }
                if !self.is_awaited(&sender) => {}
            Reply::External {
                sender,
                initiated_event_id,
                kind,
            } => {
                let outcome = match answer {
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
                        return self.deliver_again(&sender);
                    }
                };
                self.context
                    .report(sender, initiated_event_id, kind.outcome(outcome));
            }
            Reply::Undelivered { sender, what } => match answer {
                // Whatever a receiver says that is not gone: it is delivered, or nobody is there to take it.
                Ok(())
                | Err(
                    Error::Rejected(_)
                    | Error::WorkflowNotFound { .. }
                    | Error::NamespaceNotFound(_),
                ) => {
                    // One that has left memory is read with all that it has still to deliver.
                    self.step(sender.run_id, |context, run| {
                        context.delivered(run, what);
                        Ok(())
                    });
                }
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "a closed run's message was not delivered; trying again"
                    );
                    self.deliver_again(&sender);
                }
            },
        }
    }

    /// Tells whoever waits for an operation that it was not done.
    pub(super) fn refuse(&mut self, op: Op, error: Error) {
        // Whoever hung up does not want to know.
        match op {
            Op::Deliver { reply, .. } => self.answer(reply, Err(error)),
            Op::Describe { reply } => drop(reply.send(Err(error))),
            Op::WaitClosed { reply } => drop(reply.send(Err(error))),
            Op::WaitEvents { reply, .. } => drop(reply.send(Err(error))),
            Op::Worker { session, answer } => self.answer_refused(session, *answer, &error),
            Op::Report(_) | Op::Look => {}
        }
    }
}

impl Context {
    /// Takes what somebody sends a run, if it is one that may have it.
    fn deliver_here(
        &mut self,
        run: &mut Run,
        delivery: &Delivery,
        only_child_of: Option<RunId>,
        reply: Reply,
    ) -> Step {
        let now = self.now();
        let execution = &run.execution;
        // Sent again, it may find another run that has taken the child's id over.
        if only_child_of
            .is_some_and(|parent| !is_child(execution, parent) && !has_heard(execution, delivery))
        {
            let answer = Err(Error::WorkflowNotFound {
                workflow_id: run.key.workflow_id.clone(),
                run_id: Some(run.run_id()),
            });
            return self.tell_when_durable(run, Answer::Operation { reply, answer });
        }
        let mut starting = None;
        let decision = match delivery {
            Delivery::Signal(signal) => decide::signal(execution, signal, now),
            Delivery::RequestCancel(cancel) => {
                match decide::request_cancel(execution, cancel, now) {
                    // Asked by a workflow, a cancellation that was requested already is one that arrived.
                    Err(Rejection::CancellationAlreadyRequested)
                        if !matches!(reply, Reply::Caller(_)) =>
                    {
                        Ok(Decision::default())
                    }
                    decision => decision,
                }
            }
            Delivery::Terminate(terminate) => decide::terminate(execution, terminate, now),
            Delivery::ChildClosed(closed) => {
                starting = run.starting_child(closed.initiated_event_id);
                decide::child_closed(execution, closed, now)
            }
        };
        self.carry_out(run, decision, reply)?;
        self.deliver_to_child(run, starting)
    }

    /// Takes note of the outcome of something that a run had sent. A closed run has then one thing less to deliver; also if the run closed
    /// just now, because its history could take no more.
    fn reported(&mut self, run: &mut Run, report: &DeliveryReport) -> Step {
        run.deliveries.unheard_since = None;
        let starting = match report.outcome {
            DeliveryOutcome::ChildStarted(_) | DeliveryOutcome::ChildStartFailed(_) => {
                run.starting_child(report.initiated_event_id)
            }
            DeliveryOutcome::Signal(_) | DeliveryOutcome::Cancel(_) => None,
        };
        if run.execution.is_open() {
            let decision = decided(&run.execution, report, self.now());
            self.carry_out(run, decision, Reply::None)?;
        }
        if !run.execution.is_open() && run.deliveries.round == report.round {
            if let DeliveryOutcome::ChildStarted(_) = report.outcome {
                self.close_late_child(run, report.initiated_event_id)?;
            }
            self.delivered(run, Undelivered::Initiated(report.initiated_event_id));
        }
        self.deliver_to_child(run, starting)
    }

    /// Answers everybody who waits for something that is true by now.
    pub(super) fn answer_waiters(&mut self, run: &mut Run) {
        // Whoever hung up does not want to know.
        let closed = run.closed();
        if let Some(closed) = &closed {
            for waiter in run.waiters.closed.drain(..) {
                let _ = waiter.send(Ok(closed.clone()));
            }
        }
        let reached = Reached {
            run_id: run.run_id(),
            last: run.durable_event_id(),
            closed: closed.is_some(),
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
        if run.is_durable() && !run.waiters.described.is_empty() {
            let description = super::describe::describe(run, &self.queues, self.now());
            for waiter in run.waiters.described.drain(..) {
                let _ = waiter.send(Ok(description.clone()));
            }
        }
    }

    /// Tells a run the outcome of something that it had sent.
    pub(super) fn report(
        &mut self,
        sender: RunKey,
        initiated_event_id: EventId,
        outcome: DeliveryOutcome,
    ) {
        let RunKey { key, run_id, round } = sender;
        let report = DeliveryReport {
            initiated_event_id,
            round,
            outcome,
        };
        self.local.push_back(Request::On {
            key,
            run_id: Some(run_id),
            op: Op::Report(report),
        });
    }
}

/// Says whether a run was started by this parent.
fn is_child(execution: &history::Execution, parent: RunId) -> bool {
    let known = execution.started().parent_workflow_execution.as_ref();
    known.is_some_and(|known| known.run_id == parent)
}

/// Says whether a run, or one before it, has heard a message.
fn has_heard(execution: &history::Execution, delivery: &Delivery) -> bool {
    match delivery {
        Delivery::Signal(signal) => {
            let request_id = signal.request_id.as_ref();
            request_id.is_some_and(|id| execution.has_heard_signal(id))
        }
        Delivery::RequestCancel(cancel) => {
            let request_id = cancel.request_id.as_ref();
            request_id.is_some_and(|id| execution.has_heard_cancel(id))
        }
        // They have no request id: one that comes again is refused by what has become of the run.
        Delivery::Terminate(_) | Delivery::ChildClosed(_) => false,
    }
}

/// Decides what a run that is open makes of a report.
fn decided(
    execution: &history::Execution,
    report: &DeliveryReport,
    now: history::Timestamp,
) -> Result<Decision, Rejection> {
    let id = report.initiated_event_id;
    match &report.outcome {
        DeliveryOutcome::ChildStarted(child) => decide::child_started(execution, id, *child, now),
        DeliveryOutcome::ChildStartFailed(cause) => {
            decide::child_start_failed(execution, id, *cause, now)
        }
        DeliveryOutcome::Signal(Ok(())) => decide::external_signaled(execution, id, now),
        DeliveryOutcome::Signal(Err(cause)) => {
            decide::external_signal_failed(execution, id, *cause, now)
        }
        DeliveryOutcome::Cancel(Ok(())) => decide::external_cancel_requested(execution, id, now),
        DeliveryOutcome::Cancel(Err(cause)) => {
            decide::external_cancel_failed(execution, id, *cause, now)
        }
    }
}
