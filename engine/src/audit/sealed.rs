//! The check of a database against its sealed log: what was signed is what is there, or was deleted on record.

use std::collections::{BTreeMap, BTreeSet};

use history::{RunId, Timestamp, chain::Hash, record};
use tlog_tiles::tlog;
use uuid::Uuid;

use super::{
    finding::{Finding, Problem},
    report::{Report, Summary, Trust},
    source::Source,
};
use crate::{
    seal::{
        Checkpoint, Entry, Note, PublicKey, Subject, hash_of_runs, hash_of_tiles,
        tree::{Edge, TILE, TILE_HEIGHT},
    },
    store::{
        Error,
        audit::{Key, Row},
        seal::audit::Deleted,
    },
};

/// How much older than its commit an event can be, in microseconds.
const SLACK: i64 = 60_000_000;

/// What is wrong where a checkpoint that was kept does not fit.
const LOST: &str = "the log is not one that goes on from the checkpoint that was kept: it was cut off, or rewritten";

/// What was sealed, to be compared with what is there.
pub(super) struct Sealed {
    /// The heads, in the order of rows.
    heads: Vec<Head>,
    /// How many of them were passed.
    passed: usize,
    /// The last sealed row of the run whose rows are read that was found right.
    right: Option<Head>,
    /// The run of which a row was found wrong last: those behind it are, too.
    wrong: Option<Key>,
    /// Heads whose rows are not there.
    missing: Vec<Head>,
    /// Deletions, by their ids, each with its tile.
    tombstones: BTreeMap<Uuid, (Hash, i64)>,
    /// Deletions of tiles, by their ids.
    pruned: BTreeMap<Uuid, Hash>,
    /// The tiles that are not there.
    without_tile: BTreeSet<i64>,
    /// When the last checkpoint was made, and what is sealed by it: all that was committed before.
    checked_at: Timestamp,
    complete_until: Option<Timestamp>,
    /// Some of what was committed before the last checkpoint may not be sealed.
    has_gap: bool,
    findings: Vec<Finding>,
    summary: Summary,
}

/// A sealed row of history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Head {
    run: Key,
    seq: i32,
    hash: Hash,
    tile: i64,
}

impl Sealed {
    /// Reads all that is sealed, and checks that it is what was signed by those who are trusted, or who follow them.
    pub(super) async fn read(source: Source<'_>, trust: &Trust) -> Result<Self, Error> {
        let mut sealed = Self {
            heads: Vec::new(),
            passed: 0,
            right: None,
            wrong: None,
            missing: Vec::new(),
            tombstones: BTreeMap::new(),
            pruned: BTreeMap::new(),
            without_tile: BTreeSet::new(),
            checked_at: Timestamp(0),
            complete_until: None,
            has_gap: false,
            findings: Vec::new(),
            summary: Summary::default(),
        };
        let checkpoints = sealed.checkpoints(source, &trust.keys).await?;
        if let Some(last) = checkpoints.last() {
            sealed.checked_at = last.at;
            sealed.complete_until = last.complete_until;
            sealed.has_gap = checkpoints.iter().any(|checkpoint| checkpoint.has_gap);
            sealed.summary.entries = last.size;
            sealed.summary.complete_until = last.complete_until;
        }
        sealed.summary.checkpoints = u64::try_from(checkpoints.len()).unwrap_or(u64::MAX);
        let kept = trust
            .checkpoint
            .as_ref()
            .and_then(|note| sealed.kept(note, &trust.keys));
        sealed.entries(source, &checkpoints, kept).await?;
        sealed.heads.sort_unstable();
        Ok(sealed)
    }

    fn find(&mut self, problem: Problem, sentence: String) {
        self.findings.push(Finding {
            run: None,
            seq: None,
            problem,
            sentence,
        });
    }

    fn find_in(&mut self, run: Key, seq: i32, problem: Problem, sentence: String) {
        self.findings.push(Finding {
            run: Some(run.run_ref()),
            seq: Some(seq),
            problem,
            sentence,
        });
    }

