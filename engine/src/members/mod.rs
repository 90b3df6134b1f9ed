//! The members of a database: who is there, who watches whom, and which shards go where.
//!
//! Each member holds an advisory lock and waits for that of the next one in the order of their ids: whoever gets it fences a
//! member that died. A frozen one can't renew its lease; its watcher ends its sessions, the lock among them.

mod ended;
mod shared;
mod watched;
mod watching;

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use history::Timestamp;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use uuid::Uuid;

use crate::{
    limits::{HAND_OVER_SHARDS, LOCK_WAIT_MAX, SHARDS},
    members::watched::{Watched, lock},
    membership::Membership,
    owner::message::Message,
    peers::PeerClient,
    placement,
    store::{
        self, Session, Store, Term,
        ownership::{Placed, Seen, View},
        view::Move,
    },
    words::Told,
};

pub(crate) use ended::{Ended, answered};
pub(crate) use shared::{Lease, Shared};

/// How this member holds a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    No,
    Adopting,
    Yes,
    Leaving,
}

/// One member's view of all of them.
pub(crate) struct Members<'a> {
    pub(crate) store: &'a Arc<dyn Store>,
    pub(crate) peers: PeerClient,
    pub(crate) term: Term,
    pub(crate) expiry: Duration,
    pub(crate) owner: mpsc::UnboundedSender<Message>,
    pub(crate) state: &'a watch::Sender<Membership>,
    pub(crate) shared: Shared,
    held: Vec<Held>,
    known: Option<i64>,
    seen: Vec<Seen>,
    watching: Option<Watched>,
    pokes: FuturesUnordered<BoxFuture<'static, ()>>,
    next_look: Instant,
}

/// How long a member's row is good for without a renewal. The rest of the lease is for the others, to see it and to take over.
pub(crate) fn expiry(lease: Duration) -> Duration {
    lease * 3 / 4
}

/// How often a member looks at the others: a quarter of what a row is good for, at most each two seconds.
fn pause(expiry: Duration) -> Duration {
    (expiry / 4).min(Duration::from_secs(2))
}

/// Fences the members whose locks are free.
pub(crate) async fn replace_dead(
    store: &dyn Store,
    session: &mut dyn Session,
    term: Term,
) -> Result<(), store::Error> {
    for other in store.look(None).await?.members {
        if other.id != term.owner && session.try_lock(other.id).await? {
            store.fence(other.id, term).await?;
            session.unlock(other.id).await?;
        }
    }
    Ok(())
}

/// Returns the shards that are a member's, and since when their open runs may have no row in `open_run`.
pub(crate) fn owned(view: &View, member: Uuid) -> (Vec<i16>, Timestamp) {
    let placed = view.shards.iter().flatten();
    let own: Vec<&Placed> = placed
        .filter(|placed| placed.member == Some(member))
        .collect();
    let since = own.iter().filter_map(|placed| placed.open_since).min();
    (
        own.iter().map(|placed| placed.shard).collect(),
        since.unwrap_or(Timestamp(0)),
    )
}

impl<'a> Members<'a> {
    pub(crate) fn new(
        store: &'a Arc<dyn Store>,
        state: &'a watch::Sender<Membership>,
        peers: PeerClient,
        lease: Lease,
        owner: mpsc::UnboundedSender<Message>,
        shared: Shared,
    ) -> Self {
        Self {
            store,
            peers,
            term: lease.term,
            expiry: lease.expiry,
            owner,
            state,
            shared,
            held: vec![Held::No; usize::from(SHARDS)],
            known: None,
            seen: Vec::new(),
            watching: None,
            pokes: FuturesUnordered::new(),
            next_look: Instant::now(),
        }
    }

    /// Goes on from the view by which the owner began: what is owned there is being folded.
    pub(crate) fn begin(&mut self, view: View) -> Result<(), Ended> {
        let (own, _) = owned(&view, self.term.owner);
        self.hold(&own, Held::Adopting);
        self.see(view)?;
        self.poke(&self.others());
        Ok(())
    }

