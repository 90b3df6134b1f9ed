//! Deletes the closed runs that their namespaces keep no longer, in small steps.

mod doubt;
mod watched;

use std::{collections::HashMap, sync::Arc, time::Duration};

use history::Timestamp;
use sqlx::PgPool;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use self::{doubt::Doubt, watched::Watched};
use crate::{
    archive::{self, Archive},
    limits::{
        DOUBT_SAID_EVERY, EXPIRE_AGAIN_AFTER, EXPIRE_EVERY, EXPIRE_FEW_AFTER,
        EXPIRE_FROM_FRONT_EVERY, EXPIRED_AT_ONCE, EXPIRY_FAILED_SAID_EVERY, FORGOTTEN_AT_ONCE,
        SWEEP_EVERY,
    },
    seal::Trust,
    store::{
        self, partition,
        retention::{self, After},
        visibility,
    },
    world::World,
};

/// Deletes what is kept no longer, for as long as it is polled.
pub(crate) async fn keep(
    pool: PgPool,
    archive: Option<Arc<dyn Archive>>,
    trust: watch::Receiver<Trust>,
) {
    let mut expiry = Expiry::new(pool, archive, trust);
    loop {
        let pause = expiry.turn().await.unwrap_or_else(|error| {
            expiry.say_failed(Some(&archive::Error::from(error)));
            EXPIRE_EVERY
        });
        sleep(pause).await;
    }
}

/// Deletes what is left of what is gone, each hour, for as long as it is polled.
pub(crate) async fn sweep(pool: PgPool) {
    loop {
        drop_partitions(&pool).await;
        if let Err(error) = sweep_lists(&pool).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "what lists keep of what is gone can't be deleted; trying again"
            );
        }
        sleep(SWEEP_EVERY).await;
    }
}

/// What deletes.
struct Expiry {
    pool: PgPool,
    archive: Option<Arc<dyn Archive>>,
    /// What is thought of the sealed log: while it is not what was signed, nothing goes that may be needed to see what was done to it.
    trust: watch::Receiver<Trust>,
    watched: Watched,
    /// When it was last said that nothing can be deleted.
    failing: Option<Instant>,
    /// When it was last said why nothing is deleted.
    doubted: Option<Instant>,
    /// How far each namespace was looked through.
    after: HashMap<i16, After>,
    /// When all are looked through from the front again: for what could not go yet.
    from_front_at: Instant,
}

impl Expiry {
    fn new(pool: PgPool, archive: Option<Arc<dyn Archive>>, trust: watch::Receiver<Trust>) -> Self {
        Self {
            pool,
            archive,
            trust,
            watched: Watched::new(World::REAL),
            failing: None,
            doubted: None,
            after: HashMap::new(),
            from_front_at: Instant::now(),
        }
    }

    /// Deletes some of each namespace; returns after how long others may be worth a turn.
    async fn turn(&mut self) -> Result<Duration, store::Error> {
        let trust = *self.trust.borrow();
        if trust == Trust::Unknown {
            // It is told in a moment.
            return Ok(EXPIRE_FEW_AFTER);
        }
        let namespaces = retention::forgetful(&self.pool).await?;
        if namespaces.is_empty() {
            return Ok(EXPIRE_EVERY);
        }
        let is_refused = trust == Trust::Refused || retention::is_log_refused(&self.pool).await?;
        let now = if is_refused {
            Err(Doubt::LogRefused)
        } else {
            self.watched.now(&self.pool).await?
        };
        let now = match now {
            Ok(now) => now,
            Err(doubt) => {
                self.say(doubt);
                return Ok(EXPIRE_EVERY);
            }
        };
        if Instant::now() >= self.from_front_at {
            self.from_front_at = Instant::now() + EXPIRE_FROM_FRONT_EVERY;
            self.after.clear();
        }
        let (mut pause, mut failed) = (EXPIRE_EVERY, None);
        for namespace in namespaces {
            match self.expire(namespace, now).await {
                Ok(until_next) => pause = pause.min(until_next),
                // The others' go all the same.
                Err(error) => failed = Some(error),
            }
        }
        self.say_failed(failed.as_ref());
        Ok(pause)
    }

    /// Says that something can't be deleted, again from time to time, and when it can.
    fn say_failed(&mut self, failed: Option<&archive::Error>) {
        let Some(error) = failed else {
            if self.failing.take().is_some() {
                tracing::info!("closed runs that are kept no longer are deleted again");
            }
            return;
        };
        let said_lately = |at: Instant| at.elapsed() < EXPIRY_FAILED_SAID_EVERY;
        if !self.failing.is_some_and(said_lately) {
            self.failing = Some(Instant::now());
            tracing::error!(
                code = error.code(),
                error = error as &dyn std::error::Error,
                "closed runs that are kept no longer can't be deleted, and stay; trying again"
            );
        }
    }

