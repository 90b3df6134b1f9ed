//! Seals what is committed, on a timer.

use std::{sync::Arc, time::Duration};

use sqlx::PgPool;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use super::signer::{Refusal, Signer};
use crate::{
    limits::SEAL_REFUSED_SAID_EVERY,
    store::{
        feed::consumer,
        seal::{self, Turn},
    },
};

/// What is thought of the sealed log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// It was not looked at yet.
    Unknown,
    /// It is what was signed, or is signed by others.
    Kept,
    /// It is not what was signed.
    Refused,
}

/// Seals so often, for as long as it is polled, and says what it thinks of the log. One process at a time does so.
pub(crate) async fn keep(
    pool: PgPool,
    signer: Arc<Signer>,
    every: Duration,
    trust: watch::Sender<Trust>,
) {
    let mut refused: Option<(Refusal, Instant)> = None;
    loop {
        // Each time: somebody may have stopped it.
        let turn = async {
            consumer::begin_sealing(&pool).await?;
            seal::turn(&pool, &signer, every).await
        };
        match turn.await {
            Ok(Turn::More) => {
                trust.send_replace(Trust::Kept);
                continue;
            }
            Ok(Turn::Done) => {
                trust.send_replace(Trust::Kept);
                refused = None;
            }
            Ok(Turn::Refused(refusal)) => {
                trust.send_replace(Trust::Refused);
                // Again each hour, for who looks later.
                let is_known = matches!(refused, Some((of, at)) if of == refusal && Instant::now() < at + SEAL_REFUSED_SAID_EVERY);
                if !is_known {
                    refused = Some((refusal, Instant::now()));
                    tracing::error!(
                        code = "SEAL_REFUSED",
                        error = &refusal as &dyn std::error::Error,
                        "histories are not sealed, and nothing is deleted that is kept no longer"
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
