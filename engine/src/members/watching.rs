//! Who watches whom: each member the next one in the order of their ids.

use std::{sync::Arc, time::Duration};

use futures::FutureExt as _;
use uuid::Uuid;

use crate::{
    members::{Ended, Members, answered, watched::Watched},
    store::{self, Session},
};

impl Members<'_> {
    /// Sees to it that the next member is watched.
    pub(super) fn watch(&mut self) {
        let next = self.next();
        if self.watching.as_ref().map(|watching| watching.member) == next {
            return;
        }
        self.watching = next.map(|member| {
            let (store, term) = (Arc::clone(self.store), self.term);
            let locked = async move {
                let mut session = store.watcher(term).await?;
                session.lock(member).await?;
                Ok(session)
            };
            Watched {
                member,
                locked: locked.boxed(),
            }
        });
    }

    /// Returns the member after this one, in the order of their ids; the first follows the last.
    fn next(&self) -> Option<Uuid> {
        let me = self.term.owner;
        let others = || self.seen.iter().map(|member| member.id);
        others()
            .filter(|id| *id > me)
            .min()
            .or_else(|| others().filter(|id| *id < me).min())
    }

    /// Ends the sessions of the watched member when its lease has ended, and says so.
    pub(super) async fn end_expired(&mut self) -> bool {
        let Some(next) = self.next() else {
            return false;
        };
        let expired = self
            .seen
            .iter()
            .any(|member| member.id == next && member.expired);
        if expired {
            tracing::warn!(member = %next, "a member's lease has ended; ending its sessions");
            if let Ok(Err(error)) = answered(self.expiry, self.store.end(next)).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "its sessions can't be ended; trying again"
                );
            }
        }
        expired
    }

    /// The watched member is dead, or the wait for its lock failed.
    pub(super) async fn locked(
        &mut self,
        locked: Result<Box<dyn Session>, store::Error>,
    ) -> Result<(), Ended> {
        let Some(Watched { member, .. }) = self.watching.take() else {
            return Ok(());
        };
        // The lock is held until the member is fenced.
        let _session = match locked {
            Ok(session) => session,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a member can't be watched; trying again"
                );
                tokio::time::sleep(Duration::from_millis(100)).await;
                return Ok(());
            }
        };
        tracing::info!(%member, "a member is gone");
        match answered(self.expiry, self.store.fence(member, self.term)).await {
            Ok(Ok(())) => {
                self.look().await?;
                self.poke(&self.others());
            }
            Ok(Err(error)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a member that is gone can't be replaced; trying again"
                );
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(_silent) => {}
        }
        Ok(())
    }
}
