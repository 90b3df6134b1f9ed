//! Deletes the closed runs that their namespaces keep no longer, in small steps.

use std::{collections::HashMap, sync::Arc};

use sqlx::PgPool;
use tokio::time::{Instant, sleep};

use crate::{
    archive::{self, Archive},
    limits::{EXPIRE_AGAIN_AFTER, EXPIRE_EVERY, FORGOTTEN_AT_ONCE, SWEEP_EVERY},
    store::{self, archive::After, partition, retention, visibility},
};

/// Deletes what is to go, for as long as it is polled.
pub(crate) async fn keep(pool: PgPool, archive: Option<Arc<dyn Archive>>) {
    let mut sweep_at = Instant::now();
    let mut archiving = HashMap::new();
    loop {
        if Instant::now() >= sweep_at {
            sweep_at = Instant::now() + SWEEP_EVERY;
            drop_partitions(&pool).await;
            if let Err(error) = sweep_lists(&pool).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "what lists keep of what is gone can't be deleted; trying again"
                );
            }
        }
        let pause = match expire(&pool, archive.as_deref(), &mut archiving).await {
            Ok(true) => EXPIRE_AGAIN_AFTER,
            Ok(false) => EXPIRE_EVERY,
            Err(error) => {
                warn(&error);
                EXPIRE_EVERY
            }
        };
        sleep(pause).await;
    }
}

/// Deletes some of each namespace; says whether there may be more.
async fn expire(
    pool: &PgPool,
    archive: Option<&dyn Archive>,
    archiving: &mut HashMap<i16, After>,
) -> Result<bool, store::Error> {
    let mut more = false;
    for namespace in retention::forgetful(pool).await? {
        let expired = match archive {
            Some(archive) => {
                let after = archiving.entry(namespace).or_default();
                archive::expire(pool, archive, namespace, after).await
            }
            None => retention::expire(pool, namespace)
                .await
                .map_err(archive::Error::from),
        };
        match expired {
            Ok(others) => more |= others,
            // The others' go all the same.
            Err(error) => warn(&error),
        }
    }
    Ok(more)
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
                tracing::info!(partition, "its runs are deleted, and so is this partition");
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
    while visibility::forget(pool, FORGOTTEN_AT_ONCE).await? {
        sleep(EXPIRE_AGAIN_AFTER).await;
    }
    Ok(())
}

fn warn(error: &(dyn std::error::Error + 'static)) {
    tracing::warn!(
        error,
        "closed runs that are kept no longer can't be deleted; trying again"
    );
}
