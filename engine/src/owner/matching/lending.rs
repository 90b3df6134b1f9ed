//! The side that has workers: their slots go to whoever waits, in turn, and what they answer to whoever asked.

use std::collections::{BTreeMap, BTreeSet};

use foldhash::HashMap;
use history::{
    Namespace, TaskQueue,
    task::{ActivityTaskToken, FromWorker, ToWorker, WorkflowTaskToken},
};
use uuid::Uuid;

use super::{Parcel, link::Waiting};
use crate::owner::{
    Owner,
    queues::{HandOut, Kind, QueueKey, Seat, SessionId, Slots},
};

/// What other members have of a worker.
#[derive(Debug, Default)]
pub(crate) struct Lent {
    /// The slots that each member has, in use or not.
    slots: BTreeMap<Uuid, Slots>,
    /// Their tasks that the worker has, with whose they are.
    tasks: HashMap<Token, Whose>,
    /// Who was asked for slots lately.
    recalled: BTreeSet<(Uuid, Kind)>,
}

/// Whose a task is that a worker has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    Of(Uuid),
    /// That member is gone.
    Nobodys,
}

/// Names a task that a worker has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Token {
    Workflow(WorkflowTaskToken),
    Activity(ActivityTaskToken),
}

impl Token {
    fn of_task(message: &ToWorker) -> Option<Self> {
        match message {
            ToWorker::WorkflowTask(task) => Some(Self::Workflow(task.token.clone())),
            ToWorker::ActivityTask(task) => Some(Self::Activity(task.token.clone())),
            ToWorker::CancelActivity(_)
            | ToWorker::HeartbeatWanted(_)
            | ToWorker::ActivityRefused { .. }
            | ToWorker::Evict(_) => None,
        }
    }

    fn of_answer(answer: &FromWorker) -> Option<Self> {
        match answer {
            FromWorker::WorkflowTask { token, .. } => Some(Self::Workflow(token.clone())),
            FromWorker::ActivityTask { token, .. } => Some(Self::Activity(token.clone())),
            FromWorker::Draining => None,
        }
    }

