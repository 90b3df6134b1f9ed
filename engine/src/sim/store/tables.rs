//! What the database holds, and what a statement does to it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    time::Duration,
};

use foldhash::HashSet;
use history::{EventId, RunId, Timestamp, WorkflowId};
use uuid::Uuid;

use super::{
    super::{
        checks::{Checks, Violation},
        namespace::ns,
        odds::{Instead, Odds},
        planted::{Bug, planted},
        world::now,
    },
    feed::Feed,
    lock::{Hold, Lock},
};
use crate::{
    placement, shard,
    store::{
        Error, Term,
        acknowledged::Held,
        commit::{Item, OpenChange, OpenRow},
        feed::Change,
        load::{Folding, Header, Loaded, Row},
        ownership::Placed,
        session::Session,
        view::Move,
    },
};

/// A row of `execution`.
#[derive(Debug, Clone)]
pub(super) struct Execution {
    pub(super) shard: i16,
    pub(super) workflow_id: WorkflowId,
    pub(super) closed: bool,
}

/// A row of `member`.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) address: String,
    pub(super) epoch: i64,
    pub(super) lease_until: Timestamp,
    pub(super) open_since: Timestamp,
}

/// A row of `former_member`.
#[derive(Debug, Clone)]
pub(super) struct Former {
    pub(super) epoch: i64,
    /// The last batch of each slot.
    batches: Vec<i64>,
}

/// What a batch has changed.
pub(super) struct Applied {
    /// The runs that did not get their id.
    pub(super) lost: HashSet<RunId>,
    /// The rows of history that it wrote.
    pub(super) changes: Vec<Change>,
}

/// A session, as the server has it.
#[derive(Debug, Clone)]
pub(super) struct Backend {
    pub(super) session: Option<Session>,
    /// How many statements of transactions it was sent.
    pub(super) statements: u64,
}

/// A member's advisory lock: who has it, and behind that one who waits for it.
#[derive(Debug, Clone, Default)]
pub(super) struct MemberLock {
    pub(super) queue: VecDeque<i32>,
    /// Since when the first has it.
    since: Option<Timestamp>,
}

impl MemberLock {
    pub(super) fn ask(&mut self, backend: i32) {
        if self.queue.is_empty() {
            self.since = Some(now());
        }
        self.queue.push_back(backend);
    }

    /// Takes a session out of the queue. The server gives the lock to the next one, whether or not that one still has a client.
    pub(super) fn leave(&mut self, backend: i32) {
        if self.queue.front() == Some(&backend) {
            self.since = Some(now());
        }
        self.queue.retain(|other| *other != backend);
    }
}

/// A batch: of which member, through which slot, its number.
pub(in crate::sim) type BatchKey = (Uuid, i16, i64);

#[derive(Default, Clone)]
pub(in crate::sim) struct State {
    /// Grows with each failover.
    pub(super) timeline: i64,
    pub(in crate::sim) epoch: i64,
    pub(super) version: i64,
    pub(super) members: BTreeMap<Uuid, Member>,
    pub(super) former: BTreeMap<Uuid, Former>,
    pub(super) shards: Vec<Placed>,
    /// Sessions that live.
    pub(super) backends: BTreeMap<i32, Backend>,
    pub(super) next_backend: i32,
    /// The advisory lock of each member.
    pub(super) locks: BTreeMap<Uuid, MemberLock>,
    /// Rows that transactions under way have locked.
    pub(super) held: BTreeMap<Lock, Hold>,
    pub(in crate::sim) feed: Feed,
    /// All batches that were ever committed.
    pub(super) committed: BTreeSet<BatchKey>,

    pub(super) executions: BTreeMap<RunId, Execution>,
    pub(super) current: BTreeMap<WorkflowId, RunId>,
    pub(super) history: BTreeMap<RunId, Vec<Row>>,
    pub(super) attempts: BTreeMap<(RunId, EventId), String>,
    pub(super) open_run: BTreeMap<RunId, OpenRow>,
    pub(super) outbox: BTreeSet<RunId>,

