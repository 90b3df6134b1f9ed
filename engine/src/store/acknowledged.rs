//! What this process knows to be in its database. One that holds less is another database, or an earlier state of it.

use std::sync::atomic::{AtomicI64, Ordering};

use tokio_postgres::GenericClient;

use super::{Error, Term};
use crate::limits::COMMITTERS;

/// What an owner was told to be committed.
#[derive(Debug)]
pub(super) struct Acknowledged {
    /// The number that a cluster gets when it is made; copies of it have the same.
    system: i64,
    term: Term,
    /// The last batch of each slot.
    batches: [AtomicI64; COMMITTERS],
}

/// What is not as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Missing {
    #[error("this is another database: its system identifier is {now}, and was {before}")]
    System { before: i64, now: i64 },
    #[error("epoch {before} is missing; the latest is {now}")]
    Epoch { before: i64, now: i64 },
    #[error("batch {batch} of slot {slot} is missing")]
    Batch { slot: i16, batch: i64 },
}

impl Acknowledged {
    /// Returns what is known of a database when this process has just become a member.
    pub(super) async fn at(url: &str, term: Term) -> Result<Self, Error> {
        let client = super::connect::client(url).await?;
        Ok(Self {
            system: system(&client).await?,
            term,
            batches: Default::default(),
        })
    }

    /// Notes that a batch is committed.
    pub(super) fn note(&self, slot: i16, batch: i64) {
        if let Some(last) = usize::try_from(slot).ok().and_then(|n| self.batches.get(n)) {
            last.fetch_max(batch, Ordering::SeqCst);
        }
    }

    /// Says whether a database lacks something, and raises the alarm then.
    pub(super) async fn is_missing(&self, client: &impl GenericClient) -> Result<bool, Error> {
        let missing = self.missing(client).await?;
        if let Some(missing) = &missing {
            tracing::error!(
                code = "DATABASE_BEHIND",
                missing = missing as &dyn std::error::Error,
                "the database does not hold what it acknowledged; what it holds is read anew"
            );
        }
        Ok(missing.is_some())
    }

    /// Says what a database lacks. Where this process is no member any more, only whether it is the same one can be said.
    async fn missing(&self, client: &impl GenericClient) -> Result<Option<Missing>, Error> {
        // What is committed meanwhile may be there or not.
        let batches: Vec<i64> = self
            .batches
            .iter()
            .map(|last| last.load(Ordering::SeqCst))
            .collect();
        let now = system(client).await?;
        if now != self.system {
            let before = self.system;
            return Ok(Some(Missing::System { before, now }));
        }
        let row = client.query_one("SELECT epoch FROM cluster", &[]).await?;
        let (before, now) = (self.term.epoch, row.get(0));
        if now < before {
            return Ok(Some(Missing::Epoch { before, now }));
        }
        let row = client
            .query_opt(
                "SELECT (u.n - 1)::smallint, u.batch
                 FROM unnest($3::bigint[]) WITH ORDINALITY AS u (batch, n)
                 WHERE u.batch > 0 AND EXISTS (SELECT FROM member WHERE id = $1 AND epoch = $2) AND NOT EXISTS (
                     SELECT FROM batch_log b WHERE b.member = $1 AND b.slot = u.n - 1 AND b.batch = u.batch)
                 LIMIT 1",
                &[&self.term.owner, &self.term.epoch, &batches],
            )
            .await?;
        Ok(row.map(|row| Missing::Batch {
            slot: row.get(0),
            batch: row.get(1),
        }))
    }
}

async fn system(client: &impl GenericClient) -> Result<i64, Error> {
    let row = client
        .query_one("SELECT system_identifier FROM pg_control_system()", &[])
        .await?;
    Ok(row.get(0))
}
