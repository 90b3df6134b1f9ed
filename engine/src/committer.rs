//! The one place that writes. While one batch is under way the next gathers: latency is one flush
//! when idle, and batches grow under load. Two connections take turns, out of step: one executes while the answers to the other's
//! batch are worked on. No workflow is in two batches at once.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use foldhash::{HashMap, HashSet};
use futures::{
    StreamExt as _,
    future::{BoxFuture, FutureExt as _},
    stream::FuturesUnordered,
};
use history::{RunId, WorkflowId};
use tokio::{sync::mpsc, time::Instant};

use crate::{
    limits::{
        BATCH_ATTEMPTS_MAX, BATCH_BYTES_MAX, BATCH_RESENDS_MAX, BATCH_ROWS_MAX, GATHER,
        GATHER_ITEMS, ITEM_RESENDS_MAX, LOCK_LOOK, LOCK_LOOKS_MAX, SUSPECTS_MAX,
    },
    owner::{Answer, Message},
    progress::Progress,
    store::{
        self, Connection, Store, Term,
        commit::{Item, NotCommitted, Settled},
        fate::Fate,
    },
};

/// What an owner sends its committer.
#[derive(Debug)]
pub(crate) enum Command {
    /// Commit this.
    Commit(Item),
    /// Delete a row of `outbox` with some later batch.
    Settle(Settled),
    /// Give this back when a batch that began after it was sent has found that this member is still one.
    Confirm(Answer),
    /// The owner has dropped the folding whose item was not written; nothing more of it comes.
    Forget(Folding),
}

/// What became of a batch.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Written, in order.
    pub(crate) committed: Vec<Item>,
    /// Gone from `outbox`.
    pub(crate) settled: Vec<Settled>,
    /// To go from there later: another session keeps a lock.
    put_off: Vec<Settled>,
    /// Whether another session keeps a whole table that every workflow needs, if that was asked.
    blocked: Option<bool>,
    /// What may be told: this member was still one.
    pub(crate) confirmed: Vec<Answer>,
    /// Not written, because the id means another run.
    pub(crate) conflicting: Vec<Item>,
    /// Not written, because the database refuses their data, or fails at it.
    pub(crate) refused: Vec<(Item, Refusal)>,
}

/// Why an item is not written.
#[derive(Debug, Clone)]
pub(crate) enum Refusal {
    /// The database says what is wrong with its data.
    Data(String),
    /// The database fails at it, again and again, and at nothing else.
    Failing(String),
    /// Another session keeps a lock that it needs.
    Locked,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Data(problem) => f.write_str(problem),
            Self::Failing(problem) => write!(f, "the database fails at it: {problem}"),
            Self::Locked => f.write_str("another session keeps a lock that it needs"),
        }
    }
}

impl From<&Refusal> for crate::Error {
    fn from(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Data(_) | Refusal::Failing(_) => Self::DataRefused(refusal.to_string()),
            Refusal::Locked => Self::Locked,
        }
    }
}

/// Which workflow an item belongs to: its namespace and id.
pub(crate) type Workflow = (i16, WorkflowId);

/// Which folding of a workflow an item belongs to.
pub(crate) type Folding = (Workflow, u64);

/// How a committer reaches its database, and under whose name it writes.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) term: Term,
    /// How long to wait for an answer, and how long to try to reach a database that went away, before the ownership counts as lost.
    pub(crate) patience: Duration,
    pub(crate) progress: Arc<Progress>,
}

/// Why nothing more can be committed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Lost {
    /// The fence does not hold any more.
    #[error("another process owns the slot")]
    Fenced,
    /// What was committed is not there: the database was restored or failed over to an earlier state.
    #[error("the database is behind what it acknowledged")]
    Behind,
    /// Another server is the database now, or another time of the same one.
    #[error("the database failed over")]
    FailedOver,
    /// The database refuses the bookkeeping itself.
    #[error("the database refuses to commit: {0}")]
    Refused(String),
    /// The database can't be reached, or fails again and again.
    #[error("the database can't commit")]
    Store(#[from] store::Error),
}

