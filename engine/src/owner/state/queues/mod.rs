//! Task queues: workers with free slots on one side, tasks that wait on the other. In memory; rebuilt from the open runs.
//!
//! A worker is connected to one member. Others may borrow its slots (`matching`): to them it is a session as well, which has as many
//! slots as they were granted.

mod workers;

use std::collections::{BTreeMap, VecDeque};

use foldhash::HashMap;
use history::{EventId, RunId, Timestamp};
use uuid::Uuid;

use crate::{
    Starved, WhyStarved,
    limits::NO_SLOT_AFTER,
    owner::state::{session::Session, slots::Slots},
    peers::Parcel,
    words::{Kind, QueueKey, SessionId},
};

/// An activity that waits for a worker.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WaitingActivity {
    pub(crate) run_id: RunId,
    pub(crate) scheduled_event_id: EventId,
    pub(crate) attempt: u32,
}

/// One task queue.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// The workers that are connected here, taken in turn.
    here: VecDeque<SessionId>,
    /// Those of other members, of which this one has some slots; taken when none is free here.
    elsewhere: VecDeque<SessionId>,
    workflow_tasks: VecDeque<RunId>,
    activities: VecDeque<WaitingActivity>,
    /// How many workers the other members have told of.
    told: BTreeMap<Uuid, Slots>,
    /// Since when tasks wait that no worker anywhere would take, as far as it is known.
    unpolled_since: [Option<Timestamp>; 2],
    /// Since when tasks wait of which none has been handed out, while workers poll for them.
    full_since: [Option<Timestamp>; 2],
    /// How many tasks waited when those that wait no more were last taken out.
    kept: usize,
}

/// A task that may wait.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Waits {
    Workflow(RunId),
    Activity(WaitingActivity),
}

impl Queue {
    pub(crate) fn waiting(&self, kind: Kind) -> usize {
        match kind {
            Kind::Workflow => self.workflow_tasks.len(),
            Kind::Activity => self.activities.len(),
        }
    }

    /// Takes out the tasks that wait no more: those that are first, and all of them when there may be as many as others. Says whether
    /// there were any.
    fn prune(&mut self, waits: &impl Fn(Waits) -> bool) -> bool {
        /// So few are not worth a look.
        const FEW: usize = 64;
        let before = self.len();
        if before > 2 * self.kept + FEW {
            self.workflow_tasks
                .retain(|run_id| waits(Waits::Workflow(*run_id)));
            self.activities
                .retain(|waiting| waits(Waits::Activity(*waiting)));
            self.kept = self.len();
        }
        while self
            .workflow_tasks
            .pop_front_if(|run_id| !waits(Waits::Workflow(*run_id)))
            .is_some()
        {}
        while self
            .activities
            .pop_front_if(|waiting| !waits(Waits::Activity(*waiting)))
            .is_some()
        {}
        self.kept = self.kept.min(self.len());
        for kind in Kind::ALL {
            if self.waiting(kind) == 0 {
                self.unpolled_since[kind as usize] = None;
                self.full_since[kind as usize] = None;
            }
        }
        self.len() < before
    }

    fn len(&self) -> usize {
        self.workflow_tasks.len() + self.activities.len()
    }

    /// A task was taken: those that still wait have waited in vain since now.
    fn was_taken(&mut self, kind: Kind, now: Timestamp) {
        let waits = self.waiting(kind) > 0;
        let since = &mut self.full_since[kind as usize];
        *since = since.filter(|_| waits).map(|_| now);
    }
}

/// Where in a queue a task waits.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Position {
    /// It is the next.
    Next,
    /// So many are before it.
    Behind(usize),
    Last,
}

/// All task queues and workers.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    sessions: HashMap<SessionId, Session>,
    by_name: HashMap<QueueKey, Queue>,
    /// What is to be told to other members, in order.
    outbox: Vec<(Uuid, Parcel)>,
    /// The queues, in the order in which they are looked at whether anybody uses them.
    round: VecDeque<QueueKey>,
}

impl Queues {
    fn queue(&mut self, key: QueueKey) -> &mut Queue {
        self.by_name.entry(key).or_insert_with_key(|key| {
            self.round.push_back(key.clone());
            Queue::default()
        })
    }

    /// Looks at some queues in turn: takes out the tasks that wait no more, and lets go of a queue without tasks and workers. Returns the
    /// queues in which fewer tasks wait.
    pub(crate) fn prune(&mut self, looks: usize, waits: impl Fn(Waits) -> bool) -> Vec<QueueKey> {
        let mut fewer = Vec::new();
        for _ in 0..looks.min(self.round.len()) {
            let Some(key) = self.round.pop_front() else {
                break;
            };
            let used = self.by_name.get_mut(&key).is_some_and(|queue| {
                if queue.prune(&waits) {
                    fewer.push(key.clone());
                }
                queue.len() > 0 || !queue.here.is_empty() || !queue.elsewhere.is_empty()
            });
            if used {
                self.round.push_back(key);
            } else {
                self.by_name.remove(&key);
            }
        }
        fewer
    }

