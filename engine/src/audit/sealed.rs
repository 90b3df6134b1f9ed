//! The check of a database against its sealed log: what was signed is what is there, or was deleted on record.

use std::collections::{BTreeMap, BTreeSet};

use history::{RunId, Timestamp, rfc3339::Utc};
use uuid::Uuid;

use super::{
    finding::{Finding, Problem},
    log::{Head, Log, Sealing},
    report::{Report, Summary, Trust},
    source::Source,
};
use crate::{
    limits::SEALED_LATE_MAX,
    seal::{hash_of_runs, hash_of_tiles, hash_of_uuids},
    store::{
        Error,
        audit::{Key, Row},
        seal::audit::{Deleted, Pruned},
    },
};

/// [`SEALED_LATE_MAX`] in microseconds: a batch may wait for a server that was replaced.
const SLACK: i64 = SEALED_LATE_MAX.as_secs().cast_signed() * 1_000_000;

/// What was sealed, to be compared with what is there.
pub(super) struct Sealed<'a> {
    trust: &'a Trust,
    log: Log,
    /// The heads, in the order of rows.
    heads: Vec<Head>,
    /// How many of them were passed.
    passed: usize,
    /// The run whose rows are read, and its last sealed row that was found right.
    run: Option<Key>,
    right: Option<Head>,
    /// The run of which a row was found wrong last: those behind it are, too.
    wrong: Option<Key>,
    /// Runs that were sealed as closed, and again with another history: the row that says so.
    reopened: BTreeMap<Key, i32>,
    /// Heads whose rows are not there, by run: the first of each.
    missing: BTreeMap<Key, Missing>,
    /// The last of each run of which some are missing.
    last: BTreeMap<Uuid, Head>,
    /// What time it is.
    now: Timestamp,
    findings: Vec<Finding>,
    young_rows: u64,
    unchecked_deletions: u64,
}

/// What the log said of deletions at a moment.
struct OnRecord {
    tombstones: BTreeSet<Uuid>,
    pruned: BTreeSet<Uuid>,
    without_tile: BTreeSet<i64>,
}

impl OnRecord {
    fn of(log: &Log) -> Self {
        Self {
            tombstones: log.tombstones.keys().copied().collect(),
            pruned: log.pruned.keys().copied().collect(),
            without_tile: log.without_tile.clone(),
        }
    }
}

/// A sealed row that is not there.
struct Missing {
    first: Head,
    /// The tiles that name the run.
    tiles: BTreeSet<i64>,
    /// Other rows of the run are there.
    has_rows: bool,
}

impl<'a> Sealed<'a> {
    /// Reads all that is sealed, and checks that it is what was signed by those who are trusted, or who follow them.
    pub(super) async fn read(source: Source<'_>, trust: &'a Trust) -> Result<Self, Error> {
        let mut log = Log::read(source, trust).await?;
        let mut heads = std::mem::take(&mut log.heads);
        heads.sort_unstable();
        Ok(Self {
            trust,
            reopened: reopened(&heads),
            heads,
            passed: 0,
            run: None,
            right: None,
            wrong: None,
            missing: BTreeMap::new(),
            last: BTreeMap::new(),
            now: source.now().await?,
            findings: Vec::new(),
            young_rows: 0,
            unchecked_deletions: 0,
            log,
        })
    }

    /// Returns what is sealed as a whole, as far as it can be told: it was said by a clock that may have been set back since.
    fn complete_until(&self) -> Option<Timestamp> {
        self.log.complete_until().map(|until| until.min(self.now))
    }

    fn find(&mut self, problem: Problem, sentence: String) {
        self.findings.push(Finding::of_log(problem, sentence));
    }

    fn find_in(&mut self, run: Key, seq: i32, problem: Problem, sentence: String) {
        self.findings.push(Finding {
            run: Some(run.run_ref()),
            seq: Some(seq),
            problem,
            sentence,
        });
    }

