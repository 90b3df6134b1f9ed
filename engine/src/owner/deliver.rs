//! What a durable decision asks for, inside and across workflows.

use history::{
    Payloads, RequestId, RunId,
    decide::{Effect, RequestCancel, StartWorkflow, Target, Terminate},
    event::{ParentClosePolicy, StartChildFailedCause},
};

use crate::{
    owner::{
        Owner,
        context::{Context, Step},
        state::run::Run,
    },
    words::{
        Answer, Delivery, DeliveryOutcome, ExternalKind, Key, Op, Reply, Request, RunKey,
        StartReply, Undelivered,
    },
};

impl Context {
    /// Carries out an effect. Each may come twice, after a crash; receivers know what they have had.
    pub(super) fn deliver(&mut self, run: &mut Run, effect: Effect) -> Step {
        if run.waits_for_child(&effect) {
            return Ok(());
        }
        let run_id = run.run_id();
        let sender = RunKey {
            key: run.key.clone(),
            run_id,
            round: run.deliveries.round,
        };
        match effect {
            Effect::DispatchActivityTask {
                scheduled_event_id,
                attempt,
                ..
            } => return self.hand_out_activity(run, scheduled_event_id, attempt),
            Effect::CancelActivity {
                scheduled_event_id,
                attempt,
            } => self.cancel_activity(run, scheduled_event_id, attempt),
            Effect::StartChild {
                initiated_event_id,
                start,
                namespace,
            } => self.start_child(sender, initiated_event_id, start, &namespace),
            Effect::SignalExternal {
                initiated_event_id,
                target,
                signal,
            } => {
                let reply = Reply::External {
                    sender,
                    initiated_event_id,
                    kind: ExternalKind::Signal,
                };
                self.send_to(target, Delivery::Signal(signal), reply);
            }
            Effect::CancelExternal {
                initiated_event_id,
                target,
                cancel,
            } => {
                let reply = Reply::External {
                    sender,
                    initiated_event_id,
                    kind: ExternalKind::Cancel,
                };
                self.send_to(target, Delivery::RequestCancel(cancel), reply);
            }
            Effect::CloseChild {
                initiated_event_id,
                policy,
                target,
            } => {
                let what = Undelivered::CloseChild(initiated_event_id);
                let reply = Reply::Undelivered { sender, what };
                self.send_to(target, close(policy, run_id), reply);
            }
            Effect::NotifyParent {
                namespace,
                parent,
                closed,
            } => {
                let target = Target {
                    namespace,
                    workflow_id: parent.workflow_id,
                    run_id: Some(parent.run_id),
                    only_child_of: None,
                };
                let what = Undelivered::NotifyParent;
                let reply = Reply::Undelivered { sender, what };
                self.send_to(target, Delivery::ChildClosed(closed), reply);
            }
            // The run settled then, or does when it has been put to work.
            Effect::DispatchWorkflowTask { .. } | Effect::StartNewRun { .. } => {}
        }
        Ok(())
    }

    fn start_child(
        &mut self,
        sender: RunKey,
        initiated_event_id: history::EventId,
        start: Box<StartWorkflow>,
        namespace: &history::Namespace,
    ) {
        let Ok(namespace) = self.setup.namespaces.get(namespace) else {
            let failed =
                DeliveryOutcome::ChildStartFailed(StartChildFailedCause::NamespaceNotFound);
            return self.report(sender, initiated_event_id, failed);
        };
        let reply = StartReply::Parent {
            parent: sender,
            initiated_event_id,
            start: start.clone(),
            namespace: namespace.clone(),
        };
        self.local.push_back(Request::Start {
            namespace,
            request: start,
            reply,
        });
    }

    fn send_to(&mut self, target: Target, delivery: Delivery, reply: Reply) {
        let Target {
            namespace,
            workflow_id,
            run_id,
            only_child_of,
        } = target;
        match self.setup.namespaces.get(&namespace) {
            Ok(namespace) => self.local.push_back(Request::On {
                key: Key {
                    namespace,
                    workflow_id,
                },
                run_id,
                op: Op::Deliver {
                    delivery,
                    only_child_of,
                    reply,
                },
            }),
            Err(error) => {
                let answer = Err(error);
                self.tell_next(Answer::Operation { reply, answer });
            }
        }
    }

    /// Delivers again what has not been answered. What is not durable yet is delivered when it is, and not twice in one round.
    pub(super) fn redeliver(&mut self, run: &mut Run) -> Step {
        if !(run.deliveries.again && run.is_durable()) {
            return Ok(());
        }
        // Its own tasks wait in their queues still.
        self.deliver_outstanding(run, |effect| {
            !matches!(
                effect,
                Effect::DispatchWorkflowTask { .. }
                    | Effect::DispatchActivityTask { .. }
                    | Effect::CancelActivity { .. }
            )
        })
    }

    /// Delivers what is outstanding of a run that was just folded, or whose deliveries failed.
    pub(super) fn deliver_outstanding(
        &mut self,
        run: &mut Run,
        which: fn(&Effect) -> bool,
    ) -> Step {
        let closed = !run.execution.is_open();
        run.deliveries.again = false;
        if closed && run.deliveries.undelivered.is_empty() {
            self.leave_outbox(run);
            return Ok(());
        }
        // One that has just been folded may be closed by another one before its turn comes: what it then has to deliver waits for the close.
        if closed && !run.is_durable() {
            run.deliveries.again = true;
            return Ok(());
        }
        self.incarnations += 1;
        run.deliveries.round = self.incarnations;
        let outstanding = if closed {
            run.deliveries.undelivered.clone()
        } else {
            run.execution.outstanding()
        };
        for effect in outstanding.into_iter().filter(which) {
            self.deliver(run, effect)?;
        }
        Ok(())
    }
}

impl Owner {
    /// Delivers again, in a while, what a run has not had an answer to.
    pub(super) fn deliver_again(&mut self, sender: &RunKey) {
        let RunKey { key, run_id, .. } = sender.clone();
        // One that has left memory delivers when it is read again, for that look.
        if let Some(run) = self.runs.get_mut(&run_id)
            && std::mem::replace(&mut run.deliveries.again, true)
        {
            return;
        }
        let look = Request::look(key, run_id);
        self.later(run_id, look);
    }
}

/// Returns what a child is told whose parent has closed.
fn close(policy: ParentClosePolicy, parent: RunId) -> Delivery {
    const WHY: &str = "by parent close policy";
    match policy {
        ParentClosePolicy::RequestCancel => Delivery::RequestCancel(Box::new(RequestCancel {
            cause: WHY.to_owned(),
            identity: None,
            request_id: Some(RequestId::known(format!("{parent}:close"))),
            external: None,
        })),
        ParentClosePolicy::Terminate | ParentClosePolicy::Abandon => {
            Delivery::Terminate(Box::new(Terminate {
                reason: WHY.to_owned(),
                details: Payloads::default(),
                identity: None,
            }))
        }
    }
}
