//! The side that has tasks: it asks for slots, and hands its tasks out to workers of other members as if they were its own.

use history::{
    Namespace, TaskQueue,
    task::{FromWorker, WorkerHello},
};
use uuid::Uuid;

use crate::{
    owner::{
        Owner,
        context::Context,
        state::{borrowed::Borrowed, session::Seat},
    },
    peers::Parcel,
    words::{Kind, QueueKey, SessionId, Waiting},
};

impl Owner {
    /// Takes slots of a worker of another member.
    pub(super) fn granted(
        &mut self,
        member: Uuid,
        session: SessionId,
        hello: WorkerHello,
        kind: Kind,
        slots: u32,
    ) {
        let namespace = self.context.setup.namespaces.get(&hello.namespace);
        let (Ok(namespace), false) = (namespace, self.context.stopping) else {
            return self.context.give_back(member, session, kind, slots);
        };
        let demanded = ((namespace.clone(), hello.task_queue.clone()), kind);
        if self.context.queues.session(session).is_none() {
            let borrowed = Borrowed::of(member);
            self.context
                .queues
                .borrow(session, namespace, hello, borrowed);
        }
        let Some(worker) = self.context.queues.session(session) else {
            return;
        };
        worker.add_free(kind, slots);
        let queue = worker.queue.clone();
        if let Some(link) = self.context.matching.links.get_mut(&member) {
            link.has_granted(&demanded, slots);
        }
        self.refill(&queue);
        self.context.may_demand(&queue, kind);
    }

    /// A worker of another member has answered.
    pub(super) fn answered_elsewhere(
        &mut self,
        session: SessionId,
        answer: FromWorker,
        keeps: bool,
    ) {
        let kind = match &answer {
            FromWorker::WorkflowTask { .. } => Kind::Workflow,
            FromWorker::ActivityTask { .. } => Kind::Activity,
            FromWorker::Draining => return,
        };
        let Some(worker) = self.context.queues.session(session) else {
            return;
        };
        if let (Seat::Elsewhere(borrowed), false) = (&mut worker.seat, keeps) {
            borrowed.withheld.add(kind, 1);
        }
        self.worker_answered(session, answer);
    }

    /// A member is gone, and its workers with it.
    pub(super) fn lose_borrowed(&mut self, member: Uuid) {
        let mut lost = self.context.queues.session_ids();
        lost.retain(|id| {
            let worker = self.context.queues.session(*id);
            worker.is_some_and(|worker| match &worker.seat {
                Seat::Elsewhere(borrowed) if borrowed.member == member => {
                    // What one of them had is not for the next of them.
                    worker.draining = true;
                    true
                }
                Seat::Elsewhere(_) | Seat::Here { .. } => false,
            })
        });
        for id in lost {
            self.disconnect(id);
        }
    }
}

impl Context {
    /// Tasks wait in a queue, or do not any more: other members may have to be told.
    pub(in crate::owner) fn may_demand(&mut self, queue: &QueueKey, kind: Kind) {
        if !self.matching.links.is_empty() {
            self.matching.unsure.insert((queue.clone(), kind));
        }
    }

    /// Fewer tasks wait in a queue than before: members that were told of some may have to be told.
    pub(in crate::owner) fn may_demand_less(&mut self, queue: &QueueKey, kind: Kind) {
        if self.matching.links.is_empty() {
            return;
        }
        let waiting = (queue.clone(), kind);
        if self
            .matching
            .links
            .values()
            .any(|link| link.was_told(&waiting))
        {
            self.matching.unsure.insert(waiting);
        }
    }

    /// Tells the other members how many tasks wait, each when a batch to it can go.
    pub(super) fn post_demands(&mut self) {
        let unsure = std::mem::take(&mut self.matching.unsure);
        let now = self.now();
        for (member, link) in &mut self.matching.links {
            if !unsure.is_empty() {
                link.is_unsure(&unsure);
            }
            let queues = &self.queues;
            let count = |(queue, kind): &Waiting| {
                u32::try_from(queues.waiting_count(queue, *kind)).unwrap_or(u32::MAX)
            };
            for ((queue, kind), waiting) in link.demands(count) {
                let demand = Parcel::Demand {
                    namespace: queue.0.name.clone(),
                    task_queue: queue.1.clone(),
                    kind,
                    waiting,
                };
                link.push(&demand);
                if waiting == 0 {
                    // It tells of its workers only while tasks wait.
                    self.queues.told_pollers(&queue, *member, (kind, 0), now);
                }
            }
        }
    }

    /// A member tells how many workers it has that take from a queue.
    pub(super) fn told_of_pollers(
        &mut self,
        member: Uuid,
        (namespace, task_queue): (&Namespace, TaskQueue),
        kind: Kind,
        pollers: u32,
    ) {
        let Ok(namespace) = self.setup.namespaces.get(namespace) else {
            return;
        };
        let (queue, now) = ((namespace, task_queue), self.now());
        if self.queues.waiting_count(&queue, kind) > 0 {
            self.queues
                .told_pollers(&queue, member, (kind, pollers), now);
        }
    }

    fn give_back(&mut self, member: Uuid, session: SessionId, kind: Kind, slots: u32) {
        let back = Parcel::Return {
            session,
            kind,
            slots,
        };
        self.queues.post(member, back);
        let queue = self
            .queues
            .session(session)
            .map(|worker| worker.queue.clone());
        if let Some(queue) = queue {
            self.may_demand(&queue, kind);
        }
    }

    /// A member asks for slots that are not in use.
    pub(super) fn recalled(&mut self, member: Uuid, session: SessionId, kind: Kind) {
        let Some(worker) = self.queues.session(session) else {
            return;
        };
        let free = worker.free(kind);
        let slots = worker.take_free(kind, free);
        if slots > 0 {
            self.give_back(member, session, kind, slots);
        }
    }

    /// Gives back the slots of a worker that nobody has needed since the last look, and adds its member to those who are depended on.
    pub(super) fn return_idle(&mut self, id: SessionId, depended_on: &mut Vec<Uuid>) {
        let Some(worker) = self.queues.session(id) else {
            return;
        };
        let has_tasks = worker.has_tasks();
        let free = Kind::ALL.map(|kind| worker.free(kind));
        let Seat::Elsewhere(borrowed) = &mut worker.seat else {
            return;
        };
        let member = borrowed.member;
        let idle = Kind::ALL.map(|kind| borrowed.least_free.of(kind));
        if has_tasks || free != [0, 0] {
            depended_on.push(member);
        }
        for (n, kind) in Kind::ALL.into_iter().enumerate() {
            let taken = self
                .queues
                .session(id)
                .map(|worker| worker.take_free(kind, idle[n]));
            match taken {
                None | Some(0) => {}
                Some(slots) => self.give_back(member, id, kind, slots),
            }
            self.look_again(id, kind);
        }
    }

    /// From now on it is noted anew how many slots are not needed.
    fn look_again(&mut self, id: SessionId, kind: Kind) {
        if let Some(worker) = self.queues.session(id) {
            let free = worker.free(kind);
            if let Seat::Elsewhere(borrowed) = &mut worker.seat {
                borrowed.least_free.take(kind, u32::MAX);
                borrowed.least_free.add(kind, free);
            }
        }
    }
}
