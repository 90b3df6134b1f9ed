//! Which process writes. One owns all shards; the others wait: for the owner's advisory lock, which a
//! killed process lets go at once, or for its lease, which a frozen one can't renew.

use std::{
    any::Any,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use futures::{
    FutureExt as _, StreamExt as _,
    future::{AbortHandle, Abortable, BoxFuture},
    stream::FuturesUnordered,
};
use history::Timestamp;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use crate::{
    Config, Role,
    clock::Clock,
    committer,
    limits::{COMMITTERS, DRAIN, LEASE},
    owner::{self, Message},
    store::{self, Session, Store, Term, load::Namespaces},
    world::World,
};

/// Who may write, and how to reach the owner inside this process.
#[derive(Debug, Clone)]
pub(crate) enum State {
    /// This process.
    Owner {
        epoch: i64,
        sender: mpsc::UnboundedSender<Message>,
    },
    /// Another one, or nobody yet.
    Standby { owner: Option<String> },
}

impl State {
    pub(crate) fn role(&self) -> Role {
        match self {
            Self::Owner { epoch, .. } => Role::Owner { epoch: *epoch },
            Self::Standby { owner } => Role::Standby {
                owner: owner.clone(),
            },
        }
    }
}

/// How often a standby looks at the lease: a quarter of it, at most each second.
fn lease_poll(lease: Duration) -> Duration {
    (lease / 4).min(Duration::from_secs(1))
}

/// Waits for the ownership, owns, and waits again when it is lost, until told to stop.
pub(crate) async fn run(
    config: Config,
    store: Arc<dyn Store>,
    namespaces: Namespaces,
    world: World,
    state: watch::Sender<State>,
    mut stopping: watch::Receiver<bool>,
) {
    while !*stopping.borrow() && stopping.has_changed().is_ok() {
        let tenure = Tenure {
            config: &config,
            store: &store,
            namespaces: &namespaces,
            world,
            state: &state,
        };
        let ended = tenure.serve(stopping.clone()).await;
        let owner = match &*state.borrow() {
            State::Standby { owner } => owner.clone(),
            State::Owner { .. } => None,
        };
        state.send_replace(State::Standby { owner });
        if let Err(error) = ended {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the ownership of the shards ended"
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

/// One time of waiting and owning.
struct Tenure<'a> {
    config: &'a Config,
    store: &'a Arc<dyn Store>,
    namespaces: &'a Namespaces,
    world: World,
    state: &'a watch::Sender<State>,
}

/// Why a tenure ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
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

impl Tenure<'_> {
    async fn serve(&self, mut stopping: watch::Receiver<bool>) -> Result<(), Ended> {
        let lease = self.config.lease;
        let owner = self.world.uuid();
        let mut session = answered(lease, self.store.session()).await??;
        tokio::select! {
            biased;
            locked = self.wait_for_lock(&mut *session) => locked?,
            _ = stopping.wait_for(|stop| *stop) => return Ok(()),
        }
        // Taking waits for the batch under way; nothing of it may wait for ever.
        let limit = lease.max(LEASE);
        answered(limit, session.end_owner()).await??;
        let taken = session.take(owner, &self.config.address, lease);
        let (epoch, open_since) = answered(limit, taken).await??;
        tracing::info!(epoch, "this process owns the shards");

        let term = Term { owner, epoch };
        let setup = committer::Setup {
            store: Arc::clone(self.store),
            term,
            patience: lease,
        };
        let mut connections = Vec::new();
        for n in 0..COMMITTERS {
            let slot = i16::try_from(n).unwrap_or(i16::MAX);
            connections.push(answered(limit, self.store.connection(slot, term)).await??);
        }
        let lease_from = Instant::now();
        let renewed = session.renew(term, lease, open_since);
        let now = answered(limit, renewed).await??.ok_or(Ended::Lease)?;
        let clock = Arc::new(Clock::set_to(now, self.world));
        let open_since = Arc::new(AtomicI64::new(open_since.0));
        answered(limit, self.store.prepare(now)).await??;

        let (commits, commands) = mpsc::unbounded_channel();
        let (sender, inbox) = mpsc::unbounded_channel();
        let owner_setup = owner::Setup {
            clock: Arc::clone(&clock),
            world: self.world,
            store: Arc::clone(self.store),
            namespaces: self.namespaces.clone(),
            memory_bytes: self.config.memory_bytes,
            park_after: self.config.park_after,
            open_since: Arc::clone(&open_since),
        };
        let owning = owner::run(owner_setup, inbox, commits);
        let committing = committer::run(setup, connections, commands, sender.clone());
        let mut parts = Parts::default();
        parts.add(Part::Owner, async { Ok(owning.await?) });
        parts.add(Part::Committer, async { Ok(committing.await?) });

        let ready = async {
            let (reply, ready) = tokio::sync::oneshot::channel();
            // When the owner has ended the answer fails as well, and its end is seen below.
            let _ = sender.send(Message::Ready { reply });
            if ready.await.is_ok() {
                self.state.send_replace(State::Owner {
                    epoch,
                    sender: sender.clone(),
                });
            }
            std::future::pending::<()>().await;
        };
        let renewing = renew(
            &**self.store,
            &mut *session,
            (term, lease, lease_from),
            &clock,
            &open_since,
        );
        tokio::select! {
            biased;
            ended = parts.first() => return ended,
            ended = renewing => return ended,
            () = ready => {}
            _ = stopping.wait_for(|stop| *stop) => {}
        }
        // No new requests; what is under way is committed, then the lease ends.
        self.state.send_replace(State::Standby { owner: None });
        let _ = sender.send(Message::Stop);
        drop(sender);
        let drained = tokio::time::timeout(DRAIN, parts.end_of(Part::Owner)).await;
        if let Ok(ended) = drained {
            ended?;
        } else {
            tracing::warn!(
                "workers did not answer in time; what they had is done again by the next owner"
            );
            parts.drop_owner();
        }
        parts.end_of(Part::Committer).await?;
        session.release(term).await?;
        Ok(())
    }

    /// Waits for the owner's lock. When the lease of the holder has ended, ends the holder's sessions, the one with the lock among them.
    /// A standby that was frozen while it waited may have been given the lock; its session is ended too.
    async fn wait_for_lock(&self, session: &mut dyn Session) -> Result<(), Ended> {
        let mut locked = session.lock();
        loop {
            // A free lock is taken before anything is said about another owner.
            if let Ok(locked) = tokio::time::timeout(Duration::from_millis(50), &mut locked).await {
                return Ok(locked?);
            }
            // A connection that is half gone is dropped by this, and the next look takes another.
            let Ok(seen) = answered(self.config.lease, self.store.owner()).await else {
                continue;
            };
            let seen = seen?;
            let known = seen.owner.is_some().then_some(seen.address);
            self.state.send_replace(State::Standby { owner: known });
            if seen.expired {
                tracing::warn!("the owner's lease has ended; ending its sessions");
                answered(self.config.lease.max(LEASE), self.store.end_owner()).await??;
            }
            if let Ok(locked) =
                tokio::time::timeout(lease_poll(self.config.lease), &mut locked).await
            {
                return Ok(locked?);
            }
        }
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
const RENEWALS_A_PARTITION_LOOK: u64 = 5000;

/// Waits for the database, but not for ever: a connection may be half gone.
async fn answered<T>(limit: Duration, answer: impl Future<Output = T>) -> Result<T, Ended> {
    tokio::time::timeout(limit, answer)
        .await
        .map_err(|_elapsed| Ended::Silent)
}

/// Renews the lease until it can't be. What is not renewed in time counts as lost, so that nobody acts on it.
async fn renew(
    store: &dyn Store,
    session: &mut dyn Session,
    (term, lease, mut lease_from): (Term, Duration, Instant),
    clock: &Clock,
    open_since: &AtomicI64,
) -> Result<(), Ended> {
    let mut renewals = 0_u64;
    loop {
        tokio::time::sleep(lease / 3).await;
        let open_since = Timestamp(open_since.load(Ordering::Relaxed));
        let asked_at = Instant::now();
        let left = (lease_from + lease).saturating_duration_since(asked_at);
        // A process that was paused gets a chance: it may own still.
        let left = left.max(lease / 3);
        let renewed = session.renew(term, lease, open_since);
        let now = answered(left, renewed).await??.ok_or(Ended::Lease)?;
        lease_from = asked_at;
        clock.sample(now);
        renewals += 1;
        if renewals.is_multiple_of(RENEWALS_A_PARTITION_LOOK)
            && let Err(error) = store.prepare(now).await
        {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the next partitions can't be made"
            );
        }
        if renewals.is_multiple_of(10) {
            answered(lease, session.delete_old_batches()).await??;
        }
    }
}
