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
        Error,
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
        match turn(&pool, &signer, every).await {
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
            // Another process is about it; where it is not, that is said by who watches how far the log is.
            Err(error) if error.is_of_a_lock() => {}
            Err(error) => {
                // What was signed is in the database by then.
                if matches!(error, Error::SealMemory { .. }) {
                    trust.send_replace(Trust::Kept);
                }
                tracing::warn!(
                    code = error.code(),
                    error = &error as &dyn std::error::Error,
                    "sealing has failed; trying again"
                );
            }
        }
        sleep(every).await;
    }
}

/// Seals once, and says to all processes whether the log is what was signed.
async fn turn(pool: &PgPool, signer: &Signer, every: Duration) -> Result<Turn, Error> {
    // Each time: somebody may have stopped it.
    consumer::begin_sealing(pool).await?;
    let turn = match seal::turn(pool, signer, every).await {
        // Some of it was changed, or deleted.
        Err(error @ (Error::Corrupt { .. } | Error::Pruned(_))) => {
            tracing::error!(
                code = error.code(),
                error = &error as &dyn std::error::Error,
                "the sealed log can't be read"
            );
            Turn::Refused(Refusal::Altered)
        }
        turn => turn?,
    };
    match turn {
        Turn::More | Turn::Done => seal::say_refused(pool, false).await?,
        // This is the wrong key, and another process may have the right one.
        Turn::Refused(Refusal::OtherKey) => {}
        Turn::Refused(Refusal::OtherLog | Refusal::Lost | Refusal::Altered) => {
            seal::say_refused(pool, true).await?;
        }
    }
    Ok(turn)
}
