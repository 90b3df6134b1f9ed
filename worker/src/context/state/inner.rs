//! The tables of a run: its operations, the commands of its turns, and what events do to them.

use std::{collections::VecDeque, sync::Arc, task::Waker};

use history::{
    Command, Event, EventId, EventKind, RunId,
    event::{RefersTo, Relation, Subject},
    replay::{self, Ask, NonDeterminism},
};

use super::{
    facts::Facts,
    turn::{Halt, Turn},
};
use crate::{
    context::{
        inbox::Inbox,
        operation::{Done, Kind, OpId, Operation, Stage},
        patches::Patches,
        random::Random,
    },
    options::Cancellation,
};

/// A command of the turn under way.
pub(super) struct Asked {
    pub(super) command: Command,
    pub(super) op: Option<OpId>,
    /// The end of the run does the same, so a turn that ends the run leaves it out.
    pub(super) moot_at_close: bool,
}

/// A command of the turn before, until its event is met.
pub(super) struct Sent {
    pub(super) ask: Ask,
    pub(super) op: Option<OpId>,
}

#[derive(Default)]
pub(super) struct Cancel {
    pub(super) requested: bool,
    /// It was requested when nothing was waited for that it could end.
    pub(super) undelivered: bool,
}

pub(super) struct Inner {
    pub(super) turn: Turn,
    pub(super) random: Random,
    /// The run whose id seeds random numbers and the ids of children: a reset changes it.
    pub(super) seed: RunId,
    pub(super) sequence: Sequence,
    pub(super) operations: Vec<Option<Operation>>,
    pub(super) free: Vec<OpId>,
    /// Operations by the event that their command made, in the order of the events.
    pub(super) recorded: Vec<(EventId, OpId)>,
    pub(super) asked: Vec<Option<Asked>>,
    pub(super) sent: VecDeque<Sent>,
    /// Where the next event of a command of the turn before stands, or would.
    pub(super) next_command_event: EventId,
    pub(super) inbox: Inbox,
    pub(super) patches: Patches,
    pub(super) cancel: Cancel,
    pub(super) halt: Option<Halt>,
}

/// What the next activity, timer and child are called.
#[derive(Default)]
pub(super) struct Sequence {
    pub(super) activities: u32,
    pub(super) timers: u32,
    pub(super) children: u32,
}

impl Inner {
    pub(super) fn new(facts: &Facts) -> Self {
        let seed = facts.started().original_execution_run_id;
        Self {
            turn: Turn {
                now: facts.first.at,
                live: false,
                started_event_id: EventId::NONE,
                suggest_continue_as_new: false,
                history_size_bytes: 0,
            },
            random: Random::seeded_by(seed),
            seed,
            sequence: Sequence::default(),
            operations: Vec::new(),
            free: Vec::new(),
            recorded: Vec::new(),
            asked: Vec::new(),
            sent: VecDeque::new(),
            next_command_event: EventId::NONE,
            inbox: Inbox::default(),
            patches: Patches::default(),
            cancel: Cancel::default(),
            halt: None,
        }
    }

    pub(super) fn insert(&mut self, operation: Operation) -> OpId {
        if let Some(op) = self.free.pop() {
            self.operations[op.index()] = Some(operation);
            return op;
        }
        self.operations.push(Some(operation));
        OpId::at(self.operations.len() - 1)
    }

    pub(super) fn get(&mut self, op: OpId) -> &mut Operation {
        self.operations[op.index()]
            .as_mut()
            .expect("an operation lives as long as its future")
    }

    /// Adds a command that nobody waits for.
    pub(super) fn note(&mut self, command: Command) {
        self.asked.push(Some(Asked {
            command,
            op: None,
            moot_at_close: false,
        }));
    }

    fn find(&self, event_id: EventId) -> Option<OpId> {
        let at = self
            .recorded
            .binary_search_by_key(&event_id, |(id, _)| *id)
            .ok()?;
        Some(self.recorded[at].1)
    }

    pub(super) fn forget(&mut self, event_id: EventId) {
        if let Ok(at) = self.recorded.binary_search_by_key(&event_id, |(id, _)| *id) {
            self.recorded.remove(at);
        }
    }

    pub(super) fn apply(&mut self, event: &Arc<Event>) -> Result<Vec<Waker>, NonDeterminism> {
        match &event.kind {
            EventKind::WorkflowExecutionSignaled(signal) => {
                return Ok(self.signaled(signal.signal_name.as_str(), event));
            }
            EventKind::WorkflowExecutionCancelRequested(_) => {
                // Delivered when the code has taken in the other events of the turn: what they end is not canceled, for there is nothing
                // left to cancel, and no wait is ended that the code leaves for something else before it sees that.
                self.cancel.requested = true;
                self.cancel.undelivered = true;
                return Ok(Vec::new());
            }
            EventKind::WorkflowTaskCompleted(_) => {
                self.next_command_event = event.id.next();
                return Ok(Vec::new());
            }
            kind => {
                if let Some(recorded) = Ask::of_event(kind) {
                    self.command_recorded(event, &recorded)?;
                    return Ok(Vec::new());
                }
            }
        }
        Ok(event
            .kind
            .refers_to()
            .map_or_else(Vec::new, |refers_to| self.answered(refers_to, event)))
    }

