//! Matching across members: a worker that is connected to one member serves the shards of all.
//!
//! A member in whose queue tasks wait that none of its own workers has a slot for tells the others ([`Parcel::Demand`]). One that has
//! such a worker grants slots as they become free ([`Parcel::Grant`]), in turn with its own tasks; the other then has a session
//! as if the worker were connected to it, and hands its tasks out by the same code. An answer goes back by the member that has
//! the worker. The slot stays lent for the next task, unless somebody else waits for it or nobody uses it for a while.
//!
//! ```text
//!  who has tasks (`borrowing`)            who has the worker (`lending`)
//!        Demand  ─────────────────────▶  a slot becomes free
//!        Grant   ◀─────────────────────
//!        Task    ─────────────────────▶  to the worker
//!        Answer  ◀─────────────────────  from the worker
//!        Return  ─────────────────────▶  what was not used, or asked for by Recall
//! ```
//!
//! Parcels go by one [`Link`] for each other member, in order and once. When a member is gone, or is not heard for
//! [`limits::SESSION_LOST_AFTER`](crate::limits::SESSION_LOST_AFTER), its sessions end like those of a worker that went: what they had is lost and tried again.

mod borrowing;
mod lending;

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
    time::Duration,
};

use futures::FutureExt as _;
use history::BuildId;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    Starved, WhyStarved,
    limits::{EXCHANGE_PATIENCE, REDELIVER_AFTER, REDELIVER_AFTER_MAX},
    owner::{
        Owner,
        context::Context,
        message::Message,
        state::{
            link::{Link, Names, Taken},
            matching::SWEEP,
        },
    },
    peers::{Batch, Number, Parcel, PeerAnswer, Receipt},
    words::{Kind, QueueKey},
};

fn came(queue: &QueueKey, build_id: BuildId) -> Parcel {
    Parcel::Came {
        namespace: queue.0.name.clone(),
        task_queue: queue.1.clone(),
        build_id,
    }
}

impl Owner {
    /// Takes note of who the other members are.
    pub(super) fn members(&mut self, members: &[(Uuid, Arc<str>)]) {
        for (member, address) in members {
            self.context.meet(*member).list(Arc::clone(address));
        }
        let mut gone = Vec::new();
        for (member, link) in &mut self.context.matching.links {
            if !members.iter().any(|(listed, _)| listed == member) && link.is_gone() {
                gone.push(*member);
            }
        }
        for member in gone {
            self.context.matching.links.remove(&member);
            self.lose_member(member);
        }
    }

    /// Nothing that a member has of this one, or this one of it, is of use any more.
    fn lose_member(&mut self, member: Uuid) {
        self.lose_borrowed(member);
        self.lose_lent(member);
        // Whatever was to be said to it is about what it had.
        self.context.queues.drop_outbox(member);
        let now = self.context.now();
        self.context.queues.forget_pollers(member, now);
        self.context.tell_all(member);
    }

    /// Takes what another member sends, once and in order, and returns the receipt.
    pub(super) fn exchange(&mut self, batch: Batch) -> Receipt {
        if batch.to != self.context.setup.member {
            return Receipt::Stranger;
        }
        let member = batch.from;
        match self.context.meet(member).take(batch) {
            Taken::Parcels { parcels, anew } => {
                if anew {
                    self.lose_member(member);
                }
                for parcel in parcels {
                    self.parcel(member, parcel);
                }
                Receipt::Taken
            }
            Taken::Again => Receipt::Taken,
            Taken::Void { round, anew } => {
                if anew {
                    self.lose_member(member);
                }
                Receipt::Void(round)
            }
        }
    }

    fn parcel(&mut self, member: Uuid, parcel: Parcel) {
        match parcel {
            Parcel::Demand {
                namespace,
                task_queue,
                kind,
                waiting,
            } => self.demanded(member, (&namespace, task_queue), kind, waiting),
            Parcel::Task { session, message } => self.pass_on(member, session, *message),
            Parcel::Return {
                session,
                kind,
                slots,
            } => self.returned(member, session, kind, slots),
            Parcel::Pollers {
                namespace,
                task_queue,
                kind,
                pollers,
            } => self
                .context
                .told_of_pollers(member, (&namespace, task_queue), kind, pollers),
            Parcel::Grant {
                session,
                hello,
                kind,
                slots,
            } => self.granted(member, session, hello, kind, slots),
            Parcel::Answer {
                session,
                answer,
                keeps,
            } => self.answered_elsewhere(session, *answer, keeps),
            Parcel::Recall { session, kind } => self.context.recalled(member, session, kind),
            Parcel::Came {
                namespace,
                task_queue,
                build_id,
            } => {
                if let Ok(namespace) = self.context.setup.namespaces.get(&namespace) {
                    self.hasten_failing(&(namespace, task_queue), &build_id);
                }
            }
            Parcel::Draining { session } => {
                if let Some(session) = self.context.queues.session(session) {
                    session.draining = true;
                }
            }
            Parcel::Gone { session } => self.disconnect(session),
        }
    }

    /// A batch has arrived, or nobody knows.
    pub(super) fn posted(&mut self, member: Uuid, number: Number, receipt: Option<Receipt>) {
        let Some(link) = self.context.matching.links.get_mut(&member) else {
            return;
        };
        if !link.is_under_way(number) {
            return;
        }
        match receipt {
            Some(Receipt::Taken) => {
                if link.arrived() {
                    self.context.tell_all(member);
                    self.lend_again(member);
                }
            }
            Some(Receipt::Void(round)) => {
                link.begin_anew(Some(round));
                self.lose_member(member);
            }
            Some(Receipt::Stranger) | None => {
                if link.give_up(Instant::now()) {
                    tracing::warn!(%member, "a member is not heard; what its workers have is lost");
                    self.lose_member(member);
                } else {
                    self.context.send_batch(member);
                }
            }
        }
    }
}