    /// Deletes some of one namespace; returns after how long others may be worth a turn.
    async fn expire(&mut self, namespace: i16, now: Timestamp) -> Result<Duration, archive::Error> {
        let after = self.after.entry(namespace).or_default();
        let Some(archive) = &self.archive else {
            let deleted = retention::expire(&self.pool, namespace, now, after).await?;
            if deleted == 0 {
                *after = After::default();
            }
            return Ok(match deleted {
                0 => EXPIRE_EVERY,
                EXPIRED_AT_ONCE.. => EXPIRE_AGAIN_AFTER,
                _ => EXPIRE_FEW_AFTER,
            });
        };
        let more = archive::expire(&self.pool, &**archive, namespace, now, after).await?;
        Ok(if more {
            EXPIRE_AGAIN_AFTER
        } else {
            EXPIRE_EVERY
        })
    }

    fn say(&mut self, doubt: Doubt) {
        let said_lately = |at: Instant| at.elapsed() < DOUBT_SAID_EVERY;
        if !self.doubted.is_some_and(said_lately) {
            self.doubted = Some(Instant::now());
            tracing::error!(
                code = doubt.code(),
                error = &doubt as &dyn std::error::Error,
                "closed runs are kept for longer than their namespaces want it"
            );
        }
    }
}

/// Gives back the disk of weeks whose runs are deleted.
async fn drop_partitions(pool: &PgPool) {
    let dropped = match store::clock::now(pool).await {
        Ok(now) => partition::drop_emptied(pool, now).await,
        Err(error) => Err(error),
    };
    match dropped {
        Ok(dropped) => {
            for partition in dropped {
                tracing::info!(
                    partition,
                    "almost all of its runs are deleted; the rest is moved to history_default, and this partition dropped"
                );
            }
        }
        Err(error) => tracing::warn!(
            error = &error as &dyn std::error::Error,
            "partitions of past weeks can't be dropped; trying again"
        ),
    }
}

/// Deletes what lists keep of search attributes that were taken back, and of types and queues that nothing is left of.
async fn sweep_lists(pool: &PgPool) -> Result<(), store::Error> {
    visibility::forget_counts(pool).await?;
    while visibility::forget_attributes(pool, FORGOTTEN_AT_ONCE).await? {
        sleep(EXPIRE_AGAIN_AFTER).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{database, seal::say_refused, session::Pool};

    #[tokio::test]
    async fn nothing_is_deleted_while_the_log_is_not_what_was_signed() {
        let pool = database::fresh().await.pool(Pool::Whole);
        database::with_old_runs(&pool, 3).await;
        let (told, trust) = watch::channel(Trust::Unknown);
        let mut expiry = Expiry::new(pool.clone(), None, trust);

        for (trust, pause, is_left) in [
            (Trust::Unknown, EXPIRE_FEW_AFTER, 3),
            (Trust::Refused, EXPIRE_EVERY, 3),
            (Trust::Kept, EXPIRE_FEW_AFTER, 0),
            (Trust::Kept, EXPIRE_EVERY, 0),
        ] {
            told.send_replace(trust);
            assert_eq!(expiry.turn().await.unwrap(), pause, "{trust:?}");
            assert_eq!(database::runs(&pool).await, is_left, "{trust:?}");
        }
    }

    #[tokio::test]
    async fn what_one_process_finds_of_the_log_holds_for_all_and_for_a_while() {
        let pool = database::fresh().await.pool(Pool::Whole);
        database::with_old_runs(&pool, 1).await;
        let (_told, trust) = watch::channel(Trust::Kept);
        let mut expiry = Expiry::new(pool.clone(), None, trust);

        say_refused(&pool).await.unwrap();
        assert_eq!(expiry.turn().await.unwrap(), EXPIRE_EVERY);
        assert_eq!(database::runs(&pool).await, 1);
        // Nobody says so any more; and it was said by a clock that was an hour ahead.
        for until in ["-1 second", "1 hour"] {
            database::log_refused_for(&pool, until).await;
            assert!(!retention::is_log_refused(&pool).await.unwrap(), "{until}");
        }
        assert_eq!(expiry.turn().await.unwrap(), EXPIRE_FEW_AFTER);
        assert_eq!(database::runs(&pool).await, 0);
    }
}