    /// Compares the next row of history, in the order of their key, with what was sealed; it was made at this time, as far as it can be read.
    pub(super) fn check(&mut self, row: &Row, at: Option<Timestamp>) {
        let (run, seq) = (row.run(), row.seq);
        self.pass(Some(run), |head| (head.run, head.seq) < (run, seq));
        if self.run.replace(run) != Some(run) {
            self.right = None;
        }
        if at.is_some_and(|at| at.0 > self.now.0 + SLACK) {
            let sentence = "the row says that it was made in the future".to_owned();
            self.find_in(run, seq, Problem::Inserted, sentence);
        }
        // The entry that covers it first, its own or one of a row behind it.
        let covers = self.heads.get(self.passed).filter(|head| head.run == run);
        let younger_than = if let Some(head) = covers {
            head.younger_than
        } else {
            self.young_rows += 1;
            self.complete_until().map(|until| until.0)
        };
        if let (Some(younger_than), Some(at)) = (younger_than, at)
            && at.0 < younger_than - SLACK
        {
            let sentence = format!(
                "the row is older than {}, and was not sealed by then: it was put in later",
                Utc(Timestamp(younger_than))
            );
            self.find_in(run, seq, Problem::Inserted, sentence);
        }
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
        }
    }

    /// Goes by heads, whose rows are not there.
    fn pass(&mut self, reading: Option<Key>, is_before: impl Fn(&Head) -> bool) {
        while let Some(head) = self.heads.get(self.passed).copied()
            && is_before(&head)
        {
            self.passed += 1;
            let has_rows = self.run == Some(head.run) || reading == Some(head.run);
            let missing = self.missing.entry(head.run).or_insert_with(|| Missing {
                first: head,
                tiles: BTreeSet::new(),
                has_rows: false,
            });
            missing.tiles.insert(head.tile);
            missing.has_rows |= has_rows;
            let before = self.last.insert(head.run.run_id, head);
            // One row has one hash, also where the run is deleted by now.
            if before.is_some_and(|before| before.seq == head.seq && before.hash != head.hash) {
                let sentence = "the row was sealed twice, as two different ones".to_owned();
                self.find_in(head.run, head.seq, Problem::Changed, sentence);
            }
        }
    }

    /// Judges what is missing by what was deleted on record, and adds what was found.
    pub(super) async fn finish(
        mut self,
        source: Source<'_>,
        report: &mut Report,
    ) -> Result<(), Error> {
        self.pass(None, |_| true);
        // What was deleted while rows were read was sealed since, or is young. What is on record by now is there when that is read; what comes after it
        // is for the next audit.
        self.advance(source).await?;
        let on_record = OnRecord::of(&self.log);
        let pruned = source.pruned().await?;
        self.advance(source).await?;
        let mut gone = self.check_pruned(pruned, &on_record);
        let deleted = self.check_all_deleted(source, &gone, &on_record).await?;
        // Tiles that were deleted meanwhile, and then which runs were.
        let pruned = source.pruned().await?;
        self.advance(source).await?;
        gone.extend(
            pruned
                .into_iter()
                .filter_map(|row| self.sealed_tiles(row))
                .flatten(),
        );
        for (run, missing) in std::mem::take(&mut self.missing) {
            let is_of_gone = missing.tiles.iter().all(|tile| gone.contains(tile));
            let is_deleted =
                deleted.contains(&run.run_id) && (!missing.has_rows || source.is_gone(run).await?);
            if is_of_gone || is_deleted {
                continue;
            }
            let sentence = format!(
                "the row was sealed and is gone, and no deletion on record names run {}",
                RunId(run.run_id)
            );
            self.find_in(run, missing.first.seq, Problem::Removed, sentence);
        }
        self.find_reopened();
        for finding in self.log.findings.iter().chain(&self.findings) {
            report.add(finding.clone());
        }
        report.sealed = Some(Summary {
            checkpoints: u64::try_from(self.log.checkpoints.len()).unwrap_or(u64::MAX),
            entries: self.log.size(),
            replaces: self.log.replaces(),
            gaps: self.log.gaps_said(),
            clock_set_back: self.log.clock_set_back(),
            complete_until: self.log.complete_until(),
            rows_not_sealed: self.young_rows,
            deletions_not_checked: self.unchecked_deletions,
        });
        Ok(())
    }

    /// Names the runs that were sealed with another history after they had closed, unless what is wrong with them is said already.
    fn find_reopened(&mut self) {
        for (run, seq) in std::mem::take(&mut self.reopened) {
            let is_of = |finding: &Finding| finding.run == Some(run.run_ref());
            if !self.findings.iter().any(is_of) {
                let sentence =
                    "the run was sealed as closed, and once more with another history: somebody has written it anew".to_owned();
                self.find_in(run, seq, Problem::Changed, sentence);
            }
        }
    }

    /// Reads what was sealed since.
    async fn advance(&mut self, source: Source<'_>) -> Result<(), Error> {
        self.log.advance(source, self.trust).await?;
        // Of runs that are deleted by now it is the last that counts.
        for head in std::mem::take(&mut self.log.heads) {
            let last = self.last.entry(head.run.run_id).or_insert(head);
            if last.seq < head.seq {
                *last = head;
            }
        }
        Ok(())
    }

    /// Returns the tiles that a row of `seal_pruned` names, if it is the one that was sealed.
    fn sealed_tiles(&self, row: Pruned) -> Option<Vec<i64>> {
        let hash = self.log.pruned.get(&row.id)?;
        (*hash == hash_of_tiles(&row.tiles)).then_some(row.tiles)
    }

    /// Returns the tiles that are gone by now, and finds those of which nobody has said so.
    fn check_pruned(&mut self, pruned: Vec<Pruned>, on_record: &OnRecord) -> BTreeSet<i64> {
        let mut gone = BTreeSet::new();
        let mut there = BTreeSet::new();
        for row in pruned {
            let id = row.id;
            there.insert(id);
            let is_sealed = self.log.pruned.contains_key(&id);
            match self.sealed_tiles(row) {
                Some(tiles) => gone.extend(tiles),
                None if is_sealed => {
                    let sentence = format!("the row {id} of seal_pruned is not what was sealed");
                    self.find(Problem::Seal, sentence);
                }
                // Where the log can't be followed to its end nothing can be said of what is not in it.
                None if !self.log.findings.is_empty() => {}
                None => {
                    let sentence = format!(
                        "the row {id} of seal_pruned was never sealed: it was put in later"
                    );
                    self.find(Problem::Seal, sentence);
                }
            }
        }
        for id in on_record.pruned.difference(&there) {
            let sentence = format!("the row {id} of seal_pruned was sealed, and is gone");
            self.find(Problem::Seal, sentence);
        }
        for tile in &on_record.without_tile {
            if !gone.contains(tile) && self.log.findings.is_empty() {
                let sentence =
                    format!("tile {tile} of the log is gone, and nothing on record says why");
                self.find(Problem::Seal, sentence);
            }
        }
        gone
    }

    /// Returns the runs that were deleted on record.
    async fn check_all_deleted(
        &mut self,
        source: Source<'_>,
        gone: &BTreeSet<i64>,
        on_record: &OnRecord,
    ) -> Result<BTreeSet<Uuid>, Error> {
        let mut deleted = BTreeSet::new();
        let mut after = Uuid::nil();
        loop {
            let page = source.deleted(after).await?;
            let Some(last) = page.last() else {
                break;
            };
            after = last.tombstone.id;
            // What has an entry was committed with it.
            if (page.iter()).any(|row| row.leaf.is_some_and(|leaf| leaf >= self.log.size())) {
                self.advance(source).await?;
            }
            for row in page {
                if self.check_deleted(&row, gone) {
                    deleted.extend(row.run_ids.into_iter().flatten());
                }
            }
        }
        let left = std::mem::take(&mut self.log.tombstones);
        for id in left.keys().filter(|id| on_record.tombstones.contains(id)) {
            let sentence = format!("the row {id} of tombstone was sealed, and is gone");
            self.find(Problem::Tombstone, sentence);
        }
        Ok(deleted)
    }

    /// Compares what is said of a deletion with what was sealed of it, and of the runs. Says whether it is on record.
    fn check_deleted(&mut self, row: &Deleted, gone: &BTreeSet<i64>) -> bool {
        let (tombstone, id) = (&row.tombstone, row.tombstone.id);
        let names_others = row
            .run_ids
            .as_ref()
            .is_some_and(|run_ids| tombstone.runs_hash != hash_of_uuids(run_ids));
        if names_others {
            let sentence = format!("the row {id} of tombstone names other runs than were deleted");
            self.find(Problem::Tombstone, sentence);
            return false;
        }
        if !counts_right(row) {
            let sentence = format!("the row {id} of tombstone says of other runs than it names");
            self.find(Problem::Tombstone, sentence);
            return false;
        }
        let Some(Sealing {
            hash,
            tile,
            younger_than,
        }) = self.log.tombstones.remove(&id)
        else {
            return self.check_unsealed(row);
        };
        if hash != tombstone.digest() {
            let sentence = format!("the row {id} of tombstone is not what was sealed");
            self.find(Problem::Tombstone, sentence);
            return false;
        }
        if let Some(until) = younger_than.filter(|until| tombstone.at.0 < until - SLACK) {
            let sentence = format!(
                "the row {id} of tombstone says that it is older than {}, and was not sealed by then",
                Utc(Timestamp(until))
            );
            self.find(Problem::Tombstone, sentence);
        }
        let run_ids = row.run_ids.as_deref().unwrap_or_default();
        let heads: Option<Vec<&Head>> = run_ids.iter().map(|id| self.last.get(id)).collect();
        let heads = heads.unwrap_or_default();
        // What was sealed of them last may have been in a tile that is gone, or in none.
        let first = heads.iter().map(|head| head.tile).min();
        let last = heads.iter().map(|head| head.tile).max().unwrap_or(tile);
        let is_known = |first| {
            last <= tile
                && gone.range(first..=tile).next().is_none()
                && self.log.gaps.range(first..=tile).next().is_none()
        };
        if !first.is_some_and(is_known) {
            self.unchecked_deletions += 1;
            return true;
        }
        let heads = heads.into_iter().map(|head| (head.run.run_id, &head.hash));
        if hash_of_runs(heads) != tombstone.hash.as_slice() {
            let sentence = format!(
                "the runs that the row {id} of tombstone names had other histories than were sealed when they were deleted"
            );
            self.find(Problem::Tombstone, sentence);
        }
        true
    }

    /// A deletion that is not sealed must be young, and wait for that. Says whether it does.
    fn check_unsealed(&mut self, row: &Deleted) -> bool {
        if !self.log.findings.is_empty() {
            // Where the log can't be followed to its end nothing can be said of what is not in it.
            self.unchecked_deletions += 1;
            return true;
        }
        let (id, at) = (row.tombstone.id, row.tombstone.at.0);
        let is_old = |until: Timestamp| at < until.0 - SLACK;
        if row.leaf.is_some()
            || at > self.now.0 + SLACK
            || self.complete_until().is_some_and(is_old)
        {
            let sentence =
                format!("the row {id} of tombstone was never sealed: it was put in later");
            self.find(Problem::Tombstone, sentence);
            return false;
        }
        self.unchecked_deletions += 1;
        true
    }
}

/// Returns the runs that have an entry with another history than that with which they had closed: its row.
fn reopened(heads: &[Head]) -> BTreeMap<Key, i32> {
    let of_runs = heads.chunk_by(|one, other| one.run == other.run);
    let reopened = of_runs.filter_map(|heads| {
        let at = heads.iter().position(|head| head.closes)?;
        let closed = heads[at];
        let is_other = |head: &&Head| (head.seq, head.hash) != (closed.seq, closed.hash);
        let other = heads[at..].iter().find(is_other)?;
        Some((other.run, other.seq))
    });
    reopened.collect()
}

/// Says whether a deletion is said to be of as many runs as it names, and of that one if it is one.
fn counts_right(row: &Deleted) -> bool {
    let said = &row.tombstone;
    let Some(run_ids) = &row.run_ids else {
        return true;
    };
    let is_of_one = match (run_ids.as_slice(), said.run_id) {
        ([one], Some(run_id)) => *one == run_id,
        ([_], None) => false,
        (_, named) => named.is_none() && said.workflow_id.is_none(),
    };
    is_of_one && usize::try_from(said.runs) == Ok(run_ids.len())
}
