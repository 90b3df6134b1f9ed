//! The file that receives what Postgres writes to its standard error.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

/// Bytes after which the log begins anew, so that a client that errs all day does not fill the disk.
const LOG_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Bytes of the log that an error quotes at most.
const EXCERPT_BYTES_MAX: u64 = 2_000;

/// Postgres's log. Postgres appends to it, so it may be cut at any time.
#[derive(Debug, Clone)]
pub(super) struct Log {
    path: PathBuf,
}

impl Log {
    pub(super) fn new(data_dir: &Path) -> Self {
        Self {
            path: data_dir.join("postgres.log"),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn open(&self) -> io::Result<File> {
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)
    }

    /// The length in bytes, 0 when there is no log.
    pub(super) fn len(&self) -> u64 {
        self.path.metadata().map_or(0, |metadata| metadata.len())
    }

    /// Empties the log when it has grown beyond its limit.
    pub(super) fn limit(&self) -> io::Result<()> {
        if self.len() > LOG_BYTES_MAX {
            self.open()?.set_len(0)
        } else {
            Ok(())
        }
    }

    /// The end of what was written after `offset`.
    pub(super) fn since(&self, offset: u64) -> String {
        self.read_since(offset).unwrap_or_else(|error| {
            format!("its log {} is unreadable: {error}", self.path.display())
        })
    }

    fn read_since(&self, offset: u64) -> io::Result<String> {
        let mut file = File::open(&self.path)?;
        let start = offset.max(self.len().saturating_sub(EXCERPT_BYTES_MAX));
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    }
}
