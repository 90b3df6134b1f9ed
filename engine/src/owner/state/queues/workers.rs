//! The workers: who is connected, what each can take, and what it has.

use std::collections::VecDeque;

use foldhash::HashMap;
use history::{
    BuildId, EventId, RunId,
    task::{Tasks, ToWorker, WorkerHello},
};
use uuid::Uuid;

use crate::{
    owner::state::{
        borrowed::Borrowed,
        lent::Lent,
        session::{Seat, Session},
        slots::Slots,
    },
    peers::Parcel,
    store::namespaces::Ns,
    words::{HandOut, Kind, QueueKey, SessionId},
};

use super::Queues;

impl Queues {
    /// Takes in a worker that is connected here.
    pub(crate) fn connect(
        &mut self,
        id: SessionId,
        namespace: Ns,
        hello: WorkerHello,
        tasks: Tasks,
    ) {
        let (queue, free) = ((namespace, hello.task_queue.clone()), Slots::all(&hello));
        self.queue(queue.clone()).here.push_back(id);
        let lent = Lent::default();
        let seat = Seat::Here { tasks, lent };
        self.sessions
            .insert(id, Session::new(hello, queue, seat, free));
    }

    /// Takes in a worker of another member, without a slot.
    pub(crate) fn borrow(
        &mut self,
        id: SessionId,
        namespace: Ns,
        hello: WorkerHello,
        borrowed: Borrowed,
    ) {
        let queue = (namespace, hello.task_queue.clone());
        self.queue(queue.clone()).elsewhere.push_back(id);
        let seat = Seat::Elsewhere(borrowed);
        let session = Session::new(hello, queue, seat, Slots::default());
        self.sessions.insert(id, session);
    }

    /// Lets a worker go, and returns it with what it had.
    pub(crate) fn disconnect(&mut self, id: SessionId) -> Option<Session> {
        let session = self.sessions.remove(&id)?;
        if let Some(queue) = self.by_name.get_mut(&session.queue) {
            queue.here.retain(|other| *other != id);
            queue.elsewhere.retain(|other| *other != id);
        }
        Some(session)
    }

    /// Returns the code that a worker runs.
    pub(crate) fn build(&self, id: SessionId) -> Option<BuildId> {
        let session = self.sessions.get(&id)?;
        Some(session.hello.build_id.clone())
    }

    pub(crate) fn session(&mut self, id: SessionId) -> Option<&mut Session> {
        self.sessions.get_mut(&id)
    }

