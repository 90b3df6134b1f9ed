//! Which process writes. One owns all shards; the others wait: for the owner's advisory lock, which a
//! killed process lets go at once, or for its lease, which a frozen one can't renew.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use history::Timestamp;
use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use crate::{
    Config, Role,
    clock::Clock,
    committer,
    limits::{COMMITTERS, DRAIN},
    owner::{self, Message},
    store::{self, commit::Connection, load::Namespaces, ownership as table},
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
    pool: PgPool,
    namespaces: Namespaces,
    state: watch::Sender<State>,
    mut stopping: watch::Receiver<bool>,
) {
    while !*stopping.borrow() {
        let tenure = Tenure {
            config: &config,
            pool: &pool,
            namespaces: &namespaces,
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
                () = pause => {}
                _ = stopping.wait_for(|stop| *stop) => {}
            }
        }
    }
}

/// One time of waiting and owning.
struct Tenure<'a> {
    config: &'a Config,
    pool: &'a PgPool,
    namespaces: &'a Namespaces,
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
    #[error("a task of the engine panicked")]
    Panicked(#[from] tokio::task::JoinError),
}

impl Tenure<'_> {
    async fn serve(&self, mut stopping: watch::Receiver<bool>) -> Result<(), Ended> {
        let lease = self.config.lease;
        let owner = Uuid::new_v4();
        let mut session = self.session().await?;
        tokio::select! {
            locked = self.wait_for_lock(&mut session) => locked?,
            _ = stopping.wait_for(|stop| *stop) => return Ok(()),
        }
        table::end_recorded_backends(&mut session).await?;
        let (epoch, open_since) =
            table::take(&mut session, owner, &self.config.address, lease).await?;
        tracing::info!(epoch, "this process owns the shards");

        let setup = committer::Setup {
            url: self.config.database_url.clone(),
            owner,
            epoch,
            patience: lease,
        };
        let mut connections = Vec::new();
        for n in 0..COMMITTERS {
            let slot = i16::try_from(n).unwrap_or(i16::MAX);
            let connection = Connection::open(&setup.url, slot, owner, epoch).await?;
            table::record_backend(&setup.url, owner, epoch, connection.backend).await?;
            connections.push(connection);
        }
        let now = table::renew(&mut session, owner, epoch, lease, open_since)
            .await?
            .ok_or(Ended::Lease)?;
        let clock = Arc::new(Clock::set_to(now));
        let open_since = Arc::new(AtomicI64::new(open_since.0));
        store::partition::ensure_partitions(self.pool, now)
            .await
            .map_err(store::Error::from)?;

        let (commits, commands) = mpsc::unbounded_channel();
        let (sender, inbox) = mpsc::unbounded_channel();
        let mut tasks = Tasks {
            committer: tokio::spawn(committer::run(setup, connections, commands, sender.clone())),
            owner: tokio::spawn(owner::run(
                owner::Setup {
                    clock: Arc::clone(&clock),
                    pool: self.pool.clone(),
                    namespaces: self.namespaces.clone(),
                    memory_bytes: self.config.memory_bytes,
                    park_after: self.config.park_after,
                    open_since: Arc::clone(&open_since),
                },
                inbox,
                sender.clone(),
                commits,
            )),
        };
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
            self.pool,
            &mut session,
            (owner, epoch, lease),
            &clock,
            &open_since,
        );
        tokio::select! {
            ended = renewing => return ended,
            ended = &mut tasks.committer => return Ok(ended??),
            ended = &mut tasks.owner => return Ok(ended??),
            () = ready => {}
            _ = stopping.wait_for(|stop| *stop) => {}
        }
        // No new requests; what is under way is committed, then the lease ends.
        self.state.send_replace(State::Standby { owner: None });
        let _ = sender.send(Message::Stop);
        drop(sender);
        if tokio::time::timeout(DRAIN, &mut tasks.owner).await.is_err() {
            tracing::warn!(
                "workers did not answer in time; what they had is done again by the next owner"
            );
            tasks.owner.abort();
        }
        (&mut tasks.committer).await??;
        table::release(&mut session, owner, epoch).await?;
        Ok(())
    }

    /// Opens the session that will hold the lock.
    async fn session(&self) -> Result<PgConnection, Ended> {
        let options = (*self.pool.connect_options())
            .clone()
            .application_name("coreason-owner");
        Ok(PgConnection::connect_with(&options)
            .await
            .map_err(store::Error::from)?)
    }

    /// Waits for the owner's lock. When the lease of the holder has ended, ends the holder's sessions, the one with the lock among them.
    async fn wait_for_lock(&self, session: &mut PgConnection) -> Result<(), Ended> {
        let mut locked = std::pin::pin!(table::lock(session));
        loop {
            // A free lock is taken before anything is said about another owner.
            if let Ok(locked) = tokio::time::timeout(Duration::from_millis(50), &mut locked).await {
                return Ok(locked?);
            }
            let mut other = self.pool.acquire().await.map_err(store::Error::from)?;
            let seen = table::select_owner(&mut other).await?;
            let known = seen.owner.is_some().then_some(seen.address);
            self.state.send_replace(State::Standby { owner: known });
            if seen.expired {
                tracing::warn!("the owner's lease has ended; ending its sessions");
                table::end_recorded_backends(&mut other).await?;
            }
            drop(other);
            if let Ok(locked) =
                tokio::time::timeout(lease_poll(self.config.lease), &mut locked).await
            {
                return Ok(locked?);
            }
        }
    }
}

/// The tasks of a tenure; they end with it.
struct Tasks {
    committer: tokio::task::JoinHandle<Result<(), committer::Lost>>,
    owner: tokio::task::JoinHandle<Result<(), store::Error>>,
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.committer.abort();
        self.owner.abort();
    }
}

/// How many renewals lie between two looks at the partitions: some hours, and partitions are made weeks ahead.
const RENEWALS_A_PARTITION_LOOK: u64 = 5000;

/// Renews the lease until it can't be.
async fn renew(
    pool: &PgPool,
    session: &mut PgConnection,
    (owner, epoch, lease): (Uuid, i64, Duration),
    clock: &Clock,
    open_since: &AtomicI64,
) -> Result<(), Ended> {
    let mut renewals = 0_u64;
    loop {
        tokio::time::sleep(lease / 3).await;
        let open_since = Timestamp(open_since.load(Ordering::Relaxed));
        let now: Timestamp = table::renew(session, owner, epoch, lease, open_since)
            .await?
            .ok_or(Ended::Lease)?;
        clock.sample(now);
        renewals += 1;
        if renewals.is_multiple_of(RENEWALS_A_PARTITION_LOOK) {
            let pool = pool.clone();
            tokio::spawn(async move {
                if let Err(error) = store::partition::ensure_partitions(&pool, now).await {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "the next partitions can't be made"
                    );
                }
            });
        }
        if renewals.is_multiple_of(10) {
            table::delete_old_batches(session).await?;
        }
    }
}