/// Commits until the owner hangs up or the ownership is lost.
pub(crate) async fn run(
    setup: Setup,
    connections: Vec<Box<dyn Connection>>,
    mut commands: mpsc::UnboundedReceiver<Command>,
    outcomes: mpsc::UnboundedSender<Message>,
) -> Result<(), Lost> {
    let progress = Arc::clone(&setup.progress);
    let mut gathered = Gathered::default();
    let mut idle: Vec<Lane> = connections
        .into_iter()
        .enumerate()
        .map(|(n, connection)| Lane::new(n, connection, setup.clone()))
        .collect();
    let mut under_way: FuturesUnordered<BoxFuture<'static, Result<(Lane, Outcome), Lost>>> =
        FuturesUnordered::new();
    let mut inbox = Vec::with_capacity(256);
    let mut open = true;
    let mut waited = false;
    // Nothing of any workflow can be written, as far as it is known.
    let mut blocked = false;
    while open || !under_way.is_empty() || gathered.waiting() > 0 {
        tokio::select! {
            biased;
            Some(done) = under_way.next(), if !under_way.is_empty() => {
                let (lane, mut outcome) = done?;
                idle.push(lane);
                blocked = outcome.blocked.unwrap_or(blocked && !outcome.has_written());
                if !blocked {
                    progress.committed();
                }
                gathered.finish(&mut outcome);
                // When the owner is gone nobody waits for the outcome.
                let _ = outcomes.send(Message::Committed(outcome));
            }
            received = commands.recv_many(&mut inbox, 256), if open => {
                open = received > 0;
                for command in inbox.drain(..) {
                    gathered.take(command);
                }
            }
            () = tokio::time::sleep(GATHER), if !waited && !idle.is_empty() && gathered.waiting() > 0 => {
                waited = true;
            }
            () = tokio::time::sleep(RIDE), if (blocked || gathered.has_housework()) && under_way.is_empty() => {
                if (blocked || !gathered.settled.is_empty()) && let Some(lane) = idle.pop() {
                    let batch = if blocked { Batch::question() } else { gathered.batch() };
                    under_way.push(lane.commit(batch).boxed());
                }
            }
        }
        if gathered
            .put_off_until
            .is_some_and(|until| Instant::now() >= until)
            && let Some(lane) = idle.pop()
        {
            under_way.push(lane.commit(gathered.what_was_put_off()).boxed());
        }
        while gathered.waiting() > 0 && (waited || gathered.is_ripe()) {
            let Some(lane) = idle.pop() else { break };
            let batch = gathered.batch();
            if batch.is_empty() {
                gathered.settled = batch.settled;
                idle.push(lane);
                break;
            }
            waited = false;
            under_way.push(lane.commit(batch).boxed());
        }
        progress.waits(blocked || !under_way.is_empty());
    }
    Ok(())
}

/// How long what was put off waits, and a settled debt for a batch to ride on.
const RIDE: Duration = Duration::from_secs(1);

impl Outcome {
    /// Says whether the database has done what a batch asked for, be it in part.
    fn is_progress(&self) -> bool {
        let failed = !self.refused.is_empty() || !self.put_off.is_empty();
        let done =
            !self.committed.is_empty() || !self.confirmed.is_empty() || !self.settled.is_empty();
        done || !failed
    }

    /// Says whether something of a history was written.
    fn has_written(&self) -> bool {
        self.committed.iter().any(|item| !item.rows.is_empty())
    }
}

/// What is committed in one go.
#[derive(Default)]
struct Batch {
    items: Vec<Item>,
    settled: Vec<Settled>,
    /// What may be told when it is.
    answers: Vec<Answer>,
    /// Somebody kept a lock that its only workflow needs, or what was put off: whether it still does is looked at shortly.
    looks: bool,
    /// It asks whether a whole table is kept.
    asks: bool,
}

impl Batch {
    /// Returns one that asks for nothing else.
    fn question() -> Self {
        Self {
            asks: true,
            ..Self::default()
        }
    }

    /// Says whether nobody waits for it.
    fn is_empty(&self) -> bool {
        self.items.is_empty() && self.answers.is_empty()
    }
}

