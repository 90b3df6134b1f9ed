//! What open runs cost in memory: so many workflows that wait for a signal, all of them in the owner's memory.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use engine::Engine;
use history::Namespace;

use crate::own::{Own, start};

/// What was measured.
pub(crate) struct Open {
    pub(crate) runs: usize,
    /// How long it took to start them.
    pub(crate) time: Duration,
    /// What the process took before and after, in bytes: engine, worker and bench together.
    pub(crate) before: u64,
    pub(crate) after: u64,
}

/// Starts so many workflows that wait, from many clients at once.
pub(crate) async fn measure(url: &str, runs: usize, clients: usize) -> Result<Open> {
    let own = Own::open(url, None).await?;
    // Pools, caches and stacks are there then.
    start_many(&own.engine, clients, clients).await?;
    let before = resident()?;
    let begun = Instant::now();
    start_many(&own.engine, runs, clients).await?;
    let time = begun.elapsed();
    let after = resident()?;
    own.close().await?;
    Ok(Open {
        runs,
        time,
        before,
        after,
    })
}

/// Starts workflows that wait.
async fn start_many(engine: &Engine, runs: usize, clients: usize) -> Result<()> {
    let starting: Vec<_> = (0..clients)
        .map(|client| {
            let engine = engine.clone();
            tokio::spawn(async move {
                for _ in (client..runs).step_by(clients) {
                    engine
                        .start_workflow(&Namespace::known("default"), start("wait", 0))
                        .await?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for client in starting {
        client.await??;
    }
    Ok(())
}

/// Returns the resident memory of this process, in bytes.
pub(crate) fn resident() -> Result<u64> {
    resident_of(std::process::id())
}

/// Returns the resident memory of a process, in bytes.
pub(crate) fn resident_of(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("VmRSS")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1024)
}
