//! A checkpoint (C2SP tlog-checkpoint): how large the log is, its root hash, and lines of ours behind them.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use history::{Timestamp, chain::Hash, rfc3339};
use sha2::{Digest as _, Sha256};
use tlog_tiles::tlog;
use uuid::Uuid;

use super::note::PublicKey;

/// What the name of a log begins with; its id follows.
const ORIGIN: &str = "coreason/";

/// What a checkpoint says.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// Which log: the database's, from its first checkpoint on.
    pub log: Uuid,
    /// How many entries it had.
    pub size: u64,
    /// The root of the Merkle tree over them (RFC 9162).
    pub root: tlog::Hash,
    /// The log in whose place this one was begun, in its first checkpoint; [`Checkpoint::previous`] is of that one's last, as far as it was known.
    pub replaces: Option<Uuid>,
    /// SHA-256 of the text of the checkpoint before it.
    pub previous: Option<Hash>,
    /// When it was made, by the database's clock.
    pub at: Timestamp,
    /// What was committed before this moment is in it. None while the log is behind.
    pub complete_until: Option<Timestamp>,
    /// Something committed before may be missing: the feed was deleted before it was read, and what was there by then was taken instead.
    pub has_gap: bool,
    /// Who signs the next ones, where that changes.
    pub next_key: Option<PublicKey>,
}

/// A text that is no checkpoint of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no checkpoint of a sealed log")]
pub struct NoCheckpoint;

impl Checkpoint {
    /// Returns the text that is signed.
    pub fn text(&self) -> String {
        let mut lines = format!("{ORIGIN}{}\n{}\n{}\n", self.log, self.size, self.root);
        let mut line = |name: &str, value: String| {
            lines.push_str(name);
            lines.push_str(&value);
            lines.push('\n');
        };
        if let Some(log) = self.replaces {
            line("replaces ", log.to_string());
        }
        if let Some(previous) = self.previous {
            line("previous ", BASE64_STANDARD.encode(previous));
        }
        line("time ", rfc3339::Utc(self.at).to_string());
        if let Some(until) = self.complete_until {
            line("complete-until ", rfc3339::Utc(until).to_string());
        }
        if self.has_gap {
            line("gap", String::new());
        }
        if let Some(key) = &self.next_key {
            line("next-key ", key.to_string());
        }
        lines
    }

    /// Reads the text.
    ///
    /// # Errors
    /// When it is not as [`Checkpoint::text`] writes it.
    pub fn read(text: &str) -> Result<Self, NoCheckpoint> {
        let read = tlog_tiles::checkpoint::Checkpoint::from_bytes(text.as_bytes())
            .map_err(|_| NoCheckpoint)?;
        let log = read.origin().strip_prefix(ORIGIN).ok_or(NoCheckpoint)?;
        let mut checkpoint = Self {
            log: log.parse().map_err(|_| NoCheckpoint)?,
            size: read.size(),
            root: *read.hash(),
            replaces: None,
            previous: None,
            at: Timestamp(0),
            complete_until: None,
            has_gap: false,
            next_key: None,
        };
        for line in read.extension().lines() {
            checkpoint.take(line).ok_or(NoCheckpoint)?;
        }
        // Written again it is the same: there is one text for what it says.
        if checkpoint.text() == text {
            Ok(checkpoint)
        } else {
            Err(NoCheckpoint)
        }
    }

    fn take(&mut self, line: &str) -> Option<()> {
        let (name, value) = line.split_once(' ').unwrap_or((line, ""));
        match name {
            "replaces" => self.replaces = Some(value.parse().ok()?),
            "previous" => {
                let hash = BASE64_STANDARD.decode(value).ok()?;
                self.previous = Some(hash.try_into().ok()?);
            }
            "time" => self.at = rfc3339::read(value)?,
            "complete-until" => self.complete_until = Some(rfc3339::read(value)?),
            "gap" => self.has_gap = true,
            "next-key" => self.next_key = Some(value.parse().ok()?),
            _ => return None,
        }
        Some(())
    }

    /// Returns what the next one has as [`Checkpoint::previous`].
    pub fn hash(&self) -> Hash {
        Sha256::digest(self.text()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::note::SigningKey;

    #[test]
    fn a_checkpoint_is_read_as_it_was_written_and_in_no_other_form() {
        let full = Checkpoint {
            log: Uuid::max(),
            size: 7,
            root: tlog::record_hash(b"x"),
            replaces: Some(Uuid::nil()),
            previous: Some([1; 32]),
            at: Timestamp(1_000_000),
            complete_until: Some(Timestamp(900_000)),
            has_gap: true,
            next_key: Some(SigningKey::generate("coreason").unwrap().public()),
        };
        let bare = Checkpoint {
            replaces: None,
            previous: None,
            complete_until: None,
            has_gap: false,
            next_key: None,
            ..full.clone()
        };
        for checkpoint in [&full, &bare] {
            assert_eq!(
                Checkpoint::read(&checkpoint.text()).as_ref(),
                Ok(checkpoint)
            );
        }
        for (from, to) in [
            ("\n7\n", "\n07\n"),
            ("gap\n", "gap\ngap\n"),
            ("gap\n", "gap x\n"),
            ("gap\n", "other\n"),
            (
                "time 1970-01-01T00:00:01Z",
                "time 1970-01-01T01:00:01+01:00",
            ),
            ("coreason/", "other/"),
        ] {
            let text = full.text().replacen(from, to, 1);
            assert_ne!(text, full.text(), "{from}");
            assert_eq!(Checkpoint::read(&text), Err(NoCheckpoint), "{to}");
        }
    }
}