/// What waits to be committed.
#[derive(Default)]
struct Gathered {
    pending: VecDeque<Item>,
    settled: Vec<Settled>,
    answers: Vec<Answer>,
    /// What was put off goes by itself then: a lock kept the batch waiting on which it rode.
    put_off: Vec<Settled>,
    put_off_until: Option<Instant>,
    /// The workflows in a batch under way.
    busy: HashSet<Workflow>,
    /// The foldings whose item was not written: what else they sent must not be.
    dead: HashSet<Folding>,
    /// The workflows at whose items the database failed: until one is written, they go alone, one after the other. What they wait for
    /// keeps one connection busy, and no more.
    suspects: Suspects,
    /// The one that is in a batch under way.
    alone: Option<Workflow>,
}

/// Why the items of a workflow go alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Suspicion {
    Fails,
    /// Somebody kept a lock.
    Waits,
}

/// The latest workflows at whose items the database failed.
#[derive(Default)]
struct Suspects {
    all: HashMap<Workflow, Suspicion>,
    /// The same, the first one first.
    order: VecDeque<Workflow>,
}

impl Suspects {
    fn of(&self, workflow: &Workflow) -> Option<Suspicion> {
        if self.all.is_empty() {
            return None;
        }
        self.all.get(workflow).copied()
    }

    fn add(&mut self, workflow: Workflow, suspicion: Suspicion) {
        if self.all.insert(workflow.clone(), suspicion).is_none() {
            self.order.push_back(workflow);
        }
        if self.order.len() > SUSPECTS_MAX
            && let Some(first) = self.order.pop_front()
        {
            self.all.remove(&first);
        }
    }

    fn remove(&mut self, workflow: &Workflow) {
        if !self.all.is_empty() && self.all.remove(workflow).is_some() {
            self.order.retain(|other| other != workflow);
        }
    }
}

impl Gathered {
    /// Takes a command. Items of a dead folding go no further: the owner drops that folding when it
    /// hears of the first, and answers everybody who waits for it.
    fn take(&mut self, command: Command) {
        match command {
            Command::Commit(item) if self.is_dead(&item) => {}
            Command::Commit(item) => self.pending.push_back(item),
            Command::Settle(settled) => self.settled.push(settled),
            Command::Confirm(answer) => self.answers.push(answer),
            Command::Forget(folding) => {
                self.dead.remove(&folding);
            }
        }
    }

    fn is_dead(&self, item: &Item) -> bool {
        !self.dead.is_empty() && self.dead.contains(&folding(item))
    }

    /// Says whether a batch may begin: at once when none is under way. Else the first answers to that one would go alone and the
    /// rest of them wait for a whole commit; so it begins when as much has gathered as the other one took.
    fn is_ripe(&self) -> bool {
        self.waiting() >= self.busy.len().min(GATHER_ITEMS)
    }

    /// Returns how much waits that somebody waits for.
    fn waiting(&self) -> usize {
        self.pending.len() + self.answers.len()
    }

    /// Says whether there is something that nobody waits for.
    fn has_housework(&self) -> bool {
        !self.settled.is_empty() || !self.put_off.is_empty()
    }

    /// Returns the batch of what was put off.
    fn what_was_put_off(&mut self) -> Batch {
        self.put_off_until = None;
        Batch {
            settled: std::mem::take(&mut self.put_off),
            looks: true,
            ..Batch::default()
        }
    }

    /// Returns the next batch: in order, at most one start a workflow, nothing of a workflow that is in another batch.
    fn batch(&mut self) -> Batch {
        let mut items = Vec::with_capacity(self.pending.len().min(BATCH_ROWS_MAX));
        let mut skipped = VecDeque::new();
        let mut taken = HashSet::default();
        let mut held_back: HashSet<Workflow> = HashSet::default();
        let (mut rows, mut bytes) = (0, 0);
        let mut goes_alone = None;
        while rows < BATCH_ROWS_MAX && bytes < BATCH_BYTES_MAX {
            let Some(item) = self.pending.pop_front() else {
                break;
            };
            let workflow = workflow(&item);
            let starts_twice = !item.starts.is_empty() && taken.contains(&workflow);
            let suspicion = self.suspects.of(&workflow);
            if starts_twice
                || (suspicion.is_some() && (!items.is_empty() || self.alone.is_some()))
                || self.busy.contains(&workflow)
                || held_back.contains(&workflow)
            {
                held_back.insert(workflow);
                skipped.push_back(item);
                continue;
            }
            rows += (item.rows.len() + item.attempts.len()).max(1);
            bytes += item.bytes();
            if suspicion.is_some() {
                goes_alone = suspicion;
                self.alone = Some(workflow.clone());
            }
            taken.insert(workflow);
            items.push(item);
            if goes_alone.is_some() {
                break;
            }
        }
        while let Some(item) = skipped.pop_back() {
            self.pending.push_front(item);
        }
        self.busy.extend(taken);
        match goes_alone {
            // Nothing else waits for what that one waits for.
            Some(suspicion) => Batch {
                items,
                looks: suspicion == Suspicion::Waits,
                ..Batch::default()
            },
            None => Batch {
                items,
                settled: std::mem::take(&mut self.settled),
                answers: std::mem::take(&mut self.answers),
                ..Batch::default()
            },
        }
    }

