//! A process's time as a member: it joins, owns shards, and leaves or is fenced; then it joins again.

mod lease;
mod parts;

#[cfg(test)]
pub(crate) use lease::RENEWALS_A_PARTITION_LOOK;

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::{FutureExt as _, future::join_all};
use history::Timestamp;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use uuid::Uuid;

use crate::{
    Config,
    clock::{self, Clock},
    committer,
    feed::Tail,
    limits::{COMMITTERS, DRAIN, LEASE},
    members::{self, Ended, Lease, Members, Shared, answered},
    membership::Membership,
    owner::{self, message::Message},
    peers::PeerClient,
    store::{self, Joined, Session, Store, Term, namespaces::Namespaces},
    tenure::{
        lease::{Keeper, NOT_PREPARED, done},
        parts::{Part, Parts},
    },
    words::Told,
    world::World,
};

/// This process's times as a member of a database, one after the other.
pub(crate) struct Tenure {
    pub(crate) config: Config,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) namespaces: Namespaces,
    pub(crate) peers: PeerClient,
    pub(crate) world: World,
    /// Told what is committed, and when shards are taken.
    pub(crate) tail: Arc<Tail>,
    /// Told what this process is. However the tenure ends, it is no member afterwards.
    pub(crate) membership: watch::Sender<Membership>,
}

impl Drop for Tenure {
    fn drop(&mut self) {
        self.membership
            .send_replace(Membership::Outside { away: None });
    }
}