    /// Lets a workflow task wait.
    pub(crate) fn wait_workflow(
        &mut self,
        queue: &QueueKey,
        at: Position,
        run_id: RunId,
        now: Timestamp,
    ) {
        let waiting = &mut self.queue(queue.clone()).workflow_tasks;
        match at {
            Position::Next => waiting.push_front(run_id),
            Position::Behind(others) => waiting.insert(others.min(waiting.len()), run_id),
            Position::Last => waiting.push_back(run_id),
        }
        self.review(queue, Kind::Workflow, now);
    }

    /// Lets an activity wait.
    pub(crate) fn wait_activity(
        &mut self,
        queue: &QueueKey,
        waiting: WaitingActivity,
        now: Timestamp,
    ) {
        self.queue(queue.clone()).activities.push_back(waiting);
        self.review(queue, Kind::Activity, now);
    }

    /// Returns how many tasks wait.
    pub(crate) fn waiting_count(&self, queue: &QueueKey, kind: Kind) -> usize {
        self.by_name
            .get(queue)
            .map_or(0, |queue| queue.waiting(kind))
    }

    /// Returns the queues in which tasks wait, in the order of their names.
    pub(crate) fn waited_for(&self) -> Vec<(QueueKey, Kind)> {
        let mut waited_for: Vec<(QueueKey, Kind)> = Kind::ALL
            .into_iter()
            .flat_map(|kind| {
                let waits = move |(_, queue): &(&QueueKey, &Queue)| queue.waiting(kind) > 0;
                let queues = self.by_name.iter().filter(waits);
                queues.map(move |(name, _)| (name.clone(), kind))
            })
            .collect();
        waited_for.sort();
        waited_for
    }

    /// Takes note of how many workers of a queue another member has.
    pub(crate) fn told_pollers(
        &mut self,
        queue: &QueueKey,
        member: Uuid,
        (kind, pollers): (Kind, u32),
        now: Timestamp,
    ) {
        let Some(entry) = self.by_name.get_mut(queue) else {
            return;
        };
        let told = entry.told.entry(member).or_default();
        told.take(kind, u32::MAX);
        told.add(kind, pollers);
        self.review(queue, kind, now);
    }

    /// Forgets what a member that is gone has told.
    pub(crate) fn forget_pollers(&mut self, member: Uuid, now: Timestamp) {
        for queue in self.by_name.values_mut() {
            queue.told.remove(&member);
        }
        for (queue, kind) in self.waited_for() {
            self.review(&queue, kind, now);
        }
    }

    /// Takes note of whether anybody takes what waits in a queue.
    pub(crate) fn review(&mut self, key: &QueueKey, kind: Kind, now: Timestamp) {
        let Some(queue) = self.by_name.get(key) else {
            return;
        };
        let polls = |id: &SessionId| self.sessions.get(id).is_some_and(|s| s.polls(kind));
        let polled = queue.here.iter().any(polls)
            || queue.elsewhere.iter().any(polls)
            || queue.told.values().any(|told| told.of(kind) > 0);
        let waits = queue.waiting(kind) > 0;
        if let Some(queue) = self.by_name.get_mut(key) {
            let since = &mut queue.unpolled_since[kind as usize];
            *since = (waits && !polled).then(|| since.unwrap_or(now));
            let since = &mut queue.full_since[kind as usize];
            *since = (waits && polled).then(|| since.unwrap_or(now));
        }
    }

    /// Says since when and why no worker takes what waits in a queue, if none does.
    pub(crate) fn starved(&self, key: &QueueKey, kind: Kind, now: Timestamp) -> Option<Starved> {
        let queue = self.by_name.get(key)?;
        if let Some(since) = queue.full_since[kind as usize] {
            let why = WhyStarved::NoSlots;
            let long = now.since(since) >= NO_SLOT_AFTER && !self.has_free(key, kind);
            return long.then_some(Starved { since, why });
        }
        let since = queue.unpolled_since[kind as usize]?;
        let other = kind.other();
        let polls = |id: &SessionId| self.sessions.get(id).is_some_and(|s| s.polls(other));
        let told = |told: &Slots| told.of(other) > 0;
        let by_others =
            queue.here.iter().chain(&queue.elsewhere).any(polls) || queue.told.values().any(told);
        let why = if by_others {
            WhyStarved::OtherKind
        } else {
            WhyStarved::NoPollers
        };
        Some(Starved { since, why })
    }

    /// Says whether tasks wait anywhere.
    pub(crate) fn has_waiting(&self) -> bool {
        self.by_name.values().any(|queue| queue.len() > 0)
    }

