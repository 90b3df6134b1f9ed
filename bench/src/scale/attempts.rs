//! What attempts cost beside the history: short ones, long ones, heartbeats, and attempts that fail.

use std::time::Duration;

use anyhow::{Context as _, Result};
use history::Namespace;
use tokio::time::Instant;

use super::{
    table::Table,
    workflows::{BEATS, FAILURES, start, worker},
};
use crate::{cpu, own::Own, workflows::QUEUE};

const WAL: &str = "SELECT (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint";

pub(super) async fn measure(url: &str, width: usize) -> Result<String> {
    let own = Own::open_with(
        url,
        worker(QUEUE).activity_slots(u32::try_from(width)?),
        |_| {},
    )
    .await?;
    let (postgres, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    let columns = [
        "of so many activities at once",
        "each",
        "s",
        "CPU µs each",
        "WAL bytes each",
    ];
    let mut table = Table::new(&columns);
    let kinds = [
        ("fan", "activity, over at once", 1),
        ("seconds", "activity of 2 s", 1),
        ("beating", "heartbeat, 100 a second, for 2 s", BEATS),
        ("failing", "failed attempt, 20 ms before the next", FAILURES),
    ];
    for (workflow, each, count) in kinds {
        let before: i64 = postgres.query_one(WAL, &[]).await?.get(0);
        let (begun, cpu) = (Instant::now(), cpu::of_process(std::process::id())?);
        let request = start(workflow, width, QUEUE);
        let (_, closed) = own
            .engine
            .execute_workflow(
                &Namespace::known("default"),
                request,
                Duration::from_mins(2),
            )
            .await?;
        let time = begun.elapsed();
        let closed = closed.closed().context("it did not end in two minutes")?;
        anyhow::ensure!(
            closed.status == history::Status::Completed,
            "it ended as {:?}",
            closed.status
        );
        let cpu = cpu::of_process(std::process::id())?.saturating_sub(cpu);
        let after: i64 = postgres.query_one(WAL, &[]).await?.get(0);
        let all = u32::try_from(width)? * count;
        table.row(&[
            width.to_string(),
            each.to_owned(),
            format!("{:.2}", time.as_secs_f64()),
            format!("{:.1}", cpu.as_secs_f64() * 1e6 / f64::from(all)),
            ((after - before) / i64::from(all)).to_string(),
        ]);
    }
    own.close().await?;
    Ok(table.0)
}
