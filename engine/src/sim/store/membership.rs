//! Changes of members, as transactions of several statements.

use std::time::Duration;

use uuid::Uuid;

use super::{
    super::planted::{Bug, planted},
    lock::Lock,
    memory::Memory,
    tables::State,
};
use crate::{
    limits::COMMITTERS,
    store::{Error, Term},
};

impl Memory {
    /// Keeps the row that all changes of members need, for so long, and lies idle.
    pub(in crate::sim) async fn keep_cluster(&self, time: Duration) -> Result<(), Error> {
        let transaction = self.begin_for_ever().await;
        transaction.lock(Lock::Cluster).await?;
        tokio::time::sleep(time).await;
        Ok(())
    }

    /// Ends a membership once no batch of it holds its slot's row.
    pub(super) async fn remove(&self, member: Uuid, by: Term) -> Result<(), Error> {
        let transaction = self.begin().await;
        if planted(Bug::ClusterFirst) {
            transaction.lock(Lock::Cluster).await?;
        }
        for slot in (0..).take(COMMITTERS) {
            transaction.lock(Lock::Slot(member, slot)).await?;
        }
        if !planted(Bug::ClusterFirst) {
            transaction.lock(Lock::Cluster).await?;
        }
        let remove = |state: &mut State| {
            if state.is_member(by) {
                state.remove(member);
            }
        };
        transaction.commit(remove).await
    }
}