    /// Reads the checkpoints up to the first that can't be trusted.
    async fn checkpoints(
        &mut self,
        source: Source<'_>,
        keys: &[PublicKey],
    ) -> Result<Vec<Checkpoint>, Error> {
        let mut keys = keys.to_vec();
        let mut all: Vec<Checkpoint> = Vec::new();
        let rows = source.checkpoints().await?;
        if rows.is_empty() {
            self.find(
                Problem::Checkpoint,
                "there is no checkpoint: nothing was sealed, or all of it was deleted".to_owned(),
            );
        }
        for (n, row) in (0..).zip(rows) {
            match trusted(&keys, n, &row, all.last()) {
                Ok(checkpoint) => {
                    keys.extend(checkpoint.next_key.clone());
                    all.push(checkpoint);
                }
                Err(problem) => {
                    let sentence = format!(
                        "checkpoint {}: {problem}; it and those behind it prove nothing",
                        row.n
                    );
                    self.find(Problem::Checkpoint, sentence);
                    break;
                }
            }
        }
        Ok(all)
    }

    /// Reads a checkpoint that somebody has kept.
    fn kept(&mut self, note: &Note, keys: &[PublicKey]) -> Option<Checkpoint> {
        let kept = note
            .verify(keys)
            .and_then(|(text, _)| Checkpoint::read(text).ok());
        if kept.is_none() {
            let sentence = "the checkpoint that was kept is signed by none of the given keys";
            self.find(Problem::Checkpoint, sentence.to_owned());
        }
        kept
    }

    /// Reads the entries, and computes the root at each checkpoint.
    async fn entries(
        &mut self,
        source: Source<'_>,
        checkpoints: &[Checkpoint],
        kept: Option<Checkpoint>,
    ) -> Result<(), Error> {
        let size = checkpoints.last().map_or(0, |last| last.size);
        let mut roots = checkpoints.iter().enumerate().peekable();
        if let Some(kept) = &kept
            && (kept.size > size || checkpoints.iter().all(|it| it.log != kept.log))
        {
            self.find(Problem::Checkpoint, LOST.to_owned());
        }
        let mut edge = Edge::default();
        let mut is_right = true;
        let mut tiles = source.tiles(0).await?.into_iter().peekable();
        let mut from = 0;
        while edge.size() < size {
            let n = i64::try_from(edge.size() / TILE).unwrap_or(i64::MAX);
            if tiles.peek().is_none() {
                tiles = source.tiles(from).await?.into_iter().peekable();
            }
            let found = tiles.next_if(|(tile, _)| *tile == n);
            let is_pruned = found.is_none();
            if is_pruned {
                let Some(root) = source.tile_root(n).await? else {
                    let sentence = format!(
                        "entries {} to {} of the log are gone, and nothing is left in their place",
                        edge.size(),
                        size - 1
                    );
                    self.find(Problem::Seal, sentence);
                    return Ok(());
                };
                self.without_tile.insert(n);
                edge.push(TILE_HEIGHT, tlog::Hash(root));
            }
            let entries = found.map(|(_, entries)| entries).unwrap_or_default();
            from = n + 1;
            let room =
                usize::try_from(TILE.min(size - n.unsigned_abs() * TILE)).unwrap_or(usize::MAX);
            if entries.len() < room && !is_pruned {
                let sentence = format!(
                    "tile {n} of the log has {} entries, and {room} were sealed",
                    entries.len()
                );
                self.find(Problem::Seal, sentence);
                return Ok(());
            }
            for (shard, entry) in entries.into_iter().take(room) {
                edge.push(0, entry.leaf());
                self.take(n, shard, entry);
                if let Some(kept) = &kept
                    && kept.size == edge.size()
                    && kept.root != edge.root()
                {
                    self.find(Problem::Checkpoint, LOST.to_owned());
                }
                while let Some((at, checkpoint)) = roots.next_if(|(_, it)| it.size <= edge.size()) {
                    is_right = self.check_root(&edge, at, checkpoints, checkpoint, is_right);
                }
            }
            // A checkpoint that ends inside of a tile that is gone can't be checked; none does, if nobody meddles.
            while let Some((at, checkpoint)) = roots.next_if(|(_, it)| it.size <= edge.size()) {
                is_right = self.check_root(&edge, at, checkpoints, checkpoint, is_right);
            }
        }
        Ok(())
    }

    /// Compares the root with the one that was signed; says whether all were right so far.
    fn check_root(
        &mut self,
        edge: &Edge,
        at: usize,
        checkpoints: &[Checkpoint],
        checkpoint: &Checkpoint,
        was_right: bool,
    ) -> bool {
        let is_right = edge.size() == checkpoint.size && edge.root() == checkpoint.root;
        if was_right && !is_right {
            let from = at
                .checked_sub(1)
                .map_or(0, |before| checkpoints[before].size);
            let sentence = format!(
                "entries {from} to {} of the log are not those that checkpoint {at} signed",
                checkpoint.size.saturating_sub(1)
            );
            self.find(Problem::Seal, sentence);
        }
        was_right && is_right
    }

