//! The sealed log, as far as it is what was signed by those who are trusted.

use std::collections::{BTreeMap, BTreeSet};

use history::{Timestamp, chain::Hash, rfc3339::Utc};
use tlog_tiles::tlog;
use uuid::Uuid;

use super::{
    finding::{Finding, Problem},
    report::Trust,
    source::Source,
};
use crate::{
    seal::{
        Checkpoint, Entry, Note, PublicKey, Subject,
        tree::{Edge, TILE, TILE_HEIGHT},
    },
    store::{Error, audit::Key, seal::audit},
};

/// What is sealed.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// Who may sign the next checkpoint.
    keys: Vec<PublicKey>,
    /// Who has signed the last one.
    signer: Option<PublicKey>,
    /// Who was followed by another key, and signs no more.
    followed: Vec<PublicKey>,
    pub(super) checkpoints: Vec<Checkpoint>,
    edge: Edge,
    /// All that was computed so far is what was signed.
    is_right: bool,
    /// What was sealed as a whole before the checkpoint that is next to be reached.
    complete_until: Option<Timestamp>,
    /// How many checkpoints were reached.
    reached: usize,
    /// The heads of runs, in the order of the log.
    pub(super) heads: Vec<Head>,
    /// Deletions, by their ids.
    pub(super) tombstones: BTreeMap<Uuid, Sealing>,
    /// Deletions of tiles, by their ids.
    pub(super) pruned: BTreeMap<Uuid, Hash>,
    /// The tiles that are not there.
    pub(super) without_tile: BTreeSet<i64>,
    /// The tiles at which something may be missing, that was committed before.
    pub(super) gaps: BTreeSet<i64>,
    pub(super) findings: Vec<Finding>,
}

/// How a deletion was sealed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sealing {
    /// Of what was said of it.
    pub(super) hash: Hash,
    pub(super) tile: i64,
    /// As of a [`Head`].
    pub(super) younger_than: Option<i64>,
}

/// A sealed row of history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Head {
    pub(super) run: Key,
    pub(super) seq: i32,
    pub(super) hash: Hash,
    /// It closes the run.
    pub(super) closes: bool,
    pub(super) tile: i64,
    /// What was committed before this moment had been sealed before, also where there was a gap since. None where that is not known.
    pub(super) younger_than: Option<i64>,
}

impl Log {
    /// Reads all of it.
    pub(super) async fn read(source: Source<'_>, trust: &Trust) -> Result<Self, Error> {
        let mut log = Self {
            keys: trust.keys.clone(),
            is_right: true,
            ..Self::default()
        };
        log.advance(source, trust).await?;
        if log.checkpoints.is_empty() && log.findings.is_empty() {
            log.find(
                Problem::Checkpoint,
                "there is no checkpoint: nothing was sealed, or all of it was deleted".to_owned(),
            );
        }
        if let Some(note) = &trust.checkpoint {
            log.check_kept(note);
        }
        Ok(log)
    }

    /// Reads what was sealed since.
    pub(super) async fn advance(&mut self, source: Source<'_>, trust: &Trust) -> Result<(), Error> {
        if self.findings.is_empty() {
            self.read_checkpoints(source, trust).await?;
            self.read_entries(source).await?;
        }
        Ok(())
    }

    fn find(&mut self, problem: Problem, sentence: String) {
        self.findings.push(Finding::of_log(problem, sentence));
    }

