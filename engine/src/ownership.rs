//! A process's time as a member: it joins, owns shards, and leaves or is fenced; then it joins again.

use std::{
    any::Any,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::{
    FutureExt as _, StreamExt as _,
    future::{AbortHandle, Abortable, BoxFuture, join_all},
    stream::FuturesUnordered,
};
use history::Timestamp;
use tokio::{
    sync::{Notify, mpsc, watch},
    time::Instant,
};
use uuid::Uuid;

use crate::{
    Config, Error, Role,
    cause::innermost,
    clock::{self, Clock},
    committer,
    limits::{COMMITTERS, DRAIN, LEASE},
    members::{self, Members, Post, Shared},
    owner::{self, Message},
    progress::Progress,
    store::{self, Session, Store, Term, load::Namespaces},
    world::World,
};

/// Whether this process is a member, and how to reach the owner inside it.
#[derive(Debug, Clone)]
pub(crate) enum State {
    /// It is.
    Member {
        epoch: i64,
        sender: mpsc::UnboundedSender<Message>,
        /// Tells it to look at the other members.
        look: Arc<Notify>,
        /// How many shards it serves.
        shards: usize,
        /// Where the other members are.
        others: watch::Receiver<Vec<Arc<str>>>,
        /// There are no other members.
        alone: Arc<AtomicBool>,
        /// Another member gives the same address as this one.
        crowded: Arc<AtomicBool>,
        /// It has no memory for more.
        full: Arc<AtomicBool>,
        /// Whether what is to be committed gets there.
        progress: Arc<Progress>,
    },
    /// It was, and waits for what it has handed out: it takes nothing more but what other members tell of that.
    Leaving {
        sender: mpsc::UnboundedSender<Message>,
    },
    /// It is not, or not yet.
    Outside {
        /// What came instead of an answer when the database was last asked, if nothing did.
        away: Option<Arc<str>>,
    },
}

impl State {
    pub(crate) fn role(&self) -> Role {
        match self {
            Self::Member { epoch, shards, .. } => Role::Member {
                epoch: *epoch,
                shards: *shards,
            },
            Self::Leaving { .. } | Self::Outside { .. } => Role::Outside,
        }
    }

    /// Returns why nothing can be asked of this process.
    pub(crate) fn refusal(&self) -> Error {
        match self {
            Self::Outside { away: Some(away) } => Error::DatabaseAway(Arc::clone(away)),
            Self::Member { .. } | Self::Leaving { .. } | Self::Outside { away: None } => {
                Error::NotOwner { owner: None }
            }
        }
    }
}

/// Joins, owns shards, and joins again when they are lost, until told to stop.
pub(crate) async fn run(
    config: Config,
    store: Arc<dyn Store>,
    namespaces: Namespaces,
    (post, world): (Post, World),
    state: watch::Sender<State>,
    mut stopping: watch::Receiver<bool>,
) {
    let state = UntilEnd(state);
    while !*stopping.borrow() && stopping.has_changed().is_ok() {
        let tenure = Tenure {
            config: &config,
            store: &store,
            namespaces: &namespaces,
            post: &post,
            world,
            state: &state.0,
        };
        let served = AssertUnwindSafe(tenure.serve(stopping.clone())).catch_unwind();
        let ended = served
            .await
            .unwrap_or_else(|panic| Err(Ended::Panicked(message(&*panic))));
        let away = ended.as_ref().err().and_then(Ended::away);
        state.0.send_replace(State::Outside { away });
        if let Err(error) = ended {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the ownership of shards ended"
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

/// What this process is, for as long as somebody sees to that: however that ends, it is no member afterwards.
struct UntilEnd(watch::Sender<State>);

impl Drop for UntilEnd {
    fn drop(&mut self) {
        self.0.send_replace(State::Outside { away: None });
    }
}

/// One time as a member.
struct Tenure<'a> {
    config: &'a Config,
    store: &'a Arc<dyn Store>,
    namespaces: &'a Namespaces,
    post: &'a Post,
    world: World,
    state: &'a watch::Sender<State>,
}

/// Why a tenure ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("nothing more can be committed")]
    Committer(#[from] committer::Lost),
    #[error("the lease was lost to another process")]
    Lease,
    #[error("the database was silent for so long that the lease may have ended")]
    Silent,
    #[error("a part of the engine panicked: {0}")]
    Panicked(String),
}

impl Ended {
    /// Returns what came instead of an answer of the database, if that was why.
    fn away(&self) -> Option<Arc<str>> {
        use store::Error as E;
        match self {
            // It has answered, and does not go on because of somebody else.
            Self::Store(error) if error.is_of_a_wait() => None,
            Self::Store(
                error @ (E::Driver(_)
                | E::Sqlx(_)
                | E::NoConnection
                | E::Unreachable { .. }
                | E::Refused { .. }
                | E::Silent
                | E::Tls { .. }
                | E::Standby(_)
                | E::Replaced(_)),
            ) => Some(innermost(error).into()),
            Self::Silent => Some(innermost(self).into()),
            Self::Store(_) | Self::Committer(_) | Self::Lease | Self::Panicked(_) => None,
        }
    }
}

impl Tenure<'_> {
    async fn serve(&self, mut stopping: watch::Receiver<bool>) -> Result<(), Ended> {
        let expiry = members::expiry(self.config.lease);
        let owner = self.world.uuid();
        let mut session = answered(expiry, self.store.session(owner)).await??;
        // Joining waits for the batches of members that died; nothing of it may wait for ever.
        let limit = self.config.lease.max(LEASE);
        let (term, open_since) = answered(limit, self.join(&mut *session, owner)).await??;
        let view = answered(limit, self.store.look(None)).await??;
        let (shards, shards_since) = members::owned(&view, term.owner);
        tracing::info!(
            epoch = term.epoch,
            shards = shards.len(),
            "this process is a member"
        );

        let shared = Shared::new(open_since);
        let setup = committer::Setup {
            store: Arc::clone(self.store),
            term,
            patience: expiry,
            progress: Arc::clone(&shared.progress),
        };
        let connections = self.connections(term, limit).await?;
        let (clock, renewed_at) = self
            .set_clock(&mut *session, (term, expiry, open_since), limit)
            .await?;
        let clock = Arc::new(clock);
        let now = clock.now();
        // The rows of a new database are to find partitions. It takes no longer than leaves time to renew the lease.
        let prepared = done(
            answered(expiry / 2, self.store.prepare(now)).await,
            NOT_PREPARED,
        );

        let (commits, commands) = mpsc::unbounded_channel();
        let (sender, inbox) = mpsc::unbounded_channel();
        let (tell, told) = mpsc::unbounded_channel();
        let owner_setup = owner::Setup {
            member: term.owner,
            epoch: term.epoch,
            address: Arc::from(self.config.address.as_str()),
            clock: Arc::clone(&clock),
            world: self.world,
            store: Arc::clone(self.store),
            namespaces: self.namespaces.clone(),
            post: self.post.clone(),
            memory_bytes: self.config.memory_bytes,
            park_after: self.config.park_after,
            open_since: Arc::clone(&shared.open_since),
            full: Arc::clone(&shared.full),
            tell,
        };
        let owning = owner::run(owner_setup, (shards, shards_since), inbox, commits);
        let committing = committer::run(setup, connections, commands, sender.clone());
        let mut parts = Parts::default();
        parts.add(Part::Owner, owning.map(Ok));
        parts.add(Part::Committer, async { Ok(committing.await?) });
        let mut members = Members::new(
            self.store,
            self.state,
            self.post.clone(),
            (term, expiry),
            sender.clone(),
            shared.clone(),
        );
        members.begin(view)?;

        let ready = self.announce(term, sender.clone(), &shared);
        let mut renewing = keep_lease(
            &**self.store,
            &mut *session,
            (term, expiry, renewed_at),
            &clock,
            (&shared, prepared),
        )
        .boxed();
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
        self.state.send_replace(State::Leaving { sender });
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
    async fn join(
        &self,
        session: &mut dyn Session,
        owner: Uuid,
    ) -> Result<(Term, Timestamp), store::Error> {
        let expiry = members::expiry(self.config.lease);
        session.lock(owner).await?;
        let (epoch, open_since) = session.join(owner, &self.config.address, expiry).await?;
        let term = Term { owner, epoch };
        members::replace_dead(&**self.store, session, term).await?;
        Ok((term, open_since))
    }

    /// Renews the lease until two samples of the database's time agree: by one alone that is bad, timers might fire early.
    async fn set_clock(
        &self,
        session: &mut dyn Session,
        (term, expiry, open_since): (Term, Duration, Timestamp),
        limit: Duration,
    ) -> Result<(Clock, Instant), Ended> {
        /// A clock that never agrees with itself is taken as it is.
        const SAMPLES: usize = 10;
        let mut clock: Option<Clock> = None;
        let mut samples = 0;
        loop {
            let (renewed_at, asked) = (Instant::now(), clock::Asked::now(self.world));
            let renewed = session.renew(term, expiry, open_since);
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
            self.state.send_replace(State::Member {
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
            .map(|other| self.post.poke(&other.address));
        // They see it by themselves, too.
        let _ = tokio::time::timeout(Duration::from_millis(500), join_all(pokes)).await;
        Ok(())
    }
}

/// What runs beside each other while this process owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Owner,
    Committer,
}

/// The parts of a tenure. They are no tasks of the runtime: a process that is an owner is one future, which ends with all it does.
#[derive(Default)]
struct Parts<'a> {
    running: FuturesUnordered<BoxFuture<'a, (Part, Result<(), Ended>)>>,
    owner: Option<AbortHandle>,
}

impl<'a> Parts<'a> {
    fn add(&mut self, part: Part, work: impl Future<Output = Result<(), Ended>> + Send + 'a) {
        let (abort, registration) = AbortHandle::new_pair();
        if part == Part::Owner {
            self.owner = Some(abort);
        }
        let work = Abortable::new(AssertUnwindSafe(work).catch_unwind(), registration);
        self.running.push(
            async move {
                let ended = match work.await {
                    Ok(Ok(ended)) => ended,
                    Ok(Err(panic)) => Err(Ended::Panicked(message(&*panic))),
                    Err(_aborted) => Ok(()),
                };
                (part, ended)
            }
            .boxed(),
        );
    }

    /// Waits until the first of them ends.
    async fn first(&mut self) -> Result<(), Ended> {
        self.running.next().await.map_or(Ok(()), |(_, ended)| ended)
    }

    /// Waits until this part ends.
    async fn end_of(&mut self, part: Part) -> Result<(), Ended> {
        while let Some((ended, result)) = self.running.next().await {
            result?;
            if ended == part {
                break;
            }
        }
        Ok(())
    }

    fn drop_owner(&self) {
        if let Some(owner) = &self.owner {
            owner.abort();
        }
    }
}

/// Returns what a panic said.
fn message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_default()
}

/// How many renewals lie between two looks at the partitions: some hours, and partitions are made weeks ahead.
pub(crate) const RENEWALS_A_PARTITION_LOOK: u64 = 5000;
/// How many lie between two of them while they can't be made.
const RENEWALS_A_PARTITION_TRY: u64 = 100;
const NOT_PREPARED: &str = "the next partitions can't be made; trying again later";
/// How many renewals lie between two deletions of old batch numbers.
const RENEWALS_A_BATCH_LOG_LOOK: u64 = 10;

/// Waits for the database, but not for ever: a connection may be half gone.
pub(crate) async fn answered<T>(
    limit: Duration,
    answer: impl Future<Output = T>,
) -> Result<T, Ended> {
    tokio::time::timeout(limit, answer)
        .await
        .map_err(|_elapsed| Ended::Silent)
}

/// Renews the lease and does what follows a renewal, until the lease can't be renewed.
async fn keep_lease(
    store: &dyn Store,
    session: &mut dyn Session,
    (term, expiry, renewed_at): (Term, Duration, Instant),
    clock: &Clock,
    (shared, prepared): (&Shared, bool),
) -> Result<(), Ended> {
    let (tell, renewals) = mpsc::unbounded_channel();
    let renewing = renew(session, (term, expiry, renewed_at), clock, shared, tell);
    let house = keep_house(store, (term, expiry), (shared, prepared), renewals);
    with(renewing, house).await
}

/// A renewal of the lease, and the shards that were folded before it: what it wrote accounts for them.
struct Renewal {
    at: Timestamp,
    folded: Vec<i16>,
}

/// Renews the lease until it can't be. What is not renewed before its row expires counts as lost, so that nobody acts on it.
async fn renew(
    session: &mut dyn Session,
    (term, expiry, mut renewed_at): (Term, Duration, Instant),
    clock: &Clock,
    shared: &Shared,
    renewals: mpsc::UnboundedSender<Renewal>,
) -> Result<(), Ended> {
    loop {
        tokio::time::sleep_until(renewed_at + expiry * 2 / 5).await;
        let folded = shared.folded();
        let open_since = Timestamp(shared.open_since.load(Ordering::Relaxed));
        let (asked_at, asked) = (Instant::now(), clock.asks());
        let left = (renewed_at + expiry).saturating_duration_since(asked_at);
        // A process that was paused gets a chance: it may own still.
        let left = left.max(expiry / 3);
        let renewed = session.renew(term, expiry, open_since);
        let now = answered(left, renewed).await??.ok_or(Ended::Lease)?;
        renewed_at = asked_at;
        clock.sample(asked, now);
        // Who hears of it lives as long as this does.
        let _ = renewals.send(Renewal { at: now, folded });
    }
}

/// Does what follows a renewal, on other connections: nothing of it may keep the lease from being renewed. What fails is done again
/// after a later one.
async fn keep_house(
    store: &dyn Store,
    (term, expiry): (Term, Duration),
    (shared, prepared): (&Shared, bool),
    mut renewals: mpsc::UnboundedReceiver<Renewal>,
) {
    let after = |prepared| {
        if prepared {
            RENEWALS_A_PARTITION_LOOK
        } else {
            RENEWALS_A_PARTITION_TRY
        }
    };
    let mut count = 0_u64;
    let mut next_look = after(prepared);
    while let Some(Renewal { at, folded }) = renewals.recv().await {
        count += 1;
        if !folded.is_empty() {
            let noted = answered(expiry, store.folded(term, &folded)).await;
            if done(noted, "folded shards can't be noted; trying again") {
                shared.forget_folded(&folded);
            }
        }
        if count >= next_look {
            let made = answered(expiry, store.prepare(at)).await;
            next_look = count + after(done(made, NOT_PREPARED));
        }
        if count.is_multiple_of(RENEWALS_A_BATCH_LOG_LOOK) {
            let deleted = answered(expiry, store.delete_old_batches(term)).await;
            done(deleted, "old batch numbers can't be deleted; trying again");
        }
    }
}

/// Says whether something was done, and logs why it was not.
fn done(result: Result<Result<(), store::Error>, Ended>, otherwise: &'static str) -> bool {
    let Err(error) = result.and_then(|result| Ok(result?)) else {
        return true;
    };
    tracing::warn!(error = &error as &dyn std::error::Error, "{otherwise}");
    false
}

/// Does something else beside, until the first is done.
async fn with<T>(first: impl Future<Output = T>, beside: impl Future<Output = ()>) -> T {
    let beside = async {
        beside.await;
        std::future::pending().await
    };
    tokio::select! {
        biased;
        done = first => done,
        never = beside => never,
    }
}
