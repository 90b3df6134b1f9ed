//! The engine of one process, as those who use it see it: one short method per verb.

mod config;
mod feed;
mod lists;
mod membership;
mod retention;
mod search_attributes;
mod untaken;
mod workers;
mod workflows;

use std::sync::Arc;

use history::Namespace;
use tokio::sync::{mpsc, watch};

use crate::{
    Error,
    admission::Admission,
    archive::Archive,
    expiry,
    feed::Tail,
    lists::Lists,
    membership::Membership,
    owner::message::Message,
    peers::PeerClient,
    seal,
    store::{self, postgres::Postgres, session::Pool},
    tenure::Tenure,
    words::Request,
    world::World,
};

pub use config::Config;

/// The engine of one process: a member of those that share the shards. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    reads: sqlx::PgPool,
    lists: sqlx::PgPool,
    visibility: Arc<Lists>,
    namespaces: store::namespaces::Namespaces,
    peers: PeerClient,
    role: watch::Receiver<Membership>,
    tail: Arc<Tail>,
    /// One run at a time is deleted by request, with one of the connections for reads.
    deleting: tokio::sync::Mutex<()>,
    /// How many requests wait for an answer.
    admission: Arc<Admission>,
    /// How many of other members do: they have to be heard when clients flood.
    peer_requests: Arc<Admission>,
    stop: watch::Sender<bool>,
    /// Closed when everything of the owner has ended.
    ended: watch::Receiver<()>,
}

impl Engine {
    /// Opens the database, migrates it, and joins its members.
    ///
    /// # Errors
    /// When the database can't be reached, is older than Postgres 15, or has a newer schema.
    pub async fn open(config: Config) -> Result<Self, Error> {
        let mut address = store::connect::Address::find_to_write(&config.database_url).await?;
        let whole = store::fit::pool(&address).await?;
        store::fit::check(&address, &whole).await?;
        address.share(store::fit::connections(&whole).await?);
        store::migrate::migrate(&whole).await?;
        if config.archive.is_some() {
            store::retention::begin_archive(&whole).await?;
        }
        whole.close().await;
        let (reads, lists) = (address.pool(Pool::Read), address.pool(Pool::List));
        let namespaces = store::namespaces::Namespaces::load(&reads).await?;
        let visibility = Arc::new(Lists::new(address.pool(Pool::Visibility)));
        let (stop, stopping) = watch::channel(false);
        let (membership, role) = watch::channel(Membership::Outside { away: None });
        let secret = store::secret::secret(&reads).await?;
        let peers = PeerClient {
            peers: Arc::clone(&config.peers),
            secret,
        };
        let (running, ended) = watch::channel(());
        let archive = config.archive.clone();
        let sealing = config.signer.clone().zip(Some(config.seal_every));
        let (known, clients) = (namespaces.clone(), peers.clone());
        let tail = Arc::<Tail>::default();
        let committed = Arc::clone(&tail);
        on_own_thread(async move {
            // What the owner reads with belongs to its thread, as its connections do.
            let store = Arc::new(Postgres::new(address, known.clone(), config.lease));
            let tenure = Tenure {
                config,
                store,
                namespaces: known,
                peers: clients,
                world: World::REAL,
                tail: committed,
                membership,
            };
            tenure.run(stopping).await;
            drop(running);
            Ok(())
        })?;
        let (told, trust) = watch::channel(seal::Trust::Unknown);
        keep_lists(&visibility, &tail, archive, trust, ended.clone());
        if let Some((signer, every)) = sealing {
            let sealer = seal::keep(visibility.pool.clone(), signer, every, told);
            until_ended(sealer, ended.clone());
        } else {
            let pool = visibility.pool.clone();
            until_ended(seal::trust_others(pool, told), ended.clone());
        }
        until_ended(seal::watch(visibility.pool.clone()), ended.clone());
        Ok(Self {
            inner: Arc::new(Inner {
                reads,
                lists,
                visibility,
                namespaces,
                peers,
                role,
                tail,
                deleting: tokio::sync::Mutex::default(),
                admission: Arc::default(),
                peer_requests: Arc::default(),
                stop,
                ended,
            }),
        })
    }

    /// Asks whether a database can be reached, and nothing more of it.
    ///
    /// # Errors
    /// When it can't be.
    pub async fn reach(database_url: &str) -> Result<(), Error> {
        Ok(store::connect::Address::reach(database_url).await?)
    }

    /// Returns the names and ports of the servers in the address of a database, without those that are reached by a socket of this machine.
    ///
    /// # Errors
    /// When the address can't be meant.
    pub fn database_servers(database_url: &str) -> Result<Vec<(String, u16)>, Error> {
        Ok(store::connect::Address::servers(database_url)?)
    }

    /// Says whether the database has a namespace of that name.
    pub fn has_namespace(&self, name: &Namespace) -> bool {
        self.inner.namespaces.get(name).is_ok()
    }

    /// Returns the pool for what only reads, and takes its time at most so long: histories.
    pub fn pool(&self) -> &sqlx::PgPool {
        &self.inner.reads
    }

    /// Lets go of the shards after everything under way is committed, so that another process may take over at once.
    pub async fn close(&self) {
        self.inner.stop.send_replace(true);
        // Nothing is ever sent; the channel closes.
        let _ = self.inner.ended.clone().changed().await;
    }

    fn send(&self, request: Request) -> Result<(), Error> {
        self.sender()?
            .send(Message::Request(request))
            .map_err(|_| Error::Unavailable("the engine lost its ownership"))
    }

    fn sender(&self) -> Result<mpsc::UnboundedSender<Message>, Error> {
        match &*self.inner.role.borrow() {
            Membership::Member { sender, .. } => Ok(sender.clone()),
            other => Err(other.refusal()),
        }
    }
}

/// Keeps the lists in line with what is committed, and deletes what is kept no longer, until the engine has ended.
fn keep_lists(
    lists: &Arc<Lists>,
    tail: &Arc<Tail>,
    archive: Option<Arc<dyn Archive>>,
    trust: watch::Receiver<seal::Trust>,
    ended: watch::Receiver<()>,
) {
    let (lists, tail) = (Arc::clone(lists), Arc::clone(tail));
    let keeping = async move {
        tokio::select! {
            () = lists.keep(tail) => {}
            () = expiry::keep(lists.pool.clone(), archive, trust) => {}
            () = expiry::sweep(lists.pool.clone()) => {}
        }
    };
    until_ended(keeping, ended);
}

/// Runs a future beside all else, until the engine has ended.
fn until_ended(keeping: impl Future<Output = ()> + Send + 'static, mut ended: watch::Receiver<()>) {
    tokio::spawn(async move {
        tokio::select! {
            () = keeping => {}
            // Nothing is ever sent; the channel closes.
            _ = ended.changed() => {}
        }
    });
}

/// Runs a future on a thread of its own: what the owner, the committer and their connections tell each other takes no
/// other thread's waking up.
fn on_own_thread(
    work: impl Future<Output = Result<(), store::Error>> + Send + 'static,
) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Thread)?;
    std::thread::Builder::new()
        .name("coreason-owner".to_owned())
        .spawn(move || {
            if let Err(error) = runtime.block_on(work) {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the engine can't run"
                );
            }
        })
        .map_err(Error::Thread)?;
    Ok(())
}
