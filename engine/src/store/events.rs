//! The events of a run, as they are stored.

use std::sync::Arc;

use history::{Event, EventId, RunId, record};
use sqlx::PgPool;

use super::Error;

/// Returns at most `limit` events of a run after `after`.
pub(crate) async fn history_page(
    pool: &PgPool,
    shard: i16,
    run_id: RunId,
    after: EventId,
    limit: usize,
) -> Result<Vec<Arc<Event>>, Error> {
    // The row that holds the first wanted event starts at or before it.
    let rows = sqlx::query!(
        r#"SELECT seq, version, records FROM history
           WHERE shard = $1 AND run_id = $2
             AND seq >= coalesce((SELECT max(seq) FROM history WHERE shard = $1 AND run_id = $2 AND first_event_id <= $3), 0)
           ORDER BY seq
           LIMIT $4"#,
        shard,
        run_id.0,
        after.next().0,
        i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1),
    )
    .fetch_all(pool)
    .await?;
    let mut events = Vec::new();
    for row in rows {
        let records = record::read(row.version, &row.records).map_err(|error| Error::Corrupt {
            table: "history",
            row: format!("run {run_id} row {}", row.seq),
            problem: error.to_string(),
        })?;
        events.extend(
            records
                .iter()
                .filter_map(|record| record.event().filter(|event| event.id > after))
                .cloned(),
        );
        if events.len() >= limit {
            events.truncate(limit);
            break;
        }
    }
    Ok(events)
}
