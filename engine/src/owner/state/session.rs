//! A worker that takes tasks, connected here or to another member.

use std::collections::{BTreeMap, BTreeSet};

use history::{
    RunId,
    task::{Tasks, WorkerHello},
};

use crate::{
    owner::state::{borrowed::Borrowed, lent::Lent, slots::Slots},
    words::{HandOut, Kind, QueueKey},
};

/// A worker that takes tasks.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) hello: WorkerHello,
    pub(crate) queue: QueueKey,
    pub(crate) seat: Seat,
    /// What it can take now.
    free: Slots,
    /// Takes no new tasks.
    pub(crate) draining: bool,
    /// The attempts it runs.
    pub(crate) activities: BTreeSet<HandOut>,
    /// The workflow tasks it has: of a run more than one when it still works on one that has failed meanwhile.
    pub(crate) workflow_tasks: BTreeMap<RunId, u32>,
}

/// Where a worker is connected.
#[derive(Debug)]
pub(crate) enum Seat {
    /// To this member, which may lend its slots.
    Here { tasks: Tasks, lent: Lent },
    /// To another one, which has lent some.
    Elsewhere(Borrowed),
}

impl Session {
    pub(crate) fn new(hello: WorkerHello, queue: QueueKey, seat: Seat, free: Slots) -> Self {
        Self {
            hello,
            queue,
            seat,
            free,
            draining: false,
            activities: BTreeSet::new(),
            workflow_tasks: BTreeMap::new(),
        }
    }

    pub(crate) fn has_slot(&self, kind: Kind) -> bool {
        self.free.of(kind) > 0 && !self.draining
    }

    /// Says whether it takes tasks of that kind.
    pub(crate) fn polls(&self, kind: Kind) -> bool {
        Slots::all(&self.hello).of(kind) > 0 && !self.draining
    }

    /// Returns how many tasks of that kind it can take now.
    pub(crate) fn free(&self, kind: Kind) -> u32 {
        self.free.of(kind)
    }

    /// Adds slots that can be taken.
    pub(crate) fn add_free(&mut self, kind: Kind, slots: u32) {
        self.free.add(kind, slots);
    }

    /// Takes so many free slots, or what there is; returns how many.
    pub(crate) fn take_free(&mut self, kind: Kind, slots: u32) -> u32 {
        let taken = self.free.take(kind, slots);
        if let Seat::Elsewhere(borrowed) = &mut self.seat {
            borrowed.used(kind, self.free.of(kind));
        }
        taken
    }

    /// Returns how many workflow tasks it has.
    pub(crate) fn workflow_tasks_out(&self) -> usize {
        self.workflow_tasks.len()
    }

    /// Says whether it has any task.
    pub(crate) fn has_tasks(&self) -> bool {
        !(self.workflow_tasks.is_empty() && self.activities.is_empty())
    }

    /// Takes a slot for a workflow task.
    pub(crate) fn take_workflow(&mut self, run_id: RunId) {
        self.take_free(Kind::Workflow, 1);
        *self.workflow_tasks.entry(run_id).or_default() += 1;
    }

    /// Frees the slot of a workflow task, if it has one.
    pub(crate) fn free_workflow(&mut self, run_id: RunId) {
        if count_down(&mut self.workflow_tasks, &run_id) {
            self.give_slot(Kind::Workflow);
        }
    }

    /// Takes a slot for an attempt.
    pub(crate) fn take_activity(&mut self, hand_out: HandOut) {
        self.take_free(Kind::Activity, 1);
        self.activities.insert(hand_out);
    }

    /// Frees the slot of an attempt, if it has one.
    pub(crate) fn free_activity(&mut self, hand_out: HandOut) {
        if self.activities.remove(&hand_out) {
            self.give_slot(Kind::Activity);
        }
    }

    /// A task is over: its slot is free, unless the member that had lent it has it back.
    fn give_slot(&mut self, kind: Kind) {
        let kept = match &mut self.seat {
            Seat::Here { .. } => true,
            Seat::Elsewhere(borrowed) => borrowed.keeps(kind),
        };
        if kept {
            self.free.add(kind, 1);
        }
    }
}

/// Takes one off, and says whether there was one.
pub(crate) fn count_down<K: Ord>(counts: &mut BTreeMap<K, u32>, key: &K) -> bool {
    let Some(count) = counts.get_mut(key) else {
        return false;
    };
    *count -= 1;
    if *count == 0 {
        counts.remove(key);
    }
    true
}