    /// How many shards were given to another member, and how many requests went to one.
    pub(in crate::sim) given: u64,
    pub(in crate::sim) sent: u64,
    /// How many requests the members have posted, with those that got lost.
    pub(in crate::sim) posted: u64,
    /// How many statements the members have sent, but for batches.
    pub(in crate::sim) statements: u64,

    /// The deadlines of parked runs that were read, and the runs that were read many at a time, in order.
    pub(in crate::sim) deadlines_read: Vec<RunId>,
    pub(in crate::sim) runs_read: Vec<RunId>,
    /// The most runs that were asked for at once.
    pub(in crate::sim) most_asked: usize,
    /// The stored bytes of whole histories that are being read, and the most of them at once.
    pub(super) history_bytes: usize,
    pub(in crate::sim) most_history_bytes: usize,
    /// How many were asked for, and what comes instead of them.
    pub(in crate::sim) histories_asked: u64,
    pub(in crate::sim) instead_of_histories: Option<Instead>,

    /// Who looks for partitions to be made waits for ever.
    pub(in crate::sim) partitions_kept: bool,

    /// Which processes were told of which batches, and which have said that the database lacks something.
    pub(in crate::sim) told: BTreeSet<(usize, BatchKey)>,
    pub(in crate::sim) alarmed: BTreeSet<usize>,

    /// A workflow with whose rows no batch succeeds.
    pub(in crate::sim) cursed: Option<(WorkflowId, Curse)>,
    pub(in crate::sim) odds: Odds,
    pub(in crate::sim) checks: Checks,
}

/// What happens to a batch that has a cursed row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sim) enum Curse {
    /// The server ends its session.
    Cut,
    /// The server fails at it, and says so.
    Fails,
    /// The server never answers.
    Hangs,
}

impl State {
    pub(super) fn open_backend(&mut self, session: Option<Session>) -> i32 {
        self.next_backend += 1;
        let backend = Backend {
            session,
            statements: 0,
        };
        self.backends.insert(self.next_backend, backend);
        self.next_backend
    }

    /// Ends a session: its locks are free, its transaction is rolled back.
    pub(super) fn end_backend(&mut self, backend: i32) {
        self.backends.remove(&backend);
        for lock in self.locks.values_mut() {
            lock.leave(backend);
        }
        self.held.retain(|_, hold| hold.backend != backend);
    }

    /// Ends the sessions of which this is true.
    pub(super) fn end_sessions(&mut self, ends: impl Fn(Session) -> bool) {
        let ended: Vec<i32> = self
            .backends
            .iter()
            .filter(|(_, backend)| backend.session.is_some_and(&ends))
            .map(|(id, _)| *id)
            .collect();
        for backend in ended {
            self.end_backend(backend);
        }
    }

    /// Ends all that ends with a member.
    pub(super) fn end_member(&mut self, member: Uuid) {
        self.end_sessions(|session| match session {
            Session::Lease(of)
            | Session::Watch(of)
            | Session::Commit(of, _)
            | Session::Fate(of, _) => of == member,
            Session::Pooled(_) => false,
        });
    }

    /// Ends a session that was given a member's lock and has done nothing since, for so long. The member itself renews its lease.
    pub(super) fn end_idle_lock_holder(&mut self, member: Uuid, idle: Duration) {
        let Some(lock) = self.locks.get(&member) else {
            return;
        };
        let idle = lock
            .since
            .is_some_and(|since| since.after(idle.into()) < now());
        if let (true, Some(holder)) = (idle, lock.queue.front().copied()) {
            self.end_backend(holder);
        }
    }

    /// Returns what is known of a process that is or was a member.
    pub(super) fn held_of(&self, member: Uuid) -> Held {
        let batches = if let Some(member) = self.members.get(&member) {
            Some(self.feed.last_batches(member.epoch))
        } else if planted(Bug::MissedFailover) {
            Some(vec![i64::MAX; 8])
        } else {
            self.former
                .get(&member)
                .map(|former| former.batches.clone())
        };
        Held {
            system: 1,
            timeline: self.timeline,
            epoch: self.epoch,
            batches,
        }
    }