impl Context {
    /// Returns the way to a member; one that is new is told which tasks wait.
    fn meet(&mut self, member: Uuid) -> &mut Link {
        if let Entry::Vacant(new) = self.matching.links.entry(member) {
            new.insert(Link::new());
            self.tell_all(member);
        }
        self.matching.links.entry(member).or_insert_with(Link::new)
    }

    /// Sees to it that a member that knows nothing of this one is told which tasks wait, and which code has come.
    fn tell_all(&mut self, member: Uuid) {
        if let Some(link) = self.matching.links.get_mut(&member) {
            link.knows_nothing(self.queues.waited_for());
            for (queue, build) in self.queues.builds_here() {
                link.push(&came(&queue, build));
            }
        }
    }

    /// Tells the others that code has come which may do what other code could not.
    pub(in crate::owner) fn tell_build(&mut self, queue: &QueueKey, build: &BuildId) {
        let came = came(queue, build.clone());
        for link in self.matching.links.values_mut() {
            link.push(&came);
        }
    }

    /// Sends what is to be told to other members.
    pub(super) fn post_parcels(&mut self) {
        if self.matching.links.is_empty() {
            self.matching.unsure.clear();
            self.queues.take_outbox();
            return;
        }
        self.post_grants();
        self.post_demands();
        if self.queues.has_outbox() {
            for (member, parcel) in self.queues.take_outbox() {
                // Of one that is gone nothing is expected any more.
                if let Some(link) = self.matching.links.get_mut(&member) {
                    link.push(&parcel);
                }
            }
        }
        let ready = self
            .matching
            .links
            .iter()
            .filter(|(_, link)| link.is_ready());
        let ready: Vec<Uuid> = ready.map(|(member, _)| *member).collect();
        for member in ready {
            self.send_batch(member);
        }
    }

    /// Sends the batch of a link that is next, or again the one under way.
    fn send_batch(&mut self, member: Uuid) {
        let Some(link) = self.matching.links.get_mut(&member) else {
            return;
        };
        let names = Names {
            from: self.setup.member,
            address: &self.setup.address,
            to: member,
        };
        let peers = &self.setup.peers;
        let Some((number, address, body)) = link.send(names, peers, Instant::now()) else {
            return;
        };
        let pause = link.silent_for(Instant::now()) / 4;
        let pause = pause.clamp(REDELIVER_AFTER, REDELIVER_AFTER_MAX);
        let answer = peers.send(&address, body, EXCHANGE_PATIENCE);
        self.elsewhere.push(
            async move {
                let receipt = match answer.await {
                    Ok(PeerAnswer::Exchanged(receipt)) => Some(receipt),
                    Ok(_) | Err(_) => None,
                };
                // One that is another member by now is in the next list; until then it is the same as one that does not hear. And who does
                // not understand this one would begin anew at once, again and again.
                if matches!(receipt, None | Some(Receipt::Stranger | Receipt::Void(_))) {
                    tokio::time::sleep(pause).await;
                }
                Message::Posted {
                    member,
                    number,
                    receipt,
                }
            }
            .boxed(),
        );
    }

    /// Gives back what lies idle, asks those that have been silent for a while whether they are there, and names queues without a worker.
    pub(super) fn sweep_matching(&mut self) {
        let now = Instant::now();
        if now < self.matching.next_sweep {
            return;
        }
        self.matching.next_sweep = now + SWEEP;
        self.name_starved();
        if self.matching.links.is_empty() {
            return;
        }
        let (mut depended_on, mut lent) = (Vec::new(), BTreeMap::new());
        for id in self.queues.session_ids() {
            self.return_idle(id, &mut depended_on);
            self.forget_recalls(id, &mut depended_on, &mut lent);
        }
        for queue in lent.into_values() {
            for kind in Kind::ALL {
                self.recall(&queue, kind);
            }
        }
        depended_on.sort_unstable();
        depended_on.dedup();
        for member in depended_on {
            if let Some(link) = self.matching.links.get_mut(&member) {
                link.ask(now);
            }
        }
    }

    /// Names in the log, once each, the queues in which tasks wait that no worker takes.
    fn name_starved(&mut self) {
        /// A worker that is started together with its workflows is there by then.
        const NAMED_AFTER: Duration = Duration::from_secs(5);
        let (now, waited_for) = (self.now(), self.queues.waited_for());
        let starved = |(queue, kind): &(QueueKey, Kind)| self.queues.starved(queue, *kind, now);
        let mut named = std::mem::take(&mut self.matching.named);
        named.retain(|queue| starved(queue).is_some());
        for queue in waited_for {
            let Some(Starved { since, why }) = starved(&queue) else {
                continue;
            };
            if now.since(since) < NAMED_AFTER || named.contains(&queue) {
                continue;
            }
            let why = match why {
                WhyStarved::NoPollers | WhyStarved::OtherKind => {
                    "no worker takes these tasks of this task queue, and some wait"
                }
                WhyStarved::NoSlots => {
                    "no worker of this task queue has a slot free for these tasks, and some wait"
                }
            };
            let ((namespace, task_queue), kind) = &queue;
            let waiting = self.queues.waiting_count(&queue.0, *kind);
            tracing::warn!(
                namespace = %namespace.name, %task_queue, waiting, tasks = kind.name(),
                "{why}"
            );
            named.insert(queue);
        }
        self.matching.named = named;
    }
}
