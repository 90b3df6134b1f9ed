//! The Postgres shell around the core: commits, task queues, timers, ownership.
//!
//! [`Engine`] has one short method per public verb. Behind it one [`owner`] folds and decides, one
//! [`committer`] writes, and [`members`] sees to it that each shard has one owner on a database.

mod admission;
mod cause;
mod clock;
mod error;
pub mod limits;
pub mod shard;

pub mod store;

mod committer;
mod members;
mod owner;
mod ownership;
pub mod peers;
mod placement;
mod progress;
mod untaken;
mod world;

pub mod audit;
#[cfg(test)]
mod sim;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use history::{
    Event, EventId, Namespace, RunId, Status, WorkflowId,
    decide::{RequestCancel, Signal, StartWorkflow, Terminate},
    task::{Answers, Tasks, WorkerHello},
};
use tokio::sync::{mpsc, oneshot, watch};

use admission::{Admission, Admitted, Bytes};
pub use cause::innermost;
pub use error::Error;
use members::Post;
use owner::{Message, Op};
pub use owner::{
    Starved, Unreadable, WhyStarved,
    describe::{Description, PendingActivity, PendingChild, PendingTimer, PendingWorkflowTask},
    untaken::{UntakenActivity, UntakenTask},
};
use peers::Peers;
pub use store::list::{ListFilter, Summary};
use store::{postgres::Postgres, session::Pool};
use world::World;

/// How an engine is set up.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where Postgres is: a `postgres://` URL.
    pub database_url: String,
    /// Where this process answers HTTP; the other members find it there.
    pub address: String,
    /// The way to the other members; [`peers::Nobody`] unless told.
    pub peers: Arc<dyn Peers>,
    /// Within how long another process takes over when this one is silent; [`limits::LEASE`] unless told.
    pub lease: Duration,
    /// The most memory for open runs; [`limits::MEMORY_BYTES`] unless told.
    pub memory_bytes: usize,
    /// After how long a run that only waits leaves memory; [`limits::PARK_AFTER`] unless told.
    pub park_after: Duration,
}

impl Config {
    /// Returns the usual set-up on a database.
    pub fn new(database_url: impl Into<String>, address: impl Into<String>) -> Self {
        Self {
            database_url: database_url.into(),
            address: address.into(),
            peers: Arc::new(peers::Nobody),
            lease: limits::LEASE,
            memory_bytes: limits::MEMORY_BYTES,
            park_after: limits::PARK_AFTER,
        }
    }
}

/// Names a workflow, and one of its runs if need be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// Its namespace.
    pub namespace: Namespace,
    /// Its id.
    pub workflow_id: WorkflowId,
    /// Its run; the latest one if none is given.
    pub run_id: Option<RunId>,
}

/// The answer to a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Started {
    /// The run.
    pub run_id: RunId,
    /// Whether this request started it, now or at an earlier try.
    pub started: bool,
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Closed {
    /// The run.
    pub run_id: RunId,
    /// How it ended.
    pub status: Status,
    /// Its last event: the result or the failure.
    pub event: Arc<Event>,
    /// Why somebody asked it to cancel, if he said so.
    pub cancel_reason: Option<String>,
}

/// What came of a wait for the end of a workflow.
#[derive(Debug, Clone)]
pub enum Waited {
    /// It has ended: how its last run did.
    Closed(Closed),
    /// This run is open: the last one of its chain.
    Open(RunId),
}

impl Waited {
    /// Returns the end, if it has come.
    pub fn closed(self) -> Option<Closed> {
        match self {
            Self::Closed(closed) => Some(closed),
            Self::Open(_) => None,
        }
    }
}

/// A part of a history.
#[derive(Debug, Clone)]
pub struct HistoryPage {
    /// The run.
    pub run_id: RunId,
    /// Durable events, in order.
    pub events: Vec<Arc<Event>>,
    /// Whether the run is closed and no event follows these.
    pub closed: bool,
}

/// What this process is on its database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A member: it owns shards, or will.
    Member {
        /// The fence's number.
        epoch: i64,
        /// How many shards it serves.
        shards: usize,
    },
    /// No member, or not yet.
    Outside,
}

