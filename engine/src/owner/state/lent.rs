//! What other members have of a worker that is connected here.

use std::collections::{BTreeMap, BTreeSet};

use foldhash::HashMap;
use history::task::{ActivityTaskToken, FromWorker, ToWorker, WorkflowTaskToken};
use uuid::Uuid;

use crate::{
    owner::state::slots::Slots,
    words::{HandOut, Kind},
};

/// What other members have of a worker.
#[derive(Debug, Default)]
pub(crate) struct Lent {
    /// The slots that each member has, in use or not.
    pub(crate) slots: BTreeMap<Uuid, Slots>,
    /// Their tasks that the worker has, with whose they are.
    pub(crate) tasks: HashMap<Token, Whose>,
    /// Who was asked for slots lately.
    pub(crate) recalled: BTreeSet<(Uuid, Kind)>,
}

/// Whose a task is that a worker has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    Of(Uuid),
    /// That member is gone.
    Nobodys,
}

/// Names a task that a worker has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Token {
    Workflow(WorkflowTaskToken),
    Activity(ActivityTaskToken),
}

impl Token {
    pub(crate) fn of_task(message: &ToWorker) -> Option<Self> {
        match message {
            ToWorker::WorkflowTask(task) => Some(Self::Workflow(task.token.clone())),
            ToWorker::ActivityTask(task) => Some(Self::Activity(task.token.clone())),
            ToWorker::CancelActivity(_)
            | ToWorker::HeartbeatWanted(_)
            | ToWorker::ActivityRefused { .. }
            | ToWorker::Evict(_) => None,
        }
    }

    pub(crate) fn of_answer(answer: &FromWorker) -> Option<Self> {
        match answer {
            FromWorker::WorkflowTask { token, .. } => Some(Self::Workflow(token.clone())),
            FromWorker::ActivityTask { token, .. } => Some(Self::Activity(token.clone())),
            FromWorker::Draining => None,
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Workflow(_) => Kind::Workflow,
            Self::Activity(_) => Kind::Activity,
        }
    }
}

impl Lent {
    /// Returns the members that have slots of it, or had.
    pub(crate) fn members(&self) -> impl Iterator<Item = Uuid> {
        self.slots.keys().copied()
    }

    /// Takes a member's slots back. Returns how many of each kind are not in use, and the attempts that nobody waits for any more.
    pub(crate) fn forget(&mut self, member: Uuid) -> (Slots, Vec<ActivityTaskToken>) {
        let mut idle = self.slots.remove(&member).unwrap_or_default();
        self.recalled.retain(|(recalled, _)| *recalled != member);
        let mut attempts = Vec::new();
        for (token, owner) in &mut self.tasks {
            if *owner != Whose::Of(member) {
                continue;
            }
            *owner = Whose::Nobodys;
            idle.take(token.kind(), 1);
            if let Token::Activity(attempt) = token {
                attempts.push(attempt.clone());
            }
        }
        // The order of a map is no order.
        attempts.sort_by_key(HandOut::of);
        (idle, attempts)
    }
}