    /// Returns the runs whose tasks wait, the one that has waited longest first.
    pub(crate) fn waiting(&self, queue: &QueueKey, kind: Kind) -> impl Iterator<Item = RunId> {
        let (workflow_tasks, activities) = match (self.by_name.get(queue), kind) {
            (Some(queue), Kind::Workflow) => (Some(queue.workflow_tasks.iter()), None),
            (Some(queue), Kind::Activity) => (None, Some(queue.activities.iter())),
            (None, _) => (None, None),
        };
        let activities = activities.into_iter().flatten();
        let workflow_tasks = workflow_tasks.into_iter().flatten().copied();
        workflow_tasks.chain(activities.map(|waiting| waiting.run_id))
    }

    /// Returns the workflow task that has waited longest.
    pub(crate) fn next_workflow(&mut self, queue: &QueueKey, now: Timestamp) -> Option<RunId> {
        let queue = self.by_name.get_mut(queue)?;
        let next = queue.workflow_tasks.pop_front();
        queue.was_taken(Kind::Workflow, now);
        next
    }

    /// Returns the activity that has waited longest.
    pub(crate) fn next_activity(
        &mut self,
        queue: &QueueKey,
        now: Timestamp,
    ) -> Option<WaitingActivity> {
        let queue = self.by_name.get_mut(queue)?;
        let next = queue.activities.pop_front();
        queue.was_taken(Kind::Activity, now);
        next
    }
}

#[cfg(test)]
mod tests {
    use history::{Namespace, TaskQueue};

    use crate::store::namespaces::Ns;

    use super::*;

    fn key(n: u128) -> QueueKey {
        let namespace = Ns {
            id: 1,
            name: Namespace::known("default"),
        };
        (namespace, TaskQueue::known(format!("host-{n}")))
    }

    fn run(n: u128) -> RunId {
        RunId(Uuid::from_u128(n))
    }

    #[test]
    fn queues_that_nobody_uses_any_more_are_let_go() {
        let mut queues = Queues::default();
        for n in 0..10_000 {
            queues.wait_workflow(&key(n), Position::Last, run(n), Timestamp(0));
        }
        // Of one the task waits still.
        for _ in 0..1000 {
            queues.prune(
                16,
                |task| matches!(task, Waits::Workflow(id) if id == run(7)),
            );
        }
        assert_eq!(queues.by_name.len(), 1);
        assert_eq!(queues.round.len(), 1);
        assert_eq!(queues.next_workflow(&key(7), Timestamp(0)), Some(run(7)));
        queues.prune(16, |_| true);
        assert!(queues.by_name.is_empty() && queues.round.is_empty());
    }

    #[test]
    fn tasks_that_wait_no_more_do_not_pile_up_behind_one_that_waits() {
        let mut queues = Queues::default();
        queues.wait_workflow(&key(0), Position::Last, run(0), Timestamp(0));
        for n in 1..10_000 {
            let waiting = WaitingActivity {
                run_id: run(0),
                scheduled_event_id: EventId(5),
                attempt: u32::try_from(n).unwrap(),
            };
            queues.wait_workflow(&key(0), Position::Last, run(n), Timestamp(0));
            queues.wait_activity(&key(0), waiting, Timestamp(0));
            queues.prune(16, |task| match task {
                Waits::Workflow(id) => id == run(0),
                Waits::Activity(waiting) => u128::from(waiting.attempt) == n,
            });
            assert!(queues.by_name[&key(0)].len() <= 70);
        }
        assert_eq!(queues.next_workflow(&key(0), Timestamp(0)), Some(run(0)));
    }

    #[test]
    fn workers_that_have_no_slot_free_for_long_are_named_until_a_task_is_taken() {
        let second = |n: i64| Timestamp(n * 1_000_000);
        let mut queues = Queues::default();
        for n in 0..2 {
            queues.wait_workflow(&key(0), Position::Last, run(n), second(0));
        }
        // A worker of another member, of which no slot is here.
        queues.told_pollers(&key(0), Uuid::nil(), (Kind::Workflow, 1), second(10));
        let starved =
            |queues: &Queues, at: i64| queues.starved(&key(0), Kind::Workflow, second(at));
        let since = |at: i64| {
            Some(Starved {
                since: second(at),
                why: WhyStarved::NoSlots,
            })
        };
        assert_eq!(starved(&queues, 39), None);
        assert_eq!(starved(&queues, 40), since(10));
        assert_eq!(queues.next_workflow(&key(0), second(50)), Some(run(0)));
        assert_eq!(starved(&queues, 79), None);
        assert_eq!(starved(&queues, 80), since(50));
        assert_eq!(queues.next_workflow(&key(0), second(90)), Some(run(1)));
        assert_eq!(starved(&queues, 200), None);
    }
}
