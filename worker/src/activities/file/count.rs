//! What is in a file: bytes, lines, words and a digest.

use std::{fmt::Write as _, fs::File, io::Read as _, path::Path};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::path;
use crate::prelude::*;

/// How much is read at a time.
const CHUNK_BYTES: usize = 256 * 1024;

/// One file of an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileCount {
    /// Its path in the folder, written as [`path`] says.
    pub path: String,
    /// Its bytes.
    pub bytes: u64,
    /// Its line feeds, as `wc -l` counts.
    pub lines: u64,
    /// Its words, as GNU `wc -w` counts under `LC_ALL=C`: runs between white space that have a printable character.
    /// (From version 9.5 on GNU counts other bytes as characters, too.)
    pub words: u64,
    /// The SHA-256 of its bytes, in hexadecimal digits.
    pub sha256: String,
}

/// Counts a file of a folder, reading it as a stream.
#[activity(
    start_to_close = "1h",
    heartbeat = "30s",
    retry(max_attempts = 5, initial = "200ms")
)]
pub fn count_file(ctx: &ActivityContext, folder: String, file: String) -> Result<FileCount> {
    let at = path::from_text(&file).map_err(|error| Error::from(error).non_retryable())?;
    let whole = Path::new(&folder).join(at);
    let unreadable = |error: std::io::Error| {
        let failure = Error::new(format!("{file}: {error}")).of_kind("FileUnreadable");
        match error.kind() {
            std::io::ErrorKind::NotFound => failure.non_retryable(),
            _ => failure,
        }
    };
    let mut stream = File::open(&whole).map_err(unreadable)?;
    let mut counter = Counter::default();
    let mut digest = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = stream.read(&mut chunk).map_err(unreadable)?;
        if read == 0 {
            break;
        }
        counter.add(&chunk[..read]);
        digest.update(&chunk[..read]);
        ctx.check()?;
        ctx.heartbeat(&counter.bytes);
    }
    Ok(counter.end(file, &digest.finalize()))
}

/// The counts so far.
#[derive(Default)]
struct Counter {
    bytes: u64,
    lines: u64,
    words: u64,
    in_word: bool,
}

impl Counter {
    fn add(&mut self, chunk: &[u8]) {
        self.bytes += chunk.len() as u64;
        for byte in chunk {
            match byte {
                b' ' | b'\t'..=b'\r' => {
                    self.lines += u64::from(*byte == b'\n');
                    self.words += u64::from(self.in_word);
                    self.in_word = false;
                }
                b'!'..=b'~' => self.in_word = true,
                // What can't be printed neither makes a word nor ends one.
                _ => {}
            }
        }
    }

    fn end(self, path: String, digest: &[u8]) -> FileCount {
        FileCount {
            path,
            bytes: self.bytes,
            lines: self.lines,
            words: self.words + u64::from(self.in_word),
            sha256: hex(digest),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(bytes: &[u8], chunk: usize) -> (u64, u64, u64) {
        let mut counter = Counter::default();
        bytes.chunks(chunk).for_each(|chunk| counter.add(chunk));
        let file = counter.end(String::new(), &[]);
        (file.bytes, file.lines, file.words)
    }

    #[test]
    fn words_are_counted_across_chunks() {
        for chunk in [1, 2, 3, 100] {
            assert_eq!(count(b"one two\nthree", chunk), (13, 1, 3));
            assert_eq!(count(b"", chunk), (0, 0, 0));
            assert_eq!(count(b"\x00\xff \x01\n a\x00b ", chunk), (10, 1, 1));
        }
    }
}
