//! Runs that sleep for weeks or wait for a signal: a restart, an idle minute, a minute with wake-ups.

use std::{io::Write as _, time::Duration};

use anyhow::{Context as _, Result};
use tokio::{process::Command, time::Instant};

use super::{
    step::{start_many, until_at_least},
    table::{Table, mebibytes},
    workflows::{LATE_MILLIS, noted, start, worker},
};
use crate::{open::resident, own::Own, process::Process, workflows::QUEUE};

const OPEN: &str = "SELECT count(*) FROM open_run WHERE parked";
/// How many wake in the second minute.
const SOON: usize = 50;

pub(super) async fn measure(url: &str, runs: usize) -> Result<String> {
    let own = Own::open_with(url, worker(QUEUE), |config| {
        config.park_after = Duration::from_secs(1);
        config.memory_bytes = 64 * 1024 * 1024;
    })
    .await?;
    // Half of them wait for a signal; the timers of the others are spread over a month, none in the next minutes.
    let sleeping = start_many(&own.engine, 0..runs, |n| {
        if n % 2 == 0 {
            start("wait", 0, QUEUE)
        } else {
            start("nap", 1800 + n * 7919 % (30 * 86_400), QUEUE)
        }
    });
    let started = sleeping.await?;
    let parked = until_at_least(url, OPEN, runs).await?;
    start_many(&own.engine, 0..SOON, |n| start("nap", 80 + n, QUEUE)).await?;
    until_at_least(url, OPEN, runs + SOON).await?;
    own.close().await?;
    let program = std::env::current_exe()?;
    let mut command = Command::new(program);
    command.args(["restarted", url]);
    let folder = std::env::temp_dir();
    let mut process = Process::program(&mut command, &folder)?;
    let mut table = Table::new(&["what", "figure"]);
    let mut row = |what: &str, figure: String| table.row(&[what.to_owned(), figure]);
    row("sleepers", runs.to_string());
    row("started in, s", format!("{:.0}", started.as_secs_f64()));
    row("parked after, s", format!("{:.0}", parked.as_secs_f64()));
    row("restart: owner and ready after, s", process.hear().await?);
    let before = statements(url).await?;
    row("resident after an idle minute, MiB", process.hear().await?);
    let idle = statements(url).await? - before;
    row("transactions in an idle minute", idle.to_string());
    row(
        "wake-ups in the next: count, most ms late",
        process.hear().await?,
    );
    process.stop().await?;
    Ok(table.0)
}

/// Returns how many transactions the database has seen; each statement outside of one is one.
async fn statements(url: &str) -> Result<i64> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    let query = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()";
    Ok(client.query_one(query, &[]).await?.get(0))
}

/// The process that is started on what sleeps; says what it finds a line at a time.
pub(crate) async fn restarted(url: &str) -> Result<()> {
    let begun = Instant::now();
    let own = Own::open_with(url, worker(QUEUE), |_| {}).await?;
    say(&format!("{:.2}", begun.elapsed().as_secs_f64()))?;
    tokio::time::sleep(Duration::from_mins(1)).await;
    say(&mebibytes(resident()?))?;
    tokio::time::sleep(Duration::from_secs(80)).await;
    let late = noted(&LATE_MILLIS);
    let most = late.iter().max().context("nobody woke")?;
    say(&format!("{}, {most}", late.len()))?;
    own.close().await
}

fn say(line: &str) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}
