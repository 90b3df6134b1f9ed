//! Renews the lease, and does what follows a renewal.

use std::sync::atomic::Ordering;

use history::Timestamp;
use tokio::{sync::mpsc, time::Instant};

use crate::{
    clock::Clock,
    members::{Ended, Lease, Shared, answered},
    store::{self, Session, Store},
};

/// How many renewals lie between two looks at the partitions: some hours, and partitions are made weeks ahead.
pub(crate) const RENEWALS_A_PARTITION_LOOK: u64 = 5000;
/// How many lie between two of them while they can't be made.
const RENEWALS_A_PARTITION_TRY: u64 = 100;
pub(crate) const NOT_PREPARED: &str = "the next partitions can't be made; trying again later";
/// How many renewals lie between two deletions of old batches of the feed.
const RENEWALS_A_FEED_LOOK: u64 = 10;

/// Keeps a lease.
pub(crate) struct Keeper<'a> {
    pub(crate) store: &'a dyn Store,
    pub(crate) lease: Lease,
    pub(crate) clock: &'a Clock,
    pub(crate) shared: &'a Shared,
}

/// A renewal of the lease, and the shards that were folded before it: what it wrote accounts for them.
struct Renewal {
    at: Timestamp,
    folded: Vec<i16>,
}

impl Keeper<'_> {
    /// Renews the lease and does what follows a renewal, until the lease can't be renewed. `prepared`: the next partitions are made.
    pub(crate) async fn keep(
        self,
        session: &mut dyn Session,
        renewed_at: Instant,
        prepared: bool,
    ) -> Result<(), Ended> {
        let (tell, renewals) = mpsc::unbounded_channel();
        let renewing = self.renew(session, renewed_at, tell);
        let house = self.keep_house(prepared, renewals);
        with(renewing, house).await
    }

    /// Renews the lease until it can't be. What is not renewed before its row expires counts as lost, so that nobody acts on it.
    async fn renew(
        &self,
        session: &mut dyn Session,
        mut renewed_at: Instant,
        renewals: mpsc::UnboundedSender<Renewal>,
    ) -> Result<(), Ended> {
        let Lease { term, expiry } = self.lease;
        loop {
            tokio::time::sleep_until(renewed_at + expiry * 2 / 5).await;
            let folded = self.shared.folded();
            let open_since = Timestamp(self.shared.open_since.load(Ordering::Relaxed));
            let (asked_at, asked) = (Instant::now(), self.clock.asks());
            let left = (renewed_at + expiry).saturating_duration_since(asked_at);
            // A process that was paused gets a chance: it may own still.
            let left = left.max(expiry / 3);
            let renewed = session.renew(term, expiry, open_since);
            let now = answered(left, renewed).await??.ok_or(Ended::Lease)?;
            renewed_at = asked_at;
            self.clock.sample(asked, now);
            // Who hears of it lives as long as this does.
            let _ = renewals.send(Renewal { at: now, folded });
        }
    }

    /// Does what follows a renewal, on other connections: nothing of it may keep the lease from being renewed. What fails is done again
    /// after a later one.
    async fn keep_house(&self, prepared: bool, mut renewals: mpsc::UnboundedReceiver<Renewal>) {
        let Lease { term, expiry } = self.lease;
        let after = |prepared| {
            if prepared {
                RENEWALS_A_PARTITION_LOOK
            } else {
                RENEWALS_A_PARTITION_TRY
            }
        };
        let mut count = 0_u64;
        let mut next_look = after(prepared);
        while let Some(Renewal { at, folded }) = renewals.recv().await {
            count += 1;
            if !folded.is_empty() {
                let noted = answered(expiry, self.store.folded(term, &folded)).await;
                if done(noted, "folded shards can't be noted; trying again") {
                    self.shared.forget_folded(&folded);
                }
            }
            if count >= next_look {
                let made = answered(expiry, self.store.prepare(at)).await;
                next_look = count + after(done(made, NOT_PREPARED));
            }
            if count.is_multiple_of(RENEWALS_A_FEED_LOOK) {
                let deleted = answered(expiry, self.store.expire_feed()).await;
                done(
                    deleted,
                    "old batches of the feed can't be deleted; trying again",
                );
            }
        }
    }
}

/// Says whether something was done, and logs why it was not.
pub(crate) fn done(
    result: Result<Result<(), store::Error>, Ended>,
    otherwise: &'static str,
) -> bool {
    let Err(error) = result.and_then(|result| Ok(result?)) else {
        return true;
    };
    tracing::warn!(error = &error as &dyn std::error::Error, "{otherwise}");
    false
}

/// Does something else beside, until the first is done.
async fn with<T>(first: impl Future<Output = T>, beside: impl Future<Output = ()>) -> T {
    let beside = async {
        beside.await;
        std::future::pending().await
    };
    tokio::select! {
        biased;
        done = first => done,
        never = beside => never,
    }
}