    /// Reads the checkpoints up to the first that can't be trusted.
    async fn read_checkpoints(&mut self, source: Source<'_>, trust: &Trust) -> Result<(), Error> {
        let known = i64::try_from(self.checkpoints.len()).unwrap_or(i64::MAX);
        for (n, row) in (known..).zip(source.checkpoints(known).await?) {
            match self.trusted(n, &row, trust) {
                Ok((checkpoint, signer)) => self.accept(checkpoint, signer),
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
        Ok(())
    }

    fn accept(&mut self, checkpoint: Checkpoint, signer: PublicKey) {
        let before = self.signer.replace(signer.clone());
        // Who was followed signs no more.
        if let Some(next) = &checkpoint.next_key {
            let followed = before.into_iter().chain([signer]);
            self.followed.extend(followed.filter(|key| key != next));
            self.signer = Some(next.clone());
            self.keys = vec![next.clone()];
        }
        self.checkpoints.push(checkpoint);
    }

    /// Reads a checkpoint that follows the last one, if it can be trusted.
    fn trusted(
        &self,
        n: i64,
        row: &audit::Checkpoint,
        trust: &Trust,
    ) -> Result<(Checkpoint, PublicKey), &'static str> {
        let note: Note = row.note.parse().map_err(|_| "it can't be read")?;
        let checkpoint = Checkpoint::read(note.unverified()).map_err(|_| "it can't be read")?;
        // A key that follows one that is lost is trusted if it is one of those that were given.
        let follows = checkpoint.next_key.as_slice();
        let may_follow = |key: &PublicKey| trust.keys.contains(key) && !self.followed.contains(key);
        let by_next = || {
            note.verify(follows)
                .filter(|_| follows.iter().all(may_follow))
        };
        let by = note.verify(&self.keys).or_else(by_next);
        let Some(signer) = by.map(|(_, key)| key.clone()) else {
            return Err(
                "none of the given keys has signed it, nor one that follows them: give the first one; and one that was followed signs no more",
            );
        };
        let previous = self.checkpoints.last();
        let follows = match previous {
            Some(previous) => {
                checkpoint.replaces.is_none() && checkpoint.previous == Some(previous.hash())
            }
            None => checkpoint.replaces.is_some() || checkpoint.previous.is_none(),
        };
        if row.n != n || !follows {
            return Err(
                "it does not follow the one before it: one was removed, or put at another place",
            );
        }
        let row = (
            u64::try_from(row.size),
            row.root.as_slice(),
            row.at,
            row.complete_until,
        );
        let said = (
            Ok(checkpoint.size),
            &checkpoint.root.0[..],
            checkpoint.at,
            checkpoint.complete_until,
        );
        if row != said {
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
        Ok((checkpoint, signer))
    }

    /// Looks for a checkpoint that somebody has kept.
    fn check_kept(&mut self, note: &Note) {
        let is_kept = |checkpoint: &Checkpoint| checkpoint.text() == note.unverified();
        if self.checkpoints.iter().any(is_kept) {
            return;
        }
        let kept = Checkpoint::read(note.unverified()).map(|kept| kept.log);
        let sentence = match self.replaces() {
            Some((log, at)) if kept == Ok(log) => format!(
                "the checkpoint that was kept is one of log {log}, in whose place this one was begun at {}: what was sealed by then is proved no more",
                Utc(at)
            ),
            _ => {
                "the checkpoint that was kept is not one of this log: it was cut off, or rewritten"
                    .to_owned()
            }
        };
        self.find(Problem::Checkpoint, sentence);
    }

    /// Reads the entries behind those that were read, and computes the root at each checkpoint.
    async fn read_entries(&mut self, source: Source<'_>) -> Result<(), Error> {
        let size = self.checkpoints.last().map_or(0, |last| last.size);
        self.reach();
        let mut tiles = Vec::new().into_iter().peekable();
        while self.edge.size() < size {
            let n = self.edge.size() / TILE;
            let (tile, skip) = (
                i64::try_from(n).unwrap_or(i64::MAX),
                self.edge.size() % TILE,
            );
            if tiles.peek().is_none() {
                tiles = source.tiles(tile).await?.into_iter().peekable();
            }
            let Some((_, entries)) = tiles.next_if(|(found, _)| *found == tile) else {
                let root = source.tile_root(tile).await?;
                let Some(root) = root.filter(|_| skip == 0 && size >= (n + 1) * TILE) else {
                    let sentence = format!(
                        "entries {} to {} of the log are gone, and nothing is left in their place",
                        self.edge.size(),
                        size - 1
                    );
                    self.find(Problem::Seal, sentence);
                    return Ok(());
                };
                self.without_tile.insert(tile);
                self.edge.push(TILE_HEIGHT, tlog::Hash(root));
                self.reach();
                continue;
            };
            let (skip, until) = (index(skip), index(TILE.min(size - n * TILE)));
            let Some(entries) = entries.get(skip..until) else {
                let sentence = format!(
                    "tile {n} of the log has {} entries, and {until} were sealed",
                    entries.len()
                );
                self.find(Problem::Seal, sentence);
                return Ok(());
            };
            for entry in entries {
                self.take(tile, entry);
                self.edge.push(0, entry.leaf());
                self.reach();
            }
        }
        Ok(())
    }

    /// Compares the root with those that were signed of so many entries.
    fn reach(&mut self) {
        while let Some(checkpoint) = self.checkpoints.get(self.reached)
            && checkpoint.size <= self.edge.size()
        {
            let is_right =
                self.edge.size() == checkpoint.size && self.edge.root() == checkpoint.root;
            if checkpoint.complete_until.is_some() {
                self.complete_until = checkpoint.complete_until;
            }
            if self.is_right && !is_right {
                let before = self.reached.checked_sub(1);
                let from = before.map_or(0, |before| self.checkpoints[before].size);
                let sentence = format!(
                    "entries {from} to {} of the log are not those that checkpoint {} signed",
                    checkpoint.size.saturating_sub(1),
                    self.reached
                );
                self.find(Problem::Seal, sentence);
            }
            self.is_right &= is_right;
            self.reached += 1;
        }
    }

    fn take(&mut self, tile: i64, entry: &Entry) {
        let next = self.checkpoints.get(self.reached);
        let has_gap = next.is_some_and(|next| next.has_gap);
        // Of the first one that says so from here on: earlier than that of the one before where the clock was set back in between.
        let behind = self.checkpoints.get(self.reached..).unwrap_or_default();
        let own = behind.iter().find_map(|next| next.complete_until);
        if has_gap {
            self.gaps.insert(tile);
        }
        // Also behind a gap: what is missing there was committed since.
        let younger_than = self
            .complete_until
            .map(|until| own.map_or(until, |own| own.min(until)).0);
        match entry.subject {
            Subject::History { seq, closes } => self.heads.push(Head {
                run: Key {
                    shard: entry.shard,
                    run_id: entry.id,
                },
                seq,
                hash: entry.hash,
                closes,
                tile,
                younger_than,
            }),
            Subject::Tombstone => {
                let sealing = Sealing {
                    hash: entry.hash,
                    tile,
                    younger_than,
                };
                self.tombstones.insert(entry.id, sealing);
            }
            Subject::Pruned => {
                self.pruned.insert(entry.id, entry.hash);
            }
        }
    }

    /// Returns the log in whose place this one was begun, and when.
    pub(super) fn replaces(&self) -> Option<(Uuid, Timestamp)> {
        let first = self.checkpoints.first()?;
        Some((first.replaces?, first.at))
    }

    /// Returns how many checkpoints say that something was sealed later than it was committed. The first of a log that was begun anew says which that is.
    pub(super) fn gaps_said(&self) -> u64 {
        let gaps = (self.checkpoints.iter()).filter(|it| it.has_gap && it.replaces.is_none());
        u64::try_from(gaps.count()).unwrap_or(u64::MAX)
    }

    /// Returns how often the clock was set back by which it is said what is sealed.
    pub(super) fn clock_set_back(&self) -> u64 {
        let until = self.checkpoints.iter().filter_map(|it| it.complete_until);
        let until: Vec<Timestamp> = until.collect();
        let set_back = until.windows(2).filter(|two| two[1] < two[0]);
        u64::try_from(set_back.count()).unwrap_or(u64::MAX)
    }

    /// Returns how many entries it has.
    pub(super) fn size(&self) -> u64 {
        self.edge.size()
    }

    /// Returns what is sealed as a whole: what was committed before.
    pub(super) fn complete_until(&self) -> Option<Timestamp> {
        let mut checkpoints = self.checkpoints.iter().rev();
        checkpoints.find_map(|checkpoint| checkpoint.complete_until)
    }
}

fn index(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::SigningKey;

    #[test]
    fn a_key_that_was_followed_signs_no_more_though_it_is_trusted() {
        let [old, new] = ["old", "new"].map(|name| SigningKey::generate(name).unwrap());
        let trust = Trust {
            keys: vec![old.public(), new.public()],
            checkpoint: None,
        };
        let mut log = Log {
            keys: trust.keys.clone(),
            ..Log::default()
        };
        // It signs, lets the other one follow, and comes back as if that were lost.
        let steps: [(Option<PublicKey>, &[&SigningKey]); 3] = [
            (None, &[&old]),
            (Some(new.public()), &[&old, &new]),
            (Some(old.public()), &[&old]),
        ];
        let mut trusted = Vec::new();
        for (n, (next_key, keys)) in (0..).zip(steps) {
            let checkpoint = Checkpoint {
                previous: log.checkpoints.last().map(Checkpoint::hash),
                next_key,
                ..checkpoint(0, None)
            };
            let row = audit::Checkpoint {
                n,
                size: 0,
                root: checkpoint.root.0.to_vec(),
                at: checkpoint.at,
                complete_until: None,
                note: Note::sign(checkpoint.text(), keys).to_string(),
            };
            let said = log.trusted(n, &row, &trust);
            trusted.push(said.is_ok());
            if let Ok((checkpoint, signer)) = said {
                log.accept(checkpoint, signer);
            }
        }
        assert_eq!(trusted, [true, true, false]);
    }

    fn checkpoint(size: u64, complete_until: Option<i64>) -> Checkpoint {
        Checkpoint {
            log: Uuid::nil(),
            size,
            root: tlog::Hash::default(),
            replaces: None,
            previous: None,
            at: Timestamp(0),
            complete_until: complete_until.map(Timestamp),
            has_gap: false,
            next_key: None,
        }
    }

    #[test]
    fn what_is_sealed_after_a_clock_was_set_back_may_be_as_old_as_that_clock_says() {
        // The first one after that has not all of it, and says nothing.
        let mut log = Log {
            checkpoints: vec![
                checkpoint(1, Some(1000)),
                checkpoint(2, None),
                checkpoint(3, Some(100)),
                checkpoint(4, Some(200)),
            ],
            ..Log::default()
        };
        let entry = Entry {
            shard: 0,
            id: Uuid::nil(),
            subject: Subject::History {
                seq: 0,
                closes: false,
            },
            hash: Hash::default(),
        };
        for _ in 0..4 {
            log.take(0, &entry);
            log.edge.push(0, entry.leaf());
            log.reach();
        }
        let younger_than: Vec<Option<i64>> =
            log.heads.iter().map(|head| head.younger_than).collect();
        assert_eq!(younger_than, [None, Some(100), Some(100), Some(100)]);
    }
}
