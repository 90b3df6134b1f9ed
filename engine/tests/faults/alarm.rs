//! What the engine says of errors and of what is strange, for tests that wait for it.

use std::{io, sync::Mutex, time::Duration};

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
        .with_env_filter("warn")
        .with_ansi(false)
        .with_writer(|| Ear)
        .init();
}

/// Waits until it is said.
pub(crate) async fn heard(words: &str) {
    heard_times(words, 1).await;
}

/// Says how often it was said.
pub(crate) fn said(words: &str) -> usize {
    String::from_utf8_lossy(&SAID.lock().unwrap())
        .matches(words)
        .count()
}

/// Waits until it is said so many times.
pub(crate) async fn heard_times(words: &str, times: usize) {
    let heard = async {
        while said(words) < times {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, heard).await.expect(words);
}
