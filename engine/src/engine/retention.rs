//! How long closed runs are kept, and the deletion of one.

use std::time::Duration;

use history::{Namespace, Payloads, RunId, decide::Rejection, decide::Terminate};
use tokio::time::{Instant, sleep};

use crate::{
    Address, Engine, Error,
    limits::{DELETE_MAX, RETENTION_MAX, RETENTION_MIN},
    shard, store,
};

/// How long to wait before a run that still owes somebody something is looked at again.
const OWES_AGAIN: Duration = Duration::from_millis(50);

impl Engine {
    /// Returns how long a namespace keeps closed runs, from their close; `None` is for ever.
    pub async fn retention(&self, namespace: &Namespace) -> Result<Option<Duration>, Error> {
        let id = self.inner.namespaces.get(namespace)?.id;
        Ok(store::retention::retention(&self.inner.reads, id).await?)
    }

    /// Changes how long a namespace keeps closed runs: those that have been closed for longer are deleted, with their histories.
    ///
    /// # Errors
    /// When it is less than [`RETENTION_MIN`], or more than [`RETENTION_MAX`].
    pub async fn set_retention(
        &self,
        namespace: &Namespace,
        retention: Option<Duration>,
    ) -> Result<(), Error> {
        if retention.is_some_and(|time| !(RETENTION_MIN..=RETENTION_MAX).contains(&time)) {
            return Err(Error::Rejected(Rejection::InvalidArgument {
                field: "retention",
                problem: format!(
                    "give {} s to {} s, or null for ever",
                    RETENTION_MIN.as_secs(),
                    RETENTION_MAX.as_secs()
                ),
            }));
        }
        let id = self.inner.namespaces.get(namespace)?.id;
        store::retention::keep_for(&self.inner.reads, id, retention).await?;
        tracing::info!(
            %namespace,
            retention_seconds = retention.map(|time| time.as_secs()),
            "the retention was set"
        );
        Ok(())
    }

    /// Deletes a run with its history; one that is open is terminated first. What is left of it is a row of `tombstone`.
    ///
    /// # Errors
    /// When there is none, or it owes others something that can't be delivered now.
    pub async fn delete_workflow(&self, address: &Address) -> Result<(), Error> {
        let run = self.describe(address).await?;
        let address = Address {
            run_id: Some(run.run_id),
            ..address.clone()
        };
        if run.status.is_open() {
            let terminate = Terminate {
                reason: "it is deleted".to_owned(),
                details: Payloads::default(),
                identity: None,
            };
            match self.terminate(&address, terminate).await {
                // It has ended by itself meanwhile.
                Ok(()) | Err(Error::Rejected(Rejection::WorkflowClosed)) => {}
                Err(error) => return Err(error),
            }
        }
        let shard = shard::of(&address.namespace, &address.workflow_id);
        let until = Instant::now() + DELETE_MAX;
        while !self.try_to_delete(shard, run.run_id).await? {
            if Instant::now() >= until {
                return Err(Error::Unavailable(
                    "the run has still to deliver something, or somebody is about to use its id",
                ));
            }
            sleep(OWES_AGAIN).await;
        }
        tracing::info!(
            namespace = %address.namespace,
            workflow_id = %address.workflow_id,
            run_id = %run.run_id,
            "a run was deleted by request"
        );
        Ok(())
    }

    /// Says whether a run is gone.
    async fn try_to_delete(&self, shard: i16, run_id: RunId) -> Result<bool, Error> {
        let _one = self.inner.deleting.lock().await;
        match store::retention::delete(&self.inner.reads, shard, run_id).await {
            // Lists are brought forward, or other runs deleted.
            Err(error) if error.is_of_a_wait() => Ok(false),
            tried => Ok(tried?),
        }
    }
}