    /// Watches, looks and balances until this is no member any more.
    pub(crate) async fn govern(
        mut self,
        mut told: mpsc::UnboundedReceiver<Told>,
    ) -> Result<(), Ended> {
        let look = Arc::clone(&self.shared.look);
        loop {
            self.watch();
            tokio::select! {
                biased;
                Some(told) = told.recv() => self.told(told).await?,
                Some(()) = self.pokes.next(), if !self.pokes.is_empty() => {}
                locked = lock(&mut self.watching) => self.locked(locked).await?,
                () = look.notified() => self.look().await?,
                () = tokio::time::sleep_until(self.next_look) => self.look().await?,
            }
        }
    }

    async fn told(&mut self, told: Told) -> Result<(), Ended> {
        match told {
            Told::Adopted(shards) => {
                self.hold(&shards, Held::Yes);
                self.shared.lock_folded().extend(shards);
                self.balance();
                Ok(())
            }
            Told::GivenUp(shards) => {
                let targets = self.live();
                let moves: Vec<Move> = shards
                    .iter()
                    .filter_map(|shard| {
                        let to = placement::member_of(*shard, &targets)?;
                        Some(Move { shard: *shard, to })
                    })
                    .filter(|one| one.to != self.term.owner)
                    .collect();
                let mut heirs: Vec<Uuid> = moves.iter().map(|one| one.to).collect();
                heirs.sort_unstable();
                heirs.dedup();
                tracing::info!(shards = moves.len(), "shards go to other members");
                // Without an answer nobody knows whose they are: this member is fenced then, and that settles it.
                self.give(&moves).await?;
                self.hold(&shards, Held::No);
                self.known = None;
                self.poke(&heirs);
                self.look().await
            }
        }
    }

