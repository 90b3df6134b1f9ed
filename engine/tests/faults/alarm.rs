//! What the engine says of errors, for tests that wait for it.

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
        .with_env_filter("error")
        .with_ansi(false)
        .with_writer(|| Ear)
        .init();
}

/// Waits until it is said.
pub(crate) async fn heard(words: &str) {
    let heard = async {
        while !String::from_utf8_lossy(&SAID.lock().unwrap()).contains(words) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, heard).await.expect(words);
}