    /// Frees the workflows of a batch, and marks those whose items were not written.
    fn finish(&mut self, outcome: &mut Outcome) {
        if !outcome.put_off.is_empty() {
            self.put_off.append(&mut outcome.put_off);
            self.put_off_until = Some(Instant::now() + RIDE);
        }
        let refused = outcome.refused.iter().map(|(item, _)| item);
        let mut back = (outcome.committed.iter())
            .chain(&outcome.conflicting)
            .chain(refused);
        if let Some(alone) = &self.alone
            && back.any(|item| workflow(item) == *alone)
        {
            self.alone = None;
        }
        for item in &outcome.committed {
            let workflow = workflow(item);
            self.busy.remove(&workflow);
            self.suspects.remove(&workflow);
        }
        for (item, refusal) in &outcome.refused {
            let suspicion = match refusal {
                Refusal::Failing(_) => Suspicion::Fails,
                Refusal::Locked => Suspicion::Waits,
                Refusal::Data(_) => continue,
            };
            self.suspects.add(workflow(item), suspicion);
        }
        for item in outcome
            .conflicting
            .iter()
            .chain(outcome.refused.iter().map(|(item, _)| item))
        {
            self.busy.remove(&workflow(item));
            self.dead.insert(folding(item));
        }
        if !self.dead.is_empty() {
            let dead = &self.dead;
            self.pending.retain(|item| !dead.contains(&folding(item)));
        }
    }
}

fn workflow(item: &Item) -> Workflow {
    (item.namespace, item.workflow_id.clone())
}

/// Returns the folding that an item belongs to.
pub(crate) fn folding(item: &Item) -> Folding {
    (workflow(item), item.incarnation)
}

/// A slot's connection, and the number of its next batch.
struct Lane {
    slot: i16,
    connection: Box<dyn Connection>,
    setup: Setup,
    next: i64,
    /// It waits for locks for a short look only.
    looks: bool,
}

impl Lane {
    fn new(n: usize, connection: Box<dyn Connection>, setup: Setup) -> Self {
        Self {
            slot: i16::try_from(n).unwrap_or(i16::MAX),
            connection,
            setup,
            next: 1,
            looks: false,
        }
    }

