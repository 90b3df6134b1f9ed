//! What the code of an activity sees.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use history::{
    ActivityId, ActivityType, Millis, Namespace, Payloads, RunId, Timestamp, WorkflowId,
    WorkflowType,
};
use serde::{Serialize, de::DeserializeOwned};

use super::{cancel_reason::CancelReason, running::Running};
use crate::{definition, error::Canceled};

/// The context of an activity's attempt: take `&ActivityContext` as a parameter to have it.
///
/// An activity that takes it must watch for its cancellation; one that does not is dropped where it waits.
#[derive(Clone)]
pub struct ActivityContext {
    pub(super) running: Arc<Running>,
}

/// What is known of an attempt.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ActivityInfo {
    /// The namespace.
    pub namespace: Namespace,
    /// The workflow that called it.
    pub workflow_id: WorkflowId,
    /// The workflow's run.
    pub run_id: RunId,
    /// The workflow's code.
    pub workflow_type: WorkflowType,
    /// Its id in the run.
    pub activity_id: ActivityId,
    /// Its code.
    pub activity_type: ActivityType,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// When it was scheduled.
    pub scheduled_at: Timestamp,
    /// When this attempt was handed out.
    pub started_at: Timestamp,
}

impl ActivityContext {
    /// Says that the attempt is alive and how far it is. The next attempt can read the details.
    ///
    /// Call it as often as you like: it goes to the engine at most once in 0.8 of the heartbeat timeout, or in five seconds.
    pub fn heartbeat<T: Serialize + ?Sized>(&self, details: &T) {
        match definition::encode(details) {
            Ok(payload) => self.running.beat(Payloads::one(payload)),
            Err(error) => {
                tracing::warn!(activity_type = %self.running.task.activity_type, %error, "heartbeat without details");
                self.running.beat(Payloads::default());
            }
        }
    }

    /// Returns what the last heartbeat of an attempt before said, if there was one of this shape.
    pub fn heartbeat_details<T: DeserializeOwned>(&self) -> Option<T> {
        self.running.task.heartbeat_details.0.first()?.read().ok()
    }

    /// Waits until the attempt is canceled, and says why: the workflow asked for it, nobody waits for it, or the worker
    /// leaves.
    ///
    /// That the worker leaves is told when its shutdown begins; the attempt may use the drain timeout to finish. One after
    /// which its retry policy allows no other is not told before that time is over, because it would fail for good.
    pub async fn cancelled(&self) -> CancelReason {
        loop {
            let notified = self.running.cancellation.notified();
            let mut notified = std::pin::pin!(notified);
            notified.as_mut().enable();
            if let Some(reason) = self.cancel_reason() {
                return reason;
            }
            notified.await;
        }
    }

    /// Says why the attempt is canceled, if it is.
    pub fn cancel_reason(&self) -> Option<CancelReason> {
        self.running.cancel_reason()
    }

    /// Says whether the attempt is canceled.
    pub fn is_cancelled(&self) -> bool {
        self.cancel_reason().is_some()
    }

    /// Returns an error if the attempt is canceled: `ctx.check()?` in a loop ends it.
    ///
    /// # Errors
    /// When the attempt is canceled.
    pub fn check(&self) -> Result<(), Canceled> {
        if self.is_cancelled() {
            Err(Canceled::new())
        } else {
            Ok(())
        }
    }

    /// Returns which attempt this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.running.task.token.attempt
    }

    /// Returns when the engine gives this attempt up; by this machine's clock, counted from when the task came.
    pub fn deadline(&self) -> Option<Instant> {
        let task = &self.running.task;
        let spent = task.started_at.since(task.scheduled_at);
        let whole = |timeout: Millis| Duration::from(timeout).saturating_sub(spent);
        let attempt = task.start_to_close_timeout.non_zero().map(Duration::from);
        let all = task.schedule_to_close_timeout.non_zero().map(whole);
        let left = match (attempt, all) {
            (Some(attempt), Some(all)) => attempt.min(all),
            (left, None) | (None, left) => left?,
        };
        self.running.received_at.checked_add(left)
    }

    /// Returns what is known of the attempt.
    pub fn info(&self) -> ActivityInfo {
        let task = &self.running.task;
        let token = &task.token;
        ActivityInfo {
            namespace: token.namespace.clone(),
            workflow_id: token.workflow_id.clone(),
            run_id: token.run_id,
            workflow_type: task.workflow_type.clone(),
            activity_id: task.activity_id.clone(),
            activity_type: task.activity_type.clone(),
            attempt: token.attempt,
            scheduled_at: task.scheduled_at,
            started_at: task.started_at,
        }
    }
}