    /// Takes in the outcome of something that the code asked for.
    fn answered(&mut self, refers_to: RefersTo, event: &Arc<Event>) -> Vec<Waker> {
        match refers_to.subject {
            Subject::Activity
            | Subject::Timer
            | Subject::ChildWorkflow
            | Subject::ExternalSignal
            | Subject::ExternalCancel => {}
            Subject::WorkflowTask | Subject::Update | Subject::NexusOperation => return Vec::new(),
        }
        match refers_to.relation {
            Relation::Ends { .. } | Relation::FailsToStart => {
                self.resolve(refers_to.event_id, event)
            }
            Relation::Starts if refers_to.subject == Subject::ChildWorkflow => {
                self.child_started(refers_to.event_id, event)
            }
            Relation::Starts
            | Relation::RequestsCancel
            | Relation::AnswersCancel
            | Relation::Changes => Vec::new(),
        }
    }

    fn command_recorded(
        &mut self,
        event: &Arc<Event>,
        recorded: &Ask,
    ) -> Result<(), NonDeterminism> {
        let next = self.sent.front().map(|sent| &sent.ask);
        if next != Some(recorded) && replay::may_be_absent(&event.kind) {
            self.next_command_event = event.id.next();
            return Ok(());
        }
        let sent = self.sent.pop_front();
        replay::check(sent.as_ref().map(|sent| &sent.ask), event.id, recorded)?;
        self.next_command_event = event.id.next();
        if let Some(op) = sent.and_then(|sent| sent.op) {
            self.get(op).stage = Stage::Recorded(event.clone());
            self.recorded.push((event.id, op));
        }
        Ok(())
    }

    fn resolve(&mut self, command_event: EventId, event: &Arc<Event>) -> Vec<Waker> {
        let Some(op) = self.find(command_event) else {
            return Vec::new();
        };
        self.forget(command_event);
        let operation = self.get(op);
        if operation.done.is_none() {
            operation.done = Some(Done::Event(event.clone()));
        }
        operation.take_wakers()
    }

    fn child_started(&mut self, initiated: EventId, event: &Arc<Event>) -> Vec<Waker> {
        let Some(op) = self.find(initiated) else {
            return Vec::new();
        };
        let operation = self.get(op);
        operation.started = Some(Done::Event(event.clone()));
        operation.take_wakers()
    }

    fn signaled(&mut self, name: &str, event: &Arc<Event>) -> Vec<Waker> {
        self.inbox.put(name, event.clone());
        let receives = |kind: &Kind| matches!(kind, Kind::Signal(channel) if &**channel == name);
        self.operations
            .iter_mut()
            .flatten()
            .filter(|operation| receives(&operation.kind))
            .flat_map(Operation::take_wakers)
            .collect()
    }

    /// Ends what is waited for. Code that waits for the cancellation itself has taken it into its own hands:
    /// then nothing else is ended.
    pub(super) fn deliver_cancel(&mut self, facts: &Facts) -> Vec<Waker> {
        let waiting = |operation: &Operation| operation.waiting && operation.done.is_none();
        let handled = self
            .operations
            .iter()
            .flatten()
            .any(|operation| waiting(operation) && matches!(operation.kind, Kind::Cancelled));
        let mut wakers = Vec::new();
        let mut delivered = false;
        for at in 0..self.operations.len() {
            let Some(operation) = self.operations[at].as_mut() else {
                continue;
            };
            let own = matches!(operation.kind, Kind::Cancelled);
            if !waiting(operation) || own != handled || matches!(operation.kind, Kind::External) {
                continue;
            }
            delivered = true;
            let cancellation = operation.kind.cancellation();
            let eliminated = matches!(operation.stage, Stage::Asked(_));
            if own || eliminated || cancellation != Cancellation::Wait {
                operation.done = Some(Done::Canceled);
                wakers.append(&mut operation.take_wakers());
            }
            if !own && cancellation != Cancellation::Abandon && !operation.cancel_asked {
                operation.cancel_asked = true;
                let operation = operation.shallow();
                self.ask_to_cancel(&operation, facts, false);
            }
        }
        self.cancel.undelivered = !delivered;
        wakers
    }

    /// Adds the command that cancels an operation, or takes back the command that has not been sent yet.
    pub(super) fn ask_to_cancel(&mut self, operation: &Operation, facts: &Facts, dropped: bool) {
        let event = match &operation.stage {
            Stage::Local => return,
            Stage::Asked(at) => {
                if let Some(asked) = self.asked.get_mut(*at) {
                    *asked = None;
                }
                return;
            }
            Stage::Recorded(event) => event,
        };
        let command = match &event.kind {
            EventKind::ActivityTaskScheduled(_) => Command::RequestCancelActivityTask {
                scheduled_event_id: event.id,
            },
            EventKind::TimerStarted(timer) => Command::CancelTimer {
                timer_id: timer.timer_id.clone(),
            },
            EventKind::StartChildWorkflowExecutionInitiated(child) => {
                Command::RequestCancelExternalWorkflowExecution {
                    namespace: child.namespace.clone(),
                    workflow_id: child.workflow_id.clone(),
                    run_id: None,
                    child_workflow_only: true,
                    reason: format!("canceled by its parent {}", facts.workflow_id()),
                }
            }
            _ => return,
        };
        self.asked.push(Some(Asked {
            command,
            op: None,
            moot_at_close: dropped,
        }));
    }
}
