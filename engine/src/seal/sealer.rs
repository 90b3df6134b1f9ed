//! Seals what is committed, on a timer.

use std::{sync::Arc, time::Duration};

use sqlx::PgPool;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use super::signer::{Refusal, Signer};
use crate::{
    limits::{SEAL_OTHERS_SAY_WITHIN, SEAL_REFUSED_SAID_EVERY, SEAL_WATCHED_EVERY},
    store::{
        Error,
        feed::consumer::{self, Name},
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
            Err(error) => tracing::warn!(
                code = error.code(),
                error = &error as &dyn std::error::Error,
                "sealing has failed; trying again"
            ),
        }
        sleep(every).await;
    }
}

/// Seals once; where the log is not what was signed, all processes are told.
async fn turn(pool: &PgPool, signer: &Signer, every: Duration) -> Result<Turn, Error> {
    // Each time: somebody may have stopped it.
    consumer::begin_sealing(pool).await?;
    let turn = seal::turn(pool, signer, every).await?;
    // Who has the wrong key has nothing to say of this log.
    if let Turn::Refused(Refusal::Lost | Refusal::Altered) = turn
        && let Err(error) = seal::say_refused(pool).await
    {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "other processes can't be told that the sealed log is not what was signed"
        );
    }
    Ok(turn)
}

/// Trusts a log that others sign, once they have had the time to say that it is not what they have signed; one that nobody signs at once.
pub(crate) async fn trust_others(pool: PgPool, trust: watch::Sender<Trust>) {
    let is_sealed = async || -> Result<bool, Error> {
        let mut connection = pool.acquire().await?;
        Ok(consumer::look(&mut connection, Name::Seal).await?.is_some())
    };
    loop {
        match is_sealed().await {
            Ok(is_sealed) => {
                if is_sealed {
                    sleep(SEAL_OTHERS_SAY_WITHIN).await;
                }
                trust.send_replace(Trust::Kept);
                return;
            }
            // Where the database is away, others say so.
            Err(_) => sleep(SEAL_WATCHED_EVERY).await,
        }
    }
}