    fn take(&mut self, tile: i64, shard: i16, entry: Entry) {
        match entry.subject {
            Subject::History { seq } => self.heads.push(Head {
                run: Key {
                    shard,
                    run_id: entry.id,
                },
                seq,
                hash: entry.hash,
                tile,
            }),
            Subject::Tombstone => {
                self.tombstones.insert(entry.id, (entry.hash, tile));
            }
            Subject::Pruned => {
                self.pruned.insert(entry.id, entry.hash);
            }
        }
    }

    /// Compares the next row of history, in the order of their key, with what was sealed.
    pub(super) fn check(&mut self, row: &Row) {
        let (run, seq) = (row.run(), row.seq);
        self.pass(|head| (head.run, head.seq) < (run, seq));
        if self.right.is_some_and(|right| right.run != run) {
            self.right = None;
        }
        let mut is_sealed = false;
        while let Some(head) = self.heads.get(self.passed).copied()
            && (head.run, head.seq) == (run, seq)
        {
            self.passed += 1;
            if head.hash == row.hash.as_slice() {
                self.right = Some(head);
            } else if self.wrong.replace(run) != Some(run) {
                let first = self.right.map_or(0, |right| right.seq + 1);
                let rows = if first < seq {
                    format!("one of the rows {first} to {seq}")
                } else {
                    "the row".to_owned()
                };
                let sentence = format!("{rows} is not what was sealed");
                self.find_in(run, seq, Problem::Changed, sentence);
            }
            is_sealed = true;
        }
        let follows = self
            .heads
            .get(self.passed)
            .is_some_and(|head| head.run == run);
        if !is_sealed && !follows {
            self.check_unsealed(row);
        }
    }

    /// A row behind all that was sealed of its run must be young.
    fn check_unsealed(&mut self, row: &Row) {
        self.summary.rows_not_sealed += 1;
        let records = record::read(row.version, &row.records).unwrap_or_default();
        let last = records.iter().map(|record| record.at().0).max();
        if let (Some(until), Some(last)) = (self.complete_until, last)
            && last < until.0 - SLACK
        {
            let sentence = format!(
                "the row is older than {}, and was not sealed by then: it was put in later",
                history::rfc3339::Utc(until)
            );
            self.find_in(row.run(), row.seq, Problem::Inserted, sentence);
        }
    }

    /// Goes by heads, whose rows are not there.
    fn pass(&mut self, is_before: impl Fn(&Head) -> bool) {
        while let Some(head) = self.heads.get(self.passed).copied()
            && is_before(&head)
        {
            self.passed += 1;
            self.missing.push(head);
        }
    }

    /// Judges what is missing by what was deleted on record, and adds what was found.
    pub(super) async fn finish(
        mut self,
        source: Source<'_>,
        report: &mut Report,
    ) -> Result<(), Error> {
        self.pass(|_| true);
        let gone = Gone {
            tiles: self.check_pruned(source).await?,
            last: (self.missing.iter())
                .map(|head| (head.run.run_id, *head))
                .collect(),
        };
        let mut missing: BTreeMap<Key, Head> = BTreeMap::new();
        for head in std::mem::take(&mut self.missing) {
            if !gone.tiles.contains(&head.tile) {
                missing.entry(head.run).or_insert(head);
            }
        }
        let mut deleted: BTreeSet<Uuid> = BTreeSet::new();
        let mut after = Uuid::nil();
        loop {
            let page = source.deleted(after).await?;
            let Some(last) = page.last() else {
                break;
            };
            after = last.tombstone.id;
            for row in page {
                self.check_deleted(&row, &gone);
                deleted.extend(row.run_ids.into_iter().flatten().chain(row.run_id));
            }
        }
        for id in std::mem::take(&mut self.tombstones).into_keys() {
            self.find(
                Problem::Tombstone,
                format!("the row {id} of tombstone was sealed, and is gone"),
            );
        }
        for (run, head) in missing {
            // Both are read again: somebody may have deleted it meanwhile.
            if deleted.contains(&run.run_id) && source.is_gone(run).await? {
                continue;
            }
            let sentence = format!(
                "the row was sealed and is gone, and no deletion on record names run {}",
                RunId(run.run_id)
            );
            self.find_in(run, head.seq, Problem::Removed, sentence);
        }
        for finding in self.findings {
            report.add(finding);
        }
        report.sealed = Some(self.summary);
        Ok(())
    }