/// The engine of one process: a member of those that share the shards. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    reads: sqlx::PgPool,
    lists: sqlx::PgPool,
    namespaces: store::load::Namespaces,
    post: Post,
    role: watch::Receiver<ownership::State>,
    /// How many requests wait for an answer.
    admission: Arc<Admission>,
    /// How many of other members do: they have to be heard when clients flood.
    letters: Arc<Admission>,
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
        let address = store::connect::Address::find_to_write(&config.database_url).await?;
        let whole = store::fit::pool(&address).await?;
        store::fit::check(&address, &whole).await?;
        store::fit::check_limit(&whole).await?;
        store::migrate::migrate(&whole).await?;
        whole.close().await;
        let (reads, lists) = (address.pool(Pool::Read), address.pool(Pool::List));
        let namespaces = store::load::Namespaces::load(&reads).await?;
        let (stop, stopping) = watch::channel(false);
        let (role_tx, role) = watch::channel(ownership::State::Outside { away: None });
        let secret = store::secret::secret(&reads).await?;
        let post = Post {
            peers: Arc::clone(&config.peers),
            secret,
        };
        let (running, ended) = watch::channel(());
        let (known, members_post) = (namespaces.clone(), post.clone());
        on_own_thread(async move {
            // What the owner reads with belongs to its thread, as its connections do.
            let store = Arc::new(Postgres::new(address, known.clone(), config.lease));
            let post = (members_post, World::REAL);
            ownership::run(config, store, known, post, role_tx, stopping).await;
            drop(running);
            Ok(())
        })?;
        Ok(Self {
            inner: Arc::new(Inner {
                reads,
                lists,
                namespaces,
                post,
                role,
                admission: Arc::default(),
                letters: Arc::default(),
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

    /// Says whether this process is the only member of its database: all workflows are here.
    pub fn is_alone(&self) -> bool {
        match &*self.inner.role.borrow() {
            ownership::State::Member { alone, .. } => alone.load(Ordering::Relaxed),
            ownership::State::Leaving { .. } | ownership::State::Outside { .. } => false,
        }
    }

    /// Says whether another member gives the same address as this one: then neither can be reached by the others.
    pub fn shares_its_address(&self) -> bool {
        match &*self.inner.role.borrow() {
            ownership::State::Member { crowded, .. } => crowded.load(Ordering::Relaxed),
            ownership::State::Leaving { .. } | ownership::State::Outside { .. } => false,
        }
    }

    /// Returns for how long something has waited to be committed while nothing was.
    pub fn stalled_for(&self) -> Duration {
        match &*self.inner.role.borrow() {
            ownership::State::Member { progress, .. } => progress.stalled_for(),
            ownership::State::Leaving { .. } | ownership::State::Outside { .. } => Duration::ZERO,
        }
    }

    /// Returns what this process is.
    pub fn role(&self) -> Role {
        self.inner.role.borrow().role()
    }

    /// Returns what a request is answered while this process is no member.
    pub fn refusal(&self) -> Error {
        self.inner.role.borrow().refusal()
    }

    /// Waits until this process serves shards.
    pub async fn owning(&self) {
        self.serving(1).await;
    }

    /// Waits until this process serves at least so many shards.
    pub async fn serving(&self, least: usize) {
        let mut role = self.inner.role.clone();
        // The sender lives as long as the ownership task; when that has ended, nobody will own again.
        let _ = role
            .wait_for(
                |state| matches!(state, ownership::State::Member { shards, .. } if *shards >= least),
            )
            .await;
    }

    /// Waits until this process is no member any more.
    pub async fn disowned(&self) {
        let mut role = self.inner.role.clone();
        let _ = role.wait_for(|state| state.role() == Role::Outside).await;
    }

    /// Waits until no other member is at an address any more, because it has ended or was replaced: who has asked it waits in vain.
    pub async fn left(&self, address: &str) {
        let mut role = self.inner.role.clone();
        loop {
            let others = match &*role.borrow_and_update() {
                ownership::State::Member { others, .. } => Some(others.clone()),
                ownership::State::Leaving { .. } | ownership::State::Outside { .. } => None,
            };
            if let Some(mut others) = others {
                let is_gone = |others: &Vec<Arc<str>>| others.iter().all(|at| **at != *address);
                if others.wait_for(is_gone).await.is_ok() {
                    return;
                }
            }
            // Who is no member does not know.
            if role.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Takes a letter of another member, does what it asks for, and returns the answer when that is durable.
    ///
    /// # Errors
    /// [`Error::NotAMember`] when it does not come from a member.
    pub async fn deliver(&self, letter: &str) -> Result<String, Error> {
        let letter_bytes = letter.len();
        let letter: peers::Letter = serde_json::from_str(letter).map_err(|_| Error::NotAMember)?;
        if letter.secret != self.inner.post.secret {
            return Err(Error::NotAMember);
        }
        let _waits = self.inner.letters.admit(letter_bytes)?;
        let state = self.inner.role.borrow().clone();
        let answer = peers::receive(state, &self.inner.namespaces, letter.request).await;
        // A plain enum has nothing that JSON could refuse.
        Ok(serde_json::to_string(&answer).unwrap_or_default())
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

    /// Starts a workflow. Answers after the commit.
    pub async fn start_workflow(
        &self,
        namespace: &Namespace,
        request: StartWorkflow,
    ) -> Result<Started, Error> {
        let _waits = self.admit(&request)?;
        let (reply, answer) = oneshot::channel();
        self.start(namespace, request, reply, None)?;
        answer
            .await
            .map_err(|_| Error::Unavailable("the engine lost its ownership"))?
    }

    /// Starts a workflow and waits for its end, and of the runs that follow it, at most for `wait` in all.
    pub async fn execute_workflow(
        &self,
        namespace: &Namespace,
        request: StartWorkflow,
        wait: Duration,
    ) -> Result<(Started, Waited), Error> {
        let mut admitted = self.admit(&request)?;
        let workflow_id = request.workflow_id.clone();
        let (reply, answer) = oneshot::channel();
        let (closed_reply, closed) = oneshot::channel();
        self.start(namespace, request, reply, Some(closed_reply))?;
        let lost = |_| Error::Unavailable("the engine lost its ownership");
        let until = tokio::time::Instant::now() + wait;
        let started = answer.await.map_err(lost)??;
        // What it brought is the workflow's now.
        admitted.gives_back();
        let closed = tokio::time::timeout_at(until, closed).await;
        let run_id = match closed {
            // It is open still; or its shard went elsewhere, where its end can be asked for.
            Err(_) | Ok(Ok(Err(Error::NotOwner { .. }))) => {
                return Ok((started, Waited::Open(started.run_id)));
            }
            Ok(Ok(closed)) => {
                let closed = closed?;
                match new_run(&closed.event) {
                    None => return Ok((started, Waited::Closed(closed))),
                    Some(run_id) => run_id,
                }
            }
            // It was over, and out of memory, before this start of it could be answered.
            Ok(Err(_)) => started.run_id,
        };
        let address = Address {
            namespace: namespace.clone(),
            workflow_id,
            run_id: Some(run_id),
        };
        let left = until.saturating_duration_since(tokio::time::Instant::now());
        Ok((started, self.result(&address, left).await?))
    }

    fn start(
        &self,
        namespace: &Namespace,
        request: StartWorkflow,
        reply: oneshot::Sender<Result<Started, Error>>,
        closed: Option<oneshot::Sender<Result<Closed, Error>>>,
    ) -> Result<(), Error> {
        let namespace = self.inner.namespaces.get(namespace)?;
        self.send(Message::Start {
            namespace,
            request: Box::new(request),
            reply: owner::StartReply::Caller { reply, closed },
        })
    }

    /// Waits for the end of a workflow, and of the runs that follow it, at most for `wait` in all. What has ended is told however
    /// short the wait, also when it has to be read first.
    pub async fn result(&self, address: &Address, wait: Duration) -> Result<Waited, Error> {
        let until = tokio::time::Instant::now() + wait;
        let mut address = address.clone();
        loop {
            let asked = self.ask(&address, self.read()?, |reply| Op::WaitClosed { reply });
            let closed = match tokio::time::timeout_at(until, asked).await {
                Ok(closed) => closed?,
                Err(_elapsed) => {
                    let run = self.describe(&address).await?;
                    if run.status.is_open() {
                        return Ok(Waited::Open(run.run_id));
                    }
                    address.run_id = Some(run.run_id);
                    self.ask(&address, self.read()?, |reply| Op::WaitClosed { reply })
                        .await?
                }
            };
            match new_run(&closed.event) {
                None => return Ok(Waited::Closed(closed)),
                next => address.run_id = next,
            }
        }
    }

    /// Returns the state of a run.
    pub async fn describe(&self, address: &Address) -> Result<Description, Error> {
        self.ask(address, self.read()?, |reply| Op::Describe { reply })
            .await
    }

    /// Returns the durable events after `after`, at most `limit` of them. When there is none yet and the
    /// run is open, waits for one, at most for `wait`.
    pub async fn history(
        &self,
        address: &Address,
        after: EventId,
        limit: usize,
        wait: Duration,
    ) -> Result<HistoryPage, Error> {
        let asked = self.ask(address, self.read()?, |reply| Op::WaitEvents {
            after,
            reply,
        });
        let reached = match tokio::time::timeout(wait.max(Duration::from_millis(1)), asked).await {
            Ok(reached) => reached?,
            Err(_elapsed) => {
                self.ask(address, self.read()?, |reply| Op::WaitEvents {
                    after: EventId::NONE,
                    reply,
                })
                .await?
            }
        };
        let shard = shard::of(&address.namespace, &address.workflow_id);
        let (run_id, limit) = (reached.run_id, limit.min(limits::HISTORY_PAGE_MAX));
        let page = store::events::history_page(&self.inner.reads, shard, run_id, after, limit);
        let events = self.unless_away(page, limits::PING_TIMEOUT).await??;
        let last = events.last().map_or(after, |event| event.id);
        Ok(HistoryPage {
            run_id,
            closed: reached.closed && last >= reached.last,
            events,
        })
    }

    /// Sends a signal. Answers after the commit.
    pub async fn signal(&self, address: &Address, signal: Signal) -> Result<(), Error> {
        let admitted = self.admit(&signal)?;
        self.ask(address, admitted, |reply| Op::Signal {
            signal: Box::new(signal),
            reply: owner::Reply::Caller(reply),
        })
        .await
    }

    /// Asks a workflow to cancel. Answers after the commit; the workflow decides.
    pub async fn request_cancel(
        &self,
        address: &Address,
        cancel: RequestCancel,
    ) -> Result<(), Error> {
        let admitted = self.admit(&cancel)?;
        self.ask(address, admitted, |reply| Op::RequestCancel {
            cancel: Box::new(cancel),
            reply: owner::Reply::Caller(reply),
        })
        .await
    }

    /// Ends a workflow without asking it. Answers after the commit.
    pub async fn terminate(&self, address: &Address, terminate: Terminate) -> Result<(), Error> {
        // It frees memory, so it need not find any.
        let admitted = self.inner.admission.admit(terminate.bytes())?;
        self.ask(address, admitted, |reply| Op::Terminate {
            terminate: Box::new(terminate),
            reply: owner::Reply::Caller(reply),
        })
        .await
    }

    /// Lists runs, the newest first. A member that does not answer in time is not waited for: what its runs wait for is then not known.
    pub async fn list(
        &self,
        namespace: &Namespace,
        filter: &ListFilter,
    ) -> Result<Vec<Summary>, Error> {
        let namespace = self.inner.namespaces.get(namespace)?;
        let lists = &self.inner.lists;
        // It gives up by itself a little later.
        let patience = limits::LIST_TIMEOUT.saturating_sub(limits::PING_TIMEOUT);
        let listed = self.unless_away(store::list::list(lists, namespace.id, filter), patience);
        let mut runs = listed
            .await?
            .map_err(|error| store::list::failed(error, lists))?;
        let state = self.inner.role.borrow().clone();
        untaken::name(state, &self.inner.post, &namespace, &mut runs).await;
        Ok(runs)
    }

    /// Connects a worker: its tasks go straight to it from the owner, what it answers straight to the owner. `tasks` is dropped
    /// when this process loses the shards; the worker then drops its cache and connects again.
    pub fn connect_worker(&self, hello: WorkerHello, tasks: Tasks) -> Result<Answers, Error> {
        let namespace = self.inner.namespaces.get(&hello.namespace)?;
        let connected = Connected {
            session: owner::SessionId::new(World::REAL),
            owner: self.sender()?,
        };
        let session = connected.session;
        connected
            .owner
            .send(Message::Connect {
                session,
                namespace,
                hello,
                tasks,
            })
            .map_err(|_| Error::Unavailable("the engine lost its ownership"))?;
        Ok(Answers::new(move |answer| {
            connected
                .owner
                .send(Message::Worker { session, answer })
                .is_ok()
        }))
    }

    /// Sends an operation to a workflow and waits for its answer.
    async fn ask<T>(
        &self,
        address: &Address,
        _admitted: Admitted,
        op: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Op,
    ) -> Result<T, Error> {
        let namespace = self.inner.namespaces.get(&address.namespace)?;
        let (reply, answer) = oneshot::channel();
        let key = owner::Key {
            namespace,
            workflow_id: address.workflow_id.clone(),
        };
        self.send(Message::On {
            key,
            run_id: address.run_id,
            op: op(reply),
        })?;
        answer
            .await
            .map_err(|_| Error::Unavailable("the engine lost its ownership"))?
    }

    /// Lets a request in that brings something to keep, if there is memory for it.
    fn admit(&self, request: &impl Bytes) -> Result<Admitted, Error> {
        let full = match &*self.inner.role.borrow() {
            ownership::State::Member { full, .. } => full.load(Ordering::Relaxed),
            ownership::State::Leaving { .. } | ownership::State::Outside { .. } => false,
        };
        if full {
            return Err(Error::Unavailable(
                "the workflows under way take too much memory",
            ));
        }
        self.inner.admission.admit(request.bytes())
    }

    /// Lets a request in that brings nothing.
    fn read(&self) -> Result<Admitted, Error> {
        self.inner.admission.admit(0)
    }

    /// Reads something; for so long only while the database counts as away.
    async fn unless_away<T>(
        &self,
        read: impl Future<Output = T>,
        patience: Duration,
    ) -> Result<T, Error> {
        let mut role = self.inner.role.clone();
        let is_away = |state: &ownership::State| matches!(state.refusal(), Error::DatabaseAway(_));
        let away = async {
            loop {
                // Whoever would say so has ended when there is an error; what is read is read all the same.
                role.wait_for(is_away).await.ok()?;
                tokio::time::sleep(patience).await;
                let state = role.borrow_and_update();
                if is_away(&state) {
                    break Some(state.refusal());
                }
            }
        };
        tokio::select! {
            biased;
            read = read => Ok(read),
            Some(refusal) = away => Err(refusal),
        }
    }

    fn send(&self, message: Message) -> Result<(), Error> {
        self.sender()?
            .send(message)
            .map_err(|_| Error::Unavailable("the engine lost its ownership"))
    }

    fn sender(&self) -> Result<mpsc::UnboundedSender<Message>, Error> {
        match &*self.inner.role.borrow() {
            ownership::State::Member { sender, .. } => Ok(sender.clone()),
            other => Err(other.refusal()),
        }
    }
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

/// A worker that is connected as long as this lives.
struct Connected {
    session: owner::SessionId,
    owner: mpsc::UnboundedSender<Message>,
}

impl Drop for Connected {
    fn drop(&mut self) {
        // An owner that has ended has let all its workers go.
        let _ = self.owner.send(Message::Disconnect {
            session: self.session,
        });
    }
}

/// Returns the run that follows a close, if one does.
fn new_run(event: &Event) -> Option<RunId> {
    use history::EventKind as K;
    match &event.kind {
        K::WorkflowExecutionContinuedAsNew(attributes) => Some(attributes.new_execution_run_id),
        K::WorkflowExecutionCompleted(attributes) => attributes.new_execution_run_id,
        K::WorkflowExecutionFailed(attributes) => attributes.new_execution_run_id,
        K::WorkflowExecutionTimedOut(attributes) => attributes.new_execution_run_id,
        _ => None,
    }
}