    /// Commits a batch, whatever it takes: tries again what may succeed, finds out what became of a lost
    /// answer, and singles out an item whose data the database refuses.
    async fn commit(mut self, batch: Batch) -> Result<(Self, Outcome), Lost> {
        let mut outcome = Outcome::default();
        let mut parts = if batch.asks {
            Vec::new()
        } else {
            vec![batch.items]
        };
        let (mut settled, mut answers) = (batch.settled, batch.answers);
        // What follows an item that is not written is not written either: a history has no gaps.
        let mut lost: HashMap<Workflow, Option<Refusal>> = HashMap::default();
        let mut cut = false;
        // How often it was looked whether a lock is still kept.
        let mut looks = 0;
        self.look(batch.looks).await;
        while let Some(mut part) = parts.pop() {
            if !lost.is_empty() {
                let behind = part.extract_if(.., |item| lost.contains_key(&workflow(item)));
                for item in behind {
                    match lost.get(&workflow(&item)).cloned().flatten() {
                        Some(problem) => outcome.refused.push((item, problem)),
                        None => outcome.conflicting.push(item),
                    }
                }
                // What rides goes at the end.
                let rides = parts.is_empty() && !(settled.is_empty() && answers.is_empty());
                if part.is_empty() && !rides {
                    continue;
                }
            }
            if part.is_empty() && settled.is_empty() {
                // It needs nothing but what every batch needs.
                self.look(false).await;
            }
            let resends = match part.len() {
                0 | 1 => ITEM_RESENDS_MAX,
                // What is in doubt after the first cut is found sooner.
                _ if cut => 1,
                _ => BATCH_RESENDS_MAX,
            };
            let committed = if part.len() <= 1 || looks < LOCK_LOOKS_MAX {
                self.commit_part(&part, &settled, resends).await?
            } else {
                // Those who wait for an answer have waited for long enough; each goes alone from now on.
                Err(Refusal::Locked)
            };
            match committed {
                Ok(conflicts) => {
                    outcome.settled.append(&mut settled);
                    outcome.confirmed.append(&mut answers);
                    if conflicts.is_empty() {
                        outcome.committed.append(&mut part);
                        continue;
                    }
                    let conflicting = part.iter().filter(|item| {
                        let mut starts = item.starts.iter();
                        starts.any(|start| conflicts.contains(&start.run_id))
                    });
                    lost.extend(conflicting.map(|item| (workflow(item), None)));
                    let (conflicting, committed) = part
                        .into_iter()
                        .partition::<Vec<_>, _>(|item| lost.contains_key(&workflow(item)));
                    outcome.committed.extend(committed);
                    outcome.conflicting.extend(conflicting);
                }
                Err(Refusal::Locked) if !settled.is_empty() => {
                    // They are nothing that anybody waits for, and may be what the lock is of.
                    outcome.put_off.append(&mut settled);
                    self.look(true).await;
                    parts.push(part);
                }
                Err(problem) if part.len() <= 1 || looks >= LOCK_LOOKS_MAX => {
                    for item in part {
                        lost.insert(workflow(&item), Some(problem.clone()));
                        outcome.refused.push((item, problem.clone()));
                    }
                    // What rode on it goes alone.
                    if parts.is_empty() {
                        parts.push(Vec::new());
                    }
                }
                Err(problem) => {
                    if matches!(problem, Refusal::Locked) {
                        looks += 1;
                        self.look(true).await;
                    }
                    cut = true;
                    let mut first = part;
                    let second = first.split_off(first.len() / 2);
                    parts.push(second);
                    parts.push(first);
                }
            }
        }
        let is_locked = |(_, refusal): &(Item, Refusal)| matches!(refusal, Refusal::Locked);
        if batch.asks || (!outcome.is_progress() && outcome.refused.iter().all(is_locked)) {
            self.commit_nothing().await?;
            self.look(true).await;
            let free = self.connection.tables_are_free();
            let free = tokio::time::timeout(self.setup.patience, free).await;
            outcome.blocked = Some(!free.unwrap_or(false));
        }
        self.look(false).await;
        Ok((self, outcome))
    }

    /// Waits for locks for a short look only from now on, or for as long as ever.
    async fn look(&mut self, shortly: bool) {
        if self.looks != shortly {
            self.looks = shortly;
            let wait = self.connection.wait_for_locks(shortly.then_some(LOCK_LOOK));
            // What fails is told by the next commit.
            let _ = tokio::time::timeout(self.setup.patience, wait).await;
        }
    }