    fn kind(&self) -> Kind {
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
    fn forget(&mut self, member: Uuid) -> (Slots, Vec<ActivityTaskToken>) {
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

/// What other members want of the workers that are connected here.
#[derive(Debug, Default)]
pub(super) struct Demands {
    queues: HashMap<Waiting, Claims>,
    /// Slots that were granted and not yet told of.
    granted: Vec<Granted>,
}

/// Who wants slots of the workers of one queue.
#[derive(Debug, Default)]
struct Claims {
    of: BTreeMap<Uuid, Claim>,
    /// Counts the slots given away, so that all who wait get theirs in turn.
    turns: usize,
}

/// What a member wants.
#[derive(Debug, Default)]
struct Claim {
    waiting: u32,
    /// How many workers it was told of.
    told: u32,
    /// It does not hear what it is told, so that no slot is lent to it.
    unheard: bool,
}

impl Claim {
    fn waits(&self) -> bool {
        self.waiting > 0 && !self.unheard
    }
}

#[derive(Debug)]
struct Granted {
    member: Uuid,
    session: SessionId,
    kind: Kind,
    slots: u32,
}

impl Demands {
    /// Says whose turn it is, if not the own tasks'.
    fn next(&mut self, queue: &Waiting, waits_here: bool) -> Option<Uuid> {
        let claims = self.queues.get_mut(queue)?;
        let waiting = || claims.of.iter().filter(|(_, claim)| claim.waits());
        let (others, own) = (waiting().count(), usize::from(waits_here));
        if others == 0 {
            return None;
        }
        let turn = claims.turns % (others + own);
        claims.turns = claims.turns.wrapping_add(1);
        let member = waiting().nth(turn).map(|(member, _)| *member)?;
        if let Some(claim) = claims.of.get_mut(&member) {
            claim.waiting -= 1;
        }
        Some(member)
    }

    /// Says whether a member other than this one waits.
    fn waits_other(&self, queue: &Waiting, than: Uuid) -> bool {
        self.queues.get(queue).is_some_and(|claims| {
            let mut of = claims.of.iter();
            of.any(|(member, claim)| *member != than && claim.waits())
        })
    }

    /// Returns who waits.
    fn waiting(&self, queue: &Waiting) -> Vec<Uuid> {
        let claims = self.queues.get(queue).into_iter().flat_map(|q| &q.of);
        let waiting = claims.filter(|(_, claim)| claim.waits());
        waiting.map(|(member, _)| *member).collect()
    }

    /// Slots of this worker that were granted and not told of are not to be had: whoever was to get them waits still.
    fn revoke(&mut self, session: SessionId, queue: &QueueKey) {
        let (revoked, granted) = std::mem::take(&mut self.granted)
            .into_iter()
            .partition(|granted| granted.session == session);
        self.granted = granted;
        let revoked: Vec<Granted> = revoked;
        for granted in revoked {
            let claims = self.queues.get_mut(&(queue.clone(), granted.kind));
            if let Some(claim) = claims.and_then(|claims| claims.of.get_mut(&granted.member)) {
                claim.waiting = claim.waiting.saturating_add(granted.slots);
            }
        }
    }

    fn forget(&mut self, member: Uuid) {
        self.granted.retain(|granted| granted.member != member);
        self.queues.retain(|_, claims| {
            claims.of.remove(&member);
            !claims.of.is_empty()
        });
    }
}

impl Owner {
    /// Tasks of another member wait in a queue.
    pub(super) fn demanded(
        &mut self,
        member: Uuid,
        (namespace, task_queue): (&Namespace, TaskQueue),
        kind: Kind,
        waiting: u32,
    ) {
        #[cfg(test)]
        if crate::sim::planted::ignores_demands() {
            return;
        }
        let Ok(namespace) = self.setup.namespaces.get(namespace) else {
            return;
        };
        let queue = (namespace, task_queue);
        let demanded = (queue.clone(), kind);
        if waiting == 0 {
            if let Some(claims) = self.matching.demands.queues.get_mut(&demanded) {
                claims.of.remove(&member);
                if claims.of.is_empty() {
                    self.matching.demands.queues.remove(&demanded);
                }
            }
            return;
        }
        let unheard = !self.matching.is_heard(member);
        let claims = self.matching.demands.queues.entry(demanded).or_default();
        let claim = claims.of.entry(member).or_default();
        (claim.waiting, claim.unheard) = (waiting, unheard);
        self.tell_pollers(&queue);
        self.refill(&queue);
    }

    /// Tells the members that want slots of a queue's workers how many workers there are, if that has changed.
    pub(in crate::owner) fn tell_pollers(&mut self, queue: &QueueKey) {
        let now = self.now();
        for kind in Kind::ALL {
            self.queues.review(queue, kind, now);
            let pollers = self.queues.pollers_here(queue, kind);
            let demanded = (queue.clone(), kind);
            let Some(claims) = self.matching.demands.queues.get_mut(&demanded) else {
                continue;
            };
            for (member, claim) in &mut claims.of {
                if claim.told != pollers && !claim.unheard {
                    claim.told = pollers;
                    let told = Parcel::Pollers {
                        namespace: queue.0.name.clone(),
                        task_queue: queue.1.clone(),
                        kind,
                        pollers,
                    };
                    self.queues.post(*member, told);
                }
            }
        }
    }

    /// Lends a free slot to the member whose turn it is, if it is that of another one.
    pub(in crate::owner) fn lend_next(&mut self, queue: &QueueKey, kind: Kind) -> bool {
        if self.matching.demands.queues.is_empty() || self.stopping {
            return false;
        }
        if !self.queues.has_free_here(queue, kind) {
            return false;
        }
        let waits_here = self.queues.waiting_count(queue, kind) > 0;
        let demanded = (queue.clone(), kind);
        let Some(member) = self.matching.demands.next(&demanded, waits_here) else {
            return false;
        };
        let Some(session) = self.queues.free_here(queue, kind) else {
            return false;
        };
        if let Some(worker) = self.queues.session(session)
            && worker.take_free(kind, 1) == 1
            && let Seat::Here { lent, .. } = &mut worker.seat
        {
            lent.slots.entry(member).or_default().add(kind, 1);
            let granted = &mut self.matching.demands.granted;
            match granted.last_mut() {
                Some(last) if (last.member, last.session, last.kind) == (member, session, kind) => {
                    last.slots += 1;
                }
                _ => granted.push(Granted {
                    member,
                    session,
                    kind,
                    slots: 1,
                }),
            }
        }
        true
    }

    /// Tells of what was granted.
    pub(super) fn post_grants(&mut self) {
        for granted in std::mem::take(&mut self.matching.demands.granted) {
            if let Some(session) = self.queues.session(granted.session) {
                let grant = Parcel::Grant {
                    session: granted.session,
                    hello: session.hello.clone(),
                    kind: granted.kind,
                    slots: granted.slots,
                };
                self.queues.post(granted.member, grant);
            }
        }
    }

    /// Asks for slots that are lent and not in use, when somebody waits and none is free.
    pub(in crate::owner) fn recall(&mut self, queue: &QueueKey, kind: Kind) {
        if self.matching.links.is_empty() || self.queues.has_free_here(queue, kind) {
            return;
        }
        let waits_here = self.queues.waiting_count(queue, kind) > 0;
        let waiting = self.matching.demands.waiting(&(queue.clone(), kind));
        if !waits_here && waiting.is_empty() {
            return;
        }
        for session in self.queues.here(queue) {
            let Some(Seat::Here { lent, .. }) =
                self.queues.session(session).map(|worker| &mut worker.seat)
            else {
                continue;
            };
            // What it has is no use to others if nobody else waits.
            let alone = |member: &Uuid| !waits_here && waiting == [*member];
            let holders = lent.slots.iter().filter(|(_, slots)| slots.of(kind) > 0);
            let holders: Vec<Uuid> = holders
                .map(|(member, _)| *member)
                .filter(|member| !alone(member))
                .filter(|member| !lent.recalled.contains(&(*member, kind)))
                .collect();
            lent.recalled
                .extend(holders.iter().map(|member| (*member, kind)));
            for member in holders {
                self.queues.post(member, Parcel::Recall { session, kind });
            }
        }
    }

    /// A member gives slots back.
    pub(super) fn returned(&mut self, member: Uuid, session: SessionId, kind: Kind, slots: u32) {
        let Some(worker) = self.queues.session(session) else {
            return;
        };
        let Seat::Here { lent, .. } = &mut worker.seat else {
            return;
        };
        let had = lent.slots.entry(member).or_default();
        let returned = had.take(kind, slots);
        worker.add_free(kind, returned);
        let queue = worker.queue.clone();
        self.refill(&queue);
    }

    /// Passes something of another member on to the worker that it is for.
    pub(super) fn pass_on(&mut self, member: Uuid, session: SessionId, message: ToWorker) {
        let token = Token::of_task(&message);
        let Some(worker) = self.queues.session(session) else {
            return self.queues.post(member, Parcel::Gone { session });
        };
        if let (Seat::Here { lent, .. }, Some(token)) = (&mut worker.seat, token) {
            lent.tasks.insert(token, Whose::Of(member));
        }
        if !self.queues.send(session, message) {
            self.disconnect(session);
        }
    }

    /// Takes an answer to where its task came from; gives it back when that is here.
    pub(in crate::owner) fn answer_away(
        &mut self,
        session: SessionId,
        answer: FromWorker,
    ) -> Option<FromWorker> {
        let stopping = self.stopping;
        let Some(worker) = self.queues.session(session) else {
            return Some(answer);
        };
        let draining = worker.draining;
        let queue = worker.queue.clone();
        let Seat::Here { lent, .. } = &mut worker.seat else {
            return Some(answer);
        };
        if matches!(answer, FromWorker::Draining) {
            let members: Vec<Uuid> = lent.members().collect();
            for member in members {
                self.queues.post(member, Parcel::Draining { session });
            }
            return Some(answer);
        }
        if lent.tasks.is_empty() {
            return Some(answer);
        }
        let Some(token) = Token::of_answer(&answer) else {
            return Some(answer);
        };
        if matches!(&answer, FromWorker::ActivityTask { answer, .. } if !answer.ends_attempt()) {
            match lent.tasks.get(&token).copied() {
                Some(Whose::Of(member)) => self.post_answer(member, session, answer, true),
                Some(Whose::Nobodys) => {}
                None => return Some(answer),
            }
            return None;
        }
        let Some(owner) = lent.tasks.remove(&token) else {
            return Some(answer);
        };
        let kind = token.kind();
        let Whose::Of(member) = owner else {
            // Whoever asked is gone.
            worker.add_free(kind, 1);
            self.refill(&queue);
            return None;
        };
        let contended = self.queues.waiting_count(&queue, kind) > 0
            || (self.matching.demands).waits_other(&(queue.clone(), kind), member);
        let keeps = !(contended || draining || stopping);
        self.post_answer(member, session, answer, keeps);
        if !keeps {
            self.returned(member, session, kind, 1);
        }
        None
    }

    fn post_answer(&mut self, member: Uuid, session: SessionId, answer: FromWorker, keeps: bool) {
        let answer = Parcel::Answer {
            session,
            answer: Box::new(answer),
            keeps,
        };
        self.queues.post(member, answer);
    }

    /// Tells the members that had slots of a worker that it is gone.
    pub(in crate::owner) fn tell_gone(
        &mut self,
        session: SessionId,
        (queue, seat): (&QueueKey, &Seat),
    ) {
        if let Seat::Here { lent, .. } = seat {
            self.matching.demands.revoke(session, queue);
            for member in lent.members() {
                self.queues.post(member, Parcel::Gone { session });
            }
        }
    }

    /// A member is gone: its slots are free, and its attempts are told to stop, as nobody waits for them.
    pub(super) fn lose_lent(&mut self, member: Uuid) {
        self.matching.demands.forget(member);
        for id in self.queues.session_ids() {
            let Some(worker) = self.queues.session(id) else {
                continue;
            };
            let Seat::Here { lent, .. } = &mut worker.seat else {
                continue;
            };
            let (idle, attempts) = lent.forget(member);
            for kind in Kind::ALL {
                worker.add_free(kind, idle.of(kind));
            }
            let queue = worker.queue.clone();
            for attempt in attempts {
                self.queues.send(id, ToWorker::CancelActivity(attempt));
            }
            self.refill(&queue);
        }
    }

    /// A member that did not hear hears again: it is lent to as the others are.
    pub(super) fn lend_again(&mut self, member: Uuid) {
        let mut queues = Vec::new();
        for ((queue, _), claims) in &mut self.matching.demands.queues {
            if let Some(claim) = claims.of.get_mut(&member)
                && std::mem::take(&mut claim.unheard)
            {
                queues.push(queue.clone());
            }
        }
        // The order of a map is no order.
        queues.sort_unstable_by(|one, other| (one.0.id, &one.1).cmp(&(other.0.id, &other.1)));
        queues.dedup();
        for queue in queues {
            self.tell_pollers(&queue);
            self.refill(&queue);
        }
    }

    /// Lets members be asked again for slots of a worker. Adds those that have some to those who are depended on, and its queue to
    /// those of which something is lent.
    pub(super) fn forget_recalls(
        &mut self,
        id: SessionId,
        depended_on: &mut Vec<Uuid>,
        queues: &mut BTreeMap<(i16, TaskQueue), QueueKey>,
    ) {
        let Some(worker) = self.queues.session(id) else {
            return;
        };
        let Seat::Here { lent, .. } = &mut worker.seat else {
            return;
        };
        lent.recalled.clear();
        let some = |slots: &Slots| Kind::ALL.iter().any(|kind| slots.of(*kind) > 0);
        let holders = lent.slots.iter().filter(|(_, slots)| some(slots));
        let before = depended_on.len();
        depended_on.extend(holders.map(|(member, _)| *member));
        if depended_on.len() > before {
            let queue = worker.queue.clone();
            queues.insert((queue.0.id, queue.1.clone()), queue);
        }
    }
}