    /// Says whether two workflows are in the hands of different members.
    pub(in crate::sim) fn are_apart(&self, one: &WorkflowId, other: &WorkflowId) -> bool {
        let holder = |id| &self.shards[usize::try_from(shard::of(&ns().name, id)).unwrap()].member;
        holder(one) != holder(other)
    }

    pub(super) fn fenced(&self, term: Term) -> bool {
        !planted(Bug::FenceLeftOut) && !self.is_member(term)
    }

    pub(super) fn is_member(&self, term: Term) -> bool {
        self.members
            .get(&term.owner)
            .is_some_and(|member| member.epoch == term.epoch)
    }

    /// Ends a membership as a transaction does.
    pub(super) fn remove(&mut self, member: Uuid) {
        let Some(gone) = self.members.remove(&member) else {
            return;
        };
        self.version += 1;
        let former = Former {
            epoch: gone.epoch,
            batches: self.feed.last_batches(gone.epoch),
        };
        self.former.insert(member, former);
        let heirs: Vec<Uuid> = self
            .members
            .iter()
            .filter(|(_, heir)| heir.lease_until >= now())
            .map(|(id, _)| *id)
            .collect();
        for placed in self.shards.iter_mut().filter(|p| p.member == Some(member)) {
            placed.member = placement::member_of(placed.shard, &heirs);
            let since = placed.open_since.unwrap_or(gone.open_since);
            placed.open_since = Some(since.min(gone.open_since));
        }
    }

    /// Says what is to happen to a batch instead of being written.
    pub(super) fn curse_of(&self, items: &[Item]) -> Option<Curse> {
        let (workflow_id, curse) = self.cursed.as_ref()?;
        let cursed = items.iter().any(|item| item.workflow_id == *workflow_id);
        cursed.then_some(*curse)
    }

    /// Applies a batch as Postgres would.
    pub(super) fn apply(&mut self, term: Term, items: &[Item]) -> Result<Applied, Violation> {
        for item in items {
            let placed = &self.shards[usize::try_from(item.shard).unwrap_or(0)];
            if placed.member != Some(term.owner) && !planted(Bug::FenceLeftOut) {
                return Err(format!(
                    "{}: a member writes to a shard of another",
                    item.workflow_id
                ));
            }
        }
        let mut lost = HashSet::default();
        let mut changes = Vec::new();
        let mut claims: HashMap<&WorkflowId, bool> = HashMap::new();
        for item in items {
            if let (Some(first), Some(last)) = (item.starts.first(), item.starts.last()) {
                let known = self.current.get(&item.workflow_id).copied();
                let won = known == first.previous_run_id || known.is_none();
                if won {
                    self.checks.open_runs(&item.workflow_id, known, item)?;
                    self.current.insert(item.workflow_id.clone(), last.run_id);
                } else {
                    lost.insert(last.run_id);
                }
                claims.insert(&item.workflow_id, won);
            }
            if claims.get(&item.workflow_id) == Some(&false) {
                continue;
            }
            for start in &item.starts {
                self.executions.insert(
                    start.run_id,
                    Execution {
                        shard: item.shard,
                        workflow_id: item.workflow_id.clone(),
                        closed: false,
                    },
                );
            }
            for row in &item.rows {
                let rows = self.history.entry(row.run_id).or_default();
                self.checks.row(row, rows.len(), now())?;
                rows.push(Row {
                    run_id: row.run_id.0,
                    seq: Some(row.seq),
                    version: history::chain::VERSION,
                    records: row.records.clone(),
                    hash: Some(row.hash.to_vec()),
                });
                changes.push(Change {
                    shard: item.shard,
                    run_id: row.run_id,
                    seq: row.seq,
                    closes: item.closes(row.run_id),
                    execution_changed: item.changes_execution(row.run_id),
                    hash: row.hash,
                });
            }
            for row in &item.attempts {
                self.checks.attempt(row)?;
                let key = (row.run_id, row.event_id);
                match &row.note {
                    Some(note) => drop(self.attempts.insert(key, note.clone())),
                    None => drop(self.attempts.remove(&key)),
                }
            }
            for close in &item.closes {
                if let Some(execution) = self.executions.get_mut(&close.run_id) {
                    execution.closed = true;
                }
            }
            self.outbox.extend(item.outbox);
            if let Some(OpenChange { run_id, row }) = item.open {
                if let Some(OpenRow::Parked(due)) = row {
                    self.checks.parked(run_id, due)?;
                }
                match row {
                    Some(row) => drop(self.open_run.insert(run_id, row)),
                    None => drop(self.open_run.remove(&run_id)),
                }
            }
        }
        Ok(Applied { lost, changes })
    }