    /// Commits items in one transaction, sent so often at most. The inner error says why they can't be: for one item, that they never
    /// will, or not now.
    async fn commit_part(
        &mut self,
        items: &[Item],
        settled: &[Settled],
        resends: u32,
    ) -> Result<Result<HashSet<RunId>, Refusal>, Lost> {
        let (mut attempt, mut locked) = (1, 0);
        let mut doubts = Doubts::new(resends, self.setup.patience);
        loop {
            let batch = self.next;
            self.next += 1;
            let answer = self.connection.commit(batch, items, settled);
            let error = match tokio::time::timeout(self.setup.patience, answer).await {
                Ok(Ok(conflicts)) => return Ok(Ok(conflicts.0)),
                Ok(Err(error)) => error,
                Err(_elapsed) => NotCommitted::Unknown(store::Error::Silent),
            };
            let doubtful = match error {
                NotCommitted::Fenced => return Err(Lost::Fenced),
                NotCommitted::Poison(problem) if !items.is_empty() => {
                    return Ok(Err(Refusal::Data(problem)));
                }
                NotCommitted::Poison(_) | NotCommitted::TryAgain(_)
                    if attempt < BATCH_ATTEMPTS_MAX =>
                {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        attempt,
                        "a batch failed and is tried again"
                    );
                    // 10 ms, 20 ms, 40 ms, 80 ms.
                    tokio::time::sleep(Duration::from_millis(5 << attempt)).await;
                    attempt += 1;
                    continue;
                }
                NotCommitted::Poison(problem) => return Err(Lost::Refused(problem)),
                NotCommitted::TryAgain(error) => return Err(Lost::Store(error)),
                NotCommitted::Locked(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "a batch waits for a lock that another session keeps"
                    );
                    locked += 1;
                    if !items.is_empty() || !settled.is_empty() {
                        return Ok(Err(Refusal::Locked));
                    }
                    // The lock is of what every batch needs.
                    if locked == BATCH_ATTEMPTS_MAX {
                        return Err(Lost::Store(error));
                    }
                    continue;
                }
                NotCommitted::Doubtful(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the database failed at a batch"
                    );
                    if items.len() > 1 {
                        return Ok(Err(Refusal::Failing(error.with_causes())));
                    }
                    error
                }
                NotCommitted::Unknown(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        batch,
                        "the answer to a batch was lost; looking for its fate"
                    );
                    if let Some(conflicts) = self.find_out(batch, items).await? {
                        return Ok(Ok(conflicts));
                    }
                    error
                }
            };
            if !doubts.are_enough() {
                continue;
            }
            if items.is_empty() {
                return Err(Lost::Store(doubtful));
            }
            if items.len() == 1 {
                self.commit_nothing().await?;
            }
            return Ok(Err(Refusal::Failing(doubtful.with_causes())));
        }
    }

    /// Is it an item, or the database? That one has to commit when it is not asked for anything.
    async fn commit_nothing(&mut self) -> Result<(), Lost> {
        let looks = self.looks;
        self.look(false).await;
        Box::pin(self.commit_part(&[], &[], ITEM_RESENDS_MAX))
            .await?
            .ok();
        self.look(looks).await;
        Ok(())
    }

    /// Opens the connection anew and returns what became of a batch whose answer was lost: its conflicts if it was committed.
    async fn find_out(
        &mut self,
        batch: i64,
        items: &[Item],
    ) -> Result<Option<HashSet<RunId>>, Lost> {
        let patience = self.setup.patience;
        let until = Instant::now() + patience;
        loop {
            let found = tokio::time::timeout(patience, self.try_to_find_out(batch, items)).await;
            match found.unwrap_or(Err(Lost::Store(store::Error::Silent))) {
                Err(Lost::Store(error)) if Instant::now() < until => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the database can't be reached; trying again"
                    );
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                other => return other,
            }
        }
    }

    async fn try_to_find_out(
        &mut self,
        batch: i64,
        items: &[Item],
    ) -> Result<Option<HashSet<RunId>>, Lost> {
        let Setup { store, term, .. } = &self.setup;
        let fate = store.fate(self.slot, *term, batch, items).await?;
        let conflicts = match fate {
            Fate::Fenced => return Err(Lost::Fenced),
            Fate::Behind => return Err(Lost::Behind),
            Fate::FailedOver => return Err(Lost::FailedOver),
            Fate::NotCommitted => None,
            Fate::Committed(conflicts) => Some(conflicts),
        };
        self.connection = store.connection(self.slot, *term).await?;
        let looks = std::mem::take(&mut self.looks);
        self.look(looks).await;
        Ok(conflicts)
    }
}

/// How often something has failed without a reason of its own.
struct Doubts {
    most: u32,
    /// When each takes as long as this, it is not sent so often.
    patience: Duration,
    since: Instant,
    count: u32,
}

impl Doubts {
    fn new(most: u32, patience: Duration) -> Self {
        Self {
            most,
            patience,
            since: Instant::now(),
            count: 0,
        }
    }

