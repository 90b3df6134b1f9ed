//! Seals what is committed, on a timer.

use std::{sync::Arc, time::Duration};

use sqlx::PgPool;
use tokio::time::{Instant, sleep};

use super::signer::{Refusal, Signer};
use crate::{
    limits::SEAL_REFUSED_SAID_EVERY,
    store::{
        feed::consumer,
        seal::{self, Turn},
    },
};

/// Seals so often, for as long as it is polled. One process at a time does so.
pub(crate) async fn keep(pool: PgPool, signer: Arc<Signer>, every: Duration) {
    let mut refused: Option<(Refusal, Instant)> = None;
    loop {
        // Each time: somebody may have stopped it.
        let turn = async {
            consumer::begin_sealing(&pool).await?;
            seal::turn(&pool, &signer, every).await
        };
        match turn.await {
            Ok(Turn::More) => continue,
            Ok(Turn::Done) => refused = None,
            Ok(Turn::Refused(refusal)) => {
                // Again each hour, for who looks later.
                let is_known = matches!(refused, Some((of, at)) if of == refusal && Instant::now() < at + SEAL_REFUSED_SAID_EVERY);
                if !is_known {
                    refused = Some((refusal, Instant::now()));
                    tracing::error!(
                        code = "SEAL_REFUSED",
                        error = &refusal as &dyn std::error::Error,
                        "histories are not sealed"
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
