//! Seals what is committed, on a timer.

use std::{sync::Arc, time::Duration};

use sqlx::PgPool;
use tokio::time::sleep;

use super::signer::Signer;
use crate::{
    limits::READ_AGAIN_AFTER,
    store::{
        feed::consumer::{self, Name},
        seal::{self, Turn},
    },
};

/// Seals so often, for as long as it is polled. One process at a time does so.
pub(crate) async fn keep(pool: PgPool, signer: Arc<Signer>, every: Duration) {
    while let Err(error) = consumer::begin(&pool, Name::Seal).await {
        warn(&error);
        sleep(READ_AGAIN_AFTER).await;
    }
    let mut refused = None;
    loop {
        match seal::turn(&pool, &signer, every).await {
            Ok(Turn::More) => continue,
            Ok(Turn::Done) => refused = None,
            Ok(Turn::Refused(refusal)) => {
                if refused.replace(refusal) != Some(refusal) {
                    tracing::error!(
                        error = &refusal as &dyn std::error::Error,
                        "histories are not sealed any more"
                    );
                }
            }
            // Another process is about it.
            Err(error) if error.is_of_a_lock() => {}
            Err(error) => warn(&error),
        }
        sleep(every).await;
    }
}

fn warn(error: &crate::store::Error) {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "what is committed can't be sealed; trying again"
    );
}
