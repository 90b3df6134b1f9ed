//! The side that has workers: their slots go to whoever waits, in turn, and what they answer to whoever asked.

use std::collections::BTreeMap;

use history::{
    Namespace, TaskQueue,
    task::{FromWorker, ToWorker},
};
use uuid::Uuid;

use crate::{
    owner::{
        Owner,
        context::Context,
        state::{
            demands::Granted,
            lent::{Token, Whose},
            session::Seat,
            slots::Slots,
        },
    },
    peers::Parcel,
    words::{Kind, QueueKey, SessionId},
};

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
        let Ok(namespace) = self.context.setup.namespaces.get(namespace) else {
            return;
        };
        let queue = (namespace, task_queue);
        let demanded = (queue.clone(), kind);
        if waiting == 0 {
            if let Some(claims) = self.context.matching.demands.queues.get_mut(&demanded) {
                claims.of.remove(&member);
                if claims.of.is_empty() {
                    self.context.matching.demands.queues.remove(&demanded);
                }
            }
            return;
        }
        let unheard = !self.context.matching.is_heard(member);
        let claims = self
            .context
            .matching
            .demands
            .queues
            .entry(demanded)
            .or_default();
        let claim = claims.of.entry(member).or_default();
        (claim.waiting, claim.unheard) = (waiting, unheard);
        self.context.tell_pollers(&queue);
        self.refill(&queue);
    }

    /// A member gives slots back.
    pub(super) fn returned(&mut self, member: Uuid, session: SessionId, kind: Kind, slots: u32) {
        let Some(worker) = self.context.queues.session(session) else {
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
        let Some(worker) = self.context.queues.session(session) else {
            return self.context.queues.post(member, Parcel::Gone { session });
        };
        if let (Seat::Here { lent, .. }, Some(token)) = (&mut worker.seat, token) {
            lent.tasks.insert(token, Whose::Of(member));
        }
        if !self.context.queues.send(session, message) {
            self.disconnect(session);
        }
    }

    /// Takes an answer to where its task came from; gives it back when that is here.
    pub(in crate::owner) fn answer_away(
        &mut self,
        session: SessionId,
        answer: FromWorker,
    ) -> Option<FromWorker> {
        let stopping = self.context.stopping;
        let Some(worker) = self.context.queues.session(session) else {
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
                self.context
                    .queues
                    .post(member, Parcel::Draining { session });
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
                Some(Whose::Of(member)) => self.context.post_answer(member, session, answer, true),
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
        let contended = self.context.queues.waiting_count(&queue, kind) > 0
            || (self.context.matching.demands).waits_other(&(queue.clone(), kind), member);
        let keeps = !(contended || draining || stopping);
        self.context.post_answer(member, session, answer, keeps);
        if !keeps {
            self.returned(member, session, kind, 1);
        }
        None
    }

    /// A member is gone: its slots are free, and its attempts are told to stop, as nobody waits for them.
    pub(super) fn lose_lent(&mut self, member: Uuid) {
        self.context.matching.demands.forget(member);
        for id in self.context.queues.session_ids() {
            let Some(worker) = self.context.queues.session(id) else {
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
                self.context
                    .queues
                    .send(id, ToWorker::CancelActivity(attempt));
            }
            self.refill(&queue);
        }
    }

    /// A member that did not hear hears again: it is lent to as the others are.
    pub(super) fn lend_again(&mut self, member: Uuid) {
        let mut queues = Vec::new();
        for ((queue, _), claims) in &mut self.context.matching.demands.queues {
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
            self.context.tell_pollers(&queue);
            self.refill(&queue);
        }
    }
}

impl Context {
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
