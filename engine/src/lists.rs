//! What keeps the lists of runs in line with what is committed.

use std::sync::Arc;

use sqlx::PgPool;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};

use crate::{
    Error,
    feed::Tail,
    limits::{LIST_TIMEOUT, READ_AGAIN_AFTER, VISIBILITY_AFTER},
    store::visibility::{self, Turn},
};

/// Keeps the lists in line with what is committed, for those who ask for one.
#[derive(Debug)]
pub(crate) struct Lists {
    pub(crate) pool: PgPool,
    /// Somebody waits.
    wanted: Notify,
    reach: watch::Sender<Reach>,
}

/// How far the lists are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Reach {
    /// They have what was committed before this moment.
    until: Option<Instant>,
    /// How often they were made anew by then.
    builds: i64,
    /// They are being made anew.
    building: bool,
}

impl Lists {
    pub(crate) fn new(pool: PgPool) -> Self {
        Self {
            pool,
            wanted: Notify::new(),
            reach: watch::Sender::default(),
        }
    }

    /// Waits until the lists have what was committed when this was asked; returns how often they were made anew by then. Those who ask meanwhile
    /// share what is done.
    pub(crate) async fn catch_up(&self) -> Result<i64, Error> {
        let asked = Instant::now();
        let mut reach = self.reach.subscribe();
        self.wanted.notify_one();
        let reached = reach.wait_for(|reach| reach.until.is_some_and(|until| until >= asked));
        match timeout(LIST_TIMEOUT, reached).await {
            // This is held by whoever asks, so the other end is there.
            Ok(reach) => Ok(reach.map(|reach| reach.builds).unwrap_or_default()),
            Err(_elapsed) if self.reach.borrow().building => Err(Error::ListBuilding),
            Err(_elapsed) => Err(Error::ListTooSlow),
        }
    }

    /// Brings the lists forward: when somebody asks for one, and a while after this process has committed something, or has taken the shards of
    /// others, who may have left something. One process at a time does so.
    pub(crate) async fn keep(&self, tail: Arc<Tail>) {
        loop {
            let began = Instant::now();
            match visibility::turn(&self.pool).await {
                Ok(Turn::Done { builds }) => {
                    self.reach.send_replace(Reach {
                        until: Some(began),
                        builds,
                        building: false,
                    });
                    let after_a_while = async {
                        tail.committed().await;
                        sleep(VISIBILITY_AFTER).await;
                    };
                    tokio::select! {
                        () = self.wanted.notified() => {}
                        () = after_a_while => {}
                    }
                }
                Ok(Turn::More) => {}
                Ok(Turn::Building) => self.reach.send_modify(|reach| reach.building = true),
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the lists can't be brought in line with what is committed; trying again"
                    );
                    sleep(READ_AGAIN_AFTER).await;
                }
            }
        }
    }
}