    /// Returns the tiles that are gone by now, and finds those of which nobody has said so.
    async fn check_pruned(&mut self, source: Source<'_>) -> Result<BTreeSet<i64>, Error> {
        let mut on_record = BTreeSet::new();
        for row in source.pruned().await? {
            match self.pruned.remove(&row.id) {
                Some(hash) if hash != hash_of_tiles(&row.tiles) => {
                    self.find(
                        Problem::Seal,
                        format!("the row {} of seal_pruned is not what was sealed", row.id),
                    );
                }
                None if row.at <= self.checked_at => {
                    self.find(
                        Problem::Seal,
                        format!(
                            "the row {} of seal_pruned was not sealed: it was put in later",
                            row.id
                        ),
                    );
                }
                // It was sealed, or came after the last checkpoint that was read.
                _ => on_record.extend(row.tiles),
            }
        }
        for id in std::mem::take(&mut self.pruned).into_keys() {
            self.find(
                Problem::Seal,
                format!("the row {id} of seal_pruned was sealed, and is gone"),
            );
        }
        for tile in std::mem::take(&mut self.without_tile) {
            if !on_record.contains(&tile) {
                self.find(
                    Problem::Seal,
                    format!("tile {tile} of the log is gone, and nothing on record says why"),
                );
            }
        }
        Ok(on_record)
    }

    /// Compares what is said of a deletion with what was sealed of it, and of the runs.
    fn check_deleted(&mut self, row: &Deleted, gone: &Gone) {
        let tombstone = &row.tombstone;
        let id = tombstone.id;
        let Some((hash, tile)) = self.tombstones.remove(&id) else {
            self.summary.deletions_not_checked += 1;
            let is_old = |until: Timestamp| tombstone.at.0 < until.0 - SLACK;
            if self.complete_until.is_some_and(is_old) {
                let sentence = format!(
                    "the row {id} of tombstone is old, and was not sealed: it was put in later"
                );
                self.find(Problem::Tombstone, sentence);
            }
            return;
        };
        if hash != tombstone.digest() {
            let sentence = format!("the row {id} of tombstone is not what was sealed");
            self.find(Problem::Tombstone, sentence);
            return;
        }
        let run_ids = row.run_ids.as_deref().unwrap_or_default();
        let heads: Option<Vec<&Head>> = run_ids.iter().map(|id| gone.last.get(id)).collect();
        let heads = heads.unwrap_or_default();
        // What was sealed of them last may have been in a tile that is gone, or in none.
        let first = heads.iter().map(|head| head.tile).min();
        let is_known = |first| !self.has_gap && gone.tiles.range(first..=tile).next().is_none();
        if !first.is_some_and(is_known) {
            self.summary.deletions_not_checked += 1;
            return;
        }
        let heads = heads.into_iter().map(|head| (head.run.run_id, &head.hash));
        if hash_of_runs(heads) != tombstone.hash.as_slice() {
            let sentence = format!(
                "the runs that the row {id} of tombstone names had other histories than were sealed when they were deleted"
            );
            self.find(Problem::Tombstone, sentence);
        }
    }
}

/// What is there no more.
struct Gone {
    /// Tiles.
    tiles: BTreeSet<i64>,
    /// Runs, with what was sealed of each last.
    last: BTreeMap<Uuid, Head>,
}

/// Reads a checkpoint that follows another one, if it can be trusted.
fn trusted(
    keys: &[PublicKey],
    n: i64,
    row: &crate::store::seal::audit::Checkpoint,
    previous: Option<&Checkpoint>,
) -> Result<Checkpoint, &'static str> {
    let note: Note = row.note.parse().map_err(|_| "it can't be read")?;
    let (text, _) = note
        .verify(keys)
        .ok_or("none of the given keys has signed it, nor one that follows them")?;
    let checkpoint = Checkpoint::read(text).map_err(|_| "it can't be read")?;
    if row.n != n || checkpoint.previous != previous.map(Checkpoint::hash) {
        return Err(
            "it does not follow the one before it: one was removed, or put at another place",
        );
    }
    let columns = (u64::try_from(row.size), row.root.as_slice());
    if columns != (Ok(checkpoint.size), &checkpoint.root.0[..]) {
        return Err("its row says something else than was signed");
    }
    let grows = |previous: &Checkpoint| {
        previous.log == checkpoint.log
            && previous.size <= checkpoint.size
            && previous.at <= checkpoint.at
    };
    if previous.is_some_and(|previous| !grows(previous)) {
        return Err("it is of another log, or an earlier one");
    }
    Ok(checkpoint)
}
