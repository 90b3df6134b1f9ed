//! Runs that live for minutes: what comes and goes in `open_run`, and whether vacuum keeps up with it.

use std::time::Duration;

use anyhow::Result;
use tokio::time::{Instant, sleep_until};

use super::{
    step::start_many,
    table::Table,
    workflows::{LATE_MILLIS, noted, start, worker},
};
use crate::{own::Own, workflows::QUEUE};

/// How long each lives, in seconds, and so how long there are more each second.
const LIVES_SECONDS: usize = 120;
const MINUTES: u32 = 6;
const STEPS_A_MINUTE: u32 = 12;

const TABLE: &str = "
    SELECT (SELECT count(*) FROM open_run), s.n_dead_tup, s.autovacuum_count, pg_table_size('open_run'), pg_indexes_size('open_run'),
           (SELECT count(*) FROM visibility WHERE status = 2)
    FROM pg_stat_user_tables s WHERE s.relname = 'open_run'";

/// Starts so many a second, in steps of a few seconds, each of which sleeps for two minutes and ends.
pub(super) async fn measure(url: &str, a_second: usize) -> Result<String> {
    let own = Own::open_with(url, worker(QUEUE), |config| {
        config.park_after = Duration::from_secs(10);
    })
    .await?;
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    let mut table = Table::new(&[
        "minute",
        "started",
        "ended",
        "in open_run",
        "dead rows",
        "vacuums",
        "table MiB",
        "indexes MiB",
        "p99 ms late",
    ]);
    let step = Duration::from_mins(1) / STEPS_A_MINUTE;
    let each = a_second * 60 / usize::try_from(STEPS_A_MINUTE)?;
    let mut at = Instant::now();
    let (mut started, mut ended, mut vacuums) = (0, 0, 0);
    for minute in 1..=MINUTES {
        for _ in 0..STEPS_A_MINUTE {
            let runs = started..started + each;
            start_many(&own.engine, runs, |_| start("nap", LIVES_SECONDS, QUEUE)).await?;
            started += each;
            at += step;
            sleep_until(at).await;
        }
        let row = client.query_one(TABLE, &[]).await?;
        let mebibytes = |n: usize| (row.get::<_, i64>(n) >> 20).to_string();
        let (vacuumed, all): (i64, i64) = (row.get(2), row.get(5));
        let mut late = noted(&LATE_MILLIS);
        late.sort_unstable();
        table.row(&[
            minute.to_string(),
            (each * usize::try_from(STEPS_A_MINUTE)?).to_string(),
            (all - ended).to_string(),
            row.get::<_, i64>(0).to_string(),
            row.get::<_, i64>(1).to_string(),
            (vacuumed - vacuums).to_string(),
            mebibytes(3),
            mebibytes(4),
            late.get(late.len() * 99 / 100)
                .map_or_else(String::new, u64::to_string),
        ]);
        (ended, vacuums) = (all, vacuumed);
    }
    own.close().await?;
    Ok(table.0)
}