impl Tenure {
    /// Joins, owns shards, and joins again when they are lost, until told to stop.
    pub(crate) async fn run(self, mut stopping: watch::Receiver<bool>) {
        while !*stopping.borrow() && stopping.has_changed().is_ok() {
            let served = AssertUnwindSafe(self.serve(stopping.clone())).catch_unwind();
            let ended = served
                .await
                .unwrap_or_else(|panic| Err(Ended::Panicked(parts::message(&*panic))));
            let away = ended.as_ref().err().and_then(Ended::away);
            self.membership.send_replace(Membership::Outside { away });
            if let Err(error) = ended {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the membership ended"
                );
                // One try a second is enough while the database is away.
                let pause = tokio::time::sleep(Duration::from_secs(1));
                tokio::select! {
                    biased;
                    () = pause => {}
                    _ = stopping.wait_for(|stop| *stop) => {}
                }
            }
        }
    }

    async fn serve(&self, mut stopping: watch::Receiver<bool>) -> Result<(), Ended> {
        let expiry = members::expiry(self.config.lease);
        let owner = self.world.uuid();
        let mut session = answered(expiry, self.store.session(owner)).await??;
        // Joining waits for the batches of members that died; nothing of it may wait for ever.
        let limit = self.config.lease.max(LEASE);
        let Joined { term, open_since } =
            answered(limit, self.join(&mut *session, owner)).await??;
        let view = answered(limit, self.store.look(None)).await??;
        let (shards, shards_since) = members::owned(&view, term.owner);
        tracing::info!(
            epoch = term.epoch,
            shards = shards.len(),
            "this process is a member"
        );

        let shared = Shared::new(open_since);
        let setup = committer::Setup {
            store: Arc::clone(&self.store),
            term,
            patience: expiry,
            progress: Arc::clone(&shared.progress),
            tail: Arc::clone(&self.tail),
        };
        let connections = self.connections(term, limit).await?;
        let lease = Lease { term, expiry };
        let (clock, renewed_at) = self
            .set_clock(&mut *session, lease, open_since, limit)
            .await?;
        let clock = Arc::new(clock);
        let now = clock.now();
        // The rows of a new database are to find partitions. It takes no longer than leaves time to renew the lease.
        let prepared = done(
            answered(expiry / 2, self.store.prepare(now)).await,
            NOT_PREPARED,
        );

        let (commits, commands) = mpsc::unbounded_channel();
        let (committed, outcomes) = mpsc::unbounded_channel();
        let (sender, inbox) = mpsc::unbounded_channel();
        let (tell, told) = mpsc::unbounded_channel();
        let owner_setup = self.owner_setup(term, &clock, &shared, tell);
        let channels = owner::Channels {
            inbox,
            commits,
            outcomes,
        };
        let owning = owner::run(owner_setup, channels, &shards, shards_since);
        let committing = committer::run(setup, connections, commands, committed);
        let mut parts = Parts::default();
        parts.add(Part::Owner, owning.map(Ok));
        parts.add(Part::Committer, async { Ok(committing.await?) });
        let mut members = Members::new(
            &self.store,
            &self.membership,
            self.peers.clone(),
            lease,
            sender.clone(),
            shared.clone(),
        );
        members.begin(view)?;

        let ready = self.announce(term, sender.clone(), &shared);
        let keeper = Keeper {
            store: &*self.store,
            lease,
            clock: &clock,
            shared: &shared,
        };
        let mut renewing = keeper.keep(&mut *session, renewed_at, prepared).boxed();
        tokio::select! {
            biased;
            ended = parts.first() => return ended,
            ended = &mut renewing => return ended,
            ended = members.govern(told) => return ended,
            () = ready => {}
            _ = stopping.wait_for(|stop| *stop) => {}
        }
        // No new requests; what is under way is committed, then the others get the shards.
        let _ = sender.send(Message::Stop);
        self.membership.send_replace(Membership::Leaving { sender });
        let drained = tokio::select! {
            biased;
            ended = &mut renewing => return ended,
            drained = tokio::time::timeout(DRAIN, parts.end_of(Part::Owner)) => drained,
        };
        drop(renewing);
        if let Ok(ended) = drained {
            ended?;
        } else {
            tracing::warn!(
                "workers did not answer in time; what they had is done again by the next owner"
            );
            parts.drop_owner();
        }
        parts.end_of(Part::Committer).await?;
        answered(limit, session.leave(term)).await??;
        answered(limit, self.tell_others()).await?
    }

    fn owner_setup(
        &self,
        term: Term,
        clock: &Arc<Clock>,
        shared: &Shared,
        tell: mpsc::UnboundedSender<Told>,
    ) -> owner::Setup {
        owner::Setup {
            member: term.owner,
            epoch: term.epoch,
            address: Arc::from(self.config.address.as_str()),
            clock: Arc::clone(clock),
            world: self.world,
            store: Arc::clone(&self.store),
            namespaces: self.namespaces.clone(),
            peers: self.peers.clone(),
            memory_bytes: self.config.memory_bytes,
            park_after: self.config.park_after,
            open_since: Arc::clone(&shared.open_since),
            full: Arc::clone(&shared.full),
            tell,
            tail: Arc::clone(&self.tail),
        }
    }

    /// Opens the connections that commit.
    async fn connections(
        &self,
        term: Term,
        limit: Duration,
    ) -> Result<Vec<Box<dyn store::Connection>>, Ended> {
        let mut connections = Vec::new();
        for n in 0..COMMITTERS {
            let slot = i16::try_from(n).unwrap_or(i16::MAX);
            connections.push(answered(limit, self.store.connection(slot, term)).await??);
        }
        Ok(connections)
    }

    /// Becomes a member, in the place of those that are dead.
    async fn join(&self, session: &mut dyn Session, owner: Uuid) -> Result<Joined, store::Error> {
        let expiry = members::expiry(self.config.lease);
        session.lock(owner).await?;
        let joined = session.join(owner, &self.config.address, expiry).await?;
        members::replace_dead(&*self.store, session, joined.term).await?;
        Ok(joined)
    }

    /// Renews the lease until two samples of the database's time agree: by one alone that is bad, timers might fire early.
    async fn set_clock(
        &self,
        session: &mut dyn Session,
        lease: Lease,
        open_since: Timestamp,
        limit: Duration,
    ) -> Result<(Clock, Instant), Ended> {
        /// A clock that never agrees with itself is taken as it is.
        const SAMPLES: usize = 10;
        let mut clock: Option<Clock> = None;
        let mut samples = 0;
        loop {
            let (renewed_at, asked) = (Instant::now(), clock::Asked::now(self.world));
            let renewed = session.renew(lease.term, lease.expiry, open_since);
            let now = answered(limit, renewed).await??.ok_or(Ended::Lease)?;
            samples += 1;
            match clock {
                Some(clock) if clock.sample(asked, now) || samples == SAMPLES => {
                    return Ok((clock, renewed_at));
                }
                _ => clock = Some(Clock::set_to(now, self.world)),
            }
        }
    }

    /// Says that requests are served as soon as they are.
    async fn announce(&self, term: Term, sender: mpsc::UnboundedSender<Message>, shared: &Shared) {
        let (reply, ready) = tokio::sync::oneshot::channel();
        // When the owner has ended the answer fails as well, and its end is seen elsewhere.
        let _ = sender.send(Message::Ready { reply });
        if ready.await.is_ok() {
            self.membership.send_replace(Membership::Member {
                epoch: term.epoch,
                sender,
                look: Arc::clone(&shared.look),
                shards: shared.served.load(Ordering::Relaxed),
                others: shared.others.subscribe(),
                alone: Arc::clone(&shared.alone),
                crowded: Arc::clone(&shared.crowded),
                full: Arc::clone(&shared.full),
                progress: Arc::clone(&shared.progress),
            });
        }
        std::future::pending::<()>().await;
    }

    /// Tells the other members that there are shards for them.
    async fn tell_others(&self) -> Result<(), Ended> {
        let view = self.store.look(Some(i64::MAX)).await?;
        let pokes = view
            .members
            .iter()
            .map(|other| self.peers.poke(&other.address));
        // They see it by themselves, too.
        let _ = tokio::time::timeout(Duration::from_millis(500), join_all(pokes)).await;
        Ok(())
    }
}