    /// Returns how many rows of history each run has.
    pub(in crate::sim) fn rows(&self) -> BTreeMap<RunId, usize> {
        let rows = self.history.iter();
        rows.map(|(run_id, rows)| (*run_id, rows.len())).collect()
    }

    /// Returns the records of a row of history.
    pub(in crate::sim) fn stored(&self, run_id: RunId, seq: i32) -> Option<String> {
        let rows = self.history.get(&run_id)?;
        let row = rows.get(usize::try_from(seq).ok()?)?;
        Some(row.records.clone())
    }

    /// Holds what the feed says of a row against that row.
    pub(in crate::sim) fn look_at_change(&self, change: &Change) -> Result<(), Violation> {
        let Change { run_id, seq, .. } = *change;
        let rows = self.history.get(&run_id);
        let row = usize::try_from(seq)
            .ok()
            .and_then(|seq| rows?.get(seq))
            .ok_or_else(|| {
                format!("the feed tells of row {seq} of {run_id}, which is not there")
            })?;
        if row.hash.as_deref() != Some(&change.hash) {
            return Err(format!(
                "the feed has another hash for row {seq} of {run_id}"
            ));
        }
        let closes = super::super::checks::parse(&row.records)
            .iter()
            .filter_map(history::Record::event)
            .any(|event| history::Status::closed_by(&event.kind).is_some());
        if closes != change.closes {
            return Err(format!(
                "the feed does not say whether row {seq} of {run_id} closes it"
            ));
        }
        if (seq == 0 || closes) && !change.execution_changed {
            return Err(format!(
                "the feed does not say that row {seq} of {run_id} changed execution"
            ));
        }
        Ok(())
    }

    pub(super) fn header(&self, run_id: RunId) -> Option<Header> {
        let execution = self.executions.get(&run_id)?;
        let open = self.open_run.get(&run_id);
        Some(Header {
            shard: execution.shard,
            run_id: run_id.0,
            namespace: 1,
            workflow_id: execution.workflow_id.to_string(),
            current: self.current.get(&execution.workflow_id) == Some(&run_id),
            parked: open.map(|open| matches!(open, OpenRow::Parked(_))),
            due_at: open.and_then(|open| match open {
                OpenRow::Parked(due) => due.map(|at| at.0),
                OpenRow::Hot => None,
            }),
            in_outbox: self.outbox.contains(&run_id),
        })
    }

    /// Folds a run whose header was read before.
    pub(super) fn fold(&self, header: &Header) -> Result<Loaded, Error> {
        let mut folding = Folding::new(&ns().name, header);
        for row in self
            .history
            .get(&RunId(header.run_id))
            .into_iter()
            .flatten()
        {
            folding.row(row);
        }
        let run_id = RunId(header.run_id);
        let attempts = (run_id, EventId::NONE)..=(run_id, EventId(i64::MAX));
        for note in self.attempts.range(attempts).map(|(_, note)| note) {
            folding.row(&Row {
                run_id: run_id.0,
                seq: None,
                version: history::chain::VERSION,
                records: note.clone(),
                hash: None,
            });
        }
        folding.end(header)
    }

    /// Returns the runs that are open.
    pub(in crate::sim) fn open(&self) -> impl Iterator<Item = (&RunId, &WorkflowId)> {
        self.executions
            .iter()
            .filter(|(_, execution)| !execution.closed)
            .map(|(run_id, execution)| (run_id, &execution.workflow_id))
    }

    /// Says whether a run of an id is open.
    pub(in crate::sim) fn is_open(&self, workflow_id: &WorkflowId) -> bool {
        self.open().any(|(_, id)| id == workflow_id)
    }