    /// Gives shards to others. That somebody keeps a lock for a while ends no membership: it is asked for again as long as the lease is
    /// renewed, which is done meanwhile.
    async fn give(&mut self, moves: &[Move]) -> Result<(), Ended> {
        // There are two locks to wait for, and then the answer has to come in time.
        let wait = (self.expiry / 4).min(LOCK_WAIT_MAX);
        loop {
            let given = self.store.give(self.term, moves.to_vec(), wait);
            match answered(self.expiry, given).await? {
                Err(error) if error.passes() => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "shards can't be given away; trying again"
                ),
                given => return Ok(given?),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Looks at the others. A look that fails is repeated.
    async fn look(&mut self) -> Result<(), Ended> {
        let seen = answered(self.expiry, self.store.look(self.known)).await;
        self.next_look = Instant::now() + pause(self.expiry);
        match seen {
            Ok(Ok(view)) => {
                self.see(view)?;
                if self.end_expired().await {
                    self.watching = None;
                }
                Ok(())
            }
            Ok(Err(error)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the other members can't be seen; trying again"
                );
                Ok(())
            }
            // A connection that is half gone is dropped by this, and the next look takes another.
            Err(_silent) => Ok(()),
        }
    }

    /// Takes in who is there and who owns what.
    fn see(&mut self, view: View) -> Result<(), Ended> {
        let me = self.term.owner;
        self.seen = view.members;
        if !self.seen.iter().any(|member| member.id == me) {
            return Err(Ended::Lease);
        }
        let alone = self.seen.len() == 1;
        self.shared.alone.store(alone, Ordering::Relaxed);
        let others = self.seen.iter().filter(|member| member.id != me);
        let others = others.map(|member| (member.id, Arc::from(member.address.as_str())));
        let others: Vec<(Uuid, Arc<str>)> = others.collect();
        self.shared
            .others
            .send_replace(others.iter().map(|(_, at)| Arc::clone(at)).collect());
        // An owner that has ended takes the tenure with it.
        let _ = self.owner.send(Message::Members(others));
        self.shared
            .crowded
            .store(self.is_crowded(), Ordering::Relaxed);
        if let Some(shards) = view.shards {
            self.place(&shards)?;
            self.known = Some(view.version);
            if shards.iter().any(|placed| placed.member.is_none()) {
                // Looked at again until somebody has them.
                self.known = None;
                let (store, term) = (Arc::clone(self.store), self.term);
                let look = Arc::clone(&self.shared.look);
                self.pokes.push(
                    async move {
                        if let Err(error) = store.claim(term).await {
                            tracing::warn!(
                                error = &error as &dyn std::error::Error,
                                "shards that nobody owns can't be taken; trying again"
                            );
                        }
                        look.notify_one();
                    }
                    .boxed(),
                );
            }
        }
        self.balance();
        Ok(())
    }

    /// Says whether another live member gives the same address: then the requests of one of them end at the other.
    fn is_crowded(&self) -> bool {
        let me = self.term.owner;
        let own = self.seen.iter().find(|member| member.id == me);
        let at_own = |other: &Seen| own.is_some_and(|own| own.address == other.address);
        self.seen
            .iter()
            .any(|other| other.id != me && !other.expired && at_own(other))
    }

    /// Tells the owner what it has got, and where everything else is.
    fn place(&mut self, shards: &[Placed]) -> Result<(), Ended> {
        let addresses: HashMap<Uuid, Arc<str>> = self
            .seen
            .iter()
            .map(|member| (member.id, Arc::from(member.address.as_str())))
            .collect();
        let mut elsewhere = Vec::new();
        let mut adopt = Vec::new();
        let known = Timestamp(self.shared.open_since.load(Ordering::Relaxed));
        let mut since = known;
        for placed in shards {
            let held = self.held(placed.shard);
            match (placed.member == Some(self.term.owner), held) {
                (true, Held::No) => {
                    adopt.push(placed.shard);
                    since = since.min(placed.open_since.unwrap_or(known));
                }
                (true, _) => {}
                (false, Held::No) => {
                    let address = placed.member.and_then(|id| addresses.get(&id).cloned());
                    elsewhere.push((placed.shard, address));
                }
                // Somebody has fenced this member.
                (false, _) => return Err(Ended::Lease),
            }
        }
        // An owner that has ended takes the tenure with it.
        if !adopt.is_empty() {
            self.hold(&adopt, Held::Adopting);
            let _ = self.owner.send(Message::Adopt {
                shards: adopt,
                open_since: since,
            });
        }
        let _ = self.owner.send(Message::Elsewhere(elsewhere));
        Ok(())
    }

    /// Gives up some of the shards that belong to others, when nothing else is on its way.
    fn balance(&mut self) {
        let busy = |held: &Held| matches!(held, Held::Adopting | Held::Leaving);
        if self.held.iter().any(busy) {
            return;
        }
        let live = self.live();
        let me = Some(self.term.owner);
        let leaving: Vec<i16> = (0..)
            .zip(&self.held)
            .filter(|(shard, held)| {
                **held == Held::Yes && placement::member_of(*shard, &live) != me
            })
            .map(|(shard, _)| shard)
            .take(HAND_OVER_SHARDS)
            .collect();
        if leaving.is_empty() {
            return;
        }
        self.hold(&leaving, Held::Leaving);
        self.shared.forget_folded(&leaving);
        let _ = self.owner.send(Message::GiveUp { shards: leaving });
    }

    fn others(&self) -> Vec<Uuid> {
        let ids = self.seen.iter().map(|member| member.id);
        ids.filter(|id| *id != self.term.owner).collect()
    }

    fn poke(&self, members: &[Uuid]) {
        for member in self.seen.iter().filter(|m| members.contains(&m.id)) {
            self.pokes.push(self.peers.poke(&member.address));
        }
    }

    /// Returns the members that shards may go to.
    fn live(&self) -> Vec<Uuid> {
        let live = self.seen.iter().filter(|member| !member.expired);
        live.map(|member| member.id).collect()
    }

    fn held(&self, shard: i16) -> Held {
        let n = usize::try_from(shard).unwrap_or(0);
        self.held.get(n).copied().unwrap_or(Held::No)
    }

    fn hold(&mut self, shards: &[i16], how: Held) {
        for shard in shards {
            let n = usize::try_from(*shard).unwrap_or(0);
            if let Some(held) = self.held.get_mut(n) {
                *held = how;
            }
        }
        let served = |held: &&Held| matches!(held, Held::Yes | Held::Leaving);
        let count = self.held.iter().filter(served).count();
        self.shared.served.store(count, Ordering::Relaxed);
        self.state.send_if_modified(|state| match state {
            Membership::Member { shards, .. } if *shards != count => {
                *shards = count;
                true
            }
            _ => false,
        });
    }
}