    /// Returns the workers, in the order of their ids: that of a map is none.
    pub(crate) fn session_ids(&self) -> Vec<SessionId> {
        let mut ids: Vec<SessionId> = self.sessions.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// Says whether this worker is here and can take a task of that kind now.
    pub(crate) fn can_take(&self, id: SessionId, kind: Kind) -> bool {
        self.sessions
            .get(&id)
            .is_some_and(|session| session.has_slot(kind))
    }

    /// Says whether a worker of the queue has a free slot.
    pub(crate) fn has_free(&self, queue: &QueueKey, kind: Kind) -> bool {
        self.by_name.get(queue).is_some_and(|queue| {
            self.has_one(&queue.here, kind) || self.has_one(&queue.elsewhere, kind)
        })
    }

    /// Says whether a worker of the queue that is connected here has a free slot.
    pub(crate) fn has_free_here(&self, queue: &QueueKey, kind: Kind) -> bool {
        let queue = self.by_name.get(queue);
        queue.is_some_and(|queue| self.has_one(&queue.here, kind))
    }

    fn has_one(&self, workers: &VecDeque<SessionId>, kind: Kind) -> bool {
        workers.iter().any(|id| self.can_take(*id, kind))
    }

    /// Returns the code that takes workflow tasks here, and from where.
    pub(crate) fn builds_here(&self) -> Vec<(QueueKey, BuildId)> {
        let sessions = self.sessions.values();
        let here = sessions.filter(|session| {
            matches!(session.seat, Seat::Here { .. }) && session.polls(Kind::Workflow)
        });
        let mut builds: Vec<_> = here
            .map(|session| (session.queue.clone(), session.hello.build_id.clone()))
            .collect();
        builds.sort_unstable_by(|((one, queue), build), ((other, next), last)| {
            (one.id, queue, build).cmp(&(other.id, next, last))
        });
        builds.dedup();
        builds
    }

    /// Returns a worker of the queue with a free slot, in turn: one that is connected here if there is one.
    pub(crate) fn free(&mut self, queue: &QueueKey, kind: Kind) -> Option<SessionId> {
        let queue = self.by_name.get_mut(queue)?;
        free_of(&mut queue.here, &self.sessions, kind)
            .or_else(|| free_of(&mut queue.elsewhere, &self.sessions, kind))
    }

    /// Returns a worker of the queue that is connected here and has a free slot, in turn.
    pub(crate) fn free_here(&mut self, queue: &QueueKey, kind: Kind) -> Option<SessionId> {
        let queue = self.by_name.get_mut(queue)?;
        free_of(&mut queue.here, &self.sessions, kind)
    }

    /// Returns the workers of the queue that are connected here.
    pub(crate) fn here(&self, queue: &QueueKey) -> Vec<SessionId> {
        let queue = self.by_name.get(queue);
        queue.map_or_else(Vec::new, |queue| queue.here.iter().copied().collect())
    }

    /// Returns how many workers that are connected here take tasks of that kind.
    pub(crate) fn pollers_here(&self, queue: &QueueKey, kind: Kind) -> u32 {
        let here = self.by_name.get(queue).into_iter().flat_map(|q| &q.here);
        let polls = |id: &&SessionId| self.sessions.get(*id).is_some_and(|s| s.polls(kind));
        u32::try_from(here.filter(polls).count()).unwrap_or(u32::MAX)
    }

    /// Returns how many tasks of that kind the workers of a queue can take now.
    pub(crate) fn free_slots(&self, queue: &QueueKey, kind: Kind) -> usize {
        let workers = self.by_name.get(queue).into_iter();
        let workers = workers.flat_map(|queue| queue.here.iter().chain(&queue.elsewhere));
        let sessions = workers.filter_map(|id| self.sessions.get(id));
        let free = sessions.filter(|session| session.has_slot(kind));
        let slots = free.map(|session| usize::try_from(session.free(kind)).unwrap_or(usize::MAX));
        slots.fold(0, usize::saturating_add)
    }

    /// Tells a worker; says whether it is still there, as far as it is known.
    pub(crate) fn send(&mut self, id: SessionId, message: ToWorker) -> bool {
        match self.sessions.get(&id).map(|session| &session.seat) {
            Some(Seat::Here { tasks, .. }) => tasks.send(message),
            Some(Seat::Elsewhere(borrowed)) => {
                let task = Parcel::Task {
                    session: id,
                    message: Box::new(message),
                };
                self.outbox.push((borrowed.member, task));
                true
            }
            None => false,
        }
    }

    /// Tells another member, after what it was told before.
    pub(crate) fn post(&mut self, member: Uuid, parcel: Parcel) {
        self.outbox.push((member, parcel));
    }

    /// Returns what is to be told to other members.
    pub(crate) fn take_outbox(&mut self) -> Vec<(Uuid, Parcel)> {
        std::mem::take(&mut self.outbox)
    }

    /// Forgets what is to be told to a member.
    pub(crate) fn drop_outbox(&mut self, member: Uuid) {
        self.outbox.retain(|(to, _)| *to != member);
    }

    pub(crate) fn has_outbox(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Returns the workers that run this attempt, with the hand-out: more than one when it was handed out by several foldings.
    pub(crate) fn runners(
        &self,
        run_id: RunId,
        scheduled_event_id: EventId,
        attempt: u32,
    ) -> Vec<(SessionId, HandOut)> {
        let of = |incarnation| HandOut {
            run_id,
            scheduled_event_id,
            attempt,
            incarnation,
        };
        let mut runners: Vec<_> = self
            .sessions
            .iter()
            .flat_map(|(id, session)| {
                let hand_outs = session.activities.range(of(0)..=of(u64::MAX));
                hand_outs.map(|hand_out| (*id, *hand_out))
            })
            .collect();
        // The order of a map is no order.
        runners.sort_unstable();
        runners
    }

    /// Says whether a worker runs this attempt.
    pub(crate) fn is_running(
        &self,
        run_id: RunId,
        scheduled_event_id: EventId,
        attempt: u32,
    ) -> bool {
        !self.runners(run_id, scheduled_event_id, attempt).is_empty()
    }
}

/// Returns one of these workers that has a free slot, in turn.
pub(crate) fn free_of(
    workers: &mut VecDeque<SessionId>,
    sessions: &HashMap<SessionId, Session>,
    kind: Kind,
) -> Option<SessionId> {
    for _ in 0..workers.len() {
        let id = *workers.front()?;
        workers.rotate_left(1);
        if sessions
            .get(&id)
            .is_some_and(|session| session.has_slot(kind))
        {
            return Some(id);
        }
    }
    None
}