    /// Returns the runs of an id that are closed.
    pub(in crate::sim) fn closed(&self, workflow_id: &WorkflowId) -> Vec<RunId> {
        self.executions
            .iter()
            .filter(|(_, execution)| execution.closed && execution.workflow_id == *workflow_id)
            .map(|(run_id, _)| *run_id)
            .collect()
    }

    /// Returns the parked runs that are due at some moment.
    pub(in crate::sim) fn due(&self) -> BTreeMap<RunId, Timestamp> {
        let due = self
            .open_run
            .iter()
            .filter_map(|(run_id, open)| match open {
                OpenRow::Parked(Some(at)) => Some((*run_id, *at)),
                _ => None,
            });
        due.collect()
    }

    /// Returns what `open_run`, `attempt` and `outbox` say that is not so.
    pub(in crate::sim) fn leftover(&self) -> Option<String> {
        let stale = self
            .open_run
            .keys()
            .find(|run_id| self.executions.get(run_id).is_none_or(|e| e.closed));
        let over = self
            .attempts
            .keys()
            .find(|(run_id, _)| self.executions.get(run_id).is_none_or(|e| e.closed));
        if let Some((run_id, _)) = over {
            return Some(format!("attempt has {run_id}, which is closed"));
        }
        match (stale, self.outbox.first()) {
            (Some(run_id), _) => Some(format!("open_run has {run_id}, which is closed")),
            (None, Some(run_id)) => Some(format!(
                "outbox has {run_id}, which has had time to deliver"
            )),
            (None, None) => None,
        }
    }

    /// Returns the text of all rows of a run.
    pub(in crate::sim) fn records(&self, run_id: RunId) -> String {
        let rows = self.history.get(&run_id).into_iter().flatten();
        rows.map(|row| row.records.as_str()).collect()
    }

    /// Takes note that a whole history is being read, and returns its bytes.
    pub(super) fn begin_history(&mut self, run_id: RunId) -> usize {
        let bytes = self.records(run_id).len();
        self.history_bytes += bytes;
        self.histories_asked += 1;
        self.most_history_bytes = self.most_history_bytes.max(self.history_bytes);
        bytes
    }

    /// Returns how many bytes a run has stored.
    pub(super) fn stored_bytes(&self, run_id: RunId) -> u64 {
        let attempts = (run_id, EventId::NONE)..=(run_id, EventId(i64::MAX));
        let notes = self.attempts.range(attempts).map(|(_, note)| note.len());
        (self.records(run_id).len() + notes.sum::<usize>()) as u64
    }

    /// Returns the run that an id means.
    pub(in crate::sim) fn current(&self, workflow_id: &WorkflowId) -> Option<RunId> {
        self.current.get(workflow_id).copied()
    }

    pub(in crate::sim) fn run_exists(&self, run_id: RunId) -> bool {
        self.executions.contains_key(&run_id)
    }

    /// Returns whether any run of an id has this in its history.
    pub(in crate::sim) fn mentions(&self, workflow_id: &WorkflowId, text: &str) -> bool {
        self.executions
            .iter()
            .filter(|(_, execution)| execution.workflow_id == *workflow_id)
            .any(|(run_id, _)| self.records(*run_id).contains(text))
    }

    /// Gives shards of a member to others, those that are there.
    pub(super) fn give(&mut self, term: Term, moves: Vec<Move>) {
        if !self.is_member(term) {
            return;
        }
        let giver_since = self.members[&term.owner].open_since;
        self.version += 1;
        for Move { shard, to: heir } in moves {
            let heir_is_there = self.members.contains_key(&heir);
            let placed = &mut self.shards[usize::try_from(shard).unwrap_or(0)];
            if placed.member == Some(term.owner) && heir_is_there {
                placed.member = Some(heir);
                self.given += 1;
                let since = placed.open_since.unwrap_or(giver_since);
                placed.open_since = Some(since.min(giver_since));
            }
        }
    }

    /// Gives a member what nobody owns.
    pub(super) fn claim(&mut self, member: Uuid) {
        self.version += 1;
        for placed in &mut self.shards {
            placed.member.get_or_insert(member);
        }
    }
}
