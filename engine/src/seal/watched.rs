//! Whether what is committed is sealed: by this process or another one, or by none.

use sqlx::PgPool;
use tokio::time::{Instant, sleep};

use crate::{
    limits::{SEAL_LATE_AFTER, SEAL_WATCHED_EVERY},
    store::{
        Error,
        feed::{
            self,
            consumer::{self, Name, Progress},
        },
    },
};

/// How far the log is, where it has not read all of the feed, and since when it stands there.
#[derive(Debug, Default)]
struct Standing(Option<(Progress, Instant)>);

impl Standing {
    /// Takes note of how far the log is; `None` where it has read all. Says whether it has stood still for too long.
    fn note(&mut self, progress: Option<Progress>, now: Instant) -> bool {
        match (&self.0, progress) {
            (_, None) => self.0 = None,
            (Some((before, since)), Some(progress)) if *before == progress => {
                let is_late = now.duration_since(*since) >= SEAL_LATE_AFTER;
                if is_late {
                    // It is said again after as long.
                    self.0 = Some((progress, now));
                }
                return is_late;
            }
            (_, Some(progress)) => self.0 = Some((progress, now)),
        }
        false
    }
}

/// Says it when what is committed is not sealed any more, for as long as it is polled.
pub(crate) async fn watch(pool: PgPool) {
    let mut standing = Standing::default();
    loop {
        sleep(SEAL_WATCHED_EVERY).await;
        // Where the database is away, others say so.
        let Ok(progress) = unsealed(&pool).await else {
            continue;
        };
        if standing.note(progress, Instant::now()) {
            tracing::error!(
                code = "SEAL_LATE",
                "what was committed some minutes ago is not sealed: no process does so, or a session holds what it needs"
            );
        }
    }
}

/// Returns how far a log is that has not read all of the feed.
async fn unsealed(pool: &PgPool) -> Result<Option<Progress>, Error> {
    let mut connection = pool.acquire().await?;
    let Some(progress) = consumer::look(&mut connection, Name::Seal).await? else {
        return Ok(None);
    };
    if let Progress::Reading(cursor) = &progress {
        let page = feed::after(&mut *connection, cursor, 1).await?;
        if page.is_some_and(|page| page.batches.is_empty()) {
            return Ok(None);
        }
    }
    Ok(Some(progress))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_late_that_stands_still_for_minutes_and_has_not_read_all() {
        let mut standing = Standing::default();
        let start = Instant::now();
        let mut note = |progress: Option<Progress>, after| standing.note(progress, start + after);
        let stuck = || Some(Progress::ToBuild);

        assert!(!note(stuck(), SEAL_LATE_AFTER));
        assert!(!note(stuck(), SEAL_LATE_AFTER + SEAL_WATCHED_EVERY));
        assert!(note(stuck(), SEAL_LATE_AFTER * 2));
        assert!(!note(stuck(), SEAL_LATE_AFTER * 2 + SEAL_WATCHED_EVERY));
        assert!(note(stuck(), SEAL_LATE_AFTER * 3));
        assert!(!note(None, SEAL_LATE_AFTER * 5));
        assert!(!note(stuck(), SEAL_LATE_AFTER * 9));
    }
}