    /// Counts one more, and says whether it is not worth another try.
    fn are_enough(&mut self) -> bool {
        self.count += 1;
        let long = self.count >= BATCH_RESENDS_MAX && self.since.elapsed() >= 3 * self.patience;
        self.count >= self.most || long
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::commit::AttemptRow;

    fn item(n: usize) -> Item {
        Item {
            shard: 0,
            namespace: 1,
            workflow_id: WorkflowId::known(n.to_string()),
            incarnation: 0,
            parts: Vec::new(),
            attempts: Vec::new(),
            rows: Vec::new(),
            starts: Vec::new(),
            closes: Vec::new(),
            open: None,
            owes: None,
        }
    }

    fn gather(gathered: &mut Gathered, workflows: std::ops::Range<usize>) {
        for n in workflows {
            gathered.take(Command::Commit(item(n)));
        }
    }

    #[test]
    fn rows_of_attempts_count_in_a_batch() {
        let mut gathered = Gathered::default();
        for n in 0..4 {
            let attempts = (0..BATCH_ROWS_MAX / 2).map(|_| AttemptRow {
                run_id: RunId(uuid::Uuid::nil()),
                event_id: history::EventId::NONE,
                note: None,
            });
            gathered.take(Command::Commit(Item {
                attempts: attempts.collect(),
                ..item(n)
            }));
        }
        assert_eq!(gathered.batch().items.len(), 2);
    }

    #[test]
    fn workflows_at_which_the_database_failed_are_remembered_up_to_a_number() {
        let mut gathered = Gathered::default();
        let refused = |n| (item(n), Refusal::Failing("it fails".to_owned()));
        gathered.finish(&mut Outcome {
            refused: (0..=SUSPECTS_MAX).map(refused).collect(),
            ..Outcome::default()
        });
        let suspects = &gathered.suspects;
        assert_eq!(suspects.all.len(), SUSPECTS_MAX);
        assert_eq!(suspects.of(&workflow(&item(0))), None);
        let last = workflow(&item(SUSPECTS_MAX));
        assert_eq!(suspects.of(&last), Some(Suspicion::Fails));
        gathered.finish(&mut Outcome {
            committed: (1..=SUSPECTS_MAX).map(item).collect(),
            ..Outcome::default()
        });
        assert!(gathered.suspects.order.is_empty());
    }

    #[test]
    fn what_waits_for_a_lock_goes_alone_and_takes_nothing_along() {
        let mut gathered = Gathered::default();
        gathered.finish(&mut Outcome {
            refused: (0..2).map(|n| (item(n), Refusal::Locked)).collect(),
            ..Outcome::default()
        });
        gathered.dead.clear();
        gather(&mut gathered, 0..4);
        gathered.settled.push(Settled {
            shard: 0,
            run_id: RunId(uuid::Uuid::nil()),
        });

        let first = gathered.batch();
        let second = gathered.batch();

        assert_eq!(first.items.len(), 1);
        assert!(first.looks && first.settled.is_empty());
        // The other one of them waits for the first.
        let ids: Vec<String> = second
            .items
            .iter()
            .map(|item| item.workflow_id.to_string())
            .collect();
        assert_eq!(ids, ["2", "3"]);
        assert!(!second.looks && second.settled.len() == 1);
        gathered.finish(&mut Outcome {
            refused: vec![(item(0), Refusal::Locked)],
            ..Outcome::default()
        });
        assert_eq!(gathered.batch().items.len(), 1);
    }

    #[test]
    fn a_batch_begins_at_once_unless_another_is_under_way_that_has_more() {
        let mut gathered = Gathered::default();
        gather(&mut gathered, 0..1);
        assert!(gathered.is_ripe());
        gather(&mut gathered, 1..3);
        assert_eq!(gathered.batch().items.len(), 3);
        gather(&mut gathered, 3..5);
        assert!(!gathered.is_ripe());
        gather(&mut gathered, 5..6);
        assert!(gathered.is_ripe());
    }

    #[test]
    fn no_batch_waits_for_as_many_as_a_large_one_has() {
        let mut gathered = Gathered::default();
        gather(&mut gathered, 0..200);
        assert_eq!(gathered.batch().items.len(), 200);
        gather(&mut gathered, 200..200 + GATHER_ITEMS);
        assert!(gathered.is_ripe());
    }
}
