//! What the engine says of errors and of what is strange, for tests that wait for it.

use std::{collections::BTreeSet, io, sync::Mutex, time::Duration};

use tracing_subscriber::EnvFilter;

use crate::support::PATIENCE;

static SAID: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Ear;

impl io::Write for Ear {
    fn write(&mut self, said: &[u8]) -> io::Result<usize> {
        SAID.lock().unwrap().extend_from_slice(said);
        io::stderr().write(said)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Listens from now on.
pub(crate) fn listen() {
    tracing_subscriber::fmt()
        .with_env_filter(
            EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn")),
        )
        .with_ansi(false)
        .with_writer(|| Ear)
        .init();
}

/// Waits until it is said.
pub(crate) async fn heard(words: &str) {
    let heard = async {
        while said(words) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, heard).await.expect(words);
}

/// Says how often it was said.
pub(crate) fn said(words: &str) -> usize {
    String::from_utf8_lossy(&SAID.lock().unwrap())
        .matches(words)
        .count()
}

/// Returns the members of which it was said.
fn said_of(words: &str) -> BTreeSet<String> {
    let said = String::from_utf8_lossy(&SAID.lock().unwrap()).into_owned();
    let member = |line: &str| {
        let (_, named) = line.split_once("member=")?;
        named.split_whitespace().next().map(str::to_owned)
    };
    said.lines()
        .filter(|line| line.contains(words))
        .filter_map(member)
        .collect()
}

/// Waits until it is said of so many members: one may say it twice of itself, when an answer was lost and when it joins again.
pub(crate) async fn heard_of(words: &str, members: usize) {
    let heard = async {
        while said_of(words).len() < members {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, heard).await.expect(words);
}
