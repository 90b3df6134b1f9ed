//! Deletes the closed runs that their namespaces keep no longer, in small steps.

use sqlx::PgPool;
use tokio::time::sleep;

use crate::{
    limits::{EXPIRE_AGAIN_AFTER, EXPIRE_EVERY},
    store::{self, retention},
};

/// Deletes what is to go, for as long as it is polled.
pub(crate) async fn keep(pool: PgPool) {
    loop {
        let pause = match expire(&pool).await {
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
async fn expire(pool: &PgPool) -> Result<bool, store::Error> {
    let mut more = false;
    for namespace in retention::forgetful(pool).await? {
        match retention::expire(pool, namespace).await {
            Ok(others) => more |= others,
            // The others' go all the same.
            Err(error) => warn(&error),
        }
    }
    Ok(more)
}

fn warn(error: &store::Error) {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "closed runs that are kept no longer can't be deleted; trying again"
    );
}
